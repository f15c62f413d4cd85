// The last 24 hours: up above the waterline, down and blocked below it, gaps marked; the same in words.

import { $, changed, h, mark, s, setText, sync } from "./dom.js";
import { language, named, t } from "./language.js";
import { clock, exact, hour, span, until } from "./time.js";

const HEIGHT = 60;
const WATER = 32; // y of the waterline
const BARS = { up: [8, WATER - 8], down: [WATER + 1, 20], blocked: [WATER + 1, 20], off: [WATER - 3, 6] };
const HOURS = 3; // between two ticks

export function showTimeline(told) {
  if (!changed("timeline", [language(), told])) return;
  const { from, to, spans, gaps } = told;
  const place = (at) => (100 * (Math.min(to, Math.max(from, at)) - from)) / (to - from);
  const rows = new Map();
  for (const one of spans) {
    const name = one.shard ? `${one.bot} #${one.shard}` : one.bot;
    if (!rows.has(name)) rows.set(name, []);
    rows.get(name).push(one);
  }
  const many = rows.size > 1;
  const detail = h("p", { class: "pick soft", "aria-live": "polite" }, t("timeline.hint"));
  const charts = [...rows].map(([name, own]) => {
    const holes = gaps.filter((gap) => gap.bot === own[0].bot && gap.shard === own[0].shard && gap.to_at >= from);
    return row(many ? name : "", own, holes, place, detail);
  });
  $("timeline").replaceChildren(...charts, ticks(from, to, place), detail, legend(gaps.length > 0));
  summary(told);
}

function row(name, spans, gaps, place, detail) {
  const shapes = [];
  const items = [];
  const add = (element, words) => {
    const index = items.length;
    items.push({ element, words });
    element.addEventListener("pointerenter", () => pick(index));
    element.addEventListener("click", () => pick(index));
    shapes.push(element);
  };
  let picked = -1;
  function pick(index) {
    if (picked >= 0) items[picked].element.classList.remove("picked");
    picked = index;
    items[index].element.classList.add("picked");
    setText(detail, name ? `${name}: ${items[index].words}` : items[index].words);
    detail.classList.remove("soft");
  }
  for (const one of spans) {
    const [x, end] = [place(one.from_at), place(one.to_at)];
    const [y, height] = BARS[one.state] ?? BARS.off;
    const size = { x: `${x}%`, width: `${Math.max(end - x, 0.15)}%`, y, height };
    const hit = s("rect", { class: "hit", ...size, y: 0, height: HEIGHT });
    add(s("g", { class: `span is-${one.state}` }, hit, s("rect", { class: "bar", ...size })), inWords(one));
  }
  for (const gap of gaps) {
    const x = place((gap.from_at + gap.to_at) / 2);
    const sign = s("svg", { x: `${x}%`, y: 0, width: 1, height: HEIGHT, class: "gap-sign" });
    sign.append(s("path", { class: "gap-line", d: `M0 8V${HEIGHT}` }), s("path", { class: "gap-mark", d: "M0 0l5 5-5 5-5-5z" }));
    add(s("g", { class: "span is-gap" }, sign), gapInWords(gap));
  }
  const chart = s(
    "svg",
    { class: "chart", width: "100%", height: HEIGHT, role: "img", tabindex: 0, "aria-label": t("timeline.label", { name: name && ` ${name}` }) },
    s("line", { class: "water", x1: 0, x2: "100%", y1: WATER, y2: WATER }),
    ...shapes,
  );
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !items.length) return;
    event.preventDefault();
    pick(Math.min(items.length - 1, Math.max(0, picked < 0 ? items.length - 1 : picked + step)));
  });
  return h("div", { class: "lane" }, name ? h("p", { class: "lane-name" }, name) : null, chart);
}

function ticks(from, to, place) {
  const first = new Date(from * 1000);
  first.setMinutes(0, 0, 0);
  while (first.getHours() % HOURS || first.getTime() < from * 1000) first.setHours(first.getHours() + 1);
  const labels = [];
  for (const one = first; one.getTime() < to * 1000; one.setHours(one.getHours() + HOURS)) {
    const at = one.getTime() / 1000;
    const x = place(at);
    if (x < 3 || x > 97) continue;
    const wide = one.getHours() % (HOURS * 2) ? "tick minor" : "tick";
    labels.push(s("text", { class: wide, x: `${x}%`, y: 12 }, hour(at)));
  }
  return s("svg", { class: "ticks", width: "100%", height: 16, "aria-hidden": "true" }, ...labels);
}

function legend(hasGaps) {
  const states = ["up", "down", "blocked", "off", ...(hasGaps ? ["gap"] : [])];
  return h("p", { class: "legend soft" }, states.map((state) => h("span", {}, mark(state), t(`state.${state}`))));
}

const period = (from, to) => t("period", { from: clock(from), to: until(from, to), span: span(to - from) });

// A cause begins with a name that the dictionary may know; what the platform or the network said may follow.
export function because(cause) {
  const [, name, sign, rest] = /^([^:(]+?)(: | \()([^]*)$/.exec(cause) ?? [null, cause, "", ""];
  const known = named("cause", name);
  if (known === name) return cause;
  return sign === ": " ? t("why", { what: known, cause: rest }) : known + sign + rest;
}

function inWords(one) {
  const words = `${t(`state.${one.state}`)} ${period(one.from_at, one.to_at)}`;
  return one.cause ? t("why", { what: words, cause: because(one.cause) }) : words;
}

export const gapInWords = (gap) =>
  t("gap.words", { when: period(gap.from_at, gap.to_at), cause: because(gap.cause), done: gap.done || t("gap.lost") });

// Two spans of one bot that touch are one interruption.
const joint = (one, side = "from_at") => `${one.bot} ${one.shard} ${one[side]}`;

function summary({ from, to, spans, gaps }) {
  const known = spans.reduce((sum, one) => sum + one.to_at - one.from_at, 0);
  const up = spans.filter((one) => one.state === "up").reduce((sum, one) => sum + one.to_at - one.from_at, 0);
  const bad = spans.filter((one) => one.state !== "up").reverse();
  const breaks = bad.filter((one, index) => index === 0 || joint(bad[index - 1]) !== joint(one, "to_at"));
  const percent = known ? Math.floor((1000 * up) / known) / 10 : 0;
  setText($("timeline-sum"), known ? t("timeline.sum", { percent, count: breaks.length, span: span(known - up) }) : "");
  const happened = [
    ...bad.map((one) => ({ at: one.from_at, state: one.state, bot: one.bot, words: inWords(one) })),
    ...gaps.filter((gap) => gap.to_at >= from && gap.from_at <= to).map((gap) => ({ at: gap.to_at, state: "gap", bot: gap.bot, words: gapInWords(gap) })),
  ].sort((a, b) => b.at - a.at);
  const bots = new Set(spans.map((one) => one.bot)).size;
  sync(
    $("timeline-list"),
    happened.length ? happened : [{ at: 0, state: "up", words: t("timeline.calm") }],
    (one) => JSON.stringify([language(), one]),
    (one) => h("li", {}, mark(one.state), h("span", {}, bots > 1 ? `${one.bot}: ` : "", one.words)),
  );
}

export function showGaps(gaps) {
  $("gaps-none").hidden = gaps.length > 0;
  sync(
    $("gaps"),
    gaps,
    (gap) => `${language()}${gap.id}`,
    (gap) =>
      h(
        "li",
        {},
        h("p", {}, mark("gap"), h("span", {}, `${exact(gap.from_at)} – ${exact(gap.to_at)} (${span(gap.to_at - gap.from_at)})`)),
        h("p", { class: "soft" }, t("gap.why", { cause: because(gap.cause), done: gap.done || t("gap.lost"), bot: gap.bot })),
      ),
  );
}
