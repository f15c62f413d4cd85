"""How often each message was answered, from what the platform showed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
"""One message that the platform showed: ``text``, ``file_text``, ``at`` and more, as the simulator's log has it."""


@dataclass(frozen=True)
class Count:
    """So many messages, and what became of them."""

    said: int
    lost: int
    twice: int

    @property
    def once(self) -> int:
        return self.said - self.lost - self.twice

    @property
    def is_right(self) -> bool:
        return self.said > 0 and self.once == self.said

    def told(self) -> dict[str, Any]:
        """As values of a scenario."""
        return {"once": self.once, "said": self.said, "twice": self.twice}

    def __str__(self) -> str:
        return f"{self.once}/{self.said}" + (f" (+{self.twice} twice)" if self.twice else "")


@dataclass
class Seen:
    """What one run of a scenario showed. ``values``: seconds as floats (None: never), counts, words of the platform."""

    is_right: bool
    values: dict[str, Any] = field(default_factory=dict)
    applies: bool = True
    """False: this version of Hermes has nothing of the kind."""


def copies(shown: Iterable[Row], mark: str) -> list[Row]:
    """What carries the answer to a message, oldest first; a marker in front or other words around do not matter."""
    return [row for row in shown if mark in (row.get("file_text") or row["text"])]


def count(shown: Sequence[Row], marks: Iterable[str]) -> Count:
    """Judge messages by their marks."""
    times = [len(copies(shown, mark)) for mark in marks]
    return Count(len(times), times.count(0), sum(one > 1 for one in times))


def read(asked: Iterable[Mapping[str, Any]], marks: Iterable[str]) -> list[int]:
    """How often each message stands in the conversation that the last turn was given: 0 is lost, 2 was handed in twice.

    ``asked``: bodies of requests to the model, oldest first. Those without tools are titles and the like.
    """
    turns = [body for body in asked if body.get("tools")]
    told = [_text(one) for one in turns[-1]["messages"] if one["role"] == "user"] if turns else []
    return [sum(word.count(mark) for word in told) for mark in marks]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(str(part.get("text", "")) for part in content)
