"""A process around one gateway: it hears signals, is watched, serves the page, and ends with an exit code in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING

from buoy.faces.mooring import Mooring
from buoy.gateway.app import App
from buoy.gateway.platform import Platform
from buoy.gateway.watch import Watch
from buoy.logger import Logger

if TYPE_CHECKING:
    from buoy.faces.log import Log
    from buoy.faces.web.server import Web

log = Logger("buoy")


async def serve(
    mooring: Mooring,
    lines: Callable[[], Sequence[Platform]],
    *,
    beside: Callable[[App], AbstractContextManager[None]] = lambda _: nullcontext(),
    until: asyncio.Event | None = None,
    said: Log | None = None,
    after: ExitStack | None = None,
) -> int:
    """Run until a signal, or until ``until`` is set; returns the exit code. ``lines`` is called inside the loop.

    ``beside`` is entered when the gateway runs and left when its end begins. ``said`` is the log: its file begins when
    the data directory is ours, and on a thread of its own it is flushed when the process has to end at once, so that
    it has what is printed too, see :class:`Watch`.

    ``after`` is closed by the caller when the loop is closed: until then the deadline of the shutdown holds, because a
    task that swallows its cancellation can keep a loop from closing. Without it the deadline ends with this function.

    Raises:
        StoreError, BusyError: the store cannot be opened, or a lock is another's; nothing was started.
    """
    config, ended = mooring.config, until or asyncio.Event()

    def leave_at_once(code: int, why: str) -> None:
        mooring.record(code, why)
        log.error("ended at once", code=code, reason=why)
        if said is not None:
            said.flush()

    watch = Watch(
        ended.set, deadline_s=config.shutdown.deadline_s, stuck_s=config.watch.stuck_s, last_words=leave_at_once
    )
    mooring.open()
    if said is not None:
        said.keep_in(config.data_dir)
    watch.start()
    try:
        app = await mooring.start(lines())
        app.sections["loop"] = lambda: {"lag_s": round(watch.lag_s, 3), "max_lag_s": round(watch.max_lag_s, 3)}
        web = _web(mooring, app)
        app.lost.add_done_callback(lambda _: ended.set())
        with beside(app):
            await ended.wait()
            if mooring.lost is not None:
                watch.begin_shutdown(mooring.lost.exit_code, str(mooring.lost))
            watch.begin_shutdown()
        if web is not None:
            await web.stop()
        await mooring.stop(deadline_s=watch.remaining_s)
    except Exception as error:
        watch.begin_shutdown(mooring.ended(error), f"{type(error).__name__}: {error}")
        with suppress(Exception):  # what went wrong first is what is said
            await mooring.stop(deadline_s=watch.remaining_s)
        raise
    finally:
        watch.begin_shutdown()
        if after is None:
            watch.stop()
        else:
            after.callback(watch.stop)
    return mooring.ended()


def _web(mooring: Mooring, app: App) -> Web | None:
    """Serve the page and its API beside the gateway, where the settings want that."""
    config = mooring.config
    if config.web.address is None:
        return None
    from buoy.faces.web.server import Web  # noqa: PLC0415  who serves no page needs none of it in memory

    web = Web(app, config.web, config.data_dir, deadline_s=config.shutdown.deadline_s)
    app.sections["web"] = web.told
    for name, service in web.services.items():
        app.supervisor.keep(name, service)
    return web
