"""Locks between processes: one per data directory, one per name on the machine. They end with the holder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from buoy.errors import BusyError, StoreError

_LOCKED_BYTE = 1 << 30  # Windows locks bytes, not files: one far behind the pid, which stays readable
GLANCE_S = 0.02  # far longer than `holder` has a lock that it only looks at


class Lock:
    """An exclusive lock on one file, until `release` or the end of the process. The file holds the pid.

    The lock belongs to the open file: a child made by ``fork`` without ``exec`` would share it.
    """

    def __init__(self, path: Path, busy: str, mode: int = 0o600) -> None:
        """Take the lock or fail, after :data:`GLANCE_S`.

        Raises:
            BusyError: another process has it; ``busy`` with ``{holder}`` filled in (``pid 123``).
            StoreError: the file cannot be opened or written.
        """
        self.path = path
        try:
            self._fd = _open(path, mode)
        except OSError as error:
            raise StoreError(f"cannot open the lock {path}: {error.strerror}; check who owns it") from error
        try:
            _lock_soon(self._fd)
        except OSError as error:
            named = _named(self._fd)
            os.close(self._fd)
            raise BusyError(busy.format(holder=named)) from error
        try:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.write(self._fd, b"%d\n" % os.getpid())
        except OSError as error:
            self.release()
            raise StoreError(f"cannot write the lock {path}: {error.strerror}; free space on its disk") from error

    def touch(self) -> None:
        """Renew the file's times: once a day keeps cleaners of temporary folders away from it."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Give the lock back. The file stays: without it two processes could lock two files of one name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def lock_directory(directory: Path) -> Lock:
    """Lock a data directory for this process.

    Raises:
        BusyError: another process has it.
    """
    return Lock(
        directory / "lock",
        f"the data directory {directory} is in use ({{holder}}): stop that Buoy, or give this one another data_dir",
    )


def lock_machine(name: str, busy: str, directory: Path | None = None) -> Lock:
    """Lock ``name`` against every process of this machine, whoever runs it.

    ``busy`` is the text of the BusyError, with ``{holder}`` in it. The file lies in a folder that all users
    share, or in ``directory``. A container or a private /tmp is a machine of its own.
    """
    return Lock(machine_path(name, directory), busy, 0o666)


def machine_path(name: str, directory: Path | None = None) -> Path:
    """Where the lock of a name lies."""
    if directory is None:
        directory = Path(tempfile.gettempdir() if sys.platform == "win32" else "/tmp")  # noqa: S108  shared on purpose
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return directory / f"buoy-{digest}.lock"


def holder(path: Path) -> str | None:
    """Say who holds a lock (``pid 123``); None: nobody. It is tried for a moment; no file is made or written.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    try:
        _lock_soon(fd)
    except OSError:
        return _named(fd)
    finally:
        os.close(fd)
    return None


def _lock_soon(fd: int) -> None:
    """Lock; whoever only looks (`holder`) has the lock for a moment, and that must not turn a start away."""
    try:
        _lock(fd)
    except OSError:
        time.sleep(GLANCE_S)
        _lock(fd)


def _named(fd: int) -> str:
    pid = os.pread(fd, 20, 0) if sys.platform != "win32" else os.read(fd, 20)
    number = re.match(rb"\d+", pid)
    return f"pid {number[0].decode()}" if number else "its pid is not known"


def _open(path: Path, mode: int) -> int:
    """Open for locking. Without O_CREAT first: Linux refuses it for other users' files in a sticky folder."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        fd = os.open(path, flags | os.O_CREAT, mode)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # another user made it a moment ago, and did this
                os.fchmod(fd, mode)
        return fd


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
