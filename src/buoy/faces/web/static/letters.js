// What needs a person: letters that are dead, unsure or held, and dead turns; to try again or to drop.

import { $, h, mark, setText, sync, ticking } from "./dom.js";
import { count, language, named, t } from "./language.js";
import { exact, now, since } from "./time.js";
import { ask, post } from "./wire.js";
import { openTrace } from "./trace.js";

const FOLLOW_S = 30; // how long the fate of a row is shown after somebody acted on it
const SHOWN = 50;
const ENDED = new Set(["sent", "dropped", "done", "merged"]);
const STUCK = new Set(["dead", "held", "unsure"]);
const acted = new Map(); // row name -> {item, at, state, text, bad}
let listed = [];
let stuck = 0; // how many there are, listed or not

export function countStuck({ inbox, outbox }) {
  const { held, unsure, dead } = outbox.states;
  stuck = held + unsure + dead + inbox.states.dead;
}

export async function loadLetters() {
  const [dead, unsure, held, turns] = await Promise.all([
    ask("letters.json?state=dead"),
    ask("letters.json?state=unsure"),
    ask("letters.json?state=held"),
    ask("turns.json?state=dead"),
  ]);
  listed = [
    ...[...dead, ...unsure, ...held].map((row) => item("letter", row, row.settled_at)),
    ...turns.map((row) => item("event", row, row.ended_at)),
  ];
  showLetters();
  await followActed();
}

const item = (kind, row, endedAt) => ({ ...row, name: row.row, kind, at: endedAt ?? row.at });

// A row that somebody acted on stays where it is while its fate is shown.
export function showLetters() {
  for (const [name, fate] of acted) if (now() - fate.at > FOLLOW_S) acted.delete(name);
  const rows = new Map(listed.map((one) => [one.name, one]));
  for (const [name, fate] of acted) rows.set(name, { ...fate.item, ...rows.get(name), at: fate.item.at });
  const shown = [...rows.values()].sort((a, b) => b.at - a.at).slice(0, SHOWN);
  $("letters-none").hidden = rows.size > 0;
  const all = Math.max(stuck, rows.size);
  setText($("letters-sum"), all > SHOWN ? t("letters.more", { shown: SHOWN, all: count(all) }) : "");
  sync($("letters"), shown, (one) => `${language()} ${one.name}`, make, update);
}

function make(one) {
  const row = h(
    "li",
    { class: "letter" },
    h("button", { class: "letter-open", type: "button", onclick: () => openTrace(one.name) },
      h("span", { class: "letter-head" }, h("span", { class: "tag" }), h("b", { class: "letter-name" }, one.name),
        ticking(h("span", { class: "soft letter-age" }), () => t("ago", { span: since(one.at) }))),
      h("span", { class: "letter-why" }),
      one.text ? h("span", { class: "letter-text" }, one.text) : null,
      h("span", { class: "letter-where soft" }, [one.conversation, exact(one.at)].filter(Boolean).join(" · ")),
    ),
    h("div", { class: "letter-acts" }),
    h("p", { class: "letter-told", role: "status" }),
  );
  offer(row, one);
  return row;
}

function update(row, one) {
  const fate = acted.get(one.name);
  row.classList.toggle("is-acted", Boolean(fate));
  const state = fate?.state ?? one.state;
  const tag = row.querySelector(".tag");
  if (tag.dataset.state !== state) {
    tag.dataset.state = state;
    const shape = ENDED.has(state) ? "up" : { dead: "down", held: "blocked", unsure: "lost" }[state] ?? "gap";
    tag.replaceChildren(mark(shape), named("row", state));
  }
  setText(row.querySelector(".letter-why"), one.reason || t("no_reason"));
  const told = row.querySelector(".letter-told");
  setText(told, fate?.text ?? "");
  told.classList.toggle("error", Boolean(fate?.bad));
  const acts = row.querySelector(".letter-acts");
  const isUnderWay = Boolean(fate && !fate.bad);
  if (isUnderWay && !acts.hidden) {
    if (acts.contains(document.activeElement)) row.querySelector(".letter-open").focus();
    offer(row, one);
  }
  acts.hidden = isUnderWay;
}

function offer(row, one) {
  const acts = row.querySelector(".letter-acts");
  const retry = h("button", { type: "button", "aria-label": t("retry.of", { name: one.name }), onclick: () => doIt(one, "retry") }, t("retry"));
  const drop = h("button", { type: "button", "aria-label": t("drop.of", { name: one.name }), onclick: () => confirmDrop(row, one) }, t("drop"));
  acts.replaceChildren(retry, drop);
}

function confirmDrop(row, one) {
  const acts = row.querySelector(".letter-acts");
  const keep = h("button", { type: "button", onclick: () => (offer(row, one), acts.lastChild.focus()) }, t("drop.keep"));
  const drop = h("button", { type: "button", class: "danger", onclick: () => doIt(one, "drop") }, t("drop.sure"));
  acts.replaceChildren(h("span", { class: "ask", role: "alert" }, t(`drop.ask.${one.kind}`, { name: one.name })), drop, keep);
  keep.focus();
}

async function doIt(one, verb) {
  tell(one, { state: one.state, text: t(`doing.${verb}`) });
  try {
    const { done } = await post("act", { do: `${verb}_${one.kind}`, row: Number(one.name.split("/")[1]) });
    if (done) tell(one, { state: verb === "drop" ? "dropped" : "again", text: t(`done.${verb}`) });
    else tell(one, { state: one.state, text: t("done.not"), bad: true });
  } catch (error) {
    tell(one, { state: one.state, text: t("done.failed", { why: error.message }), bad: true });
  }
  await loadLetters().catch(showLetters);
}

function tell(one, fate) {
  acted.set(one.name, { item: one, at: now(), ...fate });
  showLetters();
}

// What became of each row that somebody acted on: the last step of its trace, in the server's words. Looks every second
// until that is an end: a letter that fails again at once leaves no other trace in the snapshots.
const FATES = /^(?:turn ended, )?(sent|done|dead|held|unsure|dropped|merged)\b/;
const LOOK_MS = 1000;
let looking = 0;

async function followActed() {
  clearTimeout(looking);
  const open = [...acted].filter(([, fate]) => fate.state === "again");
  for (const [name, fate] of open) {
    const { steps } = await ask(`trace.json?name=${encodeURIComponent(name)}`);
    const own = steps.filter((one) => one.step.startsWith(`${name}: `)).at(-1);
    if (own === undefined) continue;
    fate.text = own.step.slice(name.length + 2);
    const end = FATES.exec(fate.text)?.[1];
    if (end) [fate.state, fate.bad] = [end, STUCK.has(end)];
  }
  showLetters();
  if (open.length) looking = setTimeout(() => loadLetters().catch(showLetters), LOOK_MS);
}
