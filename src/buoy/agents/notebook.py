"""What an agent has to know again after a kill: a few small notes by name, on disk before `put` returns."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

KEPT: Final = 500  # ours: the newest notes that stay; a turn needs one, a conversation needs one


class Notebook:
    """Notes as lines of JSON, the last one of a name counts. Without a file they live as long as the process.

    A disk that takes nothing is no error: the note is then lost with the process, and what it would have saved is
    done again. A torn last line is what a kill leaves; it was never promised.
    """

    def __init__(self, file: Path | None, kept: int = KEPT) -> None:
        self._file = file
        self._kept = kept
        self._notes: dict[str, Any] | None = None
        self._lines = 0
        self._writing = threading.Lock()

    def get(self, name: str) -> Any:
        """Give the note of this name, None where there is none."""
        return self._open().get(name)

    async def put(self, name: str, note: Any) -> None:
        """Write a note; None forgets the one of this name."""
        self._take(self._open(), name, note)
        if self._file is not None:
            await asyncio.to_thread(self._write, json.dumps([name, note]))

    def _open(self) -> dict[str, Any]:
        if self._notes is None:
            self._notes = {}
            for name, note in self._read():
                self._take(self._notes, name, note)
        return self._notes

    def _take(self, notes: dict[str, Any], name: str, note: Any) -> None:
        notes.pop(name, None)
        if note is not None:
            notes[name] = note
        while len(notes) > self._kept:
            del notes[next(iter(notes))]

    def _read(self) -> list[tuple[str, Any]]:
        try:
            lines = self._file.read_bytes().splitlines() if self._file is not None else []
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                name, note = json.loads(line.decode())
            except (ValueError, TypeError, RecursionError):  # not ours, or damaged: the other lines count
                continue
            found.append((str(name), note))
        self._lines = len(lines)
        return found

    def _write(self, line: str) -> None:
        """Append, or write anew what is kept where the file has grown long."""
        assert self._file is not None
        with self._writing:
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if self._lines >= 4 * self._kept:
                    text = "\n".join(json.dumps(pair) for pair in list((self._notes or {}).items()))
                    fresh = self._file.with_suffix(".new")
                    _append(fresh, text, os.O_TRUNC)
                    fresh.replace(self._file)
                    self._lines = text.count("\n") + 1
                else:
                    _append(self._file, f"\n{line}")  # in front: what a kill tore ends here
                    self._lines += 1
            except OSError:
                pass  # see the class


def _append(file: Path, text: str, more: int = 0) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | more, 0o600)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
