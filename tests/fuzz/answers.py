"""Target: one answer of QQ's REST API, for each of the calls that it may answer, through everything that reads it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from buoy.letters import Failed, Letter, LetterState, Outcome, Sent
from buoy.platforms.qq import compose
from buoy.platforms.qq.delivery import Delivery
from buoy.platforms.qq.locate import Hosts, LocateError, Locator
from buoy.protocol import limits, rest, signals, wire
from buoy.transport.http import Answer, Http
from buoy.transport.token import TokenError, TokenSource
from tests.fuzz import seeds
from tests.fuzz.frames import storable
from tests.fuzz.hunting import Target
from tests.fuzz.mutate import NUMBERS, TEXTS, bend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fuzz.choices import Choices

STATUSES = [
    200,
    201,
    202,
    204,
    299,
    100,
    101,
    301,
    304,
    400,
    401,
    403,
    404,
    405,
    408,
    413,
    418,
    429,
    499,
    500,
    502,
    503,
]
STATUSES += [504, 520, 599, 999]
NAMES = ["Retry-After", "retry-after", "Date", "X-Tps-trace-ID", "x-tps-trace-id", "Content-Type", "X-RateLimit-Reset"]
VALUES = [
    *("0", "1", "30", "1.5", ".", "-1", "1e3", "9" * 400, "٣", "²", "", "Infinity", "nan", "0x1", " 5 "),
    *(
        "Sun, 01 Nov 2026 02:01:00 GMT",
        "Sun, 01 Nov 2026 02:01:00 +9999",
        "1 Jan 0001 00:00:00 +2359",
        "Wed, ",
        "a b c",
    ),
    *(
        "31 Dec 9999 23:59:59 -2359",
        "1 Jan 99999999999999999999 1:1:1 GMT",
        "Sun, 01 Nov 2026 25:61:61",
        "\udcff",
        "\ud83d",
    ),
    *("application/json", "text/html", "x" * 300, "\x7f\x01"),
]
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xef\xbb\xbf{}",
    seeds.PAGE.encode(),
    b"ok",
    b'{"id":"m1"}',
    b'"',
    b"\x1f\x8b\x08\x00",
]
CODES = [
    str(code).encode() for code in (304023, 304024, 40054005, 22009, 11298, 40034105, 50001, 100016, 100017, 10004)
]


def pack(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """An answer as an input: a line for the status, one for each header, an empty one, the body."""
    lines = [str(status), *(f"{name}:{value}" for name, value in headers), "", ""]
    return "\n".join(lines).encode("utf-8", "surrogatepass") + body


def unpack(data: bytes) -> Answer:
    """The answer as the HTTP client gives it. Bytes of a header that are no UTF-8 are half surrogate pairs there."""
    head, _, body = data.partition(b"\n\n")
    status, *lines = head.split(b"\n")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        headers.add(name or "x", value)
    return Answer(int(status), headers, body)


def grow(choices: Choices) -> bytes:
    """A relative of an answer that the simulated platform gave."""
    status, told, body = choices.pick(seeds.answers())
    headers = list(told.items())
    if choices.below(2):
        status = choices.pick(STATUSES)
    headers += [(choices.pick(NAMES), choices.pick(VALUES)) for _ in range(choices.below(4))]
    objects = [body for _, _, body in seeds.answers() if body.startswith(b"{")]
    if choices.below(4) == 3:
        body = choices.pick(BODIES)
    elif choices.below(4) == 3:
        fields = choices.pick(["id", "code", "err_code", "url", "expires_in", "access_token", "trace_id", "data"])
        values = [*CODES, *NUMBERS, *(b'"' + text + b'"' for text in TEXTS)]
        body = b'{"%s":%s,"id":"m1"}' % (fields.encode(), choices.pick(values))
    else:
        body = bend(choices.pick(objects), objects, choices)
    return pack(status, headers, body)


class Scripted(Http):
    """Gives one answer to everything."""

    def __init__(self, answer: Answer, token: Answer | None = None) -> None:
        super().__init__(environ={})
        self.answers = {True: token or answer, False: answer}

    async def request(self, method: str, url: Any, **_: Any) -> Answer:
        return self.answers[str(url).endswith(wire.TOKEN_PATH)]


GOOD_TOKEN = Answer(200, CIMultiDict(), b'{"access_token":"t","expires_in":"7200"}')
LETTER = Letter(
    1, "k", "b", "qq:c2c:u", compose.encode(compose.Body("hi")), LetterState.CLAIMED, 0.0, anchor="msg_id:m", seq=1
)


@dataclass(frozen=True)
class Reader:
    """What reads an answer. A planted bug stands in the place of one of these."""

    answer: Callable[..., Outcome] = rest.parse_answer
    gateway: Callable[[int, bytes, Mapping[str, str]], Any] = rest.parse_gateway
    token: Callable[[int, bytes], Any] = rest.parse_token

    def check(self, data: bytes) -> None:
        """Read it as the answer to each call."""
        answer = unpack(data)
        acknowledged = signals.parse_ack(answer.status, answer.headers, answer.body)
        assert acknowledged is None or (acknowledged.reason and storable(acknowledged.reason))
        for passive in (True, False):
            for repeat in (True, False):
                told = self.answer(answer.status, answer.headers, answer.body, passive=passive, repeat=repeat)
                _check_outcome(told, answer, repeat=repeat)
        where = self.gateway(answer.status, answer.body, answer.headers)
        if isinstance(where, rest.Gateway):
            assert 200 <= answer.status < 300
            assert where.url.startswith(("ws://", "wss://"))
            assert where.shards >= 1
            assert where.reset_s is None or 0 <= where.reset_s < math.inf
            assert storable(where.url)
        else:
            assert isinstance(where, rest.GatewayRefused)
            assert storable(where.reason + where.remedy)
            _check_wait(where.retry_after_s)
        token = self.token(answer.status, answer.body)
        if isinstance(token, rest.Token):
            assert 0 <= token.expires_in_s < math.inf
        else:
            assert isinstance(token, rest.TokenRefused)
            assert storable(token.reason)
        asyncio.run(_use(answer))


async def _use(answer: Answer) -> None:
    """The callers: each has an end of its own for whatever comes."""
    http, hosts = Scripted(answer), Hosts(["https://qq.test"])
    source = TokenSource(http, "b", "secret", ["https://qq.test" + wire.TOKEN_PATH], clock=lambda: 1000.0)
    try:
        token, wait_s = await source.get(), 0.0
    except TokenError as error:
        token, wait_s = "", error.retry_after_s
    assert token.isascii()
    assert token.isprintable() or not token
    assert 0 <= wait_s < math.inf
    good = TokenSource(Scripted(GOOD_TOKEN), "b", "secret", ["https://qq.test"], clock=lambda: 1000.0)
    locator = Locator(Scripted(answer), good, hosts, monotonic=lambda: 1000.0, wall=lambda: seeds.NOW)
    try:
        reset_s, reason = (await locator.locate(force_token=False, fresh_url=False)).reset_s, ""
    except LocateError as error:
        reset_s, reason = None, error.reason
    assert reset_s is None or math.isfinite(reset_s)
    assert storable(reason)
    assert math.isfinite(locator.skew.seconds)
    assert isinstance(await Delivery(http, good, hosts).deliver(LETTER), Sent | Failed)
    await good.close()
    await source.close()


def _check_wait(seconds: float | None) -> None:
    assert seconds is None or 0 <= seconds <= limits.DAY_S


def _check_outcome(told: Outcome, answer: Answer, *, repeat: bool) -> None:
    """An outcome that can be stored, and a delivery only where QQ says so."""
    if isinstance(told, Sent):
        assert 200 <= answer.status < 300 or repeat or told.note
        assert storable(told.remote_id)
        assert storable(told.note)
        return
    assert isinstance(told, Failed)
    assert told.reason
    assert storable(told.reason)
    assert storable(told.trace_id), "the trace id goes into the row of the letter"
    assert -1 << 63 <= told.code < 1 << 63, "SQLite holds 64 bits"
    _check_wait(told.retry_after_s)


# --- bugs that must be found -----------------------------------------------------------------------------------------


def _two_hundred_is_sent(status: int, headers: Mapping[str, str], body: bytes, **known: bool) -> Outcome:
    """A 2xx is a success and has an id."""
    if 200 <= status < 300:
        return Sent(wire.read(body)["id"])
    return rest.parse_answer(status, headers, body, passive=known["passive"], repeat=known["repeat"])


def _whole_seconds(status: int, headers: Mapping[str, str], body: bytes, **known: bool) -> Outcome:
    """Retry-After is a whole number."""
    if status == 429 and headers.get("Retry-After"):
        int(headers["Retry-After"])
    return rest.parse_answer(status, headers, body, passive=known["passive"], repeat=known["repeat"])


def _trace_as_it_came(status: int, headers: Mapping[str, str], body: bytes, **known: bool) -> Outcome:
    """The trace header as the HTTP client decoded it: found by this target, in a real run."""
    told = rest.parse_answer(status, headers, body, passive=known["passive"], repeat=known["repeat"])
    if isinstance(told, Failed) and (trace := headers.get("X-Tps-trace-ID")):
        return Failed(told.cause, told.reason, told.code, told.status, told.retry_after_s, trace)
    return told


def _limit_is_there(status: int, body: bytes, headers: Mapping[str, str]) -> Any:
    """The look-up always tells the budget."""
    told = rest.parse_gateway(status, body, headers)
    if isinstance(told, rest.Gateway):
        wire.read(body)["session_start_limit"]["remaining"] + 1
    return told


def _life_is_a_number(status: int, body: bytes) -> Any:
    """A token's life is digits."""
    told = rest.parse_token(status, body)
    if isinstance(told, rest.Token):
        int(wire.read(body)["expires_in"])
    return told


PLANTED = {
    "2xx is sent": Reader(answer=_two_hundred_is_sent),
    "whole seconds": Reader(answer=_whole_seconds),
    "the trace id as it came": Reader(answer=_trace_as_it_came),
    "the budget is told": Reader(gateway=_limit_is_there),
    "a life is digits": Reader(token=_life_is_a_number),
}
TARGET = Target("answers", grow, Reader().check, {name: bug.check for name, bug in PLANTED.items()}, examples=1500)
