"""QQ's REST calls as data: requests built, answers read. Nothing here opens a connection or knows the token.

Source: protocol.md 2 (token), 3 (conventions), 5 (gateway look-up), 10 (sending), read
2026-11. Every ``parse_*`` is total: HTML, empty or absurd bodies have an outcome too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from buoy.letters import Cause, Failed, Outcome, Sent
from buoy.protocol import codes, limits, wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

TEXT, MARKDOWN = 0, 2  # msg_type (10.1)
TRACE_HEADER: Final = "x-tps-trace-id"  # 3.2
MSG_ID, EVENT_ID = "msg_id:", "event_id:"  # how an anchor is written in a row


class Request(NamedTuple):
    """One call, without host and token. ``path`` is percent-encoded already.

    ``passive`` says that it carries an anchor; ``scene`` is empty outside sends.
    """

    method: str
    path: str
    body: bytes
    passive: bool = False
    scene: str = ""


# --- sending (10.1, 10.3) -----------------------------------------------------------------------------------


class _Markdown(msgspec.Struct, gc=False):
    content: str


class _Reference(msgspec.Struct, gc=False):
    message_id: str
    ignore_get_message_error: bool = True  # a quote that QQ cannot find must not cost the message


class _Guild(msgspec.Struct, omit_defaults=True, gc=False):
    content: str | None = None
    markdown: _Markdown | None = None
    msg_id: str | None = None
    event_id: str | None = None
    message_reference: _Reference | None = None


class _V2(msgspec.Struct, omit_defaults=True, gc=False):
    msg_type: int
    content: str | None = None
    markdown: _Markdown | None = None
    msg_id: str | None = None
    event_id: str | None = None
    msg_seq: int | None = None
    message_reference: _Reference | None = None


_PATHS: Final = {
    "c2c": ("/v2/users/", "/messages"),
    "group": ("/v2/groups/", "/messages"),
    "channel": ("/channels/", "/messages"),
    "dm": ("/dms/", "/messages"),
}
_encode = msgspec.json.Encoder().encode


def build_text(
    scene: str,
    id: str,  # noqa: A002  the platform's word
    text: str,
    *,
    anchor: str | None = None,
    seq: int | None = None,
    markdown: bool = False,
    reference: str | None = None,
) -> Request:
    """Build the request that sends one text.

    ``anchor`` is written ``msg_id:<id>`` or ``event_id:<payload id>``, None for a proactive message. ``seq``
    is the number of the reply on that anchor; guild scenes have none. ``reference`` is the id to quote:
    ``REFIDX_...`` in c2c and group, a message id in guilds. Half surrogate pairs in the text become "?".

    Raises:
        KeyError: no such scene.
        ValueError: an anchor written otherwise.
    """
    head, tail = _PATHS[scene]
    path = head + (id if id.isascii() and id.isalnum() else quote(id, safe="")) + tail
    msg_id = event_id = None
    if anchor is not None:
        if anchor.startswith(MSG_ID):
            msg_id = anchor[7:]
        elif anchor.startswith(EVENT_ID):
            event_id = anchor[9:]
        else:
            raise ValueError(f"not an anchor: {anchor[:40]!r}")
    try:
        body = _body(scene, text, msg_id, event_id, seq, reference, markdown=markdown)
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
        body = _body(scene, text, msg_id, event_id, seq, reference, markdown=markdown)
    return Request("POST", path, body, anchor is not None, scene)


def _body(
    scene: str,
    text: str,
    msg_id: str | None,
    event_id: str | None,
    seq: int | None,
    reference: str | None,
    *,
    markdown: bool,
) -> bytes:
    content, marked = (None, _Markdown(text)) if markdown else (text, None)
    quoted = _Reference(reference) if reference else None
    if scene in {"c2c", "group"}:
        kind = MARKDOWN if markdown else TEXT
        return _encode(_V2(kind, content, marked, msg_id, event_id, seq, quoted))
    return _encode(_Guild(content, marked, msg_id, event_id, quoted))


# --- answers ------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct, gc=False):
    """The fields of any answer that decide; a body with surprising types goes the slow way."""

    id: str | None = None
    code: int = 0
    err_code: int = 0
    trace_id: str | None = None
    message: Any = None
    data: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)


def _read(body: bytes) -> _Answer | None:
    """Read a body; None when it is no JSON object."""
    try:
        return _ANSWER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        loose = _loose(body)
    if loose is None:
        return None
    return _Answer(
        wire.text_of(loose.get("id")) or None,
        wire.integer(loose.get("code")) or 0,
        wire.integer(loose.get("err_code")) or 0,
        wire.text_of(loose.get("trace_id")),
        None,
        loose.get("data"),
    )


def _loose(body: bytes) -> dict[str, Any] | None:
    value = wire.read(body)
    return value if isinstance(value, dict) else None


_CAUSES: Final = {
    codes.Action.TOKEN: Cause.TOKEN,
    codes.Action.RATE: Cause.RATE,
    codes.Action.RETRY: Cause.TRANSIENT,
    codes.Action.ONCE: Cause.TRANSIENT,
    codes.Action.REPLY_DEAD: Cause.ANCHOR,
    codes.Action.DUP: Cause.ANCHOR,
    codes.Action.CONTENT: Cause.CONTENT,
    codes.Action.PERM: Cause.OPERATOR,
    codes.Action.TARGET: Cause.TARGET,
    codes.Action.BUG: Cause.BUG,
    codes.Action.PROACTIVE: Cause.PROACTIVE,
}


def parse_answer(status: int, headers: Mapping[str, str], body: bytes, *, passive: bool, repeat: bool) -> Outcome:
    """Decide what became of a send. Total.

    ``repeat`` says that an earlier attempt with the same anchor and number may have arrived. Then a duplicate
    refusal proves that it did (10.4). On a first attempt it says that the number was taken by something this
    store does not know (it was restored from a backup): the outcome is a definite ``ANCHOR``, so that the
    letter is not taken for delivered and goes out with another anchor.

    A 2xx without an id, an unreadable 2xx, a 408 whose code nobody knows, and a 5xx that is no refusal (its code is
    unknown or says "try later") are ``LOST``: the platform may have accepted it. A refusal that a change of the
    content can heal is ``CONTENT`` whatever its family; :func:`buoy.protocol.codes.fix` names the change.
    """
    answer = _read(body)
    numbers = (answer.code, answer.err_code) if answer else ()
    if 200 <= status < 300 and not any(numbers):
        if answer and answer.id and status == 200:
            return Sent(answer.id)
        if status not in {201, 202} or answer is None:
            reason = "QQ answered without a message id" if answer else "QQ's answer cannot be read"
            return Failed(Cause.LOST, f"{reason} (HTTP {status})", 0, status, None, _trace(headers, answer))
    verdict = codes.classify(status, numbers, passive=passive)
    if verdict.action is codes.Action.AUDIT:
        return Sent(None, f"{verdict.reason}{_audit(answer)}")
    if verdict.action is codes.Action.DUP and repeat:
        return Sent(None, "proved by duplicate refusal")
    cause = _CAUSES[verdict.action]
    if verdict.fix:
        cause = Cause.CONTENT
    elif cause is Cause.TRANSIENT and (not verdict.known or status >= 500):
        cause = Cause.LOST
    wait = _retry_after(headers) if verdict.action in {codes.Action.RATE, codes.Action.RETRY} else None
    return Failed(cause, explain(verdict, status), verdict.code, status, wait, _trace(headers, answer))


def explain(verdict: codes.Verdict, status: int) -> str:
    """Say in one line what went wrong, with which numbers, then what a person can do."""
    number = f"code {verdict.code}, " if verdict.code else ""
    remedy = f"; {verdict.remedy}" if verdict.remedy else ""
    return f"{verdict.reason} ({number}HTTP {status}){remedy}"


def _audit(answer: _Answer | None) -> str:
    data = answer.data if answer and isinstance(answer.data, dict) else {}
    audit = data.get("message_audit")
    ident = wire.text_of(audit.get("audit_id")) if isinstance(audit, dict) else ""
    return f" (audit {ident[:80]})" if ident else ""


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _trace(headers: Mapping[str, str], answer: _Answer | None) -> str:
    """The trace id, fit to be stored: an HTTP client leaves half surrogate pairs where a header is no UTF-8."""
    told = (_header(headers, TRACE_HEADER) or (answer and answer.trace_id) or "")[:128]
    return told.encode("utf-8", "replace").decode()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, within a day. An HTTP date counts from the answer's own ``Date``, not our clock."""
    told = _header(headers, "retry-after").strip()
    try:
        if told.isascii() and told.replace(".", "", 1).isdigit():
            return min(float(told), float(limits.DAY_S))
        span = (_date(told) - _date(_header(headers, "date"))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(span, 0.0), float(limits.DAY_S))


def _date(text: str) -> datetime:
    return parsedate_to_datetime(text)


# --- token (2) ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Token:
    """A token and how long it still lives."""

    access_token: str = field(repr=False)
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """No token. ``secret`` and ``bot`` need a person; ``rate`` and ``down`` pass by themselves."""

    kind: Literal["rate", "secret", "bot", "down"]
    code: int
    reason: str
    remedy: str = ""


_ASSUMED_LIFE_S: Final = 300.0  # ours: a token whose life cannot be read
_TOKEN_CODES: Final[dict[int, TokenRefused]] = {  # 2.2
    100001: TokenRefused("rate", 100001, "QQ limits token requests"),
    100017: TokenRefused("rate", 100017, "QQ limits token requests"),
    100016: TokenRefused(
        "secret",
        100016,
        "app id and secret do not belong together",
        "compare QQ_APP_ID and QQ_CLIENT_SECRET with those shown in the console at q.qq.com",
    ),
    100007: TokenRefused(
        "bot",
        100007,
        "QQ does not know this app id, or the bot was banned or deleted",
        "compare QQ_APP_ID with the console at q.qq.com, and look for a notice there",
    ),
    10004: TokenRefused(
        "bot",
        10004,
        "the bot does not exist",
        "compare QQ_APP_ID with the console at q.qq.com",
    ),
}


def build_token(app_id: str, secret: str) -> bytes:
    """Build the body of the token call (2.1). Both are strings, whatever they look like."""
    return _encode({"appId": app_id, "clientSecret": secret})


def parse_token(status: int, body: bytes) -> Token | TokenRefused:
    """Read the answer of the token call; failures come with HTTP 200 as well (2.2). Total."""
    answer = _loose(body) or {}
    token = answer.get("access_token")
    if 200 <= status < 300 and isinstance(token, str) and token:
        life = wire.number_of(answer.get("expires_in"))
        return Token(token, _ASSUMED_LIFE_S if life is None else max(life, 0.0))
    numbers = [number for key in ("code", "err_code") if (number := wire.integer(answer.get(key)))]
    for number in numbers:
        if number in _TOKEN_CODES:
            return _TOKEN_CODES[number]
    code = next(iter(numbers), 0)
    if status == codes.HTTP_TOO_MANY:
        return TokenRefused("rate", code, f"QQ limits token requests (HTTP {status})")
    named = f"code {code}, " if code else ""
    return TokenRefused("down", code, f"the token endpoint gave no token ({named}HTTP {status})")


# --- gateway look-up (5) ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where to connect; ``remaining`` identifies of ``total`` until ``reset_s`` from now (None: not told)."""

    url: str
    shards: int = 1
    total: int = limits.IDENTIFIES_A_DAY
    remaining: int | None = None
    reset_s: float | None = None
    max_concurrency: int = 1


@dataclass(frozen=True, slots=True)
class GatewayRefused:
    """No address. ``token``: refresh it; ``blocked``: a person must act; ``rate`` and ``down`` pass."""

    kind: Literal["rate", "token", "blocked", "down"]
    code: int
    status: int
    reason: str
    remedy: str = ""
    retry_after_s: float | None = None


def parse_gateway(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Gateway | GatewayRefused:
    """Read the answer of ``GET /gateway/bot`` or ``GET /gateway``. Total."""
    answer = _loose(body) or {}
    url = answer.get("url")
    numbers = [wire.integer(answer.get(key)) or 0 for key in ("code", "err_code")]
    if 200 <= status < 300 and not any(numbers):
        if not (isinstance(url, str) and url.startswith(("ws://", "wss://"))):
            return GatewayRefused("down", 0, status, f"the gateway look-up gave no address (HTTP {status})")
        limit = answer.get("session_start_limit")
        limit = limit if isinstance(limit, dict) else {}
        reset_ms = wire.number_of(limit.get("reset_after"))
        return Gateway(
            url,
            max(wire.integer(answer.get("shards")) or 1, 1),
            wire.integer(limit.get("total")) or limits.IDENTIFIES_A_DAY,
            wire.integer(limit.get("remaining")),
            None if reset_ms is None else max(reset_ms / 1000, 0.0),
            max(wire.integer(limit.get("max_concurrency")) or 1, 1),
        )
    verdict = codes.classify(status, numbers, passive=False)
    kind: Literal["rate", "token", "blocked", "down"] = "down"
    if verdict.action is codes.Action.RATE:
        kind = "rate"
    elif verdict.action is codes.Action.TOKEN:
        kind = "token"
    elif verdict.action is codes.Action.PERM and verdict.known:
        kind = "blocked"
    wait = _retry_after(headers or {}) if kind == "rate" else None
    reason = f"the gateway look-up failed: {explain(verdict._replace(remedy=''), status)}"
    return GatewayRefused(kind, verdict.code, status, reason, verdict.remedy, wait)
