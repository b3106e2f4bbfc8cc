// The house on one screen: what needs a person, rooms and proxies, devices.

import { ageOf } from "./app.js";
import { el, keep, mark, name, say } from "./dom.js";
import { age, byName, dbm, key, label, order, short, shown, state, unit } from "./words.js";

const BATTERY_LOW = 15;
const HEALTHY_SHOWN = 8;
const TROUBLES_SHOWN = 6;
const KINDS = ["bad", "busy"];

// Quantities that a device's own page shows: in the list they only take room.
const DETAILS = ["battery", "weighing", "stabilized"];

const COLUMNS = [
  ["name", "Device", (d) => d.name],
  ["room", "Room", (d) => d.room ?? "\uffff"],
  ["values", "Latest", null],
  ["battery", "Battery", (d) => d.values.battery?.value ?? 999],
  ["age", "Heard", (d) => -(d.since ?? 0)],
  ["key", "Key", (d) => d.key],
];

const link = (device) => `#/device/${encodeURIComponent(device.mac)}`;

export function figure(title, value, note = "", kind = "") {
  return el("div", { class: `figure ${kind}` }, el("dt", {}, title), el("dd", {}, el("b", {}, value), " ", el("small", {}, note)));
}

function summary({ devices, status }) {
  const proxies = status.proxies.filter((p) => state(p)[0] !== "off");
  const living = proxies.filter((p) => p.state === "live");
  const all = [...devices.values()];
  const rate = proxies.reduce((sum, p) => sum + (p.rate ?? 0), 0);
  const { storage } = status;
  return [
    figure("Proxies live", `${living.length}`, `of ${proxies.length}`, living.length < proxies.length ? "bad" : ""),
    figure("Devices heard", `${all.filter((d) => d.available).length}`, `of ${all.length}`),
    figure("On air", rate.toFixed(rate < 10 ? 1 : 0), "advertisements / s"),
    figure("History", storage.ok ? "stored" : "failing", storage.waiting ? `${storage.waiting} wait` : "", storage.ok ? "" : "bad"),
    figure("Running", age(status.uptime), `version ${status.version}`),
  ];
}

// What a person can do something about, in the order in which it matters.
function troubles({ devices, status }) {
  const found = [];
  const add = (id, kind, subject, text, advice, href) => found.push({ id, kind, subject, text, advice, href });
  const { storage, proxies } = status;
  if (!storage.ok) add("storage", "bad", "History", `cannot be stored: ${storage.error ?? ""}`, "Readings wait in memory. Free space on the disk, or mend it.");
  if (storage.alarm) add("alarm", "warn", "History", storage.alarm, "");
  for (const p of proxies) {
    if (state(p)[0] === "bad") add(`p${p.name}`, "bad", p.room || p.name, p.cause || state(p)[1], p.advice);
  }
  for (const d of [...devices.values()].filter((each) => each.listed)) {
    if (d.key === "wrong") add(`k${d.mac}`, "bad", d.name, "its frames do not verify with the bindkey", "Was it added to Mi Home again? Then its key changed: fetch the new one.", link(d));
    if (d.key === "missing") add(`k${d.mac}`, "warn", d.name, "sends encrypted frames and has no bindkey", "Add its bindkey to devices.toml; what came before is kept and opened then.", link(d));
    const battery = d.values.battery?.value;
    if (battery <= BATTERY_LOW) add(`b${d.mac}`, "warn", d.name, `battery at ${battery} %`, "Have a new cell ready.", link(d));
    if (!d.available) add(`a${d.mac}`, "warn", d.name, d.since === null ? "not heard since the start" : `not heard for ${age((Date.now() - d.since) / 1000)}`, "Out of range, or its cell is empty.", link(d));
  }
  return found;
}

function troubleRow(trouble) {
  const subject = el(trouble.href ? "a" : "b", { href: trouble.href }, name(trouble.subject));
  return el("li", {}, mark(trouble.kind), el("p", {}, subject, " ", el("span", { class: "what" })), el("p", { class: "advice" }));
}

function troubleUpdate(row, trouble) {
  say(row.querySelector(".what"), trouble.text);
  say(row.querySelector(".advice"), trouble.advice);
}

const proxyRow = () => el("li", { class: "proxy" });

function proxyUpdate(row, proxy) {
  const [kind, word] = state(proxy);
  const signature = JSON.stringify([kind, word, proxy.rate, proxy.slots_free, proxy.slots_limit, proxy.connecting, proxy.wifi_rssi, proxy.encrypted, proxy.room]);
  if (row.signature === signature) return;
  row.signature = signature;
  const live = proxy.state === "live";
  const slots = proxy.slots_limit === null ? null : el("span", {}, `${proxy.slots_free ?? "?"}/${proxy.slots_limit} slots`);
  const facts = [
    el("span", {}, name(proxy.name)), el("span", { class: `word ${kind}` }, proxy.connecting ? "connecting to a device" : word), live && slots,
    live && proxy.wifi_rssi !== null && el("span", {}, `Wi-Fi ${dbm(proxy.wifi_rssi)} dBm`),
    proxy.encrypted === false && el("span", { class: "word warn" }, "unencrypted"),
    proxy.active === false && el("span", {}, "passive: cannot read"),
  ];
  row.replaceChildren(
    mark(kind), el("span", { class: "room" }, name(proxy.room || proxy.name)),
    el("span", { class: "rate" }, live ? [proxy.rate.toFixed(1), el("small", {}, " /s")] : "–"),
    el("span", { class: "facts" }, facts.filter(Boolean)),
  );
}

function deviceRow(device) {
  const row = el("tr", {},
    el("th", { scope: "row" }, el("a", { href: link(device) }), el("small", {})),
    el("td", { class: "place" }), el("td", { class: "values" }), el("td", { class: "battery number" }),
    el("td", { class: "number" }, ageOf(null)), el("td", { class: "keys" }));
  return row;
}

function deviceUpdate(row, device) {
  const [head, place, values, battery, heard, keys] = row.children;
  const [anchor, model] = head.children;
  if (anchor.textContent !== device.name) anchor.replaceChildren(name(device.name));
  say(model, device.model);
  say(place, device.room ?? "–");
  const ageNode = heard.firstChild;
  ageNode.since = device.since;
  say(ageNode, device.since === null ? "never" : age((Date.now() - device.since) / 1000));
  heard.classList.toggle("gone", !device.available);
  const charge = device.values.battery?.value;
  say(battery, charge === undefined ? "–" : `${charge} %`);
  battery.classList.toggle("low", charge <= BATTERY_LOW);
  const [kind, word] = key(device);
  if (keys.textContent !== word) keys.replaceChildren(mark(kind), el("span", {}, word));
  const latest = Object.entries(device.values).filter(([q]) => !DETAILS.includes(q)).sort(([a], [b]) => order(a, b))
    .map(([q, { value }]) => [q, short(q), shown(q, value), unit(q, value)]);
  if (device.happened) latest.push(["event", label(device.happened.event), label(device.happened.type), ""]);
  keep(values, latest, ([id]) => id, valueNode, valueUpdate);
}

const valueNode = ([, title]) => el("span", { class: "value" }, el("small", {}, title), el("b", {}), el("i", {}));

function valueUpdate(node, [, title, text, measure]) {
  const [head, figureNode, unitNode] = node.children;
  if (figureNode.textContent !== "" && figureNode.textContent !== text) fresh(node);
  say(head, title);
  say(figureNode, text);
  say(unitNode, measure);
}

function fresh(node) {
  node.classList.remove("fresh");
  requestAnimationFrame(() => node.classList.add("fresh"));
}

export function houseView() {
  const sort = { by: "room", down: false, text: "" };
  let last = null;
  const figures = el("dl", { class: "figures" });
  const todo = el("ul", { class: "troubles" });
  const more = el("ul", { class: "troubles" });
  const moreTitle = el("summary", {});
  const moreFold = el("details", { hidden: true }, moreTitle, more);
  const todoSection = el("section", { "aria-labelledby": "needs", hidden: true }, el("h2", { id: "needs" }, "Needs you"), todo, moreFold);
  const sick = el("ul", { class: "proxies" });
  const well = el("ul", { class: "proxies" });
  const wellTitle = el("summary", {});
  const wide = matchMedia("(min-width: 60rem)");
  const fold = el("details", { open: wide.matches }, wellTitle, well);
  const others = el("ul", { class: "proxies" });
  const othersTitle = el("summary", {});
  const othersFold = el("details", { hidden: true }, othersTitle, others);
  const body = el("tbody");
  const empty = el("p", { class: "quiet", hidden: true });
  const headings = COLUMNS.map(([id, title, by]) =>
    el("th", { scope: "col", class: id, "data-by": id }, by ? el("button", { type: "button", click: () => pick(id) }, title) : title));
  const search = el("input", { type: "search", id: "find", placeholder: "name, room, model, MAC", autocomplete: "off", input: (event) => {
    sort.text = event.target.value.toLowerCase();
    if (last) update(last);
  } });

  function pick(id) {
    sort.down = sort.by === id ? !sort.down : false;
    sort.by = id;
    if (last) update(last);
  }

  function sorted(devices) {
    const by = COLUMNS.find(([id]) => id === sort.by)[2];
    const compare = (a, b) => {
      const [x, y] = [by(a), by(b)];
      return (typeof x === "string" ? byName(x, y) : x - y) || byName(a.name, b.name) || byName(a.mac, b.mac);
    };
    const found = [...devices.values()].filter((d) => !sort.text || `${d.name} ${d.room ?? ""} ${d.model} ${d.mac}`.toLowerCase().includes(sort.text));
    found.sort(sort.down ? (a, b) => compare(b, a) : compare);
    return found;
  }

  function update(house) {
    last = house;
    if (house.status) {
      if (figures.signature !== (figures.signature = JSON.stringify(summaryKey(house)))) figures.replaceChildren(...summary(house));
      const found = troubles(house);
      todoSection.hidden = found.length === 0;
      keep(todo, found.slice(0, TROUBLES_SHOWN), (t) => t.id, troubleRow, troubleUpdate);
      keep(more, found.slice(TROUBLES_SHOWN), (t) => t.id, troubleRow, troubleUpdate);
      moreFold.hidden = found.length <= TROUBLES_SHOWN;
      say(moreTitle, `${found.length - TROUBLES_SHOWN} more`);
      const proxies = house.status.proxies.toSorted((a, b) => byName(a.room, b.room) || byName(a.name, b.name));
      const fine = proxies.filter((p) => p.state === "live");
      const rank = (p) => KINDS.indexOf(state(p)[0]);
      const rest = proxies.filter((p) => p.state !== "live" && state(p)[0] !== "off").sort((a, b) => rank(a) - rank(b));
      const out = proxies.filter((p) => state(p)[0] === "off");
      keep(sick, rest, (p) => p.name, proxyRow, proxyUpdate);
      keep(others, out, (p) => p.name, proxyRow, proxyUpdate);
      othersFold.hidden = out.length === 0;
      say(othersTitle, `${out.length} other ${out.length === 1 ? "node" : "nodes"} on the network`);
      keep(well, fine, (p) => p.name, proxyRow, proxyUpdate);
      say(wellTitle, `${fine.length} live`);
      if (!fold.touched) fold.open = wide.matches || fine.length <= HEALTHY_SHOWN;
    }
    for (const heading of headings) {
      if (heading.dataset.by === sort.by) heading.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    const devices = sorted(house.devices);
    keep(body, devices, (d) => d.mac, deviceRow, deviceUpdate);
    empty.hidden = devices.length > 0;
    say(empty, sort.text ? "No device matches." : "Nothing was heard yet. Devices appear here as soon as one proxy hears them.");
  }

  wellTitle.addEventListener("click", () => { fold.touched = true; });
  const node = el("div", { class: "house" },
    el("h1", { class: "unseen" }, "House"), figures, todoSection,
    el("div", { class: "columns" },
      el("section", { class: "rail", "aria-labelledby": "rooms" }, el("h2", { id: "rooms" }, "Rooms and proxies"), sick, fold, othersFold),
      el("section", { class: "wide", "aria-labelledby": "devices" },
        el("div", { class: "heading" }, el("h2", { id: "devices" }, "Devices"), el("label", { class: "unseen", for: "find" }, "Find a device"), search),
        el("table", { class: "devices" }, el("thead", {}, el("tr", {}, headings)), body), empty)));
  return { title: "House", node, update };
}

// What the figures show, in few words: they are drawn anew only when it changes.
function summaryKey({ devices, status }) {
  const all = [...devices.values()];
  return [status.proxies.map((p) => [p.state, p.rate]), all.length, all.filter((d) => d.available).length, status.storage, age(status.uptime)];
}
