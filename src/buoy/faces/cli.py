"""The commands: parse, call, print, exit code. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buoy import __version__
from buoy.faces import alerting, hermes_cli, schedule, service_cli

if TYPE_CHECKING:
    from buoy.config import Config

app = typer.Typer(
    name="buoy",
    help="Keeps an AI agent reachable on QQ: nothing is lost, nothing ends silently.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Settings = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default ./buoy.toml if there.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(path: Path | None, *, bots: bool = True, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the settings, warnings to stderr."""
    from buoy.config import load  # noqa: PLC0415

    config = load(path, environ, bots=bots)
    for warning in config.warnings:
        print(f"buoy: warning: {warning}", file=sys.stderr)
    return config


@app.command()
def run(config: _Settings = None) -> None:
    """Connect the configured bots and answer until stopped (SIGTERM, Ctrl-C)."""
    loaded = settings(config)
    from buoy.faces import runner  # noqa: PLC0415

    raise typer.Exit(runner.run(loaded, os.environ))


@app.command()
def console(config: _Settings = None) -> None:
    """Talk to the configured agent here in the terminal; no QQ involved."""
    loaded = settings(config, environ={"QQ_APP_ID": "console", "QQ_CLIENT_SECRET": "-", **os.environ})
    from buoy.faces import runner  # noqa: PLC0415

    raise typer.Exit(runner.console(loaded))


@app.command()
def demo(
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Type as the QQ user; pull the plug.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long the conversation goes on.")] = 20.0,
) -> None:
    """Run Buoy with the echo agent against the simulated QQ that ships with it, through an outage."""
    from buoy.faces import demo as show  # noqa: PLC0415

    raise typer.Exit(show.main(interactive=interactive, seconds=seconds))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def sim(context: typer.Context) -> None:
    """Serve the simulated QQ platform alone, for any bot (see `buoy sim --help`)."""
    from buoy.sim.__main__ import main as serve  # noqa: PLC0415

    raise typer.Exit(serve(context.args))


@app.command()
def send(
    target: Annotated[str, typer.Argument(help="qq:c2c:<openid>, qq:group:<group_openid>, ... [@<bot>]")],
    text: Annotated[str, typer.Argument(help="What to send; - reads standard input.")],
    key: Annotated[str | None, typer.Option("--key", help="Names the message: the same key is sent once.")] = None,
    config: _Settings = None,
) -> None:
    """Send one message; works with and without a running gateway.

    Exit codes: 0 sent, 75 queued or held, 70 unsure, 1 refused, 2 bad usage.
    """
    from buoy.faces import sending  # noqa: PLC0415

    words = sys.stdin.read() if text == "-" else text
    raise typer.Exit(sending.send(settings(config), os.environ, target, words, key=key))


@app.command()
def status(
    config: _Settings = None,
    as_json: _Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again each second, until Ctrl-C.")] = False,
) -> None:
    """Show how Buoy is; works while it is dead.

    Exit codes: 0 it receives and can deliver, 1 it runs and cannot, 3 it does not run.
    """
    from buoy.faces import status as show  # noqa: PLC0415

    raise typer.Exit(show.status(settings(config, bots=False).data_dir, as_json=as_json, watch=watch))


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe: file modes, a missing folder.")] = False,
    connect: Annotated[
        bool | None,
        typer.Option("--connect/--no-connect", help="Try a session at QQ; default: where it can harm nobody."),
    ] = None,
    config: _Settings = None,
    as_json: _Json = False,
) -> None:
    """Find out what is wrong, and say what to do. Exit code 0 when there is no fault, else 1."""
    from buoy.faces.doctor import command  # noqa: PLC0415

    raise typer.Exit(command.main(config, os.environ, as_json=as_json, fix=fix, connect=connect))


@app.command()
def trace(
    name: Annotated[str, typer.Argument(help="Message id, row (in/7, out/9) or letter key.")],
    config: _Settings = None,
    as_json: _Json = False,
) -> None:
    """Tell every step that one message took."""
    from buoy.faces import reading  # noqa: PLC0415

    raise typer.Exit(reading.trace(settings(config, bots=False).data_dir, name, as_json=as_json))


def _rows(kind: str, about: str, states: str) -> None:
    """Add `buoy KIND list|show|retry|drop`; the three differ in their rows only."""
    group = typer.Typer(help=about, no_args_is_help=False, invoke_without_command=True)

    @group.callback()
    def default(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            listing()

    @group.command("list", help=f"List rows, newest first. States: {states}.")
    def listing(
        state: Annotated[str | None, typer.Option(help="Only this state.")] = None,
        limit: Annotated[int, typer.Option(help="At most this many.", min=1)] = 30,
        config: _Settings = None,
        as_json: _Json = False,
    ) -> None:
        from buoy.faces import reading  # noqa: PLC0415

        folder = settings(config, bots=False).data_dir
        raise typer.Exit(reading.rows(folder, kind, state=state, limit=limit, as_json=as_json))

    @group.command("show", help="Show one row whole.")
    def show(
        row: Annotated[str, typer.Argument(help="As the list shows it: in/7 or out/9.")],
        config: _Settings = None,
        as_json: _Json = False,
    ) -> None:
        from buoy.faces import reading  # noqa: PLC0415

        raise typer.Exit(reading.show(settings(config, bots=False).data_dir, kind, row, as_json=as_json))

    @group.command("retry", help="Try a row again that ended or is held.")
    def retry(
        row: Annotated[str, typer.Argument(help="As the list shows it: in/7 or out/9.")],
        config: _Settings = None,
    ) -> None:
        from buoy.faces import reading  # noqa: PLC0415

        raise typer.Exit(reading.act(settings(config, bots=False).data_dir, kind, "retry", row))

    @group.command("drop", help="Give a row up that is not under way.")
    def drop(
        row: Annotated[str, typer.Argument(help="As the list shows it: in/7 or out/9.")],
        config: _Settings = None,
    ) -> None:
        from buoy.faces import reading  # noqa: PLC0415

        raise typer.Exit(reading.act(settings(config, bots=False).data_dir, kind, "drop", row))

    app.add_typer(group, name=kind)


_rows("inbox", "Received messages and their turns.", "stored, waiting, running, done, dead")
_rows("outbox", "Letters to send.", "queued, claimed, sent, held, unsure, dead, merged, dropped")
_rows("deadletter", "Turns and letters that ended without success.", "dead, unsure")


app.add_typer(alerting.group, name="alerts")
app.add_typer(schedule.group, name="schedule")
app.add_typer(hermes_cli.group, name="hermes")
for command in (service_cli.setup, service_cli.install, service_cli.uninstall, service_cli.logs):
    app.command()(command)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Take the options that belong to no command."""
    if show:
        print(f"buoy {__version__}")
        raise typer.Exit
