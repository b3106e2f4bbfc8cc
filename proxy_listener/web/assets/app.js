// The house as the API tells it -> the view that the address names; live readings keep it current.

import { el, say } from "./dom.js";
import { deviceView } from "./device.js";
import { houseView } from "./house.js";
import { mapView } from "./map.js";
import { age } from "./words.js";

const PROXIES_EVERY = 5_000;
const DEVICES_EVERY = 30_000;

export const house = { devices: new Map(), status: null };

const main = document.getElementById("view");
const live = document.getElementById("live");
let view = null;
let due = false;
let wanted = null;

export async function ask(path, options = {}) {
  const response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  if (response.status === 401) location.assign("/login");
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.message ?? `the service answered ${response.status}`);
  }
  return response;
}

const get = async (path) => (await ask(path)).json();

// All that changed since the last picture is drawn in the next one.
function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    view?.update(house);
  });
}

function take(device) {
  const heard = device.heard_age === null ? null : Date.now() - device.heard_age * 1000;
  return { ...device, since: heard, happened: house.devices.get(device.mac)?.happened };
}

async function askDevices() {
  const devices = (await get("/devices")).map(take);
  house.devices = new Map(devices.map((device) => [device.mac, device]));
  redraw();
}

async function askStatus() {
  house.status = await get("/status");
  redraw();
}

// One question of a kind at a time; a failure is shown and asked again, never thrown away silently.
function every(period, question) {
  let asking = false;
  const once = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      await question();
      if (stream.readyState === EventSource.OPEN) tell("good", "live");
    } catch (error) {
      tell("bad", navigator.onLine ? "the service does not answer" : "offline");
      console.debug(error);
    } finally {
      asking = false;
    }
  };
  setInterval(once, period);
  document.addEventListener("visibilitychange", once);
  once();
  return once;
}

function tell(kind, text) {
  live.className = `live ${kind}`;
  say(live, text);
}

function heard(event) {
  const reading = JSON.parse(event.data);
  const device = house.devices.get(reading.mac);
  if (!device) {
    again();
    return;
  }
  if (reading.source === "history") return;
  device.since = Date.now();
  device.happened = reading.events.at(-1) ?? device.happened;
  if (!reading.late) {
    for (const [quantity, value] of Object.entries(reading.values)) {
      device.values[quantity] = { value, time: reading.time, age: 0 };
    }
    device.room = reading.room;
    device.available = true;
    device.readings += 1;
  }
  redraw();
}

let soon = 0;
function again() {
  clearTimeout(soon);
  soon = setTimeout(askAgain, 500);
}

function route() {
  const [, first = "", mac = "", range = "day"] = location.hash.split("/");
  const place = `${first}/${mac}`;
  if (wanted === place && view?.range) {
    view.range(range);
    return;
  }
  const moved = wanted !== null;
  wanted = place;
  view?.close?.();
  const address = decodeURIComponent(mac);
  if (first === "device") view = deviceView(address, range);
  else view = first === "map" ? mapView() : houseView();
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === (first || "house")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(view.node);
  document.title = `${view.title} · proxy_listener`;
  if (moved) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  view.update(house);
}

// Ages run on between answers. What shows one has the time it counts from as its property `since`.
function tick() {
  for (const node of document.getElementsByClassName("age")) {
    if (node.since !== undefined) say(node, node.since === null ? "never" : age((Date.now() - node.since) / 1000));
  }
}

export function ageOf(since) {
  const node = el("span", { class: "age" });
  node.since = since;
  say(node, since === null ? "never" : age((Date.now() - since) / 1000));
  return node;
}

// A page that nobody looks at holds no stream: browsers open six connections to a host, whatever the number of tabs.
let stream = null;
function listen() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource("/events");
  stream.addEventListener("open", () => tell("good", "live"));
  stream.addEventListener("error", () => tell("bad", "reconnecting"));
  stream.addEventListener("reading", heard);
  stream.addEventListener("unstored", heard);
  stream.addEventListener("gap", again);
}

document.addEventListener("visibilitychange", listen);
listen();

tell("busy", "connecting");
const askAgain = every(DEVICES_EVERY, askDevices);
every(PROXIES_EVERY, askStatus);
setInterval(tick, 1_000);
addEventListener("hashchange", route);
route();
