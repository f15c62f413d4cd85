"""What events and answers teach about messages without an anchor, and how long each of it is believed."""

from __future__ import annotations

import json

import pytest

from buoy.letters import Arrival, Cause, Failed, Letter, LetterState, Outcome, Permission, Sent
from buoy.platforms.qq.permission import allows, of_outcome
from buoy.platforms.qq.translate import RAW, arrival, stripped
from buoy.protocol import wire

NOW = 1_790_000_000.0
DAY_S = 86_400.0
C2C = frozenset({"c2c"})
REFUSED = Failed(Cause.PROACTIVE, "the bot may not write to this user first (code 40034102, HTTP 400)", 40034102, 400)


def comes(kind: str, timestamp: object = 1_790_000_000, skew_s: float = 0.0, now: float = NOW + 9) -> Arrival:
    d = {"openid": "U", "group_openid": "G", "timestamp": timestamp}
    raw = json.dumps({"op": 0, "s": 2, "t": kind, "id": f"{kind}:1", "d": d}).encode()
    return arrival(wire.decode(raw), raw, bot="b", shard=0, session="S", seq=2, now=now, skew_s=skew_s)


def letter(**changes: object) -> Letter:
    one = Letter(1, "k/1", "b", "qq:c2c:U", b'{"text":"x"}', LetterState.CLAIMED, NOW, attempted_at=NOW + 1)
    for name, value in changes.items():
        setattr(one, name, value)
    return one


# --- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "allowed", "lane"),
    [
        ("C2C_MSG_REJECT", False, "qq:c2c:U"),
        ("C2C_MSG_RECEIVE", True, "qq:c2c:U"),
        ("FRIEND_DEL", False, "qq:c2c:U"),
        ("FRIEND_ADD", None, "qq:c2c:U"),
        ("GROUP_MSG_REJECT", False, "qq:group:G"),
        ("GROUP_MSG_RECEIVE", True, "qq:group:G"),
        ("GROUP_DEL_ROBOT", False, "qq:group:G"),
        ("GROUP_ADD_ROBOT", None, "qq:group:G"),
    ],
)
def test_a_switch_is_told_with_the_row_of_its_event(kind: str, *, allowed: bool | None, lane: str) -> None:
    row = comes(kind)
    assert (row.lane, row.turn) == (lane, False)
    assert row.permission == Permission(allowed, NOW + 1, kind), "whole seconds: it happened up to one later"


@pytest.mark.parametrize("kind", ["C2C_MESSAGE_CREATE", "GROUP_MEMBER_ADD", "INTERACTION_CREATE", "NEVER_HEARD_OF"])
def test_other_events_tell_nothing(kind: str) -> None:
    assert comes(kind).permission is None


def test_its_time_is_on_this_machines_clock_and_never_later_than_its_arrival() -> None:
    for timestamp, skew_s, at in ((1_790_000_000, 3.0, NOW + 4), (1_790_000_500, 0.0, NOW + 9), (None, 0.0, NOW + 9)):
        told = comes("C2C_MSG_REJECT", timestamp, skew_s).permission
        assert told is not None
        assert told.at == at


def test_a_frame_that_had_to_be_stored_raw_teaches_nothing() -> None:
    bare = stripped(comes("C2C_MSG_REJECT"), "no")
    assert (bare.type, bare.permission) == (RAW, None)


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_accepted_message_without_anchor_teaches_that_they_are_allowed() -> None:
    assert of_outcome(letter(), Sent("id"), NOW + 5) == Permission(True, NOW + 1, "one was accepted")


def test_a_refusal_is_as_old_as_its_request_and_keeps_the_platforms_words() -> None:
    assert of_outcome(letter(), REFUSED, NOW + 5) == Permission(False, NOW + 1, REFUSED.reason)
    assert of_outcome(letter(attempted_at=None), REFUSED, NOW + 5) == Permission(False, NOW + 5, REFUSED.reason)


@pytest.mark.parametrize("outcome", [Sent("id"), REFUSED])
def test_what_became_of_a_reply_teaches_nothing(outcome: Outcome) -> None:
    assert of_outcome(letter(anchor="msg_id:M"), outcome, NOW) is None


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.PROACTIVE}))
def test_other_failures_teach_nothing(cause: Cause) -> None:
    assert of_outcome(letter(), Failed(cause, "no"), NOW) is None


# --- belief ---------------------------------------------------------------------------------------------------------


def test_where_nothing_is_known_the_settings_decide() -> None:
    assert allows(None, NOW, "c2c", C2C) == (True, "")
    assert allows(None, NOW, "group", C2C) == (False, "")


def test_what_is_known_wins_over_the_settings() -> None:
    assert allows(Permission(True, NOW, "GROUP_MSG_RECEIVE"), NOW + 1e9, "group", C2C) == (True, "")
    switched_off = Permission(False, NOW, "C2C_MSG_REJECT")
    assert allows(switched_off, NOW, "c2c", C2C) == (False, "the user has switched them off")


def test_an_operator_who_wants_no_such_messages_gets_none() -> None:
    assert allows(Permission(True, NOW, "GROUP_MSG_RECEIVE"), NOW, "group", frozenset()) == (False, "")


@pytest.mark.parametrize(("age_s", "is_allowed"), [(0.0, False), (DAY_S, False), (DAY_S + 1, True)])
def test_a_refusal_that_only_an_answer_told_is_believed_for_a_day(age_s: float, *, is_allowed: bool) -> None:
    known = Permission(False, NOW, REFUSED.reason)
    assert allows(known, NOW + age_s, "c2c", C2C) == (is_allowed, "" if is_allowed else REFUSED.reason)


@pytest.mark.parametrize("kind", ["C2C_MSG_REJECT", "GROUP_MSG_REJECT", "FRIEND_DEL", "GROUP_DEL_ROBOT"])
def test_a_switch_is_believed_until_the_opposite_event(kind: str) -> None:
    assert not allows(Permission(False, NOW, kind), NOW + 1000 * DAY_S, "c2c", C2C)[0]
