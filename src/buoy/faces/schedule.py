"""`buoy schedule`: add, list, show, remove, run. Reads without a lock, writes through the store's owner."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from buoy.config import Config
    from buoy.gateway.app import App

group = typer.Typer(help="What is sent, or asked of the agent, by the clock.", invoke_without_command=True)

_Settings = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default ./buoy.toml if there.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Name = Annotated[str, typer.Argument(help="As the list shows it.")]


@group.callback()
def default(context: typer.Context) -> None:
    """List where nothing else is asked."""
    if context.invoked_subcommand is None:
        listing()


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(help="1 to 64 letters, digits, or any of . _ -")],
    cron: Annotated[str, typer.Option(help="Minute hour day month weekday, such as '30 8 * * 1-5'.")],
    target: Annotated[str, typer.Option(help="qq:c2c:<openid>, qq:group:<group_openid>, ... [@<bot>]")],
    text: Annotated[str, typer.Option(help="What to send.")] = "",
    prompt: Annotated[str, typer.Option(help="What to ask the agent; its answer is sent.")] = "",
    zone: Annotated[str, typer.Option(help="Such as Asia/Shanghai; default: this machine's.")] = "",
    misfire: Annotated[str, typer.Option(help="Planned times missed: once, skip or all.")] = "once",
    config: _Settings = None,
) -> None:
    """Add a schedule; a running Buoy picks it up at once."""
    import time  # noqa: PLC0415

    from buoy.durable.schedules import COMMAND, Schedule  # noqa: PLC0415
    from buoy.errors import ConfigError  # noqa: PLC0415
    from buoy.faces import planning  # noqa: PLC0415
    from buoy.gateway.schedules.misfire import POLICIES  # noqa: PLC0415
    from buoy.settings import SCHEDULE_NAME  # noqa: PLC0415

    if not re.search(SCHEDULE_NAME, name):
        raise ConfigError(f"{name[:80]!r} is no name; write 1 to 64 letters, digits, or any of . _ - (not send, held)")
    if bool(text.strip()) == bool(prompt.strip()):
        raise ConfigError("write either --text or --prompt")
    if misfire not in POLICIES:
        raise ConfigError(f"--misfire {misfire[:40]!r}: write once, skip or all")
    now, kind = time.time(), "text" if text.strip() else "prompt"
    new = Schedule(
        name, COMMAND, cron, zone or planning.machine_zone("--zone"), target, kind, text if kind == "text" else prompt,
        misfire, now, now,
    )  # fmt: skip
    told = _through_owner(config, "schedule_add", planning.words(new), lambda app: app.timetable.add(new))
    print(f"schedule {name} is added; next: {', '.join(_local(at, new.zone) for at in told['next'][:1])} ({new.zone})")


@group.command("remove")
def remove(name: _Name, config: _Settings = None) -> None:
    """Remove a schedule that was added by `buoy schedule add`. What it has fired already goes on."""

    async def here(app: App) -> dict[str, Any]:
        await app.timetable.remove(name)
        return {}

    _through_owner(config, "schedule_remove", {"name": name}, here)
    print(f"schedule {name} is removed")


@group.command("run")
def run(name: _Name, config: _Settings = None) -> None:
    """Fire a schedule now, besides its plan."""

    async def here(app: App) -> dict[str, Any]:
        return {"row": await app.timetable.fire_now(name), "later": True}

    told = _through_owner(config, "schedule_run", {"name": name}, here)
    print(f"schedule {name} is fired as {told['row']}" + ("; it goes on when Buoy runs" if "later" in told else ""))


@group.command("list")
def listing(config: _Settings = None, as_json: _Json = False) -> None:  # noqa: FBT002
    """List the schedules: next times, last firing and what became of it."""
    from rich.table import Table  # noqa: PLC0415

    from buoy.faces.status import out  # noqa: PLC0415

    rows = _rows(config)
    if as_json:
        _json(rows)
        return
    table = Table("name", "next", "zone", "target", "last fired", "became", "missed", box=None)
    for row in rows:
        table.add_row(
            row["name"],
            row["trouble"] or next((_local(at, row["zone"]) for at in row["next"]), "never"),
            row["zone"],
            row["target"],
            "" if row["fired_at"] is None else _local(row["fired_at"], row["zone"]),
            f"{row['last_state']} ({row['fired_ref']})" if row["fired_ref"] else "",
            str(row["missed"] or ""),
        )
    out.print(table if rows else "none")


@group.command("show")
def show(name: _Name, config: _Settings = None, as_json: _Json = False) -> None:  # noqa: FBT002
    """Show one schedule whole, with its next times."""
    from buoy.errors import ConfigError  # noqa: PLC0415
    from buoy.faces.status import out  # noqa: PLC0415

    row = next((row for row in _rows(config) if row["name"] == name), None)
    if row is None:
        raise ConfigError(f"no schedule {name[:80]!r}; `buoy schedule list` shows what is there")
    if as_json:
        _json(row)
        return
    for key, value in row.items():
        if key == "next":
            value = ", ".join(_local(at, row["zone"]) for at in value)  # noqa: PLW2901
        elif isinstance(value, float):
            value = _local(value, row["zone"])  # noqa: PLW2901
        out.print(f"[bold]{key:12}[/] ", end="")
        out.print("" if value is None else str(value), markup=False)


# --- inside ----------------------------------------------------------------------------------------------------


def _rows(config: Path | None) -> list[dict[str, Any]]:
    import time  # noqa: PLC0415

    from buoy.durable import schedules  # noqa: PLC0415
    from buoy.durable.store import peek  # noqa: PLC0415
    from buoy.faces.cli import settings  # noqa: PLC0415
    from buoy.gateway.schedules.timetable import told  # noqa: PLC0415

    db = peek(settings(config, bots=False).data_dir)
    try:
        now = time.time()
        return [schedules.told(db, one) | told(one, now) for one in schedules.listing(db)]
    finally:
        db.close()


def _json(value: Any) -> None:
    import json  # noqa: PLC0415

    print(json.dumps(value, ensure_ascii=False, indent=2))


def _local(at: float, zone: str) -> str:
    """A time on the clock of the schedule, for people."""
    from datetime import datetime  # noqa: PLC0415

    from buoy.gateway.schedules.planned import parse_zone  # noqa: PLC0415

    try:
        return f"{datetime.fromtimestamp(at, parse_zone(zone)):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return f"{at:.0f}"


def _through_owner(
    path: Path | None, do: str, asked: dict[str, Any], here: Callable[[App], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Ask the running Buoy; where none runs, do it ``here``, in its place."""
    import asyncio  # noqa: PLC0415

    from buoy.errors import BusyError  # noqa: PLC0415
    from buoy.faces.cli import settings  # noqa: PLC0415
    from buoy.faces.control import ask  # noqa: PLC0415

    config = settings(path)
    told = ask(config.data_dir, do, **asked)
    if told is None:
        try:
            told = asyncio.run(_directly(config, here))
        except BusyError:  # one started in this moment
            told = ask(config.data_dir, do, **asked)
            if told is None:
                raise
    return told


async def _directly(config: Config, here: Callable[[App], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    import time  # noqa: PLC0415

    from buoy.durable.store import Store  # noqa: PLC0415
    from buoy.faces import wiring  # noqa: PLC0415

    store = Store.open(config.data_dir, now=time.time())
    app = wiring.assemble(config, store, wiring.platforms(config, os.environ), {})
    try:
        return await here(app)
    finally:
        await app.stop(deadline_s=config.shutdown.deadline_s)
