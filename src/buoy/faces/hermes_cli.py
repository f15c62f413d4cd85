"""`buoy hermes ...`: the plugin for Hermes Agent, switched on and off and looked at in an existing Hermes home."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buoy.errors import ConfigError

if TYPE_CHECKING:
    from buoy.faces.hermes_home.host import Told

group = typer.Typer(help="Hermes Agent: switch the plugin on in its home, undo that, look at it.", no_args_is_help=True)

_Home = Annotated[Path | None, typer.Option("--home", help="The Hermes home; default HERMES_HOME, else ~/.hermes.")]
_Hermes = Annotated[
    Path | None, typer.Option("--hermes", help="The `hermes` command, or its Python; default: beside Buoy, else PATH.")
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_Dry = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.command()
def install(
    as_qqbot: Annotated[
        bool,
        typer.Option("--as-qqbot", help="Take the builtin's name: sessions, targets and lists stay where they are."),
    ] = False,
    app_id: Annotated[str | None, typer.Option("--app-id", help="The bot's AppID, where Hermes has none yet.")] = None,
    secret: Annotated[
        str | None, typer.Option("--secret", help="Only -: the AppSecret comes from standard input.")
    ] = None,
    yes: _Yes = False,
    dry_run: _Dry = False,
    home: _Home = None,
    hermes: _Hermes = None,
) -> None:
    """Switch the plugin on: shows a diff, asks, keeps copies. The bot of Hermes' own adapter is taken over.

    Exit codes: 0 done, 1 not wanted or not read so by Hermes, 2 it cannot be done; nothing is changed unless 0.
    """
    from buoy.faces.hermes_home import host  # noqa: PLC0415

    if secret not in {None, "-"}:
        raise ConfigError(
            "--secret: every user of this machine can read a command line; write --secret - (standard input), and "
            "reset "
            "a secret that was shown"
        )
    folder, told = _begin(home, hermes)
    if not host.is_ours(told.python):
        if not told.buoy:
            raise ConfigError(f"Hermes runs with {told.python}, and Buoy is not there: {told.install}")
        words = [*(["--as-qqbot"] if as_qqbot else []), *(["--app-id", app_id] if app_id else [])]
        words += [*(["--secret", "-"] if secret else []), *(["--yes"] if yes else [])]
        _hand_over(told, "install", folder, [*words, *(["--dry-run"] if dry_run else [])])
    if not told.hermes:
        raise ConfigError(f"{told.python} has no hermes-agent: name the command with --hermes PATH")
    if host.is_too_old(told.hermes):
        raise ConfigError(f"hermes-agent {told.hermes} is too old for the plugin, which needs 0.13: hermes update")
    from buoy.faces.hermes_home import switching  # noqa: PLC0415
    from buoy.faces.hermes_home.plan import Wish  # noqa: PLC0415
    from buoy.faces.hermes_home.taking import CREDENTIALS  # noqa: PLC0415

    if secret:
        secret = sys.stdin.readline().strip()
        if not secret:
            raise ConfigError("--secret -: standard input is empty; write the AppSecret there")
    old_names = set() if as_qqbot else {names[0] for names in CREDENTIALS.values()}
    bare = {name: value for name, value in os.environ.items() if name not in old_names}
    manner = switching.Manner(folder, not yes, dry_run, lambda: host.ask(told.python, folder, bare))
    raise typer.Exit(switching.install(Wish(as_qqbot, app_id, secret), manner, os.environ))


@group.command()
def uninstall(yes: _Yes = False, dry_run: _Dry = False, home: _Home = None, hermes: _Hermes = None) -> None:
    """Undo `buoy hermes install`: files as they were, or without our changes where others changed them since."""
    from buoy.faces.hermes_home import host  # noqa: PLC0415

    folder, told = _begin(home, hermes)
    if not host.is_ours(told.python) and told.buoy:
        _hand_over(told, "uninstall", folder, [*(["--yes"] if yes else []), *(["--dry-run"] if dry_run else [])])
    try:
        from buoy.faces.hermes_home import switching  # noqa: PLC0415
    except ImportError:
        raise ConfigError(f"Buoy is not in Hermes' environment any more: {told.install}, then again") from None
    raise typer.Exit(switching.uninstall(switching.Manner(folder, not yes, dry_run)))


@group.command()
def status(as_json: _Json = False, home: _Home = None, hermes: _Hermes = None) -> None:
    """Show whether the plugin is there, on, configured and connected.

    Exit codes: 0 connected and able to deliver, 1 the gateway runs and it is not, 3 no gateway runs with it.
    """
    from buoy.faces.hermes_home import host  # noqa: PLC0415

    folder, told = _begin(home, hermes)
    if not host.is_ours(told.python):
        if not told.buoy:
            from buoy.faces.hermes_home import telling  # noqa: PLC0415

            raise typer.Exit(telling.missing(told, as_json=as_json))
        _hand_over(told, "status", folder, ["--json"] if as_json else [])
    from buoy.faces.hermes_home import looking, telling  # noqa: PLC0415

    facts = looking.look(folder, host.ask(told.python, folder, os.environ), os.environ)
    raise typer.Exit(telling.status(facts, as_json=as_json))


@group.command()
def doctor(as_json: _Json = False, home: _Home = None, hermes: _Hermes = None) -> None:
    """Find out what is wrong with the plugin in Hermes, and say what to do. Exit code 0: no fault, else 1."""
    from buoy.faces.hermes_home import host  # noqa: PLC0415

    folder, told = _begin(home, hermes)
    if not host.is_ours(told.python) and told.buoy:
        _hand_over(told, "doctor", folder, ["--json"] if as_json else [])
    from buoy.faces.hermes_home import examining  # noqa: PLC0415

    raise typer.Exit(examining.doctor(folder, told, os.environ, as_json=as_json))


def _begin(home: Path | None, hermes: Path | None) -> tuple[Path, Told]:
    """The Hermes home, and what the Python that runs Hermes says of itself."""
    from buoy.faces.hermes_home import files, host  # noqa: PLC0415

    python = host.python_of(os.environ, hermes)
    folder = files.home_of(home, os.environ)
    return folder, host.ask(python, folder, os.environ, reads_config=False)


def _hand_over(told: Told, command: str, home: Path, words: list[str]) -> None:
    """Let the Buoy do it that lies beside Hermes: what is there counts."""
    from buoy.faces.hermes_home import host  # noqa: PLC0415

    raise typer.Exit(host.hand_over(told.python, [command, "--home", str(home), *words], os.environ))
