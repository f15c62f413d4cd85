"""What is done to a gateway, and what has to come of it. The same for Buoy's plugin and for Hermes' builtin adapter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes_llm import sentences
from tests.hermes.judge import Count, Seen, read
from tests.hermes.rig import BUILTIN, BUOY, Home, Rig, Said

PROMPT_S = 2.0  # a reply whose way is free
EXIT_S = 5.0  # from SIGTERM to the end
LAST_TURN_S = {
    "new": 0.0,
    "old": 6.0,
}  # 0.13 waits 5 s behind each turn where replies cannot be edited, and so at its end
KILL_AT_S = (0.0, 0.05, 0.2, 0.5, 1.0, 3.0)
CHATS = 20
AT_ONCE = 4  # so many turns Hermes runs at a time on two cores; the other chats wait for a thread
ATTEMPTS = 100
TROUBLES = ("retrying", "fatal", "disconnected")  # what Hermes' runtime status calls an adapter that is not connected


@dataclass(frozen=True)
class Scenario:
    """A function, and its row of the table in two languages: what is done, its bound, what was seen."""

    run: Callable[[Rig], Seen]
    en: tuple[str, str, str]
    zh: tuple[str, str, str]
    columns: tuple[str, ...] = (BUOY, BUILTIN)

    @property
    def name(self) -> str:
        return self.run.__name__


def answer(rig: Rig) -> Seen:
    """Private chat and group, first and later."""
    home = rig.home()
    rig.start(home)
    first, group = rig.say(0), rig.say(1, scene="group")
    rig.answered([first, group], 40)
    time.sleep(2)
    later = rig.say(0)
    rig.answered([later], 20)
    counted = rig.count(settle_s=2)
    later_s, ours_s = _after(rig, later, later.at), _after(rig, later, home.handed_over_at())
    right = counted.is_right and ours_s is not None and ours_s < PROMPT_S and home.state() == "connected"
    return Seen(right, _told(counted) | {"first_s": _after(rig, first, first.at), "later_s": later_s})


def websocket_down(rig: Rig) -> Seen:
    """The reply falls due while the WebSocket is down and REST is up; then a restart."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.model.set(delay_s=3.0)
    one = rig.say()
    time.sleep(0.5)
    rig.websocket.refuses()
    ends_at = one.at + rig.pick(14.0, 120.0)
    rig.answered([one], ends_at - time.time())
    due_at = home.handed_over_at()
    during = len(rig.copies(one))
    time.sleep(max(0.0, ends_at - time.time()))
    rig.heal()
    rig.wait(rig.is_connected, rig.pick(15, 75))
    before = rig.count(settle_s=rig.pick(2, 30))
    home.terminate()
    rig.start(home)
    after = rig.count(settle_s=rig.pick(4, 15))
    reply_s = _after(rig, one, due_at)
    values = {"reply_s": reply_s, "during": during, "by_restart": after.said - after.lost - (before.said - before.lost)}
    return Seen(
        after.is_right and before.is_right and reply_s is not None and reply_s < PROMPT_S, _told(after) | values
    )


def both_down(rig: Rig) -> Seen:
    """The reply falls due while neither REST nor WebSocket can be reached."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.model.set(delay_s=2.0)
    one = rig.say()
    time.sleep(0.5)
    rig.qq_gone()
    time.sleep(1.0)
    used, began = home.cpu_s(), time.monotonic()
    time.sleep(rig.pick(6.0, 60.0) - 1.5)
    cpu = (home.cpu_s() - used) / (time.monotonic() - began)
    rig.heal()
    healed_at = time.time()
    rig.answered([one], rig.pick(25, 150))
    counted = rig.count(settle_s=rig.pick(4, 20))
    values = {"after_s": _after(rig, one, healed_at), "cpu": f"{cpu:.0%}"}
    return Seen(counted.is_right and cpu < 0.5, _told(counted) | values)


def accepted_then_cut(rig: Rig) -> Seen:
    """QQ takes the reply, and the connection breaks before it says so."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.fault("accept_then_reset", endpoint="send", count=1)
    one = rig.say()
    rig.answered([one], 20)
    counted = rig.count(settle_s=rig.pick(5, 20))
    return Seen(counted.is_right, _told(counted))


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
        return Seen(right, {"one": _word(arrived), "dead": _word(missed), "took_s": took_s if right else None})

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
    return Seen(counted.is_right, _told(counted))


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


def hundred_failures(rig: Rig) -> Seen:
    """A hundred attempts to connect fail, with short pauses; then QQ is back."""
    home = rig.home(RIG_QUICK="1")
    rig.start(home, warm=True)
    before = rig.websocket.accepted
    rig.websocket.drops()
    time.sleep(0.3)
    rig.websocket.resets()
    rig.websocket.drops()
    told = rig.wait(lambda: home.state() in TROUBLES, 10)
    rig.wait(lambda: rig.websocket.accepted - before > ATTEMPTS, 40)
    time.sleep(1)
    tries = rig.websocket.accepted - before
    alive = home.is_alive
    rig.heal()
    began = time.monotonic()
    healed = rig.wait(rig.is_connected, rig.pick(15, 90))
    healed_s = time.monotonic() - began if healed else None
    one = rig.say()
    rig.answered([one], 10)
    counted = rig.count(settle_s=2)
    right = counted.is_right and tries > ATTEMPTS and alive and told and healed and home.state() == "connected"
    return Seen(right, _told(counted) | {"tries": tries, "told": told, "healed_s": healed_s, "alive": alive})


def cut_after_hello(rig: Rig) -> Seen:
    """Each new session is cut half a second after READY."""
    home = rig.home()
    rig.start(home, warm=True)
    before = rig.counter("connects")
    fault = rig.fault("drop_after_ready", seconds=0.5, count=None)
    rig.fault("ws_reset")
    time.sleep(12)
    tries = rig.counter("connects") - before
    told = home.state() in TROUBLES
    rig.qq.ask("DELETE", f"/faults/{fault}")
    rig.wait(rig.is_connected, rig.pick(20, 90))
    time.sleep(1)
    one = rig.say()
    rig.answered([one], rig.pick(10, 60))
    counted = rig.count(settle_s=2)
    return Seen(counted.is_right and tries <= 10, _told(counted) | {"tries": tries, "told": told})


def closed_socket(rig: Rig) -> Seen:
    """The WebSocket is closed from QQ's side and every look-up fails: the old object is there, closed."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.fault("http_status", endpoint="gateway", status=503, count=None)
    rig.fault("ws_close", code=4009)
    time.sleep(0.3)
    rig.websocket.refuses()
    time.sleep(1)
    used, began = home.cpu_s(), time.monotonic()
    time.sleep(rig.pick(4, 20))
    cpu = (home.cpu_s() - used) / (time.monotonic() - began)
    told = home.state() in TROUBLES
    rig.heal()
    began = time.monotonic()
    healed_s = time.monotonic() - began if rig.wait(rig.is_connected, rig.pick(20, 90)) else None
    one = rig.say()
    rig.answered([one], 10)
    counted = rig.count(settle_s=2)
    exit_s = home.terminate()
    right = counted.is_right and cpu < 0.5 and told and exit_s is not None and exit_s < EXIT_S
    return Seen(right, _told(counted) | {"cpu": f"{cpu:.0%}", "told": told, "healed_s": healed_s, "exit_s": exit_s})


def token_revoked(rig: Rig) -> Seen:
    """QQ takes back the token while all is up: the reply meets a 401."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.fault("revoke_tokens")
    one = rig.say()
    rig.answered([one], rig.pick(10, 60))
    counted = rig.count(settle_s=2)
    return Seen(counted.is_right, _told(counted) | {"reply_s": _after(rig, one, one.at)})


def invalid_session(rig: Rig) -> Seen:
    """The token is taken back, and the WebSocket cut: whoever comes with the old one gets op 9."""
    home = rig.home()
    rig.start(home, warm=True)
    identifies = rig.counter("identifies")
    rig.fault("revoke_tokens")
    rig.websocket.resets()
    time.sleep(0.2)
    rig.websocket.opens()
    time.sleep(8)
    tries = rig.counter("identifies") - identifies
    live = rig.wait(rig.is_connected, rig.pick(5, 60))
    one = rig.say()
    rig.answered([one], 10)
    counted = rig.count(settle_s=2)
    return Seen(counted.is_right and tries <= 3 and live, _told(counted) | {"tries": tries, "live": live})


def banned(rig: Rig) -> Seen:
    """QQ bans the bot (4915) and takes it back; a person may be told, nobody has to restart anything."""
    home = rig.home(RIG_QUICK="1")
    rig.start(home, warm=True)
    rig.fault("banned")
    told = rig.wait(lambda: home.state() in TROUBLES, 10)
    logged = rig.wait(lambda: "4915" in home.log() or "banned" in home.log().lower(), 3)
    time.sleep(3)
    rig.heal()
    healed = rig.wait(rig.is_connected, 20)
    one = rig.say()
    rig.answered([one], 10)
    counted = rig.count(settle_s=2)
    right = counted.is_right and told and logged and home.is_alive
    return Seen(right, _told(counted) | {"told": told and logged, "alive": home.is_alive, "healed": healed})


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
        done.append(_copies_of(rig, mark, 20 if mark == alone else 75))
        home.run("cron", "remove", job)
    return Seen(done == [1, 1], {"alone": done[0], "live": done[1]})


def send(rig: Rig) -> Seen:
    """`hermes send` to the home channel, without a gateway and beside one."""
    home = rig.home()
    if rig.version == "old":
        return Seen(is_right=True, applies=False)
    first = home.run("send", "--to", home.platform, "mark-send-alone")
    alone = _copies_of(rig, "mark-send-alone", 5)
    rig.start(home)
    second = home.run("send", "--to", home.platform, "mark-send-live")
    live = _copies_of(rig, "mark-send-live", 5)
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
    resolved = _copies_of(rig, "mark-approved", 20)
    return Seen(asked and back and resolved == 1, {"asked": asked, "resolved": resolved == 1})


def same_bot(rig: Rig) -> Seen:
    """Builtin adapter and plugin on one AppID: the second to come refuses, and says why."""
    other = BUILTIN if rig.column == BUOY else BUOY
    first, second = rig.home(other), rig.home(rig.column)
    rig.start(first, warm=True)
    connects = rig.counter("connects")
    second.start()
    said = rig.wait(lambda: "already in use" in second.log() or not second.is_alive, 30)
    time.sleep(3)
    refused = said and rig.counter("connects") == connects
    one = rig.say()
    rig.answered([one], 20)
    counted = rig.count(settle_s=3)
    return Seen(refused and counted.is_right, _told(counted) | {"refused": refused})


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
        return Seen(counted.is_right, _told(counted))

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
    return Seen(right, _told(counted) | {"status": len(others)})


# --- pieces -----------------------------------------------------------------------------------------------------


def _after(rig: Rig, one: Said, since: float) -> float | None:
    """Seconds from a moment to the first answer; None: there is none."""
    rows = rig.copies(one)
    return max(0.0, float(rows[0]["at"]) - since) if rows else None


def _told(counted: Count) -> dict[str, object]:
    return {"once": counted.once, "said": counted.said, "twice": counted.twice}


def _word(counted: Count) -> str:
    return f"{counted.once}/{counted.said}" + (f" (+{counted.twice} twice)" if counted.twice else "")


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
    rig.answered(said, rig.pick(30, 60))
    counted = rig.count(settle_s=rig.pick(4, 15))
    right = counted.is_right and exit_s is not None and exit_s < EXIT_S + LAST_TURN_S[rig.version]
    return Seen(right, _told(counted) | {"exit_s": exit_s})


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


def _copies_of(rig: Rig, mark: str, timeout_s: float) -> int:
    def found() -> int:
        return sum(mark in row["text"] for row in rig.shown())

    rig.wait(found, timeout_s)
    time.sleep(2)
    return found()


# --- all of them ------------------------------------------------------------------------------------------------

_KILLED_EN = "answered once: the message {one}, three said meanwhile {dead}; {took_s} from the start"
_KILLED_ZH = "恰好回答一次：该消息 {one}，停机期间的三条 {dead}；启动后 {took_s}"
_ONCE_EN, _ONCE_ZH = "{once} of {said} answered once", "{said} 条中 {once} 条恰好回答一次"
_STOP_EN, _STOP_ZH = "{exit_s}", "{exit_s}"

SCENARIOS = (
    Scenario(
        answer,
        (
            "a message in a private chat and in a group",
            "one answer each",
            _ONCE_EN + "; first {first_s}, later {later_s}",
        ),
        ("私聊和群里各一条消息", "各回答一次", _ONCE_ZH + "；首条 {first_s}，之后 {later_s}"),
    ),
    Scenario(
        websocket_down,
        (
            "WebSocket down for {outage}, REST up, the reply due meanwhile; then a restart",
            "under 2 s, once, no second copy after the restart",
            "{reply_s} after it was due; {once} of {said} once, {by_restart} only by the restart",
        ),
        (
            "WebSocket 中断 {outage}，REST 正常，期间该发回复；之后重启",
            "2 秒内，一次，重启后不重复",
            "到期后 {reply_s}；{said} 条中 {once} 条恰好一次，靠重启才送达 {by_restart} 条",
        ),
    ),
    Scenario(
        both_down,
        (
            "QQ gone altogether for {both}, the reply due meanwhile",
            "once, after",
            _ONCE_EN + ", {after_s} after; CPU {cpu}",
        ),
        ("QQ 完全不可达 {both}，期间该发回复", "恢复后一次", _ONCE_ZH + "，恢复后 {after_s}；CPU {cpu}"),
    ),
    *(
        Scenario(
            killed(at_s),
            (f"kill -9 {at_s:g} s after a message arrived, then a restart", "each once", _KILLED_EN),
            (f"消息到达 {at_s:g} 秒后 kill -9，再启动", "各一次", _KILLED_ZH),
        )
        for at_s in KILL_AT_S
    ),
    Scenario(
        accepted_then_cut,
        ("QQ takes the reply, the connection breaks before it says so", "one copy", _ONCE_EN + ", {twice} twice"),
        ("QQ 已收下回复，应答前连接断开", "一份", _ONCE_ZH + "，{twice} 条重复"),
    ),
    Scenario(
        killed_before_ledger,
        ("kill -9 when the reply is out and Hermes' delivery ledger does not know it yet", "once", _ONCE_EN),
        ("回复已发出、Hermes 的投递账本尚未记录时 kill -9", "一次", _ONCE_ZH),
    ),
    Scenario(stop_healthy, ("SIGTERM while all is well", "5 s", _STOP_EN), ("一切正常时 SIGTERM", "5 秒", _STOP_ZH)),
    Scenario(
        stop_websocket_down,
        ("SIGTERM while the WebSocket is down", "5 s", _STOP_EN),
        ("WebSocket 中断时 SIGTERM", "5 秒", _STOP_ZH),
    ),
    Scenario(
        stop_in_turn,
        (
            "SIGTERM while the WebSocket is down and a turn runs",
            "5 s (0.13: 11 s, it waits 5 s behind a turn); answered once later",
            _STOP_EN + "; " + _ONCE_EN,
        ),
        (
            "WebSocket 中断且正在回答时 SIGTERM",
            "5 秒（0.13：11 秒，它自己在回答之后等 5 秒）；之后回答一次",
            _STOP_ZH + "；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        stop_many_chats,
        (
            f"SIGTERM with {CHATS} active chats and QQ gone",
            "5 s (0.13: 11 s); each once later",
            _STOP_EN + "; " + _ONCE_EN,
        ),
        (f"{CHATS} 个会话进行中且 QQ 不可达时 SIGTERM", "5 秒（0.13：11 秒）；之后各一次", _STOP_ZH + "；" + _ONCE_ZH),
    ),
    Scenario(
        hundred_failures,
        (
            f"{ATTEMPTS} attempts to connect fail (short pauses), then QQ is back",
            "alive, told, healed",
            "{tries} attempts; told: {told}; connected again: {healed_s}; " + _ONCE_EN,
        ),
        (
            f"连接失败 {ATTEMPTS} 次（间隔缩短），之后 QQ 恢复",
            "存活、告知、自愈",
            "尝试 {tries} 次；已告知：{told}；重新连上：{healed_s}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        cut_after_hello,
        (
            "each session is cut 0.5 s after READY, for 12 s",
            "at most 10 connects, healed",
            "{tries} connects; told: {told}; " + _ONCE_EN,
        ),
        (
            "每次 READY 后 0.5 秒被断开，持续 12 秒",
            "至多 10 次连接，自愈",
            "连接 {tries} 次；已告知：{told}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        closed_socket,
        (
            "a closed WebSocket that is still there, look-ups failing; then SIGTERM",
            "no spinning, told, healed, 5 s",
            "CPU {cpu}; told: {told}; connected again: {healed_s}; " + _ONCE_EN + "; end {exit_s}",
        ),
        (
            "WebSocket 对象已关闭但仍在，查询失败；之后 SIGTERM",
            "不空转、告知、自愈、5 秒",
            "CPU {cpu}；已告知：{told}；重新连上：{healed_s}；" + _ONCE_ZH + "；退出 {exit_s}",
        ),
    ),
    Scenario(
        token_revoked,
        ("the token is taken back while all is up (401)", "answered once", _ONCE_EN + ", {reply_s}"),
        ("运行中令牌失效（401）", "回答一次", _ONCE_ZH + "，{reply_s}"),
    ),
    Scenario(
        invalid_session,
        (
            "op 9 from a bad token",
            "at most 3 IDENTIFYs in 8 s, healed",
            "{tries} IDENTIFYs in 8 s; connected: {live}; " + _ONCE_EN,
        ),
        (
            "令牌失效引起的 op 9",
            "8 秒内至多 3 次 IDENTIFY，自愈",
            "8 秒内 IDENTIFY {tries} 次；已连接：{live}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        banned,
        (
            "QQ bans the bot (4915), and takes it back (short probe)",
            "told, alive, healed",
            "told: {told}; alive: {alive}; connected again: {healed}; " + _ONCE_EN,
        ),
        (
            "QQ 封禁机器人（4915），后又解封（探测间隔缩短）",
            "告知、存活、自愈",
            "已告知：{told}；存活：{alive}；重新连上：{healed}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        cron,
        ("a cron job's output, without a gateway and in one", "once each", "without: {alone}, in one: {live}"),
        ("定时任务的输出：无网关时、网关内", "各一次", "无网关：{alone}，网关内：{live}"),
    ),
    Scenario(
        send,
        (
            "`hermes send` to the home channel, without a gateway and beside one",
            "once each",
            "without: {alone}, beside: {live}",
        ),
        ("`hermes send` 到主会话：无网关时、网关旁", "各一次", "无网关：{alone}，网关旁：{live}"),
    ),
    Scenario(
        approval,
        ("an approval button is pressed after a reconnect", "resolves", "asked: {asked}; resolved: {resolved}"),
        ("重连之后按下批准按钮", "生效", "已询问：{asked}；已生效：{resolved}"),
    ),
    Scenario(
        same_bot,
        ("the other adapter runs with the same AppID", "refuses", "refused: {refused}; " + _ONCE_EN),
        ("另一个适配器已用同一 AppID 运行", "拒绝启动", "已拒绝：{refused}；" + _ONCE_ZH),
    ),
    *(
        Scenario(
            written_meanwhile(mode),
            (
                f"three messages, two of them into the running turn (`{mode}`)",
                "all read, none run twice",
                "{read} of 3 read, {again} twice; {answers} answers",
            ),
            (
                f"三条消息，其中两条在回答进行中写入（`{mode}`）",
                "全部读到，没有执行两次",
                "3 条读到 {read} 条，重复 {again} 次；回答 {answers} 次",
            ),
        )
        for mode in ("interrupt", "queue")
    ),
    *(
        Scenario(
            killed_while_waiting(mode),
            (f"kill -9 when a second message waits for the running turn (`{mode}`)", "each once", _ONCE_EN),
            (f"第二条消息正等待进行中的回答时 kill -9（`{mode}`）", "各一次", _ONCE_ZH),
        )
        for mode in ("interrupt", "queue", "steer")
    ),
    Scenario(
        command_in_turn,
        (
            "`/status` beside a running turn, then kill -9",
            "the turn once, `/status` once",
            _ONCE_EN + "; `/status`: {status}",
        ),
        ("回答进行中发送 `/status`，之后 kill -9", "该消息一次，`/status` 一次", _ONCE_ZH + "；`/status`：{status}"),
    ),
)
