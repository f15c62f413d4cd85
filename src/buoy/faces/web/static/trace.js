// One message's way, step by step.

import { $, h, setText } from "./dom.js";
import { t } from "./language.js";
import { exact } from "./time.js";
import { ask, UnknownError } from "./wire.js";

let asked = 0;

export async function openTrace(name) {
  const turn = ++asked;
  const dialog = $("trace");
  setText($("trace-title"), t("trace.title", { name }));
  setText($("trace-note"), t("trace.asking"));
  $("trace-steps").replaceChildren();
  if (!dialog.open) dialog.showModal();
  let note = "";
  let steps = [];
  try {
    steps = (await ask(`trace.json?name=${encodeURIComponent(name)}`)).steps;
  } catch (error) {
    note = error instanceof UnknownError ? t("trace.none", { name }) : t("done.failed", { why: error.message });
  }
  if (turn !== asked) return; // another one was asked for meanwhile
  setText($("trace-note"), note);
  $("trace-steps").replaceChildren(
    ...steps.map(({ at, step }) => {
      const [, ref, words] = /^((?:in|out)\/\d+): ([^]*)$/.exec(step) ?? [null, "", step];
      return h("li", {}, h("time", { class: "soft", datetime: new Date(at * 1000).toISOString() }, exact(at)), h("span", {}, ref ? h("b", {}, `${ref} `) : null, words));
    }),
  );
}

export function listenForTraces() {
  $("find").addEventListener("submit", (event) => {
    event.preventDefault();
    openTrace($("find-name").value.trim());
  });
  $("trace-close").addEventListener("click", () => $("trace").close());
  $("trace").addEventListener("click", (event) => {
    if (event.target === $("trace")) $("trace").close(); // the backdrop
  });
}
