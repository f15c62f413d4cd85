"""The demo: its script, its sums, its picture; and real runs of it, some of which must fail."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from buoy.errors import ConfigError
from buoy.faces import demo
from buoy.faces.demo_keys import MAX_TEXT, Editor, Say, Wish, wish
from buoy.faces.demo_screen import Picture, frame
from buoy.faces.demo_story import (
    CHEER_S,
    GAP_S,
    PEOPLE,
    ROOMS,
    Connection,
    Line,
    Note,
    Outage,
    Summary,
    banner,
    connection,
    script,
    summarize,
    table,
    verdict,
)

# --- the script ------------------------------------------------------------------------------------------------


def test_a_script_is_the_same_for_the_same_seed_and_stays_in_its_time() -> None:
    remarks = script(7, 20)
    assert remarks == script(7, 20) != script(8, 20)
    times = [remark.at for remark in remarks]
    assert all(GAP_S[0] <= b - a <= GAP_S[1] + 1e-9 for a, b in zip([0.0, *times], times, strict=False))
    assert times[-1] < 20
    assert {remark.who for remark in remarks} == set(PEOPLE)
    assert {remark.room for remark in remarks} == set(ROOMS)


# --- the sums --------------------------------------------------------------------------------------------------

UP = Connection(is_up=True, word="connected")
OUT = Connection(is_up=False, word="retrying, attempt 2", detail="unreachable", next_s=1.5)


@pytest.mark.parametrize(
    ("received", "replies", "delivered", "ends", "expected"),
    [
        (3, [1, 1, 1], 3, "by itself", (3, 0, 0, 0)),
        (3, [1, 0, 1], 2, "by itself", (2, 1, 0, 0)),
        (3, [1, 0, 1], 2, "early", (2, 0, 0, 1)),
        (3, [1, 2, 1], 4, "by itself", (3, 0, 1, 0)),
        (2, [3, 2], 5, "by itself", (2, 0, 2, 0)),
        (2, [1, 1], 3, "by itself", (2, 0, 1, 0)),  # an answer to no message is one too many
        (2, [0, 1], 2, "by itself", (1, 1, 1, 0)),
        (3, [1, 1], 2, "by itself", (2, 1, 0, 0)),  # the simulator heard one that we do not know of
        (0, [], 0, "early", (0, 0, 0, 0)),
    ],
)
def test_sums(received: int, replies: list[int], delivered: int, ends: str, expected: Any) -> None:
    summary = summarize(received, replies, delivered, [], 9.0, is_early=ends == "early")
    assert (summary.answered, summary.lost, summary.twice, summary.waiting) == expected
    assert summary.is_kept == (expected[1:] == (0, 0, 0))


@pytest.mark.parametrize(
    ("outages", "expected"),
    [
        ([], (0, 0.0, None)),
        ([Outage(10, 16, 18.5)], (1, 6.0, 2.5)),
        ([Outage(10, 16, 18.5), Outage(20, 21, 22)], (2, 7.0, 2.5)),
        ([Outage(10, 16, 18.5), Outage(20, 21)], (2, 7.0, None)),
        ([Outage(28)], (1, 2.0, None)),  # still away at the end
    ],
)
def test_times(outages: list[Outage], expected: Any) -> None:
    summary = summarize(1, [1], 1, outages, 30.0)
    assert (summary.outages, summary.down_s, summary.recover_s) == expected


def test_an_outage_is_over_when_connected_and_all_said_before_the_return_is_answered() -> None:
    early, late = Line("a", "Lin", "private", "hi", 1.0), Line("b", "Lin", "private", "hi", 5.5)
    outage = Outage(from_at=0.0)
    assert not outage.update(2.0, [], connected=True)  # the network is away
    outage.to_at = 5.0
    assert not outage.update(5.1, [early, late], connected=True)
    early.answered_at = 5.2
    assert not outage.update(5.3, [early, late], connected=False)
    assert outage.update(5.6, [early, late], connected=True)  # late was said after the return
    assert outage.recover_s == pytest.approx(0.6)
    assert not outage.update(6.0, [early, late], connected=True)  # told once
    assert outage.caught_at == 5.6


def test_the_table_says_what_matters() -> None:
    def rows(**figures: Any) -> dict[str, tuple[str, bool | None, str]]:
        plain = {"received": 5, "answered": 5, "lost": 0, "twice": 0, "waiting": 0, "outages": 1, "gaps": 0}
        summary = Summary(**{**plain, "down_s": 6.04, "recover_s": 1.96, **figures})
        return {row.label: (row.value, row.is_good, row.remark) for row in table(summary)}

    good = rows()
    assert good["lost"] == ("0", True, "")
    assert good["seconds down"][0] == "6.0"
    assert good["seconds to recover"][:2] == ("2.0", True)
    assert "not answered yet" not in good
    assert rows(answered=4, lost=1)["lost"] == ("1", False, "")
    assert "gap" in rows(answered=4, lost=1, gaps=1)["lost"][2]
    assert rows(twice=2)["answered twice"][:2] == ("2", False)
    assert rows(answered=4, waiting=1)["not answered yet"][:2] == ("1", False)
    assert rows(recover_s=None)["seconds to recover"] == ("-", False, "not caught up")
    assert rows(outages=0, recover_s=None)["seconds to recover"] == ("-", None, "")


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((3, 3, 0, 0, 0), "Kept"),
        ((0, 0, 0, 0, 0), "Nothing"),
        ((3, 2, 1, 0, 0), "1 lost"),
        ((3, 3, 0, 2, 0), "2 answered twice"),
        ((3, 2, 0, 0, 1), "1 message waited"),
    ],
)
def test_the_verdict_names_the_figure(figures: tuple[int, int, int, int, int], words: str) -> None:
    assert words in verdict(Summary(*figures, 0, 0.0, 0, None))


# --- what is shown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bot", "expected"),
    [
        ({"phase": "live", "connected": True, "attempt": 3}, UP),
        ({"phase": "not started", "connected": False}, Connection(is_up=False, word="connecting")),
        ({"phase": "waiting", "connected": False, "attempt": 2, "cause": "unreachable", "next_try_s": 1.5},
         OUT),
        ({"phase": "opening", "connected": False, "attempt": 2, "cause": "closed", "code": 4009, "next_try_s": 9.0},
         Connection(is_up=False, word="retrying, attempt 2", detail="closed 4009")),
        ({"phase": "blocked", "connected": False, "attempt": 1, "cause": "banned", "next_try_s": 60.0},
         Connection(is_up=False, word="blocked, a person must act", detail="banned", next_s=60.0)),
    ],
)  # fmt: skip
def test_the_connection_is_told_as_the_status_tells_it(bot: dict[str, Any], expected: Any) -> None:
    assert connection(bot) == expected


def test_the_banner_follows_the_network() -> None:
    away, back, caught = Outage(10), Outage(10, 16), Outage(10, 16, 18, said=4)
    assert banner(5, [], UP, 0) == Note("calm", "connected")
    assert banner(5, [], Connection(is_up=False, word="connecting"), 0) == Note("calm", "connecting")
    assert banner(13, [away], OUT, 1) == Note("down", "NETWORK TAKEN AWAY   3 s   1 message waiting at QQ")
    assert banner(17, [back], OUT, 2).mood == "back"
    assert banner(18.1, [caught], UP, 0) == Note("good", "RECOVERED IN 2.0 s   4 messages caught up")
    assert banner(18 + CHEER_S, [caught], UP, 0).mood == "calm"
    assert banner(18.1, [caught, Outage(18)], UP, 0).mood == "down"


@pytest.mark.parametrize(("width", "height"), [(40, 13), (60, 16), (80, 24), (132, 43)])
@pytest.mark.parametrize("typed", [None, "", "你好" * 60])
def test_the_picture_fits_and_its_parts_stay_in_place(width: int, height: int, typed: str | None) -> None:
    long = "一条很长的消息" * 20
    story: list[Line | Note] = [Line("a", "Lin", "private", long, 0.0, long, 0.004), Note("down", "gone " * 40)]
    story += [Line(str(n), "Mei", "#harbour", f"h{n}", float(n)) for n in range(50)]

    def lines(rows: list[Line | Note], mood: str, state: Connection) -> list[str]:
        picture = Picture(60.0, 5.0, 20.0, Note(mood, "network " * 20), state, 1, 2, 3, 2, rows, typed)
        out = io.StringIO()
        Console(file=out, width=width, height=height, color_system=None).print(frame(picture, width, height))
        return out.getvalue().splitlines()

    full = lines(story, "down", OUT)
    empty = lines([], "calm", UP)
    assert len(full) == len(empty) <= height
    assert max(map(cell_len, full)) <= width
    assert "h49" in "".join(full)
    said = [Line(text, "Lin", "private", text, 0.0, text, 0.004) for text in ("hello", "早上好", long)]
    ticks = [cell_len(line.split("✓", maxsplit=1)[0]) for line in lines([*said], "calm", UP) if " Lin " in line]
    assert len(set(ticks)) == 1  # in Chinese or not, the times stand in one column
    where = [number for number, line in enumerate(full) if "received" in line]
    assert where == [number for number, line in enumerate(empty) if "received" in line]


@pytest.mark.parametrize(
    ("keys", "wishes", "left"),
    [
        ("hi\n", [Say("hi")], ""),
        ("hi\r\n  \n", [Say("hi")], ""),
        ("你好x\x7f\x7f吗\n", [Say("你吗")], ""),
        ("\x7fa\x1b[D\x1b[1;5C\x1bOAb", [], "ab"),
        ("ab\x15c", [], "c"),
        ("half\x10", [Wish.PLUG], "half"),
        ("\x04", [Wish.QUIT], ""),
        ("a\nb\n/quit\n", [Say("a"), Say("b"), Wish.QUIT], ""),
        ("\x00\x07", [], ""),
        ("x" * 600, [], "x" * MAX_TEXT),
    ],
)
def test_typing(keys: str, wishes: list[Wish | Say], left: str) -> None:
    editor = Editor()
    assert editor.type(keys) == wishes
    assert editor.text == left


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/plug", Wish.PLUG),
        ("/quit", Wish.QUIT),
        ("/group hi all", Say("hi all", "#harbour")),
        ("/group ", Wish.HELP),
        ("/plugh", Wish.HELP),
        ("what is /plug", Say("what is /plug")),
    ],
)
def test_a_typed_line_is_a_command_or_a_message(line: str, expected: Any) -> None:
    assert wish(line) == expected


@pytest.mark.parametrize("seconds", [0.0, 1.9, 601.0, float("nan"), float("inf")])
def test_a_length_that_shows_nothing_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="--seconds"):
        demo.main(interactive=False, seconds=seconds)


# --- real runs -------------------------------------------------------------------------------------------------

DEMO = [sys.executable, "-W", "error", "-m", "buoy", "demo"]


def surroundings(folder: Path) -> dict[str, str]:
    """An environment in which the demo must not look at anything: somebody else's settings."""
    (folder / "buoy.toml").write_text("this is not TOML")
    (folder / "tmp").mkdir()
    source = str(Path(demo.__file__).parents[2])
    mine = {
        "QQ_APP_ID": "1",
        "BUOY_AGENT": "nonsense",
        "BUOY_DATA_DIR": str(folder / "mine"),
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    return os.environ | mine | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": source, "PYTHONUTF8": "1"}


def figures(output: str) -> dict[str, float]:
    found = re.findall(r"^  (\w[a-z ]+?) +([\d.]+)(?:  |$)", output, re.MULTILINE)
    return {label: float(value) for label, value in found}


def assert_tidy(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["buoy.toml", "tmp"]
    assert not list((folder / "tmp").iterdir())


@pytest.mark.system
def test_without_a_terminal_it_prints_lines_and_keeps_the_promise(tmp_path: Path) -> None:
    run = subprocess.run(
        [*DEMO, "--seconds", "4"],
        cwd=tmp_path,
        env=surroundings(tmp_path),
        capture_output=True,
        timeout=40,
        check=False,
    )
    output = run.stdout.decode()
    assert (run.returncode, run.stderr.decode()) == (0, "")
    assert all(char.isprintable() or char == "\n" for char in output)
    told = output.split("\n\n", 1)[0].splitlines()
    assert all(re.match(r" *[\d.]+ s  \S", line) for line in told[1:])  # nothing of Buoy's own log
    sums = figures(output)
    assert sums["messages received"] == sums["answered"] == output.count(" -> ") >= 6
    assert (sums["lost"], sums["answered twice"]) == (0, 0)
    assert 1.0 <= sums["seconds down"] <= 2.0
    assert sums["seconds to recover"] > 0
    order = [
        "connected",
        "network taken away",
        "retrying, attempt",
        "network back",
        "caught up",
        "Kept",
        "The promise",
    ]
    places = [output.index(words) for words in order]
    assert places == sorted(places)
    assert places[1] < output.index("(waits)") < output.index("network back")  # before or behind the first retry
    assert_tidy(tmp_path)


PLANTED = """
import sys
from buoy.faces import demo
from buoy.sim import Delivered, Sim
from msgspec.structs import replace

def at_third(sim: Sim, act) -> None:
    seen = []
    def look(message: Delivered) -> None:
        seen.append(message)
        if len(seen) == 3:
            act(message)
    sim.world.on_delivered.append(look)

def refused(sim: Sim) -> None:
    sim.faults.add("error_code", endpoint="send", code=999999, count=1)

def swallowed(sim: Sim) -> None:
    def swallow(message: Delivered) -> None:  # accepted, and never shown
        sim.delivered.remove(message)
        sim.world._replies.pop(message.anchor)
    at_third(sim, swallow)

def doubled(sim: Sim) -> None:
    at_third(sim, lambda message: sim.world.deliver(replace(message, id="copy")))

def pushed(sim: Sim) -> None:
    at_third(sim, lambda message: sim.world.deliver(replace(message, id="copy", anchor=None, proactive=True)))

sys.exit(demo.main(interactive=False, seconds=2.0, patience_s=3.0, prepare=globals()[sys.argv[1]]))
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("fault", "lost", "twice"), [("refused", 1, 0), ("swallowed", 1, 0), ("doubled", 0, 1), ("pushed", 0, 1)]
)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str, lost: int, twice: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PLANTED, fault],
        cwd=tmp_path, env=surroundings(tmp_path), capture_output=True, timeout=40, check=False,
    )  # fmt: skip
    output = run.stdout.decode()
    sums = figures(output)
    assert (sums["lost"], sums["answered twice"]) == (lost, twice), output + run.stderr.decode()
    assert sums["answered"] == sums["messages received"] - lost
    assert run.returncode == 1
    assert "NOT kept" in output
    assert "end of Buoy's log" in run.stderr.decode()
    assert_tidy(tmp_path)


@pytest.mark.system
def test_an_interrupt_ends_it_within_a_second_with_the_sums_so_far(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--seconds", "30"],
        cwd=tmp_path,
        env=surroundings(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        while b" -> " not in process.stdout.readline():
            assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < 1.5  # a second, and half a one for a busy machine
    assert errors == b""
    sums = figures(output.decode())
    assert sums["messages received"] >= sums["answered"] >= 1
    assert (sums["lost"], sums["answered twice"]) == (0, 0)
    assert process.returncode == (1 if "not answered yet" in sums else 0)
    assert_tidy(tmp_path)


@pytest.mark.system
def test_lines_from_a_pipe_are_what_a_user_says(tmp_path: Path) -> None:
    said = "hello\n/group 大家好\n/plug\nwhile away\n/nonsense\n/plug\nand back"  # its end is the wish to quit
    run = subprocess.run(
        [*DEMO, "--interactive"], cwd=tmp_path, env=surroundings(tmp_path), input=said.encode(), capture_output=True,
        timeout=40, check=False,
    )  # fmt: skip
    output = run.stdout.decode()
    assert (run.returncode, run.stderr.decode()) == (0, "")
    assert "while away -> while away" in output
    assert "#harbour: 大家好 -> 大家好" in output
    assert "no such command" in output
    assert figures(output)["answered"] == 4


@pytest.mark.system
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_on_a_terminal_a_person_types_and_pulls_the_plug(tmp_path: Path) -> None:
    import pty  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    termios.tcsetwinsize(theirs, (24, 80))
    seen = b""

    def wait_for(words: str) -> None:
        nonlocal seen
        pattern = re.compile(words.encode())
        while (match := pattern.search(seen)) is None:
            seen += os.read(ours, 65536)
        seen = seen[match.end() :]

    env = surroundings(tmp_path) | {"TERM": "xterm-256color"}
    with subprocess.Popen(
        [*DEMO, "--interactive"], cwd=tmp_path, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        wait_for("connected")
        os.write(ours, "hello 你好\n".encode())
        wait_for(r"✓ ")
        os.write(ours, b"\x10")
        wait_for("NETWORK TAKEN AWAY")
        os.write(ours, b"anyone?\n")
        wait_for("1 message waiting")
        wait_for("retrying, attempt")
        os.write(ours, b"/plug\n")
        wait_for("NETWORK BACK")
        os.write(ours, b"/quit\n")
        wait_for(r"\x1b\[\?1049l")  # the screen is given back before the summary
        wait_for("Kept: each message was answered")
        wait_for("your own bot")
        process.wait(timeout=10)
    assert process.returncode == 0
    assert termios.tcgetattr(theirs)[3] == before[3]  # line mode and echo are back
    os.close(ours)
    os.close(theirs)
    assert_tidy(tmp_path)
