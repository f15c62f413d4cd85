"""What an agent is asked: the message as the platform reads it, with what earlier runs and turns left, and its age."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from buoy.chat import Agent, Exchange, Message, span
from buoy.durable import inbox, outbox
from buoy.durable.trace import event_ref, has_note
from buoy.gateway.schedules import prompt
from buoy.gateway.schedules.misfire import GRACE_S
from buoy.letters import OWN_WORDS, SCHEDULED

if TYPE_CHECKING:
    from buoy.durable.store import Store
    from buoy.gateway.platform import Platform
    from buoy.letters import Event


def message_for(
    event: Event, agent: Agent, platform: Platform, store: Store, late_s: float, *, is_first: bool = False
) -> Message | None:
    """Read a stored row for this agent; None when there is nothing in it to answer.

    ``is_first``: it was never handed over before, so nothing can have been delivered. An attempt of 1 does not say
    so: an orderly stop gives its run back.
    """
    message = read(event, platform)
    if message is None:
        return None
    changes: dict[str, Any] = {"late_s": late_s} if late_s else {}
    if not is_first:
        letters = store.read(outbox.of_event, event.id)
        parts = (platform.text_of(letter.body) for letter in letters if letter.origin not in OWN_WORDS)
        changes["delivered"] = tuple(filter(None, parts))
    if agent.history_turns:
        changes["history"] = _history(event, agent.history_turns, platform, store)
    return replace(message, **changes) if changes else message


def read(event: Event, platform: Platform) -> Message | None:
    """Translate a row: a schedule's prompt is ours, anything else the platform's."""
    return prompt.message(event) if event.type == SCHEDULED else platform.read(event)


def is_wanted(event: Event, store: Store) -> bool:
    """Say whether a late message has to be answered all the same.

    A person asked for it, a part has left already, or its schedule makes up for a planned time that was missed.
    """
    if event.type == SCHEDULED and event.received_at - event.event_at > GRACE_S:
        return True
    return store.read(has_note, event_ref(event.id), inbox.ASKED_AGAIN) or bool(store.read(outbox.of_event, event.id))


def _history(event: Event, turns: int, platform: Platform, store: Store) -> tuple[Exchange, ...]:
    past = []
    for frame, kind, bodies in store.read(inbox.history, event.bot, event.lane, event.id, turns):
        message = read(replace(event, frame=frame, type=kind), platform)
        if message is not None:
            past.append(Exchange(message.text, "\n\n".join(filter(None, map(platform.text_of, bodies)))))
    return tuple(past)


def late_by(event: Event, now: float, after_s: float) -> float:
    """Give the age of a message that gets its turn later than ``after_s`` after it was written; else 0."""
    age_s = now - event.event_at
    return age_s if age_s > after_s else 0.0


def skipped(late_s: float, after_s: float) -> str:
    """Say why a message is not answered any more, for inbox and trace."""
    return f"skipped: written {span(late_s)} before its turn came; turns.late skips what is older than {after_s:g} s"
