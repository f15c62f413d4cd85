// The alerts that are open: what, since when, what to do; and the notices about them that nobody took yet.

import { $, h, mark, setText, sync, ticking } from "./dom.js";
import { count, has, language, t } from "./language.js";
import { now, since, span } from "./time.js";

export function showAlerts(alerts) {
  const open = alerts?.open ?? [];
  const waiting = alerts?.undelivered ?? 0;
  $("alerts").hidden = open.length === 0 && waiting === 0;
  sync($("alert-list"), open, (one) => `${language()} ${one.rule} ${one.subject} ${one.since}`, make, (row, one) => {
    const times = one.times > 1 ? ` (${t("alert.times", { times: count(one.times) })})` : "";
    setText(row.querySelector(".told"), one.detail + times);
  });
  const at = now();
  ticking($("alert-queue"), () =>
    waiting ? t("alerts.undelivered", { count: count(waiting), span: span((alerts.oldest_undelivered_s ?? 0) + now() - at) }) : "",
  );
}

// The words for a rule are the page's; what was found, and what to do about it, is told in the language of the alerts.
function make(one) {
  const title = has(`rule.${one.rule}`) ? t(`rule.${one.rule}`) : one.title;
  return h(
    "li",
    {},
    mark("blocked"),
    h(
      "div",
      {},
      h(
        "p",
        {},
        h("b", {}, [title, one.subject].filter(Boolean).join(" · ")),
        " ",
        ticking(h("span", { class: "soft" }), () => t("for", { span: since(one.since) })),
      ),
      h("p", { class: "told" }),
      one.remedy ? h("p", { class: "remedy" }, h("b", {}, t("todo")), " ", one.remedy) : null,
    ),
  );
}
