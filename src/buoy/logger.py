"""Where Buoy's own log lines go: to structlog where the process has set it up, as `buoy run` does, else to `logging`.

A program that embeds Buoy and has no structlog would find our lines on its standard output: that is structlog's own
default. In `logging` they are where it looks for everybody's, under ``buoy`` and names below it, and as quiet as it
wants them. Nothing is configured here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import structlog


class Logger:
    """One part's log. An event is a few words that stay the same; facts are what differs."""

    __slots__ = ("_plain", "_structured")

    def __init__(self, name: str) -> None:
        self._structured = structlog.get_logger(name)
        self._plain = logging.getLogger(name)

    def debug(self, event: str, **facts: Any) -> None:
        """For who looks for a mistake of ours."""
        if structlog.is_configured():
            self._structured.debug(event, **facts)
        else:
            self._say(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """What happens when all is well."""
        if structlog.is_configured():
            self._structured.info(event, **facts)
        else:
            self._say(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """What passes by itself."""
        if structlog.is_configured():
            self._structured.warning(event, **facts)
        else:
            self._say(logging.WARNING, event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """What somebody should know."""
        if structlog.is_configured():
            self._structured.error(event, **facts)
        else:
            self._say(logging.ERROR, event, facts)

    def exception(self, event: str, *, exc_info: Any = True, **facts: Any) -> None:
        """An error, with the stack of what is being handled."""
        self.error(event, exc_info=exc_info, **facts)

    def _say(self, level: int, event: str, facts: dict[str, Any]) -> None:
        """One line; the facts are in the record as well, as ``record.buoy``."""
        if self._plain.isEnabledFor(level):
            error = facts.pop("exc_info", None)
            self._plain.log(level, "%s", _line(event, facts), exc_info=error, extra={"buoy": facts}, stacklevel=3)


def _line(event: str, facts: Mapping[str, Any]) -> str:
    told = (f"{name}={_value(value)}" for name, value in facts.items() if value is not None and value != "")
    return " ".join([event, *told])


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and " " not in value else repr(value)
