"""Where answers are cut, and that a continued one has no part twice and none missing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.agents import parts as under_test
from buoy.agents.parts import LEAST_TEXT, Parts, Repeats, Seam, cut, whole
from tests.fakes_llm import sentences


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One two.", ""),  # whether it ends there is not known yet
        ("One two. Three", "One two."),
        ("Pi is 3.14 and 1. is a number", ""),
        ("Is it? Yes", "Is it?"),
        ('He said "no." Then', 'He said "no."'),
        ("你好。世界", "你好。"),
        ("你好。”世界", "你好。”"),
        ("真的？！好", "真的？！"),  # noqa: RUF001
        ("One. Two\n\nThree. Four", "One. Two\n"),  # a paragraph is better than a later sentence
        ("Look:\n\n- one", ""),
        ("# Title. Sub\n\ntext", ""),
        ("```\na. b\n\nc. d", ""),
        ("```py\na. b\n```\n\nEnd", "```py\na. b\n```\n"),
        ("````\n```\na. b\n\n```\nc. d", ""),
        ("| a. b | c |\n| d. e", ""),
        ("", ""),
    ],
)
def test_where_a_part_may_end(text: str, first: str) -> None:
    assert text[: cut(text, 1)] == first


def test_not_before_there_is_enough() -> None:
    assert cut("One. Two. Three", 5) == len("One. Two.")
    assert cut("One. Two. Three", 10) == 0


def test_what_is_worth_going_on_from() -> None:
    assert whole("One. Two, thr") == len("One.")
    assert whole("a = 1\nb =") == len("a = 1\n")
    assert whole("Hel") == 0


def pieces(text: str, seed: int) -> list[str]:
    chance, at, found = random.Random(seed), 0, []
    while at < len(text):
        size = chance.randint(1, 30)
        found.append(text[at : at + size])
        at += size
    return found


def plain(text: str) -> str:
    return "".join(text.split())


def place(text: str, given: str) -> int:
    """Where a text goes on behind what was given; it has to begin with that, blanks aside, and so nothing is twice."""
    return next(at for at in range(len(text) + 1) if plain(text[:at]) == plain(given))


@settings(deadline=None)  # a busy machine
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 99))
def test_the_parts_together_are_the_answer(count: int, most: int, seed: int) -> None:
    text = sentences(count)
    parts = Parts((), most)
    said = [part for piece in pieces(text, seed) if (part := parts.feed(piece, 0.0))] + [parts.rest()]
    assert len(said) <= most
    assert plain("".join(said)) == plain(text)


@settings(deadline=None)  # a busy machine
@given(st.integers(2, 60), st.data(), st.sampled_from(["goes on", "starts again", "repeats its last words"]))
def test_a_broken_answer_is_whole_however_the_model_goes_on(count: int, data: st.DataObject, manner: str) -> None:
    text = sentences(count)
    parts, said = Parts((), 3), []
    for seed in range(data.draw(st.integers(1, 3))):  # so often it breaks
        at = place(text, parts.so_far)
        if manner == "starts again":
            at = 0
        elif manner == "repeats its last words":
            at = max(0, text.rfind("This", 0, max(0, at - 30)))
        end = data.draw(st.integers(at, len(text)))
        said += [part for piece in pieces(text[at:end], seed) if (part := parts.feed(piece, 0.0))]
        parts.broke()
    at = 0 if manner == "starts again" else place(text, parts.so_far)
    said += [part for piece in pieces(text[at:], 7) if (part := parts.feed(piece, 0.0))] + [parts.rest()]
    assert plain("".join(said)) == plain(text)


@settings(deadline=None)  # a busy machine
@given(st.integers(2, 60), st.data(), st.booleans())
def test_another_process_goes_on_behind_what_was_delivered(count: int, data: st.DataObject, again: bool) -> None:  # noqa: FBT001
    text = sentences(count)
    first = Parts((), 5)
    delivered = [part for piece in pieces(text, 1) if (part := first.feed(piece, 0.0))]
    delivered = delivered[: data.draw(st.integers(0, len(delivered)))]
    at = place(text, "".join(delivered))
    second = Parts(delivered, 5)
    said = [part for piece in pieces(text[0 if again else at :], 2) if (part := second.feed(piece, 0.0))]
    said.append(second.rest())
    assert plain("".join(delivered + said)) == plain(text)
    assert len(delivered) + len(said) <= 5


def test_what_the_platform_worded_anew_is_known_again() -> None:
    seam = Seam("Read the page at example。com/path, it is short.")
    assert seam.feed("Read **the page** at example.com/path, it is short. Then") == " Then"


def test_a_model_that_starts_again_in_other_words_repeats_no_whole_sentence() -> None:
    seam = Seam("The first thing is the most important one. The second thing is small.")
    text = "The first thing is the most important one. The second is large. Third."
    assert seam.feed(text) + seam.end() == " The second is large. Third."


def test_a_continuation_that_happens_to_begin_alike_is_kept() -> None:
    seam = Seam("Yes. The answer is yes, and it will stay so for ever.")
    assert seam.feed("Yes") == ""
    assert seam.feed(", indeed.") == "Yes, indeed."
    seam = Seam("Yes. The answer is yes, and it will stay so for ever.")
    assert seam.feed("Yes.") + seam.end() == "Yes."


def test_a_text_without_a_place_is_not_looked_through_with_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(text: str, least: int) -> int:
        looked.append(least)
        return cut(text, least)

    monkeypatch.setattr(under_test, "cut", counted)
    parts = Parts((), 3)
    for _ in range(4000):
        assert parts.feed("x = 1", 0.0) == ""
    assert len(looked) < 500
    for _ in range(300):
        parts.feed(" word", 0.0)
    assert parts.feed(". " + "And so it went on. " * 40, 0.0)


def test_what_is_old_leaves_sooner() -> None:
    parts = Parts((), 3)
    sentence = "x" * LEAST_TEXT + ". "
    assert parts.feed(sentence + "y", 1.0) == ""
    assert parts.feed("y", 9.0) == sentence.strip()
    assert parts.feed(f"{sentence}z", 17.0) == "", "the second part waits longer"


def test_repeats_are_known_as_long_as_they_come_in_order() -> None:
    repeats = Repeats(("one two", "three"))
    assert [repeats.has(part) for part in ("One", "one")] == [False, False]
    repeats = Repeats(("one two", "three"))
    assert [repeats.has(part) for part in ("one", "two\nthree", "four", "one")] == [True, True, False, False]


def test_a_repeat_without_a_letter_hides_none_behind_it() -> None:
    repeats = Repeats(("🎉", "one two", "👍"))
    assert [repeats.has(part) for part in ("🎉", "one two", "👍", "🎉", "👍")] == [True, True, True, False, False]
    repeats = Repeats(("one 🎉 two",))
    assert [repeats.has(part) for part in ("one", "🎉", "two", "🎉")] == [True, True, True, False]
    repeats = Repeats(("🎉", "one", "👍"))
    assert [repeats.has(part) for part in ("two", "👍")] == [False, False], "it says something else"


def test_blanks_where_a_stream_broke_come_back() -> None:
    parts = Parts((), 1)
    parts.feed("One. Two.\n\nThr", 0.0)
    parts.broke()
    assert parts.so_far == "One. Two."
    parts.feed("Three.", 0.0)
    assert parts.rest() == "One. Two.\n\nThree."


def test_what_an_earlier_run_delivered_counts_among_the_parts() -> None:
    parts = Parts(("One is here.", "Two is here."), 3)
    assert [part for piece in pieces(sentences(500), 1) if (part := parts.feed(piece, 0.0))] == []
