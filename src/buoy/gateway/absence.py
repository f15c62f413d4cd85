"""Agents that cannot be reached: their bots' turns wait, and how long until the next one tries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buoy.durable import backoff

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class _Away:
    since: float
    reason: str
    tries: int = 0
    until: float = 0.0


class Absence:
    """By bot. ``draw`` picks from a window; times are the loop's."""

    def __init__(self, draw: Callable[[float, float], float]) -> None:
        self._draw = draw
        self._bots: dict[str, _Away] = {}

    def noticed(self, bot: str, reason: str, now: float) -> tuple[float, bool]:
        """Take notice of a turn that did not reach its agent; returns when to try again, and whether it is news.

        Turns that run side by side and notice the same absence count once.
        """
        is_news = bot not in self._bots
        away = self._bots.setdefault(bot, _Away(now, reason))
        away.reason = reason
        if now >= away.until:
            away.tries += 1
            away.until = now + self._draw(*backoff.away(away.tries))
        return away.until, is_news

    def over(self, bot: str, now: float) -> float | None:
        """Take notice of an answer; returns how long the agent was away, None where it was not."""
        away = self._bots.pop(bot, None)
        return None if away is None else now - away.since

    def until(self, bot: str) -> float:
        """When turns of this bot may try again."""
        return self._bots[bot].until if bot in self._bots else 0.0

    def told(self, now: float) -> dict[str, dict[str, Any]]:
        """Plain data for status."""
        return {
            bot: {
                "away_s": round(now - away.since, 1),
                "reason": away.reason,
                "tries": away.tries,
                "next_try_s": round(max(0.0, away.until - now), 1),
            }
            for bot, away in self._bots.items()
        }
