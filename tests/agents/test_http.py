"""The http agent against a small server of our own: whole answers, streams, answers that are brought, refusals."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from yarl import URL

from buoy.agents import build, http
from buoy.agents.http import Called, Endpoint, HttpAgent, signature
from buoy.chat import Button, Message, NonsenseError, Reply, Sender, collect
from buoy.errors import AgentAwayError, AgentError, ConfigError
from tests.agents.test_openai_streaming import Said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SECRET = "a secret of this very test"
MESSAGE = Message("hello", "qq:c2c:A", Sender("A"), turn="102/ROBOT1.0_x!")


@dataclass
class Server:
    """Answers `POST /turn` with what ``answer`` gives."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def turn(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((dict(request.headers), await request.read()))
        try:
            return await self.answer(request)
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/turn", server.turn)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/turn"
    try:
        yield server.url
    finally:
        await runner.cleanup()


def responding(status: int = 200, **more: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **more)

    return answer


def documents(told: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return responding(text=json.dumps(told), content_type="application/json")


def streaming(
    *pieces: str, content_type: str = "application/x-ndjson", breaks: bool = False, chunked: bool = True
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.headers["Connection"] = "close"
            response._length_check = False
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece.encode())
        if breaks and request.transport is not None:
            request.transport.close()
        return response

    return answer


def play(server: Server, scene: Callable[[HttpAgent], Awaitable[Any]], **settings: Any) -> Any:
    async def run() -> Any:
        async with serving(server) as url:
            agent = build(f"http:{url}", settings)
            assert isinstance(agent, HttpAgent)
            try:
                return await scene(agent)
            finally:
                await agent.close()

    return asyncio.run(run())


def ask(server: Server, message: Message = MESSAGE, **settings: Any) -> list[Reply]:
    async def scene(agent: HttpAgent) -> list[Reply]:
        return await collect(agent, message)

    replies: list[Reply] = play(server, scene, **settings)
    return replies


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_turn_is_asked_with_its_names_its_version_and_its_key() -> None:
    server = Server(documents({"text": "hi"}))
    assert ask(server) == [Reply("hi")]
    ((headers, body),) = server.asked
    told = json.loads(body)
    assert (told["version"], told["text"], told["conversation"], told["sender"]["id"]) == (1, "hello", "qq:c2c:A", "A")
    assert "line" not in told
    assert (headers["Idempotency-Key"], headers["Content-Type"]) == (MESSAGE.turn, "application/json")
    assert "X-Buoy-Signature" not in headers


def test_a_turn_is_signed() -> None:
    server = Server(documents({"text": "hi"}))
    ask(server, secret=SECRET)
    ((headers, body),) = server.asked
    stamp = headers["X-Buoy-Timestamp"]
    assert abs(time.time() - int(stamp)) < 10
    by_hand = hmac.new(SECRET.encode(), f"{stamp}.{MESSAGE.turn}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Buoy-Signature"] == f"sha256={by_hand}"


# --- the response -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "replies"),
    [
        (documents({"text": "one"}), [Reply("one")]),
        (documents("one"), [Reply("one")]),
        (documents(None), []),
        (documents([]), []),
        (documents({"replies": []}), []),
        (documents({"replies": ["one", {"text": "two", "markdown": True}, " "]}), [Reply("one"), Reply("two", True)]),
        (
            documents({"text": "so?", "buttons": [[{"label": "yes", "data": "y"}]]}),
            [Reply("so?", buttons=((Button("yes", "y"),),))],
        ),
        (responding(text=" plain \n"), [Reply("plain")]),
        (responding(204), []),
        (responding(body=b"", content_type="application/json"), []),
        (streaming('{"text": "a"}\n', '\n"b"\n{"replies": ["c"', ', "d"]}'), [Reply(one) for one in "abcd"]),
        (streaming('"a"\n{"done": true}\n"never"'), [Reply("a")]),
        (streaming('"a"\n[DONE]\n', chunked=False), [Reply("a")]),
        (
            streaming(': hi\ndata: {"te', 'xt":\ndata: "a"}\r\n\r\ndata: "b"\n\n', content_type="text/event-stream"),
            [Reply("a"), Reply("b")],
        ),
        (streaming("event: x\nid: 7\ndata: [DONE]\n\ndata: 1\n\n", content_type="text/event-stream"), []),
    ],
)
def test_what_an_answer_may_be(answer: Any, replies: list[Reply]) -> None:
    assert ask(Server(answer)) == replies


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (documents(5), NonsenseError),
        (documents({"texts": "one"}), NonsenseError),
        (documents({"text": 5}), NonsenseError),
        (documents({"text": "a", "colour": "red"}), NonsenseError),
        (documents({"text": "a", "buttons": [5]}), NonsenseError),
        (responding(text="{", content_type="application/json"), NonsenseError),
        (streaming("{\n"), NonsenseError),
        (documents({"error": "no"}), AgentError),
        (documents({"away": "no"}), AgentAwayError),
        (responding(text="x" * (1024 * 1024 + 1)), AgentError),
        (streaming("x" * (1024 * 1024 + 1)), AgentError),
        (streaming('"a"\n', breaks=True), AgentError),
        (streaming('"a"\n', chunked=False), AgentError),
        (responding(202), AgentError),
        (responding(302, headers={"Location": "/turn"}), AgentError),
    ],
)
def test_what_is_no_answer(answer: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as error:
        ask(Server(answer))
    assert type(error.value) is not AgentAwayError or kind is AgentAwayError
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "away"),
    [(400, False), (401, True), (403, True), (404, True), (422, False), (429, True), (500, False), (502, True),
     (503, True)],
)  # fmt: skip
def test_a_refusal_is_an_absence_where_it_would_meet_every_message(status: int, away: bool) -> None:  # noqa: FBT001
    with pytest.raises(AgentError, match=f"127.0.0.1 answered HTTP {status}: because") as error:
        ask(Server(responding(status, text="because\nof you")))
    assert isinstance(error.value, AgentAwayError) is away


def test_nobody_there() -> None:
    async def run() -> None:
        agent = build("http:http://127.0.0.1:9/")
        try:
            await collect(agent, MESSAGE)
        finally:
            await agent.close()

    with pytest.raises(AgentAwayError, match=r"127\.0\.0\.1"):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["", "ftp://x", "http://agent.example/turn", "wss://agent.example"])
def test_an_address_that_we_do_not_ask(url: str) -> None:
    with pytest.raises(ConfigError, match=r"bots\.agent\.kind \(BUOY_AGENT\)"):
        build(f"http:{url}")


# --- parts ------------------------------------------------------------------------------------------------------------

FIVE = streaming(*(f'"part {n}"\n' for n in range(1, 6)))


def test_parts_of_a_stream_leave_at_once_and_what_exceeds_them_at_the_end() -> None:
    line = Said()
    rest = ask(Server(FIVE), Message("hello", "qq:c2c:A", Sender("A"), turn="t", line=line))
    assert line.parts == ["part 1", "part 2"]
    assert [reply.text for reply in rest] == ["part 3", "part 4", "part 5"]
    assert len(ask(Server(FIVE))) == 5


@pytest.mark.parametrize("answer", [FIVE, streaming('"part 3"\n"part 4"\n"part 5"\n')])
def test_another_run_says_nothing_twice_whether_the_agent_goes_on_or_starts_again(answer: Any) -> None:
    line = Said()
    message = Message("hello", "qq:c2c:A", Sender("A"), turn="t", line=line, delivered=("part 1", "part 2"))
    server = Server(answer)
    assert [reply.text for reply in ask(server, message)] == ["part 3", "part 4", "part 5"]
    assert line.parts == []
    assert json.loads(server.asked[0][1])["delivered"] == ["part 1", "part 2"]


@pytest.mark.parametrize(
    ("piece", "content_type"),
    [('"part"\n', "application/x-ndjson"), (": ping\n", "text/event-stream"), ("data: 1\n", "text/event-stream")],
)
def test_a_stream_without_an_end_is_bounded(piece: str, content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STREAM_LIMIT", 1000)
    with pytest.raises(AgentError, match="the stream is longer than 1000 bytes"):
        ask(Server(streaming(*[piece * 10] * 100, content_type=content_type)))


def test_stopped_it_hangs_up() -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server = Server(silent)

    async def scene(agent: HttpAgent) -> None:
        turn = asyncio.ensure_future(collect(agent, MESSAGE))
        while not server.asked:
            await asyncio.sleep(0.001)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        async with asyncio.timeout(5):
            await server.hung_up.wait()

    play(server, scene)


# --- answers that are brought -----------------------------------------------------------------------------------------


def bring(agent: HttpAgent, told: Any, *, turn: str = MESSAGE.turn, secret: str = SECRET, age_s: float = 0) -> Called:
    body, stamp = json.dumps(told).encode(), str(int(time.time() - age_s))
    return agent.called(turn, stamp, signature(secret, stamp, turn, body), body)


async def waiting(server: Server, agent: HttpAgent) -> asyncio.Future[list[Reply]]:
    turn = asyncio.ensure_future(collect(agent, MESSAGE))
    while not server.asked:
        await asyncio.sleep(0.001)
    return turn


def test_an_answer_is_brought_later_and_may_come_twice() -> None:
    server = Server(responding(202))

    async def scene(agent: HttpAgent) -> None:
        turn = await waiting(server, agent)
        assert bring(agent, {"replies": [5]}).status == 400
        assert bring(agent, {"replies": ["one", "two"]}) == Called(200, "taken")
        assert await turn == [Reply("one"), Reply("two")]
        assert bring(agent, {"replies": ["one", "two"]}).status == 200
        assert bring(agent, "x", turn="another").status == 404

    play(server, scene, secret=SECRET)


@pytest.mark.parametrize("changed", [{"secret": "another secret than that"}, {"age_s": 400}, {"age_s": -400}])
def test_what_nobody_of_us_signed_just_now_is_refused(changed: Any) -> None:
    server = Server(responding(202))

    async def scene(agent: HttpAgent) -> None:
        turn = await waiting(server, agent)
        assert bring(agent, "x", **changed).status == 401
        body, stamp = b'"x"', str(int(time.time()))
        good = signature(SECRET, stamp, MESSAGE.turn, body)
        for wrong in (
            (MESSAGE.turn, stamp, good, b'"y"'),
            (MESSAGE.turn, str(int(stamp) + 1), good, body),
            ("other", stamp, good, body),
            (MESSAGE.turn, stamp, "", body),
            (MESSAGE.turn, stamp, "sha256=é", body),
            (MESSAGE.turn, "1\udcff", good, body),  # header and path as aiohttp gives what is no UTF-8
            ("\udcff", stamp, good, body),
        ):
            assert agent.called(*wrong).status == 401
        assert not turn.done()
        assert bring(agent, {"error": "no"}).status == 200
        with pytest.raises(AgentError, match=r"^no$"):
            await turn

    play(server, scene, secret=SECRET)


@pytest.mark.parametrize("stamp", ["", "soon", "-1", "1" * 20, "²"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    endpoint = Endpoint(URL("http://127.0.0.1:9/"), SECRET, 3)
    assert endpoint.called("t", stamp, signature(SECRET, stamp, "t", b""), b"").status == 401


def test_without_a_secret_nobody_can_bring_anything() -> None:
    endpoint = Endpoint(URL("http://127.0.0.1:9/"), "", 3)
    stamp = str(int(time.time()))
    assert endpoint.called("t", stamp, signature("", stamp, "t", b'""'), b'""').status == 401


def test_it_may_be_brought_before_the_response_is_there() -> None:
    agents: list[HttpAgent] = []

    async def early(_: web.Request) -> web.StreamResponse:
        assert bring(agents[0], "early").status == 200
        return web.Response(status=202)

    async def scene(agent: HttpAgent) -> list[Reply]:
        agents.append(agent)
        return await collect(agent, MESSAGE)

    assert play(Server(early), scene, secret=SECRET) == [Reply("early")]


@pytest.mark.parametrize("status", [None, 500, 503])
def test_what_was_taken_is_the_answer_whatever_becomes_of_the_response(status: int | None) -> None:
    agents: list[HttpAgent] = []

    async def breaking(request: web.Request) -> web.StreamResponse:
        assert bring(agents[0], "taken").status == 200
        if status is not None:
            return web.Response(status=status)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def scene(agent: HttpAgent) -> list[Reply]:
        agents.append(agent)
        return await collect(agent, MESSAGE)

    assert play(Server(breaking), scene, secret=SECRET) == [Reply("taken")]


def test_a_turn_that_was_stopped_takes_no_answer() -> None:
    server = Server(responding(202))

    async def scene(agent: HttpAgent) -> None:
        turn = await waiting(server, agent)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert bring(agent, "late").status == 404

    play(server, scene, secret=SECRET)


def test_a_turn_that_has_its_answer_takes_no_other() -> None:
    async def scene(agent: HttpAgent) -> None:
        assert await collect(agent, MESSAGE) == [Reply("at once")]
        assert bring(agent, "late").status == 404

    play(Server(documents("at once")), scene, secret=SECRET)
