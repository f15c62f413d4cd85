"""One attempt over real sockets against the simulated platform: every outcome, and no WebSocket anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from buoy.chat import Button
from buoy.letters import Cause, Failed, Letter, LetterState, Sent
from buoy.platforms.qq.compose import Body, encode, reword
from buoy.platforms.qq.delivery import Delivery, build
from buoy.platforms.qq.locate import Hosts
from buoy.protocol import wire
from buoy.sim import Sim
from buoy.sim.simulator import DEFAULT_BOT
from buoy.transport.http import Answer, Http
from buoy.transport.token import TokenSource
from tests.transport.servers import unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from yarl import URL

EXPIRED, REPLY_DEAD, NO_PROACTIVE, TOO_FAST = 40034005, 40034128, 40034102, 100017


class Call(NamedTuple):
    """One send as it left."""

    url: str
    body: bytes | None
    token: str
    fresh: bool


class Recording(Http):
    """The real thing, with a note of every send."""

    def __init__(self) -> None:
        super().__init__(environ={})
        self.sends: list[Call] = []
        self.on_request: Callable[[str], None] = lambda _: None

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        fresh: bool = False,
    ) -> Answer:
        self.on_request(str(url))
        if str(url).endswith("/messages"):
            self.sends.append(Call(str(url), body, headers["Authorization"], fresh))
        return await super().request(method, url, headers=headers, body=body, timeout_s=timeout_s, fresh=fresh)


class Desk:
    """A delivery, the platform that it delivers to, and letters that fit it."""

    def __init__(self, sim: Sim, *, timeout_s: float, secret: str) -> None:
        self.sim = sim
        self.http = Recording()
        loop = asyncio.get_running_loop()
        self.token = TokenSource(self.http, DEFAULT_BOT[0], secret, [sim.token_url], clock=loop.time)
        self.hosts = Hosts([sim.api_base])
        self.delivery = Delivery(self.http, self.token, self.hosts, timeout_s=timeout_s)

    async def reply(self, scene: str = "c2c", **changes: Any) -> Letter:
        """A reply to something that a user has just said; nobody is connected to hear it."""
        said = await self.sim.say("hello", scene=scene)
        target = self.sim.world.bot().anchors[said].target
        return replace(self.alone(target, scene), anchor=f"msg_id:{said}", anchor_row=1, seq=1, **changes)

    def alone(self, target: str | None = None, scene: str = "c2c") -> Letter:
        """A message that answers nothing."""
        target = target or self.sim.meet(scene)
        text = encode(Body("an answer"))
        return Letter(1, "k/1", "b", f"qq:{scene}:{target}", text, LetterState.CLAIMED, 0.0, attempts=1)

    async def failed(self, letter: Letter) -> Failed:
        outcome = await self.delivery.deliver(letter)
        assert isinstance(outcome, Failed), outcome
        return outcome


@contextlib.asynccontextmanager
async def desk(*, timeout_s: float = 5.0, secret: str = DEFAULT_BOT[1], **settings: Any) -> AsyncIterator[Desk]:
    async with Sim(control_port=None, **settings) as sim:
        one = Desk(sim, timeout_s=timeout_s, secret=secret)
        yield one
        assert sim.connections == 0
        assert sim.world.counters["connects"] == 0  # no path needs a WebSocket
        await one.token.close()
        await one.http.close()


# --- accepted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_a_reply_arrives_without_any_websocket(scene: str) -> None:
    async def main() -> None:
        async with desk() as d:
            letter = await d.reply(scene)
            outcome = await d.delivery.deliver(letter)
            (shown,) = d.sim.delivered
            assert outcome == Sent(shown.id)
            assert (shown.text, f"msg_id:{shown.anchor}", shown.msg_seq) == ("an answer", letter.anchor, 1)

    asyncio.run(main())


def test_only_a_message_without_anchor_takes_a_connection_of_its_own() -> None:
    async def main() -> None:
        async with desk() as d:
            assert isinstance(await d.delivery.deliver(d.alone()), Sent)
            assert isinstance(await d.delivery.deliver(await d.reply()), Sent)
            assert [call.fresh for call in d.http.sends] == [True, False]
            assert [m.proactive for m in d.sim.delivered] == [True, False]

    asyncio.run(main())


def test_sends_go_where_the_look_up_found_the_gateway() -> None:
    async def main() -> None:
        async with desk() as d, Sim(control_port=None) as other:
            letter = await d.reply()
            d.hosts.current = other.api_base
            await d.failed(letter)  # the other one knows neither token nor message
            assert {call.url.rsplit("/v2/")[0] for call in d.http.sends} == {other.api_base}

    asyncio.run(main())


# --- the token ------------------------------------------------------------------------------------------------------


def test_a_refused_token_is_renewed_once_and_the_same_request_sent_again() -> None:
    async def main() -> None:
        async with desk() as d:
            await d.token.get()
            d.sim.world.revoke_tokens(None, d.sim.clock.now())
            outcome = await d.delivery.deliver(await d.reply())
            assert isinstance(outcome, Sent)
            first, second = d.http.sends
            assert (first.url, first.body) == (second.url, second.body)
            assert first.token != second.token
            assert len(d.sim.delivered) == 1

    asyncio.run(main())


def test_a_token_that_is_refused_again_ends_the_attempt() -> None:
    async def main() -> None:
        async with desk(token_life_s=50.0) as d:  # always in its last minute: each call brings another one
            d.sim.faults.add("http_status", endpoint="send", status=401, body="html")
            outcome = await d.failed(await d.reply())
            assert (outcome.cause, outcome.status, outcome.unsure) == (Cause.TOKEN, 401, False)
            assert len(d.http.sends) == 2

    asyncio.run(main())


def test_without_a_token_nothing_leaves() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("token_down")
            outcome = await d.failed(await d.reply())
            assert (outcome.cause, outcome.unsure) == (Cause.UNREACHABLE, False)
            assert outcome.retry_after_s
            assert d.http.sends == []
        async with desk(secret="wrong") as d:
            outcome = await d.failed(await d.reply())
            assert outcome.cause is Cause.OPERATOR
            assert "QQ_CLIENT_SECRET" in outcome.reason

    asyncio.run(main())


# --- in doubt -------------------------------------------------------------------------------------------------------


def test_a_lost_answer_is_in_doubt_and_the_repeat_proves_that_it_arrived() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("accept_then_reset", count=1)
            letter = await d.reply()
            first = await d.failed(letter)
            assert (first.cause, first.unsure, first.status) == (Cause.LOST, True, 0)
            second = await d.delivery.deliver(replace(letter, attempts=2))
            assert second == Sent(None, "proved by duplicate refusal")
            assert len(d.sim.delivered) == 1

    asyncio.run(main())


def test_a_duplicate_refusal_of_a_first_attempt_proves_nothing() -> None:
    async def main() -> None:
        async with desk() as d:
            letter = await d.reply()
            assert isinstance(await d.delivery.deliver(letter), Sent)
            assert (await d.failed(letter)).cause is Cause.ANCHOR

    asyncio.run(main())


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_page_instead_of_an_answer_is_in_doubt(status: int, mode: str) -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("http_status", endpoint="send", status=status, body="html", mode=mode, count=1)
            outcome = await d.failed(await d.reply())
            assert (outcome.cause, outcome.status) == (Cause.LOST, status)
            assert len(d.sim.delivered) == (mode == "after")
            assert len(d.http.sends) == 1

    asyncio.run(main())


def test_no_answer_in_time_is_in_doubt() -> None:
    async def main() -> None:
        async with desk(timeout_s=0.2) as d:
            await d.token.get()
            d.sim.faults.add("hang", endpoint="send", mode="after", count=1)
            assert (await d.failed(await d.reply())).cause is Cause.LOST
            assert len(d.sim.delivered) == 1

    asyncio.run(main())


def test_a_cancelled_attempt_leaves_and_says_nothing() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("hang", endpoint="send", mode="before", count=1)
            attempt = asyncio.create_task(d.delivery.deliver(await d.reply()))
            await d.sim.until(lambda: len(d.http.sends) == 1 and not d.sim.faults.active)
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt

    asyncio.run(main())


# --- definite -------------------------------------------------------------------------------------------------------


def test_a_refused_connection_means_that_nothing_left() -> None:
    async def main() -> None:
        async with desk() as d:
            await d.token.get()
            d.hosts.current = f"http://127.0.0.1:{unused_port()}"
            outcome = await d.failed(await d.reply())
            assert (outcome.cause, outcome.unsure) == (Cause.UNREACHABLE, False)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "http_status", "status": 429, "retry_after": 7.0}, Cause.RATE),
        ({"kind": "http_status", "status": 429, "retry_after": 7.0, "body": "html"}, Cause.RATE),
        ({"kind": "error_code", "code": EXPIRED}, Cause.ANCHOR),
        ({"kind": "error_code", "code": REPLY_DEAD, "status": 500}, Cause.ANCHOR),
        ({"kind": "error_code", "code": 40034006}, Cause.CONTENT),
        ({"kind": "error_code", "code": 40054004}, Cause.TARGET),
        ({"kind": "error_code", "code": 50055001}, Cause.TRANSIENT),
        ({"kind": "error_code", "code": 11298, "status": 401}, Cause.OPERATOR),
        ({"kind": "error_code", "code": 987654321}, Cause.BUG),
    ],
    ids=str,
)
def test_a_definite_refusal_costs_one_request(fault: dict[str, Any], cause: Cause) -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add(fault["kind"], endpoint="send", **{k: v for k, v in fault.items() if k != "kind"})
            outcome = await d.failed(await d.reply())
            assert outcome.cause is cause
            assert not outcome.unsure
            assert outcome.trace_id
            assert outcome.retry_after_s == (7.0 if cause is Cause.RATE else None)
            assert len(d.http.sends) == 1

    asyncio.run(main())


def test_a_group_that_takes_no_proactive_message_is_told_apart() -> None:
    async def main() -> None:
        async with desk() as d:
            assert (await d.failed(d.alone(scene="group"))).cause is Cause.PROACTIVE

    asyncio.run(main())


# --- the request ----------------------------------------------------------------------------------------------------


def test_an_id_is_sent_as_it_is() -> None:
    letter = Letter(1, "k", "b", "qq:group:a:b@c/d", encode(Body("x")), LetterState.CLAIMED, 0.0)
    assert build(letter).path == "/v2/groups/a%3Ab%40c%2Fd/messages"


def test_quotes_markdown_and_event_anchors_are_carried() -> None:
    body = encode(Body("**x**", markdown=True, reference="REFIDX_1"))
    letter = Letter(1, "k", "b", "qq:c2c:U", body, LetterState.CLAIMED, 0.0, anchor="event_id:E", seq=3)
    sent = wire.read(build(letter).body)
    assert (sent["event_id"], sent["msg_seq"], sent["markdown"]) == ("E", 3, {"content": "**x**"})
    assert sent["message_reference"]["message_id"] == "REFIDX_1"


DEEP = {"body": b'{"text":"t","?":' + b"[" * 5000 + b"]" * 5000 + b"}"}


@pytest.mark.parametrize(
    "changes", [{"lane": "qq:moon:U"}, {"lane": "nowhere"}, {"anchor": "U"}, {"body": b"{}"}, {"body": b"x"}, DEEP]
)
def test_a_letter_that_is_none_is_our_bug_and_stops_nothing(changes: dict[str, Any]) -> None:
    async def main() -> None:
        async with desk() as d:
            outcome = await d.failed(replace(d.alone(), **changes))
            assert outcome.cause is Cause.BUG
            assert d.http.sends == []

    asyncio.run(main())


# --- whether anything gets through --------------------------------------------------------------------------------


def test_a_host_that_answers_anything_is_reached_and_nothing_is_posted() -> None:
    async def main() -> None:
        async with desk() as d:
            assert await d.delivery.reach() is None
            assert d.http.sends == []
            d.hosts.current = f"http://127.0.0.1:{unused_port()}"
            away = await d.delivery.reach()
            assert away is not None
            assert away.cause is Cause.UNREACHABLE

    asyncio.run(main())


def test_without_a_token_nothing_gets_through() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("token_down")
            away = await d.delivery.reach()
            assert away is not None
            assert away.cause is Cause.UNREACHABLE

    asyncio.run(main())


def test_a_host_that_takes_the_connection_and_is_silent_may_still_take_a_letter() -> None:
    async def main() -> None:
        async with desk(timeout_s=0.2) as d:
            await d.token.get()
            await d.sim.network("blackhole")
            assert await d.delivery.reach() is None
            await d.sim.network("up")

    asyncio.run(main())


# --- buttons, clicks, typing ----------------------------------------------------------------------------------------

ASKED = Body("Run *this*?\n\n1. Yes", buttons=((Button("Yes", "y", is_main=True), Button("No", "n")),))


@pytest.mark.parametrize(("scene", "labels"), [("c2c", ["Yes", "No"]), ("group", ["Yes", "No"])])
def test_buttons_stand_under_a_text_that_is_shown_as_it_was_written(scene: str, labels: list[str]) -> None:
    async def main() -> None:
        async with desk() as d:
            letter = replace(await d.reply(scene), body=encode(ASKED))
            assert isinstance(await d.delivery.deliver(letter), Sent)
            (shown,) = d.sim.delivered
            assert (shown.msg_type, shown.text) == (2, "Run \\*this\\*?\n\n1. Yes")
            assert [key.label for row in shown.keyboard for key in row] == labels
            assert [(key.style, key.permission, key.action) for key in shown.keyboard[0]] == [(1, 2, 1), (0, 2, 1)]

    asyncio.run(main())


def test_markdown_with_buttons_stays_markdown() -> None:
    async def main() -> None:
        async with desk() as d:
            letter = replace(await d.reply(), body=encode(replace_body(ASKED, markdown=True)))
            assert isinstance(await d.delivery.deliver(letter), Sent)
            assert d.sim.delivered[0].text == ASKED.text

    asyncio.run(main())


def replace_body(body: Body, **changes: Any) -> Body:
    return msgspec.structs.replace(body, **changes)


def test_guilds_get_the_text_alone() -> None:
    request = build(Letter(1, "k", "b", "qq:channel:5", encode(ASKED), LetterState.CLAIMED, 0.0))
    assert json.loads(request.body) == {"content": ASKED.text}


def test_buttons_that_this_bot_may_not_send_are_a_matter_of_content() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.world.bot().keyboards = False
            letter = replace(await d.reply(), body=encode(ASKED))
            failed = await d.failed(letter)
            assert (failed.cause, failed.code) == (Cause.CONTENT, 304057)
            (plain,) = reword(letter.body, code=failed.code)
            assert isinstance(await d.delivery.deliver(replace(letter, body=plain)), Sent)
            assert (d.sim.delivered[0].msg_type, d.sim.delivered[0].text) == (0, ASKED.text)

    asyncio.run(main())


async def click(d: Desk) -> str:
    return (await d.sim.happen("INTERACTION_CREATE")).partition(":")[2]


def test_a_click_is_acknowledged_once_and_a_second_time_is_refused() -> None:
    async def main() -> None:
        async with desk() as d:
            pressed = await click(d)
            assert await d.delivery.acknowledge(pressed, 3.0) is None
            again = await d.delivery.acknowledge(pressed, 3.0)
            assert again is not None
            assert (again.cause, again.code) == (Cause.BUG, 630001)
            counters = d.sim.world.counters
            assert (counters["requests_interaction"], counters["interactions_acked"]) == (2, 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "is_known", "requests"),
    [
        ({"kind": "error_code", "code": 630004, "count": 1}, True, 2),
        ({"kind": "error_code", "code": 630005, "count": None}, False, 2),
        ({"kind": "error_code", "code": 630008, "count": None}, False, 1),
        ({"kind": "http_status", "status": 502, "mode": "before", "count": None}, False, 1),
    ],
)
def test_only_what_was_surely_not_accepted_is_sent_again(fault: dict[str, Any], is_known: bool, requests: int) -> None:  # noqa: FBT001
    async def main() -> None:
        async with desk() as d:
            pressed = await click(d)
            d.sim.faults.add(fault.pop("kind"), endpoint="interaction", **fault)
            asked: list[str] = []
            d.http.on_request = asked.append
            assert (await d.delivery.acknowledge(pressed, 3.0) is None) is is_known
            assert sum("/interactions/" in url for url in asked) == requests

    asyncio.run(main())


def test_a_refused_token_is_renewed_for_an_acknowledgement() -> None:
    async def main() -> None:
        async with desk() as d:
            await d.token.get()
            pressed = await click(d)
            d.sim.faults.add("revoke_tokens")
            assert await d.delivery.acknowledge(pressed, 3.0) is None
            assert d.token.asked == 2

    asyncio.run(main())


@pytest.mark.parametrize("scene", ["http", "token"])
def test_an_acknowledgement_ends_in_time_whatever_hangs(scene: str) -> None:
    async def main() -> None:
        async with desk() as d:
            pressed = await click(d)
            d.sim.faults.add("hang", endpoint="token" if scene == "token" else "interaction", mode="before", count=None)
            began = asyncio.get_running_loop().time()
            failed = await d.delivery.acknowledge(pressed, 0.3)
            assert failed is not None
            assert asyncio.get_running_loop().time() - began < 2
            d.sim.faults.remove(None)

    asyncio.run(main())


def test_typing_is_shown_for_one_reply_of_the_message() -> None:
    async def main() -> None:
        async with desk() as d:
            letter = await d.reply()
            assert letter.anchor is not None
            await d.delivery.show_typing(letter.lane, letter.anchor, 3)
            (shown,) = d.sim.delivered
            assert (shown.msg_type, shown.msg_seq, f"msg_id:{shown.anchor}") == (6, 3, letter.anchor)

    asyncio.run(main())


def test_typing_that_fails_is_nobodys_trouble() -> None:
    async def main() -> None:
        async with desk() as d:
            letter = await d.reply()
            assert letter.anchor is not None
            await d.delivery.show_typing(letter.lane, "nonsense", 1)
            for kind, more in (("error_code", {"code": 40034128}), ("http_status", {"status": 502, "mode": "before"})):
                d.sim.faults.add(kind, count=1, **more)
                await d.delivery.show_typing(letter.lane, letter.anchor, 1)
            await d.sim.network("down")
            await d.delivery.show_typing(letter.lane, letter.anchor, 1)
            assert d.sim.delivered == []
            assert d.sim.world.counters["requests_send"] <= 2, "one request each"

    asyncio.run(main())
