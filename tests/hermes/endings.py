"""How a gateway is ended: by kill -9 at every moment, and by SIGTERM whatever the state of QQ."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.fakes_llm import sentences
from tests.hermes.judge import Seen
from tests.hermes.rig import EXIT_S, Home, Rig

KILL_AT_S = (0.0, 0.05, 0.2, 0.5, 1.0, 3.0)
CHATS = 20
AT_ONCE = 4  # so many turns Hermes runs at a time on two cores; the other chats wait for a thread
LAST_TURN_S = {"new": 0.0, "old": 6.0}
"""What Hermes adds: 0.13 waits 5 s behind each turn where sent messages cannot be edited."""


def killed(at_s: float) -> Callable[[Rig], Seen]:
    """Make the scenario of a kill so long after a message arrived; three more are said while nothing runs."""

    def run(rig: Rig) -> Seen:
        home = rig.home()
        rig.start(home, warm=True)
        rig.model.set(delay_s=1.5)
        one = rig.say()
        time.sleep(max(0.0, one.at + at_s - time.time()) if at_s else 0.0)
        home.kill()
        dead = [rig.say(0), rig.say(1), rig.say(2)]
        time.sleep(0.5)
        began = time.monotonic()
        rig.start(home)
        rig.answered([one, *dead], rig.pick(30, 60))
        took_s = time.monotonic() - began
        arrived, missed = rig.count([one], settle_s=rig.pick(4, 15)), rig.count(dead, settle_s=0)
        right = arrived.is_right and missed.is_right
        return Seen(right, {"one": str(arrived), "dead": str(missed), "took_s": took_s if right else None})

    run.__name__ = f"killed_at_{at_s:g}_s"
    return run


def killed_before_ledger(rig: Rig) -> Seen:
    """The process is killed when the reply is out, or in our outbox, and Hermes' ledger does not know it yet."""
    mark = rig.folder / "die"
    home = rig.home(RIG_DIE_AT=str(mark))
    if rig.version == "old":
        return Seen(is_right=True, applies=False)
    rig.start(home, warm=True)
    mark.touch()
    one = rig.say()
    if not rig.wait(lambda: not home.is_alive, 20):
        return Seen(is_right=False, values={"once": 0, "said": 1, "twice": 0, "after": "the ledger was not written"})
    assert home.process is not None
    home.process.wait()
    rig.start(home)
    rig.answered([one], 20)
    counted = rig.count(settle_s=rig.pick(5, 15))
    return Seen(counted.is_right, counted.told())


def killed_while_waiting(mode: str) -> Callable[[Rig], Seen]:
    """Make the scenario of a kill when a second message was told to wait, or to interrupt, in one of three modes."""

    def run(rig: Rig) -> Seen:
        home = rig.home(display={"busy_input_mode": mode})
        rig.start(home, warm=True)
        rig.model.set(delay_s=4.0)
        asked = len(rig.asked())
        said = [rig.say(0, "first")]
        rig.wait(lambda: len(rig.asked()) > asked, 20)
        shown = len(rig.shown())
        said.append(rig.say(0, "second"))
        rig.wait(lambda: len(rig.shown()) > shown, 3)  # the notice that it waits
        home.kill()
        rig.model.set(delay_s=0.0)
        rig.start(home)
        rig.answered(said, rig.pick(30, 60))
        counted = rig.count(settle_s=rig.pick(4, 15))
        return Seen(counted.is_right, counted.told())

    run.__name__ = f"killed_while_waiting_{mode}"
    return run


def command_in_turn(rig: Rig) -> Seen:
    """A command is answered beside a running turn; then the process is killed: the turn is owed, the command is not."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.model.set(delay_s=5.0)
    asked = len(rig.asked())
    one = rig.say(0)
    rig.wait(lambda: len(rig.asked()) > asked, 20)
    before = len(rig.shown())
    rig.qq.say("/status", user=0)
    answered = rig.wait(lambda: len(rig.shown()) > before, 10)
    home.kill()
    rig.model.set(delay_s=0.0)
    rig.start(home)
    rig.answered([one], rig.pick(30, 60))
    counted = rig.count(settle_s=rig.pick(4, 15))
    others = [row for row in rig.shown()[before:] if one.mark not in row["text"]]
    right = counted.is_right and answered and len(others) == 1
    return Seen(right, counted.told() | {"status": len(others)})


def said_while_draining(rig: Rig) -> Seen:
    """SIGTERM; while the gateway waits for the running turn somebody else writes, who is answered after the restart."""
    home = rig.home(drain_s=20.0)
    rig.start(home, warm=True)
    rig.model.set(delay_s=6.0)
    asked = len(rig.asked())
    said = [rig.say(0)]
    rig.wait(lambda: len(rig.asked()) > asked, 20)
    assert home.process is not None
    home.process.terminate()
    time.sleep(1.5)
    said.append(rig.say(1))
    home.process.wait(40)
    rig.model.set(delay_s=0.0)
    rig.start(home)
    rig.answered(said, rig.pick(30, 60))
    counted = rig.count(settle_s=rig.pick(4, 15))
    return Seen(counted.is_right, counted.told())


def stop_healthy(rig: Rig) -> Seen:
    """SIGTERM while all is well."""
    home = rig.home()
    rig.start(home, warm=True)
    return _stopped(home)


def stop_websocket_down(rig: Rig) -> Seen:
    """SIGTERM while the WebSocket is down."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.websocket.refuses()
    time.sleep(2)
    return _stopped(home)


def stop_in_turn(rig: Rig) -> Seen:
    """SIGTERM while the WebSocket is down and the agent at work; the message is answered after the restart."""
    return _stop_with_chats(rig, 1, rig.websocket.refuses)


def stop_many_chats(rig: Rig) -> Seen:
    """SIGTERM with many active chats while QQ is gone altogether."""
    return _stop_with_chats(rig, CHATS, rig.qq_gone)


def _stopped(home: Home) -> Seen:
    exit_s = home.terminate()
    return Seen(exit_s is not None and exit_s < EXIT_S, {"exit_s": exit_s})


def _stop_with_chats(rig: Rig, chats: int, breaks: Callable[[], None]) -> Seen:
    home = rig.home()
    rig.start(home, warm=True)
    rig.model.set(pause_s=0.5, answer=sentences(100))
    before = len(rig.asked())
    said = [rig.say(user) for user in range(chats)]
    rig.wait(lambda: len(rig.asked()) - before >= min(chats, AT_ONCE), 30)
    breaks()
    time.sleep(1.5)
    exit_s = home.terminate()
    rig.model.set(pause_s=0.0, answer=None)
    rig.heal()
    rig.start(home)
    rig.answered(said, 90)  # 0.13 takes 6 s for each, a few at a time
    counted = rig.count(settle_s=rig.pick(4, 15))
    right = counted.is_right and exit_s is not None and exit_s < EXIT_S + LAST_TURN_S[rig.version]
    return Seen(right, counted.told() | {"exit_s": exit_s})
