"""What can be set: one struct per TOML table, and the table :data:`SETTINGS` that documents each key.

:mod:`buoy.config` reads them. Defaults and ranges stand in the structs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from buoy.protocol import wire

# protocol.md 6.4: the message bits that need no approval; an ordinary bot's first IDENTIFY is accepted.
DEFAULT_INTENTS: Final = int(
    wire.Intent.GROUP_AND_C2C_EVENT | wire.Intent.INTERACTION | wire.Intent.PUBLIC_GUILD_MESSAGES
)

SCHEDULE_NAME: Final = r"^(?!(send|held)$)[\w.-]{1,64}$"  # a key begins with it; these two begin other letters' keys


class Secret:
    """A value that no `repr`, `str`, log line or encoder shows; ``reveal`` it at its last use."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Give the value itself."""
        return self.__value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__value == other.reveal()

    def __hash__(self) -> int:
        return hash(self.__value)

    def __repr__(self) -> str:
        return "Secret(***)"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table: an unknown key is an error."""


class Agent(Table, frozen=True):
    """`[bots.agent]`: who answers for one bot. Which keys matter depends on ``kind``."""

    kind: str = "echo"
    isolation: Literal["loop", "process"] = "loop"
    timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    """Where the file has none: `turns.timeout_s`."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 2
    args: tuple[str, ...] = ()
    base_url: str = ""
    api_key: Secret | None = None
    model: str = ""
    system: str = ""
    prompts: dict[str, str] = {}
    """By conversation (``qq:group:<id>``) or scene (``qq:group``); wins over ``system``."""
    history_turns: Annotated[int, Meta(ge=0, le=1000)] | None = None
    """None: as many as this kind of agent wants (openai 20, others 0)."""
    history_tokens: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    """None: by ``history_turns`` alone."""
    stream: bool = True
    parts: Annotated[int, Meta(ge=1, le=5)] = 3
    images: bool = False
    secret: Secret | None = None
    session: str = ""
    cwd: str = ""
    permission: Literal["ask", "allow", "deny"] = "ask"

    def settings(self) -> dict[str, Any]:
        """Give what :func:`buoy.agents.build` reads besides ``kind``; key and secret are readable."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "kind"}
        values["api_key"] = self.api_key.reveal() if self.api_key else ""
        values["secret"] = self.secret.reveal() if self.secret else ""
        return values


class Bot(Table, frozen=True):
    """`[[bots]]`: one QQ application."""

    app_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    client_secret: Secret
    api_base: tuple[str, ...] = wire.API_HOSTS
    """Fail-over order; no trailing slash."""
    token_url: tuple[str, ...] = tuple(host + wire.TOKEN_PATH for host in wire.TOKEN_HOSTS)
    """Fail-over order. Where the file has none: derived from ``api_base``."""
    transport: Literal["websocket"] = "websocket"
    intents: Annotated[int, Meta(ge=1, lt=1 << 31)] = DEFAULT_INTENTS
    shard: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=1)]] = (0, 1)
    expect_event_h: Annotated[float, Meta(ge=0, le=720)] = 0.0
    """0: silence is never too long."""
    proactive: tuple[Literal["c2c", "group", "channel", "dm"], ...] = ("c2c",)
    proactive_unsure: Literal["keep", "repeat"] = "keep"
    agent: Agent = Agent()


class Web(Table, frozen=True):
    """`[web]`: the status page and the API behind it."""

    listen: str = "127.0.0.1:8765"
    token: Secret | None = None
    """None: one is made and kept in the data directory."""
    login: Literal["remote", "always"] = "remote"
    """Who has to show the token for reading: everybody but this machine, or everybody."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on; port 0 takes a free one. None: serve nothing."""
        if self.listen == "off":
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class Shutdown(Table, frozen=True):
    """`[shutdown]`: how an orderly stop goes."""

    deadline_s: Annotated[float, Meta(ge=0.1, le=600)] = 5.0


class Watch(Table, frozen=True):
    """`[watch]`: when a loop that does not turn counts as stuck, and the process ends to be restarted."""

    stuck_s: Annotated[float, Meta(ge=0.5, le=3600)] = 30.0


class Alerts(Table, frozen=True):
    """`[alerts]`: what is told to the operator, where, and when. The addresses hold tokens, so they are secrets."""

    urls: tuple[Secret, ...] = ()
    """In this order: each notice goes to the first that takes it."""
    language: Literal["zh", "en"] = "zh"
    down_s: Annotated[float, Meta(ge=10, le=86_400)] = 180.0
    queue_s: Annotated[float, Meta(ge=10, le=604_800)] = 900.0
    held_h: Annotated[float, Meta(gt=0, le=8760)] = 6.0
    disk_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 200
    repeat_h: Annotated[float, Meta(ge=0.1, le=720)] = 4.0
    heartbeat_url: Secret | None = None
    """A dead-man's switch: what is pinged while Buoy is well, or can tell of its troubles."""
    heartbeat_s: Annotated[float, Meta(ge=10, le=86_400)] = 60.0


class Log(Table, frozen=True):
    """`[log]`: what the log says; the file `<data_dir>/logs/buoy.log` is written whatever the format."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """Of standard error. auto: console on a terminal, json elsewhere."""
    openids: Literal["short", "full"] = "short"


class Turns(Table, frozen=True):
    """`[turns]`: how agents are run."""

    timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    parallel: Annotated[int, Meta(ge=1, le=10_000)] = 64
    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    late_after_s: Annotated[float, Meta(ge=1, le=31_536_000)] = 900.0
    """A message older than this when its turn comes is late."""
    late: Literal["mark", "skip"] = "mark"
    """mark: the agent is told its age. skip: it ends without a turn."""
    typing_after_s: Annotated[float, Meta(ge=0, le=3600)] = 3.0
    """So long after its start a turn shows the user once that an answer is being written; 0: never."""
    failed_text: str | None = None
    """What a user is told of a message that ended without an answer; None: in `outbox.language`; empty: nothing."""
    timeout_text: str | None = None
    """The same where the turn took longer than its time."""
    stopped_text: str | None = None
    """The same where the user has stopped it."""


class Outbox(Table, frozen=True):
    """`[outbox]`: how long and how many letters are held for the next contact, and what their reader is told."""

    hold_days: Annotated[float, Meta(gt=0, le=3650)] = 7.0
    hold_per_conversation: Annotated[int, Meta(ge=1, le=10_000)] = 20
    late_after_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 300.0
    language: Literal["zh", "en"] = "zh"


class Schedule(Table, frozen=True):
    """`[[schedules]]`: what is sent, or asked of the agent, by the clock. Either ``text`` or ``prompt`` is there."""

    name: str
    cron: str
    target: str
    zone: str = ""
    """Empty: the machine's."""
    text: str = ""
    prompt: str = ""
    misfire: Literal["skip", "once", "all"] = "once"


class Retention(Table, frozen=True):
    """`[retention]`: when finished rows lose their bodies, and when the rows go too."""

    bodies_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    keys_days: Annotated[float, Meta(ge=1, le=36_500)] = 90.0


class Document(Table, frozen=True):
    """The whole file."""

    data_dir: Path
    bots: tuple[Bot, ...] = ()
    web: Web = Web()
    shutdown: Shutdown = Shutdown()
    watch: Watch = Watch()
    alerts: Alerts = Alerts()
    log: Log = Log()
    turns: Turns = Turns()
    outbox: Outbox = Outbox()
    retention: Retention = Retention()
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of :data:`SETTINGS`."""

    path: str
    env: str
    write: str
    """What may stand there: the remedy of every error about it."""
    meaning: str


# fmt: off
SETTINGS: Final = tuple(
    Setting(*row)
    for row in (
        ("data_dir", "BUOY_DATA_DIR", "a folder", "database, lock, logs; default: the user's data folder"),
        ("bots.app_id", "QQ_APP_ID", "the bot's AppID, as a text", "also QQBOT_APP_ID"),
        ("bots.client_secret", "QQ_CLIENT_SECRET", "the bot's AppSecret", "or QQBOT_CLIENT_SECRET; ..._FILE"),
        ("bots.client_secret_file", "QQ_CLIENT_SECRET_FILE", "a file with the AppSecret", "instead of it"),
        ("bots.api_base", "QQ_API_BASE", "https://HOST, or several with commas", "API, in fail-over order"),
        ("bots.token_url", "QQ_TOKEN_URL", "https://HOST/PATH, or several with commas", "by api_base"),
        ("bots.transport", "QQ_TRANSPORT", "websocket, or leave it out", "how events arrive"),
        ("bots.intents", "", 'a number, or a list such as ["GROUP_AND_C2C_EVENT"]', "events to ask for"),
        ("bots.shard", "", "[index, count], index below count", "part of the events; default [0, 1]"),
        ("bots.proactive", "", "a list of c2c, group, channel, dm", "where to write first; see docs/settings.md"),
        ("bots.expect_event_h", "", "hours from 0 to 720; 0: never", "so long without an event is a deaf session"),
        ("bots.proactive_unsure", "", "keep or repeat", "a proactive message that perhaps arrived"),
        ("bots.agent.kind", "BUOY_AGENT", "echo, openai, http:URL, hermes, acp:PROGRAM, command:PROGRAM, python:MODULE:FUNCTION", "agent"),
        ("bots.agent.isolation", "", "loop or process", "process: for python agents that may block"),
        ("bots.agent.timeout_s", "", "seconds, more than 0, up to 86400", "default: turns.timeout_s"),
        ("bots.agent.workers", "", "a whole number from 1 to 64", "processes of an isolated agent"),
        ("bots.agent.args", "", "a list of texts", "arguments of a command agent"),
        ("bots.agent.base_url", "OPENAI_BASE_URL", "http(s)://HOST/PATH", "an OpenAI-compatible endpoint"),
        ("bots.agent.api_key", "OPENAI_API_KEY", "the key of that endpoint", "also OPENAI_API_KEY_FILE"),
        ("bots.agent.api_key_file", "OPENAI_API_KEY_FILE", "a file that holds the key", "instead of it"),
        ("bots.agent.model", "BUOY_MODEL", "the name of a model", "openai: which model"),
        ("bots.agent.system", "", "a text", "openai: the system prompt"),
        ("bots.agent.prompts", "", 'a table of lines such as "qq:group:<id>" = "a text"', "other system prompts"),
        ("bots.agent.history_turns", "", "a whole number from 0 to 1000", "earlier turns to show"),
        ("bots.agent.history_tokens", "", "a whole number from 0 to 10000000", "openai: at most so much of them"),
        ("bots.agent.stream", "", "true or false", "openai: a long answer is sent in parts, early"),
        ("bots.agent.parts", "", "a whole number from 1 to 5", "openai: in so many at most"),
        ("bots.agent.images", "", "true or false", "openai: the model is shown pictures"),
        ("bots.agent.secret", "BUOY_AGENT_SECRET", "16 characters or more", "http: what signs requests and answers"),
        ("bots.agent.secret_file", "BUOY_AGENT_SECRET_FILE", "a file that holds it", "instead of it"),
        ("bots.agent.session", "", "a text", "hermes: name of the session"),
        ("bots.agent.cwd", "", "a folder", "acp: where the agent works"),
        ("bots.agent.permission", "", "ask, allow or deny", "acp: when the agent wants to do something"),
        ("web.listen", "BUOY_LISTEN", "HOST:PORT, or off", "status page; port 0 takes a free one"),
        ("web.token", "BUOY_WEB_TOKEN", "16 characters or more", "for the page from elsewhere, and for POST /send"),
        ("web.token_file", "BUOY_WEB_TOKEN_FILE", "a file that holds the token", "instead of it"),
        ("web.login", "", "remote or always", "always: reading on this machine needs the token too"),
        ("shutdown.deadline_s", "BUOY_SHUTDOWN_S", "seconds from 0.1 to 600", "longest orderly stop"),
        ("watch.stuck_s", "BUOY_STUCK_S", "seconds from 0.5 to 3600", "how long the loop may stand still"),
        ("alerts.urls", "BUOY_ALERTS", "a list of addresses (in one text: commas)", "webhook or apprise"),
        ("alerts.urls_file", "BUOY_ALERTS_FILE", "a file with one address a line", "instead of it"),
        ("alerts.language", "", "zh or en", "in which language the operator is told"),
        ("alerts.down_s", "", "seconds from 10 to 86400", "a bot, its agent or its API away so long is told"),
        ("alerts.queue_s", "", "seconds from 10 to 604800", "a message that waits so long is told"),
        ("alerts.held_h", "", "hours, more than 0, up to 8760", "a message held back so long is told"),
        ("alerts.disk_mb", "", "a whole number from 0 to 1000000", "less free space than this is told"),
        ("alerts.repeat_h", "", "hours from 0.1 to 720", "how often a lasting trouble is told again"),
        ("alerts.heartbeat_url", "BUOY_HEARTBEAT_URL", "https://HOST/PATH", "a dead-man's switch to ping"),
        ("alerts.heartbeat_url_file", "BUOY_HEARTBEAT_URL_FILE", "a file with that address", "instead of it"),
        ("alerts.heartbeat_s", "", "seconds from 10 to 86400", "how often"),
        ("log.level", "BUOY_LOG_LEVEL", "debug, info, warning or error", "the least that is logged"),
        ("log.format", "BUOY_LOG_FORMAT", "auto, console or json", "standard error; auto: by whether it is a terminal"),
        ("log.openids", "BUOY_LOG_OPENIDS", "short or full", "how much of an openid stands in the log"),
        ("turns.timeout_s", "", "seconds, more than 0, up to 86400", "longest turn of an agent"),
        ("turns.parallel", "", "a whole number from 1 to 10000", "turns at the same time"),
        ("turns.attempts", "", "a whole number from 1 to 100", "runs before a message is a dead letter"),
        ("turns.late_after_s", "", "seconds from 1 to 31536000", "a message this old is late"),
        ("turns.late", "", "mark or skip", "a late message: tell the agent its age, or do not run it"),
        ("turns.typing_after_s", "", "seconds from 0 to 3600; 0: never", "when a slow turn shows that it is typing"),
        ("turns.failed_text", "", "a text; empty: say nothing", "what a user is told of a message that failed"),
        ("turns.timeout_text", "", "a text; empty: say nothing", "what a user is told of a turn that took too long"),
        ("turns.stopped_text", "", "a text; empty: say nothing", "what a user who wrote /stop is told"),
        ("outbox.hold_days", "", "days, more than 0, up to 3650", "how long a letter waits for a contact"),
        ("outbox.hold_per_conversation", "", "a whole number from 1 to 10000", "letters that may wait so"),
        ("outbox.late_after_s", "", "seconds from 0 to 31536000", "from when on a held letter says its time"),
        ("outbox.language", "", "zh or en", "in which language Buoy itself speaks to readers"),
        ("schedules.name", "", "1 to 64 letters, digits, or any of . _ -; each name once", "whose firing it was"),
        ("schedules.cron", "", "minute hour day month weekday, such as 30 8 * * 1-5", "when; or @daily"),
        ("schedules.zone", "", "a name such as Asia/Shanghai", "whose clock; default: this machine's"),
        ("schedules.target", "", "qq:c2c:<openid>, qq:group:<group_openid> ...", "where it goes"),
        ("schedules.text", "", "a text, where there is no prompt", "what is sent"),
        ("schedules.prompt", "", "a text, where there is no text", "what the agent is asked; its answer is sent"),
        ("schedules.misfire", "", "once, skip or all", "planned times that passed while nothing ran"),
        ("retention.bodies_days", "", "days, more than 0, up to 36500", "finished rows keep their texts"),
        ("retention.keys_days", "", "days from bodies_days to 36500, at least 1", "finished rows stay"),
    )
)
# fmt: on
