"""What people do with a gateway beside asking: schedules, commands, approvals, writing while it answers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.hermes.judge import Seen, read
from tests.hermes.rig import BUILTIN, BUOY, Home, Rig
from tests.system.processes import ROOT


def cron(rig: Rig) -> Seen:
    """A job's output: delivered by the gateway's own ticker, and by `hermes cron tick` with no gateway running."""
    home = rig.home()
    alone, live = "mark-cron-alone", "mark-cron-live"
    done = []
    for mark in (alone, live):
        job = _job(home, mark)
        if mark == alone:
            home.run("cron", "run", job)
            home.run("cron", "tick")
        else:
            home.run("cron", "run", job)
            rig.start(home)
        done.append(rig.times(mark, 20 if mark == alone else 75))
        home.run("cron", "remove", job)
    return Seen(done == [1, 1], {"alone": done[0], "live": done[1]})


def send(rig: Rig) -> Seen:
    """`hermes send` to the home channel, without a gateway and beside one."""
    home = rig.home()
    if rig.version == "old":
        return Seen(is_right=True, applies=False)
    first = home.run("send", "--to", home.platform, "mark-send-alone")
    alone = rig.times("mark-send-alone", 5)
    rig.start(home)
    second = home.run("send", "--to", home.platform, "mark-send-live")
    live = rig.times("mark-send-live", 5)
    told = first.stdout + first.stderr + second.stdout + second.stderr
    return Seen((alone, live) == (1, 1), {"alone": alone, "live": live, "output": told})


def approval(rig: Rig) -> Seen:
    """A command waits for consent; the connection breaks and comes back; then somebody presses the button."""
    home = rig.home()
    rig.start(home, warm=True)
    command = {"name": "terminal", "arguments": json.dumps({"command": f"rm -rf {rig.folder}/nothing-here"})}
    call = {"id": "c1", "type": "function", "function": command}
    rig.model.set(script=[{"content": None, "tool_calls": [call]}, "mark-approved"])
    rig.say()
    asked = rig.wait(lambda: any(row.get("keyboard") for row in rig.shown()), 30)
    ready = rig.counter("ready") + rig.counter("resumed")
    rig.websocket.resets()
    rig.websocket.opens()
    back = rig.wait(lambda: rig.counter("ready") + rig.counter("resumed") > ready, rig.pick(20, 90))
    if asked:
        keys = [key for row in rig.shown() for line in row.get("keyboard") or () for key in line]
        rig.qq.ask("POST", "/press", button=keys[0]["label"], user=0)
    resolved = rig.times("mark-approved", 20)
    return Seen(asked and back and resolved == 1, {"asked": asked, "resolved": resolved == 1})


def clicks(rig: Rig) -> Seen:
    """Whose click on an approval counts: nobody's who may not write. 0.13 takes no plugin's word for a group."""
    home = rig.home()
    if rig.column == BUILTIN:
        return Seen(is_right=True, applies=False)
    said = _inside(home, "clicks")
    return Seen(said == [False, False, True, True, rig.version == "new"], {"counted": said})


def unsent(rig: Rig) -> Seen:
    """A final reply that comes when the store was lost: its message is not handled, the next adapter asks again."""
    if rig.column == BUILTIN:
        return Seen(is_right=True, applies=False)
    said = _inside(rig.home(), "unsent")
    return Seen(said == [False, False], {"handled": said})


def same_bot(rig: Rig) -> Seen:
    """Builtin adapter and plugin on one AppID: the second to come refuses, and says why."""
    other = BUILTIN if rig.column == BUOY else BUOY
    first, second = rig.home(other), rig.home(rig.column)
    rig.start(first, warm=True)
    second.start()
    rig.wait(lambda: "already in use" in second.log() or not second.is_alive, 30)
    time.sleep(3)
    has_a_session = any(
        word in second.log() for word in ("QQ is up", "Identify sent")
    )  # QQ may cut the first meanwhile
    refused = "already in use" in second.log() and not has_a_session
    one = rig.say()
    rig.answered([one], 20)
    counted = rig.count(settle_s=3)
    return Seen(refused and counted.is_right, counted.told() | {"refused": refused})


def written_meanwhile(mode: str) -> Callable[[Rig], Seen]:
    """Make the scenario of messages written into a running turn, in one of Hermes' two modes."""

    def run(rig: Rig) -> Seen:
        home = rig.home(display={"busy_input_mode": mode})
        rig.start(home, warm=True)
        rig.model.set(delay_s=2.0)
        said = [rig.say(0, "first")]
        for text in ("second", "third"):
            time.sleep(0.6)
            said.append(rig.say(0, text))
        rig.answered(said[-1:], 20)
        time.sleep(rig.pick(5, 15))
        times = read(rig.asked(), [one.mark for one in said])
        answers = [len(rig.copies(one)) for one in said]
        right = times == [1, 1, 1] and max(answers) == 1 and answers[-1] == 1
        values = {
            "read": sum(map(bool, times)),
            "again": sum(n > 1 for n in (*times, *answers)),
            "answers": sum(answers),
        }
        return Seen(right, values)

    run.__name__ = f"written_meanwhile_{mode}"
    return run


def _inside(home: Home, program: str) -> object:
    """Run a program of this folder in the Python of Hermes; returns what it says, or its error."""
    told = subprocess.run(
        [home.program.with_name("python"), "-m", f"tests.hermes.{program}"],
        env=home.environ | {"PYTHONPATH": str(ROOT)},
        cwd=home.folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return told.stderr[-500:] if told.returncode else json.loads(told.stdout.splitlines()[-1])


def _job(home: Home, mark: str) -> str:
    """Make a job whose output is the mark, to the home channel; returns its id."""
    scripts = home.folder / "scripts"
    scripts.mkdir(exist_ok=True)
    Path(scripts / f"{mark}.sh").write_text(f"echo {mark}\n")
    made = home.run(
        "cron", "create", "--name", mark, "--deliver", home.platform, "--script", f"{mark}.sh", "--no-agent", "every 5h"
    )
    words = (made.stdout + made.stderr).split()
    found = [word for word in words if len(word) == 12 and all(c in "0123456789abcdef" for c in word)]
    assert found, f"no job was made: {made.stdout}{made.stderr}"
    return found[0]
