// Coverage: what would be lost without each proxy, which devices only one proxy hears, and which none hears.

import { get } from "./client.js";
import { changed, el, mark, name, replace, svg, table } from "./dom.js";
import { age, byName, grouped, percent } from "./labels.js";

const AGAIN = 60_000;

// A device depends on a proxy if at least this share of its frames would be lost without it.
const HANGS = 0.5;
const NAMED = 4;

const PROXY_HEADS = ["Room", "#Devices", "#Frames", "Lost without it", ""];
const DEVICE_HEADS = ["Device", "#Frames", "Heard by"];

const link = (mac, text) => el("a", { href: `#/device/${encodeURIComponent(mac)}` }, name(text));

const descending = (shares) => Object.entries(shares).sort((a, b) => b[1] - a[1] || byName(a[0], b[0]));
const total = (proxy) => Object.values(proxy.lost_without).reduce((sum, share) => sum + share, 0);

// [icon, word, explanation]
function verdict(proxy, judged) {
  if (!judged) return ["busy", "too early", ""];
  if (proxy.hears_nothing) return ["bad", "hears nothing", "Is it live, and in reach of anything?"];
  if (proxy.adds_nothing) return ["off", "adds nothing", "Others hear all that it hears."];
  const hanging = Object.values(proxy.lost_without).filter((share) => share >= HANGS).length;
  return hanging ? ["warn", `${hanging} ${hanging === 1 ? "hangs" : "hang"} on it`, ""] : ["good", "helps", ""];
}

function lost(proxy, names) {
  const all = descending(proxy.lost_without).filter(([, share]) => share >= 0.005);
  const shown = all.slice(0, NAMED).map(([mac, share]) =>
    el("span", { class: "share" }, link(mac, names.get(mac) ?? mac), " ", el("small", {}, percent(share))));
  return all.length > NAMED ? [...shown, el("small", {}, `and ${all.length - NAMED} more`)] : shown;
}

// A bar for what would be lost without a proxy, in percent of the largest.
function meter(size) {
  return svg("svg", { class: "meter", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "rest", width: 100, height: 4 }), svg("rect", { width: size.toFixed(1), height: 4 }));
}

function proxyRow(proxy, names, most, judged) {
  const [kind, word, advice] = verdict(proxy, judged);
  const size = most > 0 ? (total(proxy) / most) * 100 : 0;
  return el("tr", {},
    el("th", { scope: "row" }, name(proxy.room || proxy.proxy), el("small", {}, name(proxy.proxy))),
    el("td", { class: "number", "data-label": "devices" }, String(proxy.devices)),
    el("td", { class: "number", "data-label": "frames" }, grouped(proxy.frames)),
    el("td", { class: "lost" }, advice ? el("span", { class: "quiet" }, advice) : [meter(size), lost(proxy, names)]),
    el("td", { class: "verdict" }, mark(kind), " ", el("span", { class: kind === "bad" ? "word bad" : null }, word)));
}

function deviceRow(device) {
  const by = descending(device.shares);
  const shown = by.slice(0, NAMED).map(([proxy, share]) => el("span", { class: "share" }, name(proxy), " ", el("small", {}, percent(share))));
  const few = device.judged ? null : el("small", {}, "not judged");
  return el("tr", {}, el("th", { scope: "row" }, link(device.mac, device.name || device.mac), few),
    el("td", { class: "number", "data-label": "frames" }, grouped(device.frames)), el("td", { class: "lost" }, shown, by.length > NAMED ? el("small", {}, `and ${by.length - NAMED} more`) : null));
}

function figure(title, value, note, bad) {
  return el("div", { class: bad ? "figure bad" : "figure" },
    el("dt", {}, title), el("dd", {}, el("b", {}, value), " ", el("small", {}, note)));
}

function section(id, title, ...content) {
  return el("section", { "aria-labelledby": id }, el("h2", { id }, title), content);
}

// Devices that depend on one proxy: only one hears them, or the others hear less than half of their frames.
function hanging({ devices, proxies, judged }) {
  const found = new Set(devices.filter((device) => device.only !== null).map((device) => device.mac));
  for (const { lost_without } of proxies) {
    for (const [mac, share] of Object.entries(lost_without)) if (share >= HANGS) found.add(mac);
  }
  return devices.filter((device) => judged && device.judged && found.has(device.mac)).sort((a, b) => byName(a.name, b.name));
}

function drawn(report, devices) {
  const { hours, frames, judged, proxies, unheard } = report;
  const known = report.devices.filter((device) => device.judged);
  const names = new Map([...devices.values()].map((device) => [device.mac, device.name]));
  const alone = hanging(report);
  const deaf = proxies.filter((proxy) => proxy.hears_nothing);
  const spare = proxies.filter((proxy) => proxy.adds_nothing);
  const order = proxies.toSorted((a, b) => total(b) - total(a) || b.frames - a.frames || byName(a.room, b.room));
  const most = Math.max(0, ...proxies.map(total));
  return [
    el("dl", { class: "figures" },
      figure("Listened", age(hours * 3600), `${grouped(frames)} frames`, false),
      figure("Devices judged", known.length, `of ${report.devices.length}`, false),
      figure("Hang on one proxy", alone.length, "", false),
      figure("Heard by nobody", unheard.length, "", unheard.length > 0),
      figure("Proxies that hear nothing", deaf.length, `of ${proxies.length}`, deaf.length > 0),
      figure("Proxies that add nothing", spare.length, spare.length > 1 ? "each by itself" : "", false)),
    !judged && el("p", { class: "need" }, mark("busy"), " ", el("b", {}, "Too early to judge."), " A day of listening is needed, and a hundred frames of a device. Until then these are counts only."),
    unheard.length > 0 && section("unheard", "Heard by nobody",
      el("ul", { class: "names" }, unheard.map((mac) => el("li", {}, link(mac, names.get(mac) ?? mac)))),
      el("p", { class: "advice" }, "Out of reach of every proxy, or the cell is empty.")),
    section("without", "What each proxy carries",
      table("Carries", PROXY_HEADS, order.map((proxy) => proxyRow(proxy, names, most, judged)), "No proxy is known yet.")),
    section("alone", "Hang on one proxy",
      table("Alone", DEVICE_HEADS, alone.map(deviceRow), judged ? "None of those judged: whichever proxy fails, others hear their devices." : "Not judged yet.")),
    section("all", "Devices",
      table("Alone", DEVICE_HEADS, report.devices.map(deviceRow), "No device is known yet.")),
  ].filter(Boolean);
}

export function coverageView() {
  const place = el("div", {}, el("p", { class: "quiet" }, "Asking the service …"));
  const node = el("div", { class: "coverage" }, el("h1", {}, "Coverage"),
    el("p", { class: "lead" }, "Of the frames that any proxy heard: how many each one heard, and how many nobody else did."), place);
  let report = null;
  let devices = new Map();

  function draw() {
    const known = [...devices.values()].map((device) => [device.mac, device.name]);
    if (report && changed(place, report, known)) replace(place, ...drawn(report, devices));
  }

  async function ask() {
    try {
      report = await get("/coverage");
      draw();
    } catch (error) {
      if (!report) place.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  }

  const timer = setInterval(ask, AGAIN);
  ask();
  return {
    title: "Coverage", node, close: () => clearInterval(timer),
    update(house) {
      devices = house.devices;
      draw();
    },
  };
}
