"""What systemd is told: ready, the states in one line, stopping, and the watchdog's food, which only progress earns.

The protocol (sd_notify(3), read 2026-11-25) is one datagram of NAME=VALUE lines to the socket that NOTIFY_SOCKET names.

A Buoy that cannot reach QQ is ready all the same: it keeps what is said to it and goes on trying, and a manager that
waited for QQ would kill it in every long outage. What the manager must end is a process that gets nothing done.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from buoy.gateway.app import App

LOOK_S: Final = 1.0  # how soon a change of state is told
READY_S: Final = 30.0  # longest wait for the first attempts; TimeoutStartSec of the units is 900
SHARE: Final = 3  # food comes three times in a watchdog's interval (sd_watchdog_enabled(3) advises two)
LINE: Final = 300  # characters of STATUS=


class Notifier:
    """One process's way to its service manager. Never raises and never waits; without a manager it does nothing."""

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        self._address = address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = watchdog_s(environ, os.getpid() if pid is None else pid)
        """Silence after which the manager ends this process; None: it does not watch."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody listens."""
        return self._address is not None

    def tell(self, *lines: str) -> bool:
        """Send these lines as one datagram; False where it did not leave, and may be sent again."""
        if self._address is None:
            return False
        data = "\n".join(" ".join(line.splitlines()) for line in lines).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.setblocking(False)
                return link.sendto(data, self._address) == len(data)
        except (OSError, ValueError):
            return False


def address(text: str) -> str | bytes | None:
    """Where to send to: a path, or an abstract name, which is written with an @; None for what cannot be one."""
    if not hasattr(socket, "AF_UNIX") or "\0" in text:
        return None
    if text.startswith("/"):
        return text
    return b"\0" + os.fsencode(text[1:]) if text.startswith("@") and len(text) > 1 else None


def watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Read the manager's patience, if it is meant for this process."""
    with suppress(ValueError):
        micros = int(environ.get("WATCHDOG_USEC", ""))
        if micros > 0 and int(environ.get("WATCHDOG_PID", pid)) == pid:
            return micros / 1e6
    return None


# --- deciding --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """What progress is read from. That anybody could read it says that the loop turns."""

    answered: int
    """Jobs that the disk has taken or refused so far. A full disk refuses at once: no restart would help it."""
    waiting: int
    """Jobs that wait for the disk."""
    services: int
    """Services that ought to run."""
    kept: int
    """Services that run, or wait for their next start."""


def has_progress(fed: Facts, now: Facts) -> bool:
    """Whether the process has done its work since the watchdog was last fed."""
    return (now.waiting == 0 or now.answered > fed.answered) and now.kept >= now.services


def was_tried(bot: Mapping[str, Any]) -> bool:
    """Whether a bot's first attempt has ended, either way, or waits for a reason that outlived the last process."""
    failed = bool(bot.get("attempt")) or bot.get("cause") is not None
    return bool(bot.get("connected")) or failed or bot.get("phase") in {"blocked", "waiting", "ended"}


def is_ready(bots: Iterable[Mapping[str, Any]], waited_s: float) -> bool:
    """Whether the service counts as started."""
    return waited_s >= READY_S or all(was_tried(bot) for bot in bots)


def in_words(bots: Mapping[str, Mapping[str, Any]]) -> str:
    """The states in one line, which stays the same as long as they do."""
    up = sum(bool(bot.get("connected")) for bot in bots.values())
    parts = [f"{up} of {len(bots)} bots connected"]
    for name, bot in bots.items():
        if not bot.get("connected"):
            why = next((str(bot[key]) for key in ("remedy", "cause") if bot.get(key)), "")
            parts.append(f"{name} {bot['state']}{f' ({why})' if why else ''}")
    return "; ".join(parts)[:LINE]


# --- acting ----------------------------------------------------------------------------------------------------


class Heartbeat:
    """The service that tells the manager; the supervisor keeps it."""

    def __init__(
        self,
        notifier: Notifier,
        app: App,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._notifier = notifier
        self._app = app
        self._clock = clock or asyncio.get_running_loop().time
        self._began = self._clock()
        self._is_ready = False
        self._status = ""
        self._fed = self._facts()
        self._fed_at = -float("inf")

    async def run(self) -> None:
        """Look, and tell what has changed; for ever."""
        patience = self._notifier.watchdog_s
        while True:
            self.look()
            await asyncio.sleep(LOOK_S if patience is None else min(LOOK_S, patience / SHARE / 2))

    def look(self) -> None:
        """Tell what has to be told now."""
        bots = {name: platform.health() for name, platform in self._app.platforms.items()}
        status = in_words(bots)
        if not self._is_ready and is_ready(bots.values(), self._clock() - self._began):
            self._is_ready = self._notifier.tell("READY=1", f"STATUS={status}")
            self._status = status if self._is_ready else ""
        elif status != self._status and self._notifier.tell(f"STATUS={status}"):
            self._status = status
        self._feed()

    def _feed(self) -> None:
        patience, now = self._notifier.watchdog_s, self._clock()
        if patience is None or now - self._fed_at < patience / SHARE:
            return
        facts = self._facts()
        if has_progress(self._fed, facts) and self._notifier.tell("WATCHDOG=1"):
            self._fed, self._fed_at = facts, now

    def _facts(self) -> Facts:
        stats, supervisor = self._app.store.stats, self._app.supervisor
        return Facts(stats.jobs + stats.failed, stats.waiting, len(supervisor.children), supervisor.kept)
