"""The settings, read from `buoy.toml` plus the environment and checked before anything is opened.

:data:`buoy.settings.SETTINGS` documents each key with its environment name. The environment alone is enough.

- With one bot the environment wins over the file. With several it fills in what a bot's table leaves out, but
  never credentials.
- `OPENAI_*` are other programs' names too, so they only fill in what the file leaves out.
- An empty variable counts as unset. Relative paths in the file start at its folder.

Every error is a :class:`ConfigError` of one line: the setting by both names, what is wrong, what to write.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from buoy.errors import ConfigError
from buoy.protocol import wire
from buoy.settings import (
    DEFAULT_INTENTS,
    SCHEDULE_NAME,
    SETTINGS,
    Agent,
    Alerts,
    Bot,
    Document,
    Outbox,
    Retention,
    Schedule,
    Secret,
    Shutdown,
    Turns,
    Web,
)
from buoy.values import ROWS, SettingError, addresses, intents, number, setting, split, token_urls, wrong

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "Agent", "Alerts", "Bot", "Config", "Outbox", "Retention", "Schedule", "Secret", "Shutdown", "Turns",
    "Web", "bot", "default_data_dir", "load", "of",
]  # fmt: skip

DEFAULT_FILE: Final = "buoy.toml"
SHORTEST_TOKEN: Final = 16  # ours: of random letters some 95 bits
_KIND: Final = re.compile(
    r"echo|openai|hermes|http:\s*https?://\S+|(command|acp):\s*\S.*|python:[\w.]+:[\w.]+", re.DOTALL
)


class Config(Document, frozen=True, kw_only=True):
    """All settings, valid; ``data_dir`` is absolute. Nothing has been created."""

    file: Path | None = None
    """The file they came from, if any."""
    warnings: tuple[str, ...] = ()
    """One line each, for the log."""
    exposed: tuple[Path, ...] = ()
    """Files with a secret that every user of the machine can read."""


def load(path: Path | None, environ: Mapping[str, str], *, bots: bool = True) -> Config:
    """Read and check everything.

    ``path`` None: `BUOY_CONFIG`, else `./buoy.toml` if it is there, else no file.
    ``bots`` False is for commands that need none (`status`, `outbox` ...): bots are neither read nor checked.

    Raises:
        ConfigError: one line that names the setting and the remedy. Only the files named have been read.
    """
    env = {name: value.strip() for name, value in environ.items() if value.strip()}
    file, document = _read(path, env)
    reader = _Reader(env, file.parent if file else Path.cwd())
    if bots:
        document["bots"] = reader.bots(document.get("bots", []))
    else:
        document.pop("bots", None)
    reader.rest(document)
    checked = _checked(document)
    if file and reader.inline_secret and _open_to_all(file):
        reader.warn_open(file)
    return _config(checked, file=file, warnings=tuple(reader.warnings), exposed=tuple(reader.exposed))


def bot(table: Mapping[str, Any], environ: Mapping[str, str]) -> Bot:
    """Read one bot from a table as it stands under `[[bots]]`, and from an environment, which wins.

    Raises:
        ConfigError: as :func:`load`; the bot is ``bots[0]``.
    """
    env = {name: value.strip() for name, value in environ.items() if value.strip()}
    reader = _Reader(env, Path.cwd())
    return _checked({"data_dir": Path(), "bots": reader.bots([dict(table)])}).bots[0]


def of(data_dir: Path, bots: Sequence[Bot], **tables: Any) -> Config:
    """Settings that a program gives: bots that were read, and other tables by name, checked as if they were read.

    Raises:
        ConfigError: as :func:`load`.
    """
    document = {name: msgspec.to_builtins(table) for name, table in tables.items()}
    checked = replace(_checked({"data_dir": Path.cwd() / data_dir.expanduser(), **document}), bots=tuple(bots))
    _check(checked)
    return _config(checked)


def default_data_dir(environ: Mapping[str, str], system: str = sys.platform) -> Path:
    """Give the user's data folder for Buoy on this kind of system (a `sys.platform`)."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if system == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "buoy"
    if system == "darwin":
        return home / "Library" / "Application Support" / "buoy"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "buoy"


# --- reading ------------------------------------------------------------------------------------------------


def _read(path: Path | None, env: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    """Find the file that applies, if any, and parse it."""
    named = path or (Path(env["BUOY_CONFIG"]) if "BUOY_CONFIG" in env else None)
    file = Path.cwd() / (named or Path(DEFAULT_FILE)).expanduser()
    if named is None and not file.exists():
        return None, {}
    import tomllib  # noqa: PLC0415  the environment alone is enough

    try:
        return file, tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"settings file {file} (BUOY_CONFIG): {error.strerror}; name one that can be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"settings file {file}: not TOML: {' '.join(str(error).split())}; correct it") from None


@dataclass
class _Reader:
    """Merges the environment into the parsed file."""

    env: Mapping[str, str]
    folder: Path
    warnings: list[str] = field(default_factory=list)
    exposed: list[Path] = field(default_factory=list)
    inline_secret: bool = False

    def rest(self, document: dict[str, Any]) -> None:
        """Everything but the bots."""
        env = self.env
        folder = document.get("data_dir")
        if "BUOY_DATA_DIR" in env:
            document["data_dir"] = _path(Path.cwd(), env["BUOY_DATA_DIR"], "data_dir")
        elif folder is None:
            document["data_dir"] = Path.cwd() / default_data_dir(env)
        elif isinstance(folder, str) and folder:
            document["data_dir"] = _path(self.folder, folder, "data_dir")
        if "BUOY_LISTEN" in env:
            _table(document, "web")["listen"] = env["BUOY_LISTEN"]
        self._secret(_table(document, "web"), "token", "web", ("BUOY_WEB_",), wins=True)
        if "BUOY_SHUTDOWN_S" in env:
            _table(document, "shutdown")["deadline_s"] = number(env["BUOY_SHUTDOWN_S"])
        if "BUOY_STUCK_S" in env:
            _table(document, "watch")["stuck_s"] = number(env["BUOY_STUCK_S"])
        self._alerts(_table(document, "alerts"))
        for key in ("level", "format", "openids"):
            if (name := f"BUOY_LOG_{key.upper()}") in env:
                _table(document, "log")[key] = env[name]
        longest = _table(document, "turns").get("timeout_s")
        for bot in document.get("bots", ()):
            if longest is not None:
                bot["agent"].setdefault("timeout_s", longest)

    def _alerts(self, alerts: dict[str, Any]) -> None:
        """Where alerts go; these addresses are secrets too."""
        file, folder = alerts.pop("urls_file", None), self.folder
        self.inline_secret |= "urls" in alerts
        if "BUOY_ALERTS" in self.env:
            alerts["urls"] = split(self.env["BUOY_ALERTS"])
        elif "BUOY_ALERTS_FILE" in self.env:
            file, folder = self.env["BUOY_ALERTS_FILE"], Path.cwd()
            alerts.pop("urls", None)
        if file is not None and "urls" not in alerts:
            alerts["urls"] = self._from_file(folder, file, "alerts.urls_file").split()
        self._secret(alerts, "heartbeat_url", "alerts", ("BUOY_",), wins=True)

    def bots(self, tables: Any) -> list[dict[str, Any]]:
        """Every bot, the environment's values filled in."""
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ConfigError("bots: not a list of tables; write each bot under a heading [[bots]], with two brackets")
        if len(tables) < 2:
            return [self._bot(dict(tables[0]) if tables else {}, "bots[0]", alone=True)]
        if "QQ_APP_ID" in self.env or "QQBOT_APP_ID" in self.env:
            self.warnings.append(
                f"QQ_APP_ID is not used: the settings file lists {len(tables)} bots, each with its own"
            )
        return [self._bot(dict(table), f"bots[{n}]", alone=False) for n, table in enumerate(tables)]

    def _bot(self, bot: dict[str, Any], at: str, *, alone: bool) -> dict[str, Any]:
        env, agent = self.env, _table(bot, "agent", at)
        if alone:
            for name in ("QQBOT_APP_ID", "QQ_APP_ID"):
                if name in env:
                    bot["app_id"] = env[name]
        self._secret(bot, "client_secret", at, ("QQ_", "QQBOT_") if alone else (), wins=True)
        for table, key, name, wins in (
            (bot, "api_base", "QQ_API_BASE", alone),
            (bot, "token_url", "QQ_TOKEN_URL", alone),
            (bot, "transport", "QQ_TRANSPORT", alone),
            (agent, "kind", "BUOY_AGENT", alone),
            (agent, "model", "BUOY_MODEL", alone),
            (agent, "base_url", "OPENAI_BASE_URL", False),
        ):
            if name in env and (wins or key not in table):
                table[key] = env[name]
        self._secret(agent, "api_key", f"{at}.agent", ("OPENAI_",), wins=False)
        self._secret(agent, "secret", f"{at}.agent", ("BUOY_AGENT_",) if alone else (), wins=True)

        bot["api_base"] = addresses(bot.get("api_base", ",".join(wire.API_HOSTS)), f"{at}.api_base")
        bot["token_url"] = (
            addresses(bot["token_url"], f"{at}.token_url") if "token_url" in bot else token_urls(bot["api_base"])
        )
        bot["intents"] = intents(bot.get("intents", DEFAULT_INTENTS), f"{at}.intents")
        if bot.get("transport") == "webhook":
            raise wrong(f"{at}.transport", "webhook does not exist yet")
        kind = agent.get("kind", "echo")
        if isinstance(kind, str) and not _KIND.fullmatch(kind):
            raise wrong(f"{at}.agent.kind", f"{kind[:80]!r} is no agent")
        return bot

    def _secret(self, table: dict[str, Any], key: str, at: str, prefixes: Iterable[str], *, wins: bool) -> None:
        """Put a secret into its table, from the file named for it or not; ``wins``: the environment does."""
        inside: list[tuple[Any, Path | None]] = [
            (table.pop(key, None), None),
            (table.pop(f"{key}_file", None), self.folder),
        ]
        outside: list[tuple[Any, Path | None]] = []
        for prefix in prefixes:
            name = prefix + key.upper()
            outside += [(self.env.get(name), None), (self.env.get(f"{name}_FILE"), Path.cwd())]
        self.inline_secret |= inside[0][0] is not None
        for value, folder in outside + inside if wins else inside + outside:
            if value is None:
                continue
            table[key] = value if folder is None else self._from_file(folder, value, f"{at}.{key}_file")
            return

    def _from_file(self, folder: Path, name: Any, at: str) -> str:
        """Read a secret from the file named for it."""
        if not isinstance(name, str):
            raise wrong(at, "not a text")
        file = _path(folder, name, at)
        try:
            secret = file.read_bytes().decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "not a text file"
            raise wrong(at, f"{file}: {cause}") from None
        if not secret:
            raise wrong(at, f"{file} is empty")
        if _open_to_all(file):
            self.warn_open(file)
        return secret

    def warn_open(self, file: Path) -> None:
        """Say that a file with a secret is not private."""
        self.exposed.append(file)
        self.warnings.append(f"{file} holds a secret that every user of this machine can read: chmod 600 {file}")


def _path(folder: Path, text: str, at: str) -> Path:
    """Read a path that starts at ``folder`` where it is relative."""
    if "\0" in text:
        raise wrong(at, "a path cannot have a zero byte in it")
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:
        raise wrong(at, f"{text[:80]!r}: no such user on this machine") from None


def _open_to_all(file: Path) -> bool:
    return os.name == "posix" and bool(file.stat().st_mode & stat.S_IROTH)


def _table(parent: dict[str, Any], key: str, at: str = "") -> dict[str, Any]:
    """Give a sub-table that may be written to, making it where it is missing."""
    path = f"{at}.{key}" if at else key
    table = parent.get(key, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: not a table; write its keys under a heading [{setting(path)}]")
    parent[key] = table = dict(table)
    return table


# --- checking -----------------------------------------------------------------------------------------------


def _decode(kind: type, value: Any) -> Any:
    """Make the two types that msgspec does not know (it adds the path to the error)."""
    if isinstance(value, Path) and kind is Path:
        return value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a text" if value else "empty")
    return kind(value.strip())


def _checked(document: dict[str, Any]) -> Document:
    """Make the struct of a merged file, with every check."""
    try:
        checked = msgspec.convert(document, Document, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    _check(checked)
    return checked


def _config(checked: Document, **more: Any) -> Config:
    return Config(**{name: getattr(checked, name) for name in checked.__struct_fields__}, **more)


def _check(document: Document) -> None:
    """Check what spans several keys."""
    seen: set[str] = set()
    for n, bot in enumerate(document.bots):
        if bot.app_id in seen:
            raise wrong(f"bots[{n}].app_id", f"{bot.app_id} is there twice; one [[bots]] table a bot")
        seen.add(bot.app_id)
        secret = bot.agent.secret
        if secret is not None and len(secret.reveal()) < SHORTEST_TOKEN:
            raise wrong(f"bots[{n}].agent.secret", f"shorter than {SHORTEST_TOKEN} characters can be guessed")
        if bot.shard[0] >= bot.shard[1]:
            raise wrong(f"bots[{n}].shard", f"{list(bot.shard)} is no shard")
    names: set[str] = set()
    for n, one in enumerate(document.schedules):
        if not re.search(SCHEDULE_NAME, one.name):
            raise wrong(f"schedules[{n}].name", f"{one.name[:80]!r} is no name")
        if one.name in names:
            raise wrong(f"schedules[{n}].name", f"{one.name} is there twice")
        names.add(one.name)
        if bool(one.text.strip()) == bool(one.prompt.strip()):
            both = "text and prompt are both there" if one.text.strip() else "neither text nor prompt is there"
            raise wrong(f"schedules[{n}].text", both)
    listen = document.web.listen
    _, colon, port = listen.rpartition(":")
    if listen != "off" and not (colon and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise wrong("web.listen", f"{listen!r} is not an address to listen on")
    token = document.web.token
    if token is not None and len(token.reveal()) < SHORTEST_TOKEN:
        raise wrong("web.token", f"shorter than {SHORTEST_TOKEN} characters can be guessed")
    if document.retention.keys_days < document.retention.bodies_days:
        raise wrong("retention.keys_days", "shorter than retention.bodies_days")


def _explain(text: str) -> ConfigError:
    """Turn msgspec's message into ours."""
    cause, _, path = text.partition(" - at `$")
    at = re.sub(r"(\[(\d+|\.\.\.)\])+$", "", path[:-1]).lstrip(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", cause, re.DOTALL):
        return _unknown(path[:-1].lstrip("."), unknown[1])
    if missing := re.fullmatch(r"Object missing required field `(.*)`", cause):
        at = f"{path[:-1].lstrip('.')}.{missing[1]}"
        row = ROWS[setting(at)]
        return SettingError(at, "missing", f"{'set one of the two to' if row.env else 'write'} {row.write}")
    cause = cause.replace("`", "").replace("array", "list").replace("object", "table").replace("str", "text")
    cause = cause[:1].lower() + cause[1:]
    if setting(at) in ROWS:
        return wrong(at, cause)
    return ConfigError(f"{at}: {cause}; write its keys under a heading [{setting(at)}]")


def _unknown(at: str, key: str) -> ConfigError:
    """One line about a key that does not exist, with the one that was perhaps meant."""
    import difflib  # noqa: PLC0415  a running Buoy needs it no more

    prefix = f"{setting(at)}." if at else ""
    known = {row.path.removeprefix(prefix).split(".")[0] for row in SETTINGS if row.path.startswith(prefix)}
    near = difflib.get_close_matches(key, sorted(known), 1)
    remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
    return ConfigError(f"{f'{at}.' if at else ''}{key[:80]}: no such setting; {remedy}")
