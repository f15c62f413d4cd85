"""Hermes' own ledger of replies, taken over at the start, so that one party answers.

Hermes (0.19) writes each final reply down before it is sent, and sends what a dead process left once more at its next
start. Our inbox and outbox know better what became of those: :func:`judge` says what each row means here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

KEPT_S = 24 * 60 * 60.0  # how long Hermes sends such a reply once more (gateway/delivery_ledger.py of 0.19.0)


class Verdict(Enum):
    """What to do with a reply that Hermes owes."""

    DONE = auto()  # its letter is in our outbox: it is delivered, or will be
    ADOPT = auto()  # its turn is open here: this is its answer, and the turn need not be run and paid again
    SEND = auto()  # nobody here knows it: it becomes a letter of its own


@dataclass(frozen=True, slots=True)
class Known:
    """What our store knows of the chat of a reply: ids of messages, and the texts of letters."""

    answered: frozenset[str]
    open: frozenset[str]
    texts: frozenset[str]


def judge(row: Mapping[str, Any], known: Known, name_of: Callable[[str, str, str], str]) -> tuple[Verdict, str]:
    """Say what a row of the ledger means here, and the message that it answers, where that is known.

    ``name_of(session_key, message id, content)`` is how Hermes names its rows: that ties a row to a message.
    """
    session, content = str(row["session_key"]), str(row["content"])

    def found(messages: Iterable[str]) -> str:
        return next((one for one in messages if name_of(session, one, content) == row["obligation_id"]), "")

    if message := found(known.open):
        return Verdict.ADOPT, message
    if message := found(known.answered):
        return Verdict.DONE, message
    return (Verdict.DONE if content.strip() in known.texts else Verdict.SEND), ""
