"""Judges what belongs to this machine: settings, disk, database, processes, port. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buoy.chat import span
from buoy.faces.doctor.facts import Facts
from buoy.faces.doctor.verdicts import Check, Finding, Level, Verdict, found, well

FULL_BYTES: Final = 64 << 20  # a burst's log, a checkpoint and a backup need some room
LOW_BYTES: Final = 1 << 30
LOW_SHARE: Final = 0.1
OTHERS: Final = 0o077
RESTARTS: Final = 3
SILENT_DISK_S: Final = 5.0  # a commit that takes longer is not slow, it is stuck
MIB: Final = 1 << 20


def settings(facts: Facts) -> Iterator[Finding]:
    """What the settings files and variables say."""
    told = facts.settings
    if told.error:
        yield found(Check.SETTINGS, Verdict.SETTINGS, told.error)
        return
    for file in told.exposed:
        yield found(Check.SETTINGS, Verdict.SECRET_FILE, f"every user of this machine can read {file}", str(file))
    others = [line for line in told.warnings if not any(str(file) in line for file in told.exposed)]
    for line in others:
        yield found(Check.SETTINGS, Verdict.ADVICE, line, line)
    if not others and not told.exposed:
        yield well(Check.SETTINGS, f"{len(facts.bots)} bot{'s' * (len(facts.bots) != 1)}")


def data(facts: Facts) -> Iterator[Finding]:
    """The folder of the database, and its disk."""
    folder = facts.folder
    if folder is None:
        return
    if folder.error:
        yield found(Check.DATA, Verdict.DATA_UNUSABLE, f"{folder.path}: {folder.error}")
        return
    if not folder.exists:
        yield found(Check.DATA, Verdict.DATA_MISSING, f"{folder.path} is not there")
        return
    is_fine = True
    if folder.wal_error:
        is_fine = False
        yield found(Check.DATA, Verdict.NO_WAL, f"{folder.path}: {folder.wal_error}")
    if folder.mode & OTHERS:
        is_fine = False
        yield found(Check.DATA, Verdict.DATA_OPEN, f"{folder.path} has mode {folder.mode:04o}")
    free, total = folder.free_bytes, folder.total_bytes
    if free is not None and free < FULL_BYTES:
        yield found(Check.DATA, Verdict.DISK_FULL, f"{free / MIB:.1f} MiB are left for {folder.path}")
    elif free is not None and total and free < min(LOW_BYTES, total * LOW_SHARE):
        yield found(Check.DATA, Verdict.DISK_LOW, f"{free / MIB:.0f} MiB of {total / MIB:.0f} are left")
    elif is_fine:
        room = "" if free is None else f", {free / MIB:.0f} MiB left"
        yield well(Check.DATA, f"{folder.path}{room}")


def database(facts: Facts) -> Iterator[Finding]:
    """The file itself, and what a running Buoy says of its commits."""
    known = facts.database
    if known is None:
        return
    if known.error or known.damage:
        yield found(Check.STORE, Verdict.STORE_DAMAGED, known.error or known.damage or "")
        return
    if known.present and not known.ours:
        yield found(Check.STORE, Verdict.STORE_FOREIGN, "buoy.db was made by another program")
        return
    if known.version > known.known:
        words = f"it has schema {known.version}, and this Buoy knows {known.known}"
        yield found(Check.STORE, Verdict.STORE_NEWER, words)
        return
    store = (facts.process.snapshot or {}).get("store") or {}
    if store.get("refusal"):
        yield found(Check.STORE, Verdict.STORE_FAILING, store["refusal"])
    elif (store.get("committing_s") or 0.0) > SILENT_DISK_S:
        words = f"the disk has not answered for {span(store['committing_s'])}"
        yield found(Check.STORE, Verdict.STORE_FAILING, words)
    elif known.present and known.version < known.known:
        words = f"it has schema {known.version}; this Buoy brings it to {known.known} at its next start"
        yield found(Check.STORE, Verdict.STORE_OLDER, words)
    elif known.present:
        whole = "sound" if known.damage == "" else "sound as far as it was read"
        yield well(Check.STORE, f"schema {known.version}, {whole}")
    else:
        yield well(Check.STORE, "there is none yet; the first start makes it")


def process(facts: Facts) -> Iterator[Finding]:
    """The Buoy of this data directory, and others of this machine."""
    seen = facts.process
    if seen.is_hidden:
        return  # the data directory is closed to this user, which is said of it
    for bot, who in seen.sockets.items():
        words = f"another process of this machine ({who}) is connected with this AppID"
        yield found(Check.PROCESS, Verdict.TWO_SOCKETS, words, bot)
    snapshot = seen.snapshot
    if snapshot is None:
        if seen.error or seen.holder is not None:
            yield found(Check.PROCESS, Verdict.STUCK, seen.error or f"{seen.holder} holds the data directory")
            return
        if seen.is_address_stale:
            yield found(Check.PROCESS, Verdict.STALE_ADDRESS, "control.json names a process that is gone")
        if not facts.settings.error:
            yield found(Check.PROCESS, Verdict.NOT_RUNNING, "no Buoy runs with this data directory")
        return
    unrest = {name: task for name, task in (snapshot.get("tasks") or {}).items() if task.get("restarts", 0) >= RESTARTS}
    for name, task in unrest.items():
        words = f"{name} was restarted {task['restarts']} times: {task.get('last_end')}"
        yield found(Check.PROCESS, Verdict.RESTARTING, words, name)
    if seen.proxies is not None and seen.proxies != seen.own_proxies:
        words = f"the running Buoy has {_variables(seen.proxies)}, this shell has {_variables(seen.own_proxies)}"
        yield found(Check.NETWORK, Verdict.PROXY_DIFFERS, words)
    if not unrest:
        yield well(Check.PROCESS, f"pid {snapshot.get('pid')}, for {span(snapshot.get('uptime_s') or 0.0)}")


def _variables(told: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in told.items()) or "no proxy variable"


def page(facts: Facts) -> Iterator[Finding]:
    """The port of the status page."""
    port = facts.port
    if port is None:
        return
    web = (facts.process.snapshot or {}).get("web") or {}
    if web.get("listening"):
        yield well(Check.PAGE, f"served at {web['listening']}")
    elif port.error and not port.is_ours:
        by = f" by {port.holder}" if port.holder else ""
        yield found(Check.PAGE, Verdict.PORT, f"{port.address}: {port.error}{by}")
    elif web.get("error"):
        yield found(Check.PAGE, Verdict.PORT, f"{port.address}: {web['error']}")
    else:
        yield well(Check.PAGE, f"{port.address} is {'served' if port.is_ours else 'free'}")


def alerts(facts: Facts) -> Iterator[Finding]:
    """Whether anybody would hear of an outage."""
    if facts.settings.error:
        return
    if facts.settings.alerts:
        count = facts.settings.alerts
        yield well(Check.ALERTS, f"{count} channel{'s' if count > 1 else ''}")
    else:
        yield found(Check.ALERTS, Verdict.NO_ALERTS, "alerts.urls (BUOY_ALERTS) is empty")


def softened(finding: Finding) -> Finding:
    """The same as a warning: it is over, or works all the same."""
    return Finding(finding.check, Level.WARNING, finding.cause, finding.verdict, finding.subject)
