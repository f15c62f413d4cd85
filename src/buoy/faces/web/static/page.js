// Puts the page together: what Buoy says goes to the parts that show it; what they need besides is fetched when due.

import { showAlerts } from "./alerts.js";
import { $, changed, setText, tick } from "./dom.js";
import { showHero } from "./hero.js";
import { choose, other, t, translate } from "./language.js";
import { countStuck, loadLetters, showLetters } from "./letters.js";
import { showMachine, showQuotas } from "./quotas.js";
import { showQueues } from "./queues.js";
import { recall, remember } from "./memory.js";
import { browserNow, learn } from "./time.js";
import { showGaps, showTimeline } from "./timeline.js";
import { listenForTraces } from "./trace.js";
import { showTraffic } from "./traffic.js";
import { ask, follow, NoEntryError, post, reason } from "./wire.js";

const EVERY_S = { timeline: 60, letters: 30, traffic: 60 }; // where nothing happens: the present moves on
const SOONEST_S = 1; // and where much does
const SIGNED_IN = "buoy.signed_in"; // the session itself is a cookie that no script can see

let status = null;
let heardAt = browserNow();
let lost = null;
let stop = () => {};
const told = {}; // what was fetched besides the snapshot, to be shown again in another language
const elapsed = () => performance.now() / 1000; // what is due is due though the clock was put back
const askedAt = { timeline: 0, letters: 0, traffic: 0 };
const dueAt = { timeline: 0, letters: 0, traffic: 0 };

function start() {
  stop();
  stop = follow({ status: hear, lost: lose, locked: lock });
}

function hear(snapshot) {
  if (status && status.version !== snapshot.version) return location.reload(); // this page is the old one's
  const wasLost = lost !== null;
  [status, lost] = [snapshot, null];
  learn(snapshot.at);
  $("login").hidden = true;
  $("board").hidden = false;
  countStuck(snapshot);
  show();
  heardAt = browserNow();
  const states = Object.values(snapshot.bots).map((bot) => [bot.state, bot.since, bot.cause]);
  const { held, unsure, dead } = snapshot.outbox.states;
  if (changed("states", states) || wasLost) soon("timeline");
  if (changed("stuck", [held, unsure, dead, snapshot.inbox.states.dead]) || wasLost) soon("letters");
  if (changed("passed", [snapshot.inbox.frames, snapshot.outbox.sent, snapshot.outbox.states]) || wasLost) soon("traffic");
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
  if (status) return location.reload(); // whoever is out finds nothing here of what was shown
  lost = null;
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
  timeline: async () => showTimeline((told.timeline = await ask("timeline.json?hours=24"))),
  traffic: async () => showTraffic((told.traffic = await ask("traffic.json?minutes=60"))),
  letters: loadLetters,
};

const soon = (name) => (dueAt[name] = Math.min(dueAt[name], askedAt[name] + SOONEST_S));

async function fetchDue() {
  const at = elapsed();
  const jobs = Object.keys(PARTS)
    .filter((name) => at >= dueAt[name])
    .map((name) => {
      [askedAt[name], dueAt[name]] = [at, at + EVERY_S[name]];
      return PARTS[name]();
    });
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
setInterval(() => {
  tick();
  if (status && !lost) fetchDue();
}, 1000);
start();
