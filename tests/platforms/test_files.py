"""A text that goes out as a file, over real sockets: uploaded on each attempt, shown once, told as text if it must."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from buoy.letters import Cause, Letter, Sent
from buoy.platforms.qq.compose import Body, encode
from buoy.protocol import wire
from tests.platforms.test_delivery import Desk, desk

TEXT = "word " * 5000
FILE_EXPIRED = 304080


async def filed(d: Desk, scene: str = "c2c", **changes: Any) -> Letter:
    letter = await d.reply(scene, body=encode(Body(TEXT, file="reply.txt", reference="REFIDX_1")))
    return replace(letter, **changes)


def uploads(d: Desk) -> int:
    return d.sim.world.counters["requests_files"]


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_it_is_uploaded_and_shown_as_the_reply_that_the_letter_is(scene: str) -> None:
    async def main() -> None:
        async with desk() as d:
            letter = await filed(d, scene)
            outcome = await d.delivery.deliver(letter)
            (shown,) = d.sim.delivered
            assert outcome == Sent(shown.id)
            assert (shown.file_name, shown.file_text, shown.text) == ("reply.txt", TEXT, "")
            assert (f"msg_id:{shown.anchor}", shown.msg_seq, shown.quote) == (letter.anchor, 1, "REFIDX_1")

    asyncio.run(main())


def test_it_may_go_without_an_anchor() -> None:
    async def main() -> None:
        async with desk() as d:
            letter = replace(d.alone(), body=encode(Body(TEXT, file="reply.txt")))
            assert isinstance(await d.delivery.deliver(letter), Sent)
            assert [call.fresh for call in d.http.sends] == [True]
            assert d.sim.delivered[0].proactive

    asyncio.run(main())


def test_a_repeat_uploads_again_and_sends_with_the_same_number() -> None:
    async def main() -> None:
        async with desk(file_info_life_s=300.0) as d:
            d.sim.faults.add("accept_then_reset", endpoint="send", count=1)
            letter = await filed(d)
            assert (await d.failed(letter)).cause is Cause.LOST
            d.sim.clock.advance(400)  # what was uploaded then is gone
            assert await d.delivery.deliver(replace(letter, attempts=2)) == Sent(None, "proved by duplicate refusal")
            first, second = (wire.read(call.body or b"") for call in d.http.sends)
            assert (first["msg_id"], first["msg_seq"]) == (second["msg_id"], second["msg_seq"])
            assert first["media"] != second["media"]
            assert len(d.sim.delivered) == 1
            assert uploads(d) == 2

    asyncio.run(main())


def test_a_file_that_is_not_known_any_more_is_uploaded_anew_at_once() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("error_code", code=FILE_EXPIRED, endpoint="send", count=1)
            assert isinstance(await d.delivery.deliver(await filed(d)), Sent)
            assert (uploads(d), len(d.http.sends)) == (2, 2)
            d.sim.faults.add("error_code", code=FILE_EXPIRED, endpoint="send")
            outcome = await d.failed(await filed(d))
            assert (outcome.cause, outcome.early, outcome.code) == (Cause.TRANSIENT, True, FILE_EXPIRED)
            assert (uploads(d), len(d.http.sends)) == (4, 4), "once, then with a pause"
            assert (await d.failed(await filed(d, attempts=5))).cause is Cause.CONTENT

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "http_status", "status": 429, "retry_after": 7.0}, Cause.RATE),
        ({"kind": "http_status", "status": 413, "body": "html"}, Cause.CONTENT),
        ({"kind": "http_status", "status": 502, "body": "html"}, Cause.TRANSIENT),
        ({"kind": "error_code", "code": 850031}, Cause.CONTENT),
        ({"kind": "error_code", "code": 850027}, Cause.TRANSIENT),
        ({"kind": "error_code", "code": 11253}, Cause.CONTENT),
        ({"kind": "error_code", "code": 11298, "status": 401}, Cause.OPERATOR),
        ({"kind": "error_code", "code": 850018}, Cause.TARGET),
    ],
    ids=str,
)
def test_where_the_upload_fails_no_message_leaves(fault: dict[str, Any], cause: Cause) -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add(fault["kind"], endpoint="files", **{k: v for k, v in fault.items() if k != "kind"})
            outcome = await d.failed(await filed(d))
            assert (outcome.cause, outcome.early, outcome.unsure) == (cause, True, False)
            assert d.http.sends == []

    asyncio.run(main())


def test_an_upload_without_an_answer_is_definitely_no_message() -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("http_status", endpoint="files", status=500, mode="after", count=1)
            assert (await d.failed(await filed(d))).cause is Cause.TRANSIENT
            await d.sim.network("drop")
            outcome = await d.failed(await filed(d))
            assert (outcome.cause, outcome.unsure) == (Cause.TRANSIENT, False), "it says nothing of the way for others"
            assert d.http.sends == []
            assert d.sim.delivered == []

    asyncio.run(main())


def test_a_token_that_the_upload_is_refused_for_is_renewed_once() -> None:
    async def main() -> None:
        async with desk() as d:
            await d.token.get()
            d.sim.world.revoke_tokens(None, d.sim.clock.now())
            assert isinstance(await d.delivery.deliver(await filed(d)), Sent)
            assert (uploads(d), len(d.http.sends)) == (2, 1)

    asyncio.run(main())


@pytest.mark.parametrize("code", [40034006, 22006, 340069])
def test_a_message_that_is_refused_for_its_file_may_go_as_text(code: int) -> None:
    async def main() -> None:
        async with desk() as d:
            d.sim.faults.add("error_code", code=code, endpoint="send")
            outcome = await d.failed(await filed(d))
            assert (outcome.cause, outcome.early) == (Cause.CONTENT, True)

    asyncio.run(main())


def test_a_scene_without_files_is_our_bug() -> None:
    async def main() -> None:
        async with desk() as d:
            letter = replace(d.alone(scene="channel"), body=encode(Body(TEXT, file="reply.txt")))
            assert (await d.failed(letter)).cause is Cause.BUG

    asyncio.run(main())
