// Values -> elements. Text becomes text nodes and is never parsed as markup.

import { age } from "./labels.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) {
    if (child !== undefined && child !== null && child !== false) node.append(child);
  }
  return node;
}

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// A name from outside, isolated so that its writing direction does not affect the text around it.
export function name(text) {
  return el("bdi", {}, text);
}

// Sets text only if it differs: every change causes layout, and screen readers may announce it.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Whether the data that a node is drawn from changed since the last call.
export function changed(node, ...from) {
  const now = JSON.stringify(from);
  const other = node.from !== now;
  node.from = now;
  return other;
}

// Makes the children of a container match items by key: new ones are made, all are updated, and a child is moved only if
// the order changed, because moving it would take its focus away.
export function reconcile(container, items, key, make, update) {
  const kept = (container.kept ??= new Map());
  const wanted = new Map(items.map((item) => [key(item), item]));
  for (const [id, node] of kept) {
    if (wanted.has(id)) continue;
    node.remove();
    kept.delete(id);
  }
  let before = container.firstChild;
  for (const [id, item] of wanted) {
    let node = kept.get(id);
    if (!node) kept.set(id, (node = make(item)));
    update(node, item);
    if (node === before) before = before.nextSibling;
    else container.insertBefore(node, before);
  }
}

// Replaces the children of a container. If one had the focus, the new one in its place gets it.
export function replace(container, ...children) {
  const stops = () => [...container.querySelectorAll("a[href], button, [tabindex]")];
  const place = stops().indexOf(document.activeElement);
  container.replaceChildren(...children);
  if (place >= 0) stops()[place]?.focus({ preventScroll: true });
}

const running = (since) => (since === null ? "never" : age((Date.now() - since) / 1000));

// An age that `tick` keeps current. `since`: when it began, null for never.
export function ageOf(since) {
  const node = el("span", { class: "age" });
  setAge(node, since);
  return node;
}

export function setAge(node, since) {
  node.since = since;
  setText(node, running(since));
}

export function tick() {
  for (const node of document.querySelectorAll("span.age")) setText(node, running(node.since));
}

// Highlights a changed node for a moment.
export function glow(node) {
  node.classList.remove("fresh");
  requestAnimationFrame(() => node.classList.add("fresh"));
}

const MARKS = {
  good: () => svg("circle", { cx: 5, cy: 5, r: 4 }),
  busy: () => svg("circle", { cx: 5, cy: 5, r: 3.2, class: "hollow" }),
  bad: () => svg("path", { d: "M5 .6 9.8 9.4H.2z" }),
  warn: () => svg("path", { d: "M5 .4 9.6 5 5 9.6 .4 5z" }),
  off: () => svg("path", { d: "M1 4h8v2H1z" }),
};

// A state as an icon; the shapes differ so that nothing depends on colour.
export function mark(kind) {
  return svg("svg", { class: `mark ${kind}`, viewBox: "0 0 10 10", "aria-hidden": "true" }, MARKS[kind]());
}

// A table that scrolls sideways if it is too wide. Headings of number columns begin with "#".
export function table(caption, heads, rows, none) {
  if (rows.length === 0) return el("p", { class: "quiet" }, none);
  const head = heads.map((text) => el("th", { scope: "col", class: text.startsWith("#") ? "number" : null }, text.replace("#", "")));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", { class: caption.toLowerCase() }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}
