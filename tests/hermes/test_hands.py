"""Which turn an event, a reply or a silence of Hermes belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from buoy.chat import Message, Sender
from buoy.faces.hermes.hands import Hands, Slots, Turn


class Kind(Enum):
    TEXT = "text"
    PHOTO = "photo"


@dataclass(eq=False)
class Event:
    """As Hermes' own."""

    text: str
    message_type: Kind = Kind.TEXT
    media_urls: list[str] = field(default_factory=list)


class Hermes:
    """A table, and what is in store at Hermes."""

    def __init__(self) -> None:
        self.hands = Hands()
        self.store: dict[str, list[Any]] = {}
        self.slots = Slots(self.hands)

    def stored(self, session: str) -> list[Any]:
        return [*self.store.get(session, ()), *([self.slots[session]] if session in self.slots else [])]

    def begun(self, name: str, chat: str = "A") -> Turn:
        turn = self.handed(name, chat)
        self.hands.begun(turn.event)
        return turn

    def handed(self, name: str, chat: str = "A", **facts: Any) -> Turn:
        """Hand a message over whose text is its id."""
        turn, is_new = self.hands.take(message(name), chat)
        assert is_new
        turn.event, turn.session = Event(name, **facts), chat
        return turn

    def kept(self, name: str, chat: str = "A") -> Turn:
        """One that Hermes has put in store."""
        turn = self.handed(name, chat)
        self.store.setdefault(chat, []).append(turn.event)
        self.hands.stored(turn.event)
        return turn

    def fed(self, name: str, chat: str = "A") -> Turn:
        """One that is part of what runs."""
        turn = self.handed(name, chat)
        turn.is_taken = True
        return turn

    def speaking(self, chat: str, reply_to: str | None) -> list[str]:
        return [turn.message.id for turn in self.hands.speaking(chat, reply_to, self.stored)]

    def ending(self, chat: str, reply_to: str | None) -> list[str]:
        return [turn.message.id for turn in self.hands.ending(chat, reply_to, self.stored)]


def message(name: str) -> Message:
    return Message(name, "qq:c2c:A", Sender("A"), id=name)


# --- the end of a turn ----------------------------------------------------------------------------------------------


def test_a_turn_is_over_when_hermes_is_done_with_its_event() -> None:
    it = Hermes()
    one, two = it.begun("1"), it.begun("2")
    it.hands.complete(two.event, is_stopping=False)
    assert two.over.is_set()
    assert not one.over.is_set()
    assert len(it.hands) == 1


def test_what_hermes_leaves_unanswered_because_it_stops_is_to_run_again() -> None:
    it = Hermes()
    left, answered, command = it.begun("1"), it.begun("2"), it.begun("/restart")
    answered.is_answered = True
    for turn in (left, answered, command):
        it.hands.complete(turn.event, is_stopping=True)
    assert (left.over.is_set(), left.is_dropped, left.is_begun) == (False, True, False)
    assert answered.over.is_set()
    assert command.over.is_set(), "else every start would restart again"


def test_a_turn_whose_answer_was_lost_is_not_over() -> None:
    it = Hermes()
    one = it.begun("1")
    one.is_dropped = True
    it.hands.complete(one.event, is_stopping=False)
    assert not one.over.is_set()


def test_events_of_nobody_are_ignored() -> None:
    it = Hermes()
    it.hands.begun(Event("?"))
    it.hands.stored(Event("?"))
    it.hands.complete(Event("?"), is_stopping=False)
    assert it.speaking("A", None) == it.speaking("A", "1") == it.ending("A", None) == it.ending("A", "1") == []


# --- replies --------------------------------------------------------------------------------------------------------


def test_a_reply_belongs_to_the_message_that_it_answers() -> None:
    it = Hermes()
    it.begun("1")
    it.begun("2", "B")
    assert it.speaking("A", "1") == it.ending("A", "1") == ["1"]
    assert it.speaking("A", "2") == it.ending("A", "2") == ["2"]


def test_what_answers_nothing_belongs_to_the_newest_turn_that_runs_in_its_chat() -> None:
    it = Hermes()
    one = it.begun("1")
    it.kept("2")
    it.begun("3", "B")
    assert it.speaking("A", None) == it.speaking("A", "of nobody") == ["1"]
    one.is_answered = True
    assert it.speaking("A", None) == it.speaking("C", None) == []


def test_what_is_in_store_is_not_answered_by_what_runs() -> None:
    it = Hermes()
    it.begun("one")
    it.kept("two")
    assert it.ending("A", "one") == ["one"]


def test_what_was_fed_to_a_run_ends_with_it() -> None:
    it = Hermes()
    it.begun("one")
    it.fed("two")
    it.fed("elsewhere", "B")
    it.handed("on its way")
    assert it.ending("A", "one") == ["one", "two"]
    assert it.speaking("A", None) == ["one"], "a later run of it says the same"


def test_what_was_merged_ends_with_the_event_that_it_was_merged_into() -> None:
    it = Hermes()
    one, two, three = it.begun("one"), it.kept("two"), it.fed("three")
    two.event.text = "two\nthree"
    picture = it.handed("picture", message_type=Kind.PHOTO, media_urls=["/p.jpg"])
    picture.is_taken, picture.event.text = True, ""
    two.event.media_urls.append("/p.jpg")
    assert it.ending("A", "one") == ["one"]
    it.hands.complete(one.event, is_stopping=False)
    it.store.clear()
    it.hands.begun(two.event)
    assert three.runs(it.stored)
    assert it.ending("A", "two") == ["two", "picture", "three"]


def test_a_command_beside_a_turn_ends_alone() -> None:
    it = Hermes()
    it.begun("one")
    status = it.handed("/status")
    status.is_command = True
    assert it.ending("A", "/status") == ["/status"]
    status.is_answered = True
    assert it.ending("A", "/status") == []
    assert it.ending("A", "one") == ["one"]


def test_a_run_that_goes_on_with_the_next_message_says_the_last_of_the_first_then() -> None:
    it = Hermes()
    one, two = it.begun("one"), it.kept("two")
    assert it.speaking("A", None) == ["one"]
    assert not one.is_followed
    it.hands.followed("A", it.store["A"].pop(), it.stored)
    assert one.is_followed
    assert it.speaking("A", None) == ["one"]
    one.is_answered = True  # with what was said
    assert it.speaking("A", None) == ["two"]
    assert it.ending("A", "one") == ["two"], "Hermes names the message that its run began with"
    assert not two.is_followed


def test_a_run_goes_on_with_what_was_fed_to_it_too_late() -> None:
    it = Hermes()
    one = it.begun("one")
    it.hands.followed("A", None, it.stored)
    assert not one.is_followed
    two = it.fed("two")
    it.hands.followed("A", None, it.stored)
    assert (one.is_followed, two.is_followed) == (True, False)
    assert it.ending("A", "one") == ["one", "two"]
    assert it.speaking("A", None) == ["one"]
    one.is_answered = True
    assert it.ending("A", "one") == ["two"]


def test_a_run_goes_on_with_an_event_of_nobody() -> None:
    it = Hermes()
    one = it.begun("one")
    it.hands.followed("A", Event("of Hermes"), it.stored)
    assert one.is_followed


def test_an_interrupted_turn_ends_with_the_answer_to_what_interrupted_it() -> None:
    it = Hermes()
    it.begun("one")
    it.kept("two")
    it.hands.followed("A", it.store["A"].pop(), it.stored)
    assert it.ending("A", "one") == ["one", "two"]


# --- what Hermes loses ----------------------------------------------------------------------------------------------


def test_a_text_that_takes_the_place_of_another_takes_it_along() -> None:
    it = Hermes()
    it.begun("one")
    two, three = it.handed("two"), it.handed("three")
    it.slots["A"] = two.event
    it.slots["A"] = two.event
    assert two.is_taken
    it.slots["A"] = three.event
    assert three.event.text == "two\nthree"
    assert two.is_in(it.stored("A"))
    assert not two.runs(it.stored)
    del it.slots["A"]
    assert two.runs(it.stored)


@pytest.mark.parametrize("facts", [{"message_type": Kind.PHOTO}, {"media_urls": ["/p.jpg"]}])
def test_what_cannot_be_taken_along_is_to_be_handed_over_again(facts: dict[str, Any]) -> None:
    it = Hermes()
    it.begun("one")
    two, three = it.handed("two"), it.handed("three", **facts)
    it.slots["A"] = two.event
    it.slots["A"] = three.event
    assert three.event.text == "three"
    assert two.is_dropped
    assert it.ending("A", "one") == ["one"]


def test_what_is_nobody_s_may_be_displaced() -> None:
    it = Hermes()
    one = it.handed("one")
    it.slots["A"] = Event("of Hermes")
    it.slots["A"] = one.event
    it.slots["B"] = Event("elsewhere")
    assert one.event.text == "one"
    assert not one.is_dropped


# --- runs -----------------------------------------------------------------------------------------------------------


def test_a_later_run_finds_what_hermes_has_and_brings_a_new_line() -> None:
    it = Hermes()
    one, again = it.begun("1"), message("1")
    turn, is_new = it.hands.take(again, "A")
    assert turn is one
    assert not is_new
    assert turn.message is again


def test_dropping_takes_only_what_is_there() -> None:
    it = Hermes()
    one = it.begun("1")
    it.hands.drop(one)
    two = it.begun("1")
    it.hands.drop(one)  # the run of before
    assert it.hands.answering("1") is two
    assert it.hands.answering(None) is None


def test_what_waits_at_an_adapter_that_was_replaced_is_not_answered_by_what_runs() -> None:
    hands = Hands()
    old, new = Slots(hands), Slots(hands)
    turns = []
    for name in ("m1", "m2"):
        turn, _ = hands.take(message(name), "A")
        turn.event, turn.session = Event(name), "A"
        turns.append(turn)
    hands.begun(turns[0].event)
    old["A"] = turns[1].event
    assert hands.waiting("A") == [turns[1].event]
    assert hands.ending("A", "m1", hands.waiting) == turns[:1], "the new adapter sends it: Hermes asks it first"
    del old["A"]
    new["A"] = turns[1].event
    del old
    assert hands.waiting("A") == [turns[1].event]
