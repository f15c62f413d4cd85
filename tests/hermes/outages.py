"""What is done while a gateway runs: connections, tokens and bots that fail, and come back."""

from __future__ import annotations

import re
import time

from tests.hermes.judge import Seen
from tests.hermes.rig import EXIT_S, PROMPT_S, Home, Rig

ATTEMPTS = 100
TROUBLES = ("retrying", "fatal", "disconnected")  # what Hermes' runtime status calls an adapter that is not connected


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
    later_s, ours_s = rig.after(later, later.at), rig.after(later, home.handed_over_at())
    right = counted.is_right and ours_s is not None and ours_s < PROMPT_S and home.state() == "connected"
    return Seen(right, counted.told() | {"first_s": rig.after(first, first.at), "later_s": later_s})


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
    reply_s = rig.after(one, due_at)
    values = {"reply_s": reply_s, "during": during, "by_restart": after.said - after.lost - (before.said - before.lost)}
    return Seen(
        after.is_right and before.is_right and reply_s is not None and reply_s < PROMPT_S, after.told() | values
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
    values = {"after_s": rig.after(one, healed_at), "cpu": f"{cpu:.0%}"}
    return Seen(counted.is_right and cpu < 0.5, counted.told() | values)


def accepted_then_cut(rig: Rig) -> Seen:
    """QQ takes the reply, and the connection breaks before it says so."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.fault("accept_then_reset", endpoint="send", count=1)
    one = rig.say()
    rig.answered([one], 20)
    counted = rig.count(settle_s=rig.pick(5, 20))
    return Seen(counted.is_right, counted.told())


def hundred_failures(rig: Rig) -> Seen:
    """A hundred attempts to connect fail, with short pauses; then QQ is back."""
    home = rig.home(RIG_QUICK="1")
    rig.start(home, warm=True)
    rig.websocket.refuses()
    told = rig.wait(lambda: home.state() in TROUBLES, 10)
    rig.wait(lambda: _tries(home) > ATTEMPTS, 40)
    time.sleep(2)
    tries = _tries(home)
    alive = home.is_alive
    rig.heal()
    began = time.monotonic()
    healed = rig.wait(rig.is_connected, rig.pick(15, 90))
    healed_s = time.monotonic() - began if healed else None
    one = rig.say()
    rig.answered([one], 10)
    counted = rig.count(settle_s=2)
    right = counted.is_right and tries > ATTEMPTS and alive and told and healed and home.state() == "connected"
    return Seen(right, counted.told() | {"tries": tries, "told": told, "healed_s": healed_s, "alive": alive})


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
    return Seen(counted.is_right and tries <= 10, counted.told() | {"tries": tries, "told": told})


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
    return Seen(right, counted.told() | {"cpu": f"{cpu:.0%}", "told": told, "healed_s": healed_s, "exit_s": exit_s})


def token_revoked(rig: Rig) -> Seen:
    """QQ takes back the token while all is up: the reply meets a 401."""
    home = rig.home()
    rig.start(home, warm=True)
    rig.fault("revoke_tokens")
    one = rig.say()
    rig.answered([one], rig.pick(10, 60))
    counted = rig.count(settle_s=2)
    return Seen(counted.is_right, counted.told() | {"reply_s": rig.after(one, one.at)})


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
    return Seen(counted.is_right and tries <= 3 and live, counted.told() | {"tries": tries, "live": live})


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
    return Seen(right, counted.told() | {"told": told and logged, "alive": home.is_alive, "healed": healed})


def _tries(home: Home) -> int:
    """The number of the last attempt that an adapter wrote into its log."""
    return max((int(number) for number in re.findall(r"attempt[= ](\d+)", home.log())), default=0)
