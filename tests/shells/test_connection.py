"""The real connection, door and store on a clock that jumps: it never gives up, and says what it does."""

from __future__ import annotations

import asyncio

import pytest

from buoy.protocol import limits, wire
from buoy.protocol.session import Phase, Trouble
from buoy.protocol.wire import Op
from tests import clock
from tests.shells.rig import rig

CAP_S = limits.BACKOFF_S[-1] * limits.JITTER[1]


def most_in_an_hour(times: list[float]) -> int:
    return max(sum(1 for at in times if start <= at < start + 3600) for start in times)


# --- it never gives up ----------------------------------------------------------------------------------------------


def test_after_5000_failed_connects_it_is_still_trying_and_says_so_and_then_it_connects() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.refuses_sockets = True
            task = r.start()
            await r.until(lambda: r.connection.state.attempt >= 5000, 10 * 86400, 600)
            health = r.connection.health()
            assert not task.done()
            assert (health["phase"], health["cause"]) == ("waiting", Trouble.TRANSIENT)
            assert "Connection refused" in health["reason"]
            assert health["attempt"] == health["connects"] >= 5000
            assert not health["connected"]
            pauses = [b - a for a, b in zip(r.network.opened, r.network.opened[1:], strict=False)]
            assert max(pauses) <= CAP_S
            assert len({round(pause, 3) for pause in pauses[100:]}) > 1000
            assert most_in_an_hour(r.network.opened[:300]) <= 70

            r.network.refuses_sockets = False
            back_at = r.loop.time()
            await r.live(2 * CAP_S)
            assert r.loop.time() - back_at <= CAP_S + 1

    clock.run(main())


def test_with_everything_down_it_says_so_too_and_comes_back() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.is_down = True
            r.start()
            await r.until(lambda: r.connection.state.attempt >= 300, 86400, 60)
            assert "token endpoint" in r.connection.health()["reason"]
            assert r.network.opened == []
            r.network.is_down = False
            await r.live(CAP_S + 1)

    clock.run(main())


def test_it_says_when_it_tries_next() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.refuses_sockets = True
            r.start()
            await r.until(lambda: r.connection.state.attempt == 6)
            tells = r.connection.health()["next_try_s"]
            before, now = len(r.network.opened), r.loop.time()
            await r.until(lambda: len(r.network.opened) > before)
            assert r.network.opened[-1] - now == pytest.approx(tells, abs=0.06)

    clock.run(main())


def test_a_connection_dropped_at_once_again_and_again_makes_no_hot_loop() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.world.faults.add("drop_after_ready", count=None)
            r.start()
            await asyncio.sleep(3600)
            assert len(r.network.opened) <= 70
            assert r.connection.state.attempt > 10

    clock.run(main())


# --- every phase has a deadline -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "least_s", "most_s", "cause"),
    [
        ("no_hello", 10, 20, Trouble.NO_HELLO),
        ("no_ready", 15, 25, Trouble.NO_READY),
        ("no_resumed", 15, 25, Trouble.NO_READY),
    ],
)
def test_what_does_not_come_has_a_deadline(fault: str, least_s: float, most_s: float, cause: Trouble) -> None:
    async def main() -> None:
        async with rig() as r:
            if fault == "no_resumed":
                r.start()
                await r.live()
                await r.end()
            r.network.world.faults.add(fault, count=1)
            began = r.loop.time()
            r.start()
            await r.until(lambda: r.was(cause), 60)
            assert least_s <= r.loop.time() - began <= most_s
            assert r.network.open == []
            await r.live()

    clock.run(main())


def test_opening_a_socket_has_a_deadline() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.hangs_sockets = True
            r.start()
            await r.until(lambda: r.connection.state.attempt == 2, 60)
            first, second = r.network.opened
            assert 10 <= second - first <= 20
            r.network.hangs_sockets = False
            await r.live()

    clock.run(main())


def test_a_half_open_socket_is_dropped_at_the_second_missed_ack_and_resumed_from_what_is_stored() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            early = r.network.say("before")
            await asyncio.sleep(50)
            assert len(r.network.times(Op.HEARTBEAT)) == 1
            session, stored = r.cursor
            r.network.is_half_open = True
            late = r.network.say("into the void")
            cut_at = r.loop.time()
            await r.until(lambda: r.was(Trouble.ZOMBIE), 120)
            assert r.loop.time() - cut_at <= 2 * 45
            assert len(r.network.times(Op.HEARTBEAT)) == 3
            r.network.is_half_open = False
            await r.live(10)
            assert [(d["session_id"], d["seq"]) for d in r.network.frames(Op.RESUME)] == [(session, stored)]
            await asyncio.sleep(0.1)
            assert r.rows() == [early, late]
            assert (r.identifies, r.gaps) == (1, [])

    clock.run(main())


def test_a_quiet_day_with_acks_is_no_reason_to_reconnect() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            await asyncio.sleep(86400)
            assert r.connection.state.connected
            assert len(r.network.sockets) == 1
            assert r.connection.health()["last_ack_s"] <= 45

    clock.run(main())


def test_a_timer_that_fires_early_is_set_again() -> None:
    """An event loop may round its timers; a heartbeat must not be lost by it."""

    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            vars(r.loop)["_clock_resolution"] = 0.01  # what the loop calls "now"
            for _ in range(3):
                timer = r.connection._timer
                assert timer is not None
                r.loop.call_at(timer.when() - 0.005, lambda: None)
                await asyncio.sleep(46)
            assert len(r.network.times(Op.HEARTBEAT)) == 3
            assert r.connection.state.connected

    clock.run(main())


def test_after_a_standstill_what_the_socket_holds_counts_before_the_deadline() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.world.faults.add("no_hello", count=1)
            r.start()
            await r.until(lambda: r.phase is Phase.GREETING, 5)

            def wake_up() -> None:
                assert isinstance(r.loop, clock.JumpingLoop)
                r.loop._world.now += 20  # the process stood still
                hello = wire.encode(Op.HELLO, {"heartbeat_interval": 45000})
                r.loop.call_soon(r.network.open[0].arrive, hello)

            r.loop.call_later(9, wake_up)
            await r.until(lambda: len(r.network.frames(Op.IDENTIFY)) == 1, 120)
            assert len(r.network.sockets) == 1

    clock.run(main())


# --- the platform ends it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "op7"},
        {"kind": "op7", "mode": "none"},
        {"kind": "op7", "mode": "only4009"},
        {"kind": "ws_close", "code": 4009},
        {"kind": "ws_reset"},
        {"kind": "op9", "resumable": True},
    ],
)
def test_the_session_goes_on_after(fault: dict[str, object]) -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            first = r.network.say("before")
            await asyncio.sleep(1)
            session, stored = r.cursor
            r.network.world.faults.add(str(fault["kind"]), **{k: v for k, v in fault.items() if k != "kind"})
            await asyncio.sleep(0)
            second = r.network.say("while away")
            await r.until(lambda: len(r.network.sockets) == 2, 15)
            await r.live(5)
            await asyncio.sleep(0.1)
            assert r.cursor[0] == session
            assert [d["seq"] for d in r.network.frames(Op.RESUME)] == [stored]
            assert r.rows() == [first, second]
            assert (r.identifies, r.gaps) == (1, [])

    clock.run(main())


@pytest.mark.parametrize("how", ["op9", "4006", "4007", "4902"])
def test_a_lost_session_is_one_gap_and_the_next_one_starts_clean(how: str) -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            r.network.say("one")
            r.network.say("two")
            await asyncio.sleep(1)
            session, stored = r.cursor
            assert stored > 2
            r.network.world.faults.add("refuse_resume", mode=how, count=1)
            r.network.cut()
            await r.until(lambda: r.cursor[0] != session, 30)
            await asyncio.sleep(1)
            assert r.gaps == [(session, stored, "invalid session")]
            assert r.identifies == 2
            assert r.cursor[1] == 1
            assert len(r.network.sockets) == 3
            last = r.network.say("three")
            await asyncio.sleep(200)
            assert r.rows()[-1] == last
            assert r.connection.state.connected
            assert len(r.network.sockets) == 3
            assert len(r.gaps) == 1
            assert r.app.door.unready(r.qq.bot, 0, 0) == ()

    clock.run(main())


def test_a_bot_that_was_taken_down_waits_for_a_person_and_recovers_by_probe() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            fault = r.network.world.faults.add("taken_down")
            await r.until(lambda: r.phase is Phase.BLOCKED, 10)
            health = r.connection.health()
            assert health["cause"] is Trouble.TAKEN_DOWN
            assert "developer console" in health["remedy"]
            opened = len(r.network.opened)
            await asyncio.sleep(3600)
            assert 2 <= len(r.network.opened) - opened <= 5
            r.network.world.faults.remove(fault.id)
            await r.live(limits.PROBE_S * limits.JITTER[1] + 10)
            assert r.connection.health()["remedy"] is None

    clock.run(main())


def test_a_wrong_secret_blocks_with_a_remedy_and_recovers_when_it_is_right() -> None:
    async def main() -> None:
        async with rig() as r:
            fault = r.network.world.faults.add("bad_secret")
            r.start()
            await r.until(lambda: r.phase is Phase.BLOCKED, 10)
            assert "QQ_CLIENT_SECRET" in r.connection.health()["remedy"]
            r.network.world.faults.remove(fault.id)
            await r.live(limits.PROBE_S * limits.JITTER[1] + 10)

    clock.run(main())


def test_a_token_that_the_gateway_refuses_is_renewed_even_where_the_address_is_older_than_it() -> None:
    async def main() -> None:
        async with rig(token_life_s=400.0) as r:
            r.start()
            await r.live()
            for _ in range(2):  # in its last minute the token is renewed; the address stays
                await asyncio.sleep(180)
                r.network.cut()
                await r.until(lambda: not r.connection.state.connected)
                await r.live()
            await asyncio.sleep(60)
            assert r.network.world.counters["tokens"] == 2
            r.network.world.revoke_tokens(None, r.network.wall())
            r.network.cut()
            await r.until(lambda: not r.connection.state.connected)
            await r.live()
            assert r.network.world.counters["tokens"] == 3
            assert r.network.world.counters["requests_gateway"] == 1
            assert (r.identifies, r.gaps) == (1, [])

    clock.run(main())


def test_a_look_up_that_refuses_the_token_renews_it() -> None:
    async def main() -> None:
        async with rig() as r:
            await r.qq._token.get()
            r.network.world.revoke_tokens(None, r.network.wall())
            r.start()
            await r.live(30)
            assert r.network.world.counters["tokens"] == 2

    clock.run(main())


def test_the_timeline_says_up_down_and_blocked_with_the_cause_and_not_each_attempt() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            r.network.refuses_sockets = True
            r.network.cut()
            await r.until(lambda: r.connection.attempts >= 6, 600)
            r.network.refuses_sockets = False
            await r.live(90)
            r.network.world.faults.add("banned")
            r.network.cut()
            await r.until(lambda: r.phase is Phase.BLOCKED, 120)
            assert r.connection.health()["state"] == "blocked"
            assert r.connection.health()["since"] == pytest.approx(r.network.wall(), abs=0.2)
            await asyncio.sleep(1)
            told = r.ask("SELECT state, cause FROM history ORDER BY id")
            assert told[:2] == [("down", "starting"), ("up", "")]
            assert [state for state, _ in told[2:]].count("up") == 1
            outage = told[2 : [state for state, _ in told].index("up", 2)]
            assert all(state == "down" and cause for state, cause in outage)
            assert len(outage) < 6, "a cause that stays is told once"
            assert told[-1][0] == "blocked"
            assert told[-1][1].startswith("banned 4915")

    clock.run(main())
