// Messages by the minute, in above and out below the line, and what happened last.

import { $, changed, h, s, setText, sync } from "./dom.js";
import { count, language, named, t } from "./language.js";
import { exact, hour } from "./time.js";
import { openTrace } from "./trace.js";

const HALF = 40; // pixels of one direction
const LEAST = 4; // messages that a full bar stands for at least

export function showTraffic({ minutes, recent }) {
  if (changed("traffic", [language(), minutes])) bars(minutes);
  showRecent(recent);
}

function bars(minutes) {
  const most = Math.max(LEAST, ...minutes.map((one) => Math.max(one.in, one.out)));
  const wide = 100 / Math.max(1, minutes.length);
  const height = (number) => (number ? Math.max(2, (HALF * number) / most) : 0);
  const total = (way) => minutes.reduce((sum, one) => sum + one[way], 0);
  const detail = h("p", { class: "pick soft" }, t("traffic.hint"));
  const groups = minutes.map((one, index) => {
    const x = { x: `${index * wide}%` };
    const words = t("traffic.minute", { time: hour(one.at), in: count(one.in), out: count(one.out) });
    const group = s(
      "g",
      { class: "minute" },
      s("rect", { class: "hit", ...x, width: `${wide}%`, y: 0, height: 2 * HALF + 2 }),
      s("rect", { class: "bar-in", ...x, width: `${wide * 0.72}%`, y: HALF - height(one.in), height: height(one.in), rx: 1 }),
      s("rect", { class: "bar-out", ...x, width: `${wide * 0.72}%`, y: HALF + 2, height: height(one.out), rx: 1 }),
    );
    const tell = () => setText(detail, words);
    group.addEventListener("pointerenter", tell);
    group.addEventListener("click", tell);
    return group;
  });
  const label = t("traffic.sum", { in: count(total("in")), out: count(total("out")), minutes: minutes.length });
  setText($("traffic-sum"), label);
  $("traffic").replaceChildren(
    s("svg", { class: "chart", width: "100%", height: 2 * HALF + 2, role: "img", "aria-label": label },
      s("line", { class: "water", x1: 0, x2: "100%", y1: HALF + 1, y2: HALF + 1 }), ...groups),
    h("p", { class: "legend soft" }, h("span", {}, h("i", { class: "key-in" }, "▲"), t("traffic.in")), h("span", {}, h("i", { class: "key-out" }, "▼"), t("traffic.out"))),
    detail,
  );
}

function showRecent(recent) {
  $("recent-none").hidden = recent.length > 0;
  sync(
    $("recent"),
    recent,
    (one) => JSON.stringify([language(), one]),
    (one) =>
      h("li", {},
        h("button", { type: "button", onclick: () => openTrace(one.row) },
          h("time", { class: "soft" }, exact(one.at)), h("b", {}, one.row), h("span", { class: "way" }, t(`way.${one.kind}`), " · ", named("row", one.state)),
          h("span", { class: "soft" }, one.conversation ?? ""))),
  );
}
