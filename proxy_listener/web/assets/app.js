// Shows the view that the URL's hash names, and redraws it when the data changes.

import { house, startUpdates } from "./client.js";
import { coverageView } from "./coverage.js";
import { deviceView } from "./device.js";
import { setText, tick } from "./dom.js";
import { overviewView } from "./overview.js";
import { receptionView } from "./reception.js";

const main = document.getElementById("view");
const live = document.getElementById("live");
let view = null;
let place = null;
let due = false;

// Changes are collected and drawn once per frame.
function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    view.update(house);
  });
}

function showStatus(kind, words) {
  live.className = `live ${kind}`;
  setText(live, words);
}

function viewOf(first, mac, range) {
  if (first === "device") return deviceView(decodeURIComponent(mac), range);
  if (first === "coverage") return coverageView();
  return first === "map" ? receptionView() : overviewView();
}

function markCurrent(first) {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === (first || "house")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function route() {
  const [, first = "", mac = "", range = "day"] = location.hash.split("/");
  const wanted = `${first}/${mac}`;
  if (wanted === place) {
    view.range?.(range);
    return;
  }
  view?.close?.();
  view = viewOf(first, mac, range);
  markCurrent(first);
  main.replaceChildren(view.node);
  document.title = `${view.title} · proxy-listener`;
  if (place !== null) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  place = wanted;
  view.update(house);
}

addEventListener("hashchange", route);
route();
showStatus("busy", "connecting");
startUpdates(redraw, showStatus);
setInterval(tick, 1_000);
