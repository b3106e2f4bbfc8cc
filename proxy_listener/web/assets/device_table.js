// The table of devices: sortable by column, filtered by a word. Rows are updated in place.

import { ageOf, el, glow, mark, name, reconcile, setAge, setText } from "./dom.js";
import { BATTERY_LOW, byName, key, label, linkTo, order, short, shown, unit } from "./labels.js";

// Column: title, sort key (null: not sortable).
const COLUMNS = {
  name: ["Device", (device) => device.name],
  room: ["Room", (device) => device.room ?? "\uffff"],
  values: ["Latest", null],
  battery: ["Battery", (device) => device.values.battery?.value ?? 999],
  heard: ["Heard", (device) => -(device.since ?? 0)],
  key: ["Key", (device) => device.key],
};

// Quantities shown on the device's own page only.
const DETAILS = ["battery", "weighing", "stabilized", "mass_non_stabilized"];

function make(device) {
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { href: linkTo(device) }), el("small", {})),
    el("td", { class: "place" }), el("td", { class: "values" }), el("td", { class: "battery number" }),
    el("td", { class: "number" }, ageOf(null)), el("td", { class: "keys" }));
}

// [id, title, text, unit] of each value in the table, and of the last event.
function latest(device) {
  const values = Object.entries(device.values).filter(([quantity]) => !DETAILS.includes(quantity))
    .sort(([a], [b]) => order(a, b))
    .map(([quantity, { value }]) => [quantity, short(quantity), shown(quantity, value), unit(quantity, value)]);
  const { event } = device;
  return event ? [...values, ["event", label(event.event), label(event.type), ""]] : values;
}

const makeValue = () => el("span", { class: "value" }, el("small", {}), el("b", {}), el("i", {}));

function updateValue(node, [, title, text, measure]) {
  const [head, figure, measured] = node.children;
  if (figure.textContent !== "" && figure.textContent !== text) glow(node);
  setText(head, title);
  setText(figure, text);
  setText(measured, measure);
}

function update(row, device) {
  const [head, place, values, battery, heard, keys] = row.children;
  const [anchor, model] = head.children;
  if (anchor.textContent !== device.name) anchor.replaceChildren(name(device.name));
  setText(model, device.model);
  setText(place, device.room ?? "–");
  reconcile(values, latest(device), ([id]) => id, makeValue, updateValue);
  const charge = device.values.battery?.value;
  setText(battery, charge === undefined ? "–" : `${charge} %`);
  battery.classList.toggle("low", charge <= BATTERY_LOW);
  battery.classList.toggle("none", charge === undefined);
  setAge(heard.firstChild, device.since);
  heard.classList.toggle("gone", !device.available);
  const [kind, word] = key(device);
  if (keys.textContent !== word) keys.replaceChildren(mark(kind), el("span", {}, word));
}

function sorted(devices, { by, down, word }) {
  const [, value] = COLUMNS[by];
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    return (typeof x === "string" ? byName(x, y) : x - y) || byName(a.name, b.name) || byName(a.mac, b.mac);
  };
  const fits = (device) => `${device.name} ${device.room ?? ""} ${device.model} ${device.mac}`.toLowerCase().includes(word);
  const found = [...devices.values()].filter((device) => !word || fits(device));
  return found.sort(down ? (a, b) => compare(b, a) : compare);
}

const SORT = "proxy-listener sort";

// The column that was chosen last. A browser may refuse to store anything.
function lastSort() {
  try {
    const { by, down } = JSON.parse(localStorage.getItem(SORT)) ?? {};
    return COLUMNS[by]?.[1] ? { by, down: down === true } : {};
  } catch {
    return {};
  }
}

function keepSort({ by, down }) {
  try {
    localStorage.setItem(SORT, JSON.stringify({ by, down }));
  } catch (error) {
    console.debug(error);
  }
}

export function deviceTable() {
  const choice = { by: "room", down: false, word: "", ...lastSort() };
  let devices = new Map();
  const body = el("tbody");
  const empty = el("p", { class: "quiet", hidden: true });
  const heads = Object.entries(COLUMNS).map(([id, [title, value]]) =>
    el("th", { scope: "col", class: id, "data-by": id }, value ? el("button", { type: "button", click: () => pick(id) }, title) : title));
  const search = el("input", { type: "search", id: "find", placeholder: "name, room, model, MAC", autocomplete: "off", input: () => {
    choice.word = search.value.toLowerCase();
    draw();
  } });

  function pick(id) {
    choice.down = choice.by === id && !choice.down;
    choice.by = id;
    keepSort(choice);
    draw();
  }

  function draw() {
    for (const head of heads) {
      if (head.dataset.by === choice.by) head.setAttribute("aria-sort", choice.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const found = sorted(devices, choice);
    reconcile(body, found, (device) => device.mac, make, update);
    empty.hidden = found.length > 0;
    setText(empty, choice.word ? "No device matches." : "Nothing was heard yet. Devices appear here as soon as one proxy hears them.");
  }

  const title = el("div", { class: "heading" },
    el("h2", { id: "devices" }, "Devices"), el("label", { class: "unseen", for: "find" }, "Find a device"), search);
  const table = el("table", { class: "devices" }, el("thead", {}, el("tr", {}, heads)), body);
  return {
    node: el("section", { "aria-labelledby": "devices" }, title, table, empty),
    update(house) {
      devices = house.devices;
      draw();
    },
  };
}
