// Problems that a person can solve, each with advice; the worst first.

import { el, mark, name, reconcile, setText } from "./dom.js";
import { age, BATTERY_LOW, keptFrames, linkTo, state } from "./labels.js";

const SHOWN = 6;

// Devices without an entry that are named one by one. A neighbour may have many.
const NAMED = 2;

function ofStorage({ ok, error, alarm }) {
  const about = (kind, text, advice) => ({ kind, id: text, subject: "History", text, advice });
  return [
    !ok && about("bad", `cannot be stored: ${error ?? ""}`, "Readings wait in memory. Free space on the disk, or mend it."),
    alarm && about("warn", alarm, ""),
  ];
}

function ofProxy(proxy) {
  const [kind, word] = state(proxy);
  const { name: id, room, cause, advice } = proxy;
  return kind === "bad" && { kind, id: `proxy ${id}`, subject: room || id, text: cause || word, advice };
}

function silence(device) {
  return device.since === null ? "not heard since the start" : `not heard for ${age((Date.now() - device.since) / 1000)}`;
}

function ofDevice(device) {
  const battery = device.values.battery?.value;
  const about = (kind, what, text, advice) => ({
    kind, id: `${what} ${device.mac}`, subject: device.name, text, advice, href: linkTo(device),
  });
  return [
    device.cause && about(device.key === "wrong" ? "bad" : "warn", "key", `${device.cause}${keptFrames(device)}`, device.advice),
    battery <= BATTERY_LOW && about("warn", "battery", `battery at ${battery} %`, "Have a new cell ready."),
    !device.available && about("warn", "silence", silence(device), "Out of range, or its cell is empty."),
  ];
}

// Devices without an entry need a bindkey only if they are the reader's own, so they come last and take few lines.
function ofUnlisted(devices) {
  const found = devices.filter((device) => device.key === "missing");
  const rows = found.slice(0, NAMED).map((device) => ({
    kind: "off", id: `key ${device.mac}`, subject: device.name, text: `${device.cause}${keptFrames(device)}`, advice: device.advice, href: linkTo(device),
  }));
  const more = found.length - NAMED;
  return more > 0
    ? [...rows, { kind: "off", id: "keys", subject: `${more} more devices without an entry`, text: "send encrypted frames and have no bindkey", advice: "The table of devices has them: key missing." }]
    : rows;
}

function ofAdmissions({ full, newcomers }) {
  return full && {
    kind: "warn", id: "admissions", subject: "New devices", text: `too many at once: ${newcomers} are not admitted`,
    advice: "Somebody may be inventing addresses. Admit yours below the table of devices, or give it an entry in devices.toml.",
  };
}

function ofCalls(port) {
  return port?.error && {
    kind: "bad", id: "calls", subject: "Calls of nodes", text: `${port.listen} cannot be opened: ${port.error}`,
    advice: "End the program that has this port, or change [discovery] dial_in and the nodes' YAML.",
  };
}

const RANKS = ["bad", "warn", "off"];

function found({ devices, status }) {
  const all = [...devices.values()];
  const listed = all.filter((device) => device.listed).flatMap(ofDevice);
  const unlisted = ofUnlisted(all.filter((device) => !device.listed));
  const rows = [...ofStorage(status.storage), ...status.proxies.map(ofProxy), ofAdmissions(status.admissions), ofCalls(status.dial_in), ...listed, ...unlisted];
  return rows.filter(Boolean).sort((a, b) => RANKS.indexOf(a.kind) - RANKS.indexOf(b.kind));
}

function row({ kind, subject, href }) {
  const head = el(href ? "a" : "b", { href }, name(subject));
  return el("li", {}, mark(kind), el("p", {}, head, " ", el("span", {})), el("p", { class: "advice" }));
}

function update(node, { text, advice }) {
  const [, line, help] = node.children;
  setText(line.lastChild, text);
  setText(help, advice);
}

export function problems() {
  const first = el("ul", { class: "troubles" });
  const rest = el("ul", { class: "troubles" });
  const title = el("summary", {});
  const fold = el("details", {}, title, rest);
  const node = el("section", { "aria-labelledby": "needs", hidden: true }, el("h2", { id: "needs" }, "Needs you"), first, fold);
  return {
    node,
    update(house) {
      const all = found(house);
      node.hidden = all.length === 0;
      reconcile(first, all.slice(0, SHOWN), (one) => one.id, row, update);
      reconcile(rest, all.slice(SHOWN), (one) => one.id, row, update);
      fold.hidden = all.length <= SHOWN;
      setText(title, `${all.length - SHOWN} more`);
    },
  };
}
