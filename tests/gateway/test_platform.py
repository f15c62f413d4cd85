"""What every chat platform owes the gateway: the fake one and the real ones are held to the same."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable

import pytest

from buoy.chat import Reply, Target
from buoy.errors import ConfigError
from buoy.gateway.platform import Platform
from buoy.letters import (
    Anchor,
    Cause,
    End,
    Event,
    Failed,
    Hold,
    Letter,
    LetterState,
    Proactive,
    Repeat,
    Sent,
    Use,
    Wait,
)
from buoy.platforms.console import LANE, Console
from buoy.platforms.qq.platform import QQ, Account
from tests.gateway.fakes import ANN, Line

NOW = 1_700_000_000.0
NOBODY = "http://127.0.0.1:9"
QQ_LANE = "qq:c2c:E4F4AEA33253A2797FB897C50B81D7ED"
QQ_FRAME = {
    "op": 0, "s": 2, "t": "C2C_MESSAGE_CREATE", "id": "C2C_MESSAGE_CREATE:x",
    "d": {
        "id": "ROBOT1.0_x", "content": "hi", "timestamp": "2023-11-14T22:13:20+00:00",
        "author": {"id": "u", "user_openid": QQ_LANE.rpartition(":")[2]},
    },
}  # fmt: skip


def qq() -> Platform:
    return QQ(Account("1", "secret", (NOBODY,), (NOBODY,), 1), environ={}, wall=lambda: NOW)


def console() -> Platform:
    return Console(source=io.StringIO(""), sink=io.StringIO(), wall=lambda: NOW)


def fake() -> Platform:
    return Line()


ALL = pytest.mark.parametrize(
    ("make", "lane", "frame"), [(fake, ANN, {"text": "hi"}), (console, LANE, {"text": "hi"}), (qq, QQ_LANE, QQ_FRAME)]
)
Make = Callable[[], Platform]


def letter(lane: str, body: bytes, state: LetterState = LetterState.QUEUED, seq: int | None = None) -> Letter:
    anchor = None if seq is None else "a"
    return Letter(
        7, "k/1", "1", lane, body, state, NOW - 10, 3, anchor_row=None if seq is None else 3, anchor=anchor, seq=seq
    )


def on_loop(test: Callable[[Platform], None], make: Make) -> None:
    async def main() -> None:
        platform = make()
        try:
            test(platform)
        finally:
            await platform.close()
            await platform.release()

    asyncio.run(main())


@ALL
def test_it_reads_a_message_and_names_its_turn(make: Make, lane: str, frame: object) -> None:
    def test(platform: Platform) -> None:
        event = Event(3, platform.bot, lane, "C2C_MESSAGE_CREATE", "k", json.dumps(frame).encode(), "a", NOW, NOW, 2)
        message = platform.read(event)
        assert message is not None
        assert (message.text, message.attempt) == ("hi", 2)
        assert "k" in message.turn
        assert Target.parse(message.conversation).lane == lane
        platform.check(Target.parse(message.conversation))
        with pytest.raises(ValueError):
            platform.read(Event(3, platform.bot, lane, "C2C_MESSAGE_CREATE", "k", b"{", "a", NOW, NOW, 2))
        with pytest.raises(ConfigError):
            platform.check(Target(platform.name, "nowhere", "x"))

    on_loop(test, make)


@ALL
def test_texts_go_in_and_come_out_whole_and_in_order(make: Make, lane: str, frame: object) -> None:
    def test(platform: Platform) -> None:
        event = Event(3, platform.bot, lane, "C2C_MESSAGE_CREATE", "k", json.dumps(frame).encode(), "a", NOW, NOW, 1)
        assert platform.text_of(platform.body(Reply("hi"))) == "hi"
        bodies = platform.compose(event, [Reply("one"), Reply("two")])
        assert "".join(map(platform.text_of, bodies)).replace("\n", "") == "onetwo"
        held = [letter(lane, platform.body(Reply(text))) for text in ("one", "two")]
        [merged] = platform.merge(held, NOW)
        assert [word for word in ("one", "two") if word in platform.text_of(merged)] == ["one", "two"]
        refused = platform.reword(letter(lane, bodies[0]), Failed(Cause.CONTENT, "no"))
        assert all(isinstance(body, bytes) for body in refused)

    on_loop(test, make)


@ALL
def test_a_plan_is_total_and_leaves_what_is_in_doubt_as_it_is(make: Make, lane: str, frame: object) -> None:
    del frame

    def test(platform: Platform) -> None:
        body = platform.body(Reply("hi"))
        anchors = [
            Anchor(row, f"a{row}", NOW - age, uses, is_open, spent)
            for row, age in ((3, 1.0), (4, 200.0), (5, 1e6))
            for uses in (0, 3, 9)
            for is_open in (True, False)
            for spent in (True, False)
        ]
        for known in ([], *[[anchor] for anchor in anchors], anchors):
            for state in (LetterState.QUEUED, LetterState.CLAIMED):
                for seq in (None, 1):
                    plan = platform.plan(letter(lane, body, state, seq), known, NOW)
                    assert isinstance(plan, Use | Repeat | Proactive | Wait | Hold | End)
                    if state is LetterState.CLAIMED:
                        assert isinstance(plan, Repeat | End), "no other anchor, no other number, no second copy"
                    if isinstance(plan, Repeat):
                        assert seq is not None
                    if isinstance(plan, End):
                        assert plan.state in {LetterState.UNSURE, LetterState.DEAD}
                        assert plan.reason
        assert platform.alive_since(lane, NOW) <= NOW

    on_loop(test, make)


@ALL
def test_delivering_says_what_became_of_it_and_raises_nothing(make: Make, lane: str, frame: object) -> None:
    del frame

    async def main() -> None:
        platform = make()
        it = letter(lane, platform.body(Reply("hi")), LetterState.CLAIMED, None)
        it.attempts = 1
        outcome = await platform.deliver(it)
        if platform.name == "qq":  # nobody listens there
            assert isinstance(outcome, Failed)
            assert outcome.cause is Cause.UNREACHABLE
        else:
            assert isinstance(outcome, Sent)
        platform.learn(it, outcome)
        await platform.close()
        await platform.release()

    asyncio.run(main())


@ALL
def test_health_is_plain_data_that_says_whether_it_is_connected(make: Make, lane: str, frame: object) -> None:
    del lane, frame

    def test(platform: Platform) -> None:
        told = platform.health()
        assert json.loads(json.dumps(told)) == told
        assert told["phase"]
        assert told["connected"] in {True, False}

    on_loop(test, make)
