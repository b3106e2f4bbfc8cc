// One device: what it says now and said before, who hears it, how it would be read, and reading it.

import { ageOf, ask, house } from "./app.js";
import { el, keep, mark, name, say } from "./dom.js";
import { GAP, plot, RANGES } from "./plot.js";
import { age, dbm, key, label, order, shown, TRUST, unit, when } from "./words.js";

const CURVES_EVERY = 60_000;
const ROUTES_EVERY = 15_000;

function fact(title, ...value) {
  return el("div", {}, el("dt", {}, title), el("dd", {}, ...value));
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
    fact("Speaks", device.sleepy ? "when something happens" : `at least every ${age(device.interval)}`),
    fact("Readings", String(device.readings)),
  ];
}

function valueNode(quantity) {
  return el("div", { class: "big" }, el("dt", {}, label(quantity)), el("dd", {}, el("b", {}), " ", el("i", {})), el("dd", { class: "quiet" }, ageOf(null)));
}

function valueUpdate(node, [quantity, { value, time }]) {
  const [, reading, since] = node.children;
  say(reading.children[0], shown(quantity, value));
  say(reading.children[1], unit(quantity, value));
  since.firstChild.since = Date.parse(time);
}

// Headings of columns of numbers begin with "#".
function table(caption, heads, rows, none) {
  if (rows.length === 0) return el("p", { class: "quiet" }, none);
  const head = el("tr", {}, heads.map((text) => el("th", { scope: "col", class: text.startsWith("#") ? "number" : null }, text.replace("#", ""))));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: caption.toLowerCase() }, el("thead", {}, head), el("tbody", {}, rows)));
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

function eventRows(readings) {
  return readings.toReversed().flatMap((reading) => reading.events.map(({ event, type, ...more }) => el("tr", {},
    el("th", { scope: "row", class: "plain" }, when(Date.parse(reading.time))), el("td", {}, label(event)), el("td", {}, label(type)),
    el("td", {}, Object.entries(more).map(([k, v]) => `${label(k)} ${v}`).join(", ")))));
}

// Lines of JSON as they come.
async function* lines(response) {
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

function readPanel(mac, after) {
  const buttons = [["Read now", false], ["Read with its log", true]].map(([text, history]) =>
    el("button", { type: "button", click: () => read(history) }, text));
  const progress = el("progress", { hidden: true, "aria-label": "Progress of the read" });
  const step = el("p", { class: "step", role: "status" });
  const tried = el("ul", { class: "tried" });

  function show({ step: text, proxy, done, total }) {
    say(step, `${text}${proxy ? ` · ${proxy}` : ""}${total ? ` · ${done} of ${total}` : ""}`);
    if (total) {
      progress.max = total;
      progress.value = done;
    } else progress.removeAttribute("value");
  }

  function end({ ok, detail, attempts, firmware, log }) {
    step.replaceChildren(mark(ok ? "good" : "bad"), " ", detail,
      firmware ? ` Firmware ${firmware}.` : "",
      log ? ` Log: ${log.stored} new of ${log.count} entries${log.complete ? "" : ", not all of them yet"}.` : "");
    tried.replaceChildren(...attempts.map((attempt) => el("li", {}, mark(attempt.ok ? "good" : "bad"), " ", name(attempt.proxy), `: ${attempt.detail}`)));
  }

  async function read(history) {
    buttons.forEach((button) => { button.disabled = true; });
    tried.replaceChildren();
    progress.hidden = false;
    say(step, "asking for a route");
    try {
      const response = await ask(`/devices/${mac}/read`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ history }),
      });
      for await (const line of lines(response)) {
        if (line.progress) show(line.progress);
        if (line.result) end(line.result);
      }
      after();
    } catch (error) {
      end({ ok: false, detail: error.message, attempts: [] });
    } finally {
      progress.hidden = true;
      buttons.forEach((button) => { button.disabled = false; });
    }
  }
  return el("div", { class: "read" }, el("p", {}, buttons), progress, step, tried);
}

export function deviceView(mac, first) {
  let range = RANGES[first] ? first : "day";
  let asked = 0;
  const heading = el("h1", {}, mac);
  const list = el("dl", { class: "facts" });
  const values = el("dl", { class: "bigs" });
  const curves = el("div", { class: "plots" });
  const hears = el("div");
  const routes = el("div");
  const events = el("div");
  const reading = el("section", { "aria-labelledby": "read", hidden: true }, el("h2", { id: "read" }, "Read it"));
  const tabs = Object.keys(RANGES).map((each) => el("a", { href: `#/device/${mac}/${each}`, "data-range": each }, each));
  const node = el("article", { class: "device" },
    el("p", { class: "back" }, el("a", { href: "#/" }, "← House")), heading, values, list,
    el("section", { "aria-labelledby": "past" },
      el("div", { class: "heading" }, el("h2", { id: "past" }, "Past"), el("nav", { class: "tabs", "aria-label": "Range" }, tabs)), curves, events),
    reading,
    el("section", { "aria-labelledby": "hears" }, el("h2", { id: "hears" }, "Heard by"), hears),
    el("section", { "aria-labelledby": "routes" }, el("h2", { id: "routes" }, "Routes for a read"), routes));

  async function draw() {
    const mine = (asked += 1);
    for (const tab of tabs) {
      if (tab.dataset.range === range) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
    const until = Math.floor(Date.now() / 1000);
    const since = until - RANGES[range][0];
    const width = Math.max(300, Math.min(620, curves.clientWidth || 620));
    try {
      const [series, happened] = await Promise.all([
        ask(`/devices/${mac}/series?since=${since}&until=${until}&points=${Math.round(width / 1.5)}`).then((r) => r.json()),
        ask(`/devices/${mac}/readings?since=${since}&until=${until}&limit=30&events=true`).then((r) => r.json()),
      ]);
      if (mine !== asked) return;
      const device = house.devices.get(mac);
      const silence = Math.max(GAP * series.width, GAP * (device?.sleepy ? 86_400 : (device?.interval ?? 900)));
      curves.replaceChildren(...Object.keys(series.series).sort(order).map((quantity) => plot(quantity, series.series[quantity], {
        since, until, range, silence, width, flag: typeof device?.values[quantity]?.value === "boolean",
      })));
      if (!curves.firstChild) curves.append(el("p", { class: "quiet" }, "It has no quantity that could be drawn."));
      events.replaceChildren(...(happened.length ? [el("h3", {}, "Events"), table("Events", ["When", "Event", "Type", ""], eventRows(happened), "")] : []));
    } catch (error) {
      curves.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  }

  async function askRoutes() {
    try {
      const found = await (await ask(`/devices/${mac}/routes`)).json();
      routes.replaceChildren(table("Routes", ["Proxy", "", "#dBm", "#Heard", "#Slots", "#Failures", "Why"], found.map(routeRow), "No proxy could read it."));
    } catch (error) {
      routes.replaceChildren(el("p", { class: "quiet" }, error.message));
    }
  }

  function update({ devices, status }) {
    const device = devices.get(mac);
    if (!device) {
      if (status && devices.size) list.replaceChildren(el("p", { class: "quiet" }, "No device has this MAC."));
      return;
    }
    if (heading.textContent !== device.name) {
      heading.replaceChildren(name(device.name));
      document.title = `${device.name} · proxy_listener`;
    }
    const signature = JSON.stringify([device.room, device.key, device.trust, device.available, device.readings]);
    if (list.signature !== signature) list.replaceChildren(...facts(device).filter(Boolean));
    list.signature = signature;
    const entries = Object.entries(device.values).sort(([a], [b]) => order(a, b));
    keep(values, entries, ([quantity]) => quantity, ([quantity]) => valueNode(quantity), valueUpdate);
    const heard = device.heard.toSorted((a, b) => b.rssi - a.rssi);
    if (hears.shown !== (hears.shown = JSON.stringify(heard))) hears.replaceChildren(table("Hearing", ["Proxy", "#dBm", "#Last", "#Share"], heard.map(heardRow), "No proxy hears it now."));
    if (device.readable && reading.hidden) {
      reading.hidden = false;
      reading.append(device.listed ? readPanel(mac, draw) : el("p", {}, "Add an entry for it to devices.toml to read its battery and its log."));
    }
  }

  const timers = [setInterval(draw, CURVES_EVERY), setInterval(askRoutes, ROUTES_EVERY)];
  queueMicrotask(draw);
  askRoutes();
  return {
    title: mac, node, update,
    range(next) {
      range = RANGES[next] ? next : "day";
      draw();
    },
    close: () => timers.forEach(clearInterval),
  };
}
