"""`buoy logs`: the newest lines of `<data_dir>/logs/buoy.log`, for people or as they are; follows while it is written.

It reads files and asks nobody: it works the same while Buoy runs, hangs or is dead.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final

from buoy.errors import EXIT_OK, EXIT_REFUSED
from buoy.faces.log import FILE, FOLDER, LEVELS, as_words
from buoy.faces.outlet import KEEP, numbered

POLL_S: Final = 0.2


def logs(directory: Path, *, count: int, follow: bool, as_is: bool, level: str) -> int:
    """Print the last ``count`` lines of ``level`` or worse, then, with ``follow``, what comes until Ctrl-C."""
    path = directory / FOLDER / FILE
    is_colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    try:
        if not follow and not path.exists():
            print(f"buoy: nothing is logged in {path.parent} yet; buoy run writes there", file=sys.stderr)
            return EXIT_REFUSED
        with closing(Tail(path)) as tail:
            newest = deque(chosen([*older(path), *tail.read()], level), maxlen=count)
            _print(newest, as_is=as_is, colours=is_colourful)
            while follow:
                time.sleep(POLL_S)
                _print(chosen(tail.read(), level), as_is=as_is, colours=is_colourful)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # `buoy logs | head`: who read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"buoy: cannot read {path} ({error.strerror}); run this as the user that runs Buoy", file=sys.stderr)
        return EXIT_REFUSED
    return EXIT_OK


def _print(lines: Iterable[str], *, as_is: bool, colours: bool) -> None:
    for line in lines:
        print(line if as_is else as_words(_told(line) or {"event": line}, colours=colours))
    sys.stdout.flush()


def chosen(lines: Iterable[str], level: str) -> Iterator[str]:
    """Only lines of this level or worse. A line that is no JSON (a power cut broke it off) counts as the worst."""
    least = LEVELS.index(level)
    for line in lines:
        told = _told(line)
        if told is None or _rank(told.get("level")) >= least:
            yield line


def _rank(level: Any) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _told(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def older(path: Path) -> Iterator[str]:
    """Every line of the files that were rotated away, oldest first."""
    for number in range(KEEP, 0, -1):
        try:
            data = numbered(path, number).read_bytes()
        except FileNotFoundError:
            continue
        yield from _lines(data)


class Tail:
    """Reads what is appended to a file, and goes on with the next one where it is rotated away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part = b""

    def read(self) -> list[str]:
        """Give the whole lines that came since the last call; none where there is no file yet."""
        found = self._rest()
        if self._is_another():
            found += self._rest()  # what was written between reading and rotating
            self.close()
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return found
            found += self._rest()
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._part = b""

    def _rest(self) -> list[str]:
        if self._file is None:
            return []
        whole, _, self._part = (self._part + self._file.read()).rpartition(b"\n")
        return list(_lines(whole))

    def _is_another(self) -> bool:
        """Whether the name now leads to a file that is not the open one, or that was cut short."""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        ours = os.fstat(self._file.fileno())
        return (named.st_ino, named.st_dev) != (ours.st_ino, ours.st_dev) or named.st_size < self._file.tell()


def _lines(data: bytes) -> Iterator[str]:
    return (line for line in data.decode("utf-8", "replace").split("\n") if line)
