// Speaks to Buoy: one look, one stream of snapshots, and acts. Knows when contact is lost, and that only.

const QUIET_MS = 12_000; // Buoy speaks every 5 s at least; two that did not come are silence
const RETRY_MS = 2_000;
const LOOK_MS = 5_000;

export class NoEntryError extends Error {}
export class UnknownError extends Error {}

export async function ask(path) {
  return read(await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(LOOK_MS) }));
}

// Asks for something to be done; the header and the type are what no other site's page can send.
export async function post(path, body = {}) {
  return read(
    await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Buoy": "1" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(LOOK_MS),
    }),
  );
}

async function read(answer) {
  if (answer.status === 401) throw new NoEntryError();
  if (answer.status === 404) throw new UnknownError();
  if (!answer.ok) throw new Error(await reason(answer));
  return answer.json();
}

// What the server says of a refusal: {"error": ...}, else its status.
export async function reason(answer) {
  try {
    return (await answer.json()).error || `HTTP ${answer.status}`;
  } catch {
    return `HTTP ${answer.status}`;
  }
}

// Calls `on.status(snapshot)` for each snapshot, `on.lost(nextAt)` when contact ends (the time of the next try in ms),
// `on.locked()` when a login is needed. Goes on trying until the function that it returns is called. A stream that ends
// is not yet a loss: it looks once more first, and goes on looking where no stream can be had. So does a page that nobody
// sees: a browser opens six connections to a place, and six streams would leave none for the page that is looked at.
export function follow(on) {
  let stream = null;
  let watch = 0;
  let turn = 0; // whoever waited for an answer goes on only if nobody began anew meanwhile

  async function begin({ rest } = {}) {
    const mine = ++turn;
    hangUp();
    try {
      const told = await ask("status.json");
      if (mine !== turn) return;
      on.status(told);
    } catch (error) {
      if (mine !== turn) return;
      if (error instanceof NoEntryError) on.locked();
      else lose();
      return;
    }
    if (mine !== turn) return;
    const rests = rest ?? (document.hidden ? LOOK_MS : 0);
    if (rests) watch = setTimeout(begin, rests);
    else open();
  }

  function open() {
    stream = new EventSource("events");
    stream.addEventListener("status", (event) => {
      on.status(JSON.parse(event.data)); // what cannot be shown is no news: then this page has no contact
      listen();
    });
    stream.onerror = () => begin({ rest: RETRY_MS });
    listen();
  }

  function listen() {
    clearTimeout(watch);
    if (stream) watch = setTimeout(lose, QUIET_MS);
  }

  function lose() {
    turn += 1;
    hangUp();
    watch = setTimeout(begin, RETRY_MS);
    on.lost(Date.now() + RETRY_MS);
  }

  function hangUp() {
    stream?.close();
    stream = null;
    clearTimeout(watch);
  }

  const turned = () => begin();
  document.addEventListener("visibilitychange", turned);
  begin();
  return () => {
    document.removeEventListener("visibilitychange", turned);
    turn += 1;
    hangUp();
  };
}
