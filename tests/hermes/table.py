"""Results as people read them: a line while the run goes on, and the table of docs/hermes*.md. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.hermes.judge import Seen
from tests.hermes.rig import BUILTIN, BUOY, VERSIONS
from tests.hermes.scenarios import SCENARIOS, Scenario

BEGIN, END = "<!-- table -->", "<!-- /table -->"
Key = tuple[str, str, str]
"""Scenario, column, version."""


@dataclass(frozen=True)
class Words:
    """What the table says around the rows, in one language."""

    never: str
    yes: str
    no: str
    second: str
    absent: str
    head: tuple[str, str]
    columns: Mapping[str, str]
    intro: str


WORDS = {
    "en": Words(
        never="never",
        yes="yes",
        no="no",
        second="{:.1f} s",
        absent="there is none",
        head=("What is done", "What has to come of it"),
        columns={BUILTIN: "builtin", BUOY: "Buoy"},
        intro=(
            "Measured on {date}: real gateways of Hermes Agent {versions}, Buoy {buoy}, a simulated QQ, a fake model. "
            "✗ marks what misses its bound. Raw: [hermes-measured.json](hermes-measured.json); "
            "again: `make hermes-table`."
        ),
    ),
    "zh": Words(
        never="没有",
        yes="是",
        no="否",
        second="{:.1f} 秒",
        absent="没有此功能",
        head=("做了什么", "应有的结果"),
        columns={BUILTIN: "内置", BUOY: "Buoy"},
        intro=(
            "测于 {date}：Hermes Agent {versions} 的真实网关，Buoy {buoy}，模拟的 QQ，假模型。"
            "✗ 表示没有达到要求。原始数据：[hermes-measured.json](hermes-measured.json)；重测：`make hermes-table`。"
        ),
    ),
}


def told(scenario: Scenario, seen: Seen, language: str) -> str:
    """What was seen, in words."""
    words = WORDS[language]
    if not seen.applies:
        return words.absent
    if why := seen.values.get("broke"):
        return f"✗ {why}"
    pattern = (scenario.en if language == "en" else scenario.zh)[2]
    return ("" if seen.is_right else "✗ ") + pattern.format(**{k: _word(v, words) for k, v in seen.values.items()})


def _word(value: Any, words: Words) -> str:
    if value is None:
        return words.never
    if isinstance(value, bool):
        return words.yes if value else words.no
    return words.second.format(value) if isinstance(value, float) else str(value)


def table(results: Mapping[Key, Seen], language: str, *, date: str, buoy: str) -> str:
    """The whole table as Markdown, both columns on both versions."""
    words = WORDS[language]
    heads = [(column, version) for column in (BUILTIN, BUOY) for version in VERSIONS]
    title = [*words.head, *(f"{words.columns[column]}, {VERSIONS[version]}" for column, version in heads)]
    lines = [
        words.intro.format(date=date, versions=", ".join(VERSIONS.values()), buoy=buoy),
        "",
        "| " + " | ".join(title) + " |",
        "| " + " | ".join("---" for _ in title) + " |",
    ]
    for scenario in SCENARIOS:
        done, bound, _ = scenario.en if language == "en" else scenario.zh
        cells = [
            told(scenario, results[key], language) if (key := (scenario.name, *head)) in results else ""
            for head in heads
        ]
        lines.append("| " + " | ".join([done.format(outage="120 s", both="60 s"), bound, *cells]) + " |")
    return "\n".join(lines) + "\n"


def put(document: str, new: str) -> str:
    """A document with the table between its marks; unchanged where it has none."""
    before, mark, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{mark}\n{new}{end}{after}" if mark and end else document
