"""`buoy run` and `buoy console`: the process around the gateway: loop, log, locks, exit code."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack, suppress
from typing import Any, TextIO, cast

import structlog

from buoy.agents import build
from buoy.config import Config
from buoy.faces import channels, wiring
from buoy.gateway.app import App
from buoy.platforms.console import Console

SWITCH_S = 0.0005  # measured: the thread that commits waits less for its turn, 8 % more round trips
GC_THRESHOLD = (10_000, 20, 20)  # measured: docs/benchmarks.md; memory after a load is the same


class Voice(io.TextIOBase):
    """Standard error, which may go away (a closed pipe, a full disk): a log line is worth no bot."""

    def write(self, text: str) -> int:
        """Say it, if anybody listens."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Let it out."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def log_to_stderr() -> None:
    """One readable line per transition on a terminal, one JSON line elsewhere; standard output stays free."""
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    is_terminal = sys.stderr.isatty()
    last: Any = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*(shared[:2] if is_terminal else shared), last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Voice())),
        cache_logger_on_first_use=True,
    )


def on_loop(main: Callable[[ExitStack], Coroutine[Any, Any, int]]) -> int:
    """Run on uvloop where it is installed (the `speed` extra), else on asyncio's own loop.

    The stack is closed after the loop: what has to watch over its end goes there.
    """
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        from uvloop import new_event_loop  # noqa: PLC0415

        factory = new_event_loop
    gc.collect()
    gc.freeze()  # what was imported stays; a tenth of the time under load went into looking at it again and again
    gc.set_threshold(*GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_S)
    with ExitStack() as after, asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main(after))


def run(config: Config, environ: Mapping[str, str]) -> int:
    """Serve the configured bots until a signal."""
    log_to_stderr()
    answers, ways = wiring.agents(config), channels.build(config.alerts, environ)

    def start(app: App) -> None:
        app.supervisor.keep("locks", lambda: wiring.renew(locks))
        wiring.tell_operator(app, config, ways, environ)

    with wiring.sockets_locked(config) as locks:
        return on_loop(
            lambda after: wiring.serve(
                config,
                lambda: wiring.platforms(config, environ),
                answers,
                on_start=start,
                after=after,
            )
        )


def _also(app: App, job: Coroutine[Any, Any, None]) -> None:
    app.supervisor.start(job)


def console(config: Config) -> int:
    """Serve one terminal with the first bot's agent until its input ends."""
    log_to_stderr()
    first = config.bots[0].agent
    agent = build(first.kind, first.settings())

    async def main(after: ExitStack) -> int:
        ended, read_all = asyncio.Event(), asyncio.Event()
        line = Console(on_end=read_all.set)

        async def finish(app: App) -> None:
            await read_all.wait()
            await app.drained()
            ended.set()

        return await wiring.serve(
            config,
            lambda: [line],
            {line.bot: agent},
            until=ended,
            on_start=lambda app: _also(app, finish(app)),
            after=after,
        )

    return on_loop(main)
