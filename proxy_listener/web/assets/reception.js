// "Who hears whom": a matrix of devices and proxies with the signal as colour and number.

import { changed, el, name, replace } from "./dom.js";
import { byName, dbm, linkTo, state, strength, STRENGTHS } from "./labels.js";

function legend() {
  return el("ul", { class: "legend" }, STRENGTHS.map(([least, word], k) =>
    el("li", {}, el("span", { class: `swatch s${k}` }), `${word}${k < STRENGTHS.length - 1 ? ` ≥ −${-least}` : ""}`)));
}

const byRoom = (a, b) => byName(a.room ?? "\uffff", b.room ?? "\uffff") || byName(a.name, b.name);

function head(proxy) {
  return el("th", { scope: "col", class: proxy.state === "live" ? null : "out" }, el("span", {}, name(proxy.room || proxy.name)));
}

function cell(heard, best) {
  if (!heard) return el("td", {});
  return el("td", { class: `s${strength(heard.rssi)}${heard === best ? " best" : ""}` }, dbm(heard.rssi));
}

function row(device, proxies) {
  const by = new Map(device.heard.map((heard) => [heard.proxy, heard]));
  const best = device.heard.reduce((one, other) => (one && one.rssi >= other.rssi ? one : other), null);
  const title = el("th", { scope: "row" }, el("div", {}, el("a", { href: linkTo(device) }, name(device.name)), el("small", {}, name(device.room ?? "–"))));
  return el("tr", {}, title, proxies.map((proxy) => cell(by.get(proxy.name), best)));
}

export function receptionView() {
  const place = el("div", { class: "matrix", tabindex: 0, role: "region", "aria-label": "Devices by proxies" });
  const node = el("div", { class: "map" }, el("h1", {}, "Who hears whom"),
    el("p", { class: "lead" }, "Signal in dBm, smoothed. The strongest of each device is outlined. An empty column is a room that hears nothing."), legend(), place);

  function update({ devices, status }) {
    if (!status) return;
    const proxies = status.proxies.filter((proxy) => state(proxy)[0] !== "off").sort(byRoom);
    const rows = [...devices.values()].sort(byRoom);
    const columns = proxies.map((proxy) => [proxy.name, proxy.room, proxy.state]);
    const cells = rows.map((device) => [device.mac, device.name, device.room, device.heard.map(({ proxy, rssi }) => [proxy, Math.round(rssi)])]);
    if (!changed(place, columns, cells)) return;
    const { scrollLeft, scrollTop } = place;
    replace(place, rows.length && proxies.length
      ? el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), proxies.map(head))), el("tbody", {}, rows.map((device) => row(device, proxies))))
      : el("p", { class: "quiet" }, "Nothing was heard yet."));
    place.scrollTo(scrollLeft, scrollTop);
  }
  return { title: "Who hears whom", node, update };
}
