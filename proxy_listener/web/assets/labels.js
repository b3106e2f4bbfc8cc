// API values -> text on the page: units, states, ages, numbers.

// Quantity -> unit, from the service.
const UNITS = new Map();

export function learnUnits(units) {
  for (const [quantity, unit] of Object.entries(units)) UNITS.set(quantity, unit);
}

const SHORT = { temperature: "temp", illuminance: "light", mass_non_stabilized: "unsteady" };

const FLAGS = {
  opening: ["closed", "open"], door: ["closed", "open"], lock: ["locked", "unlocked"], motion: ["still", "motion"],
  occupancy: ["free", "occupied"], moisture: ["dry", "wet"], smoke: ["clear", "smoke"], gas: ["clear", "gas"],
  light: ["dark", "light"], battery_low: ["fine", "low"], asleep: ["awake", "asleep"],
  fault: ["none", "fault"], antilock: ["on", "off"], childlock: ["on", "off"],
  square_bolt: ["out", "in"], dull_bolt: ["out", "in"], latch: ["out", "in"],
};

// Quantities that are listed first, in this order.
const ORDER = ["temperature", "humidity", "moisture", "conductivity", "illuminance", "mass", "opening", "motion"];

export const STATES = {
  connecting: ["busy", "connecting"], live: ["good", "live"], silent: ["bad", "silent"],
  held: ["bad", "held by another client"], taken: ["bad", "taken by another client"], wrong_key: ["bad", "wrong key"],
  needs_key: ["bad", "needs a key"], wrong_password: ["bad", "wrong password"],
  not_encrypted: ["bad", "not encrypted"], not_a_proxy: ["off", "not a proxy"],
  no_raw_stream: ["bad", "firmware too old"], wrong_node: ["bad", "another node answers"], full: ["bad", "full"],
  unreachable: ["bad", "unreachable"], wedged: ["bad", "scanner stuck"], benched: ["bad", "benched"],
  not_accepted: ["off", "not accepted"], incompatible: ["bad", "incompatible"],
};

export const KEYS = {
  not_needed: ["off", "none needed"], missing: ["bad", "key missing"], waiting: ["busy", "key waits"],
  verified: ["good", "verified"], wrong: ["bad", "wrong key"],
};

export const TRUST = {
  authenticated: "authenticated: its key verified the frame",
  encrypted: "encrypted, old scheme: unreadable to others, not proof against forgery",
  claimed: "claimed: plain frames, which anybody nearby can send",
};

// Percent at which a battery is shown as low.
export const BATTERY_LOW = 15;

export const linkTo = (device) => `#/device/${encodeURIComponent(device.mac)}`;

// Natural order of names: Attic 2 before Attic 10.
export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

export const state = (proxy) => STATES[proxy.state] ?? ["bad", proxy.state];
export const key = (device) => KEYS[device.key] ?? ["bad", device.key];

export const label = (quantity) => quantity.replaceAll("_", " ");
export const short = (quantity) => SHORT[quantity] ?? label(quantity);
export const unit = (quantity, value) => (typeof value === "number" ? (UNITS.get(quantity) ?? UNITS.get(quantity.replace(/_\d+$/, "")) ?? "") : "");
export const flags = (quantity) => FLAGS[quantity] ?? ["off", "on"];

export function order(a, b) {
  const place = (name) => (ORDER.indexOf(name) + ORDER.length + 1) % (ORDER.length + 1);
  return place(a) - place(b) || byName(a, b);
}

const plainly = new Intl.NumberFormat("en", { maximumSignificantDigits: 6, useGrouping: false });
const thousands = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const grouped = (value) => thousands.format(value).replaceAll(",", "\u202f");
export const percent = (share) => `${share < 0.995 ? Math.min(99, Math.max(1, Math.round(share * 100))) : 100}\u00a0%`;

export function number(value) {
  const text = Math.abs(value) < 1e4 ? plainly.format(value) : grouped(value);
  return text.replace("-", "−");
}

export function shown(quantity, value) {
  if (typeof value === "boolean") return flags(quantity)[Number(value)];
  return typeof value === "number" ? number(value) : String(value);
}

export const dbm = (rssi) => (rssi === null ? "–" : `−${Math.abs(Math.round(rssi))}`);

export function age(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "never";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
export const when = (time) => moment.format(time);

const second = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const exactly = (time) => second.format(time);

// Of a device that waits for its bindkey: how many frames, since when.
export const keptFrames = ({ kept }) =>
  (kept ? `; ${kept.frames} ${kept.frames === 1 ? "frame is" : "frames are"} kept since ${when(Date.parse(kept.since))}` : "");

// Signal strengths: lowest dBm, word.
export const STRENGTHS = [[-60, "strong"], [-70, "good"], [-80, "fair"], [-90, "weak"], [-200, "faint"]];
export const strength = (rssi) => STRENGTHS.findIndex(([least]) => rssi >= least);
