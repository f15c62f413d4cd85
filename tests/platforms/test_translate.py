"""From frames to rows: windows run from the platform's time, and every frame has a row."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buoy.durable import inbox, schema
from buoy.letters import Arrival, Event
from buoy.platforms.qq import translate
from buoy.protocol import wire

NOW = 1_790_000_000.0
SAID_AT = "2026-09-21T22:13:15+08:00"  # five seconds before NOW


def row(raw: bytes, *, session: str = "S", seq: int | None = 3, now: float = NOW, skew_s: float = 0.0) -> Arrival:
    return translate.arrival(wire.decode(raw), raw, bot="B", shard=0, session=session, seq=seq, now=now, skew_s=skew_s)


def c2c(**d: Any) -> bytes:
    body = {"id": "M1", "author": {"user_openid": "U"}, "content": "hi", "timestamp": SAID_AT} | d
    return json.dumps({"op": 0, "s": 3, "t": "C2C_MESSAGE_CREATE", "id": "E1", "d": body}).encode()


def event(raw: bytes, kind: str = "C2C_MESSAGE_CREATE", lane: str = "qq:c2c:U") -> Event:
    return Event(1, "B", lane, kind, "M1", raw, "msg_id:M1", NOW - 5, NOW, 2)


# --- the window -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "skew_s", "expected"),
    [
        (SAID_AT, 0.0, NOW - 5),
        (SAID_AT, -3600.0, NOW - 3605),  # our clock is an hour behind: so is the event, on our clock
        (SAID_AT, 3.0, NOW - 2),
        (SAID_AT, 60.0, NOW),  # never later than the receipt: that would make the window too long
        (int(NOW) - 7, 0.0, NOW - 7),
        (str(int(NOW) - 7), 0.0, NOW - 7),
        (int(NOW) + 900, 0.0, NOW),
        ("yesterday", 0.0, NOW),
        ("2026-09-21T22:13:15", 0.0, NOW),  # no offset: guessing its zone would move the window
        (None, 1234.0, NOW),
    ],
)
def test_a_window_runs_from_the_platforms_time_on_this_machines_clock(
    told: object, skew_s: float, expected: float
) -> None:
    arrival = row(c2c(timestamp=told), skew_s=skew_s)
    assert arrival.event_at == pytest.approx(expected, abs=1e-3)
    assert arrival.received_at == NOW


@given(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=30), st.datetimes().map(str)),
    st.floats(-1e5, 1e5),
)
def test_it_never_starts_after_the_receipt(told: object, skew_s: float) -> None:
    arrival = row(c2c(timestamp=told), skew_s=skew_s)
    assert arrival.event_at <= NOW


# --- the row --------------------------------------------------------------------------------------------------------


def test_a_message_has_a_lane_a_key_an_anchor_and_a_turn() -> None:
    arrival = row(c2c())
    assert (arrival.lane, arrival.key, arrival.anchor) == ("qq:c2c:U", "M1", "msg_id:M1")
    assert (arrival.turn, arrival.bypass, arrival.session, arrival.seq) == (True, False, "S", 3)
    assert row(c2c(content=" /stop ")).bypass


def test_the_sequence_is_what_counts_not_what_stands_in_the_frame() -> None:
    assert row(c2c(), seq=None).seq is None
    assert row(c2c(), seq=9).seq == 9


def test_frames_without_an_id_are_known_by_session_and_sequence_else_by_themselves() -> None:
    ready = b'{"op":0,"s":1,"t":"READY","d":{}}'
    assert row(ready, seq=1).key == "S/1"
    nameless = {row(ready, session=session, seq=seq, now=now).key
                for session, seq, now in (("", None, NOW), ("", None, NOW + 1), ("S", None, NOW + 2))}  # fmt: skip
    assert len(nameless) == 3


def test_a_frame_that_nobody_can_read_is_kept_whole() -> None:
    arrival = row(b"\xff{", seq=None)
    assert (arrival.type, arrival.frame, arrival.lane, arrival.turn) == (translate.RAW, b"\xff{", None, False)
    assert arrival.reason
    assert arrival.key != row(b"\xff{", seq=None, now=NOW + 1).key


def test_what_cannot_be_stored_as_understood_keeps_frame_and_place() -> None:
    arrival = row(c2c())
    arrival.after = 2
    plain = translate.stripped(arrival, "no such\nthing" * 100)
    assert (plain.frame, plain.session, plain.seq, plain.after) == (arrival.frame, "S", 3, 2)
    assert (plain.type, plain.lane, plain.turn, plain.anchor) == (translate.RAW, None, False, None)
    assert plain.key == translate.stripped(arrival, "again").key
    assert len(plain.reason) <= 300
    unnumbered = row(c2c(), seq=None)
    assert translate.stripped(unnumbered, "x").key != plain.key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON, "author": JSON | st.fixed_dictionaries({"user_openid": JSON}), "content": JSON, "timestamp": JSON,
        "group_openid": JSON, "channel_id": JSON, "mentions": JSON,
    },
)  # fmt: skip
KINDS = st.sampled_from(
    ["C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE",
     "DIRECT_MESSAGE_CREATE", "INTERACTION_CREATE", "FRIEND_ADD", "READY", "RESUMED", "NOBODY_KNOWS"]
)  # fmt: skip


@given(KINDS, BODIES | JSON, st.none() | st.text(max_size=9), st.integers(1, 2**53 - 1) | st.none())
def test_every_frame_has_a_row_that_the_store_takes(kind: str, d: object, ident: str | None, seq: int | None) -> None:
    raw = json.dumps({"op": 0, "s": seq, "t": kind, "id": ident, "d": d}).encode()
    arrival = row(raw, seq=seq)
    assert arrival.frame == raw
    assert not arrival.turn or arrival.lane is not None
    db = _database()
    db.execute("BEGIN")
    try:
        assert inbox.put(db, arrival, None).fresh
    finally:
        db.execute("ROLLBACK")


_open: list[sqlite3.Connection] = []


def _database() -> sqlite3.Connection:
    if not _open:
        _open.append(schema.open_memory())
    return _open[0]


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Any:
    yield
    while _open:
        _open.pop().close()


# --- and back -------------------------------------------------------------------------------------------------------


def test_a_stored_row_is_read_as_a_message() -> None:
    message = translate.message(event(c2c(content=" hi there ")), conversation="qq:c2c:U@B")
    assert message is not None
    assert (message.text, message.conversation, message.sender.id) == ("hi there", "qq:c2c:U@B", "U")
    assert (message.id, message.turn, message.attempt, message.at) == ("M1", "B/M1", 2, NOW - 5)


def test_a_row_without_a_message_is_none_and_one_without_a_frame_raises() -> None:
    assert translate.message(event(c2c(), "FRIEND_ADD"), conversation="x") is None
    with pytest.raises(ValueError, match="unreadable"):
        translate.message(event(b"{"), conversation="x")


def test_a_quote_refers_to_a_handle_in_guilds_to_the_message() -> None:
    handle = c2c(message_scene={"ext": ["msg_idx=REFIDX_abc=="]})
    assert translate.reference(event(handle)) == "REFIDX_abc=="
    assert translate.reference(event(c2c())) is None
    guild = handle.replace(b"C2C_MESSAGE_CREATE", b"AT_MESSAGE_CREATE")
    assert translate.reference(event(guild, "AT_MESSAGE_CREATE", "qq:channel:9")) == "M1"
    assert translate.reference(event(b"{")) is None
    assert translate.reference(event(c2c(), "FRIEND_ADD")) is None


def test_a_conversations_id_may_hold_anything() -> None:
    assert translate.place("qq:c2c:a:b@c") == ("c2c", "a:b@c")
    with pytest.raises(ValueError):
        translate.place("qq:c2c")
