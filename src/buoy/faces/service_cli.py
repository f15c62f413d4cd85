"""The commands that put Buoy on a machine and read its log: `setup`, `install`, `uninstall`, `logs`."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from buoy.errors import ConfigError

_File = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default ./buoy.toml.")]


class Level(StrEnum):
    """Levels of log lines, the least first."""

    DEBUG, INFO, WARNING, ERROR = "debug", "info", "warning", "error"


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option("--lines", "-n", help="How many of the newest lines.", min=0)] = 50,
    level: Annotated[Level, typer.Option(help="Only lines of this level or worse.")] = Level.DEBUG,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are.")] = False,
    config: _File = None,
) -> None:
    """Show the newest lines of the log; works while Buoy is dead."""
    from buoy.faces import logs as reader  # noqa: PLC0415
    from buoy.faces.cli import settings  # noqa: PLC0415

    folder = settings(config, bots=False).data_dir
    raise typer.Exit(reader.logs(folder, count=count, follow=follow, as_is=as_json, level=level.value))


def setup(
    config: _File = None,
    app_id: Annotated[str | None, typer.Option("--app-id", help="The bot's AppID; also QQ_APP_ID.")] = None,
    secret: Annotated[
        str | None, typer.Option("--secret", help="Only -: the AppSecret comes from standard input.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="A file with the AppSecret, which the settings then name.")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent", help="echo, openai, http:URL, hermes, acp:PROGRAM, command:PROGRAM or python:MODULE:FUNCTION."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="openai: which model.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="openai: another endpoint.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Folder for the database and logs.")] = None,
    api_base: Annotated[str | None, typer.Option("--api-base", help="Another API host, such as the sandbox's.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: defaults, or an error.")] = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not ask QQ whether it is right.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file; a copy is kept.")] = False,
) -> None:
    """Ask for AppID and secret, check them at QQ, and write buoy.toml.

    Exit codes: 0 written, 1 QQ refused or could not be asked, 2 bad usage; nothing is written unless 0.
    """
    from buoy.config import DEFAULT_FILE  # noqa: PLC0415
    from buoy.faces.setup import Answers, Manner  # noqa: PLC0415
    from buoy.faces.setup import setup as begin  # noqa: PLC0415

    if secret not in {None, "-"}:
        raise ConfigError(
            "--secret: every user of this machine can read a command line; write --secret - (standard input) "
            "or --secret-file FILE, and reset a secret that was shown"
        )
    if secret and secret_file:
        raise ConfigError("--secret and --secret-file: only one of the two")
    if secret:
        secret = sys.stdin.readline().strip()
        if not secret:
            raise ConfigError("--secret -: standard input is empty; write the AppSecret there")
    file = Path.cwd() / (config or Path(os.environ.get("BUOY_CONFIG") or DEFAULT_FILE)).expanduser()
    given = Answers(app_id, secret, secret_file, agent, model, base_url, api_base=api_base, data_dir=data_dir)
    manner = Manner(file, asks=not yes and sys.stdin.isatty(), checks=not no_check, replaces=force)
    raise typer.Exit(begin(given, manner, os.environ))


_System = Annotated[
    bool | None, typer.Option("--system/--user", help="For the machine, or for you; default: system for root.")
]


def install(
    config: _File = None,
    system: _System = None,
    show: Annotated[bool, typer.Option("--print", help="Only show the unit.")] = False,
    now: Annotated[bool, typer.Option("--now/--no-start", help="Start it at once.")] = True,
) -> None:
    """Run Buoy with the machine: write, enable and start a systemd unit, and say each step."""
    from buoy.faces import installing  # noqa: PLC0415

    is_system = _is_root() if system is None else system
    raise typer.Exit(installing.install(config, os.environ, is_system=is_system, shows=show, starts=now))


def uninstall(system: _System = None) -> None:
    """Stop and remove what `buoy install` made; settings and data stay."""
    from buoy.faces import installing  # noqa: PLC0415

    raise typer.Exit(installing.uninstall(os.environ, is_system=_is_root() if system is None else system))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
