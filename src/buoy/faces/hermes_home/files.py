"""The files of a Hermes home: found, read, and replaced in one step with a copy beside each."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from buoy.errors import BusyError, ConfigError
from buoy.faces.hermes_home.record import CONFIG, ENV, JOBS
from buoy.faces.hermes_home.taking import BUILTIN, NAME, Home

RECORD: Final = "buoy/install.json"
LOCK_S: Final = 10.0  # Hermes holds the lock of its jobs for milliseconds


def home_of(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The Hermes home: the one that is named, else HERMES_HOME, else ~/.hermes or the profile that is active there.

    Raises:
        ConfigError: there is none.
    """
    default = Path(environ.get("HOME") or Path.home()) / ".hermes"
    home = (given or _active(Path(environ.get("HERMES_HOME") or default))).expanduser().absolute()
    if not home.is_dir():
        raise ConfigError(f"there is no Hermes home at {home}: run `hermes setup` first, or name it with --home")
    return home


def _active(root: Path) -> Path:
    """A home; where `hermes profile use` has chosen a profile in it, that profile's, as Hermes itself does."""
    if root.parent.name == "profiles":
        return root
    try:
        name = (root / "active_profile").read_text("utf-8").strip()
    except (OSError, ValueError):
        return root
    profile = root / "profiles" / name
    return profile if name not in {"", "default"} and profile.is_dir() else root


def managed_by(home: Path, environ: Mapping[str, str]) -> str | None:
    """Who else writes this home's configuration, such as NixOS; None: nobody."""
    told = environ.get("HERMES_MANAGED", "").strip()
    if told and told.lower() not in {"0", "false", "no"}:
        return told
    return str(home / ".managed") if (home / ".managed").exists() else None


def text_of(file: Path) -> str:
    """A file as it is, line ends included; empty where there is none.

    Raises:
        ConfigError: it cannot be read, or is no UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"cannot read {file} ({error.strerror}); run this as the user Hermes runs as") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is no UTF-8 text; save it as UTF-8 first") from None


def read(home: Path) -> Home:
    """Everything that the plan needs."""
    pairing = _pairing(home)
    return Home(
        config=text_of(home / CONFIG),
        env=text_of(home / ENV),
        jobs=text_of(home / JOBS),
        directory=_directory(home),
        paired=bool(_json(pairing / f"{BUILTIN}-approved.json")) and not (pairing / f"{NAME}-approved.json").exists(),
        webhooks=text_of(home / "webhook_subscriptions.json"),
    )


def pairing_files(home: Path) -> tuple[Path, Path]:
    """The lists of people whom an operator let in: Hermes' own adapter's, and the plugin's."""
    folder = _pairing(home)
    return folder / f"{BUILTIN}-approved.json", folder / f"{NAME}-approved.json"


def digest(text: str) -> str:
    """What tells one text from another."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def replace(file: Path, text: str) -> None:
    """Put a text in its place in one step; a link stays one, the mode stays, a new file is private.

    Raises:
        ConfigError: it cannot be written; the old file is as it was.
    """
    target = Path(os.path.realpath(file))
    scratch = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as out:
            out.write(text.encode("utf-8"))
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileNotFoundError):
            old = target.stat()
            Path(scratch).chmod(stat.S_IMODE(old.st_mode))
            if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(scratch, old.st_uid, old.st_gid)
        Path(scratch).replace(target)
    except OSError as error:
        if scratch:
            with suppress(OSError):
                Path(scratch).unlink()
        raise ConfigError(f"cannot write {file} ({error.strerror}); run this as the user Hermes runs as") from None


def back_up(file: Path) -> str | None:
    """Copy a file beside itself, readable by its owner only; returns the copy's path, None where there is no file.

    Raises:
        ConfigError: it cannot be written.
    """
    if not file.exists():
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(100):
        copy = file.with_name(f"{file.name}.buoy-{stamp}{f'-{number}' if number else ''}.bak")
        try:
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot write {copy} ({error.strerror}); run this as the user Hermes runs as") from None
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(file.read_bytes())
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            copy.unlink(missing_ok=True)
            raise ConfigError(f"cannot copy {file} to {copy} ({error.strerror}); nothing was changed") from None
        return str(copy)
    raise ConfigError(f"there are too many copies of {file} of this second")


@contextmanager
def jobs_locked(home: Path) -> Iterator[None]:
    """Hold Hermes' lock on its cron jobs: its gateway rewrites the file at each tick.

    Raises:
        BusyError: somebody holds it for longer than Hermes ever does.
    """
    folder = home / "cron"
    if not folder.is_dir():
        yield
        return
    try:
        import fcntl  # noqa: PLC0415  not on Windows, where Hermes locks otherwise
    except ImportError:
        yield
        return
    with (folder / ".jobs.lock").open("a+b") as lock:
        until = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= until:
                    raise BusyError(
                        f"{folder / '.jobs.lock'} is held by another process: stop the gateway, then again"
                    ) from None
                time.sleep(0.05)
        yield


def _pairing(home: Path) -> Path:
    """The folder that Hermes uses: the old one where something lies in it."""
    old, new = home / "pairing", home / "platforms" / "pairing"
    return old if old.is_dir() and any(old.iterdir()) else new


def _directory(home: Path) -> dict[str, str]:
    """The kind of each chat that Hermes' adapter has seen."""
    told = _json(home / "channel_directory.json")
    entries = told.get("platforms", {}).get(BUILTIN, []) if isinstance(told.get("platforms"), dict) else []
    found = {
        str(entry["id"]): str(entry.get("type") or "dm")
        for entry in entries
        if isinstance(entry, dict) and entry.get("id")
    }
    sessions = _json(home / "sessions" / "sessions.json")
    for session in sessions.values():
        origin = session.get("origin") if isinstance(session, dict) else None
        if isinstance(origin, dict) and origin.get("platform") == BUILTIN and origin.get("chat_id"):
            found.setdefault(str(origin["chat_id"]), str(origin.get("chat_type") or "dm"))
    return found


def _json(file: Path) -> dict[str, Any]:
    """A file of Hermes' as far as it can be read: nothing here depends on it alone."""
    try:
        told = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
