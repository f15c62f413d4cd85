"""`buoy run` and `buoy console`: the process around the gateway: loop, log, locks, exit code."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from buoy.agents import build
from buoy.config import Config
from buoy.faces import channels, planning, wiring
from buoy.faces.log import Log, secrets_of
from buoy.faces.mooring import Mooring
from buoy.faces.notify import Heartbeat, Notifier
from buoy.faces.process import serve
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

    mooring = Mooring(config, answers, schedules=schedules)

    def lines() -> Sequence[Platform]:
        bots = wiring.platforms(config, environ)
        log.veil.asks = lambda: [value for bot in bots for value in bot.hidden()]
        return bots

    @contextmanager
    def beside(app: App) -> Iterator[None]:
        wiring.tell_operator(app, config, ways, environ)
        if notifier.is_wanted:
            app.supervisor.keep("notify", Heartbeat(notifier, app).run)
        yield
        notifier.tell("STOPPING=1", "STATUS=stopping")

    try:
        return on_loop(lambda after: serve(mooring, lines, beside=beside, said=log, after=after))
    finally:
        log.flush()


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

        @contextmanager
        def beside(app: App) -> Iterator[None]:
            app.supervisor.start(finish(app))
            yield

        mooring = Mooring(config, {line.bot: agent}, locks_sockets=False)
        return await serve(mooring, lambda: [line], beside=beside, until=ended, said=log, after=after)

    try:
        return on_loop(main)
    finally:
        log.flush()
