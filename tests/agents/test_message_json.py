"""A message survives the way to another process, whatever is in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from buoy.agents.message_json import decode, encode
from buoy.chat import Attachment, Exchange, Message, Sender

FULL = Message(
    text='a "text" of \n two lines \U0001f600',
    conversation="qq:group:G@102",
    sender=Sender("A", "Ann", "owner", is_bot=True),
    id="m1",
    attachments=(Attachment("image/png", "https://x", "cat.png", 12, 3, 4, "t"),),
    at=12.5,
    quoted="q",
    turn="t1",
    attempt=2,
    late_s=7200.5,
    delivered=("one",),
    history=(Exchange("a", "b"), Exchange("c", "")),
    raw={"id": "m1", "n": [1, None]},
)


@pytest.mark.parametrize("message", [FULL, Message("", "qq:c2c:A", Sender("A"))])
def test_round_trip(message: Message) -> None:
    text = encode(message)
    assert text.isascii()
    assert "\n" not in text
    assert decode(text) == message


def test_half_a_surrogate_pair_and_zero_bytes() -> None:
    message = replace(FULL, text="\ud83d\x00")
    assert "\x00" not in encode(message)
    assert decode(encode(message)) == message


def test_what_is_too_long_is_left_out_and_named() -> None:
    message = replace(FULL, text="x" * 1_000_000, raw="y" * 100)
    document = json.loads(encode(message, 10_000))
    assert document["omitted"] == ["raw", "history", "quoted", "text"]
    assert document["sender"]["name"] == "Ann"
    assert document["attachments"][0]["filename"] == "cat.png"
    assert len(encode(message, 10_000)) <= 10_000
    assert "omitted" not in json.loads(encode(FULL, 10_000))


def test_raw_nested_ten_thousand_deep_or_in_a_circle() -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    circle: list[Any] = []
    circle.append(circle)
    for raw in (deep, circle):
        assert json.loads(encode(replace(FULL, raw=raw)))["omitted"] == ["raw"]
        assert decode(encode(replace(FULL, raw=raw))) == replace(FULL, raw=None)


def test_what_json_does_not_know_is_text() -> None:
    assert json.loads(encode(replace(FULL, raw={1j})))["raw"] == "{1j}"
