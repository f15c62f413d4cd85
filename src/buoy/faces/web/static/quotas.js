// What runs down: identifies of the day, the token's life, the disk; and the small facts of the process.

import { $, h, s, setText, sync, ticking } from "./dom.js";
import { bytes, count, language, t } from "./language.js";
import { now, span } from "./time.js";

const IDENTIFIES = 1000; // QQ's budget of a day
const TOKEN_S = 7200; // longest life of a token
const LOW = 0.1;

export function showQuotas(status) {
  const at = now();
  const many = Object.keys(status.bots).length > 1;
  const meters = [];
  for (const [bot, facts] of Object.entries(status.bots)) {
    const whose = many ? ` · ${bot}` : "";
    if (typeof facts.identifies_left === "number") {
      const left = facts.identifies_left;
      meters.push({ name: t("quota.identifies") + whose, part: left / IDENTIFIES, tell: () => t("quota.left", { left: count(left), all: count(IDENTIFIES) }) });
    }
    if (typeof facts.token_expires_s === "number") {
      const left = () => Math.max(0, facts.token_expires_s - (now() - at));
      meters.push({ name: t("quota.token") + whose, part: facts.token_expires_s / TOKEN_S, renews: true, tell: () => t("quota.expires", { span: span(left()) }) });
    }
    if (facts.token_failure) meters.push({ name: t("quota.token_failure") + whose, part: null, tell: () => facts.token_failure });
  }
  if (status.disk) {
    const { free_bytes: free, total_bytes: total } = status.disk;
    meters.push({ name: t("quota.disk"), part: free / total, tell: () => t("quota.free", { free: bytes(free), total: bytes(total) }) });
  }
  sync($("quotas"), meters, (one) => `${language()} ${one.name}`, makeMeter, setMeter);
}

function makeMeter(one) {
  return h(
    "div",
    { class: "quota" },
    h("p", { class: "quota-head" }, h("span", {}, one.name), h("span", { class: "quota-told soft" })),
    one.part === null
      ? null
      : s("svg", { class: "meter", width: "100%", height: 8, role: "meter", "aria-label": one.name, "aria-valuemin": 0, "aria-valuemax": 100 },
          s("rect", { class: "meter-all", width: "100%", height: 8, rx: 4 }), s("rect", { class: "meter-part", height: 8, rx: 4 })),
  );
}

function setMeter(box, one) {
  ticking(box.querySelector(".quota-told"), one.tell);
  if (one.part === null) return;
  const percent = Math.round(1000 * Math.min(1, Math.max(0, one.part))) / 10;
  box.classList.toggle("is-low", one.part < LOW && !one.renews);
  box.querySelector(".meter").setAttribute("aria-valuenow", percent);
  box.querySelector(".meter-part").setAttribute("width", `${percent}%`);
}

export function showMachine(status) {
  const restarts = Object.entries(status.tasks ?? {}).filter(([, task]) => task.restarts > 0);
  const facts = [
    t("machine.version", { version: status.version }),
    t("machine.pid", { pid: status.pid }),
    status.loop && t("machine.lag", { ms: Math.round(1000 * status.loop.lag_s) }),
    status.store?.max_commit_s !== undefined && t("machine.commit", { ms: Math.round(1000 * (status.store.last_commit_s ?? 0)) }),
    t("machine.restarts", { count: restarts.reduce((sum, [, task]) => sum + task.restarts, 0) }),
  ].filter(Boolean);
  const at = now();
  if (status.uptime_s === undefined) setText($("machine"), facts.join(" · "));
  else ticking($("machine"), () => [t("machine.uptime", { span: span(status.uptime_s + now() - at) }), ...facts].join(" · "));
}
