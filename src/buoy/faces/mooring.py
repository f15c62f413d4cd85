"""One gateway in its place: locks and data directory taken, the control socket served, its end written down.

`buoy run` puts a process around it; :class:`buoy.faces.library.Gateway` puts it into a program of somebody else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from buoy.chat import Agent
from buoy.config import Config
from buoy.durable.schedules import Schedule
from buoy.durable.store import Store
from buoy.errors import EXIT_OK, EXIT_REFUSED, BuoyError, StoreError, StoreLostError
from buoy.faces import ending, wiring
from buoy.faces.control import Control
from buoy.gateway.app import App
from buoy.gateway.health import disk
from buoy.gateway.platform import Platform
from buoy.logger import Logger

log = Logger("buoy")


class Mooring:
    """Opened, started and stopped once; what it has taken it gives back, however far it came."""

    def __init__(
        self,
        config: Config,
        answers: Mapping[str, Agent],
        *,
        schedules: Sequence[Schedule] | None = None,
        locks_sockets: bool = True,
    ) -> None:
        """``locks_sockets``: the bots of these settings are connected, which only one process of a machine may do."""
        self.config = config
        self._answers = answers
        self._schedules = schedules
        self._locks_sockets = locks_sockets
        self._held = ExitStack()
        self._store: Store | None = None
        self._app: App | None = None

    @property
    def app(self) -> App:
        """What runs; from :meth:`start` on."""
        assert self._app is not None
        return self._app

    @property
    def is_open(self) -> bool:
        """The data directory is ours, or was until the stop."""
        return self._store is not None

    @property
    def lost(self) -> StoreLostError | None:
        """Why the store can no longer be trusted, if that happened."""
        return self._app.lost.result() if self._app is not None and self._app.lost.done() else None

    def open(self) -> None:
        """Take the locks, and open the store.

        Raises:
            BusyError: another Buoy has the directory or a bot; nothing of its was touched.
            StoreError: the store cannot be opened.
        """
        with ExitStack() as taken:
            if self._locks_sockets:
                self._locks = taken.enter_context(wiring.sockets_locked(self.config))
            try:
                self._store = Store.open(self.config.data_dir, now=time.time())
            except StoreError as error:
                self.record(error.exit_code, str(error))
                raise
            self._held = taken.pop_all()

    async def start(self, lines: Sequence[Platform]) -> App:
        """Run everything, after :meth:`open`. Returns when it runs, which is before a bot is connected.

        Raises:
            BuoyError: it cannot start; stop it all the same.
        """
        assert self._store is not None
        app = self._app = wiring.assemble(self.config, self._store, lines, self._answers, self._schedules)
        app.sections["disk"] = lambda: disk(self.config.data_dir) or {}
        control = self._control = Control(self.config.data_dir, wiring.handlers(app))
        await control.start()
        await app.start()
        if self._locks_sockets:
            app.supervisor.keep("locks", lambda: wiring.renew(self._locks))
        log.info("started", bots=list(app.platforms), data=str(self.config.data_dir), pid=os.getpid())
        return app

    async def stop(self, *, deadline_s: float) -> None:
        """Stop within the deadline and give everything back. May be called however far the start came."""
        log.info("stopping", deadline_s=round(deadline_s, 1))
        try:
            if self._app is not None:
                await self._control.stop()
                await self._app.stop(deadline_s=deadline_s)
            elif self._store is not None:
                await self._store.close(deadline_s)
        finally:
            self._held.close()

    async def abandon(self, timeout_s: float) -> None:
        """Give back what it has taken, where the loop of what ran in it is closed: nothing there can be stopped."""
        try:
            if self._store is not None:
                await self._store.close(timeout_s)
        finally:
            self._held.close()

    async def let_go(self) -> None:
        """After a stop: close what a silent disk kept open then, if the disk has answered since."""
        if self._store is not None:
            await self._store.close(0)

    def ended(self, error: BaseException | None = None) -> int:
        """Write down how it ended, and say it; returns the exit code of a process that has nothing else to do."""
        if (lost := self.lost) is not None:
            self.record(lost.exit_code, str(lost))
            log.error("store lost", error=str(lost))
            return lost.exit_code
        if error is not None:
            code = error.exit_code if isinstance(error, BuoyError) else EXIT_REFUSED
            self.record(code, f"{type(error).__name__}: {error}")
            return code
        self.record(EXIT_OK, ending.IN_ORDER)
        log.info("stopped")
        return EXIT_OK

    def record(self, code: int, why: str) -> None:
        """Leave the exit code and the reason in the data directory."""
        ending.record(self.config.data_dir, code, why)
