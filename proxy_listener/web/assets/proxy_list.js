// Proxies by room: those with problems, then live ones (folded on small screens), then other nodes.

import { changed, el, mark, name, reconcile, setText } from "./dom.js";
import { byName, dbm, state } from "./labels.js";

const OPEN_UP_TO = 8;

const make = () => el("li", { class: "proxy" });

function facts(proxy, kind, word) {
  const live = proxy.state === "live";
  return [
    el("span", {}, name(proxy.name)),
    el("span", { class: `word ${kind}` }, proxy.connecting ? "connecting to a device" : word),
    live && proxy.slots_limit !== null && el("span", {}, `${proxy.slots_free ?? "?"}/${proxy.slots_limit} slots`),
    live && proxy.wifi_rssi !== null && el("span", {}, `Wi-Fi ${dbm(proxy.wifi_rssi)} dBm`),
    live && proxy.called_from !== null && el("span", {}, "called us from ", name(proxy.called_from)),
    proxy.encrypted === false && el("span", { class: "word warn" }, "unencrypted"),
    proxy.active === false && el("span", {}, "passive: cannot read"),
    ...sharing(proxy.shared),
  ];
}

function sharing(shared) {
  if (shared === null) return [];
  if (shared.problem) return [el("span", { class: "word warn" }, `not shared: ${shared.problem}`)];
  const count = shared.clients.length;
  const links = shared.clients.flatMap((client) => client.links.map((mac) => `${client.name}: ${mac}`));
  const title = shared.clients.map((client) => `${client.name} (${client.address})`).join(", ");
  return [
    el("span", { title }, `shared at port ${shared.port}, ${count} ${count === 1 ? "client" : "clients"}`),
    ...links.map((link) => el("span", {}, link)),
  ];
}

function update(row, proxy) {
  const { state: is, room, rate, slots_free, slots_limit, connecting, wifi_rssi, encrypted, active, called_from } = proxy;
  const shared = JSON.stringify([proxy.shared?.port, proxy.shared?.problem, proxy.shared?.clients.map((one) => [one.name, one.links])]);
  if (!changed(row, is, room, rate, slots_free, slots_limit, connecting, wifi_rssi, encrypted, active, called_from, shared)) return;
  const [kind, word] = state(proxy);
  row.replaceChildren(
    mark(kind),
    el("span", { class: "room" }, name(room || proxy.name)),
    is === "live" ? el("span", { class: "rate" }, rate.toFixed(1), el("small", {}, " /s")) : el("span", { class: "rate" }, "–"),
    el("span", { class: "facts" }, facts(proxy, kind, word)),
  );
}

function folded(open) {
  const title = el("summary", {});
  const list = el("ul", { class: "proxies" });
  const node = el("details", { open }, title, list);
  return { node, title, list };
}

export function proxyList() {
  const wide = matchMedia("(min-width: 60rem)");
  const sick = el("ul", { class: "proxies" });
  const well = folded(wide.matches);
  const others = folded(false);
  let touched = false;
  well.title.addEventListener("click", () => { touched = true; });
  const node = el("section", { class: "rail", "aria-labelledby": "rooms" },
    el("h2", { id: "rooms" }, "Rooms and proxies"), sick, well.node, others.node);
  return {
    node,
    update({ status }) {
      const all = status.proxies.toSorted((a, b) => byName(a.room, b.room) || byName(a.name, b.name));
      const of = (...kinds) => kinds.flatMap((kind) => all.filter((proxy) => state(proxy)[0] === kind));
      const [fine, strangers] = [of("good"), of("off")];
      reconcile(sick, of("bad", "busy"), (proxy) => proxy.name, make, update);
      reconcile(well.list, fine, (proxy) => proxy.name, make, update);
      reconcile(others.list, strangers, (proxy) => proxy.name, make, update);
      setText(well.title, `${fine.length} live`);
      setText(others.title, `${strangers.length} other ${strangers.length === 1 ? "node" : "nodes"} on the network`);
      others.node.hidden = strangers.length === 0;
      if (!touched) well.node.open = wide.matches || fine.length <= OPEN_UP_TO;
    },
  };
}
