// The address -> its view, drawn from the house as it is now.

import { coverageView } from "./coverage.js";
import { deviceView } from "./device.js";
import { say, tick } from "./dom.js";
import { houseView } from "./house.js";
import { mapView } from "./map.js";
import { follow, house } from "./service.js";

const main = document.getElementById("view");
const live = document.getElementById("live");
let view = null;
let place = null;
let due = false;

// All that changed since the last picture is drawn in the next one.
function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    view.update(house);
  });
}

function tell(kind, words) {
  live.className = `live ${kind}`;
  say(live, words);
}

function viewOf(first, mac, range) {
  if (first === "device") return deviceView(decodeURIComponent(mac), range);
  if (first === "coverage") return coverageView();
  return first === "map" ? mapView() : houseView();
}

function mark(first) {
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
  mark(first);
  main.replaceChildren(view.node);
  document.title = `${view.title} · proxy_listener`;
  if (place !== null) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  place = wanted;
  view.update(house);
}

addEventListener("hashchange", route);
route();
tell("busy", "connecting");
follow(redraw, tell);
setInterval(tick, 1_000);
