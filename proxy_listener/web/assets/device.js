// One device: its current values, its history, the proxies that hear it, and those that could read it.

import { get } from "./client.js";
import { ageOf, changed, el, mark, name, reconcile, replace, setAge, setText, table } from "./dom.js";
import { historyPanel } from "./history.js";
import { age, dbm, keptFrames, key, label, order, shown, TRUST, unit } from "./labels.js";
import { readPanel } from "./read.js";

const CURVES_EVERY = 60_000;
const ROUTES_EVERY = 15_000;

const ROUTE_HEADS = ["Proxy", "", "#dBm", "#Heard", "#Slots", "#Failures", "Why"];
const HEARD_HEADS = ["Proxy", "#dBm", "#Last", "#Share"];

function fact(title, ...value) {
  return el("div", {}, el("dt", {}, title), el("dd", {}, ...value));
}

function nextRead({ read_due: due }) {
  return due === null ? ", not by schedule" : due <= 0 ? ", next when a proxy is free and hears it well" : `, next in ${age(due)}`;
}

function facts(device) {
  const [kind, word] = key(device);
  const trust = device.trust && TRUST[device.trust];
  return [
    fact("Heard", ageOf(device.since), device.since === null ? "" : " ago", device.available ? "" : el("span", { class: "word warn" }, " longer than expected")),
    fact("Room", name(device.room ?? "not known yet")),
    fact("Key", mark(kind), " ", word),
    trust && fact("Trust", trust),
    fact("Model", name(device.model), device.kind && ` · ${device.kind}`),
    fact("MAC", device.mac),
    device.readable && device.listed && fact("Read", device.readAt ? [ageOf(device.readAt), " ago"] : "not yet", nextRead(device)),
    fact("Speaks", device.sleepy ? "when something happens" : `at least every ${age(device.interval)}`),
    fact("Readings", String(device.readings)),
  ].filter(Boolean);
}

function valueNode(quantity) {
  return el("div", { class: "big" }, el("dt", {}, label(quantity)), el("dd", {}, el("b", {}), " ", el("i", {})), el("dd", { class: "quiet" }, ageOf(null)));
}

function valueUpdate(node, [quantity, { value, at }]) {
  const [, reading, since] = node.children;
  setText(reading.children[0], shown(quantity, value));
  setText(reading.children[1], unit(quantity, value));
  setAge(since.firstChild, at);
}

// The current values and the last event.
function currentValues({ values, event }) {
  const entries = Object.entries(values).sort(([a], [b]) => order(a, b));
  const measured = entries.map(([quantity, { value, time }]) => [quantity, { value, at: Date.parse(time) }]);
  return event ? [...measured, [event.event, { value: label(event.type), at: event.at, key: `event ${event.event}` }]] : measured;
}

const figure = (title, text) => el("td", { class: "number", "data-label": title }, text);

function routeRow(candidate) {
  const kind = candidate.chosen ? "good" : candidate.busy ? "busy" : candidate.eligible ? "off" : "bad";
  const word = candidate.chosen ? "chosen" : candidate.busy ? "busy" : candidate.eligible ? "able" : "not able";
  return el("tr", { class: candidate.chosen ? "chosen" : null },
    el("th", { scope: "row" }, name(candidate.room || candidate.proxy), el("small", {}, name(candidate.proxy))),
    el("td", {}, mark(kind), " ", word),
    figure("dBm", dbm(candidate.rssi)),
    figure("heard", age(candidate.heard_age)),
    figure("slots", candidate.slots_limit === null ? "–" : `${candidate.slots_free ?? "?"}/${candidate.slots_limit}`),
    figure("failures", candidate.failures > 0.05 ? candidate.failures.toFixed(1) : "–"),
    el("td", { class: "reason" }, candidate.reason));
}

function heardRow(heard) {
  return el("tr", {}, el("th", { scope: "row" }, name(heard.room || heard.proxy), el("small", {}, name(heard.proxy))),
    figure("dBm", dbm(heard.rssi)), figure("last", age(heard.age)), figure("share", heard.share > 0 ? `${Math.round(heard.share * 100)} %` : "–"));
}

export function deviceView(mac, range) {
  const heading = el("h1", {}, mac);
  const list = el("dl", { class: "facts" });
  const need = el("p", { class: "need", hidden: true });
  const values = el("dl", { class: "bigs" });
  const before = historyPanel(mac, range);
  const hears = el("div");
  const routes = el("div");
  const ways = el("section", { "aria-labelledby": "routes", hidden: true }, el("h2", { id: "routes" }, "Routes for a read"), routes);
  const reading = el("section", { "aria-labelledby": "read", hidden: true }, el("h2", { id: "read" }, "Read it"));
  const node = el("article", { class: "device" },
    el("p", { class: "back" }, el("a", { href: "#/" }, "← House")), heading, need, values, list, before.node, reading,
    el("section", { "aria-labelledby": "hears" }, el("h2", { id: "hears" }, "Heard by"), hears), ways);

  let known = false;

  async function askRoutes() {
    if (ways.hidden) return;
    try {
      const found = await get(`/devices/${mac}/routes`);
      replace(routes, table("Routes", ROUTE_HEADS, found.map(routeRow), "No proxy could read it."));
    } catch (error) {
      routes.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  }

  function offerRead(device) {
    if (!device.readable || !reading.hidden) return;
    reading.hidden = ways.hidden = false;
    askRoutes();
    reading.append(device.listed ? readPanel(mac, before.update) : el("p", {}, "Add an entry for it to devices.toml to read its battery and its log."));
  }

  function update({ devices, status }) {
    const device = devices.get(mac);
    if (!device) {
      if (status && devices.size) list.replaceChildren(el("p", { class: "quiet" }, "No device has this MAC."));
      return;
    }
    if (!known) {
      known = true;
      before.draw();
    }
    if (heading.textContent !== device.name) {
      heading.replaceChildren(name(device.name));
      document.title = `${device.name} · proxy-listener`;
    }
    reconcile(values, currentValues(device), ([quantity, { key: own }]) => own ?? quantity, ([quantity]) => valueNode(quantity), valueUpdate);
    need.hidden = !device.cause;
    if (changed(need, device.cause, device.advice, device.kept)) {
      need.replaceChildren(mark(key(device)[0]), " ", el("b", {}, `It ${device.cause}`), `${keptFrames(device)}. `, el("span", { class: "advice" }, device.advice));
    }
    const { room, key: state, trust, available, readings, read_due: due, readAt } = device;
    if (changed(list, room, state, trust, available, readings, due === null ? null : age(due), readAt && Math.round(readAt / 10_000))) list.replaceChildren(...facts(device));
    const heard = device.heard.toSorted((a, b) => b.rssi - a.rssi);
    if (changed(hears, heard)) replace(hears, table("Hearing", HEARD_HEADS, heard.map(heardRow), "No proxy hears it now."));
    offerRead(device);
  }

  const timers = [setInterval(before.update, CURVES_EVERY), setInterval(askRoutes, ROUTES_EVERY)];
  queueMicrotask(before.update);
  return { title: mac, node, update, range: before.pick, close: () => timers.forEach(clearInterval) };
}
