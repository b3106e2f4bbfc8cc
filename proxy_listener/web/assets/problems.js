// Problems that a person can solve, each with advice; the worst first.

import { el, mark, name, reconcile, setText } from "./dom.js";
import { age, BATTERY_LOW, linkTo, state } from "./labels.js";

const SHOWN = 6;

const KEY_WRONG = "Was it added to Mi Home again? Then its key changed: fetch the new one.";
const KEY_MISSING = "Add its bindkey to devices.toml; what came before is kept and opened then.";

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
    device.key === "wrong" && about("bad", "key", "its frames do not verify with the bindkey", KEY_WRONG),
    device.key === "missing" && about("warn", "key", "sends encrypted frames and has no bindkey", KEY_MISSING),
    battery <= BATTERY_LOW && about("warn", "battery", `battery at ${battery} %`, "Have a new cell ready."),
    !device.available && about("warn", "silence", silence(device), "Out of range, or its cell is empty."),
  ];
}

function found({ devices, status }) {
  const listed = [...devices.values()].filter((device) => device.listed);
  const all = [...ofStorage(status.storage), ...status.proxies.map(ofProxy), ...listed.flatMap(ofDevice)].filter(Boolean);
  return all.sort((a, b) => (a.kind === "bad" ? 0 : 1) - (b.kind === "bad" ? 0 : 1));
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
