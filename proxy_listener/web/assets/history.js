// The history of a device: a plot of each quantity over the chosen range, and its events.

import { get, house } from "./client.js";
import { el, replace, table } from "./dom.js";
import { exactly, label, order } from "./labels.js";
import { GAP, plot, RANGES } from "./plot.js";

// Events that are shown at first, and how many times more with each press of the button; the API gives at most 10,000.
const EVENTS = 50;
const MORE = 4;
const MOST = 10_000;
const DAY = 86_400;
const HOUR = 3_600;
const QUARTER = 900;

function eventRows(readings) {
  return readings.toReversed().flatMap((reading) => reading.events.map(({ event, type, fired, ...more }) => el("tr", {},
    el("th", { scope: "row", class: "plain" }, exactly(Date.parse(reading.time))), el("td", {}, label(event)), el("td", {}, label(type)),
    el("td", {}, Object.entries(more).map(([k, v]) => `${label(k)} ${v}`).join(", ")))));
}

// Seconds without a value that are drawn as a gap: longer than is normal for the model, and than one bucket. The log of
// a device that is read has one entry an hour, whatever came by itself before and after.
function silence(device, width) {
  const usual = device?.sleepy ? DAY : Math.max(device?.interval ?? QUARTER, device?.readable ? HOUR : 0);
  return GAP * Math.max(width, usual);
}

export function historyPanel(mac, first) {
  let range = RANGES[first] ? first : "day";
  let asked = 0;
  let most = EVENTS;
  let last = null;
  const curves = el("div", { class: "plots" });
  const events = el("div");
  const tabs = Object.keys(RANGES).map((each) => el("a", { href: `#/device/${mac}/${each}`, "data-range": each }, each));
  const node = el("section", { "aria-labelledby": "past" },
    el("div", { class: "heading" }, el("h2", { id: "past" }, "Past"), el("nav", { class: "tabs", "aria-label": "Range" }, tabs)),
    curves, events);

  // Also called when the device becomes known after its curves: a flag is drawn differently.
  function draw() {
    if (last === null) return;
    const { since, until, width, series, pixels, range } = last;
    const device = house.devices.get(mac);
    const plots = Object.keys(series).sort(order).map((quantity) => plot(quantity, series[quantity], {
      since, until, range, silence: silence(device, width), width: pixels,
      flag: typeof device?.values[quantity]?.value === "boolean",
    }));
    replace(curves, ...(plots.length ? plots : [el("p", { class: "quiet" }, device?.cause ? "Nothing yet: what it sends cannot be read without its bindkey." : "It has no quantity that could be drawn.")]));
  }

  function moreEvents() {
    return el("p", { class: "read" }, el("button", { type: "button", click: () => {
      most = Math.min(MOST, most * MORE);
      update();
    } }, "Earlier events"));
  }

  async function update() {
    const mine = (asked += 1);
    for (const tab of tabs) {
      if (tab.dataset.range === range) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
    const until = Math.floor(Date.now() / 1000);
    const span = `since=${until - RANGES[range][0]}&until=${until}`;
    const pixels = Math.max(300, Math.min(620, curves.clientWidth || 620));
    try {
      const [series, happened] = await Promise.all([
        get(`/devices/${mac}/series?${span}&points=${Math.round(pixels / 1.5)}`),
        get(`/devices/${mac}/readings?${span}&limit=${most}&events=true`),
      ]);
      if (mine !== asked) return;
      last = { ...series, pixels, range };
      draw();
      replace(events, ...(happened.length ? [el("h3", {}, "Events"), table("Events", ["When", "Event", "Type", ""], eventRows(happened), ""), happened.length === most && most < MOST && moreEvents()].filter(Boolean) : []));
    } catch (error) {
      curves.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  }

  function pick(next) {
    range = RANGES[next] ? next : "day";
    update();
  }
  return { node, update, pick, draw };
}
