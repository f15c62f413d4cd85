// Buoy's clock and how times are said. The browser's clock may be wrong: every age is counted by Buoy's.

import { locale, t } from "./language.js";

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
let ahead = 0; // seconds that Buoy's clock is ahead of the browser's

export const browserNow = () => Date.now() / 1000;
export const now = () => browserNow() + ahead;
export const learn = (at) => (ahead = at - browserNow());

// "45 s", "4 min 05 s", "2 h 10 min", "3 d 4 h"
export function span(seconds) {
  const total = Math.max(0, Math.floor(seconds));
  const [d, h, min, s] = [total / DAY, (total % DAY) / HOUR, (total % HOUR) / MINUTE, total % MINUTE].map(Math.floor);
  if (d) return h ? t("span.dh", { d, h }) : t("span.d", { d });
  if (h) return min ? t("span.hm", { h, min }) : t("span.h", { h });
  if (min >= 10 || (min && !s)) return t("span.m", { min });
  if (min) return t("span.ms", { min, s: String(s).padStart(2, "0") });
  return t("span.s", { s });
}

export const since = (at) => span(now() - at);

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const said = (at, format) => new Intl.DateTimeFormat(locale(), format).format(new Date(at * 1000));
const day = (at) => new Date(at * 1000).toDateString();

// Local time; with the day where it is not that of `beside`, today.
export const clock = (at, form = TIME, beside = now()) =>
  said(at, day(at) === day(beside) ? form : { month: "short", day: "numeric", ...form });
export const exact = (at) => clock(at, { ...TIME, second: "2-digit" });
export const hour = (at) => said(at, TIME);
export const until = (from, to) => clock(to, TIME, from);
