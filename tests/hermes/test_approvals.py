"""Whose click counts, and for which approval."""

from __future__ import annotations

import pytest

from buoy.faces.hermes import approvals
from buoy.faces.hermes.approvals import Prompts

DM = "agent:main:buoy:dm:A"
GROUP = "agent:main:buoy:group:group-G:U"


def data(prompts: Prompts, session: str = DM, waiting: int = 1, choice: str = "once") -> str:
    buttons = [one for row in prompts.ask(session, waiting, with_always=True) for one in row]
    return next(one.data for one in buttons if f":{choice}:" in one.data)


def test_a_click_answers_its_prompt_once() -> None:
    prompts = Prompts()
    one = data(prompts, choice="session")
    assert prompts.answered(one) == (DM, "session")
    assert prompts.answered(one) is None


def test_a_prompt_that_was_answered_in_words_goes_out_of_use_with_the_next() -> None:
    prompts = Prompts()
    old = data(prompts)
    new = data(prompts)  # only one approval waits: the old one was answered
    assert prompts.answered(old) is None
    assert prompts.answered(new) == (DM, "once")


def test_of_two_that_wait_the_oldest_is_answered_first() -> None:
    prompts = Prompts()
    first, second = data(prompts), data(prompts, waiting=2)
    assert prompts.answered(second) is None  # Hermes would run the first one's command
    assert prompts.answered(first) == (DM, "once")
    assert prompts.answered(second) == (DM, "once")


def test_sessions_do_not_mix_and_other_processes_prompts_are_out_of_use() -> None:
    prompts = Prompts()
    one, other = data(prompts), data(prompts, GROUP)
    assert prompts.answered(other) == (GROUP, "once")
    assert prompts.answered(one) == (DM, "once")
    assert prompts.answered(data(Prompts())) is None


def test_always_is_offered_only_where_hermes_allows_it() -> None:
    labels = [one.label for row in Prompts().ask(DM, 1, with_always=False) for one in row]
    assert len(labels) == 3
    assert sum(len(row) for row in Prompts().ask(DM, 1, with_always=True)) == 4


@pytest.mark.parametrize("text", ["", "hermes", "hermes:x", "hermes:x:once", "hermes:x:perhaps:s", "other:x:once:s"])
def test_what_is_no_button_of_ours(text: str) -> None:
    assert approvals.read(text) is None
    assert Prompts().answered(text) is None


@pytest.mark.parametrize(
    ("session", "chat", "user", "may"),
    [
        (DM, "A", "A", True),
        (DM, "A", "B", False),
        (DM, "B", "B", False),
        (DM, "A", "", False),
        ("agent:main:buoy:dm:dm-7", "dm-7", "anybody there", True),
        (GROUP, "group-G", "U", True),
        (GROUP, "group-G", "V", False),
        (GROUP, "group-H", "U", False),
        ("agent:main:buoy:group:group-G", "group-G", "V", True),  # one session for all members
        ("agent:main", "A", "A", False),
    ],
)
def test_who_may_answer(session: str, chat: str, user: str, *, may: bool) -> None:
    assert approvals.may_answer(session, chat, user) is may
