"""How often doctors of this machine logged in as a bot: QQ counts that, and no Buoy does.

Beside the machine's lock, since a doctor may come before there is a data directory. Whoever holds the lock writes.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Final

from buoy.durable.lock import machine_path

KEPT_S: Final = 24 * 60 * 60.0
LIMIT: Final = 64 * 1024


def add(name: str, now: float) -> None:
    """Note one login; a folder that takes no file costs a wrong suspicion at most."""
    times = [*since(name, now - KEPT_S), now]
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(_path(name), flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(times, file)


def since(name: str, at: float) -> list[float]:
    """The logins at ``at`` or later."""
    try:
        with os.fdopen(os.open(_path(name), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            return [float(one) for one in json.loads(file.read(LIMIT)) if float(one) >= at]
    except (OSError, ValueError, TypeError):
        return []


def _path(name: str) -> str:
    return str(machine_path(name).with_suffix(".doctor"))
