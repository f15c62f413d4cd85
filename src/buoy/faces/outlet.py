"""Where log lines leave the process: a bounded queue and a thread in front of whatever may hang or be full.

A terminal that was stopped with Ctrl-S, a pipe that nobody reads and a disk that does not answer all block who writes
to them. Here that is a thread of their own: the event loop only appends. What does not fit is counted and said later.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

LIMIT: Final = 2000  # lines in the queue, some 400 kB: hours of an outage's transitions
SIZE: Final = 5_000_000  # bytes of one file; with those kept, 25 MB for ever
KEEP: Final = 4  # older files beside the newest


class Outlet:
    """Takes lines at once and writes them when it can; never waits, never raises."""

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[str]], None],
        lost: Callable[[int], str],
        *,
        limit: int = LIMIT,
    ) -> None:
        self._write = write
        self._word_about_lost = lost
        self._limit = limit
        # Its put may run inside of itself: a finalizer that logs comes at any moment, and would wait for a lock.
        self._lines: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._dropped = 0
        self._told = 0
        self._thread = threading.Thread(target=self._run, name=f"buoy-log-{name}", daemon=True)
        with suppress(RuntimeError):  # no thread to be had: no log, and the bots run on
            self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that could not be written and of which nobody was told yet."""
        return self._dropped - self._told

    def put(self, line: str) -> None:
        """Take one line, without its end."""
        if self._lines.qsize() < self._limit:
            self._lines.put(line)
        else:
            self._dropped += 1

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written, no longer than told; says whether it is."""
        if not self._thread.is_alive():
            return self._lines.empty()
        reached = threading.Event()
        self._lines.put(reached)
        return reached.wait(timeout_s)

    def _run(self) -> None:
        while True:
            taken = [self._lines.get()]
            with suppress(Empty):
                while len(taken) < self._limit:
                    taken.append(self._lines.get_nowait())
            batch = [one for one in taken if isinstance(one, str)]
            lost = self.lost
            try:
                if batch or lost:
                    self._write([self._word_about_lost(lost), *batch] if lost else batch)
            except Exception:  # noqa: BLE001  whatever it is: lines are worth no thread
                self._told -= len(batch)
            else:
                self._told += lost
            for one in taken:
                if isinstance(one, threading.Event):
                    one.set()


def to_stderr(lines: Sequence[str]) -> None:
    """Write to standard error, which may have gone away: a closed pipe, a full disk."""
    with suppress(OSError, ValueError):
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        stream = getattr(sys.stderr, "buffer", None)
        if stream is None:  # replaced by something that takes text only
            sys.stderr.write(data.decode("utf-8", "replace"))
        else:
            stream.write(data)
        sys.stderr.flush()


class Rotating:
    """`buoy.log` and its older numbers: private, bounded, and opened anew after any failure."""

    def __init__(self, path: Path, *, size: int = SIZE, keep: int = KEEP) -> None:
        self._path = path
        self._limit = size
        self._keep = keep
        self._fd = -1
        self._size = 0

    def write(self, lines: Sequence[str]) -> None:
        """Append lines.

        Raises:
            OSError: not all of them were written; the next call starts with a new look at the folder.
        """
        try:
            self._look()
            for line in lines:
                data = line.encode("utf-8", "backslashreplace") + b"\n"
                if self._size and self._size + len(data) > self._limit:
                    self._rotate()
                self._append(data)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; the next write opens it."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        while data:
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]

    def _look(self) -> None:
        """Open the file, unless the one that is open is still the one of that name."""
        if self._fd >= 0:
            with suppress(OSError):
                named, ours = self._path.stat(), os.fstat(self._fd)
                if (named.st_ino, named.st_dev) == (ours.st_ino, ours.st_dev):
                    return
            self.close()
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(self._path, flags, 0o600)
        if sys.platform != "win32":
            os.fchmod(self._fd, 0o600)
        self._size = os.fstat(self._fd).st_size
        if self._size:
            os.lseek(self._fd, -1, os.SEEK_END)
            if os.read(self._fd, 1) != b"\n":  # the rest of a line that a full disk or a power cut broke off
                self._append(b"\n")

    def _rotate(self) -> None:
        """Move each file one number up; the oldest is overwritten."""
        self.close()
        for number in range(self._keep, 0, -1):
            older = numbered(self._path, number - 1)
            if older.exists():
                older.replace(numbered(self._path, number))
        self._open()


def numbered(path: Path, number: int) -> Path:
    """Give the name of the n-th older file; 0 is the newest."""
    return path.with_name(f"{path.name}.{number}") if number else path


def flush(outlets: Sequence[Outlet], timeout_s: float) -> None:
    """Wait for several, no longer than told in all."""
    ends_at = time.monotonic() + timeout_s
    for outlet in outlets:
        outlet.flush(max(0.0, ends_at - time.monotonic()))
