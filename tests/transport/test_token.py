"""The token: one call for all who wait, renewed in time, and no hot loop whatever the endpoint answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from buoy.protocol.limits import TOKEN_MARGIN_S, TOKEN_RATE_PAUSE_S
from buoy.transport.http import Answer, Http, LostError, NotSentError
from buoy.transport.token import REFUSED_PAUSE_S, SAME_TOKEN_PAUSE_S, TokenError, TokenSource
from tests import clock
from tests.transport.servers import Peer, serve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

NEW, OLD = "https://new.test/token", "https://old.test/token"
LIFE_S = 7200.0


class Endpoint(Http):
    """A token endpoint that behaves as protocol.md 2.1 says, until told otherwise.

    ``says`` maps a URL to what it does instead: an answer, an exception, or None to hang.
    """

    def __init__(self) -> None:
        super().__init__(environ={})
        self.calls: list[str] = []
        self.says: dict[str, Any] = {}
        self.takes_s = 0.0
        self.issued = 0
        self.ends_at = 0.0
        self.margin_s = TOKEN_MARGIN_S

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
        self.calls.append(str(url))
        assert fresh
        assert body is not None
        assert json.loads(body) == {"appId": "102", "clientSecret": "SECRET"}
        said = self.says.get(str(url), self)
        if said is None:
            await asyncio.sleep(timeout_s)
            raise LostError("no whole answer")
        await asyncio.sleep(self.takes_s)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else self.issue()

    def issue(self) -> Answer:
        now = asyncio.get_running_loop().time()
        if self.ends_at - now <= self.margin_s:
            self.issued += 1
            self.ends_at = now + LIFE_S
        left = str(int(self.ends_at - now))
        return say(access_token=f"token-{self.issued}", expires_in=left)

    def revoke(self) -> None:
        self.ends_at = 0.0


def say(status: int = 200, **fields: Any) -> Answer:
    return Answer(status, {}, json.dumps(fields).encode())


HTML = Answer(502, {}, b"<html>502</html>")
RATE = say(code=100001, message="too many requests")
WRONG_SECRET = say(code=100016, message="invalid appid or secret")


def source(endpoint: Endpoint, *urls: str) -> TokenSource:
    return TokenSource(endpoint, "102", "SECRET", urls or (NEW, OLD), clock=asyncio.get_running_loop().time)


async def until(at: float) -> None:
    """Sleep until ``at`` seconds after the start of the virtual clock."""
    await asyncio.sleep(clock.START + at - asyncio.get_running_loop().time())


async def fails(tokens: TokenSource, **more: Any) -> TokenError:
    with pytest.raises(TokenError) as caught:
        await tokens.get(**more)
    return caught.value


# --- one fetch for all


def test_a_hundred_waiters_cost_one_call() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.takes_s = 2
        tokens = source(endpoint)
        assert tokens.expires_in_s is None
        assert set(await asyncio.gather(*(tokens.get() for _ in range(100)))) == {"token-1"}
        assert await tokens.get() == "token-1"
        assert endpoint.calls == [NEW]
        assert tokens.asked == 1
        assert tokens.expires_in_s == pytest.approx(LIFE_S, abs=3)

    clock.run(main())


def test_the_fetch_outlives_the_one_who_began_it() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.takes_s = 2
        tokens = source(endpoint)
        first, second = (asyncio.create_task(tokens.get()) for _ in range(2))
        await asyncio.sleep(1)
        first.cancel()
        assert await second == "token-1"
        assert first.cancelled()
        assert len(endpoint.calls) == 1

    clock.run(main())


def test_a_caller_in_a_hurry_leaves_the_fetch_to_the_next() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.takes_s = 2
        tokens = source(endpoint)
        assert (await fails(tokens, timeout_s=0.5)).kind == "down"
        assert await tokens.get() == "token-1"
        assert len(endpoint.calls) == 1

    clock.run(main())


# --- renewal


def test_it_is_renewed_in_the_last_minute_and_nobody_waits() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint)
        await tokens.get()
        await until(LIFE_S - TOKEN_MARGIN_S - 1)
        assert await tokens.get() == "token-1"
        assert len(endpoint.calls) == 1, "an earlier call would return the same token"
        endpoint.takes_s = 20
        await until(LIFE_S - TOKEN_MARGIN_S)
        before = asyncio.get_running_loop().time()
        assert [await tokens.get() for _ in range(10)] == ["token-1"] * 10
        assert asyncio.get_running_loop().time() == before
        await asyncio.sleep(30)
        assert await tokens.get() == "token-2"
        assert len(endpoint.calls) == 2

    clock.run(main())


def test_a_renewal_that_fails_leaves_the_old_token_until_its_end() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint, NEW)
        await tokens.get()
        endpoint.says[NEW] = NotSentError("refused")
        await until(LIFE_S - TOKEN_MARGIN_S)
        for _ in range(59 * 8):
            assert await tokens.get() == "token-1"
            await asyncio.sleep(1 / 8)
        assert len(endpoint.calls) <= 61
        assert tokens.last_failure is not None
        assert tokens.last_failure.reason == "token endpoint: refused"
        await asyncio.sleep(1)
        assert (await fails(tokens)).kind == "down"
        del endpoint.says[NEW]
        await asyncio.sleep(5)
        assert await tokens.get() == "token-2"
        assert tokens.last_failure is None

    clock.run(main())


def test_a_clock_that_is_early_does_not_make_a_hot_loop() -> None:
    """The platform still returns the old token while we think that its last minute has begun."""

    async def main() -> None:
        endpoint = Endpoint()
        endpoint.margin_s = TOKEN_MARGIN_S - 30
        tokens = source(endpoint)
        await tokens.get()
        await until(LIFE_S - TOKEN_MARGIN_S)
        for _ in range(50):
            assert await tokens.get() in {"token-1", "token-2"}
            await asyncio.sleep(1)
        assert await tokens.get() == "token-2"
        assert len(endpoint.calls) <= 2 + 30 / SAME_TOKEN_PAUSE_S

    clock.run(main())


def test_an_expired_token_is_not_handed_out() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint)
        await tokens.get()
        await until(LIFE_S + 1)
        assert tokens.expires_in_s is None
        endpoint.takes_s = 3
        assert await tokens.get() == "token-2"

    clock.run(main())


# --- refused tokens


def test_a_refused_token_is_replaced_once_for_all() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint)
        assert await tokens.get() == "token-1"
        endpoint.revoke()
        endpoint.takes_s = 1

        async def one() -> str:
            tokens.refused("token-1")
            return await tokens.get()

        assert set(await asyncio.gather(*(one() for _ in range(50)))) == {"token-2"}
        tokens.refused("token-1")  # a late report about the old one
        assert await tokens.get() == "token-2"
        assert len(endpoint.calls) == 2

    clock.run(main())


def test_a_refused_token_that_is_issued_again_is_reported_and_gets_another_chance() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint)
        token = await tokens.get()
        for round_ in range(2, 5):
            tokens.refused(token)
            error = await fails(tokens)
            assert (error.kind, error.retry_after_s) == ("down", SAME_TOKEN_PAUSE_S)
            assert "refuses the token" in error.reason
            for _ in range(9):  # nobody asks again meanwhile
                await asyncio.sleep(1)
                assert (await fails(tokens)).retry_after_s < SAME_TOKEN_PAUSE_S
            await asyncio.sleep(1)
            assert await tokens.get() == token
            assert tokens.last_failure is None
            assert len(endpoint.calls) == round_

    clock.run(main())


def test_a_token_refused_while_it_is_being_renewed_joins_that_fetch() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint)
        await tokens.get()
        endpoint.takes_s = 5
        await until(LIFE_S - TOKEN_MARGIN_S)
        await tokens.get()
        await asyncio.sleep(1)
        tokens.refused("token-1")
        assert await tokens.get() == "token-2"
        assert len(endpoint.calls) == 2

    clock.run(main())


# --- failures


def test_a_rate_refusal_is_remembered_for_its_minute() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says[NEW] = RATE
        tokens = source(endpoint)
        for second in range(int(TOKEN_RATE_PAUSE_S)):
            error = await fails(tokens)
            assert error.kind == "rate"
            assert error.retry_after_s == pytest.approx(TOKEN_RATE_PAUSE_S - second)
            await asyncio.sleep(1)
        assert endpoint.calls == [NEW], "a definite answer is not asked of the other host"
        del endpoint.says[NEW]
        assert await tokens.get() == "token-1"

    clock.run(main())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(WRONG_SECRET, "secret"), (say(code=100007), "bot"), (say(code=10004), "bot")],
)
def test_what_a_person_must_mend_is_remembered_briefly(answer: Answer, kind: str) -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says[NEW] = answer
        tokens = source(endpoint)
        for error in await asyncio.gather(*(fails(tokens) for _ in range(100))):
            assert error.kind == kind
            assert error.remedy
        assert (await fails(tokens)).kind == kind
        assert len(endpoint.calls) == 1
        del endpoint.says[NEW]
        await asyncio.sleep(REFUSED_PAUSE_S)
        assert await tokens.get() == "token-1"

    clock.run(main())


@pytest.mark.parametrize(
    "said",
    [
        NotSentError("no name"),
        LostError("reset"),
        HTML,
        say(404),
        say(code=12345),
        say(),
        Answer(200, {}, b"[[["),
        None,
    ],
    ids=["not sent", "lost", "html", "404", "unknown code", "empty", "no json", "hangs"],
)
def test_the_next_host_is_asked_when_the_first_says_nothing_definite(said: Any) -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says[NEW] = said
        tokens = source(endpoint)
        assert await tokens.get() == "token-1"
        assert endpoint.calls == [NEW, OLD]
        assert tokens.last_failure is None

    clock.run(main())


@pytest.mark.parametrize(
    "said",
    [
        say(access_token="a\r\nHost: b", expires_in=60),
        say(access_token="t\u00f6ken", expires_in=60),
        say(access_token="token", expires_in=0),
        say(access_token="token", expires_in=-5),
        say(access_token="", expires_in=60),
    ],
)
def test_a_token_that_no_header_can_carry_is_none(said: Answer) -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says[NEW] = said
        error = await fails(source(endpoint, NEW))
        assert error.kind == "down"
        assert "within" not in error.reason, "that would be a wait for nothing"

    clock.run(main())


def test_hosts_that_hang_end_in_time() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says = {NEW: None, OLD: None}
        tokens = source(endpoint)
        began = asyncio.get_running_loop().time()
        assert (await fails(tokens, timeout_s=60)).kind == "down"
        assert asyncio.get_running_loop().time() - began == pytest.approx(15)

    clock.run(main())


def test_three_hours_without_the_endpoint_and_the_first_token_within_5_seconds() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says = {NEW: NotSentError("refused"), OLD: NotSentError("refused")}
        tokens = source(endpoint)
        await asyncio.gather(*(_ask_for(tokens, 3 * 3600) for _ in range(20)))
        assert len(endpoint.calls) <= 2 * 3 * 3600 + 2, "no more than one round a second, however many wait"
        endpoint.says = {}
        await asyncio.sleep(2)
        assert await tokens.get() == "token-1"

    clock.run(main())


async def _ask_for(tokens: TokenSource, seconds: int) -> None:
    for _ in range(0, seconds, 10):
        await fails(tokens)
        await asyncio.sleep(10)


def test_a_bug_in_the_fetch_is_a_failure_and_not_a_hang() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says[NEW] = ZeroDivisionError("oops")
        tokens = source(endpoint)
        assert "ZeroDivisionError" in (await fails(tokens)).reason
        await asyncio.sleep(REFUSED_PAUSE_S)
        del endpoint.says[NEW]
        assert await tokens.get() == "token-1"

    clock.run(main())


def test_closing_ends_the_fetch() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        endpoint.says[NEW] = None
        tokens = source(endpoint)
        waiter = asyncio.create_task(fails(tokens))
        await asyncio.sleep(1)
        await tokens.close()
        assert (await waiter).kind == "down"
        await tokens.close()

    clock.run(main())


# --- secrets, and the wire


def test_nothing_shows_the_secret_or_the_token() -> None:
    async def main() -> None:
        endpoint = Endpoint()
        tokens = source(endpoint)
        token = await tokens.get()
        tokens.refused(token)
        error = await fails(tokens)
        shown = f"{tokens!r}{tokens}{error!r}{error}{error.reason}{error.remedy}{tokens.last_failure}"
        assert "SECRET" not in shown
        assert token not in shown

    clock.run(main())


def test_over_a_real_socket_with_the_live_shapes() -> None:
    async def handler(peer: Peer) -> None:
        request = await peer.request()
        assert request.startswith(b"POST /app/getAppAccessToken HTTP/1.1\r\n")
        assert b"\r\nContent-Type: application/json\r\n" in request
        assert json.loads(request.split(b"\r\n\r\n")[1]) == {"appId": "102", "clientSecret": "SECRET"}
        peer.answer(b'{"access_token": "Qm9nVVNfdG9rZW4tMDE", "expires_in": "7200"}')

    async def main() -> None:
        async with serve(handler) as server:
            http = Http(environ={})
            url = f"{server.url}app/getAppAccessToken"
            tokens = TokenSource(http, "102", "SECRET", [url], clock=asyncio.get_running_loop().time)
            assert await tokens.get() == "Qm9nVVNfdG9rZW4tMDE"
            await http.close()

    asyncio.run(main())
