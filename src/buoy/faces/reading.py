"""`buoy status`, `inbox`, `outbox`, `deadletter`, `trace`: read without a lock, write through the store's owner."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from buoy.chat import span
from buoy.durable import inbox, meta, outbox
from buoy.durable import status as depths
from buoy.durable.store import Store, peek
from buoy.durable.trace import trace as steps_of
from buoy.errors import EXIT_OK, EXIT_REFUSED, ConfigError
from buoy.faces.control import ask
from buoy.letters import EventState, LetterState

if TYPE_CHECKING:
    import sqlite3

out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)  # a pipe gets whole lines


def print_json(value: Any) -> None:
    """Print it as people and programs read it."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def when(at: float | None) -> str:
    """Local time for people."""
    return "" if not at else time.strftime("%m-%d %H:%M:%S", time.localtime(at))


# --- status ----------------------------------------------------------------------------------------------------


def status(directory: Path, *, as_json: bool) -> int:
    """Show the snapshot of the running Buoy, or what a dead one left."""
    told = ask(directory, "status")
    snapshot = told if told is not None else _dead(directory)
    if as_json:
        print_json(snapshot)
    else:
        _show_status(snapshot)
    bots = snapshot["bots"].values()
    return EXIT_OK if snapshot["running"] and bots and all(bot["connected"] for bot in bots) else EXIT_REFUSED


def _dead(directory: Path) -> dict[str, Any]:
    """The snapshot of a Buoy that does not run: what its store tells."""
    now = time.time()
    db = peek(directory)
    try:
        last = meta.get(db, "last", {})
        alive_at = max(meta.get(db, "alive_at", 0.0), meta.get(db, "boot_at", 0.0))
        orderly = bool(last) and last.get("at", 0.0) >= alive_at
        bots = {
            name: {"platform": bot.get("platform"), "phase": "not running", "connected": False}
            for name, bot in last.get("bots", {}).items()
        }
        return {
            "running": False,
            "at": now,
            "ended": "stopped in good order" if orderly else "ended without a word",
            "last_alive_at": last["at"] if orderly else alive_at,
            "bots": bots,
            "inbox": depths.inbox_depth(db, now),
            "outbox": depths.outbox_depth(db, now),
            "gaps": depths.gaps(db, 10),
        }
    finally:
        db.close()


def _show_status(snapshot: dict[str, Any]) -> None:
    if snapshot["running"]:
        out.print(f"[bold green]running[/] for {span(snapshot['uptime_s'])} (pid {snapshot['pid']})")
    else:
        out.print(f"[bold red]not running[/]: {snapshot['ended']}, last alive {when(snapshot['last_alive_at'])}")
    table = Table("bot", "state", "since", "attempt", "next try", "why", box=None)
    for name, bot in snapshot["bots"].items():
        colour = "green" if bot["connected"] else "red"
        next_try = bot.get("next_try_s")
        why = " ".join(str(bot[k]) for k in ("cause", "code", "reason") if bot.get(k))
        table.add_row(
            name,
            f"[{colour}]{'connected' if bot['connected'] else bot['phase']}[/]",
            when(bot.get("since")),
            str(bot.get("attempt", "")),
            "" if next_try is None else f"{next_try:.0f} s",
            why,
        )
    out.print(table)
    for name, bot in snapshot["bots"].items():
        if bot.get("intents_refused"):
            out.print(intents_line(name, bot), markup=False)
    for name, away in snapshot["inbox"].get("away", {}).items():
        line = f"agent of bot {name} is away for {span(away['away_s'])}: {away['reason']}; its messages wait"
        out.print(line, markup=False)
    for box in ("inbox", "outbox"):
        known = snapshot[box]
        states = ", ".join(f"{count} {state}" for state, count in known["states"].items() if count) or "empty"
        age = known.get("oldest_s")
        out.print(f"{box}: {states}" + (f"; oldest waits {span(age)}" if age else ""))
    for gap in snapshot["gaps"]:
        out.print("[yellow]gap[/] ", end="")
        out.print(gap_line(gap), markup=False)


def intents_line(name: str, bot: dict[str, Any]) -> str:
    """Say which event groups a bot goes without, and why."""
    refused, why = ", ".join(bot["intents_refused"]), bot.get("intents_reason") or "not known"
    return (
        f"bot {name} gets no events of {refused}: QQ refused them ({why}); apply for them in the developer console, "
        "Buoy asks again once a day"
    )


def gap_line(gap: dict[str, Any]) -> str:
    """Say of which bot, from when to when, why, and what was done."""
    seconds, end = gap["to_at"] - gap["from_at"], when(gap["to_at"])
    lasted = f"{span(seconds)} from {when(gap['from_at'])} to {end}" if seconds >= 1 else f"no time between, at {end}"
    return f"of bot {gap['bot']}: {lasted}: {gap['cause']}; {gap['done'] or 'messages of that time may be lost at QQ'}"


# --- rows ------------------------------------------------------------------------------------------------------


def rows(directory: Path, kind: str, *, state: str | None, limit: int, as_json: bool) -> int:
    """List rows of the inbox, the outbox, or the dead letters of both."""
    db = peek(directory)
    try:
        found = _found(db, kind, state, limit)
    finally:
        db.close()
    if as_json:
        print_json(found)
        return EXIT_OK
    table = Table("row", "state", "time", "conversation", "tries", "key", "reason", box=None)
    for row in found:
        table.add_row(
            row["row"],
            row["state"],
            when(row.get("received_at") or row.get("created_at")),
            row["lane"] or "",
            str(row["attempts"]),
            row["key"],
            row["reason"],
        )
    out.print(table if found else "none")
    return EXIT_OK


def _found(db: sqlite3.Connection, kind: str, state: str | None, limit: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    letters: list[dict[str, Any]] = []
    if kind == "inbox":
        events = inbox.listing(db, _state(EventState, state), limit=limit)
    elif kind == "outbox":
        letters = outbox.listing(db, _state(LetterState, state), limit=limit)
    else:
        wanted = ("dead", "unsure") if state is None else (_state(LetterState, state) or "",)
        if "dead" in wanted:
            events = inbox.listing(db, EventState.DEAD, limit=limit)
        for one in wanted:
            letters += outbox.listing(db, LetterState(one), limit=limit)
    named = [row | {"row": f"in/{row['id']}"} for row in events] + [
        row | {"row": f"out/{row['id']}"} for row in letters
    ]
    return sorted(named, key=lambda row: -(row.get("received_at") or row.get("created_at") or 0.0))[:limit]


def _state(states: type[EventState | LetterState], name: str | None) -> Any:
    if name is None:
        return None
    try:
        return states(name)
    except ValueError:
        raise ConfigError(f"--state {name[:40]}: not a state; one of {', '.join(states)}") from None


def _numbered(kind: str, row: str) -> tuple[str, int]:
    """Read a row as people write it: ``in/7``, ``out/9``, or just the number where the list says which it is."""
    box, _, number = row.rpartition("/")
    box = box or {"inbox": "in", "outbox": "out"}.get(kind, "")
    allowed = {"inbox": {"in"}, "outbox": {"out"}}.get(kind, {"in", "out"})
    if box not in allowed or not (number.isascii() and number.isdigit() and len(number) < 19):
        wanted = " or ".join(f"{one}/<number>" for one in sorted(allowed))
        raise ConfigError(f"{row[:40]!r} is not a row of {kind}; write {wanted} as `buoy {kind} list` shows it")
    return {"in": "event", "out": "letter"}[box], int(number)


def show(directory: Path, kind: str, row: str, *, as_json: bool) -> int:
    """Show one row whole, body included."""
    what, number = _numbered(kind, row)
    db = peek(directory)
    try:
        found: Any = inbox.get(db, number) if what == "event" else outbox.get(db, number)
    finally:
        db.close()
    if found is None:
        raise ConfigError(f"{kind} has no row {row}; `buoy {kind} list` shows what is there")
    plain = {
        name: value.decode(errors="replace") if isinstance(value := getattr(found, name), bytes) else value
        for name in found.__dataclass_fields__
    }
    if as_json:
        print_json(plain)
    else:
        for name, value in plain.items():
            out.print(f"[bold]{name:12}[/] ", end="")
            out.print(str(value), markup=False)
    return EXIT_OK


def trace(directory: Path, name: str, *, as_json: bool) -> int:
    """Tell every step of one message."""
    db = peek(directory)
    try:
        steps = steps_of(db, name)
    finally:
        db.close()
    if not steps:
        raise ConfigError(
            f"nothing is known of {name[:80]!r}; give a message id, in/<row>, out/<row> or a letter's key"
        )
    if as_json:
        print_json([{"at": at, "step": text} for at, text in steps])
        return EXIT_OK
    for at, text in steps:
        millis = f"{at % 1:.3f}"[1:]
        out.print(f"{when(at)}{millis}  ", end="")
        out.print(text, markup=False)
    return EXIT_OK


# --- acts ------------------------------------------------------------------------------------------------------


def act(directory: Path, kind: str, verb: str, row: str) -> int:
    """Retry or drop a row: through the running Buoy, or directly where none runs."""
    what, number = _numbered(kind, row)
    told = ask(directory, f"{verb}_{what}", row=number)
    done = told["done"] if told is not None else asyncio.run(_act(directory, f"{verb}_{what}", number))
    if not done:
        raise ConfigError(f"row {row} of {kind} is not in a state to {verb}; `buoy {kind} show {row}` tells its state")
    doing = {"retry": "will be tried again", "drop": "is dropped"}[verb]
    print(f"row {row} {doing}" + ("" if told is not None or verb == "drop" else " when Buoy runs"))
    return EXIT_OK


async def _act(directory: Path, verb: str, row: int) -> bool:
    now = time.time()
    jobs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "retry_letter": (outbox.retry_dead, (row, now)),
        "drop_letter": (outbox.drop, (row, "dropped by a person", now)),
        "retry_event": (inbox.retry_dead, (row, now)),
        "drop_event": (inbox.drop, (row, now)),
    }
    peek(directory).close()  # a directory without a store is an error, not a reason to make one
    store = Store.open(directory, now=now)
    try:
        job, arguments = jobs[verb]
        return bool(await store.write(job, *arguments))
    finally:
        await store.close(5.0)
