"""The acknowledgement of a click and the typing notice: documented shapes, and what each answer means."""

from __future__ import annotations

import json

import pytest

from buoy.letters import Cause, Failed
from buoy.protocol import rest, signals

CLICK = "5b8f2c1e-0000-4000-8000-00000000abcd"


def error(code: int, err_code: int | None = None) -> bytes:
    return json.dumps({"message": "x", "code": code, "err_code": code if err_code is None else err_code}).encode()


def test_an_acknowledgement_of_a_click() -> None:
    path = f"/interactions/{CLICK}"
    assert signals.build_ack(CLICK) == rest.Request("PUT", path, b'{"code":0}')
    assert signals.build_ack(CLICK, 3) == rest.Request("PUT", path, b'{"code":3}')


def test_an_id_cannot_lead_elsewhere() -> None:
    assert signals.build_ack("../v2/users?x").path == "/interactions/..%2Fv2%2Fusers%3Fx"


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"{}"), (204, b""), (200, b""), (200, b'{"code":0}'), (202, b"{}"), (200, b"<html>")]
)
def test_any_2xx_without_a_code_is_an_acceptance(status: int, body: bytes) -> None:
    assert signals.parse_ack(status, {}, body) is None


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (400, error(630001), Cause.BUG),
        (400, error(630002), Cause.BUG),
        (400, error(630003), Cause.BUG),
        (400, error(630004), Cause.TRANSIENT),
        (400, error(630005), Cause.TRANSIENT),
        (400, error(630006), Cause.BUG),
        (400, error(630007), Cause.BUG),
        (400, error(630008), Cause.BUG),
        (200, error(630003), Cause.BUG),
        (401, error(11244, 40011027), Cause.TOKEN),
        (401, error(11298, 40023002), Cause.OPERATOR),
        (429, error(100017), Cause.RATE),
        (502, b"<html>", Cause.LOST),
        (404, b"", Cause.BUG),
    ],
)
def test_refusals_of_an_acknowledgement(status: int, body: bytes, cause: Cause) -> None:
    failed = signals.parse_ack(status, {}, body)
    assert isinstance(failed, Failed)
    assert failed.cause is cause


def test_a_typing_notice() -> None:
    request = signals.build_typing("U", anchor="msg_id:M", seq=3)
    assert request[:2] == ("POST", "/v2/users/U/messages")
    assert json.loads(request.body) == {  # typed by hand from 14
        "msg_type": 6,
        "input_notify": {"input_type": 1, "input_second": 60},
        "msg_id": "M",
        "msg_seq": 3,
    }


def test_a_typing_notice_needs_an_anchor_of_ours() -> None:
    with pytest.raises(ValueError, match="not an anchor"):
        signals.build_typing("U", anchor="M", seq=1)
