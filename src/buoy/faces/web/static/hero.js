// The state in one word, how long it has lasted, why, and what to do.

import { $, changed, h, mark, setText, sync, ticking } from "./dom.js";
import { language, named, t } from "./language.js";
import { browserNow, exact, now, since, span } from "./time.js";

// `lost`: null, or {since, nextAt}: when this page last heard from Buoy, in the browser's seconds.
export function showHero(status, lost) {
  const state = lost ? "lost" : status.state;
  document.documentElement.dataset.state = state;
  setText($("word"), t(`state.${state}`));
  if (lost) showLost(status, lost);
  else showKnown(status);
}

function showLost(status, lost) {
  ticking($("lasts"), () => t("for", { span: span(browserNow() - lost.since) }));
  document.title = `? ${t("state.lost")} · Buoy`;
  if (!changed("why", ["lost", language(), lost.since])) return;
  const next = ticking(h("p", { class: "soft" }), () => {
    const seconds = Math.ceil(lost.nextAt - browserNow());
    return seconds > 0 ? t("lost.next", { seconds }) : t("lost.trying");
  });
  const last = status && h("p", { class: "soft" }, t("lost.last", { state: t(`state.${status.state}`) }));
  $("why").replaceChildren(
    ...[h("p", { class: "cause" }, t("lost.since", { time: exact(lost.since) })), last, next].filter(Boolean),
  );
}

const SIGN = { up: "●", down: "▼", blocked: "■", off: "×" };

function showKnown(status) {
  const at = status.since;
  ticking($("lasts"), () => (at ? t("for", { span: since(at) }) : ""));
  document.title = `${SIGN[status.state] ?? "?"} ${t(`state.${status.state}`)} · Buoy`;
  const bots = Object.entries(status.bots);
  showBots(bots);
  const why = bots.length === 1 ? said(bots[0][1]) : [bots.length, bots.filter(([, bot]) => bot.state === "up").length];
  if (!changed("why", [language(), why, status.state, status.ended, status.ready, status.not_ready])) {
    if (bots.length === 1) retime($("why"), bots[0][1]);
    return;
  }
  const parts = [];
  if (bots.length > 1) parts.push(h("p", { class: "cause" }, t("bots.up", { up: why[1], all: why[0] })));
  if (bots.length === 1) parts.push(...detail(bots[0][1]));
  if (status.state === "up" && !status.ready) {
    for (const line of status.not_ready ?? []) parts.push(h("p", { class: "cause" }, t("not_ready", { line })));
  }
  $("why").replaceChildren(...parts);
  if (bots.length === 1) retime($("why"), bots[0][1]);
}

function showBots(bots) {
  $("bots").hidden = bots.length < 2;
  if (bots.length < 2) return;
  sync(
    $("bot-list"),
    bots,
    ([name, bot]) => JSON.stringify([language(), name, said(bot)]),
    ([name, bot]) =>
      h(
        "li",
        { class: `bot is-${bot.state}` },
        h(
          "p",
          { class: "bot-line" },
          mark(bot.state),
          h("b", {}, named("state", bot.state)),
          h("span", { class: "bot-name" }, name),
          bot.since ? ticking(h("span", { class: "soft" }), () => t("for", { span: since(bot.since) })) : null,
        ),
        ...detail(bot),
      ),
    (row, [, bot]) => retime(row, bot),
  );
}

// What is said of a bot besides times that run.
const said = (bot) => {
  const { state, since: at, cause, code, reason, remedy, phase, attempt, intents_refused } = bot;
  return [state, at, cause, code, reason, remedy, phase, attempt, intents_refused, bot.next_try_s === null];
};

// The cause in words: the dictionary's where it knows it, with what the platform said.
export function causeOf(bot) {
  const known = bot.cause ? named("cause", bot.cause) : "";
  const told = [bot.reason, bot.code ? t("code", { code: bot.code }) : ""].filter(Boolean).join(" · ");
  return [known, told];
}

function detail(bot) {
  if (bot.state === "up") return [h("p", { class: "soft pulse" }), ...refused(bot)];
  const [cause, told] = causeOf(bot);
  const parts = [];
  if (cause) parts.push(h("p", { class: "cause" }, cause));
  if (told) parts.push(h("p", { class: "told" }, told));
  const key = `remedy.${bot.cause}`;
  const remedy = named("remedy", bot.cause ?? "");
  const todo = key && remedy !== bot.cause && remedy ? remedy : bot.remedy;
  if (todo) parts.push(h("p", { class: "remedy" }, h("b", {}, t("todo")), " ", todo));
  parts.push(h("p", { class: "next" }));
  return parts;
}

function refused(bot) {
  if (!bot.intents_refused?.length) return [];
  return [h("p", { class: "told" }, t("intents", { names: bot.intents_refused.join(", "), why: bot.intents_reason ?? "" }))];
}

// Sets the running times of a detail by the newest snapshot.
function retime(box, bot) {
  const at = now();
  const pulse = box.querySelector(".pulse");
  if (pulse) {
    ticking(pulse, () => {
      const later = now() - at;
      const ages = [
        ["pulse.ack", bot.last_ack_s],
        ["pulse.frame", bot.last_frame_s],
      ];
      return ages.filter(([, s]) => s !== null && s !== undefined).map(([key, s]) => t(key, { span: span(s + later) })).join(" · ");
    });
  }
  const next = box.querySelector(".next");
  if (next) {
    ticking(next, () => {
      const tries = bot.attempt ? t("attempt", { attempt: bot.attempt }) : "";
      const left = bot.next_try_s === null || bot.next_try_s === undefined ? null : bot.next_try_s - (now() - at);
      const then = left === null ? named("phase", bot.phase) : left > 0 ? t("next", { span: span(Math.ceil(left)) }) : t("next.now");
      return [tries, then].filter(Boolean).join(" · ");
    });
  }
}
