"""The log of a running Buoy: one line per transition, on standard error and in `<data_dir>/logs/buoy.log`.

Secrets do not get into log lines in the first place; should one ever, :class:`Veil` takes it out of the finished text.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from buoy.faces.outlet import Outlet, Rotating, flush, to_stderr
from buoy.settings import Log as Settings
from buoy.settings import Secret

FOLDER: Final = "logs"
FILE: Final = "buoy.log"
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
SHORT: Final = 8  # characters that are left of an openid: enough to tell two apart
LEAST: Final = 6  # shorter "secrets" (`-` of buoy console) are none, and would eat every text
TOKENS: Final = 8  # of those that were renewed: QQ takes the old one for a minute longer
CLOSE_S: Final = 0.5
COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}

# protocol.md 1: an openid is 32 upper-case hex digits; what stands behind a scene's name is one whatever it looks like
_PLACE: Final = re.compile(rf"\b((?:c2c|group|channel|dm):)([^\s\"'@\\,;:/)\]}}]{{{SHORT}}})[^\s\"'@\\,;:/)\]}}]+")
_OPENID: Final = re.compile(rf"(?<![0-9A-Za-z])([0-9A-F]{{{SHORT}}})[0-9A-F]{{{32 - SHORT}}}(?![0-9A-Za-z])")


class Veil:
    """Takes secrets, and the greater part of openids, out of finished text."""

    def __init__(self, secrets: Iterable[str] = (), *, full_openids: bool = False) -> None:
        self.asks: Callable[[], Iterable[str]] = tuple
        """Gives the secrets of this moment, such as access tokens."""
        self._full_openids = full_openids
        self._fixed = _spellings(secrets)
        self._seen: dict[str, None] = {}

    def __call__(self, text: str) -> str:
        """Give the text without them."""
        for value in self.asks():
            if value not in self._seen:
                self._seen[value] = None
                if len(self._seen) > TOKENS:
                    del self._seen[next(iter(self._seen))]
        for value in (*self._fixed, *_spellings(self._seen)):
            text = text.replace(value, "***")
        if self._full_openids:
            return text
        return _OPENID.sub(r"\1…", _PLACE.sub(r"\1\2…", text))


def _spellings(values: Iterable[str]) -> tuple[str, ...]:
    """Each value as it is and as JSON writes it, the longest first: one may hold another."""
    long = [value for value in values if len(value) >= LEAST]
    found = {
        *long,
        *(json.dumps(value, ensure_ascii=ascii_only)[1:-1] for value in long for ascii_only in (True, False)),
    }
    return tuple(sorted(found, key=len, reverse=True))


def secrets_of(value: Any) -> list[str]:
    """Every secret in a settings object, whatever table it stands in."""
    if isinstance(value, Secret):
        return [value.reveal()]
    if isinstance(value, msgspec.Struct):
        return [one for name in value.__struct_fields__ for one in secrets_of(getattr(value, name))]
    return [one for part in value for one in secrets_of(part)] if isinstance(value, tuple) else []


def as_json(told: Mapping[str, Any]) -> str:
    """One line for programs."""
    return json.dumps(told, ensure_ascii=False, default=repr)


def as_words(told: Mapping[str, Any], *, colours: bool = False) -> str:
    """One line for people, in local time; a stack follows on lines of its own."""
    rest = dict(told)
    level, event, at = str(rest.pop("level", "")), rest.pop("event", ""), str(rest.pop("timestamp", ""))
    stack = rest.pop("exception", "")
    with suppress(ValueError):
        at = datetime.fromisoformat(at).astimezone().strftime("%m-%d %H:%M:%S")
    facts = " ".join(f"{name}={_value(value)}" for name, value in rest.items() if value is not None and value != "")
    name = f"{level:<8}"
    if colours:
        name = f"\x1b[{COLOURS.get(level, '0')}m{name}\x1b[0m"
    lines = [f"{at} {name} {_plain(str(event))}{'  ' if facts else ''}{facts}"]
    lines += [f"    {_plain(line)}" for line in str(stack).splitlines()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    text = _plain(value if isinstance(value, str) else as_json({"": value})[5:-1])
    return f'"{text}"' if isinstance(value, str) and (not text or " " in text) else text


def _plain(text: str) -> str:
    """Text of others moves no cursor and changes no colour of an operator's terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Log:
    """What structlog hands finished events to. Nothing in here waits for a disk, a pipe or a terminal."""

    def __init__(self, settings: Settings, secrets: Iterable[str] = ()) -> None:
        self.veil = Veil(secrets, full_openids=settings.openids == "full")
        self._level = getattr(logging, settings.level.upper())
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._colours = is_terminal
        self._words = settings.format == "console" or (settings.format == "auto" and is_terminal)
        self._stderr = Outlet("stderr", to_stderr, self._lost_on_stderr)
        self._file: Outlet | None = None

    def install(self) -> None:
        """Take every log line of this process from now on; standard output stays free."""
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                lambda _logger, _name, told: ((told,), {}),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            logger_factory=lambda *_: self,
            cache_logger_on_first_use=True,
        )
        logging.basicConfig(handlers=[Others(self, self._level)], force=True)

    def keep_in(self, data_dir: Path) -> None:
        """Write to this directory's file too. Call it when the directory is locked: a file has one writer."""
        file = Rotating(data_dir / FOLDER / FILE)
        self._file = Outlet("file", file.write, lambda count: as_json(lost(count)))

    def msg(self, told: dict[str, Any]) -> None:
        """Say one event."""
        with suppress(Exception):  # a value that cannot be written is worth no bot
            line = self.veil(as_json(told))
            self._stderr.put(self._on_stderr(told, line))
            if self._file is not None:
                self._file.put(line)

    debug = info = warning = error = critical = msg

    def flush(self, timeout_s: float = CLOSE_S) -> None:
        """Wait until what was said is written, if that can be."""
        flush([self._stderr, *([self._file] if self._file else [])], timeout_s)

    def _on_stderr(self, told: Mapping[str, Any], line: str) -> str:
        return self.veil(as_words(told, colours=self._colours)) if self._words else line

    def _lost_on_stderr(self, count: int) -> str:
        told = lost(count)
        return self._on_stderr(told, as_json(told))


class Others(logging.Handler):
    """Brings what asyncio, a library or an agent says through Python's own log, warnings and worse, into this one."""

    def __init__(self, log: Log, level: int) -> None:
        super().__init__(max(level, logging.WARNING))
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Say it in the words that it has."""
        with suppress(Exception):  # a message that does not fit its arguments is worth no bot
            told = {"logger": record.name, "event": record.getMessage(), "level": record.levelname.lower()}
            told["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat()
            if record.exc_info:
                told["exception"] = logging.Formatter().formatException(record.exc_info)
            self._log.msg(told)


def lost(count: int) -> dict[str, Any]:
    """What is said in the place of lines that could not be written."""
    at = datetime.fromtimestamp(time.time()).astimezone().isoformat()
    return {"lost": count, "event": "log lines lost", "level": "warning", "timestamp": at}
