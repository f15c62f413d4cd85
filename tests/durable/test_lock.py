"""Locks between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from buoy.durable import lock
from buoy.durable.lock import Lock, holder, lock_directory, lock_machine
from buoy.errors import BusyError, StoreError

HOLD = """
import sys; from pathlib import Path
from buoy.durable.lock import lock_directory
held = lock_directory(Path(sys.argv[1])); print("held", flush=True); sys.stdin.read()
"""


def test_a_directory_has_one_holder_and_the_refusal_names_it(tmp_path: Path) -> None:
    held = lock_directory(tmp_path)
    with pytest.raises(BusyError, match=rf"{tmp_path} is in use \(pid {os.getpid()}\): stop that Buoy"):
        lock_directory(tmp_path)
    held.release()
    held.release()
    lock_directory(tmp_path).release()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(lock.__file__).parents[2])},
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=rf"pid {child.pid}\)"):
            lock_directory(tmp_path)
        child.kill()
        child.wait(10)
        lock_directory(tmp_path).release()


def test_a_file_without_a_pid_is_still_refused_in_one_line(tmp_path: Path) -> None:
    held = lock_directory(tmp_path)
    (tmp_path / "lock").write_text("")
    with pytest.raises(BusyError, match=r"\(its pid is not known\)"):
        lock_directory(tmp_path)
    held.release()


def test_a_lock_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open the lock"):
        lock_directory(tmp_path / "nowhere")


def test_a_name_is_locked_for_the_machine_whatever_characters_it_has(tmp_path: Path) -> None:
    name = "https://api.sgroup.qq.com/../ 102000001"
    busy = "bot 102000001 is connected by {holder}"
    held = lock_machine(name, busy, tmp_path)
    with pytest.raises(BusyError, match=rf"^bot 102000001 is connected by pid {os.getpid()}$"):
        lock_machine(name, busy, tmp_path)
    lock_machine(name + "2", busy, tmp_path).release()
    assert all(file.name.startswith("buoy-") for file in tmp_path.iterdir())
    os.utime(held.path, (0, 0))
    held.touch()
    assert held.path.stat().st_mtime > 0
    held.release()
    lock_machine(name, busy, tmp_path).release()


def test_by_default_all_users_share_one_folder() -> None:
    held = lock_machine("a test of buoy", "{holder}")
    assert held.path.parent == Path("/tmp")
    assert held.path.stat().st_mode & 0o777 == 0o666
    held.release()
    held.path.unlink()


def test_a_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    held = lock_machine("name", "{holder}", tmp_path)
    held.release()
    held.path.unlink()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    held.path.symlink_to(victim)
    with pytest.raises(StoreError, match="cannot open the lock"):
        lock_machine("name", "{holder}", tmp_path)
    assert victim.read_text() == "precious"


def test_who_holds_a_lock_is_told_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None
    assert not path.exists()
    held = Lock(path, "{holder}")
    assert holder(path) == f"pid {os.getpid()}"
    path.write_text("")
    assert holder(path) == "its pid is not known"
    held.release()
    assert holder(path) is None
    Lock(path, "{holder}").release()


def test_who_only_looks_turns_no_start_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "GLANCE_S", 2.0)
    lock_directory(tmp_path).release()
    looking = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl = pytest.importorskip("fcntl")
    fcntl.flock(looking, fcntl.LOCK_EX)
    timer = threading.Timer(0.001, os.close, (looking,))
    timer.start()
    lock_directory(tmp_path).release()
    timer.join()
