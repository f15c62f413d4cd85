"""Where the `buoy` command begins: one line and an exit code for every error of ours, and a light way into `run`.

`buoy run` lives for months on small machines. Its words are read here, without the command line library, and without
the terminal library: together they would be a quarter of an idle Buoy's memory.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from buoy.errors import BuoyError


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a bot's name that a terminal's encoding lacks is worth no traceback
            stream.reconfigure(errors="backslashreplace")
    try:
        plain = _plain_run(sys.argv[1:])
        if plain is not None:
            sys.exit(_run(plain))
        _command()
    except BuoyError as error:
        print(f"buoy: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _plain_run(words: Sequence[str]) -> tuple[Path | None] | None:
    """The settings file of a plain `buoy run`; None for anything else, which the command line library reads."""
    match words:
        case ["run"]:
            return (None,)
        case ["run", "-c" | "--config", str(path)]:
            return (Path(path),)
    return None


def _run(plain: tuple[Path | None]) -> int:
    from buoy.config import load  # noqa: PLC0415

    config = load(plain[0], os.environ)
    for warning in config.warnings:
        print(f"buoy: warning: {warning}", file=sys.stderr)
    if "rich" not in sys.modules:
        sys.modules["rich"] = cast("Any", None)  # structlog takes it along where it can be imported
        import structlog  # noqa: F401, PLC0415

        del sys.modules["rich"]
    from buoy.faces import runner  # noqa: PLC0415

    return runner.run(config, os.environ)


def _command() -> None:
    """Commands say what became of it in their own words: no log, but for `run` and `console`."""
    import structlog  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    from buoy.faces.cli import app  # noqa: PLC0415

    app()
