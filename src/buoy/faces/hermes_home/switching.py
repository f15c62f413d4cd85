"""`buoy hermes install` and `uninstall`: show what changes, ask, keep copies, write, and see what Hermes reads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from buoy import __version__
from buoy.errors import EXIT_OK, EXIT_REFUSED, BuoyError, ConfigError
from buoy.faces.hermes_home import cron_jobs, env_text, files, host, record, showing, yaml_text
from buoy.faces.hermes_home.files import RECORD, digest, text_of
from buoy.faces.hermes_home.plan import Plan, Wish, plan
from buoy.faces.hermes_home.record import CONFIG, ENV, JOBS, Installed, Saved
from buoy.faces.hermes_home.showing import secrets_of
from buoy.faces.hermes_home.taking import BUILTIN, CREDENTIALS, DROP_IN, NAME, Home

CONTEXT: Final = {CONFIG: 3, ENV: 0, JOBS: 0}
"""Lines around a change that the diff shows: a `.env` file and cron prompts are nobody's business."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How it goes on."""

    home: Path
    asks: bool
    shows_only: bool = False
    reads: Callable[[], host.Told] | None = None
    """Reads the home as Hermes does; None: nobody can (there is no Hermes)."""


def install(wish: Wish, manner: Manner, environ: Mapping[str, str]) -> int:
    """Switch the plugin on; returns the exit code: 0 done or nothing to do, 1 not wanted or not read so by Hermes.

    Raises:
        ConfigError: it cannot be done; nothing was changed.
    """
    home = manner.home
    owner = files.managed_by(home, environ)
    if owner:
        raise ConfigError(
            f"this Hermes home is written by something else ({owner}): make the changes of docs/hermes-install.md there"
        )
    here = files.read(home)
    todo = plan(here, wish, environ)
    after = _after(here, todo)
    name = BUILTIN if wish.as_qqbot else NAME
    changed = _show(_texts(here), after, _secrets(here, wish, environ))
    if not changed and not todo.pairs:
        print(f"Nothing to change: the plugin is on in {home}. `buoy hermes doctor` looks further.")
        return EXIT_OK
    print()
    for line in todo.says:
        print(f"  * {line}")
    for line in todo.warns:
        print(f"  ! {line}")
    print()
    if manner.shows_only:
        print("Nothing was written (--dry-run).")
        return EXIT_OK
    if not _agreed(manner, f"Write this to {home}?"):
        return EXIT_REFUSED
    done = _write(home, todo, name, changed)
    trouble = "" if manner.reads is None else _trouble(manner.reads(), name)
    if trouble:
        _put_back(home, done, [])
        print(f"buoy: {trouble}; the files are as they were", file=sys.stderr)
        return EXIT_REFUSED
    for saved in done.files:
        print(f"wrote {home / saved.name}" + (f", a copy of what it was: {saved.backup}" if saved.backup else ""))
    print(
        "Hermes reads it: the plugin is on" + ("" if wish.as_qqbot else ", its own adapter is off") + "."
        if manner.reads
        else ""
    )
    print(
        "Restart the gateway now: hermes gateway restart. Then: buoy hermes status. To undo all of it: buoy hermes "
        "uninstall"
    )
    return EXIT_OK


def uninstall(manner: Manner) -> int:
    """Undo every installation; returns the exit code: 0 undone or nothing to undo, 1 not wanted.

    Raises:
        ConfigError: it cannot be done; what was undone is said.
    """
    home = manner.home
    told = text_of(home / RECORD)
    installs = record.load(told) if told else []
    if not installs:
        print(f"Nothing to undo: buoy hermes install has not changed {home}.")
        return EXIT_OK
    before = {name: text_of(home / name) for name in (CONFIG, ENV, JOBS)}
    after, kept = dict(before), list[str]()
    for one in reversed(installs):
        for saved in one.files:
            after[saved.name], left = _undone(saved, one, after[saved.name])
            kept += left
    changed = _show(before, after, secrets_of(before[CONFIG], before[ENV]))
    if not changed:
        print("The files hold nothing of it any more.")
    print()
    for line in kept:
        print(f"  ! {line}")
    print(f"  * what was received and sent stays in {home / NAME}: remove that folder when nobody needs it")
    print(f"  * the package stays: {sys.executable} -m pip uninstall buoy-qq removes it")
    if manner.shows_only:
        print("Nothing was written (--dry-run).")
        return EXIT_OK
    if changed and not _agreed(manner, f"Write this to {home}?"):
        return EXIT_REFUSED
    for one in reversed(installs):
        _put_back(home, one, kept)
    print("Undone. Restart the gateway: hermes gateway restart")
    return EXIT_OK


# --- writing ---------------------------------------------------------------------------------------------------


def _texts(here: Home) -> dict[str, str]:
    return {CONFIG: here.config, ENV: here.env, JOBS: here.jobs}


def _after(here: Home, todo: Plan) -> dict[str, str]:
    try:
        config = yaml_text.change(here.config, todo.config)
    except yaml_text.EditError as error:
        raise ConfigError(f"config.yaml: {error}; write it by hand as docs/hermes-install.md shows it") from None
    return {
        CONFIG: config,
        ENV: env_text.change(here.env, todo.env),
        JOBS: cron_jobs.apply(here.jobs, todo.jobs),
    }


def _show(before: Mapping[str, str], after: Mapping[str, str], secrets: set[str]) -> list[str]:
    """Print the diff; returns the names of the files that change."""
    changed = [name for name in before if before[name] != after[name]]
    for name in changed:
        for line in showing.diff(name, before[name], after[name], secrets=secrets, context=CONTEXT[name]):
            print(line)
    return changed


def _agreed(manner: Manner, question: str) -> bool:
    if not manner.asks:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: --yes writes it, --dry-run only shows it")
    if input(f"{question} [y/N] ").strip().lower() in {"y", "yes", "是"}:
        return True
    print("Nothing was written.")
    return False


def _write(home: Path, todo: Plan, name: str, changed: list[str]) -> Installed:
    """Copies first, then the record, then the files: whenever it breaks off, the undo knows of it."""
    with files.jobs_locked(home):
        here = files.read(home)
        after, told = _after(here, todo), text_of(home / RECORD)
        earlier = record.load(told) if told else []
        config, left = record.reversing(here.config, todo.config)
        saved = _copied(home, changed, after)
        theirs, ours = files.pairing_files(home)
        pairing = str(ours) if todo.pairs else None
        back = record.reversing_env(here.env, todo.env)
        jobs = tuple(cron_jobs.backwards(todo.jobs))
        done = Installed(time.time(), __version__, name, saved, config, left, back, jobs, pairing)
        try:
            _record(home, [*earlier, done])
        except BuoyError:
            _remove_copies(saved)
            raise
        try:
            for one in changed:
                files.replace(home / one, after[one])
            if pairing:
                files.replace(ours, text_of(theirs))
        except BuoyError:
            _put_back(home, done, [], locked=True)
            raise
    return done


def _put_back(home: Path, one: Installed, kept: list[str], *, locked: bool = False) -> None:
    """Undo one installation, and take it from the record."""
    if not locked:
        with files.jobs_locked(home):
            _put_back(home, one, kept, locked=True)
        return
    for saved in one.files:
        file = home / saved.name
        text, _ = _undone(saved, one, text_of(file))
        if saved.backup is None and not text:
            file.unlink(missing_ok=True)
        elif text != text_of(file):
            files.replace(file, text)
    if not kept:
        _remove_copies(one.files)
    theirs, ours = files.pairing_files(home)
    if one.pairing and text_of(ours) == text_of(theirs):  # else people were paired since
        ours.unlink(missing_ok=True)
    _record(home, [other for other in record.load(text_of(home / RECORD)) if other.at != one.at])


def _copied(home: Path, changed: Sequence[str], after: Mapping[str, str]) -> tuple[Saved, ...]:
    saved: list[Saved] = []
    try:
        for one in changed:
            saved.append(Saved(one, files.back_up(home / one), digest(after[one])))  # noqa: PERF401  those made count
    except BuoyError:
        _remove_copies(saved)
        raise
    return tuple(saved)


def _remove_copies(saved: Sequence[Saved]) -> None:
    for one in saved:
        if one.backup:
            Path(one.backup).unlink(missing_ok=True)


def _undone(saved: Saved, one: Installed, text: str) -> tuple[str, list[str]]:
    """A file's text without one installation: its copy where it is as we left it, else our changes reversed."""
    if digest(text) == saved.digest:
        if saved.backup is None:
            return "", []
        with suppress(ConfigError):
            copy = Path(saved.backup)
            if copy.exists():
                return text_of(copy), []
    return record.undone(saved.name, text, one)


def _record(home: Path, installs: list[Installed]) -> None:
    file = home / RECORD
    if installs:
        files.replace(file, record.dump(installs))
        return
    file.unlink(missing_ok=True)
    with suppress(OSError):
        file.parent.rmdir()  # the data directories of the plugin lie in there


# --- seeing ----------------------------------------------------------------------------------------------------


def _trouble(told: host.Told, name: str) -> str:
    """Why Hermes does not read the home as it was meant; empty: it does."""
    if told.error:
        return f"Hermes cannot read its configuration now ({told.error})"
    own, theirs = told.platforms.get(name), told.platforms.get(BUILTIN)
    if own is None or not own["enabled"]:
        return f"Hermes does not see the platform {name} as switched on: is plugin discovery off (HERMES_SAFE_MODE)?"
    if not own["complete"]:
        return f"Hermes does not find the credentials of the platform {name}"
    if name == NAME and theirs is not None and theirs["enabled"]:
        forced = " and ".join(old for old, _ in CREDENTIALS.values() if old in told.environment)
        return (
            f"Hermes still switches its own qqbot adapter on{f', as {forced} is in the environment' if forced else ''}"
        )
    if name == BUILTIN and not str(told.taken).startswith("buoy."):
        return f"Hermes still takes its own adapter for {BUILTIN}, although {DROP_IN} is on"
    return ""


def _secrets(here: Home, wish: Wish, environ: Mapping[str, str]) -> set[str]:
    given = {wish.secret or ""} | {environ.get(name, "") for name in CREDENTIALS["client_secret"]}
    return given | secrets_of(here.config, here.env)
