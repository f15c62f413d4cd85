"""How a process ended, left in a small file beside the database: also where the database itself is what failed.

Whoever is killed writes nothing. Then the file is older than the last sign of life in the store, and says nothing.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buoy.durable import meta
from buoy.letters import Ended

if TYPE_CHECKING:
    import sqlite3

FILE: Final = "ended.json"
IN_ORDER: Final = "stopped in good order"
NO_WORD: Final = "ended without a word (killed, or the machine went down)"


def record(directory: Path, code: int, why: str) -> None:
    """Leave the exit code and the reason, if the disk takes them."""
    with suppress(OSError):
        scratch = directory / f"{FILE}.new"
        scratch.write_text(json.dumps({"at": time.time(), "code": code, "why": why}, ensure_ascii=False), "utf-8")
        scratch.replace(directory / FILE)


def last(directory: Path, db: sqlite3.Connection) -> Ended | None:
    """How the process before ended; None: none has run."""
    alive_at = meta.get(db, "alive_at", 0.0)  # commands that write come and go without it
    with suppress(OSError, ValueError, KeyError, TypeError):
        left = json.loads((directory / FILE).read_text("utf-8"))
        if left["at"] >= alive_at:
            return Ended(float(left["at"]), int(left["code"]), str(left["why"]))
    return Ended(alive_at, None, NO_WORD) if alive_at else None
