"""docs/resilience*.md say what the tests hold: rows have proofs, measurements keep their bounds, nothing is stale."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import resilience
from tests.resilience import MEASURED, PAGES, ROOT
from tests.resilience_rows import ROWS, Row
from tests.resilience_words import INVARIANTS
from tests.world.bugs import BUGS
from tests.world.weather import KINDS

LINES = resilience.read(MEASURED)
ENGLISH, CHINESE = (path.read_text("utf-8") for path in PAGES)


def part(page: str, name: str) -> str:
    return page.split(f"<!-- generated: {name} -->")[1].split(f"<!-- end of {name} -->", maxsplit=1)[0]


def test_the_table_has_the_25_rows_in_both_languages() -> None:
    assert [row.number for row in ROWS] == list(range(1, 26))
    for page in (ENGLISH, CHINESE):
        assert [int(n) for n in re.findall(r"^\| (\d+) \|", part(page, "faults"), re.MULTILINE)] == list(range(1, 26))
        assert [int(n) for n in re.findall(r"^\*\*(\d+)\.\*\*", part(page, "proofs"), re.MULTILINE)] == list(
            range(1, 26)
        )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row {row.number}")
def test_every_row_names_proofs_that_exist(row: Row) -> None:
    assert row.proofs
    for proof in row.proofs:
        file, _, name = proof.partition("::")
        assert (ROOT / file).exists(), proof
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), proof
    assert set(row.weather) <= {kind.name for kind in KINDS}


def test_what_waits_for_the_webhook_says_so() -> None:
    for row in ROWS:
        if row.number in {20, 25}:
            assert all("webhook" in told for told in row.later)
        assert bool(row.later[0]) == bool(row.later[1])


def test_no_measurement_exceeds_its_bound_and_each_has_a_test_and_a_row() -> None:
    assert LINES
    for line in LINES:
        assert line["value"] <= line["bound"], line
        assert line["row"] in range(1, 26), line
        file, _, name = line["test"].partition("::")
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), line
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", line["date"])


def test_only_the_worst_of_each_is_kept() -> None:
    assert resilience.reduce(LINES) == LINES
    keys = [(line["row"], line["what"]) for line in LINES]
    assert len(keys) == len(set(keys))
    first = {"row": 1, "what": "a", "value": 2.0, "bound": 5.0, "unit": "s", "test": "x.py::test_x[1", "date": "d"}
    kept = resilience.reduce([first, first | {"value": 3.0}, first | {"value": 1.0}])
    assert [(line["value"], line["test"]) for line in kept] == [(3.0, "x.py::test_x")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_pages_are_up_to_date(path: Path) -> None:
    page = path.read_text("utf-8")
    assert resilience.render(page, LINES, zh=path.name.endswith(".zh.md")) == page, "run: make docs"


def test_every_fault_and_planted_bug_of_the_world_is_listed() -> None:
    rows = [line for line in part(ENGLISH, "weather").splitlines() if line.startswith("| ")][2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in rows] == [kind.name for kind in KINDS]
    assert part(CHINESE, "weather").count("\n| ") == part(ENGLISH, "weather").count("\n| ")
    for page in (ENGLISH, CHINESE):
        assert set(re.findall(r"`([^`]+)` \|", part(page, "bugs"))) - {"--bug"} >= set(BUGS)


def test_every_invariant_is_listed_and_every_planted_bug_is_found_by_one() -> None:
    names = resilience.invariants()
    assert {found for bug in BUGS.values() for found in bug.found_by} <= set(names)
    assert set(INVARIANTS) <= set(names), "a translation of what is gone"
    for page in (ENGLISH, CHINESE):
        assert all(f"`{name}`" in part(page, "invariants") for name in names)


def test_what_was_found_is_told_with_the_same_commits_in_both_languages() -> None:
    def fixed(page: str, head: str) -> list[list[str]]:
        table = page.split(head)[1].split("\n## ", maxsplit=1)[0]
        return [re.findall(r"`([0-9a-f]{7})`", line) for line in table.splitlines() if line.startswith("| ")]

    told = fixed(ENGLISH, "## What was found so far")
    assert told == fixed(CHINESE, "## 到目前为止发现了什么")
    assert len(told) > 20
    assert all(told[2:])


def test_a_recording_becomes_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = tmp_path / "recorded.jsonl"
    recording.write_text("".join(json.dumps(line) + "\n" for line in (LINES[0], LINES[0] | {"value": 0.0})), "utf-8")
    pages = tuple(tmp_path / path.name for path in PAGES)
    for page, path in zip(pages, PAGES, strict=True):
        page.write_text(path.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(resilience, "ROOT", tmp_path)
    monkeypatch.setattr(resilience, "PAGES", pages)
    monkeypatch.setattr(resilience, "MEASURED", tmp_path / "measured.jsonl")
    monkeypatch.setenv("BUOY_MEASURED", str(recording))
    assert resilience.main() == 0
    assert resilience.read(tmp_path / "measured.jsonl") == [LINES[0]]
    values = part(pages[0].read_text("utf-8"), "values")
    assert values.count("\n| ") == 3
