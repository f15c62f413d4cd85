"""What was seen, as plain values: the only thing that judgement looks at. No secret ever stands in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from buoy.durable.checkup import Ended, Turn


@dataclass(frozen=True, slots=True)
class Settings:
    """What reading the settings brought."""

    error: str = ""
    warnings: tuple[str, ...] = ()
    exposed: tuple[Path, ...] = ()
    alerts: int = 0
    """Channels that are not QQ."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The data directory. ``error``: why nothing can be written there."""

    path: Path
    exists: bool = True
    mode: int = 0o700
    error: str = ""
    wal_error: str = ""
    free_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """The database file. ``damage`` None: the check was not finished in its time, and found nothing so far."""

    present: bool
    ours: bool = True
    version: int = 0
    known: int = 0
    error: str = ""
    damage: str | None = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The Buoy of this data directory. ``snapshot`` is its own word; ``holder`` has the directory's lock."""

    snapshot: dict[str, Any] | None = None
    error: str = ""
    """It runs and does not answer."""
    holder: str | None = None
    is_hidden: bool = False
    """This user may not look: nobody knows whether one runs."""
    is_address_stale: bool = False
    sockets: dict[str, str] = field(default_factory=dict)
    """Who holds the machine's lock of a bot, where it is not the Buoy of this directory."""
    proxies: dict[str, str] | None = None
    """The running Buoy's proxy variables, without user and password; None: not known."""
    folder: Path | None = None
    """Where the running Buoy was started; None: not known."""
    own_proxies: dict[str, str] = field(default_factory=dict)
    """This shell's."""


@dataclass(frozen=True, slots=True)
class Port:
    """Where the status page listens. ``holder``: who has it; ``is_ours``: the Buoy of this data directory does."""

    address: str
    error: str = ""
    holder: str = ""
    is_ours: bool = False


Trouble = Literal["", "dns", "refused", "silent", "tls", "tls_time", "proxy", "proxy_kind"]


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one host: names, TCP, TLS, or the proxy in between."""

    host: str
    trouble: Trouble = ""
    text: str = ""
    took_s: float = 0.0
    proxy: str = ""
    """HOST:PORT, and by which variable."""


Told = Literal["ok", "unsent", "lost", "down", "rate", "secret", "bot", "token", "blocked"]


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call of ours: ``name`` is token, gateway or me."""

    bot: str
    name: str
    host: str
    told: Told = "ok"
    text: str = ""
    code: int = 0
    took_s: float = 0.0
    ahead_s: float | None = None
    """How far this machine's clock is ahead of the answer's Date; None: it has none."""
    remaining: int | None = None
    total: int | None = None
    url: str = ""
    """The gateway's."""
    title: str = ""
    """The bot's name."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A WebSocket session of ours, seconds long. ``skipped``: why there was none."""

    bot: str
    skipped: str = ""
    phase: str = ""
    """The session machine's, at the end."""
    was_live: bool = False
    is_acked: bool = False
    cause: str = ""
    code: int | None = None
    reason: str = ""
    events: int = 0
    """Events that came meanwhile and are not kept."""


State = Literal["ok", "setup", "away", "refused", "model", "late"]
"""How a first look at an agent ended."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Who answers for a bot, tried without a message."""

    bot: str
    kind: str
    state: State = "ok"
    text: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Records:
    """What the database tells of the last 24 hours. ``spans``: per bot, state, seconds and cause, oldest first."""

    letters: tuple[Ended, ...] = ()
    trying: tuple[Ended, ...] = ()
    reworded: tuple[Ended, ...] = ()
    latencies_s: tuple[float, ...] = ()
    turns: tuple[Turn, ...] = ()
    rejected: int = 0
    """Verdicts of QQ's reviewers against a message."""
    gaps: tuple[dict[str, Any], ...] = ()
    identifies: dict[str, int] = field(default_factory=dict)
    breaks: tuple[tuple[str, float, str], ...] = ()
    """Each time that a bot went down or was blocked: bot, when, cause; oldest first."""


@dataclass(frozen=True, slots=True)
class Bot:
    """What the settings say of a bot, as far as it matters here."""

    app_id: str
    hosts: tuple[str, ...] = ()
    expect_event_h: float = 0.0
    intents: int = 0
    doctors: int = 0
    """Identifies that doctors of this machine made in 24 h."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was seen; None: it could not be looked at, because something before it is wrong."""

    now: float
    settings: Settings = field(default_factory=Settings)
    bots: tuple[Bot, ...] = ()
    folder: Folder | None = None
    database: Database | None = None
    process: Running = field(default_factory=Running)
    port: Port | None = None
    ways: tuple[Way, ...] = ()
    calls: tuple[Call, ...] = ()
    trials: tuple[Trial, ...] = ()
    agents: tuple[Agent, ...] = ()
    records: Records | None = None
