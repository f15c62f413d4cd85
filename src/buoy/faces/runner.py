"""`buoy run` and `buoy console`: the process around the gateway: loop, log, locks, exit code."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from buoy.agents import build
from buoy.config import Config
from buoy.faces import channels, planning, wiring
from buoy.faces.log import Log, secrets_of
from buoy.faces.notify import Heartbeat, Notifier
from buoy.gateway.app import App
from buoy.gateway.platform import Platform
from buoy.platforms.console import Console

SWITCH_S = 0.0005  # measured: the thread that commits waits less for its turn, 8 % more round trips
GC_THRESHOLD = (10_000, 20, 20)  # measured: docs/benchmarks.md; memory after a load is the same


def begin_log(config: Config) -> Log:
    """Log from now on as the settings say. Whoever begins it flushes it."""
    log = Log(config.log, secrets_of(config))
    log.install()
    return log


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
    log = begin_log(config)
    notifier = Notifier(environ)
    schedules = planning.of_file(config, time.time())
    answers, ways = wiring.agents(config), channels.build(config.alerts, environ)

    def lines() -> Sequence[Platform]:
        bots = wiring.platforms(config, environ)
        log.veil.asks = lambda: [value for bot in bots for value in bot.hidden()]
        return bots

    with ExitStack() as last, wiring.sockets_locked(config) as locks:
        last.callback(log.flush)

        def start(app: App) -> None:
            app.supervisor.keep("locks", lambda: wiring.renew(locks))
            wiring.tell_operator(app, config, ways, environ)
            if notifier.is_wanted:
                app.supervisor.keep("notify", Heartbeat(notifier, app).run)

        return on_loop(
            lambda after: wiring.serve(
                config,
                lines,
                answers,
                schedules=schedules,
                on_open=lambda: log.keep_in(config.data_dir),
                on_start=start,
                on_stop=lambda: notifier.tell("STOPPING=1", "STATUS=stopping"),
                last_words=log.flush,
                after=after,
            )
        )


def _also(app: App, job: Coroutine[Any, Any, None]) -> None:
    app.supervisor.start(job)


def console(config: Config) -> int:
    """Serve one terminal with the first bot's agent until its input ends."""
    log = begin_log(config)
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
            on_open=lambda: log.keep_in(config.data_dir),
            on_start=lambda app: _also(app, finish(app)),
            last_words=log.flush,
            after=after,
        )

    try:
        return on_loop(main)
    finally:
        log.flush()
