// The start view: five figures, problems, proxies by room, devices.

import { deviceTable } from "./device_table.js";
import { changed, el } from "./dom.js";
import { age, state } from "./labels.js";
import { newcomerList } from "./newcomers.js";
import { problems } from "./problems.js";
import { proxyList } from "./proxy_list.js";

// [title, figure, note, whether it is a problem]
function summary({ devices, status: { proxies, storage, uptime, version } }) {
  const wanted = proxies.filter((proxy) => state(proxy)[0] !== "off");
  const live = wanted.filter((proxy) => proxy.state === "live");
  const heard = [...devices.values()].filter((device) => device.available);
  const rate = live.reduce((sum, proxy) => sum + (proxy.rate ?? 0), 0);
  return [
    ["Proxies live", live.length, `of ${wanted.length}`, live.length < wanted.length],
    ["Devices heard", heard.length, `of ${devices.size}`, false],
    ["On air", rate.toFixed(rate < 10 ? 1 : 0), "advertisements / s", false],
    ["History", storage.ok ? "stored" : "failing", storage.ok ? "" : `${storage.waiting} not written yet`, !storage.ok],
    ["Running", age(uptime), `version ${version}`, false],
  ];
}

function figure([title, value, note, bad]) {
  return el("div", { class: bad ? "figure bad" : "figure" },
    el("dt", {}, title), el("dd", {}, el("b", {}, value), " ", el("small", {}, note)));
}

export function overviewView() {
  const figures = el("dl", { class: "figures" });
  const [needs, rooms, devices, newcomers] = [problems(), proxyList(), deviceTable(), newcomerList()];
  const node = el("div", {}, el("h1", { class: "unseen" }, "House"), figures, needs.node,
    el("div", { class: "columns" }, rooms.node, el("div", {}, devices.node, newcomers.node)));

  function update(house) {
    devices.update(house);
    if (!house.status) return;
    needs.update(house);
    rooms.update(house);
    newcomers.update(house);
    const now = summary(house);
    if (changed(figures, now)) figures.replaceChildren(...now.map(figure));
  }
  return { title: "House", node, update };
}
