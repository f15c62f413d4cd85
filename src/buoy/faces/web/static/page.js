// Puts the page together: what Buoy says goes to the parts that show it; what they need besides is fetched when due.

import { showAlerts } from "./alerts.js";
import { $, changed, setText, tick } from "./dom.js";
import { showHero } from "./hero.js";
import { choose, other, t, translate } from "./language.js";
import { loadLetters, showLetters } from "./letters.js";
import { showMachine, showQuotas } from "./quotas.js";
import { showQueues } from "./queues.js";
import { recall, remember } from "./memory.js";
import { browserNow, learn } from "./time.js";
import { showGaps, showTimeline } from "./timeline.js";
import { listenForTraces } from "./trace.js";
import { showTraffic } from "./traffic.js";
import { ask, follow, NoEntryError, post, reason } from "./wire.js";

const TIMELINE_S = 60; // the present moves on
const LETTERS_S = 30;
const TRAFFIC_S = 4;
const SIGNED_IN = "buoy.signed_in"; // the session itself is a cookie that no script can see

let status = null;
let heardAt = browserNow();
let lost = null;
let stop = () => {};
const told = {}; // what was fetched besides the snapshot, to be shown again in another language
const due = { timeline: 0, letters: 0, traffic: 0 };

function start() {
  stop();
  stop = follow({ status: hear, lost: lose, locked: lock });
}

function hear(snapshot) {
  const wasLost = lost !== null;
  [status, heardAt, lost] = [snapshot, browserNow(), null];
  learn(snapshot.at);
  $("login").hidden = true;
  $("board").hidden = false;
  show();
  const states = Object.values(snapshot.bots).map((bot) => [bot.state, bot.since, bot.cause]);
  if (changed("states", states) || wasLost) due.timeline = 0;
  if (changed("depths", [snapshot.outbox.states, snapshot.inbox.states]) || wasLost) due.letters = due.traffic = 0;
  fetchDue();
}

function lose(nextAtMs) {
  lost = { since: heardAt, nextAt: nextAtMs / 1000 };
  $("login").hidden = true;
  $("board").hidden = false;
  show();
}

function lock() {
  stop();
  $("board").hidden = true;
  $("login").hidden = false;
  $("machine").replaceChildren();
  document.documentElement.dataset.state = "wait";
  document.title = "Buoy";
  setText($("contact"), "");
  $("token").focus();
}

function show() {
  showHero(status, lost);
  setText($("contact"), lost ? t("contact.none") : t("contact.live"));
  if (!status) return;
  $("logout").hidden = !recall(SIGNED_IN);
  showAlerts(status.alerts);
  showQueues(status);
  showQuotas(status);
  showMachine(status);
  showGaps(status.gaps);
}

const PARTS = {
  timeline: ["timeline.json?hours=24", TIMELINE_S, (answer) => showTimeline((told.timeline = answer))],
  traffic: ["traffic.json?minutes=60", TRAFFIC_S, (answer) => showTraffic((told.traffic = answer))],
};

async function fetchDue() {
  const at = browserNow();
  const jobs = Object.entries(PARTS)
    .filter(([name]) => at >= due[name])
    .map(async ([name, [path, every, use]]) => {
      due[name] = at + every;
      use(await ask(path));
    });
  if (at >= due.letters) {
    due.letters = at + LETTERS_S;
    jobs.push(loadLetters());
  }
  for (const ended of await Promise.allSettled(jobs)) {
    if (ended.reason instanceof NoEntryError) lock();
  }
}

function speak() {
  translate();
  setText($("language"), t("language.other"));
  $("language").lang = other();
  if (status || lost) show();
  if (told.timeline) showTimeline(told.timeline);
  if (told.traffic) showTraffic(told.traffic);
  if (status) showLetters();
}

$("language").addEventListener("click", () => {
  choose(other());
  speak();
});

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  setText($("login-error"), "");
  try {
    const answer = await fetch("login", { method: "POST", body: new URLSearchParams({ token: $("token").value }) });
    if (answer.ok) {
      $("token").value = "";
      remember(SIGNED_IN, "yes");
      start();
    } else {
      setText($("login-error"), answer.status === 401 ? t("login.wrong") : await reason(answer));
      $("token").select();
    }
  } catch {
    setText($("login-error"), t("login.away"));
  }
});

$("logout").addEventListener("click", async () => {
  await post("logout").catch(() => {});
  remember(SIGNED_IN, null);
  start();
});

listenForTraces();
speak();
setInterval(tick, 1000);
start();
