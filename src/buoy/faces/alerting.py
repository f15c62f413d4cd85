"""`buoy alerts`: what is wrong and was wrong, and whether the operator can be told."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buoy.errors import EXIT_OK, EXIT_REFUSED, ConfigError

if TYPE_CHECKING:
    from buoy.config import Config

group = typer.Typer(help="Troubles that the operator is told of.", no_args_is_help=False, invoke_without_command=True)

_Settings = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default ./buoy.toml if there.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Limit = Annotated[int, typer.Option(help="At most this many.", min=1)]


@group.callback()
def default(context: typer.Context) -> None:
    """List them, where nothing else is asked for."""
    if context.invoked_subcommand is None:
        listing()


@group.command("list")
def listing(limit: _Limit = 30, config: _Settings = None, as_json: _Json = False) -> None:  # noqa: FBT002  typer
    """List open alerts, then recent ones; works while Buoy is dead."""
    raise typer.Exit(show(_load(config), limit=limit, as_json=as_json))


@group.command("test")
def trial(config: _Settings = None) -> None:
    """Send a test notice through every configured channel. Exit code 0 when all took it, else 1."""
    raise typer.Exit(try_all(_load(config), os.environ))


def _load(path: Path | None) -> Config:
    from buoy.faces.cli import settings  # noqa: PLC0415  it adds this group

    return settings(path, bots=False)


def show(config: Config, *, limit: int, as_json: bool) -> int:
    """Print what the store knows."""
    from rich.table import Table  # noqa: PLC0415

    from buoy.durable import alerts  # noqa: PLC0415
    from buoy.durable.store import peek  # noqa: PLC0415
    from buoy.faces.status import out, when  # noqa: PLC0415
    from buoy.gateway.alerts import notices  # noqa: PLC0415

    language = config.alerts.language
    db = peek(config.data_dir)
    try:
        rows = alerts.listing(db, limit)
        waiting = alerts.queued(db).waiting
    finally:
        db.close()
    if as_json:
        found = [_plain(row) | {"title": notices.title(row.rule, row.subject, language)} for row in rows]
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return EXIT_OK
    table = Table("alert", "since", "ended", "times", "told", "what", "cause", box=None)
    for row in rows:
        table.add_row(
            str(row.id), when(row.since), when(row.ended_at), str(row.times), str(row.told),
            notices.title(row.rule, row.subject, language), notices.cause(row.rule, row.detail, language),
        )  # fmt: skip
    out.print(table if rows else "none")
    if waiting:
        print(f"{waiting} notices wait to be delivered")
    return EXIT_OK


def _plain(row: Any) -> dict[str, Any]:
    names = ("id", "rule", "subject", "since", "ended_at", "detail", "times", "last_at", "told", "told_at")
    return {name: getattr(row, name) for name in names}


def try_all(config: Config, environ: Mapping[str, str]) -> int:
    """Tell each channel, and say what became of it.

    Raises:
        ConfigError: there is none, or one cannot be used.
    """
    from buoy.faces import channels  # noqa: PLC0415
    from buoy.gateway.alerts import delivery, notices  # noqa: PLC0415
    from buoy.gateway.alerts.channel import Channel, ChannelError  # noqa: PLC0415

    ways = channels.build(config.alerts, environ)
    if not ways:
        raise ConfigError("alerts.urls (BUOY_ALERTS): none is set, so nobody is told; write where alerts are to go")
    words, now = notices.tested(config.alerts.language), time.time()

    async def one(way: Channel) -> bool:
        try:
            await delivery.told(way, words, delivery.facts(words.kind, "", "", now, now))
        except ChannelError as error:
            print(f"{way.name}: failed: {error}")
            return False
        print(f"{way.name}: taken")
        return True

    async def all_() -> bool:
        return all([await one(way) for way in ways])

    return EXIT_OK if asyncio.run(all_()) else EXIT_REFUSED
