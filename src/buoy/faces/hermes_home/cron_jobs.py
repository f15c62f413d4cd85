"""The scheduled jobs of a Hermes home, and moving where they deliver from one platform's name to another. Pure.

``cron/jobs.json`` (hermes-agent 0.13.0 to 0.19.0): ``{"jobs": [{"id", "name", "deliver", "origin", ...}]}``, or the
bare list. ``deliver`` is ``local``, ``origin``, ``all``, a platform's name (its home channel), ``platform:chat``,
several of them with commas, or a list of them; ``origin`` is ``{"platform", "chat_id", ...}`` of the chat in which the
job was made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from buoy.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Move:
    """One value of one job that changes. ``path`` is one key, or two."""

    job: str
    name: str
    path: tuple[str, ...]
    old: Any
    new: Any


def moves(text: str, old: str, new: str, chat: Callable[[str], str]) -> list[Move]:
    """What has to change so that nothing delivers to ``old`` any more. ``chat`` names a chat of the old platform anew.

    Raises:
        ConfigError: the file cannot be read.
    """
    found = []
    for job in _jobs(text):
        who, name = str(job.get("id") or ""), str(job.get("name") or "")
        deliver = job.get("deliver")
        after = _delivered(deliver, old, new, chat)
        if after != deliver:
            found.append(Move(who, name, ("deliver",), deliver, after))
        origin = job.get("origin")
        if isinstance(origin, dict) and origin.get("platform") == old:
            found.append(Move(who, name, ("origin", "platform"), old, new))
            ident = str(origin.get("chat_id") or "")
            if chat(ident) != ident:
                found.append(Move(who, name, ("origin", "chat_id"), origin["chat_id"], chat(ident)))
    return found


def apply(text: str, changes: Sequence[Move]) -> str:
    """Make the moves whose old value still stands there, in the form in which Hermes writes the file."""
    if not changes or not text:
        return text
    data, is_changed = json.loads(text.removeprefix("\ufeff"), strict=False), False
    for job in _jobs(text, data):
        for one in changes:
            place = job if len(one.path) == 1 else job.get(one.path[0])
            if str(job.get("id") or "") == one.job and isinstance(place, dict) and place.get(one.path[-1]) == one.old:
                place[one.path[-1]], is_changed = one.new, True
    return json.dumps(data, indent=2) if is_changed else text


def backwards(changes: Sequence[Move]) -> list[Move]:
    """What undoes the moves."""
    return [Move(one.job, one.name, one.path, one.new, one.old) for one in reversed(changes)]


def pointing_to(text: str, platform: str) -> list[str]:
    """Names of the jobs that deliver to a platform."""
    return list(dict.fromkeys(one.name or one.job for one in moves(text, platform, f"{platform}-", lambda chat: chat)))


def _jobs(text: str, data: Any = None) -> Iterator[dict[str, Any]]:
    if data is None:
        try:
            data = json.loads(text.removeprefix("\ufeff"), strict=False)
        except ValueError as error:
            raise ConfigError(f"cron/jobs.json cannot be read ({error}); `hermes cron list` says more") from None
    jobs = data.get("jobs") if isinstance(data, dict) else data
    for job in jobs if isinstance(jobs, list) else ():
        if isinstance(job, dict):
            yield job


def _delivered(value: Any, old: str, new: str, chat: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_delivered(one, old, new, chat) for one in value]
    if not isinstance(value, str):
        return value
    parts = [_target(part, old, new, chat) for part in value.split(",")]
    return ",".join(parts)


def _target(part: str, old: str, new: str, chat: Callable[[str], str]) -> str:
    word = part.strip()
    platform, colon, rest = word.partition(":")
    if platform.lower() != old:
        return part
    return part.replace(word, f"{new}:{chat(rest)}" if colon else new)
