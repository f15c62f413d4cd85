// How much waits where, and since when; what holds it up.

import { $, changed, h, mark, setText, sync, ticking } from "./dom.js";
import { count, language, t } from "./language.js";
import { now, span } from "./time.js";

const TILES = [
  ["inbox", "waiting"],
  ["inbox", "running"],
  ["outbox", "queued"],
  ["outbox", "claimed"],
  ["outbox", "held"],
  ["outbox", "unsure"],
  ["outbox", "dead"],
  ["inbox", "dead"],
];
const BAD = new Set(["held", "unsure", "dead"]);

export function showQueues(status) {
  const at = now();
  sync(
    $("queues"),
    TILES,
    ([box, state]) => `${language()} ${box} ${state}`,
    ([box, state]) =>
      h(
        "div",
        { class: "tile" },
        h("p", { class: "tile-number" }),
        h("p", { class: "tile-name" }, t(`${box}.${state}`)),
        h("p", { class: "tile-age soft" }),
      ),
    (tile, [box, state]) => {
      const number = status[box].states[state] ?? 0;
      const oldest = status[box].oldest?.[state] ?? null;
      tile.classList.toggle("is-empty", !number);
      tile.classList.toggle("is-bad", number > 0 && BAD.has(state));
      setText(tile.children[0], count(number));
      ticking(tile.children[2], () => (number && oldest !== null ? t("oldest", { span: span(oldest + now() - at) }) : ""));
    },
  );
  showHoldups(status, at);
}

function showHoldups(status, at) {
  const lines = [
    ...Object.entries(status.inbox.away ?? {}).map(([bot, away]) => ["away", bot, away.reason, away.away_s]),
    ...Object.entries(status.outbox.pace ?? {})
      .filter(([, pace]) => pace.paused_s > 0 || pace.failures > 0)
      .map(([bot, pace]) => ["paused", bot, pace.reason, null]),
  ];
  if (changed("holdups", [language(), lines.map((line) => line.slice(0, 3))])) {
    $("holdups").replaceChildren(
      ...lines.map(([kind, bot, why]) => h("li", {}, mark("blocked"), h("span", { class: "holdup" }, t(kind, { bot, why, span: "" })))),
    );
  }
  for (const [index, [kind, bot, why, away]] of lines.entries()) {
    const place = $("holdups").children[index].querySelector(".holdup");
    ticking(place, () => t(kind, { bot, why, span: away === null ? "" : span(away + now() - at) }));
  }
}
