"""Looks at this machine: the data directory and its disk, the database file, the port of the status page."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from buoy.durable import checkup, schema
from buoy.durable.faults import is_storage
from buoy.faces.doctor.facts import Database, Folder, Port

PAGES_S: Final = 4.0  # every page of a large database takes longer; what was found so far is told
LISTEN: Final = "0A"  # a listening socket, in /proc/net/tcp


def folder(path: Path) -> Folder:
    """Look at the data directory without changing it; a scratch file comes and goes."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        above = next((parent for parent in path.parents if parent.exists()), Path("/"))
        error = "" if os.access(above, os.W_OK | os.X_OK) else f"{above} does not let this user make a folder in it"
        return Folder(path, exists=False, error=error)
    except OSError as error:
        return Folder(path, error=error.strerror or str(error))
    if not path.is_dir():
        return Folder(path, error="it is no folder")
    usage = shutil.disk_usage(path)
    known = Folder(path, mode=mode, free_bytes=usage.free, total_bytes=usage.total)
    try:
        handle, name = tempfile.mkstemp(prefix=checkup.PROBE, dir=path)
        try:
            os.write(handle, bytes(4096))
        finally:
            os.close(handle)
            os.unlink(name)  # noqa: PTH108
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return Folder(path, mode=mode, free_bytes=0, total_bytes=usage.total)
        return Folder(path, mode=mode, error=error.strerror or str(error))
    if closed := _closed(path):
        return Folder(path, mode=mode, error=closed)
    if (path / schema.FILE).exists() or usage.free < 1 << 20:
        return known
    wal_error = checkup.can_wal(path)
    return Folder(path, mode=mode, wal_error=wal_error, free_bytes=usage.free, total_bytes=usage.total)


def _closed(directory: Path) -> str:
    """Say which of Buoy's files this user may not write, such as those of a `buoy run` by root; "" for none."""
    for name in (schema.FILE, f"{schema.FILE}-wal", f"{schema.FILE}-shm", "lock"):
        path = directory / name
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            return f"{name} belongs to another user ({_owner(path)})"
    return ""


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, NotImplementedError):
        return f"uid {path.stat().st_uid}"


def database(directory: Path) -> Database | None:
    """Look at the database file; nothing is written, and no lock is taken. None: this user may not."""
    path, known = directory / schema.FILE, len(schema.STEPS)
    try:
        if not path.exists() or path.stat().st_size == 0:
            return Database(present=False, known=known)
        if not os.access(directory, os.W_OK | os.X_OK) or _closed(directory):
            return None  # SQLite reads none in a folder that it may not write; the look at the folder says so
        head = checkup.header(path)
        if not head.ours or head.version > known:
            return Database(present=True, ours=head.ours or not head.tables, version=head.version, known=known)
        damage = checkup.damage(path, PAGES_S)
    except PermissionError:
        return None
    except OSError as error:
        return Database(present=True, known=known, error=error.strerror or str(error))
    except Exception as error:
        if not is_storage(error):
            raise
        return Database(present=True, known=known, error=str(error))
    return Database(present=True, version=head.version, known=known, damage=damage)


def port(host: str, number: int, pid: int | None) -> Port:
    """Try whether the status page could listen. ``pid``: the Buoy of this data directory, which may have it."""
    address = f"{host}:{number}"
    if not number:
        return Port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, number))
            sock.listen(1)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Port(address, error=error.strerror or str(error))
        who = listener(number)
        if who is not None and who[0] == pid:
            return Port(address, is_ours=True)
        named = "" if who is None else f"pid {who[0]} ({who[1]})"
        return Port(address, error=error.strerror or str(error), holder=named)
    return Port(address)


def listener(number: int, proc: Path = Path("/proc")) -> tuple[int, str] | None:
    """Find who listens on a port, where the system tells it (Linux, for processes that we may look into)."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTEN and int(words[1].rpartition(":")[2], 16) == number:
                    inodes.add(f"socket:[{words[9]}]")
    if not inodes:
        return None
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):
            for link in (process / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(link) in inodes:  # noqa: PTH115  a socket is no path
                        return int(process.name), _name(process)
    return None


def _name(process: Path) -> str:
    with suppress(OSError):
        return re.sub(r"[^\w .:/-]", "?", (process / "comm").read_text().strip())
    return "?"
