// The alerts that are open: what, since when, what to do; and the notices about them that nobody took yet.

import { $, h, mark, prose, setText, sync, ticking } from "./dom.js";
import { count, language, t } from "./language.js";
import { now, since, span } from "./time.js";

// What the page has a place and buttons for: there it says more, and needs no word about commands.
const HERE = new Set(["dead_letter", "unsure_letter", "refused_letter", "held_too_long", "dead_turn", "gap"]);

export function showAlerts(alerts) {
  const open = alerts?.open ?? [];
  const waiting = alerts?.undelivered ?? 0;
  $("alerts").hidden = open.length === 0 && waiting === 0;
  sync($("alert-list"), open, (one) => `${language()} ${one.rule} ${one.subject} ${one.since}`, make, (row, one) => {
    const times = one.times > 1 ? t("alert.times", { times: count(one.times) }) : "";
    const detail = HERE.has(one.rule) ? "" : one.words[language()].detail;
    setText(row.querySelector(".told"), [detail, times].filter(Boolean).join(" · "));
  });
  const at = now();
  ticking($("alert-queue"), () =>
    waiting ? t("alerts.undelivered", { count: count(waiting), span: span((alerts.oldest_undelivered_s ?? 0) + now() - at) }) : "",
  );
}

function make(one) {
  const { title, remedy } = one.words[language()];
  return h(
    "li",
    {},
    mark("blocked"),
    h(
      "div",
      {},
      h("p", {}, h("b", {}, title), " ", ticking(h("span", { class: "soft" }), () => t("for", { span: since(one.since) }))),
      h("p", { class: "told" }),
      remedy && !HERE.has(one.rule) ? h("p", { class: "remedy" }, h("b", {}, t("todo")), " ", ...prose(remedy)) : null,
    ),
  );
}
