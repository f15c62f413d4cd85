"""Lines on their way out: a reader that hangs costs the caller nothing; files are private, bounded and whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from buoy.faces.outlet import Outlet, Rotating, numbered


def test_a_writer_that_hangs_blocks_nobody_and_what_did_not_fit_is_counted_and_said() -> None:
    begun, opened = threading.Event(), threading.Event()
    written: list[str] = []

    def write(lines: Sequence[str]) -> None:
        begun.set()
        opened.wait(10)
        written.extend(lines)

    outlet = Outlet("t", write, lambda count: f"{count} lost", limit=3)
    outlet.put("first")
    assert begun.wait(10)
    began = time.monotonic()
    for number in range(1000):
        outlet.put(str(number))
    assert not outlet.flush(0.01), "it hangs"
    assert time.monotonic() - began < 1.0
    assert outlet.lost == 997
    opened.set()
    assert outlet.flush(10)
    assert written == ["first", "997 lost", "0", "1", "2"]


def test_who_logs_from_a_finalizer_stops_nobody() -> None:
    done = subprocess.run([sys.executable, "-c", FINALIZERS], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n", done


FINALIZERS = """
import gc, threading
from buoy.faces.outlet import Outlet
written, told, mine = [], [], threading.local()
outlet = Outlet("t", written.extend, str, limit=1 << 30)
def collected(phase, info):
    if phase == "start" and not getattr(mine, "is_inside", False):
        mine.is_inside = True
        told.append(1)
        outlet.put("from a finalizer")
        mine.is_inside = False
gc.callbacks.append(collected)
gc.set_threshold(1, 1 << 20, 1 << 20)
for _ in range(200):
    for _ in range(10):
        outlet.put("a line")
    outlet.flush(10)
gc.disable()
gc.callbacks.clear()
print(outlet.flush(10) and len(written) == 2000 + len(told) and len(told) > 100)
"""


def test_lines_that_a_broken_disk_took_are_counted_and_the_next_ones_are_written() -> None:
    written: list[str] = []
    is_broken = True

    def write(lines: Sequence[str]) -> None:
        if is_broken:
            raise OSError("no space left")
        written.extend(lines)

    outlet = Outlet("t", write, lambda count: f"{count} lost")
    for line in ("a", "b"):
        outlet.put(line)
        assert outlet.flush(10)
    is_broken = False
    outlet.put("c")
    assert outlet.flush(10)
    assert written == ["2 lost", "c"]


def test_a_file_is_private_bounded_and_moves_up_a_number_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "buoy.log"
    file = Rotating(path, size=100, keep=2)
    file.write([f"line {number:03}" for number in range(40)])
    names = sorted(one.name for one in path.parent.iterdir())
    assert names == ["buoy.log", "buoy.log.1", "buoy.log.2"]
    assert all(one.stat().st_size <= 100 and one.stat().st_mode & 0o777 == 0o600 for one in path.parent.iterdir())
    assert path.parent.stat().st_mode & 0o777 == 0o700
    text = "".join(numbered(path, number).read_text() for number in (2, 1, 0))
    assert text == "".join(f"line {number:03}\n" for number in range(11, 40)), "the newest, in order, whole"


def test_a_line_that_was_broken_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "buoy.log"
    path.write_bytes(b'{"half')
    path.chmod(0o644)
    Rotating(path).write(["whole", "\ud800"])
    assert path.read_bytes() == b'{"half\nwhole\n\\ud800\n'
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("takes_away", [Path.unlink, lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_file_that_somebody_takes_away_is_begun_anew(tmp_path: Path, takes_away: object) -> None:
    path = tmp_path / "buoy.log"
    file = Rotating(path)
    file.write(["one"])
    assert callable(takes_away)
    takes_away(path)
    file.write(["two"])
    assert path.read_text() == "two\n"


def test_after_a_failure_it_opens_the_file_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    file = Rotating(folder / "buoy.log")
    for _ in range(3):
        with pytest.raises(OSError, match="exists"):
            file.write(["lost"])
    folder.unlink()
    file.write(["kept"])
    assert (folder / "buoy.log").read_text() == "kept\n"


def test_it_does_not_follow_a_link_that_somebody_put_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "buoy.log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        Rotating(tmp_path / "buoy.log").write(["x"])
    assert victim.read_text() == "precious"


def test_a_full_disk_costs_lines_only() -> None:
    file = Rotating(Path("/dev/full"))
    file._fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="space"):
        file._append(b"x\n")
    file.close()
