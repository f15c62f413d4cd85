"""Requests have the documented shape; every answer, the absurd ones too, has the outcome that it deserves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.letters import Cause, Failed, Sent
from buoy.protocol import rest

USER = "0A1B2C3D4E5F60718293A4B5C6D7E8F9"
GROUP = "11112222333344445555666677778888"
HTML = b"<html><body>502 Bad Gateway</body></html>"
TRACE = "8cbf0000000000000000000000000396"


def error(code: int, err_code: int | None = None, message: str = "human text") -> bytes:
    fields = {"message": message, "code": code, "err_code": code if err_code is None else err_code}
    return json.dumps(fields | {"trace_id": TRACE}).encode()


def answer(
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    passive: bool = True,
    repeat: bool = False,
) -> Any:
    return rest.parse_answer(status, headers or {}, body, passive=passive, repeat=repeat)


# --- requests


@pytest.mark.parametrize(
    ("scene", "ident", "arguments", "path", "body"),
    [
        (
            "c2c",
            USER,
            {"anchor": "msg_id:ROBOT1.0_c2cAAAA.0001!", "seq": 3},
            f"/v2/users/{USER}/messages",
            {"msg_type": 0, "content": "hi", "msg_id": "ROBOT1.0_c2cAAAA.0001!", "msg_seq": 3},
        ),
        (
            "group",
            GROUP,
            {"anchor": "event_id:GROUP_ADD_ROBOT:x", "seq": 1},
            f"/v2/groups/{GROUP}/messages",
            {"msg_type": 0, "content": "hi", "event_id": "GROUP_ADD_ROBOT:x", "msg_seq": 1},
        ),
        ("c2c", USER, {}, f"/v2/users/{USER}/messages", {"msg_type": 0, "content": "hi"}),
        (
            "group",
            GROUP,
            {"markdown": True, "reference": "REFIDX_G0001=="},
            f"/v2/groups/{GROUP}/messages",
            {
                "msg_type": 2,
                "markdown": {"content": "hi"},
                "message_reference": {"message_id": "REFIDX_G0001==", "ignore_get_message_error": True},
            },
        ),
        (
            "channel",
            "1661124",
            {"anchor": "msg_id:08f1ccac01", "seq": 2},
            "/channels/1661124/messages",
            {"content": "hi", "msg_id": "08f1ccac01"},
        ),
        (
            "dm",
            "47129941624960822",
            {"markdown": True},
            "/dms/47129941624960822/messages",
            {"markdown": {"content": "hi"}},
        ),
    ],
)
def test_a_text_as_a_request(
    scene: str, ident: str, arguments: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    request = rest.build_text(scene, ident, "hi", **arguments)
    assert (request.method, request.path, request.scene) == ("POST", path, scene)
    assert request.passive is ("anchor" in arguments)
    assert json.loads(request.body) == body


@pytest.mark.parametrize(
    ("ident", "path"),
    [
        ("a/b?c#d", "/v2/users/a%2Fb%3Fc%23d/messages"),
        ("ROBOT1.0_a!", "/v2/users/ROBOT1.0_a%21/messages"),
        ("\u4e2d", "/v2/users/%E4%B8%AD/messages"),
    ],
)
def test_ids_are_encoded_in_paths(ident: str, path: str) -> None:
    assert rest.build_text("c2c", ident, "hi").path == path


def test_an_anchor_written_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="not an anchor"):
        rest.build_text("c2c", USER, "hi", anchor="ROBOT1.0_x")


def test_half_a_surrogate_pair_in_a_text_is_replaced() -> None:
    assert json.loads(rest.build_text("c2c", USER, "a\ud83db").body)["content"] == "a?b"


@settings(deadline=None)
@given(st.sampled_from(["c2c", "group", "channel", "dm"]), st.text(min_size=1), st.text())
def test_every_text_to_every_id_is_a_request_that_says_it(scene: str, ident: str, text: str) -> None:
    request = rest.build_text(scene, ident, text)
    assert json.loads(request.body)["content"] == text
    assert request.path.isascii()
    assert request.path.count("/") == (4 if scene in {"c2c", "group"} else 3)


# --- answers: accepted


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"ROBOT1.0_o!","timestamp":"2026-09-20T10:00:02+08:00","ext_info":{"ref_idx":"REFIDX_BOT0008=="}}',
        b'{"id":"ROBOT1.0_o!","timestamp":1790000000}',
        b'{"id":"ROBOT1.0_o!","code":0,"err_code":0,"message":""}',
        b'{"id":"ROBOT1.0_o!","code":null,"trace_id":17}',
        b'{"id":"ROBOT1.0_o!","channel_id":"1","author":{"id":"2"},"content":"\\ud800"}',
    ],
)
def test_an_id_means_sent(body: bytes) -> None:
    assert answer(200, body) == Sent("ROBOT1.0_o!")


def test_a_numeric_id_counts() -> None:
    assert answer(200, b'{"id":17}') == Sent("17")


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("code", [304023, 304024])
def test_a_review_means_accepted(status: int, code: int) -> None:
    body = {"code": code, "message": "x", "data": {"message_audit": {"audit_id": "a1f0c2d4-0001"}}}
    outcome = answer(status, json.dumps(body).encode())
    assert isinstance(outcome, Sent)
    assert outcome.remote_id is None
    assert "a1f0c2d4-0001" in outcome.note


@pytest.mark.parametrize("data", [None, [], {"message_audit": 7}, {"message_audit": {"audit_id": []}}])
def test_a_review_without_its_id_is_one_too(data: Any) -> None:
    assert isinstance(answer(202, json.dumps({"code": 304023, "data": data}).encode()), Sent)


def test_accepted_for_later_without_a_code() -> None:
    assert isinstance(answer(202, b"{}"), Sent)


# --- answers: duplicates


def test_the_duplicate_refusal_of_a_repeat_proves_delivery() -> None:
    assert answer(400, error(40054005), repeat=True) == Sent(None, "proved by duplicate refusal")
    assert answer(200, error(40054005), repeat=True, passive=False) == Sent(None, "proved by duplicate refusal")


def test_the_duplicate_refusal_of_a_first_attempt_is_definite_and_asks_for_another_anchor() -> None:
    outcome = answer(400, error(40054005))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.ANCHOR
    assert not outcome.unsure


# --- answers: refused


@pytest.mark.parametrize(
    ("status", "body", "passive", "cause"),
    [
        (400, error(40034128), True, Cause.ANCHOR),
        (400, error(40034024), True, Cause.ANCHOR),
        (500, error(22009), True, Cause.ANCHOR),
        (500, error(22009), False, Cause.RATE),
        (400, error(40034105), False, Cause.PROACTIVE),
        (400, error(40034102), False, Cause.PROACTIVE),
        (400, error(40054013), False, Cause.PROACTIVE),
        (400, error(40034100), False, Cause.RATE),
        (400, error(11255, 40011028), True, Cause.TARGET),
        (401, error(11244, 40011027), True, Cause.TOKEN),
        (500, b'{"code":11244,"message":"token not exist or expire"}', True, Cause.TOKEN),
        (401, HTML, True, Cause.TOKEN),
        (401, error(11298, 40023002), True, Cause.OPERATOR),
        (400, error(11265), True, Cause.OPERATOR),
        (400, error(40034127), True, Cause.CONTENT),
        (400, error(304036), True, Cause.CONTENT),
        (400, error(40054010), True, Cause.CONTENT),
        (400, error(40054007), True, Cause.CONTENT),
        (400, error(40034006), True, Cause.CONTENT),
        (413, HTML, True, Cause.CONTENT),
        (400, error(22006), True, Cause.CONTENT),
        (400, error(50059), True, Cause.BUG),
        (400, error(987654321), True, Cause.BUG),
        (404, HTML, True, Cause.BUG),
        (403, HTML, True, Cause.OPERATOR),
        (429, b"", True, Cause.RATE),
        (429, HTML, True, Cause.RATE),
        (500, error(50055001), True, Cause.LOST),
        (500, error(50055001), False, Cause.LOST),
        (503, error(11242), False, Cause.LOST),
        (400, error(50055001), False, Cause.TRANSIENT),
        (400, error(304018), True, Cause.TRANSIENT),
        (400, error(11242), True, Cause.TRANSIENT),
        (500, error(987654321), True, Cause.LOST),
        (500, b"", True, Cause.LOST),
        (502, HTML, True, Cause.LOST),
        (504, b"[]", True, Cause.LOST),
        (408, b"", True, Cause.LOST),
        (302, HTML, True, Cause.LOST),
        (200, HTML, True, Cause.LOST),
        (200, b"", True, Cause.LOST),
        (200, b"{}", True, Cause.LOST),
        (200, b'{"id":""}', True, Cause.LOST),
        (200, b'{"id":{"a":1}}', True, Cause.LOST),
        (204, b"", True, Cause.LOST),
        (202, HTML, True, Cause.LOST),
        (200, b"[" * 10_000, True, Cause.LOST),
        (200, b'{"err_code":40034024,"message":"x"}', True, Cause.ANCHOR),
        (200, b'{"err_code":"40034024","message":"x"}', True, Cause.ANCHOR),
        (200, b'{"id":"ROBOT1.0_o!","err_code":40034024}', True, Cause.ANCHOR),
        (200, error(987654321), True, Cause.BUG),
    ],
)
def test_refusals_and_riddles(status: int, body: bytes, passive: bool, cause: Cause) -> None:  # noqa: FBT001
    outcome = answer(status, body, passive=passive)
    assert isinstance(outcome, Failed), outcome
    assert outcome.cause is cause
    assert outcome.status == status
    assert outcome.unsure is (cause is Cause.LOST)
    assert f"HTTP {status}" in outcome.reason
    assert "\n" not in outcome.reason


def test_a_failure_names_code_trace_and_remedy_and_not_the_platforms_words() -> None:
    outcome = answer(401, error(11298, 40023002, message="secret words"))
    assert (outcome.code, outcome.trace_id) == (11298, TRACE)
    assert "11298" in outcome.reason
    assert "; add the address" in outcome.reason
    assert "secret words" not in outcome.reason


def test_what_an_answer_says_of_itself_can_be_stored() -> None:
    """Found by the fuzzer: neither half a surrogate pair nor a number of more than 64 bits goes into a row."""
    assert answer(502, HTML, {"X-Tps-trace-ID": "a\udcffb"}).trace_id == "a?b"
    for huge in (1 << 64, -(1 << 64), 10**30):
        assert answer(400, b'{"code":%d,"err_code":%d}' % (huge, huge)).code == 0
        assert answer(400, b'{"code":%d,"err_code":11298}' % huge).code == 11298


def test_the_trace_header_counts_before_the_body() -> None:
    assert answer(400, error(11255), {"X-Tps-trace-ID": "abc"}).trace_id == "abc"
    assert answer(502, HTML, {"x-tps-trace-id": "abc"}).trace_id == "abc"


def test_what_the_platform_left_open_is_said() -> None:
    assert "without a message id" in answer(200, b"{}").reason
    assert "cannot be read" in answer(200, HTML).reason


def test_odd_types_in_an_answer_do_not_hide_its_codes() -> None:
    assert answer(400, b'{"code":"40034024","err_code":{},"trace_id":"abc"}').code == 40034024
    body = {"code": "304023", "data": {"message_audit": {"audit_id": "a1"}}}
    assert "a1" in answer(202, json.dumps(body).encode()).note


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "999999999"}, 86400.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\u0663"}, None),
        ({"Retry-After": "."}, None),
        ({"Retry-After": "Sun, 20 Sep 2026 10:00:30 GMT", "Date": "Sun, 20 Sep 2026 10:00:00 GMT"}, 30.0),
        ({"Retry-After": "Sun, 20 Sep 2026 09:00:30 GMT", "Date": "Sun, 20 Sep 2026 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sun, 20 Sep 2026 10:00:30 GMT"}, None),
        ({"Retry-After": "Sun, 20 Sep 2026 10:00:30 -0000", "Date": "Sun, 20 Sep 2026 10:00:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert answer(429, b"", headers).retry_after_s == seconds


def test_retry_after_says_nothing_about_a_definite_refusal() -> None:
    assert answer(400, error(11255), {"Retry-After": "7"}).retry_after_s is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ENDPOINT_FIELDS = [
    *("id", "code", "err_code", "data", "trace_id"),
    *("url", "shards", "session_start_limit"),
    *("access_token", "expires_in"),
]
BODIES = st.binary() | st.builds(
    lambda value: json.dumps(value).encode(),
    JSON
    | st.dictionaries(
        st.sampled_from(ENDPOINT_FIELDS),
        JSON,
    ),
)


@settings(deadline=None)
@given(
    st.integers(0, 700),
    st.dictionaries(st.sampled_from(["Retry-After", "Date"]), st.text()),
    BODIES,
    st.data(),
)
def test_every_answer_has_an_outcome(status: int, headers: dict[str, str], body: bytes, data: Any) -> None:
    passive, repeat = data.draw(st.booleans()), data.draw(st.booleans())
    outcome = rest.parse_answer(status, headers, body, passive=passive, repeat=repeat)
    assert isinstance(outcome, Sent | Failed)
    assert isinstance(rest.parse_token(status, body), rest.Token | rest.TokenRefused)
    assert isinstance(rest.parse_gateway(status, body, headers), rest.Gateway | rest.GatewayRefused)


# --- token


def test_the_token_call() -> None:
    body = rest.build_token("102000001", "SIMSECRETSIMSECRET01")
    assert json.loads(body) == {"appId": "102000001", "clientSecret": "SIMSECRETSIMSECRET01"}


@pytest.mark.parametrize(
    ("expires", "life"),
    [
        ("7200", 7200.0),
        (7200, 7200.0),
        ("1222", 1222.0),
        (59.5, 59.5),
        (-3, 0.0),
        (None, 300.0),
        ("soon", 300.0),
        ([], 300.0),
        (True, 300.0),
    ],
)
def test_a_token(expires: Any, life: float) -> None:
    body = json.dumps({"access_token": "T0KEN", "expires_in": expires}).encode()
    assert rest.parse_token(200, body) == rest.Token("T0KEN", life)


def test_a_token_is_not_shown() -> None:
    assert "T0KEN" not in repr(rest.Token("T0KEN", 7200.0))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"code":100016,"message":"invalid appid or secret"}', "secret"),
        (400, b'{"code":"100016"}', "secret"),
        (200, b'{"err_code":100016}', "secret"),
        (200, b'{"code":100007}', "bot"),
        (200, b'{"code":10004}', "bot"),
        (200, b'{"code":100001}', "rate"),
        (200, b'{"code":100017,"err_code":40023001}', "rate"),
        (429, b"{}", "rate"),
        (429, HTML, "rate"),
        (200, b'{"code":987}', "down"),
        (200, b"{}", "down"),
        (200, b'{"access_token":""}', "down"),
        (200, b'{"access_token":17}', "down"),
        (502, HTML, "down"),
        (500, b'{"access_token":"T0KEN"}', "down"),
    ],
)
def test_no_token(status: int, body: bytes, kind: str) -> None:
    refused = rest.parse_token(status, body)
    assert isinstance(refused, rest.TokenRefused)
    assert refused.kind == kind
    assert refused.reason
    assert bool(refused.remedy) is (kind in {"secret", "bot"})


# --- gateway look-up


def test_the_gateway_with_its_budget() -> None:
    body = {
        "url": "wss://api.bot.qq.com/websocket/",
        "shards": 2,
        "session_start_limit": {
            "total": 1000,
            "remaining": 998,
            "reset_after": 86400000,
            "max_concurrency": 1,
        },
    }
    gateway = rest.parse_gateway(200, json.dumps(body).encode())
    assert gateway == rest.Gateway("wss://api.bot.qq.com/websocket/", 2, 1000, 998, 86400.0, 1)


def test_a_spent_budget_is_none_left_and_not_unknown() -> None:
    body = {"url": "wss://x/", "session_start_limit": {"remaining": 0, "reset_after": "60000"}}
    gateway = rest.parse_gateway(200, json.dumps(body).encode())
    assert isinstance(gateway, rest.Gateway)
    assert (gateway.remaining, gateway.reset_s) == (0, 60.0)


@pytest.mark.parametrize("limit", ["absent", None, [], {"remaining": None, "max_concurrency": 0}])
def test_the_gateway_without_its_budget(limit: Any) -> None:
    body = {"url": "wss://x/"} | ({} if limit == "absent" else {"session_start_limit": limit, "shards": "x"})
    assert rest.parse_gateway(200, json.dumps(body).encode()) == rest.Gateway("wss://x/")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error(11298, 40023002), "blocked"),
        (400, error(11265), "blocked"),
        (400, b'{"code":11265}', "blocked"),
        (400, b'{"err_code":"11265"}', "blocked"),
        (401, error(11251), "blocked"),
        (401, error(11244, 40011027), "token"),
        (401, HTML, "token"),
        (429, b"", "rate"),
        (200, error(100017, 40023001), "rate"),
        (502, HTML, "down"),
        (403, HTML, "down"),
        (404, HTML, "down"),
        (200, b"{}", "down"),
        (200, b'{"url":"https://x/"}', "down"),
        (200, b'{"url":17}', "down"),
    ],
)
def test_no_gateway(status: int, body: bytes, kind: str) -> None:
    refused = rest.parse_gateway(status, body, {"Retry-After": "9"})
    assert isinstance(refused, rest.GatewayRefused)
    assert refused.kind == kind
    assert refused.status == status
    assert f"HTTP {status}" in refused.reason
    assert refused.retry_after_s == (9.0 if kind == "rate" else None)
    if kind == "blocked":
        assert refused.remedy


def test_the_allowlist_refusal_says_what_to_do() -> None:
    refused = rest.parse_gateway(401, error(11298, 40023002))
    assert isinstance(refused, rest.GatewayRefused)
    assert "allowlist" in refused.remedy
