// Devices without an entry that are not admitted yet, each with a button that admits it.

import { get, request } from "./client.js";
import { el, name, replace, setText, table } from "./dom.js";
import { age, dbm } from "./labels.js";

const AGAIN = 5_000;

const HEADS = ["MAC", "", "Model", "Room", "#dBm", "#Heard for", "#Heard", "Why not yet"];

const figure = (title, text) => el("td", { class: "number", "data-label": title }, text);

export function newcomerList() {
  const title = el("summary", {});
  const place = el("div");
  const said = el("p", { class: "quiet", role: "status" });
  const fold = el("details", {}, title, el("p", { class: "quiet" },
    "Heard, and without an entry in devices.toml. Each is admitted once it was heard in three moments over a minute."), place, said);
  const node = el("section", { "aria-label": "New devices", class: "waiting", hidden: true }, fold);
  let asked = 0;

  function row(one) {
    return el("tr", {},
      el("th", { scope: "row" }, one.mac, el("small", {}, one.encrypted ? "encrypted" : "plain")),
      el("td", {}, el("button", { type: "button", "aria-label": `Admit ${one.mac}`, click: () => admit(one.mac) }, "Admit")),
      el("td", {}, name(one.model)), el("td", {}, name(one.room)),
      figure("dBm", dbm(one.rssi)), figure("heard for", age(one.heard_for)), figure("heard", age(one.heard_age)),
      el("td", { class: "reason" }, one.waits));
  }

  async function ask() {
    asked = Date.now();
    try {
      const found = await get("/newcomers");
      replace(place, table("Newcomers", HEADS, found.map(row), "None."));
    } catch (error) {
      setText(said, error.message);
    }
  }

  async function admit(mac) {
    try {
      const device = await (await request(`/devices/${mac}/admit`, { method: "POST" })).json();
      setText(said, `${device.mac} is admitted; it is in the table with its next frame.`);
    } catch (error) {
      setText(said, error.message);
    }
    ask();
  }

  fold.addEventListener("toggle", () => fold.open && ask());
  return {
    node,
    update({ status: { admissions } }) {
      const { newcomers, full } = admissions;
      node.hidden = newcomers === 0 && !fold.open;
      setText(title, `${newcomers} heard, not admitted yet${full ? ": too many at once" : ""}`);
      if (fold.open && Date.now() - asked >= AGAIN) ask();
    },
  };
}
