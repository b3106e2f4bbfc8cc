// The API -> what is known of the house now: asked for once, then kept current by the live readings.

import { learnUnits } from "./words.js";

const STATUS_EVERY = 5_000;
const DEVICES_EVERY = 30_000;
const SOON = 500;

// `devices` by MAC, each with `since`, when it was last heard, and `event`, what happened last, with `at`, when that was.
export const house = { devices: new Map(), status: null };

export async function ask(path, options = {}) {
  const response = await fetch(path, options);
  if (response.status === 401) location.assign("/login");
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.message ?? `the service answered ${response.status}`);
  }
  return response;
}

export const get = async (path) => (await ask(path)).json();

function taken(device) {
  const since = device.heard_age === null ? null : Date.now() - device.heard_age * 1000;
  const told = device.event && { ...device.event, at: Date.parse(device.event.time) };
  const seen = house.devices.get(device.mac)?.event;
  return { ...device, since, event: seen && (!told || seen.at > told.at) ? seen : told };
}

async function askUnits() {
  learnUnits(await get("/quantities"));
}

let units = null;

async function askDevices() {
  await (units ??= askUnits().catch(() => { units = null; }));
  const devices = (await get("/devices")).map(taken);
  house.devices = new Map(devices.map((device) => [device.mac, device]));
}

async function askStatus() {
  house.status = await get("/status");
}

// A live reading moves its device; false where the device is not known yet. Late values and log entries move nothing.
function moved(reading) {
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

// Keeps the house current from now on. `changed` is called after each change, `tell(kind, words)` with how the line is.
export function follow(changed, tell) {
  let stream = null;
  let soon = 0;

  // One question of a kind at a time; what fails is told, and asked again when it is due.
  function every(period, question) {
    let asking = false;
    const once = async () => {
      if (asking || document.hidden) return;
      asking = true;
      try {
        await question();
        changed();
        if (stream?.readyState === EventSource.OPEN) tell("good", "live");
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

  const devicesAgain = every(DEVICES_EVERY, askDevices);
  every(STATUS_EVERY, askStatus);

  function again() {
    clearTimeout(soon);
    soon = setTimeout(devicesAgain, SOON);
  }

  function heard(event) {
    if (moved(JSON.parse(event.data))) changed();
    else again();
  }

  // A page that nobody looks at holds no stream: browsers open six connections to a host, whatever the number of tabs.
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
}
