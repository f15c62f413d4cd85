// Which language the page speaks: the browser's, until a person chooses; the choice is remembered.

import { recall, remember } from "./memory.js";
import { en } from "./words-en.js";
import { zh } from "./words-zh.js";

const words = { en, zh };
const KEPT = "buoy.language";
let chosen = kept() ?? preferred();

function kept() {
  const name = recall(KEPT);
  return name in words ? name : null;
}

function preferred() {
  for (const tag of navigator.languages ?? []) {
    const name = tag.toLowerCase().split("-")[0];
    if (name in words) return name;
  }
  return "en";
}

export const language = () => chosen;
export const other = () => (chosen === "en" ? "zh" : "en");
export const locale = () => (chosen === "zh" ? "zh-CN" : "en-GB");

export function choose(name) {
  chosen = name;
  remember(KEPT, name);
}

// The text of a key, with {names} filled in.
export function t(key, values = {}) {
  const text = words[chosen][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

export const has = (key) => key in words[chosen];

// What the server calls by a name that the dictionary may know; else the server's own word.
export const named = (group, name) => (has(`${group}.${name}`) ? t(`${group}.${name}`) : name);

// Fills in what stands in the document itself.
export function translate() {
  document.documentElement.lang = locale();
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
}

export const count = (number) => new Intl.NumberFormat(locale()).format(number);

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) [number, unit] = [number / 1000, unit + 1];
  return `${new Intl.NumberFormat(locale(), { maximumFractionDigits: number < 10 ? 1 : 0 }).format(number)} ${units[unit]}`;
}
