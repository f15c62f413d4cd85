"""`buoy status`: the snapshot of a running Buoy, or what a dead one left; once, or again and again."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from buoy import __version__
from buoy.chat import span
from buoy.durable import history
from buoy.durable import status as depths
from buoy.durable.store import peek
from buoy.errors import EXIT_OK, EXIT_REFUSED, BuoyError, BusyError
from buoy.faces import ending
from buoy.faces.control import ask
from buoy.gateway.health import GAPS, SCHEMA, Snapshot, disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXIT_NOT_RUNNING: Final = 3  # as service managers say it
WATCH_S: Final = 1.0
COLOURS: Final = {"up": "green", "down": "red", "blocked": "magenta", "off": "red"}

out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)  # a pipe gets whole lines


def status(directory: Path, *, as_json: bool, watch: bool) -> int:
    """Show it, once or until Ctrl-C; returns 0 ready, 1 running and not ready, 3 not running.

    Raises:
        BusyError: one runs and does not answer, or is of a version that tells something else.
        StoreError: there is no store, or it cannot be read.
    """
    if not watch:
        snapshot = look(directory)
        _print(snapshot, as_json=as_json)
        return exit_code(snapshot)
    with suppress(KeyboardInterrupt):
        _watch(directory, as_json=as_json)
    return EXIT_OK


def look(directory: Path) -> Snapshot:
    """Ask the running Buoy, or read what the store of a dead one tells."""
    told = ask(directory, "status")
    if told is not None and "schema" not in told:
        raise BusyError(
            f"the Buoy that runs here (pid {told.get('pid')}) is {told.get('version')}, from before an update of this "
            "command: restart it"
        )
    return cast("Snapshot", told) if told is not None else _dead(directory)


def exit_code(snapshot: Snapshot) -> int:
    """For scripts and health checks."""
    if not snapshot["running"]:
        return EXIT_NOT_RUNNING
    return EXIT_OK if snapshot["ready"] else EXIT_REFUSED


def _print(snapshot: Snapshot, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(snapshot, ensure_ascii=False, indent=2, default=str))
    else:
        out.print(Group(*render(snapshot)))


def _watch(directory: Path, *, as_json: bool) -> None:
    """On a terminal the picture changes in place; in a pipe, or as JSON, one after the other.

    A Buoy that hangs or begins anew is news, not the end: that line stands until there is another picture.
    """
    if as_json:
        while True:
            try:
                print(json.dumps(look(directory), ensure_ascii=False, default=str), flush=True)
            except BuoyError as error:
                print(f"buoy: {error}", file=sys.stderr)
            time.sleep(WATCH_S)
    from rich.live import Live  # noqa: PLC0415

    with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
        while True:
            try:
                picture = Group(*render(look(directory)))
            except BuoyError as error:
                picture = Group(Text(str(error), "yellow"))
            live.update(picture, refresh=True)
            time.sleep(WATCH_S)


def _dead(directory: Path) -> Snapshot:
    """The snapshot of a Buoy that does not run."""
    now = time.time()
    db = peek(directory)
    try:
        ended = ending.last(directory, db)
        at, code, why = (now, None, "it never ran") if ended is None else (ended.at, ended.code, ended.why)
        bots = {
            bot: {
                "platform": "qq", "shard": [shard, None], "state": "off", "since": at, "phase": "not running",
                "connected": False,
            }
            for bot, shard in history.bots(db)
        }  # fmt: skip
        return Snapshot(
            schema=SCHEMA,
            version=__version__,
            at=now,
            pid=None,
            running=False,
            started_at=None,
            uptime_s=0.0,
            state="off",
            since=at,
            ready=False,
            not_ready=[f"Buoy does not run: {why}"],
            ended={"at": at, "code": code, "why": why},
            bots=bots,
            inbox=depths.inbox_depth(db, now),
            outbox=depths.outbox_depth(db, now),
            gaps=depths.gaps(db, GAPS),
            store=None,
            tasks={},
            job_failures=0,
            loop=None,
            disk=disk(directory),
            alerts=None,
            schedules=None,
            web=None,
        )
    finally:
        db.close()


# --- for people ------------------------------------------------------------------------------------------------


def render(snapshot: Snapshot) -> Iterator[Text | Table]:
    """Draw one snapshot: the worst first, what is well in few words."""
    yield _headline(snapshot)
    if snapshot["running"]:
        for line in snapshot["not_ready"]:
            yield Text(line, "yellow")
    yield _bots(snapshot["bots"])
    for name, bot in snapshot["bots"].items():
        if bot.get("remedy"):
            yield Text(f"bot {name}: {bot['remedy']}", "yellow")
        if bot.get("intents_refused"):
            yield Text(intents_line(name, bot))
    for name, away in snapshot["inbox"].get("away", {}).items():
        yield Text(f"agent of bot {name} is away for {span(away['away_s'])}: {away['reason']}; its messages wait")
    for alert in (snapshot["alerts"] or {}).get("open", ()):
        yield Text(f"alert since {when(alert['since'])}: {alert['title']}: {alert['detail']}", "yellow")
    yield Text(_box("inbox", snapshot["inbox"]))
    yield Text(_box("outbox", snapshot["outbox"]))
    for gap in snapshot["gaps"]:
        yield Text.assemble(("gap ", "yellow"), gap_line(gap))
    for name, task in snapshot["tasks"].items():
        if task["restarts"]:
            yield Text(f"task {name} was restarted {task['restarts']} times; it ended last: {task['last_end']}")
    machine = " · ".join(_machine(snapshot))
    if machine:
        yield Text(machine, "dim")


def _headline(snapshot: Snapshot) -> Text:
    ended = snapshot["ended"]
    if ended is not None:
        code = "" if ended["code"] is None else f" (exit code {ended['code']})"
        return Text.assemble(
            ("not running", "bold red"),
            f" for {span(snapshot['at'] - ended['at'])}, since {when(ended['at'])}: {ended['why']}{code}",
        )
    word = snapshot["state"]
    lasts = span(max(0.0, snapshot["at"] - snapshot["since"]))
    runs = f"Buoy runs for {span(snapshot['uptime_s'])}, pid {snapshot['pid']}"
    return Text.assemble((word, f"bold {COLOURS[word]}"), f" for {lasts}; {runs}")


def _bots(bots: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("bot", "state", "since", "attempt", "next try", "last ack", "identifies left", "why", box=None)
    for name, bot in bots.items():
        trying = bot["state"] != "up"  # until a stable minute has passed, the attempts before count on
        table.add_row(
            name,
            Text(bot["state"], COLOURS[bot["state"]]),
            when(bot.get("since")),
            str(bot.get("attempt") or "") if trying else "",
            _seconds(bot.get("next_try_s")),
            _seconds(bot.get("last_ack_s")),
            "" if bot.get("identifies_left") is None else str(bot["identifies_left"]),
            Text(" ".join(str(bot[key]) for key in ("cause", "code", "reason") if bot.get(key))),
        )
    return table


def _box(name: str, box: Mapping[str, Any]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in box["states"].items() if count) or "empty"
    ages = ", ".join(f"{state} for {span(age)}" for state, age in box["oldest"].items() if age)
    reasons = "; ".join(
        f"{count} {state}: {reason}"
        for state in ("held", "unsure", "dead")
        for reason, count in box.get(f"{state}_reasons", {}).items()
    )
    return f"{name}: {states}" + (f"; oldest {ages}" if ages else "") + (f" ({reasons})" if reasons else "")


def _machine(snapshot: Snapshot) -> Iterator[str]:
    store, loop, free = snapshot["store"], snapshot["loop"], snapshot["disk"]
    if store is not None:
        yield f"last commit {store['last_commit_s'] * 1000:.1f} ms, longest {store['max_commit_s'] * 1000:.0f} ms"
    if loop is not None:
        yield f"loop late by {loop['lag_s'] * 1000:.0f} ms, at most {loop['max_lag_s'] * 1000:.0f} ms"
    if free is not None:
        yield f"{free['free_bytes'] / 1e9:.1f} GB of disk left"
    web = snapshot["web"]
    if web is not None:
        yield f"page: {web.get('listening') or web.get('error')}"
        if web.get("token_file"):
            yield f"its token: {web['token_file']}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} s"


def when(at: float | None) -> str:
    """Local time for people."""
    return "" if not at else time.strftime("%m-%d %H:%M:%S", time.localtime(at))


def intents_line(name: str, bot: Mapping[str, Any]) -> str:
    """Say which event groups a bot goes without, and why."""
    refused, why = ", ".join(bot["intents_refused"]), bot.get("intents_reason") or "not known"
    return (
        f"bot {name} gets no events of {refused}: QQ refused them ({why}); apply for them in the developer console, "
        "Buoy asks again once a day"
    )


def gap_line(gap: Mapping[str, Any]) -> str:
    """Say of which bot, from when to when, why, and what was done."""
    seconds, end = gap["to_at"] - gap["from_at"], when(gap["to_at"])
    lasted = f"{span(seconds)} from {when(gap['from_at'])} to {end}" if seconds >= 1 else f"no time between, at {end}"
    return f"of bot {gap['bot']}: {lasted}: {gap['cause']}; {gap['done'] or 'messages of that time may be lost at QQ'}"
