"""Draws the session machine: the golden table and the generated parts of docs/session.md.

``python tests/protocol/draw_session.py`` says whether they are up to date; with ``--write`` it writes them.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from textwrap import fill

import msgspec
from msgspec.structs import replace

from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests/protocol/golden/session.txt"
DOC = ROOT / "docs/session.md"

G = 7  # generation of the representative states
NOW = 1000.0
WANTED = 1 << 9 | 1 << 25 | 1 << 30
SESSION = m.Session("sid", 9, 8)

_BASE = replace(
    m.initial(WANTED),
    generation=G,
    attempt_at=NOW - 3,
    since=NOW - 2,
    deadline=NOW + 25,
    session_at=NOW - 500,
    session=SESSION,
)
_LIVE = replace(_BASE, phase=Phase.LIVE, since=NOW - 30, deadline=NOW + 30, next_beat=NOW + 20)

STATES: dict[str, m.State] = {
    "stopped": m.initial(WANTED),
    "waiting": replace(_BASE, phase=Phase.WAITING, attempt=3, cause=Trouble.CLOSED),
    "locating": replace(_BASE, phase=Phase.LOCATING),
    "locating, no session": replace(_BASE, phase=Phase.LOCATING, session=None),
    "opening": replace(_BASE, phase=Phase.OPENING),
    "greeting": replace(_BASE, phase=Phase.GREETING),
    "greeting, no session": replace(_BASE, phase=Phase.GREETING, session=None),
    "reserving": replace(_BASE, phase=Phase.RESERVING, session=None),
    "identifying": replace(_BASE, phase=Phase.IDENTIFYING, session=None, identified=True, next_beat=NOW + 20),
    "identifying, a session lost, refused once": replace(
        _BASE,
        phase=Phase.IDENTIFYING,
        session=None,
        identified=True,
        refused=1,
        gap=m.RecordGap("old", 5, Trouble.INVALID),
    ),
    "identifying, a smaller set is known to work": replace(
        _BASE, phase=Phase.IDENTIFYING, session=None, identified=True, granted=1 << 25
    ),
    "identifying, the minimum refused before": replace(
        _BASE, phase=Phase.IDENTIFYING, session=None, identified=True, refused=3, intents=1 << 25
    ),
    "resuming": replace(_BASE, phase=Phase.RESUMING, futile=1, next_beat=NOW + 20),
    "resuming, the third time": replace(_BASE, phase=Phase.RESUMING, futile=3),
    "live": _LIVE,
    "live, a stable minute over": replace(_LIVE, since=NOW - 90, attempt=2),
    "live, no event for longer than expected": replace(
        _LIVE, since=NOW - 9000, last_dispatch_at=NOW - 8000, expect_s=7200.0, deadline=NOW, last_ack_at=NOW - 1
    ),
    "live, short of intents for a day": replace(
        _LIVE,
        since=NOW - 90_000,
        last_dispatch_at=NOW - 80,
        granted=1 << 25,
        asked_at=NOW - 90_000,
        deadline=NOW,
        last_ack_at=NOW - 1,
    ),
    "live, two beats unanswered": replace(_LIVE, missed=2, beat_at=NOW - 10),
    "lingering after an IDENTIFY": replace(_BASE, phase=Phase.LINGERING, session=None, identified=True),
    "lingering, resumable": replace(_BASE, phase=Phase.LINGERING, resumable=True),
    "lingering, not resumable": replace(_BASE, phase=Phase.LINGERING),
    "blocked": replace(_BASE, phase=Phase.BLOCKED, cause=Trouble.IP),
}

EVENTS: dict[str, tuple[m.Event, float]] = {
    "Start": (m.Start(), 0),
    "Start with a session": (m.Start(SESSION), 0),
    "Start, fewer intents remembered": (m.Start(SESSION, granted=m.Granted(WANTED, 1 << 25, "x", 50.0)), 0),
    "Start, other intents remembered": (m.Start(SESSION, granted=m.Granted(1 << 25, 1 << 25, "", 50.0)), 0),
    "Start with two unready": (m.Start(None, (0.5, 9.0)), 0),
    "Stop": (m.Stop(), 0),
    "Tick, nothing due": (m.Tick(), 0),
    "Tick, heartbeat due": (m.Tick(), 20),
    "Tick, deadline over": (m.Tick(), 30),
    "Woke": (m.Woke(G), 0),
    "Located": (m.Located(G, 900, 3600.0), 0),
    "Located, no identify left": (m.Located(G, 0, 600.0), 0),
    "LocateFailed, transient": (m.LocateFailed(G, Trouble.TRANSIENT, "x"), 0),
    "LocateFailed, rate": (m.LocateFailed(G, Trouble.RATE, "x"), 0),
    "LocateFailed, token": (m.LocateFailed(G, Trouble.TOKEN, "x"), 0),
    "LocateFailed, secret": (m.LocateFailed(G, Trouble.SECRET, "x"), 0),
    "Opened": (m.Opened(G), 0),
    "OpenFailed": (m.OpenFailed(G, "x"), 0),
    "Hello": (m.Hello(G, 45.0), 0),
    "Reserved": (m.Reserved(G, 900, 3600.0), 0),
    "Reserved, none left": (m.Reserved(G, 0, 600.0), 0),
    "ReserveFailed": (m.ReserveFailed(G, "x"), 0),
    "Ready": (m.Ready(G, "new", 1), 0),
    "Ready, unreadable": (m.Ready(G, "", None), 0),
    "Resumed": (m.Resumed(G, 10), 0),
    "Dispatch": (m.Dispatch(G, 10), 0),
    "Dispatch without a sequence": (m.Dispatch(G, None), 0),
    "Garbage": (m.Garbage(G), 0),
    "Stored": (m.Stored("sid", 9), 0),
    "StoreFailed": (m.StoreFailed(G, "x"), 0),
    "Ack": (m.Ack(G), 0),
    "BeatAsked": (m.BeatAsked(G), 0),
    "ReconnectAsked": (m.ReconnectAsked(G), 0),
    "Invalid, resumable": (m.Invalid(G, True), 0),
    "Invalid": (m.Invalid(G, False), 0),
    **{
        f"Closed {code or 'without a code'}": (m.Closed(G, code), 0)
        for code in (None, 1000, 4001, 4004, 4006, 4008, 4009, 4014, 4902, 4903, 4915)
    },
    "Closed, of an older generation": (m.Closed(G - 1, None), 0),
}


def cell(state: m.State, event: m.Event, at: float) -> tuple[m.State, str]:
    """Return the next state and its description; empty when nothing changes."""
    after, commands = m.step(state, event, NOW + at)
    if after == state and not commands:
        return after, ""
    notes = [str(after.phase) if after.phase is not state.phase else "="]
    if after.cause is not state.cause and after.cause is not None:
        notes.append(f"[{after.cause}]")
    if state.session is not None and after.session is None:
        notes.append("drops the session")
    if state.session is not None and after.session is not None and after.session != state.session:
        notes.append(f"{after.session.id} {after.session.seen}/{after.session.stored}")
    if after.intents != state.intents:
        notes.append(f"intents {after.intents:#x}")
    return after, "  ".join([*notes, *map(_show, commands)])


def _show(command: m.Command) -> str:
    values = msgspec.structs.asdict(command)
    values.pop("generation", None)
    shown = (f"{value:g}" if isinstance(value, float) else str(value) for value in values.values())
    return f"{type(command).__name__}({', '.join(shown)})"


def table() -> str:
    """Phase x event: next phase (= stays), what else changes, commands."""
    lines = ["Generated by tests/protocol/draw_session.py --write. One block per state, one line per event.", ""]
    for name, state in STATES.items():
        cells = {event: cell(state, what, at)[1] for event, (what, at) in EVENTS.items()}
        lines.append(name)
        lines += [f"    {event:30}  {text}" for event, text in cells.items() if text]
        inert = "; ".join(event for event, text in cells.items() if not text)
        lines += [fill(f"nothing: {inert}", 108, initial_indent="    ", subsequent_indent="      "), ""]
    return "\n".join(lines)


def diagram() -> str:
    """Every change of phase in the table as a mermaid state diagram. Stop leads from everywhere to stopped."""
    edges: dict[tuple[str, str], list[str]] = {}
    for state in STATES.values():
        for what, at in EVENTS.values():
            after = cell(state, what, at)[0]
            if after.phase is not state.phase and not isinstance(what, m.Stop):
                names = edges.setdefault((state.phase, after.phase), [])
                if (name := type(what).__name__) not in names:
                    names.append(name)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> stopped"]
    lines += [f"    {a} --> {b} : {', '.join(names)}" for (a, b), names in edges.items()]
    return "\n".join([*lines, "```"])


def closes() -> str:
    """Close codes by what follows."""
    lines = ["| close code | what Buoy does |", "| --- | --- |", "| none, or one that is not listed | resume |"]
    for action, group in groupby(sorted(m.CLOSE_ACTIONS.items()), key=lambda item: item[1]):
        codes = [code for code, _ in group]
        lines.append(f"| {', '.join(map(str, codes))} | {action} |")
    return "\n".join(lines)


def remedies() -> str:
    """Causes of `blocked`, with their remedies."""
    lines = ["| cause | what it means | what helps |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {cause} | {what} | {how} |" for cause, (what, how) in m.REMEDIES.items())])


PARTS = {"diagram": diagram, "close codes": closes, "remedies": remedies}


def document(text: str) -> str:
    """Put the generated parts between their marks."""

    def redraw(found: re.Match[str]) -> str:
        return f"{found[1]}{PARTS[found[2]]()}{found[3]}"

    text, count = re.subn(r"(<!-- generated: ([a-z ]+) -->\n).*?(\n<!-- end -->)", redraw, text, flags=re.DOTALL)
    if count != len(PARTS):
        raise ValueError(f"{DOC} must hold the marks of each of {', '.join(PARTS)} once")
    return text


def main() -> int:
    """Compare or write."""
    wanted = {TABLE: table(), DOC: document(DOC.read_text())}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--write" in sys.argv:
            path.write_text(wanted[path])
        print(f"{'wrote' if '--write' in sys.argv else 'out of date'}: {path.relative_to(ROOT)}")
    return 1 if stale and "--write" not in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
