"""Target: the stored body of a letter, on its way back into a request. It ends as an outcome, whatever stands there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from buoy.chat import Button
from buoy.letters import Cause, Failed, Letter, Outcome, Sent
from buoy.platforms.qq import compose
from buoy.platforms.qq.delivery import Delivery
from buoy.platforms.qq.locate import Hosts
from buoy.transport.token import TokenSource
from tests.fuzz import answers
from tests.fuzz.frames import storable
from tests.fuzz.hunting import Target
from tests.fuzz.mutate import TEXTS, bend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fuzz.choices import Choices

BODIES = [
    compose.Body("hello"),
    compose.Body("**bold** https://example.org \U0001f6df " * 20, markdown=True, reference="REFIDX_A=="),
    compose.Body("/stop\n\n```\ncode\n```", reference="m1"),
    compose.Body(
        "a *b*?\n---", buttons=((Button("Yes", "ask:0", is_main=True), Button("No", "n")), (Button("\u662f", "y"),))
    ),
]
SEEDS = [compose.encode(body) for body in BODIES]
LANES = ["qq:c2c:u", "qq:group:a/b?c", "qq:channel:1", "qq:dm:%2f", "qq:c2c:", "qq:moon:x", "qq", "", "qq:c2c:a:b\x00"]
ANCHORS = [None, "msg_id:m", "event_id:e", "msg_id:", "nothing", ":", "msg_id:" + "é" * 300]
SEQS = [None, 0, 1, -1, 1 << 40]
ACCEPTED = answers.unpack(b'200\n\n{"id":"m1"}')


async def _deliver(letter: Letter) -> Outcome:
    token = TokenSource(answers.Scripted(answers.GOOD_TOKEN), "b", "secret", ["https://qq.test"], clock=lambda: 1000.0)
    outcome = await Delivery(answers.Scripted(ACCEPTED), token, Hosts(["https://qq.test"])).deliver(letter)
    await token.close()
    return outcome


async def _fragile(letter: Letter) -> Outcome:
    """Reads the body before it looks."""
    assert compose.decode(letter.body).text is not None
    return await _deliver(letter)


async def _no_place(letter: Letter) -> Outcome:
    """Every lane is one."""
    _, scene, ident = letter.lane.split(":")
    return await _deliver(letter) if scene + ident else Failed(Cause.BUG, "no place")


def check(data: bytes, deliver: Callable[[Letter], Awaitable[Outcome]] = _deliver) -> None:
    """Deliver it. The first three bytes say to where, with which anchor and number."""
    lane, anchor, seq = data[0] % len(LANES), data[1] % len(ANCHORS), data[2] % len(SEQS)
    letter = replace(answers.LETTER, body=data[3:], lane=LANES[lane], anchor=ANCHORS[anchor], seq=SEQS[seq])

    async def main() -> None:
        outcome = await deliver(letter)
        assert isinstance(outcome, Sent | Failed)
        assert not isinstance(outcome, Failed) or (outcome.reason and storable(outcome.reason))

    asyncio.run(main())
    try:
        body = compose.decode(data[3:])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    assert compose.decode(compose.encode(body)) == body
    for made in (
        compose.merge("c2c", [letter], letter.created_at + 3600.0),
        *(compose.reword(data[3:], code=code) for code in (40034024, 40054010, 304057, 40054007)),
    ):
        assert all(isinstance(compose.decode(one), compose.Body) for one in made)


def grow(choices: Choices) -> bytes:
    """A relative of a stored body, with a place to go."""
    where = bytes(choices.below(256) if choices.below(4) == 3 else 1 for _ in range(3))
    if choices.below(8) == 7:
        return where + choices.pick(TEXTS)
    return where + bend(choices.pick(SEEDS), SEEDS, choices)


PLANTED = {
    "reads before it looks": lambda data: check(data, _fragile),
    "every lane is a place": lambda data: check(data, _no_place),
}
TARGET = Target("letters", grow, check, PLANTED, examples=1000)
