"""The service on a virtual clock: who is told what and when, over failing channels, crashes and full disks."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from buoy.durable import alerts, history, inbox, outbox
from buoy.durable.store import Store
from buoy.gateway.alerts.channel import ChannelError
from buoy.gateway.alerts.delivery import KEPT_S
from buoy.gateway.alerts.rules import Limits
from buoy.gateway.alerts.service import Alerts, Manner
from buoy.gateway.alerts.switch import Switch, silent_because
from buoy.gateway.supervisor import Supervisor
from buoy.letters import LetterState
from tests import clock
from tests.durable.rows import arrival, letter
from tests.gateway.alerts.rows import snapshot
from tests.gateway.fakes import Disk, Line, World, crash, gateway, wall

MANNER = Manner("en", Limits(down_s=180, queue_s=900))
HOUR_S = 3600.0


@dataclass
class Phone:
    """A channel that a test holds by the hand."""

    name: str = "phone"
    is_up: bool = True
    takes_s: float = 0.0
    heard: list[tuple[float, str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    error: Exception = field(default_factory=lambda: ChannelError("HTTP 503"))
    tries: int = 0

    async def tell(self, title: str, text: str, data: Mapping[str, Any]) -> None:
        self.tries += 1
        await asyncio.sleep(self.takes_s)
        if not self.is_up:
            raise self.error
        self.heard.append((wall(), data["kind"], data["rule"]))
        self.texts.append(f"{title}\n{text}")

    def kinds(self) -> list[tuple[str, str]]:
        return [(kind, rule) for _, kind, rule in self.heard]


class House:
    """A store, a bot and a Buoy that watches them."""

    def __init__(self, store: Store, *phones: Phone, manner: Manner = MANNER) -> None:
        self.store = store
        self.phones = phones
        self.supervisor = Supervisor()
        self.told = snapshot(bots={"b": {"state": "up", "since": wall()}})
        self.alerts = Alerts(store, lambda: self.told, phones, manner, wall=wall, draw=lambda low, _: low)
        self.alerts.start(self.supervisor)

    async def bot(self, state: str, **more: Any) -> None:
        self.told["bots"]["b"] = {"state": state, "since": wall(), "cause": None, "reason": "", **more}
        await self.store.write(history.note, "b", 0, state, str(more), wall())

    async def stop(self) -> None:
        await self.supervisor.stop(timeout_s=1.0)


def play(
    test: Callable[..., Coroutine[Any, Any, None]], *phones: Phone, disk: Disk | None = None, manner: Manner = MANNER
) -> None:
    async def main() -> None:
        house = House(Store.open_memory(now=wall(), commit=disk), *phones, manner=manner)
        try:
            await test(house, *phones)
        finally:
            await house.stop()
            await house.store.close(1.0)

    clock.run(main())


def test_an_outage_is_told_once_again_later_and_once_when_it_is_over() -> None:
    async def test(house: House, phone: Phone) -> None:
        await house.bot("down", cause="unreachable", reason="no route")
        began = wall()
        await asyncio.sleep(179)
        assert phone.heard == []
        await asyncio.sleep(16)
        assert phone.kinds() == [("raised", "down")]
        assert 180 <= phone.heard[0][0] - began <= 195
        await asyncio.sleep(9 * HOUR_S)
        assert phone.kinds() == [("raised", "down"), ("repeated", "down"), ("repeated", "down")]
        await house.store.write(inbox.put, arrival("m", bot="b", event_at=began + 60, received_at=wall()), None)
        await house.bot("up")
        await asyncio.sleep(59)
        assert len(phone.heard) == 3
        await asyncio.sleep(16)
        assert phone.kinds()[3:] == [("recovered", "down")]
        assert "It lasted 9 h 3 min" in phone.texts[-1]
        assert "Caught up: 1 received" in phone.texts[-1]
        assert "No gap was found" in phone.texts[-1]
        await asyncio.sleep(24 * HOUR_S)
        assert len(phone.heard) == 4

    play(test, Phone())


def test_a_bot_that_comes_and_goes_is_one_outage() -> None:
    async def test(house: House, phone: Phone) -> None:
        for _ in range(30):
            await house.bot("down", cause="closed")
            await asyncio.sleep(100)
            await house.bot("up")
            await asyncio.sleep(40)
        assert phone.kinds() == [("raised", "down")]
        await asyncio.sleep(200)
        assert phone.kinds() == [("raised", "down"), ("recovered", "down")]

    play(test, Phone())


def test_a_blocked_bot_is_told_at_once_and_keeps_its_outage() -> None:
    async def test(house: House, phone: Phone) -> None:
        await house.bot("down", cause="unreachable")
        await asyncio.sleep(200)
        await house.bot("blocked", cause="secret", reason="4004")
        await asyncio.sleep(16)
        assert phone.kinds() == [("raised", "down"), ("repeated", "credentials")]
        await house.bot("up")
        await asyncio.sleep(76)
        assert phone.kinds()[2:] == [("recovered", "credentials")]
        assert "It lasted 3 min 36 s" in phone.texts[-1]

    play(test, Phone())


def test_dead_letters_are_told_at_once_and_later_ones_in_sum() -> None:
    async def die(house: House, key: str) -> int:
        put = await house.store.write(outbox.put, letter(key, bot="b"))
        await house.store.write(outbox.settle, put.letter.id, LetterState.DEAD, "refused", None, 0, "", None, wall())
        return put.letter.id

    async def test(house: House, phone: Phone) -> None:
        rows = [await die(house, "k0")]
        await asyncio.sleep(16)
        assert phone.kinds() == [("raised", "dead_letter")]
        assert "out/1: refused" in phone.texts[0]
        rows += [await die(house, f"k{n}") for n in range(1, 4)]
        await asyncio.sleep(3 * HOUR_S)
        assert len(phone.heard) == 1
        await asyncio.sleep(HOUR_S + 15)
        assert phone.kinds()[1:] == [("repeated", "dead_letter")]
        assert "4 so far" in phone.texts[1]
        await asyncio.sleep(12 * HOUR_S)
        assert len(phone.heard) == 2
        for row in rows:
            await house.store.write(outbox.drop, row, "dropped", wall())
        await asyncio.sleep(16)
        assert house.store.read(alerts.open_rows) == []
        assert len(phone.heard) == 2, "what a person tidied away needs no word"

    play(test, Phone())


def test_the_next_channel_takes_what_the_first_does_not() -> None:
    async def test(house: House, first: Phone, second: Phone) -> None:
        await house.bot("blocked", cause="banned")
        await asyncio.sleep(50)
        assert first.heard == []
        assert second.kinds() == [("raised", "blocked")]
        told = house.alerts.told()
        assert told["channels"][0]["last_error"] == "it failed with ValueError"
        assert told["channels"][1] == {"name": "second", "last_error": "", "last_ok_at": second.heard[0][0]}
        (row,) = house.store.read(lambda db: db.execute("SELECT state, channel, reason FROM notice").fetchall())
        assert row == ("sent", "second", "")

    play(test, Phone(is_up=False, error=ValueError("https://user:secret@host")), Phone("second"))


def test_a_channel_that_never_answers_costs_its_time_and_no_more() -> None:
    async def test(house: House, first: Phone, second: Phone) -> None:
        await house.bot("blocked", cause="banned")
        await asyncio.sleep(60)
        assert second.kinds() == [("raised", "blocked")]
        assert house.alerts.told()["channels"][0]["last_error"] == "no answer within 30 s"

    play(test, Phone(takes_s=1e9), Phone("second"))


def test_what_nobody_takes_waits_and_is_told_in_order_when_the_network_is_back() -> None:
    """The usual outage: the house has no network, so neither QQ nor the operator can be reached."""

    async def test(house: House, phone: Phone) -> None:
        await house.bot("down", cause="unreachable")
        await asyncio.sleep(10 * HOUR_S)
        assert phone.tries > 20
        assert house.alerts.told()["undelivered"] == 1, "no repeat before the first word was heard"
        assert house.alerts.told()["oldest_undelivered_s"] > 9 * HOUR_S
        phone.is_up = True
        await house.bot("up")
        await asyncio.sleep(80)
        assert phone.kinds() == [("raised", "down"), ("recovered", "down")]
        assert house.alerts.told()["undelivered"] == 0

    play(test, Phone(is_up=False))


def test_a_notice_waits_no_longer_because_the_clock_was_put_back() -> None:
    async def test(house: House, phone: Phone) -> None:
        await house.bot("blocked", cause="banned")
        await asyncio.sleep(20)
        await house.store.write(
            lambda db: db.execute("UPDATE notice SET not_before = ?", (wall() + 8 * HOUR_S,)).close()
        )
        phone.is_up = True
        await asyncio.sleep(120)
        assert phone.kinds() == [("raised", "blocked")]

    play(test, Phone(is_up=False))


def test_after_a_week_nobody_needs_it_any_more() -> None:
    async def test(house: House, phone: Phone) -> None:
        await house.bot("blocked", cause="banned")
        await asyncio.sleep(HOUR_S + 1)
        await asyncio.sleep(KEPT_S - HOUR_S)
        assert house.alerts.told()["undelivered"] == 1
        await asyncio.sleep(2 * HOUR_S)
        row = house.store.read(lambda db: db.execute("SELECT state, reason FROM notice").fetchone())
        assert row == ("dead", "phone: HTTP 503")

    play(test, Phone(is_up=False), manner=Manner("en", check_s=3600.0))


def test_without_a_channel_alerts_are_rows_and_no_queue_grows() -> None:
    async def test(house: House) -> None:
        await house.bot("down", cause="unreachable", reason="x")
        await asyncio.sleep(5 * HOUR_S)
        told = house.alerts.told()
        assert [(row["rule"], row["told"], row["title"]) for row in told["open"]] == [
            ("down", 2, "Bot b is not connected")
        ]
        words = told["open"][0]["words"]
        assert words["zh"]["title"] == "机器人 b 掉线"
        assert words["en"]["remedy"].startswith("Look at the cause.")
        assert (told["undelivered"], told["channels"]) == (0, [])
        await house.bot("up")
        await asyncio.sleep(80)
        assert house.alerts.told()["open"] == []
        assert list(house.supervisor.children) == ["alerts:look"]

    play(test)


def test_what_waits_is_given_up_where_the_channels_were_taken_out() -> None:
    async def main() -> None:
        house = House(Store.open_memory(now=wall()), Phone(is_up=False))
        await house.bot("blocked", cause="banned")
        await asyncio.sleep(60)
        assert house.alerts.told()["undelivered"] == 1
        store = crash(house.store)
        await house.stop()
        house = House(store)
        await asyncio.sleep(60)
        assert house.alerts.told()["undelivered"] == 0, "or the switch would be silent for ever"
        await house.stop()
        await store.close(1.0)

    clock.run(main())


# --- crashes -----------------------------------------------------------------------------------------------------


def test_a_kill_between_raising_and_telling_loses_and_repeats_nothing() -> None:
    async def main() -> None:
        phone = Phone(is_up=False)
        house = House(Store.open_memory(now=wall()), phone)
        await house.bot("down", cause="unreachable", reason="x")
        began = wall()
        await asyncio.sleep(200)
        assert phone.tries == 1
        store = crash(house.store)
        await house.stop()
        phone.is_up = True
        again = House(store, phone)
        again.told["bots"]["b"] = {"state": "down", "since": wall(), "cause": "starting"}
        await asyncio.sleep(2)
        assert phone.kinds() == [("raised", "down")], "at once: the network may have come with the machine"
        await asyncio.sleep(200)
        assert len(phone.heard) == 1
        killed = crash(store)
        await again.stop()
        await asyncio.sleep(100)
        third = House(killed, phone)  # it recovered while nobody was there to see it
        await killed.write(history.note, "b", 0, "up", "", wall())
        await asyncio.sleep(100)
        assert phone.kinds() == [("raised", "down"), ("recovered", "down")]
        assert killed.read(alerts.listing, 5)[0].since == began
        await asyncio.sleep(HOUR_S)
        assert len(phone.heard) == 2
        await third.stop()
        for base in (house.store, store, killed):
            await base.close(1.0)

    clock.run(main())


def test_a_process_that_dies_again_and_again_is_an_outage() -> None:
    async def main() -> None:
        phone, store = Phone(), Store.open_memory(now=wall())
        for _ in range(12):
            await store.write(history.note, "b", 0, "down", "starting", wall())
            house = House(store, phone)
            house.told["bots"]["b"] = {"state": "down", "since": wall(), "cause": "starting"}
            await asyncio.sleep(17)
            await house.stop()
            store, old = crash(store), store
            await old.close(1.0)
            await store.write(history.note, "b", 0, "off", "ended without a word", wall())
            await asyncio.sleep(5)
        assert phone.kinds() == [("raised", "down")]
        await store.close(1.0)

    clock.run(main())


# --- the disk ----------------------------------------------------------------------------------------------------


def test_a_disk_that_takes_nothing_is_told_without_it() -> None:
    disk = Disk()

    async def test(house: House, phone: Phone) -> None:
        await house.bot("up")
        disk.error = sqlite3.SQLITE_FULL
        house.store.write(outbox.put, letter("k"))
        await asyncio.sleep(40)
        assert phone.kinds() == [("raised", "store")]
        assert "the disk is full" in phone.texts[0]
        await asyncio.sleep(3 * HOUR_S)
        assert len(phone.heard) == 1
        await asyncio.sleep(2 * HOUR_S)
        assert phone.kinds()[1:] == [("repeated", "store")]
        disk.error = 0
        await asyncio.sleep(120)
        assert phone.kinds()[2:] == [("recovered", "store")]
        assert [row.rule for row in house.store.read(alerts.listing, 5)] == ["store"]

    play(test, Phone(), disk=disk)


def test_a_disk_that_fills_up_while_an_alert_is_written_tells_both_in_the_end() -> None:
    disk = Disk()

    async def test(house: House, phone: Phone) -> None:
        await house.bot("blocked", cause="banned")
        disk.error = sqlite3.SQLITE_FULL
        await asyncio.sleep(60)
        assert phone.kinds() == [("raised", "store")]
        disk.error = 0
        await asyncio.sleep(20)
        assert phone.kinds() == [("raised", "store"), ("raised", "blocked")]

    play(test, Phone(), disk=disk)


def test_a_notice_that_was_heard_is_not_told_again_because_the_disk_is_full() -> None:
    disk = Disk()

    async def test(house: House, phone: Phone) -> None:
        await house.bot("blocked", cause="banned")
        phone.takes_s = 20.0
        await asyncio.sleep(16)
        disk.error = sqlite3.SQLITE_FULL
        await asyncio.sleep(600)
        assert phone.kinds().count(("raised", "blocked")) == 1
        disk.error = 0
        await asyncio.sleep(200)
        assert phone.kinds().count(("raised", "blocked")) == 1
        assert house.alerts.told()["undelivered"] == 0

    play(test, Phone(), disk=disk)


# --- beside a gateway --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phone", [Phone(), Phone(takes_s=1e9), Phone(is_up=False)])
def test_a_stop_waits_for_no_channel_and_what_is_queued_stays(phone: Phone) -> None:
    async def main() -> None:
        async with gateway(Line(is_up=False)) as world:
            assert isinstance(world, World)
            watching = Alerts(world.store, world.app.health, [phone], MANNER, wall=wall)
            watching.start(world.app.supervisor)
            world.app.sections["alerts"] = watching.told
            await asyncio.sleep(2)
            await world.store.write(alerts.raise_, "down", "x", 0.0, "d", alerts.Words("raised", "t", "x"), wall())
            watching.delivery.wake.set()
            await asyncio.sleep(1)
            told = world.app.health()["alerts"]
            assert told is not None
            assert told["undelivered"] == (1 if phone.takes_s or not phone.is_up else 0)
            began = asyncio.get_running_loop().time()
            await world.app.stop(deadline_s=5.0)
            assert asyncio.get_running_loop().time() - began < 0.1

    clock.run(main())


# --- the dead-man's switch ---------------------------------------------------------------------------------------

FIT: dict[str, Any] = {
    "now": 1000.0, "stored_at": 900.0, "silent_s": 0.0, "looked_at": 990.0, "unheard_at": None, "untold": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"unheard_at": 701.0, "silent_s": 30.0, "stored_at": 820.0, "looked_at": 880.0}, ""),
        ({"stored_at": 819.0}, "stored"),
        ({"silent_s": 31.0}, "stored"),
        ({"looked_at": 879.0}, "looks"),
        ({"unheard_at": 699.0}, "heard"),
        ({"untold": 1}, "no channel"),
    ],
)
def test_when_the_ping_is_kept_back(changes: dict[str, Any], why: str) -> None:
    reason = silent_because(**{**FIT, **changes})
    assert why in reason
    assert bool(why) is bool(reason)


def test_a_sign_of_life_from_the_future_proves_nothing() -> None:
    """The clock was put back after the start, and housekeeping stands still."""
    pings: list[float] = []

    async def ping() -> None:
        pings.append(wall())

    async def test(house: House, phone: Phone) -> None:
        del phone
        ahead = str(wall() + 8 * HOUR_S)
        await house.store.write(
            lambda db: db.execute("UPDATE meta SET value = ? WHERE key = 'boot_at'", (ahead,)).close()
        )
        house.supervisor.keep("heart", Switch(house.store, house.alerts, ping, 60.0, wall=wall).run)
        await asyncio.sleep(HOUR_S)
        assert pings == []

    play(test, Phone())


def test_the_switch_falls_silent_while_buoy_cannot_tell_and_speaks_again() -> None:
    pings: list[float] = []

    async def ping() -> None:
        pings.append(wall())
        if len(pings) == 3:
            raise ChannelError("HTTP 500")

    async def alive(store: Store) -> None:
        while True:
            await store.write(alive_at)
            await asyncio.sleep(60)

    def alive_at(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('alive_at', ?)", (str(wall()),))

    async def test(house: House, phone: Phone) -> None:
        switch = Switch(house.store, house.alerts, ping, 60.0, wall=wall)
        house.supervisor.keep("heart", switch.run)
        house.supervisor.keep("alive", lambda: alive(house.store))
        await asyncio.sleep(590)
        assert len(pings) == 10
        await house.bot("down", cause="unreachable")
        await asyncio.sleep(600)
        assert len(pings) == 20, "a bot that is down is told: that is no reason to be silent"
        phone.is_up = False
        await house.bot("blocked", cause="banned")
        await asyncio.sleep(1200)
        assert 24 <= len(pings) <= 27
        silent = len(pings)
        phone.is_up = True
        await asyncio.sleep(1200)
        assert len(pings) > silent + 9

    play(test, Phone())
