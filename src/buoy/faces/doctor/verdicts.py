"""What a doctor can say: the verdicts, how bad each one is, and the shape of a finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, or heals by itself; a person should know."""
    FAULT = "fault"
    """A person has to act."""


class Check(StrEnum):
    """What was looked at, in the order in which one thing rests on another."""

    SETTINGS = "settings"
    DATA = "data directory"
    STORE = "database"
    PROCESS = "process"
    PAGE = "status page"
    NETWORK = "network"
    CLOCK = "clock"
    TOKEN = "token"  # noqa: S105
    API = "QQ's API"
    SESSION = "session"
    EVENTS = "events"
    LETTERS = "letters"
    AGENT = "agent"
    ALERTS = "alerts"


class Verdict(StrEnum):
    """What is the matter. Each has a text in :data:`buoy.faces.doctor.words.WORDS`."""

    # settings
    SETTINGS = "settings"
    ADVICE = "advice"
    SECRET_FILE = "secret_file"  # noqa: S105
    NO_ALERTS = "no_alerts"
    # the data directory
    DATA_MISSING = "data_missing"
    DATA_UNUSABLE = "data_unusable"
    DATA_OPEN = "data_open"
    DISK_FULL = "disk_full"
    DISK_LOW = "disk_low"
    NO_WAL = "no_wal"
    # the database
    STORE_NEWER = "store_newer"
    STORE_OLDER = "store_older"
    STORE_DAMAGED = "store_damaged"
    STORE_FOREIGN = "store_foreign"
    STORE_FAILING = "store_failing"
    # processes of this machine
    NOT_RUNNING = "not_running"
    STUCK = "stuck"
    STALE_ADDRESS = "stale_address"
    RESTARTING = "restarting"
    TWO_SOCKETS = "two_sockets"
    OTHER_SETTINGS = "other_settings"
    FOREIGN_IDENTIFIES = "foreign_identifies"
    PORT = "port"
    # the way to QQ
    DNS = "dns"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TLS_TIME = "tls_time"
    PROXY = "proxy"
    PROXY_KIND = "proxy_kind"
    PROXY_DIFFERS = "proxy_differs"
    HOST_DOWN = "host_down"
    CLOCK = "clock"
    # what QQ's REST interface says
    TOKEN_DOWN = "token_down"  # noqa: S105
    TOKEN_REFUSED = "token_refused"  # noqa: S105
    SECRET = "secret"  # noqa: S105
    APP = "app"
    RATE = "rate"
    IP = "ip"
    QQ_DOWN = "qq_down"
    QQ_SILENT = "qq_silent"
    QQ_SLOW = "qq_slow"
    QQ_REFUSES = "qq_refuses"
    # the session
    BANNED = "banned"
    TAKEN_DOWN = "taken_down"
    INTENTS = "intents"
    INTENTS_FEWER = "intents_fewer"
    IDENTIFY_REFUSED = "identify_refused"
    WEBSOCKET = "websocket"
    NO_HELLO = "no_hello"
    NO_READY = "no_ready"
    NO_ACKS = "no_acks"
    CLOSING = "closing"
    BUDGET = "budget"
    BUDGET_LOW = "budget_low"
    SHARD = "shard"
    SHARDS = "shards"
    VERSION = "version"
    NONSENSE = "nonsense"
    SANDBOX = "sandbox"
    # events
    DEAF = "deaf"
    SILENT = "silent"
    GAP = "gap"
    UNREADABLE = "unreadable"
    # letters
    UNPUBLISHED = "unpublished"
    URLS = "urls"
    PROACTIVE = "proactive"
    QUOTA = "quota"
    CONTENT = "content"
    RECIPIENT = "recipient"
    PERMISSION = "permission"
    UNSURE = "unsure"
    DEAD_LETTERS = "dead_letters"
    LETTERS_WAIT = "letters_wait"
    AUDIT = "audit"
    # the agent
    AGENT_SETUP = "agent_setup"
    AGENT_AWAY = "agent_away"
    AGENT_REFUSED = "agent_refused"
    AGENT_MODEL = "agent_model"
    AGENT_SLOW = "agent_slow"
    AGENT_FAILING = "agent_failing"


V = Verdict
WARNINGS: Final = frozenset(
    {
        V.ADVICE, V.SECRET_FILE, V.NO_ALERTS, V.DATA_MISSING, V.DATA_OPEN, V.DISK_LOW, V.STORE_OLDER, V.NOT_RUNNING,
        V.STALE_ADDRESS, V.RESTARTING, V.FOREIGN_IDENTIFIES, V.PROXY_DIFFERS, V.HOST_DOWN, V.RATE, V.QQ_SLOW,
        V.INTENTS_FEWER, V.BUDGET_LOW, V.SANDBOX, V.SILENT, V.GAP, V.UNREADABLE, V.PROACTIVE, V.QUOTA, V.CONTENT,
        V.RECIPIENT, V.UNSURE, V.DEAD_LETTERS, V.LETTERS_WAIT, V.AUDIT, V.AGENT_MODEL, V.AGENT_SLOW,
    }
)  # fmt: skip
"""Everything else is a fault."""
del V


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``subject``: the bot or host it is about; ``cause``: what was seen, in English."""

    check: Check
    level: Level
    cause: str
    verdict: Verdict | None = None
    """None: it is well."""
    subject: str = ""


def found(check: Check, verdict: Verdict, cause: str, subject: str = "") -> Finding:
    """Make the finding of a verdict."""
    level = Level.WARNING if verdict in WARNINGS else Level.FAULT
    return Finding(check, level, " ".join(cause.split()), verdict, subject)


def well(check: Check, cause: str, subject: str = "") -> Finding:
    """Make the finding that all is well."""
    return Finding(check, Level.OK, cause, None, subject)
