"""Token and gateway look-up: fail-over of the look-up alone, a cached address, and never more calls than allowed."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from buoy.platforms.qq.locate import Hosts, LocateError, Location, Locator, Skew
from buoy.protocol import wire
from buoy.protocol.session import Trouble
from buoy.sim import Sim
from buoy.transport.http import Answer, Http, LostError, NotSentError
from buoy.transport.token import TokenSource
from tests import clock
from tests.transport.servers import unused_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

NEW, OLD = "https://new.test", "https://old.test"
WALL = 1_790_000_000.0

FOUND = {
    "url": "wss://new.test/websocket",
    "session_start_limit": {"remaining": 7, "reset_after": 60_000},
}


def said(status: int, body: object, date: float | None = None) -> Answer:
    headers = {} if date is None else {"Date": formatdate(date, usegmt=True)}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, headers, raw)


class Script(Http):
    """Answers of two hosts, and a token endpoint that counts. A list is used up, its last entry stays."""

    def __init__(self, answers: dict[str, list[Answer | Exception]]) -> None:
        super().__init__(environ={})
        self.answers = answers
        self.calls: list[str] = []
        self.tokens = 0
        self.token_answer: Answer | None = None

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
        host, path = str(url)[: len(NEW)], str(url)[len(NEW) :]
        if path == wire.TOKEN_PATH:
            self.tokens += 1
            return self.token_answer or said(200, {"access_token": f"token{self.tokens}", "expires_in": "7200"})
        assert (method, path) == ("GET", wire.GATEWAY_BOT_PATH)
        self.calls.append(host)
        queue = self.answers[host]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    """A locator whose clock the test moves."""

    def __init__(self, **answers: list[Answer | Exception]) -> None:
        self.now = 100.0
        self.http = Script({NEW: answers.get("new", [said(200, FOUND)]), OLD: answers.get("old", [said(200, FOUND)])})
        self.token = TokenSource(self.http, "1", "s", [NEW + wire.TOKEN_PATH], clock=lambda: self.now)
        self.hosts = Hosts([NEW, OLD + "/"])
        self.locator = Locator(
            self.http, self.token, self.hosts, monotonic=lambda: self.now, wall=lambda: WALL + self.now
        )

    async def locate(self, *, force_token: bool = False, fresh_url: bool = False) -> Location:
        return await self.locator.locate(force_token=force_token, fresh_url=fresh_url)

    async def refused(self) -> LocateError:
        with pytest.raises(LocateError) as caught:
            await self.locate()
        return caught.value


HTML = b"<html>502 Bad Gateway</html>"
GONE = [
    said(404, {"code": 404, "message": "no such API"}),
    said(500, {"code": 1, "message": "x"}),
    said(502, HTML),
    said(504, b""),
    NotSentError("the name new.test cannot be resolved"),
    LostError("no whole answer within 5 s"),
    said(200, {"url": 5}),
    said(200, HTML),
]


@pytest.mark.parametrize("failure", GONE, ids=str)
def test_the_look_up_falls_over_to_the_next_host_and_sends_follow_it(failure: Answer | Exception) -> None:
    async def main() -> None:
        bench = Bench(new=[failure, said(200, FOUND)])
        where = await bench.locate()
        assert (where.url, where.token) == (FOUND["url"], "token1")
        assert bench.hosts.current == OLD
        assert bench.http.calls == [NEW, OLD]
        bench.now += 700
        await bench.locate()  # back on the first host as soon as it answers
        assert bench.hosts.current == NEW

    asyncio.run(main())


def test_when_no_host_answers_it_says_what_the_last_one_said_and_sends_stay_where_they_were() -> None:
    async def main() -> None:
        bench = Bench(new=[said(502, HTML)], old=[NotSentError("refused")])
        error = await bench.refused()
        assert error.trouble is Trouble.TRANSIENT
        assert error.reason == f"{OLD}: refused"
        assert bench.hosts.current == NEW

    asyncio.run(main())


IP = "not on the bot's allowlist"


@pytest.mark.parametrize(
    ("status", "body", "trouble", "words"),
    [
        (401, {"code": 11298, "err_code": 40023002}, Trouble.IP, IP),
        (401, {"err_code": 40023002}, Trouble.IP, IP),
        (400, {"code": 11265}, Trouble.BANNED, "banned"),
        (401, {"code": 11243, "err_code": 40011027}, Trouble.TOKEN, "token"),
        (401, HTML, Trouble.TOKEN, "token"),
        (429, {"code": 100017}, Trouble.RATE, "too many"),
        (429, HTML, Trouble.RATE, "too many"),
    ],
)
def test_what_another_host_would_say_too_is_not_asked_there(
    status: int, body: object, trouble: Trouble, words: str
) -> None:
    async def main() -> None:
        bench = Bench(new=[said(status, body)])
        error = await bench.refused()
        assert error.trouble is trouble
        assert words in error.reason
        assert bench.http.calls == [NEW]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "trouble", "words"),
    [
        (100016, Trouble.SECRET, "QQ_CLIENT_SECRET"),
        (100007, Trouble.APP, "QQ_APP_ID"),
        (100001, Trouble.RATE, "limits"),
    ],
)
def test_without_a_token_there_is_no_look_up(code: int, trouble: Trouble, words: str) -> None:
    async def main() -> None:
        bench = Bench()
        bench.http.token_answer = said(200, {"code": code, "message": "?"})
        error = await bench.refused()
        assert error.trouble is trouble
        assert words in error.reason
        assert bench.http.calls == []

    asyncio.run(main())


# --- the cached address ---------------------------------------------------------------------------------------------


def test_the_address_is_kept_for_ten_minutes_unless_a_fresh_one_is_asked_for() -> None:
    async def main() -> None:
        bench = Bench()
        first = await bench.locate()
        assert (first.remaining, first.reset_s, first.asked_at) == (7, 60.0, WALL + 100)
        bench.now += 599
        assert await bench.locate() == first
        assert len(bench.http.calls) == 1
        await bench.locate(fresh_url=True)
        assert len(bench.http.calls) == 2
        bench.now += 601
        await bench.locate()
        assert len(bench.http.calls) == 3

    asyncio.run(main())


def most_in(calls: list[float], span_s: float) -> int:
    return max(sum(1 for at in calls if start <= at < start + span_s) for start in calls)


@pytest.mark.parametrize("failing", [False, True])
def test_it_never_asks_more_often_than_allowed(failing: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        bench = Bench(new=[said(502, HTML)], old=[LostError("?")]) if failing else Bench()
        times: list[float] = []
        for _ in range(3600):
            before = len(bench.http.calls)
            try:
                where = await bench.locate(fresh_url=True)
                assert where.url == FOUND["url"]
            except LocateError:
                assert failing
            times += [bench.now] * (len(bench.http.calls) - before)
            bench.now += 1
        assert len(times) <= 10 + 2 * 60
        assert len(times) > 100
        assert most_in(times[10:], 60) <= 3  # two a minute, at most one of them saved up

    asyncio.run(main())


def test_without_an_address_and_without_a_call_left_it_says_so() -> None:
    async def main() -> None:
        bench = Bench(new=[said(502, HTML)], old=[said(502, HTML)])
        for _ in range(5):
            await bench.refused()
        error = await bench.refused()
        assert error.trouble is Trouble.RATE
        assert "two gateway look-ups a minute" in error.reason
        assert len(bench.http.calls) == 10

    asyncio.run(main())


def test_requests_that_never_left_do_not_count() -> None:
    async def main() -> None:
        bench = Bench(new=[NotSentError("down")], old=[NotSentError("down")])
        for _ in range(100):
            await bench.refused()
        bench.http.answers[NEW] = [said(200, FOUND)]
        assert (await bench.locate()).url == FOUND["url"]

    asyncio.run(main())


# --- a host that fails later ----------------------------------------------------------------------------------------


def test_a_host_that_failed_is_asked_again_and_taken_as_soon_as_it_answers() -> None:
    async def main() -> None:
        bench = Bench(new=[said(502, HTML), said(502, HTML), said(200, FOUND)])
        hosts = []
        for _ in range(4):
            await bench.locate(fresh_url=True)
            hosts.append(bench.hosts.current)
            bench.now += 60
        assert hosts == [OLD, OLD, NEW, NEW]

    asyncio.run(main())


def test_the_chosen_host_may_fail_again_and_again_and_sends_follow_each_time() -> None:
    async def main() -> None:
        down, fine = NotSentError("down"), said(200, FOUND)
        bench = Bench(new=[down, fine, down, fine])
        hosts = []
        for _ in range(4):
            await bench.locate(fresh_url=True)
            hosts.append(bench.hosts.current)
            bench.now += 60
        assert hosts == [OLD, NEW, OLD, NEW]

    asyncio.run(main())


def test_a_send_that_cannot_reach_the_chosen_host_makes_the_look_up_choose_again() -> None:
    """The session lives on, so no reconnect would ever ask."""

    async def main() -> None:
        bench = Bench(new=[said(502, HTML), said(200, FOUND)])
        await bench.locate()
        assert bench.hosts.current == OLD
        reviewing = asyncio.create_task(bench.locator.review())
        await asyncio.sleep(3600)
        assert len(bench.http.calls) == 2  # nobody doubts, nobody asks
        bench.http.answers[OLD] = [NotSentError("gone for good")]
        for _ in range(50):
            bench.locator.doubt()
            await asyncio.sleep(0.01)
        assert bench.hosts.current == NEW
        assert len(bench.http.calls) == 3
        bench.http.answers[NEW] = [NotSentError("gone as well")]
        for _ in range(600):
            bench.locator.doubt()
            await asyncio.sleep(1)
            bench.now += 1
        assert bench.hosts.current == NEW
        bench.http.answers[OLD] = [said(200, FOUND)]
        bench.locator.doubt()
        await asyncio.sleep(31)
        assert bench.hosts.current == OLD
        reviewing.cancel()
        await asyncio.wait([reviewing])

    clock.run(main())


def test_two_look_ups_at_once_share_the_allowance() -> None:
    class Slow(Script):
        async def request(self, *args: Any, **kwargs: Any) -> Answer:
            answer = await super().request(*args, **kwargs)
            await asyncio.sleep(0)
            return answer

    async def main() -> None:
        bench = Bench()
        bench.locator._http = Slow(bench.http.answers)
        slow = bench.locator._http
        await asyncio.gather(*(bench.locate(fresh_url=True) for _ in range(30)), return_exceptions=True)
        assert len(slow.calls) == 10

    asyncio.run(main())


# --- the token ------------------------------------------------------------------------------------------------------


def test_a_refused_token_is_replaced_even_where_the_address_is_kept() -> None:
    async def main() -> None:
        bench = Bench()
        assert (await bench.locate()).token == "token1"
        assert (await bench.locate(force_token=True)).token == "token2"
        assert (await bench.locate(force_token=True)).token == "token3"
        assert (await bench.locate()).token == "token3"
        assert len(bench.http.calls) == 1

    asyncio.run(main())


def test_a_token_that_the_first_look_up_refuses_is_replaced() -> None:
    async def main() -> None:
        bench = Bench(new=[said(401, {"code": 11244}), said(200, FOUND)])
        assert (await bench.refused()).trouble is Trouble.TOKEN
        assert (await bench.locate(force_token=True)).token == "token2"

    asyncio.run(main())


# --- clock skew -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "told"), [(0.0, 0.0), (1.9, 0.0), (-1.9, 0.0), (3600.0, 3600.0), (-90.0, -90.0)])
def test_how_far_our_clock_is_ahead_is_read_from_an_answer(ahead: float, told: float) -> None:
    async def main() -> None:
        bench = Bench()
        bench.http.answers[NEW] = [said(200, FOUND, WALL + bench.now - ahead)]
        await bench.locate()
        assert bench.locator.skew.seconds == pytest.approx(told, abs=1.0)
        assert (bench.locator.skew.seconds == 0.0) is (told == 0.0)

    asyncio.run(main())


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT", "Mon, 01 Jan 99999999 00:00:00"]
)
def test_a_date_that_is_none_changes_nothing(date: str | None) -> None:
    skew = Skew()
    skew.seconds = 5.0
    skew.seen(date, WALL)
    assert skew.seconds == 5.0


def test_a_clock_that_was_put_right_is_believed() -> None:
    skew = Skew()
    skew.seen(formatdate(WALL - 100, usegmt=True), WALL)
    assert skew.seconds == pytest.approx(100, abs=1)
    skew.seen(formatdate(WALL, usegmt=True), WALL)
    assert skew.seconds == 0.0


# --- against the simulated platform ---------------------------------------------------------------------------------


def test_on_real_sockets_a_dead_host_is_passed_over() -> None:
    async def main() -> None:
        async with Sim(control_port=None, start_at=WALL) as sim:
            http = Http(environ={})
            token = TokenSource(http, "102000001", "SIMSECRETSIMSECRET01", [sim.token_url], clock=lambda: 0.0)
            hosts = Hosts([f"http://127.0.0.1:{unused_port()}", sim.api_base])
            locator = Locator(http, token, hosts, monotonic=lambda: 0.0, wall=lambda: WALL + 500)
            where = await locator.locate(force_token=False, fresh_url=False)
            assert where.url.startswith("ws://127.0.0.1:")
            assert (where.remaining, where.reset_s) == (1000, 86400.0)
            assert hosts.current == sim.api_base
            assert locator.skew.seconds == pytest.approx(500, abs=2)
            await token.close()
            await http.close()

    asyncio.run(main())
