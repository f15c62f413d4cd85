"""What `buoy status` says in words."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from rich.console import Console, Group

from buoy.durable import meta
from buoy.durable.schema import open_memory
from buoy.errors import BusyError
from buoy.faces import control, ending, status
from buoy.gateway.health import Snapshot
from buoy.letters import Ended
from buoy.platforms.qq import health
from buoy.protocol import session as m
from tests.gateway.fakes import World, play


@pytest.mark.parametrize(
    ("to_at", "done", "words"),
    [
        (1034.0, "identified anew", r"of bot 1: 34 s from .* to .*: invalid session; identified anew"),
        (1000.5, "replaced on purpose", r"of bot 1: no time between, at .*; replaced on purpose"),
        (8200.0, "", r"of bot 1: 2 h from .*; messages of that time may be lost at QQ"),
    ],
)
def test_a_gap_is_told_with_its_times_its_cause_and_what_was_done(to_at: float, done: str, words: str) -> None:
    gap = {"bot": "1", "from_at": 1000.0, "to_at": to_at, "cause": "invalid session", "done": done}
    assert re.fullmatch(words, status.gap_line(gap))


def test_refused_event_groups_are_named_with_the_reason() -> None:
    line = status.intents_line("1", {"intents_refused": ["A", "B"], "intents_reason": "close code 4014"})
    assert "no events of A, B: QQ refused them (close code 4014)" in line


def test_what_changed_settings_ask_for_was_not_refused() -> None:
    asked = replace(m.initial(3), session=m.Session("s", 1, 1), granted=1, intents=1)
    assert health.told(asked, 0.0, None)["intents_refused"] != []
    assert health.told(replace(asked, outdated=True), 0.0, None)["intents_refused"] == []


# --- the whole picture -----------------------------------------------------------------------------------------


def drawn(snapshot: Snapshot) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(Group(*status.render(snapshot)))
    return console.export_text()


def told(**changes: Any) -> Snapshot:
    """A snapshot of the real gateway, with changes of the test's own."""
    found: list[Snapshot] = []

    async def test(world: World) -> None:
        found.append(world.app.health())

    play(test)
    return cast("Snapshot", {**found[0], **changes})


DOWN = {
    "platform": "qq", "state": "down", "since": 1000.0, "phase": "waiting", "attempt": 3, "cause": "closed",
    "code": 4009, "reason": "", "next_try_s": 7.2, "connected": False, "identifies_left": 991, "remedy": "wait: it is",
}  # fmt: skip


def test_the_worst_comes_first_with_cause_attempt_and_next_try() -> None:
    text = drawn(told(state="down", since=1000.0, at=1720.0, bots={"102": DOWN}, not_ready=["bot 102 is down: closed"]))
    assert text.startswith("down for 12 min; Buoy runs for")
    (line,) = [line for line in text.splitlines() if line.strip().startswith("102 ")]
    assert line.split()[-6:] == ["3", "7", "s", "991", "closed", "4009"]
    assert "wait: it is" in text


def test_boxes_are_told_with_the_oldest_and_the_reasons() -> None:
    box = {
        "states": {"queued": 0, "held": 2},
        "oldest": {"queued": None, "held": 7200.0},
        "held_reasons": {"no anchor": 2},
    }
    assert "outbox: 2 held; oldest held for 2 h (2 held: no anchor)" in drawn(told(outbox=box))
    assert "inbox: empty\n" in drawn(told()).replace(" \n", "\n")


def test_what_restarts_and_what_the_machine_has_left_is_told() -> None:
    text = drawn(told(tasks={"housekeeping": {"restarts": 4, "last_end": "OSError: no"}}, disk={"free_bytes": 2.5e9}))
    assert "task housekeeping was restarted 4 times; it ended last: OSError: no" in text
    assert "2.5 GB of disk left" in text


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"ready": False}, 1), ({"ready": False, "running": False}, 3)],
)
def test_the_exit_code_is_for_scripts(changes: dict[str, Any], code: int) -> None:
    assert status.exit_code(told(**changes)) == code


def test_brackets_in_a_reason_are_no_markup() -> None:
    assert "[red]odd[/]" in drawn(told(bots={"102": DOWN | {"reason": "[red]odd[/]"}}, state="down"))


# --- the end of a process --------------------------------------------------------------------------------------


def ended(directory: Path, alive_at: float) -> Ended | None:
    db = open_memory()
    meta.set(db, "alive_at", alive_at)
    return ending.last(directory, db)


def test_an_end_that_was_written_down_is_told_with_its_code(tmp_path: Path) -> None:
    assert ended(tmp_path, 0.0) is None, "nothing ever ran"
    ending.record(tmp_path, 74, "the disk is gone")
    known = ended(tmp_path, 5.0)
    assert known is not None
    assert (known.code, known.why) == (74, "the disk is gone")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 1}', '{"at": "x", "code": 0, "why": ""}'])
def test_an_end_that_nobody_wrote_down_is_one_without_a_word(tmp_path: Path, text: str) -> None:
    (tmp_path / ending.FILE).write_text(text)
    assert ended(tmp_path, 5.0) == Ended(5.0, None, ending.NO_WORD)


def test_a_later_sign_of_life_makes_the_file_old_news(tmp_path: Path) -> None:
    ending.record(tmp_path, 0, ending.IN_ORDER)
    later = time.time() + 60
    assert ended(tmp_path, later) == Ended(later, None, ending.NO_WORD)


def test_a_disk_that_takes_no_file_harms_nobody(tmp_path: Path) -> None:
    ending.record(tmp_path / "nowhere", 0, ending.IN_ORDER)


def test_a_buoy_from_before_an_update_is_named_and_not_misread(tmp_path: Path) -> None:
    asked = '{"version": "0.1.0", "pid": 7, "running": true, "bots": {}}\n'
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / control.ADDRESS).write_text(f'{{"host": "127.0.0.1", "port": {port}, "key": "k", "pid": 7}}')

        def answer() -> None:
            link, _ = server.accept()
            with link:
                link.recv(4096)
                link.sendall(asked.encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BusyError, match=r"pid 7.* is 0\.1\.0, .*: restart it"):
            status.status(tmp_path, as_json=True, watch=False)
        thread.join()
