"""Writes the generated parts of docs/resilience*.md: ``make docs``; from a recording: ``BUOY_MEASURED=FILE make docs``.

A recording holds a JSON line for each measurement (tests/measure.py); docs/measured.jsonl keeps the worst of each.
"""

# ruff: noqa: RUF001  Chinese punctuation is meant

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.resilience_rows import ROWS, Row
from tests.resilience_words import BUGS_ZH, INVARIANTS, KINDS_ZH, TOUCHES_ZH
from tests.world.bugs import BUGS
from tests.world.weather import KINDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MEASURED = DOCS / "measured.jsonl"
PAGES = (DOCS / "resilience.md", DOCS / "resilience.zh.md")
JUDGES = sorted((ROOT / "tests/world").glob("*.py"))
UNITS_ZH = {"s": "秒", "attempts": "次尝试", "connects": "次连接", "beats": "次心跳"}
CHAOS = "tests/system/test_chaos_"

Line = dict[str, Any]


# --- what was measured --------------------------------------------------------------------------------------------


def reduce(lines: Iterable[Line]) -> list[Line]:
    """Keep the worst value of each (row, what); an id loses its parameters, which a recording may hold in part."""
    worst: dict[tuple[int, str], Line] = {}
    for line in lines:
        key = line["row"], line["what"]
        kept = line | {"test": line["test"].partition("[")[0]}
        if key not in worst or kept["value"] > worst[key]["value"]:
            worst[key] = kept
    return [worst[key] for key in sorted(worst)]


def read(path: Path) -> list[Line]:
    """Read a recording, or what is kept of one."""
    return [json.loads(text) for text in path.read_text("utf-8").splitlines() if text]


def amount(value: float) -> str:
    """A figure as people read it: 24.252 is 24.3, and 6.0 is 6."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def worst_of(lines: Iterable[Line]) -> list[Line]:
    """For each unit, what came closest to its bound."""
    found: dict[str, Line] = {}
    for line in lines:
        best = found.get(line["unit"])
        if best is None or line["value"] * best["bound"] > best["value"] * line["bound"]:
            found[line["unit"]] = line
    return list(found.values())


# --- what the world says of itself --------------------------------------------------------------------------------


def invariants() -> list[str]:
    """The name of every invariant that the world may find broken, in the order of its source."""
    found = []
    for path in JUDGES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "break_":
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{path.name}:{node.lineno}: an invariant's name is a literal"
                found.append((path.name, node.lineno, str(name.value)))
    return list(dict.fromkeys(name for _, _, name in sorted(found)))


def span(least: float, most: float, zh: bool) -> str:  # noqa: FBT001
    if not most:
        return "瞬间" if zh else "a moment"
    if most > 3600 or least >= 600:
        low, high = (f"{least / 60:.3g}", f"{most / 60:.3g}")
        return f"{low}-{high} 分钟" if zh else f"{low}-{high} min"
    return f"{least:g}-{most:g} {'秒' if zh else 's'}"


# --- the parts ----------------------------------------------------------------------------------------------------


def table(head: str, rows: Iterable[Iterable[object]]) -> str:
    names = head.split(" | ")
    lines = [f"| {head} |", "| " + " | ".join("---" for _ in names) + " |"]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


def commands(row: Row) -> str:
    """What replays a row, from the widest to the narrowest."""
    told = [
        *(["`make chaos`"] if any(proof.startswith(CHAOS) for proof in row.proofs) else []),
        *(["`make world`"] if row.weather else []),
        "`make test`",
    ]
    return ", ".join(told)


def faults(lines: list[Line], zh: bool) -> str:  # noqa: FBT001
    def measured(row: Row) -> tuple[str, str]:
        mine = [line for line in lines if line["row"] == row.number]
        if not mine:
            return f"*{row.asserted[zh]}*", ""
        worst = worst_of(mine)
        if zh:
            told = "；".join(
                f"{amount(w['value'])} / {amount(w['bound'])} {UNITS_ZH.get(w['unit'], w['unit'])}" for w in worst
            )
        else:
            told = "; ".join(f"{amount(w['value'])} of {amount(w['bound'])} {w['unit']}" for w in worst)
        return told, max(line["date"] for line in mine)

    head = (
        "# | 故障 | Buoy 怎么做 | 界限 | 证明 | 实测最差 | 日期"
        if zh
        else "# | fault | what Buoy does | bound | proof | worst measured | date"
    )
    return table(
        head,
        (
            (row.number, row.fault[zh], row.does[zh], row.bound[zh], commands(row), *measured(row))
            for row in ROWS
        ),
    )  # fmt: skip


def proofs(_: list[Line], zh: bool) -> str:  # noqa: FBT001
    parts = []
    for row in ROWS:
        told = [f"**{row.number}.** {row.fault[zh]}", "", *(f"- `{proof}`" for proof in row.proofs)]
        if row.weather:
            names = [f"{KINDS_ZH.get(name, name)}" if zh else name for name in row.weather]
            told.append(
                f"- {'世界中的故障：' if zh else 'in the world: '}{'、'.join(names) if zh else ', '.join(names)}"
            )
        if row.later[zh]:
            told.append(f"- {'尚未证明：' if zh else 'not proven yet: '}{row.later[zh]}")
        parts.append("\n".join(told))
    return "\n\n".join(parts)


def values(lines: list[Line], zh: bool) -> str:  # noqa: FBT001
    head = "# | 测量（测试中的原文） | 最差 | 界限 | 单位" if zh else "# | what | worst | bound | unit"
    return table(
        head,
        (
            (
                line["row"], line["what"], amount(line["value"]), amount(line["bound"]),
                UNITS_ZH.get(line["unit"], line["unit"]) if zh else line["unit"],
            )
            for line in lines
        ),
    )  # fmt: skip


def weather(_: list[Line], zh: bool) -> str:  # noqa: FBT001
    def touches(text: str) -> str:
        words = text.split()
        return "、".join(TOUCHES_ZH.get(word, word) for word in words) if zh else ", ".join(words)

    return table(
        "故障 | 权重 | 持续 | 触及" if zh else "fault | weight | lasts | touches",
        (
            (KINDS_ZH.get(kind.name, kind.name) if zh else kind.name, f"{kind.weight:g}", span(*kind.lasts, zh),
             touches(kind.touches))
            for kind in KINDS
        ),
    )  # fmt: skip


def called(name: str, zh: bool) -> str:  # noqa: FBT001
    """An invariant's name as the page writes it."""
    return INVARIANTS[name][2] if zh and name in INVARIANTS else name


def bugs(_: list[Line], zh: bool) -> str:  # noqa: FBT001
    return table(
        "植入的错误 | 名称（`--bug`） | 见于 | 发现它的不变量"
        if zh
        else "planted bug (`--bug`) | seen in | found by the invariant",
        (
            (
                *([BUGS_ZH.get(name, name), f"`{name}`"] if zh else [f"`{name}`"]),
                bug.seen_in.replace("|", "/"),
                ("、" if zh else ", ").join(called(found, zh) for found in sorted(bug.found_by)),
            )
            for name, bug in BUGS.items()
        ),
    )


def promises(_: list[Line], zh: bool) -> str:  # noqa: FBT001
    def cells(name: str) -> tuple[str, ...]:
        english, chinese, _ = INVARIANTS.get(name, ("", "", ""))
        return (called(name, zh), f"`{name}`", chinese) if zh else (f"`{name}`", english)

    head = "不变量 | 输出中的名称 | 含义" if zh else "invariant | what it says"
    return table(head, (cells(name) for name in invariants()))


PARTS: dict[str, Callable[[list[Line], bool], str]] = {
    "faults": faults, "proofs": proofs, "values": values, "weather": weather, "bugs": bugs, "invariants": promises,
}  # fmt: skip


# --- the pages ----------------------------------------------------------------------------------------------------


def render(page: str, lines: list[Line], *, zh: bool) -> str:
    """The page with every generated part anew; the rest is written by hand."""
    return fill(page, {name: write(lines, zh) for name, write in PARTS.items()})


def fill(page: str, parts: dict[str, str]) -> str:
    """Put each part between its two markers."""
    for name, text in parts.items():
        begin, end = f"<!-- generated: {name} -->\n", f"\n<!-- end of {name} -->"
        assert page.count(begin) == page.count(end) == 1, f"the markers of {name} stand once each"
        part = re.escape(begin) + ".*?" + re.escape(end)
        whole = f"{begin}\n{text}\n{end}"
        page = re.sub(part, lambda _, whole=whole: whole, page, flags=re.DOTALL)  # type: ignore[misc]
    return page


def main() -> int:
    if recording := os.environ.get("BUOY_MEASURED"):
        before = {(line["row"], line["what"]) for line in read(MEASURED)} if MEASURED.exists() else set()
        lines = reduce(read(Path(recording)))
        for row, what in sorted(before - {(line["row"], line["what"]) for line in lines}):
            print(f"no longer measured: row {row}, {what}", file=sys.stderr)
        MEASURED.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    lines = read(MEASURED)
    for path in PAGES:
        path.write_text(render(path.read_text("utf-8"), lines, zh=path.name.endswith(".zh.md")), "utf-8")
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
