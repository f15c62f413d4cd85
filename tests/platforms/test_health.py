"""What an operator is told of a session: one word, its cause, and each piece of news once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from buoy.letters import Intake
from buoy.platforms.qq import health
from buoy.protocol import session as m

NEW = m.initial(3)
LIVE = replace(NEW, phase=m.Phase.LIVE)
LOST = replace(NEW, phase=m.Phase.WAITING, cause=m.Trouble.CLOSED, code=4009, reason="asked to reconnect")
BANNED = replace(NEW, phase=m.Phase.BLOCKED, cause=m.Trouble.BANNED, code=4915)


@pytest.mark.parametrize(
    ("state", "word", "cause"),
    [
        (replace(NEW, phase=m.Phase.LOCATING), "down", "starting"),
        (LIVE, "up", ""),
        (replace(LIVE, missed=2), "down", "heartbeats are not acknowledged"),
        (LOST, "down", "closed 4009: asked to reconnect"),
        (replace(LOST, phase=m.Phase.OPENING), "down", "closed 4009: asked to reconnect"),
        (BANNED, "blocked", "banned 4915"),
    ],
)
def test_one_word_and_its_cause(state: m.State, word: str, cause: str) -> None:
    assert (health.word(state), health.cause(state)) == (word, cause)


class Notes:
    """An intake that writes down what it is told."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def changed(self, *news: Any) -> None:
        self.all.append(news)


def test_news_is_told_once_and_a_state_lasts_over_its_causes() -> None:
    notes, now = Notes(), 100.0
    bulletin = health.Bulletin("102", 1, cast("Intake", notes), lambda: now)
    for state in (NEW, LIVE, LIVE, LOST, replace(LOST, phase=m.Phase.LOCATING), replace(LOST, code=4008), NEW):
        now += 10
        bulletin.tell(state)
    assert [news[2:] for news in notes.all] == [
        ("up", ""),
        ("down", "closed 4009: asked to reconnect"),
        ("down", "closed 4008: asked to reconnect"),
    ]
    assert {news[:2] for news in notes.all} == {("102", 1)}
    assert bulletin.since == 140.0, "down since then, whatever the cause is by now"


def test_what_was_left_of_a_budget_is_not_known_a_day_later() -> None:
    state = replace(LIVE, left=50, since=100.0)
    assert health.told(state, 100.0 + 86_399, None)["identifies_left"] == 50
    assert health.told(state, 100.0 + 86_400, None)["identifies_left"] is None, "QQ has given new ones since"
