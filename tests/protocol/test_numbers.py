"""The platform's numbers, typed a second time by hand from protocol.md: no slip of a finger is believed."""

from __future__ import annotations

import pytest

from buoy.protocol import events, keyboards, limits, signals, wire


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DISPATCH", 0),
        ("HEARTBEAT", 1),
        ("IDENTIFY", 2),
        ("RESUME", 6),
        ("RECONNECT", 7),
        ("INVALID_SESSION", 9),
        ("HELLO", 10),
        ("HEARTBEAT_ACK", 11),
        ("HTTP_CALLBACK_ACK", 12),
        ("CALLBACK_VALIDATION", 13),
    ],
)
def test_opcodes(name: str, value: int) -> None:
    assert wire.Op[name] == value


def test_there_are_no_other_opcodes() -> None:
    assert sorted(wire.Op) == [0, 1, 2, 6, 7, 9, 10, 11, 12, 13]


@pytest.mark.parametrize(
    ("name", "bit"),
    [
        ("GUILDS", 0),
        ("GUILD_MEMBERS", 1),
        ("GUILD_MESSAGES", 9),
        ("GUILD_MESSAGE_REACTIONS", 10),
        ("DIRECT_MESSAGE", 12),
        ("OPEN_FORUM_EVENT", 18),
        ("AUDIO_OR_LIVE_CHANNEL_MEMBER", 19),
        ("ENTER_AIO", 23),
        ("GROUP_MEMBER_EVENT", 24),
        ("GROUP_AND_C2C_EVENT", 25),
        ("INTERACTION", 26),
        ("MESSAGE_AUDIT", 27),
        ("FORUMS_EVENT", 28),
        ("AUDIO_ACTION", 29),
        ("PUBLIC_GUILD_MESSAGES", 30),
    ],
)
def test_intents(name: str, bit: int) -> None:
    assert wire.Intent[name] == 2**bit


def test_the_intent_of_the_documents_example() -> None:
    assert wire.Intent.GROUP_AND_C2C_EVENT.value == 33554432
    assert len(wire.Intent) == 15


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NORMAL", 1000),
        ("GOING_AWAY", 1001),
        ("NO_STATUS", 1005),
        ("ABNORMAL", 1006),
        ("UNKNOWN_ERROR", 4000),
        ("INVALID_OPCODE", 4001),
        ("INVALID_PAYLOAD", 4002),
        ("NOT_AUTHENTICATED", 4003),
        ("AUTHENTICATION_FAILED", 4004),
        ("ALREADY_AUTHENTICATED", 4005),
        ("SESSION_INVALID", 4006),
        ("SEQUENCE_WRONG", 4007),
        ("TOO_FAST", 4008),
        ("EXPIRED", 4009),
        ("SHARD_INVALID", 4010),
        ("SHARDS_NEEDED", 4011),
        ("VERSION_INVALID", 4012),
        ("INTENTS_INVALID", 4013),
        ("INTENTS_NOT_PERMITTED", 4014),
        ("INTERNAL_FIRST", 4900),
        ("RESET_BY_RESUME", 4902),
        ("CREATE_SESSION_ERROR", 4903),
        ("INTERNAL_LAST", 4913),
        ("TAKEN_DOWN", 4914),
        ("BANNED", 4915),
    ],
)
def test_close_codes(name: str, code: int) -> None:
    assert wire.Close[name] == code


def test_names_and_paths() -> None:
    names = (wire.AUTH_SCHEME, wire.GATEWAY_PATH, wire.GATEWAY_BOT_PATH, wire.TOKEN_PATH, wire.FIRST_SEQUENCE)
    assert names == ("QQBot", "/gateway", "/gateway/bot", "/app/getAppAccessToken", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("C2C_REPLY_WINDOW_S", 3600),  # 11.1: 60 min
        ("GROUP_REPLY_WINDOW_S", 300),  # 11.1: 5 min
        ("GUILD_REPLY_WINDOW_S", 300),
        ("C2C_REPLY_BUDGET", 4),  # 11.1: 4, not 5
        ("GROUP_REPLY_BUDGET", 5),
        ("TEXT_LIMIT", 4000),  # 12.1
        ("KEYBOARD_ROWS", 5),  # 12.3
        ("KEYBOARD_COLUMNS", 5),
        ("ACK_S", 3),  # 16.3
        ("TYPING_S", 60),  # 14
        ("GATEWAY_LOOKUPS_A_MINUTE", 2),  # 5
        ("IDENTIFIES_A_DAY", 1000),  # 5
        ("IDENTIFY_SPACING_S", 5),  # 5
        ("DAY_S", 86400),
        ("DEFAULT_HEARTBEAT_S", 45),  # 6.2
        ("MISSED_ACKS", 2),  # 6.2
        ("LINGER_S", 5),  # 6.4
        ("BACKOFF_S", (1, 2, 5, 10, 30, 60)),  # 6.9
        ("JITTER", (0.85, 1.15)),
        ("FIRST_RETRY_S", (0, 1)),
        ("STABLE_S", 60),  # 19.10
        ("SHORT_LIVED_S", 5),  # 6.9
        ("SHORT_LIVED_LIMIT", 3),  # 6.9
        ("TOO_FAST_PAUSE_S", 60),  # 6.7: 4008
        ("INVALID_SESSION_PAUSE_S", (1, 5)),  # 6.6
        ("REFUSED_IDENTIFY_PAUSE_S", 60),  # 6.4
        ("PROBE_S", 900),  # 6.7: 15 min
        ("TOKEN_MARGIN_S", 60),  # 2.1
        ("TOKEN_RATE_PAUSE_S", 60),  # 19.2
        ("SEND_TIMEOUT_S", 15),  # 19.21
        ("DEDUPE_S", 86400),  # 19.13
    ],
)
def test_limits(name: str, value: object) -> None:
    assert getattr(limits, name) == value


def test_buttons_and_signals() -> None:
    assert (keyboards.CALLBACK, keyboards.EVERYONE, keyboards.GREY, keyboards.BLUE) == (1, 2, 0, 1)  # 12.3
    assert {11, 12} == events.CLICKS  # 9.7, 16.3
    assert (signals.NOTIFY, signals.TYPING) == (6, 1)  # 10.1, 14
    assert {"c2c", "group"} == keyboards.SCENES
    assert {"c2c"} == signals.SCENES


def test_windows_and_budgets_by_scene() -> None:
    assert limits.WINDOWS_S == {"c2c": 3600, "group": 300, "channel": 300, "dm": 300}
    assert {scene: limits.BUDGETS[scene] for scene in ("c2c", "group")} == {"c2c": 4, "group": 5}
    assert min(limits.BUDGETS["channel"], limits.BUDGETS["dm"]) > 10_000


def test_limits_agree_with_each_other() -> None:
    phases = limits.OPEN_DEADLINE_S + limits.HELLO_DEADLINE_S + limits.READY_DEADLINE_S
    assert phases <= 45  # 19.4
    assert max(limits.HELLO_DEADLINE_S, limits.READY_DEADLINE_S) <= 20  # faults 5 and 6
    assert limits.SEND_TIMEOUT_S > 4  # 3.1
    assert min(limits.WINDOWS_S.values()) > limits.WINDOW_MARGIN_S
    assert limits.GATEWAY_URL_LIFE_S * limits.GATEWAY_LOOKUPS_A_MINUTE >= 60
    assert max(limits.BACKOFF_S) == limits.BACKOFF_S[-1]
    assert 3600 / (limits.BACKOFF_S[-1] * limits.JITTER[0]) <= 71  # faults 3, 4, 7: about 70 tries an hour
