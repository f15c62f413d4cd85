// The alerts that are open: what, since when, what to do.

import { $, h, mark, setText, sync, ticking } from "./dom.js";
import { count, language, named, t } from "./language.js";
import { since } from "./time.js";

export function showAlerts(alerts) {
  const open = alerts?.open ?? [];
  $("alerts").hidden = open.length === 0;
  sync($("alert-list"), open, (one) => `${language()} ${one.rule} ${one.subject} ${one.since}`, make, (row, one) => {
    const times = one.times > 1 ? ` (${t("alert.times", { times: count(one.times) })})` : "";
    setText(row.querySelector(".told"), one.detail + times);
  });
}

function make(one) {
  const remedy = named("alert.remedy", one.rule);
  const todo = remedy === one.rule ? one.remedy : remedy;
  return h(
    "li",
    {},
    mark("blocked"),
    h(
      "div",
      {},
      h("p", {}, h("b", {}, named("alert", one.rule)), one.subject ? ` · ${one.subject} ` : " ", ticking(h("span", { class: "soft" }), () => t("for", { span: since(one.since) }))),
      h("p", { class: "told" }),
      todo ? h("p", { class: "remedy" }, h("b", {}, t("todo")), " ", todo) : null,
    ),
  );
}
