"""Puts a file in its place: in one step, with its mode, and with a copy of a different one that was there."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from buoy.errors import ConfigError


def write(file: Path, text: str, *, mode: int = 0o600) -> Path | None:
    """Put a file there in one step and keep a copy of another one that was there; returns the copy.

    Raises:
        ConfigError: it cannot be written; the old file is as it was.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        backup = _backup(file, text)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            if hasattr(os, "fchmod"):
                os.fchmod(out.fileno(), mode)  # whatever the umask
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        scratch.replace(file)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise ConfigError(
            f"cannot write {file} ({error.strerror}); choose another place or check who owns it"
        ) from None
    return backup


def _backup(file: Path, text: str) -> Path | None:
    """Copy what is there and different, as private as it was."""
    try:
        old = file.read_bytes()
    except FileNotFoundError:
        return None
    if old == text.encode():
        return None
    backup = file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}.bak")
    with suppress(FileNotFoundError):
        backup.unlink()
    handle = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(file.stat().st_mode) & 0o700)
    with os.fdopen(handle, "wb") as out:
        out.write(old)
    return backup
