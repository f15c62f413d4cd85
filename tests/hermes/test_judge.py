"""The judge counts right, and the table says what was seen: a blind judge would call every adapter faultless."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hermes import table
from tests.hermes.judge import Count, Seen, copies, count, read
from tests.hermes.rig import BUILTIN, BUOY
from tests.hermes.scenarios import SCENARIOS


def row(text: str, file_text: str = "") -> dict[str, Any]:
    return {"text": text, "file_text": file_text, "at": 1.0}


def turn(*users: str, tools: bool = True) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text} for text in users]}
    return body | ({"tools": [1]} if tools else {})


@pytest.mark.parametrize(
    ("shown", "once", "lost", "twice"),
    [
        ([], 0, 2, 0),
        ([row("m1"), row("m2")], 2, 0, 0),
        ([row("m1"), row("m1 recovered, perhaps a duplicate"), row("m2")], 1, 0, 1),
        ([row("file", "m1")], 1, 1, 0),
        ([row("Interrupting your task"), row("m2")], 1, 1, 0),
    ],
)
def test_answers_are_counted_by_their_marks(shown: list[dict[str, Any]], once: int, lost: int, twice: int) -> None:
    counted = count(shown, ["m1", "m2"])
    assert (counted.once, counted.lost, counted.twice) == (once, lost, twice)
    assert counted.is_right is (once == 2)


def test_nothing_said_is_nothing_proven() -> None:
    assert not Count(0, 0, 0).is_right
    assert [one["text"] for one in copies([row("a m1"), row("b")], "m1")] == ["a m1"]


def test_a_message_is_looked_for_in_the_conversation_of_the_last_turn() -> None:
    asked = [turn("first m1"), turn("first m1", "second m2"), turn("a title of m1", tools=False)]
    assert read(asked, ["m1", "m2", "m3"]) == [1, 1, 0]
    assert read([turn("m1", "m1 again")], ["m1"]) == [2]
    assert read([], ["m1"]) == [0]


@pytest.mark.parametrize("language", table.WORDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_each_scenario_has_words_in_both_languages(scenario: Any, language: str) -> None:
    words = scenario.en if language == "en" else scenario.zh
    assert all(words)
    names = dict.fromkeys(part.partition("}")[0] for part in scenario.en[2].split("{")[1:])
    assert table.told(scenario, Seen(is_right=True, values=dict.fromkeys(names)), language)


def test_names_are_unique() -> None:
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)


def test_the_table_stands_between_its_marks_and_shows_what_failed() -> None:
    stop = next(one for one in SCENARIOS if one.name == "stop_healthy")
    results = {
        (stop.name, BUOY, "new"): Seen(is_right=True, values={"exit_s": 0.44}),
        (stop.name, BUILTIN, "new"): Seen(is_right=False, values={"exit_s": None}),
        (stop.name, BUILTIN, "old"): Seen(is_right=True, applies=False),
    }
    drawn = table.table(results, "en", date="2026-01-02", buoy="1.0")
    line = next(one for one in drawn.splitlines() if one.startswith("| SIGTERM while all is well"))
    assert line == "| SIGTERM while all is well | 5 s | there is none | ✗ never |  | 0.4 s |"
    document = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    assert table.put(document, drawn) == f"before\n{table.BEGIN}\n{drawn}{table.END}\nafter\n"
    assert table.put("no marks", drawn) == "no marks"
