"""Which turn an event, a reply or a silence of Hermes belongs to."""

from __future__ import annotations

from typing import Any

from buoy.chat import Message, Sender
from buoy.faces.hermes.hands import Hands, Turn


def message(name: str) -> Message:
    return Message(name, "qq:c2c:A", Sender("A"), id=name)


def taken(hands: Hands, name: str, chat: str = "A", *, is_begun: bool = True) -> Turn:
    turn, is_new = hands.take(message(name), chat)
    assert is_new
    turn.event = object()
    if is_begun:
        hands.begun(turn.event)
    return turn


def test_a_turn_is_over_when_hermes_is_done_with_its_event() -> None:
    hands = Hands()
    one, two = taken(hands, "1"), taken(hands, "2")
    hands.complete(two.event, is_stopping=False)
    assert two.over.is_set()
    assert not one.over.is_set()
    assert len(hands) == 1


def test_what_hermes_leaves_unanswered_because_it_stops_is_not_over() -> None:
    hands = Hands()
    left, answered = taken(hands, "1"), taken(hands, "2")
    answered.is_answered = True
    for turn in (left, answered):
        hands.complete(turn.event, is_stopping=True)
    assert not left.over.is_set()
    assert answered.over.is_set()


def test_events_of_nobody_are_ignored() -> None:
    hands = Hands()
    hands.begun(object())
    hands.complete(object(), is_stopping=False)
    assert hands.answering("A", None) is None
    assert hands.answering("A", "1") is None


def test_a_reply_belongs_to_the_message_that_it_answers() -> None:
    hands = Hands()
    one, two = taken(hands, "1"), taken(hands, "2")
    assert hands.answering("A", "1") is one
    assert hands.answering("A", "2") is two


def test_what_answers_nothing_belongs_to_the_newest_turn_that_runs_in_its_chat() -> None:
    hands = Hands()
    one = taken(hands, "1")
    taken(hands, "2", is_begun=False)  # joined, and not run yet
    taken(hands, "3", chat="B")
    assert hands.answering("A", None) is one
    assert hands.answering("A", "of nobody") is one
    one.is_answered = True
    assert hands.answering("A", None) is None
    assert hands.answering("C", None) is None


def test_a_reply_to_an_answered_message_still_finds_it() -> None:
    hands = Hands()
    one = taken(hands, "1")
    one.is_answered = True
    assert hands.answering("A", "1") is one  # its line says that the turn is over


def test_a_later_run_finds_what_hermes_has_and_brings_a_new_line() -> None:
    hands = Hands()
    one = taken(hands, "1")
    again = message("1")
    turn, is_new = hands.take(again, "A")
    assert turn is one
    assert not is_new
    assert turn.message is again
    hands.complete(one.event, is_stopping=False)
    other, is_new = hands.take(message("1"), "A")
    assert is_new
    assert other is not one


def test_dropping_takes_only_what_is_there() -> None:
    hands = Hands()
    one = taken(hands, "1")
    hands.drop(one)
    two = taken(hands, "1")
    hands.drop(one)  # the run of before
    found: Any = hands.answering("A", "1")
    assert found is two
