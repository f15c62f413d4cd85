"""`buoy logs`: the newest lines whoever lives, through rotations, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from buoy.faces.log import FILE, FOLDER
from buoy.faces.logs import Tail, chosen, logs
from buoy.faces.outlet import Rotating


def line(number: int, level: str = "info") -> str:
    return json.dumps({"event": f"e{number}", "level": level, "timestamp": "2026-11-25T03:00:00Z"})


def test_the_newest_lines_come_from_several_files_and_levels_are_chosen_before_they_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Rotating(tmp_path / FOLDER / FILE, size=400)
    file.write([line(number, "error" if number % 10 == 0 else "info") for number in range(20)] + ["{broken off"])
    assert logs(tmp_path, count=3, follow=False, as_is=True, level="debug") == 0
    assert capsys.readouterr().out == f"{line(18)}\n{line(19)}\n{{broken off\n"
    assert logs(tmp_path, count=3, follow=False, as_is=False, level="error") == 0
    told = capsys.readouterr().out.splitlines()
    assert [one.split()[-1] for one in told] == ["e0", "e10", "off"]
    assert logs(tmp_path, count=0, follow=False, as_is=True, level="debug") == 0
    assert not capsys.readouterr().out


def test_nothing_logged_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs(tmp_path, count=3, follow=False, as_is=False, level="debug") == 1
    assert "nothing is logged" in capsys.readouterr().err


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FOLDER / FILE).mkdir(parents=True)
    assert logs(tmp_path, count=3, follow=False, as_is=False, level="debug") == 1
    assert "cannot read" in capsys.readouterr().err


def test_the_tail_loses_and_repeats_no_line_through_rotations(tmp_path: Path) -> None:
    path = tmp_path / FILE
    tail, file = Tail(path), Rotating(path, size=250)
    assert tail.read() == []
    got = []
    for number in range(30):
        file.write([line(number)])
        got += tail.read()
    assert got == [line(number) for number in range(30)]
    tail.close()


def test_what_is_written_and_rotated_away_between_two_looks_is_read(tmp_path: Path) -> None:
    file = Rotating(tmp_path / FILE, size=250)

    class Busy(Tail):
        number = 0

        def _is_another(self) -> bool:
            for _ in range(2):
                file.write([line(self.number)])
                self.number += 1
            return super()._is_another()

    tail = Busy(tmp_path / FILE)
    got = [one for _ in range(20) for one in tail.read()]
    got += Tail.read(tail)
    assert got[:38] == [line(number) for number in range(38)]
    tail.close()


def test_a_line_is_read_when_it_is_whole_and_a_file_that_is_cut_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / FILE
    tail = Tail(path)
    with path.open("w") as file:
        file.write('{"a"')
        file.flush()
        assert tail.read() == []
        file.write(": 1}\n")
        file.flush()
        assert tail.read() == ['{"a": 1}']
        file.truncate(0)
        file.seek(0)
        file.write("{}\n")
    assert tail.read() == ["{}"]
    tail.close()


def test_what_has_no_level_is_never_hidden() -> None:
    lines = [line(1), line(2, "error"), '{"event": "odd", "level": 7}', "no json", "[]"]
    assert list(chosen(lines, "error")) == lines[1:]


def _start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "buoy", "logs", *options],
        env={"BUOY_DATA_DIR": str(folder), "PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _line(process: subprocess.Popen[str]) -> str:
    out: IO[str] | None = process.stdout
    assert out is not None
    return out.readline().strip()


def test_following_begins_before_there_is_a_file_and_ends_with_ctrl_c_or_its_reader(tmp_path: Path) -> None:
    import signal  # noqa: PLC0415

    with _start(tmp_path, "-f", "--json") as process:
        file = Rotating(tmp_path / FOLDER / FILE, size=200)
        for number in range(6):
            file.write([line(number)])
            assert _line(process) == line(number)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    with _start(tmp_path, "-f", "--json", "-n", "0") as process:
        assert process.stdout is not None
        process.stdout.close()
        ends_at = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < ends_at:
            file.write([line(7)])
            time.sleep(0.05)
        assert process.returncode == 0
