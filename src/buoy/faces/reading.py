"""`buoy inbox`, `outbox`, `deadletter`, `trace`: read without a lock, write through the store's owner."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from buoy.durable import inbox, outbox
from buoy.durable.store import Store, peek
from buoy.durable.trace import trace as steps_of
from buoy.errors import EXIT_OK, ConfigError
from buoy.faces.control import ask
from buoy.faces.status import out, when
from buoy.letters import EventState, LetterState

if TYPE_CHECKING:
    import sqlite3


def _json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


# --- rows ------------------------------------------------------------------------------------------------------


def rows(directory: Path, kind: str, *, state: str | None, limit: int, as_json: bool) -> int:
    """List rows of the inbox, the outbox, or the dead letters of both."""
    db = peek(directory)
    try:
        found = _found(db, kind, state, limit)
    finally:
        db.close()
    if as_json:
        _json(found)
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
        _json(plain)
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
        _json([{"at": at, "step": text} for at, text in steps])
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
