"""Looks at the Buoys of this machine: what the one of this data directory says, who holds which lock."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from buoy.config import Config
from buoy.durable import checkup, inbox, sessions
from buoy.durable.faults import is_storage
from buoy.durable.history import Span, spans
from buoy.durable.lock import holder, machine_path
from buoy.durable.store import peek
from buoy.errors import BuoyError
from buoy.faces.control import ADDRESS, ask
from buoy.faces.doctor.facts import Records, Running
from buoy.faces.wiring import socket_name

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
DAY_S = 24 * 60 * 60.0
REJECTED = "MESSAGE_AUDIT_REJECT"
BROKEN = frozenset({"down", "blocked"})


def process(config: Config, environ: Mapping[str, str]) -> Running:
    """Ask the running Buoy, if there is one; else see who is in its place."""
    directory = config.data_dir
    own = proxies(environ)
    snapshot, error = None, ""
    try:
        snapshot = ask(directory, "status")
    except (BuoyError, ValueError) as failure:
        error = str(failure)
    except (KeyError, TypeError):
        pass  # control.json is not one of ours: nobody can be asked
    held, is_hidden = None, False
    try:
        held = holder(directory / "lock")
    except OSError:
        is_hidden, error = snapshot is None, ""
    pid = None if snapshot is None else int(snapshot.get("pid", 0))
    sockets = {
        bot.app_id: who
        for bot in config.bots
        if (who := _holder(machine_path(socket_name(bot)))) is not None and not _same(who, pid, held)
    }
    if snapshot is not None and pid is not None:
        return Running(
            snapshot, holder=held, sockets=sockets, proxies=_proxies_of(pid), folder=_folder_of(pid), own_proxies=own
        )
    stale = held is None and not error and not is_hidden and (directory / ADDRESS).exists()
    return Running(None, error, held, is_hidden, stale, sockets, own_proxies=own)


def _same(who: str, pid: int | None, held: str | None) -> bool:
    """Whether the holder of a bot's lock is the Buoy of this data directory."""
    return who == (held if pid is None else f"pid {pid}")


def _holder(path: Path) -> str | None:
    try:
        return holder(path)
    except OSError:
        return None


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables that are set, without user and password."""
    told = {}
    for name in VARIABLES:
        value = environ.get(name) or environ.get(name.upper()) or ""
        if value.strip():
            told[name] = value.strip() if name == "no_proxy" else _place(value.strip())
    return told


def _place(text: str) -> str:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}" if url.hostname else "not readable"
    except ValueError:
        return "not readable"


def _proxies_of(pid: int) -> dict[str, str] | None:
    """The proxy variables that a process was started with, where the system tells them."""
    if sys.platform != "linux":
        return None
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return proxies(dict(pair.split("=", 1) for pair in pairs if "=" in pair))


def _folder_of(pid: int) -> Path | None:
    """The working folder of a process, where the system tells it."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink()
    return None


def records(directory: Path, now: float, bots: tuple[str, ...]) -> Records | None:
    """Read what the last day left in the database; None: it cannot be read, and the look at the file says why."""
    try:
        db = peek(directory)
    except BuoyError:
        return None
    since = now - DAY_S
    try:
        return Records(
            letters=tuple(checkup.letters(db, since)),
            trying=tuple(checkup.trying(db)),
            reworded=tuple(checkup.reworded(db, since)),
            latencies_s=tuple(checkup.latencies(db, since)),
            turns=tuple(checkup.turns(db, since)),
            rejected=checkup.events(db, REJECTED, since),
            gaps=tuple(gap._asdict() for gap in inbox.gaps(db, limit=200) if gap.to_at >= since),
            identifies={bot: sessions.identifies_since(db, bot, since) for bot in bots},
            breaks=_breaks(spans(db, since, now)),
        )
    except Exception as error:
        if not is_storage(error):
            raise
        return None
    finally:
        db.close()


def _breaks(told: list[Span]) -> tuple[tuple[str, float, str], ...]:
    """Each time that a bot which was up went down, or was blocked: bot, when, why; oldest first."""
    return tuple(
        (span.bot, span.from_at, span.cause)
        for before, span in pairwise(told)
        if (span.bot, span.shard, before.state) == (before.bot, before.shard, "up") and span.state in BROKEN
    )


def session_age(directory: Path, bot: str, shard: int) -> float | None:
    """Seconds since the last sign of life of the session that a start would resume; None: there is none."""
    try:
        db = peek(directory)
    except BuoyError:
        return None
    try:
        known = sessions.cursor(db, bot, shard)
        return None if known is None else max(0.0, time.time() - known.updated_at)
    finally:
        db.close()


def forget_address(directory: Path) -> bool:
    """Remove the control address that a dead Buoy left; False: one may live."""
    path = directory / ADDRESS
    if _holder(directory / "lock") is not None:
        return False
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        pass  # torn: nobody can use it either
    except OSError:
        return False
    with suppress(KeyError, TypeError):  # not one of ours
        if ask(directory, "status") is not None:
            return False
    path.unlink(missing_ok=True)
    return True
