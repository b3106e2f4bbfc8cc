// The API's client and the page's data: polled, and updated between polls by the stream of live readings.

import { learnUnits } from "./labels.js";

const STATUS_EVERY = 5_000;
const DEVICES_EVERY = 30_000;
const SOON = 500;

// `devices` by MAC. Each has `since`, the time it was last heard, and `event`, its last event, with the time `at`.
export const house = { devices: new Map(), status: null };

export async function request(path, options = {}) {
  const response = await fetch(path, options);
  if (response.status === 401) location.assign("/login");
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.message ?? `the service answered ${response.status}`);
  }
  return response;
}

export const get = async (path) => (await request(path)).json();

function withTimes(device) {
  const since = device.heard_age === null ? null : Date.now() - device.heard_age * 1000;
  const told = device.event && { ...device.event, at: Date.parse(device.event.time) };
  const seen = house.devices.get(device.mac)?.event;
  const readAt = device.read_age === null ? null : Date.now() - device.read_age * 1000;
  return { ...device, since, readAt, event: seen && (!told || seen.at > told.at) ? seen : told };
}

async function askUnits() {
  learnUnits(await get("/quantities"));
}

let units = null;

async function askDevices() {
  await (units ??= askUnits().catch(() => { units = null; }));
  const devices = (await get("/devices")).map(withTimes);
  house.devices = new Map(devices.map((device) => [device.mac, device]));
}

async function askStatus() {
  house.status = await get("/status");
}

// Applies a live reading to its device; false if the device is not known yet. Late values and log entries are ignored.
function applyReading(reading) {
  const device = house.devices.get(reading.mac);
  if (!device) return false;
  if (reading.source === "history") return true;
  device.since = Date.now();
  const happened = reading.events.filter((event) => !reading.late || event.fired).at(-1);
  if (happened) device.event = { ...happened, at: Date.parse(reading.time) };
  if (reading.late) return true;
  for (const [quantity, value] of Object.entries(reading.values)) {
    device.values[quantity] = { value, time: reading.time, age: 0 };
  }
  device.room = reading.room;
  device.available = true;
  device.readings += 1;
  return true;
}

// Keeps `house` current. Calls `changed` after each change, and `showStatus(kind, words)` with the connection's state.
export function startUpdates(changed, showStatus) {
  let stream = null;
  let soon = 0;

  // Runs a query periodically, never twice at a time. An error is shown, and the next period tries again.
  function every(period, question) {
    let asking = false;
    const once = async () => {
      if (asking || document.hidden) return;
      asking = true;
      try {
        await question();
        changed();
        if (stream?.readyState === EventSource.OPEN) showStatus("good", "live");
      } catch (error) {
        showStatus("bad", navigator.onLine ? "the service does not answer" : "offline");
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

  const devicesAgain = every(DEVICES_EVERY, askDevices);
  every(STATUS_EVERY, askStatus);

  function again() {
    clearTimeout(soon);
    soon = setTimeout(devicesAgain, SOON);
  }

  function heard(event) {
    if (applyReading(JSON.parse(event.data))) changed();
    else again();
  }

  // A hidden page closes its stream: a browser opens at most six connections to a host for all of its tabs.
  function listen() {
    stream?.close();
    if (document.hidden) return;
    stream = new EventSource("/events");
    stream.addEventListener("open", () => showStatus("good", "live"));
    stream.addEventListener("error", () => showStatus("bad", "reconnecting"));
    stream.addEventListener("reading", heard);
    stream.addEventListener("unstored", heard);
    stream.addEventListener("gap", again);
  }

  document.addEventListener("visibilitychange", listen);
  listen();
}
