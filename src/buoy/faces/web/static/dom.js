// Makes and changes elements. Whatever comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

// h("p", {class: "soft", onclick: f}, "text", child): attributes that are null are left out.
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// A sentence whose `commands` stand between backticks.
export const prose = (text) => text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

// Makes the children of `parent` those of `items`, in order; a child whose key stays is kept, with focus and all.
export function sync(parent, items, keyOf, make, update = () => {}) {
  const gone = new Set(parent.children);
  const known = new Map([...gone].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = known.get(key);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = key;
    }
    known.delete(key);
    gone.delete(child);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const child of gone) child.remove();
}

// --- what changes by the second -----------------------------------------------------------------------------

const clocks = new Map();

// An element whose text is `tell()`, now and every second as long as it is on the page.
export function ticking(element, tell) {
  clocks.set(element, tell);
  setText(element, tell());
  return element;
}

export function tick() {
  for (const [element, tell] of clocks) {
    if (element.isConnected) setText(element, tell());
    else clocks.delete(element);
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// True when `value` is not what it was at the last call with this name.
const seen = new Map();
export function changed(name, value) {
  const now = JSON.stringify(value);
  if (seen.get(name) === now) return false;
  seen.set(name, now);
  return true;
}

// --- marks: the state by shape, not by colour alone ---------------------------------------------------------

const SHAPES = {
  up: ["circle", { cx: 8, cy: 8, r: 7 }, "M4.6 8.300l2.3 2.4 4.4-5"],
  down: ["path", { d: "M1 2.500h14L8 15z" }, "M8 5.200v4M8 11.200v.1"],
  blocked: ["path", { d: "M5 1h6l4 4v6l-4 4H5l-4-4V5z" }, "M4.5 8h7"],
  off: ["rect", { x: 1.5, y: 1.5, width: 13, height: 13, rx: 2.5 }, "M5.5 5.500l5 5m0-5l-5 5"],
  lost: ["circle", { cx: 8, cy: 8, r: 7 }, "M6 6.300c0-2.7 4.2-2.5 4.2 0 0 1.7-2.2 1.6-2.2 3.200M8 11.800v.1"],
  gap: ["path", { d: "M8 1l7 7-7 7-7-7z" }, ""],
};

export function mark(state) {
  const [shape, where, sign] = SHAPES[state] ?? SHAPES.lost;
  return s(
    "svg",
    { class: `mark is-${state}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    s(shape, { class: "mark-shape", ...where }),
    s("path", { class: "mark-sign", d: sign }),
  );
}
