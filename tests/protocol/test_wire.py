"""Frames: what the gateway sends is read, whatever it is; what we send has the documented shape."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.protocol import wire

DEEP = b"[" * 10_000 + b"]" * 10_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def read(text: Any) -> Any:
    frame = wire.decode(text)
    assert isinstance(frame, wire.Frame), frame
    return frame


def test_a_dispatch_is_read_and_its_body_stays_raw() -> None:
    frame = read(b'{"op":0,"s":42,"t":"X","id":"X:1","d":{"a": 1}}')
    assert (frame.op, frame.s, frame.t, frame.id, bytes(frame.d)) == (0, 42, "X", "X:1", b'{"a": 1}')


@pytest.mark.parametrize(
    ("text", "d"),
    [
        ('{"op":11}', b"null"),
        ('{"op":7,"d":null}', b"null"),
        ('{"op":9,"d":false}', b"false"),
        ('{"op":0,"s":2002,"t":"RESUMED","d":""}', b'""'),
        ('{"op":1,"d":17}', b"17"),
    ],
)
def test_bodies_of_every_type_are_read(text: Any, d: Any) -> None:
    assert bytes(read(text).d) == d
    assert bytes(read(text.encode()).d) == d


@pytest.mark.parametrize(
    ("text", "s", "t", "ident"),
    [
        (b'{"op":0,"s":"42","t":"X"}', 42, "X", None),
        (b'{"op":0,"s":42,"t":17,"id":{}}', 42, None, None),
        (b'{"op":"0","s":42}', 42, None, None),
        (b'{"op":0,"s":true,"t":"X"}', None, "X", None),
        (b'{"op":0,"s":4.5,"t":"X"}', None, "X", None),
        (b'{"op":0,"s":42,"t":"X","d":' + DEEP + b"}", 42, "X", None),
        (b'{"d":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b',"op":0,"s":42,"t":"X"}', 42, "X", None),
        (b'{"op":0,"s":42,"t":"\\ud800"}', 42, "?", None),
        (b'{"op":0,"s":42,"t":"X\xff"}', 42, "X\ufffd", None),
        (b'{"op":0,"s":' + b"9" * 5000 + b',"t":"X"}', None, "X", None),
        (b'{"op":0,"s":42,"d":1e999,"t":1e999}', 42, None, None),
    ],
    ids=range(11),
)
def test_a_surprising_frame_is_still_a_frame_with_its_sequence(text: Any, s: Any, t: Any, ident: Any) -> None:
    frame = read(text)
    assert (frame.op, frame.s, frame.t, frame.id) == (0, s, t, ident)


def test_what_is_too_deep_becomes_null_and_its_neighbours_stay() -> None:
    frame = read(b'{"op":0,"s":1,"t":"X","d":{"content":"[[hi","bad":' + DEEP + b',"after":[1,2]}}')
    d = msgspec.json.decode(frame.d) if len(frame.d) < 1000 else wire.read(frame.d)
    assert d["content"] == "[[hi"
    assert d["after"] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "17",
        '"x"',
        "{",
        '{"op":null}',
        '{"op":"x"}',
        '{"op":1.5}',
        '{"s":1}',
        b"\xff\xfe",
        "<html>",
        "[" * 10_000,
    ],
)
def test_what_is_no_frame_is_unreadable_and_says_why(text: Any) -> None:
    frame = wire.decode(text)
    assert isinstance(frame, wire.Unreadable)
    assert frame.why


def test_a_frame_of_one_megabyte_is_read_at_once() -> None:
    began = time.perf_counter()
    frame = read(b'{"op":0,"s":1,"t":"X","d":{"content":"' + b"x" * 1_000_000 + b'"}}')
    assert frame.s == 1
    assert time.perf_counter() - began < 3


@settings(deadline=None)
@given(st.binary() | st.text())
def test_decode_never_raises(text: Any) -> None:
    assert isinstance(wire.decode(text), wire.Frame | wire.Unreadable)


@settings(deadline=None)
@given(JSON)
def test_decode_never_raises_on_json(value: Any) -> None:
    assert isinstance(wire.decode(json.dumps(value)), wire.Frame | wire.Unreadable)


@settings(deadline=None)
@given(
    st.fixed_dictionaries({"op": st.just(0), "s": st.integers(1, 2**40)}, optional={"t": JSON, "id": JSON, "d": JSON})
)
def test_any_dispatch_with_a_readable_sequence_keeps_it(frame: Any) -> None:
    assert read(json.dumps(frame)).s == frame["s"]


@settings(deadline=None)
@given(JSON)
def test_mended_json_is_the_same_json_where_nothing_was_wrong(value: Any) -> None:
    text = json.dumps(value)
    mended = wire.mend(text)
    assert mended is not None
    if "." not in text and all(len(digits) < 19 for digits in text.split(" ")) and "\\ud" not in text:
        assert json.loads(mended) == json.loads(text)


@settings(deadline=None)
@given(st.binary())
def test_read_never_raises(raw: Any) -> None:
    wire.read(raw)
    wire.mend(raw)


@settings(deadline=None)
@given(JSON)
def test_the_readers_of_odd_values_never_raise(value: Any) -> None:
    assert isinstance(wire.integer(value), int | None)
    assert isinstance(wire.number_of(value), float | None)
    assert isinstance(wire.text_of(value), str)


@pytest.mark.parametrize(
    ("value", "integer", "number", "text"),
    [
        (7, 7, 7.0, "7"),
        ("7", 7, 7.0, "7"),
        (True, None, None, ""),
        (None, None, None, ""),
        ("7.5", None, 7.5, "7.5"),
        (7.5, None, 7.5, ""),
        ("nan", None, None, "nan"),
        ("-1", None, -1.0, "-1"),
        ("", None, None, ""),
        ([], None, None, ""),
    ],
)
def test_readers_of_odd_values(value: Any, integer: Any, number: Any, text: Any) -> None:
    assert (wire.integer(value), wire.number_of(value), wire.text_of(value)) == (integer, number, text)


def test_our_frames_have_the_documented_shape() -> None:
    assert json.loads(wire.heartbeat(None)) == {"op": 1, "d": None}
    assert json.loads(wire.heartbeat(7)) == {"op": 1, "d": 7}
    identify = json.loads(wire.identify("T0KEN", 33554432, 0, 1))
    assert identify["op"] == 2
    assert identify["d"].pop("properties").keys() == {"$os", "$browser", "$device"}
    assert identify["d"] == {"token": "QQBot T0KEN", "intents": 33554432, "shard": [0, 1]}
    assert json.loads(wire.resume("T0KEN", "S", 1337)) == {
        "op": 6,
        "d": {"token": "QQBot T0KEN", "session_id": "S", "seq": 1337},
    }


def test_optional_fields_appear_only_where_given() -> None:
    assert json.loads(wire.encode(0, {}, s=1, t="X", ident="X:1")) == {
        "op": 0,
        "d": {},
        "s": 1,
        "t": "X",
        "id": "X:1",
    }
    assert json.loads(wire.encode(11)) == {"op": 11, "d": None}
