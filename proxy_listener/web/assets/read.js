// An active read: buttons, progress, result, and the proxies that were tried.

import { request } from "./client.js";
import { el, mark, name, setText } from "./dom.js";

// Yields the lines of a response as JSON while they arrive.
async function* lines(response) {
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

export function readPanel(mac, after) {
  const buttons = [["Read now", false], ["Read with its log", true]].map(([text, history]) =>
    el("button", { type: "button", click: () => read(history) }, text));
  const progress = el("progress", { hidden: true, "aria-label": "Progress of the read" });
  const step = el("p", { class: "step", role: "status" });
  const tried = el("ul", { class: "tried" });

  function show({ step: text, proxy, done, total }) {
    setText(step, `${text}${proxy ? ` · ${proxy}` : ""}${total ? ` · ${done} of ${total}` : ""}`);
    if (total) {
      progress.max = total;
      progress.value = done;
    } else progress.removeAttribute("value");
  }

  function end({ ok, detail, attempts, firmware, log }) {
    step.replaceChildren(mark(ok ? "good" : "bad"), " ", detail,
      firmware ? ` Firmware ${firmware}.` : "",
      log ? ` Log: ${log.stored} new of ${log.count} entries${log.complete ? "" : ", not all of them yet"}.` : "");
    tried.replaceChildren(...attempts.map((attempt) => el("li", {}, mark(attempt.ok ? "good" : "bad"), " ", name(attempt.proxy), `: ${attempt.detail}`)));
  }

  async function read(history) {
    buttons.forEach((button) => { button.disabled = true; });
    tried.replaceChildren();
    progress.hidden = false;
    setText(step, "asking for a route");
    try {
      const response = await request(`/devices/${mac}/read`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ history }),
      });
      for await (const line of lines(response)) {
        if (line.progress) show(line.progress);
        if (line.result) end(line.result);
      }
      after();
    } catch (error) {
      end({ ok: false, detail: error.message, attempts: [] });
    } finally {
      progress.hidden = true;
      buttons.forEach((button) => { button.disabled = false; });
    }
  }
  return el("div", { class: "read" }, el("p", {}, buttons), progress, step, tried);
}
