// A curve -> SVG: the mean as a line, least to greatest as a band, gaps left empty.

import { el, svg } from "./dom.js";
import { flags, label, number, unit, when } from "./labels.js";

const HEIGHT = 168;
const FLAG_HEIGHT = 64;
const LEFT = 46;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
const LETTER = 6.5;

// A silence this many times longer than normal is a gap.
export const GAP = 3;

const HOUR = 3_600;
const DAY = 24 * HOUR;

// Range -> seconds, seconds between marks of the time axis (null: months), format of the marks.
export const RANGES = {
  day: [DAY, 4 * HOUR, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }],
  week: [7 * DAY, DAY, { weekday: "short", day: "numeric" }],
  month: [30 * DAY, 5 * DAY, { day: "numeric", month: "short" }],
  year: [365 * DAY, null, { month: "short" }],
};

// The marks of the value axis: round numbers, three to six steps that contain all values.
function scale(least, greatest) {
  const span = greatest - least || Math.abs(greatest) * 0.1 || 1;
  const raw = span / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const from = Math.floor(least / step) * step;
  const marks = [];
  for (let value = from; ; value += step) {
    marks.push(Number(value.toPrecision(12)));
    if (value >= greatest) break;
  }
  if (marks.length === 1) marks.push(marks[0] + step);
  return marks;
}

function times(since, until, range) {
  const [, step, format] = RANGES[range];
  const text = new Intl.DateTimeFormat(undefined, format);
  const marks = [];
  const at = new Date(since * 1000);
  if (step === null) at.setDate(1);
  at.setHours(0, 0, 0, 0);
  for (let k = 0; k < 60; k += 1) {
    const time = at.getTime() / 1000;
    if (time > until) break;
    if (time >= since) marks.push([time, text.format(at)]);
    if (step === null) at.setMonth(at.getMonth() + 1);
    else if (step >= DAY) at.setDate(at.getDate() + step / DAY);
    else at.setTime(at.getTime() + step * 1000);
  }
  return marks;
}

// The median time between points: a quantity that is sent once a day has no gap every night.
function pace(points) {
  const steps = points.slice(1).map((point, k) => point[0] - points[k][0]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}

// Splits points at gaps.
function runs(points, silence) {
  const found = [];
  let last = -Infinity;
  for (const point of points) {
    if (point[0] - last > silence) found.push([]);
    found.at(-1).push(point);
    last = point[0];
  }
  return found;
}

function extent(points) {
  let [least, greatest] = [Infinity, -Infinity];
  for (const [, low, , high] of points) {
    least = Math.min(least, low);
    greatest = Math.max(greatest, high);
  }
  return [least, greatest];
}

// The marks of the time axis whose texts do not overlap.
function apart(places, x, width) {
  let free = 0;
  return places.filter(([time, text]) => {
    const half = (text.length * LETTER) / 2;
    const fits = x(time) - half >= free && x(time) + half <= width;
    if (fits) free = x(time) + half + LETTER;
    return fits;
  });
}

function axes(marks, names, places, x, y, width, height) {
  const lines = marks.map((value, k) => [
    svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, names[k]),
  ]);
  const columns = apart(places, x, width).map(([time, text]) => [
    svg("line", { class: "grid", x1: x(time), x2: x(time), y1: height - BOTTOM, y2: height - BOTTOM + 4 }),
    svg("text", { class: "tick", x: x(time), y: height - 6, "text-anchor": "middle" }, text),
  ]);
  return [lines, columns];
}

function curve(run, x, y) {
  const at = (k) => (point) => `${x(point[0]).toFixed(1)} ${y(point[k]).toFixed(1)}`;
  if (run.length === 1) return [svg("circle", { class: "dot", cx: x(run[0][0]), cy: y(run[0][2]), r: 2.2 })];
  const band = `M${run.map(at(3)).join("L")}L${run.toReversed().map(at(1)).join("L")}Z`;
  return [svg("path", { class: "band", d: band }), svg("path", { class: "line", d: `M${run.map(at(2)).join("L")}` })];
}

// A flag: a bar while it is on, paler for a bucket that has both values. A flag holds until its next value.
function bars(points, until, x, height) {
  return points.map((point, k) => {
    const [from, to] = [x(point[0]), x(points[k + 1]?.[0] ?? until)];
    return svg("rect", { class: "bar", x: from.toFixed(1), width: Math.max(0.5, to - from).toFixed(1), y: TOP, height: height - TOP - BOTTOM, "fill-opacity": point[2].toFixed(2) });
  });
}

// The cursor: follows the pointer and the arrow keys, and shows the point below it.
function cursor(picture, points, x, y, width, height, showPoint) {
  const line = svg("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
  const dot = svg("circle", { class: "cursor", r: 3, visibility: "hidden" });
  let place = points.length - 1;
  const show = (index) => {
    place = Math.max(0, Math.min(points.length - 1, index));
    const point = points[place];
    for (const [key, value] of [["x1", x(point[0])], ["x2", x(point[0])], ["visibility", "visible"]]) line.setAttribute(key, value);
    for (const [key, value] of [["cx", x(point[0])], ["cy", y(point[2])], ["visibility", "visible"]]) dot.setAttribute(key, value);
    showPoint(point);
  };
  const hide = () => {
    line.setAttribute("visibility", "hidden");
    dot.setAttribute("visibility", "hidden");
    showPoint(null);
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const left = ((event.clientX - box.left) / box.width) * width;
    let best = 0;
    for (let k = 1; k < points.length; k += 1) if (Math.abs(x(points[k][0]) - left) < Math.abs(x(points[best][0]) - left)) best = k;
    show(best);
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(place + step);
  });
  return [line, dot];
}

// The plot of one quantity: title, readout, picture. `silence`: seconds without a value that are a gap.
export function plot(quantity, points, { since, until, range, silence, flag, width }) {
  const title = el("h3", {}, label(quantity), " ", el("small", {}, unit(quantity, 0)));
  if (points.length === 0) return el("figure", { class: "plot" }, title, el("p", { class: "quiet" }, `nothing within this ${range}`));
  const height = flag ? FLAG_HEIGHT : HEIGHT;
  const [least, greatest] = extent(points);
  const marks = flag ? [0, 1] : scale(least, greatest);
  const [bottom, top] = [marks[0], marks.at(-1)];
  const x = (time) => LEFT + ((time - since) / (until - since)) * (width - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (value - bottom) / (top - bottom)) * (height - TOP - BOTTOM);
  const text = (value) => (flag ? flags(quantity)[Math.round(value)] : `${number(value)} ${unit(quantity, 0)}`.trim());
  const whole = flag ? "" : `${text(least)} to ${text(greatest)}`;
  const readout = el("output", { class: "readout" }, whole);
  const showPoint = (point) => {
    if (point === null) readout.replaceChildren(whole);
    else readout.replaceChildren(el("b", {}, text(point[2])), ` ${when(point[0] * 1000)}`);
  };
  const summary = `${label(quantity)}, ${range}: ${whole || "on and off"}, last ${text(points.at(-1)[2])}`;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": summary });
  const drawn = flag ? bars(points, until, x, height) : runs(points, Math.max(silence, GAP * pace(points))).flatMap((run) => curve(run, x, y));
  picture.append(
    ...axes(marks, flag ? flags(quantity) : marks.map(number), times(since, until, range), x, y, width, height).flat(2),
    ...drawn,
    ...cursor(picture, points, x, y, width, height, showPoint),
  );
  return el("figure", { class: "plot" }, el("figcaption", {}, title, readout), picture);
}
