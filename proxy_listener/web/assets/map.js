// Who hears whom: devices by proxies, how well as a colour and as a number.

import { el, name } from "./dom.js";
import { byName, dbm, STRENGTHS, strength } from "./words.js";

function legend() {
  return el("ul", { class: "legend" }, STRENGTHS.map(([least, word], k) =>
    el("li", {}, el("span", { class: `swatch s${k}` }), `${word}${k < STRENGTHS.length - 1 ? ` ≥ −${-least}` : ""}`)));
}

function cell(heard, best) {
  if (!heard) return el("td", {});
  return el("td", { class: `s${strength(heard.rssi)}${heard === best ? " best" : ""}` }, dbm(heard.rssi));
}

function row(device, proxies) {
  const by = new Map(device.heard.map((heard) => [heard.proxy, heard]));
  const best = device.heard.reduce((one, other) => (one && one.rssi >= other.rssi ? one : other), null);
  const head = el("th", { scope: "row" }, el("div", {}, el("a", { href: `#/device/${device.mac}` }, name(device.name)), el("small", {}, name(device.room ?? "–"))));
  return el("tr", {}, head, proxies.map((proxy) => cell(by.get(proxy.name), best)));
}

export function mapView() {
  const place = el("div", { class: "matrix", tabindex: 0, role: "region", "aria-label": "Devices by proxies" });
  const node = el("div", { class: "map" }, el("h1", {}, "Who hears whom"),
    el("p", { class: "lead" }, "Signal in dBm, smoothed. The strongest of each device is outlined. An empty column is a room that hears nothing."), legend(), place);
  let signature = "";

  function update({ devices, status }) {
    if (!status) return;
    const proxies = status.proxies.filter((p) => p.state !== "not_a_proxy" && p.state !== "not_accepted")
      .toSorted((a, b) => byName(a.room, b.room) || byName(a.name, b.name));
    const rows = [...devices.values()].toSorted((a, b) => byName(a.room ?? "\uffff", b.room ?? "\uffff") || byName(a.name, b.name));
    const now = JSON.stringify([proxies.map((p) => [p.name, p.room, p.state]), rows.map((d) => [d.mac, d.name, d.room, d.heard.map((h) => [h.proxy, Math.round(h.rssi)])])]);
    if (now === signature) return;
    signature = now;
    const heads = proxies.map((p) => el("th", { scope: "col", class: p.state === "live" ? null : "out" }, el("span", {}, name(p.room || p.name))));
    const { scrollLeft, scrollTop } = place;
    place.replaceChildren(rows.length && proxies.length
      ? el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), heads)), el("tbody", {}, rows.map((device) => row(device, proxies))))
      : el("p", { class: "quiet" }, "Nothing was heard yet."));
    place.scrollTo(scrollLeft, scrollTop);
  }
  return { title: "Who hears whom", node, update };
}
