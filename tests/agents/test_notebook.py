"""Notes that outlive a kill."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

from buoy.agents.notebook import Notebook


def put(book: Notebook, *pairs: tuple[str, Any]) -> None:
    async def run() -> None:
        for name, note in pairs:
            await book.put(name, note)

    asyncio.run(run())


def test_a_note_is_there_in_the_next_process_and_the_last_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "agents" / "1.runs"
    put(Notebook(file), ("a", {"n": 1}), ("b", "é"), ("a", {"n": 2}), ("b", None))
    book = Notebook(file)
    assert (book.get("a"), book.get("b"), book.get("c")) == ({"n": 2}, None, None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_a_kill_tore_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "1.runs"
    file.write_text('["a", 1]\n["b", 2]\n[3]\n["c", 4')
    book = Notebook(file)
    assert (book.get("a"), book.get("b"), book.get("c")) == (1, 2, None)
    put(book, ("d", 5))
    assert Notebook(file).get("d") == 5


def test_a_damaged_line_costs_no_other(tmp_path: Path) -> None:
    file = tmp_path / "1.runs"
    file.write_bytes(b'["a", 1]\n5\nnull\n["b", "\xff\xfe"]\n\x00\x00\n' + b"[" * 100_000 + b'\n["c", 3]')
    book = Notebook(file)
    assert (book.get("a"), book.get("b"), book.get("c")) == (1, None, 3)


def test_the_newest_notes_stay_and_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "1.runs"
    put(Notebook(file, kept=3), *((f"n{n}", n) for n in range(40)))
    book = Notebook(file, kept=3)
    assert [book.get(f"n{n}") for n in range(36, 40)] == [None, 37, 38, 39]
    assert len(file.read_text().splitlines()) <= 3 * 4 + 1


def test_without_a_file_it_lasts_as_long_as_the_process() -> None:
    book = Notebook(None)
    put(book, ("a", 1))
    assert book.get("a") == 1


def test_a_disk_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("no folder")
    book = Notebook(tmp_path / "agents" / "1.runs")
    put(book, ("a", 1))
    assert book.get("a") == 1
