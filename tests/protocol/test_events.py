"""Events: golden samples of protocol.md 9, then the same ones with everything wrong that can be wrong."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.chat import Attachment, Sender
from buoy.protocol import events, wire

USER = "0A1B2C3D4E5F60718293A4B5C6D7E8F9"
GROUP = "11112222333344445555666677778888"
MEMBER = "9999AAAABBBBCCCCDDDDEEEEFFFF0000"
BOT = "7777AAAABBBBCCCCDDDDEEEEFFFF0000"
INTERACTION = "5b8f2c1e-0000-4000-8000-00000000abcd"
NOON = 1789869600.0  # 2026-09-20T10:00:00+08:00

C2C = {
    "id": "ROBOT1.0_c2cAAAA.0001!",
    "timestamp": "2026-09-20T10:00:00+08:00",
    "content": "hello",
    "author": {"id": USER, "user_openid": USER, "union_openid": USER},
    "message_type": 0,
    "message_scene": {"source": "default", "ext": ["", "msg_idx=REFIDX_CAAQAA0001=="]},
    "attachments": [],
}
VOICE = {
    "id": "ROBOT1.0_c2cAAAA.0002!",
    "timestamp": "2026-09-20T10:00:05+08:00",
    "content": "",
    "author": {"user_openid": USER},
    "message_type": 0,
    "attachments": [
        {
            "content_type": "voice",
            "filename": "v.amr",
            "size": 3170,
            "url": "https://sim/silk/2",
            "voice_wav_url": "https://sim/wav/2",
            "asr_refer_text": "what time is it",
        }
    ],
}
QUOTE = {
    "id": "ROBOT1.0_c2cAAAA.0003!",
    "timestamp": "2026-09-20T10:00:09+08:00",
    "content": "and this?",
    "message_type": 103,
    "author": {"user_openid": USER},
    "message_scene": {
        "source": "default",
        "ext": ["ref_msg_idx=REFIDX_BOT0007==", "msg_idx=REFIDX_CAAQAA0003=="],
    },
    "msg_elements": [
        {
            "msg_idx": "REFIDX_BOT0007==",
            "message_type": 0,
            "content": "earlier bot text",
            "author": {"username": "simbot", "bot": True},
        }
    ],
}
GROUP_AT = {
    "id": "ROBOT1.0_grpAAAA.0001!",
    "timestamp": "2026-09-20T10:01:00+08:00",
    "content": " /status ",
    "group_openid": GROUP,
    "group_id": GROUP,
    "author": {
        "id": MEMBER,
        "member_openid": MEMBER,
        "member_role": "member",
        "bot": False,
        "username": "Li",
    },
    "message_type": 0,
    "message_scene": {"source": "default", "ext": ["msg_idx=REFIDX_G0001=="]},
    "mentions": [],
}
GROUP_FULL = {
    "id": "ROBOT1.0_grpAAAA.0002!",
    "timestamp": "2026-09-20T10:01:10+08:00",
    "content": f"<@{BOT}> build?",
    "group_openid": GROUP,
    "author": {"id": MEMBER, "member_openid": MEMBER, "member_role": "owner", "bot": False},
    "mentions": [
        {
            "scope": "single",
            "id": BOT,
            "member_openid": BOT,
            "is_you": True,
            "bot": True,
            "username": "simbot",
        }
    ],
    "message_type": 0,
    "message_scene": {"source": "default", "ext": ["msg_idx=REFIDX_G0002=="]},
}
GUILD_AT = {
    "id": "08f1ccac01",
    "channel_id": "1661124",
    "guild_id": "47129941624960822",
    "content": "<@!7000000000000000001> hi &lt;b&gt;",
    "timestamp": "2026-09-20T10:04:00+08:00",
    "edited_timestamp": None,
    "mention_everyone": False,
    "author": {
        "id": "144115218182563108",
        "username": "Zhao",
        "avatar": "https://sim/a.png",
        "bot": False,
    },
    "member": {"nick": "Zhao Z", "roles": ["1"], "joined_at": "2024-01-01T00:00:00+08:00"},
    "mentions": [{"id": "7000000000000000001", "username": "simbot", "bot": True}],
    "attachments": [],
    "embeds": [],
    "seq": 27,
    "seq_in_channel": "27",
    "message_reference": {"message_id": "08f1ccac00"},
}
DM = GUILD_AT | {"direct_message": True, "src_guild_id": "1", "content": "psst", "mentions": []}
CLICK = {
    "id": INTERACTION,
    "type": 11,
    "scene": "group",
    "chat_type": 1,
    "timestamp": "2026-09-20T10:03:00+08:00",
    "application_id": "102000001",
    "version": 1,
    "group_openid": GROUP,
    "group_member_openid": MEMBER,
    "data": {"type": 11, "resolved": {"button_id": "b1", "button_data": "approve:42"}},
}
JOIN = {
    "group_openid": GROUP,
    "join_request_id": "jr_001",
    "member_openid": MEMBER,
    "username": "Wang",
    "apply_at": "2026-09-20T10:02:00+08:00",
    "invited_by": None,
}
AUDIT = {
    "audit_id": "a1f0c2d4-0001",
    "message_id": "08f1ccac09",
    "guild_id": "47129941624960822",
    "channel_id": "1661124",
    "audit_time": "2026-09-20T10:06:00+08:00",
    "create_time": "2026-09-20T10:05:00+08:00",
    "seq_in_channel": "29",
}
MESSAGES: dict[str, dict[str, Any]] = {
    "C2C_MESSAGE_CREATE": C2C,
    "GROUP_AT_MESSAGE_CREATE": GROUP_AT,
    "GROUP_MESSAGE_CREATE": GROUP_FULL,
    "AT_MESSAGE_CREATE": GUILD_AT,
    "MESSAGE_CREATE": GUILD_AT,
    "DIRECT_MESSAGE_CREATE": DM,
}


def frame(name: Any, d: Any, ident: Any = "payload:1") -> wire.Frame:
    raw = d if isinstance(d, bytes) else json.dumps(d).encode()
    return wire.Frame(0, msgspec.Raw(raw), 42, name, ident)


def classify(name: Any, d: Any, ident: Any = "payload:1") -> events.Classified:
    return events.classify(frame(name, d, ident))


def message(name: str, d: Any) -> events.InboundMessage:
    parsed = events.parse_message(name, d if isinstance(d, bytes) else json.dumps(d).encode())
    assert parsed is not None
    return parsed


# --- classify: golden


@pytest.mark.parametrize(
    ("name", "d", "scene", "conversation", "turn"),
    [
        ("C2C_MESSAGE_CREATE", C2C, "c2c", USER, True),
        ("C2C_MESSAGE_CREATE", VOICE, "c2c", USER, True),
        ("C2C_MESSAGE_CREATE", QUOTE, "c2c", USER, True),
        ("GROUP_AT_MESSAGE_CREATE", GROUP_AT, "group", GROUP, True),
        ("GROUP_MESSAGE_CREATE", GROUP_FULL, "group", GROUP, True),
        ("AT_MESSAGE_CREATE", GUILD_AT, "channel", "1661124", True),
        ("MESSAGE_CREATE", GUILD_AT, "channel", "1661124", False),
        ("DIRECT_MESSAGE_CREATE", DM, "dm", "47129941624960822", True),
    ],
)
def test_messages(name: str, d: dict[str, Any], scene: str, conversation: str, turn: bool) -> None:  # noqa: FBT001
    got = classify(name, d)
    assert (got.type, got.key, got.scene, got.conversation) == (name, d["id"], scene, conversation)
    assert got.wants_turn is turn
    assert bool(got.why_no_turn) is not turn
    assert got.anchor == f"msg_id:{d['id']}"
    assert got.timestamp is not None
    assert 0 <= got.timestamp - NOON <= 600
    assert not got.is_bot
    assert not got.is_stop


@pytest.mark.parametrize(
    ("name", "d", "scene", "conversation", "anchor"),
    [
        ("FRIEND_ADD", {"timestamp": 1790000000, "openid": USER, "scene": 1001}, "c2c", USER, True),
        ("FRIEND_DEL", {"timestamp": 1790000000, "openid": USER}, "c2c", USER, False),
        ("C2C_MSG_REJECT", {"timestamp": 1790000000, "openid": USER}, "c2c", USER, False),
        ("C2C_MSG_RECEIVE", {"timestamp": 1790000000, "openid": USER}, "c2c", USER, True),
        ("GROUP_ADD_ROBOT", {"timestamp": 1790000000, "group_openid": GROUP}, "group", GROUP, True),
        ("GROUP_DEL_ROBOT", {"timestamp": 1790000000, "group_openid": GROUP}, "group", GROUP, False),
        ("GROUP_MSG_REJECT", {"timestamp": 1790000000, "group_openid": GROUP}, "group", GROUP, False),
        ("GROUP_MSG_RECEIVE", {"timestamp": "1790000000", "group_openid": GROUP}, "group", GROUP, True),
        ("GROUP_MEMBER_ADD", {"timestamp": 1790000000, "group_openid": GROUP}, "group", GROUP, False),
        ("GROUP_MEMBER_REMOVE", {"timestamp": 1790000000, "group_openid": GROUP}, "group", GROUP, False),
        ("GROUP_JOIN_REQUEST", JOIN, "group", GROUP, False),
        ("SUBSCRIBE_MESSAGE_STATUS", {"openid": USER, "result": []}, "c2c", USER, False),
        ("INTERACTION_CREATE", CLICK | {"type": 13}, "group", GROUP, True),
        ("INTERACTION_CREATE", {"id": INTERACTION, "user_openid": USER}, "c2c", USER, True),
        ("INTERACTION_CREATE", {"id": INTERACTION, "channel_id": "5"}, "channel", "5", True),
        ("MESSAGE_AUDIT_PASS", AUDIT, "channel", "1661124", False),
        ("MESSAGE_AUDIT_REJECT", {"audit_id": "a", "user_openid": USER}, "c2c", USER, False),
        ("READY", {"session_id": "s"}, None, None, False),
        ("RESUMED", "", None, None, False),
        ("GUILD_CREATE", {"id": "47129941624960822"}, None, None, False),
        ("MESSAGE_REACTION_ADD", {"user_id": "1", "channel_id": "5"}, "channel", "5", False),
        ("SOMETHING_NEW", {"a": 1}, None, None, False),
    ],
)
def test_other_events_have_no_turn(
    name: str,
    d: Any,
    scene: str | None,
    conversation: str | None,
    anchor: bool,  # noqa: FBT001
) -> None:
    got = classify(name, d)
    assert (got.key, got.scene, got.conversation) == ("payload:1", scene, conversation)
    assert not got.wants_turn
    assert got.why_no_turn
    assert got.anchor == ("event_id:payload:1" if anchor else None)


def test_times_of_other_events() -> None:
    assert classify("GROUP_JOIN_REQUEST", JOIN).timestamp == NOON + 120
    assert classify("MESSAGE_AUDIT_PASS", AUDIT).timestamp == NOON + 360
    assert classify("FRIEND_ADD", {"openid": USER, "timestamp": 1790000000}).timestamp == 1790000000


# --- classify: turns


def test_a_bots_message_has_no_turn_and_no_anchor() -> None:
    for name, d in MESSAGES.items():
        for bot in (True, 1, "true"):
            got = classify(name, d | {"author": d["author"] | {"bot": bot}})
            assert not got.wants_turn
            assert got.is_bot
            assert got.anchor is None
            assert "bot" in got.why_no_turn


@pytest.mark.parametrize("bot", [False, None, 0, "", "false", [], {}, 17])
def test_an_odd_bot_flag_does_not_cost_the_turn(bot: Any) -> None:
    got = classify("C2C_MESSAGE_CREATE", C2C | {"author": {"user_openid": USER, "bot": bot}})
    assert got.wants_turn
    assert not got.is_bot


@pytest.mark.parametrize(
    ("mentions", "turn"),
    [
        ([{"scope": "single", "is_you": True}], True),
        ([{"is_you": True}], True),
        ([{"scope": "all", "is_you": True, "username": "all"}], False),
        ([{"scope": "all", "is_you": True}, {"scope": "single", "is_you": True}], True),
        ([{"scope": "single", "is_you": False, "bot": True}], False),
        ([{"scope": "single", "bot": True}], False),
        ([], False),
        (None, False),
        ("x", False),
        ([None, 3, "x", []], False),
        ([None, {"scope": [], "is_you": True}], False),
    ],
)
def test_full_mode_needs_a_mention_of_the_bot_itself(mentions: Any, turn: bool) -> None:  # noqa: FBT001
    for name in ("GROUP_MESSAGE_CREATE", "MESSAGE_CREATE"):
        got = classify(name, MESSAGES[name] | {"mentions": mentions})
        assert got.wants_turn is turn
        assert got.anchor == f"msg_id:{MESSAGES[name]['id']}"


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_missing_optional_fields_do_not_cost_the_turn(name: str) -> None:
    needed = {"author", "group_openid", "channel_id", "guild_id", "mentions"}
    turn = classify(name, MESSAGES[name]).wants_turn
    for missing in set(MESSAGES[name]) - needed:
        d = {key: value for key, value in MESSAGES[name].items() if key != missing}
        assert classify(name, d).wants_turn is turn, missing
    bare = {key: value for key, value in MESSAGES[name].items() if key in needed}
    got = classify(name, bare)
    assert got.wants_turn is turn
    assert got.key == "payload:1"
    assert got.anchor is None


@pytest.mark.parametrize("name", sorted(MESSAGES))
@pytest.mark.parametrize("odd", [None, 17, True, "x", [], {}, [[]], {"a": {}}, -1.5])
def test_odd_optional_fields_do_not_cost_the_turn(name: str, odd: Any) -> None:
    turn = classify(name, MESSAGES[name]).wants_turn
    for field in set(MESSAGES[name]) - {"author", "group_openid", "channel_id", "guild_id", "mentions"}:
        assert classify(name, MESSAGES[name] | {field: odd}).wants_turn is turn, field
        events.parse(name, json.dumps(MESSAGES[name] | {field: odd}).encode())


@pytest.mark.parametrize(
    ("name", "d", "conversation"),
    [
        ("C2C_MESSAGE_CREATE", {"author": {"id": USER}}, USER),
        ("C2C_MESSAGE_CREATE", {"user_openid": USER, "author": None}, USER),
        ("C2C_MESSAGE_CREATE", {"author": {"user_openid": ""}}, None),
        ("C2C_MESSAGE_CREATE", {}, None),
        ("GROUP_AT_MESSAGE_CREATE", {"group_id": GROUP}, GROUP),
        ("GROUP_AT_MESSAGE_CREATE", {"author": {"id": USER}}, None),
        ("AT_MESSAGE_CREATE", {"channel_id": 1661124}, "1661124"),
        ("AT_MESSAGE_CREATE", {"guild_id": "1"}, None),
        ("DIRECT_MESSAGE_CREATE", {"guild_id": 47129941624960822, "channel_id": "1"}, "47129941624960822"),
    ],
)
def test_which_conversation(name: str, d: dict[str, Any], conversation: str | None) -> None:
    got = classify(name, d | {"id": "m"})
    assert got.conversation == conversation
    assert got.wants_turn is (conversation is not None)
    assert got.anchor == ("msg_id:m" if conversation else None)
    assert got.key == "m"


@pytest.mark.parametrize("d", [b"null", b"[]", b"17", b'""', b"{", b"", b"\xff", b"[" * 10_000, b"<html>"])
def test_a_body_that_is_no_object(d: bytes) -> None:
    got = classify("C2C_MESSAGE_CREATE", d)
    assert (got.wants_turn, got.key, got.conversation, got.scene) == (False, "payload:1", None, "c2c")
    assert "cannot be read" in got.why_no_turn
    assert classify("C2C_MESSAGE_CREATE", d, None).key is None
    assert events.parse_message("C2C_MESSAGE_CREATE", d) is None
    assert isinstance(events.parse("C2C_MESSAGE_CREATE", d), events.Kept)


def test_nesting_bombs_beside_a_message_do_not_cost_the_turn() -> None:
    text = json.dumps(C2C | {"embeds": "BOMB"}).replace('"BOMB"', "[" * 10_000 + "]" * 10_000)
    got = classify("C2C_MESSAGE_CREATE", text.encode())
    assert (got.wants_turn, got.conversation) == (True, USER)
    assert message("C2C_MESSAGE_CREATE", text.encode()).text == "hello"
    through = wire.decode('{"op":0,"s":7,"t":"C2C_MESSAGE_CREATE","d":' + text + "}")
    assert isinstance(through, wire.Frame)
    assert events.classify(through).wants_turn


def test_half_a_surrogate_pair_does_not_cost_the_turn() -> None:
    text = json.dumps(C2C).replace("hello", "a\\ud83db")
    assert classify("C2C_MESSAGE_CREATE", text.encode()).wants_turn
    assert message("C2C_MESSAGE_CREATE", text.encode()).text == "a?b"


def test_a_text_of_one_megabyte_is_cheap_and_whole() -> None:
    text = "<@" + "x" * 1_000_000 + "&<faceType=1" * 10
    for name, sample in MESSAGES.items():
        d = json.dumps(sample | {"content": text}).encode()
        began = time.perf_counter()
        assert classify(name, d).conversation
        assert len(message(name, d).text) == len(text)
        assert time.perf_counter() - began < 3


def test_without_any_id_the_key_is_left_to_the_driver() -> None:
    body = {key: value for key, value in C2C.items() if key != "id"}
    assert classify("C2C_MESSAGE_CREATE", body, None).key is None
    assert classify("C2C_MESSAGE_CREATE", body, "").key is None
    assert classify("GUILD_UPDATE", {"id": "47129941624960822"}, None).key is None
    assert classify(None, {}, None) == events.Classified("", None, None, None, False, "no event that is answered")


def test_a_click_is_known_by_its_own_id_too() -> None:
    got = classify("INTERACTION_CREATE", CLICK, None)
    assert got.key == f"INTERACTION_CREATE:{INTERACTION}"
    assert got.anchor == f"event_id:INTERACTION_CREATE:{INTERACTION}"


# --- /stop


@pytest.mark.parametrize(
    ("name", "content", "stop"),
    [
        ("C2C_MESSAGE_CREATE", "/stop", True),
        ("C2C_MESSAGE_CREATE", " \n/stop\t", True),
        ("C2C_MESSAGE_CREATE", "/stop now", False),
        ("C2C_MESSAGE_CREATE", "please /stop", False),
        ("C2C_MESSAGE_CREATE", "/STOP", False),
        ("GROUP_AT_MESSAGE_CREATE", " /stop ", True),
        ("GROUP_MESSAGE_CREATE", f"<@{BOT}> /stop", True),
        ("GROUP_MESSAGE_CREATE", f"/stop<@{BOT}>", True),
        ("GROUP_MESSAGE_CREATE", f"<@{MEMBER}> /stop", False),
        ("AT_MESSAGE_CREATE", "<@!7000000000000000001> /stop", True),
        ("MESSAGE_CREATE", "<@!7000000000000000001> /stop", False),  # no turn, nothing to stop
        ("DIRECT_MESSAGE_CREATE", "/stop", True),
        ("C2C_MESSAGE_CREATE", None, False),
        ("C2C_MESSAGE_CREATE", ["/stop"], False),
    ],
)
def test_stop(name: str, content: Any, stop: bool) -> None:  # noqa: FBT001
    assert classify(name, MESSAGES[name] | {"content": content}).is_stop is stop


def test_a_bots_stop_stops_nothing() -> None:
    body = C2C | {"content": "/stop", "author": {"user_openid": USER, "bot": True}}
    assert not classify("C2C_MESSAGE_CREATE", body).is_stop


# --- time


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-09-20T10:00:00+08:00", NOON),
        ("2026-09-20T02:00:00Z", NOON),
        ("2026-09-20T02:00:00.250Z", NOON + 0.25),
        (1790000000, 1790000000.0),
        ("1790000000", 1790000000.0),
        (1790000000.5, 1790000000.5),
        ("2026-09-20T10:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        ("", None),
        (0, None),
        (-1, None),
        (1790000000000, None),
        (True, None),
        (None, None),
        ([], None),
        ("\u00b2", None),
        ("9" * 400, None),
    ],
)
def test_timestamps(value: Any, at: float | None) -> None:
    assert events.timestamp(value) == at


# --- parse_message


def test_a_private_message() -> None:
    assert message("C2C_MESSAGE_CREATE", C2C) == events.InboundMessage(
        id="ROBOT1.0_c2cAAAA.0001!",
        type="C2C_MESSAGE_CREATE",
        scene="c2c",
        conversation=USER,
        text="hello",
        sender=Sender(USER),
        attachments=(),
        quoted="",
        msg_idx="REFIDX_CAAQAA0001==",
        quoted_idx="",
        timestamp=NOON,
        raw=C2C,
    )


def test_a_group_message() -> None:
    got = message("GROUP_AT_MESSAGE_CREATE", GROUP_AT)
    assert (got.text, got.conversation) == ("/status", GROUP)
    assert got.sender == Sender(MEMBER, "Li", "member")
    assert got.msg_idx == "REFIDX_G0001=="


def test_a_full_mode_message_without_its_mention() -> None:
    got = message("GROUP_MESSAGE_CREATE", GROUP_FULL)
    assert got.text == "build?"
    assert got.sender.role == "owner"


def test_a_guild_message() -> None:
    got = message("AT_MESSAGE_CREATE", GUILD_AT)
    assert got.text == "hi <b>"
    assert got.sender == Sender("144115218182563108", "Zhao Z")
    assert message("DIRECT_MESSAGE_CREATE", DM).conversation == "47129941624960822"


def test_a_voice_message() -> None:
    got = message("C2C_MESSAGE_CREATE", VOICE)
    assert (got.text, got.sender) == ("", Sender(USER))
    assert got.attachments == (Attachment("voice", "https://sim/wav/2", "v.amr", 3170, text="what time is it"),)


def test_a_quote() -> None:
    got = message("C2C_MESSAGE_CREATE", QUOTE)
    assert (got.quoted, got.quoted_idx, got.msg_idx) == (
        "earlier bot text",
        "REFIDX_BOT0007==",
        "REFIDX_CAAQAA0003==",
    )


@pytest.mark.parametrize("elements", [None, [], [None], ["x"], [{}], [{"content": None}], {"0": {}}])
def test_a_quote_without_its_text(elements: Any) -> None:
    assert message("C2C_MESSAGE_CREATE", QUOTE | {"msg_elements": elements}).quoted == ""


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://a/b", "https://a/b"),
        ("http://a/b", "http://a/b"),
        ("//a/b", "https://a/b"),
        ("multimedia.nt.qq.com.cn/download?x=1", "https://multimedia.nt.qq.com.cn/download?x=1"),
        ("a/b?to=https://c", "https://a/b?to=https://c"),
        ("", ""),
        (None, ""),
    ],
)
def test_attachment_addresses(url: Any, read: str) -> None:
    got = message("C2C_MESSAGE_CREATE", C2C | {"attachments": [{"content_type": "image/png", "url": url}]})
    assert got.attachments == (Attachment("image/png", read),)


@pytest.mark.parametrize(
    ("ext", "idx"),
    [
        (["msg_idx=a=b=="], "a=b=="),
        (["msg_idx="], ""),
        (["msg_idx"], ""),
        ([None, 3, "=x", "msg_idx=y"], "y"),
        ("msg_idx=x", ""),
        (None, ""),
    ],
)
def test_ext(ext: Any, idx: str) -> None:
    assert message("C2C_MESSAGE_CREATE", C2C | {"message_scene": {"ext": ext}}).msg_idx == idx


def face(ext: Any, number: str = "178") -> str:
    coded = base64.b64encode(ext if isinstance(ext, bytes) else json.dumps(ext).encode()).decode()
    return f'<faceType=1,faceId="{number}",ext="{coded}">'


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"hi {face({'text': 'smile'})}!", "hi [smile]!"),
        (face({"text": "[smile]"}) + face({"text": "wave"}), "[smile][wave]"),
        (face({"text": ""}), "[face 178]"),
        (face({}), "[face 178]"),
        (face([]), "[face 178]"),
        (face(b"\xff\xff"), "[face 178]"),
        ('<faceType=3,faceId="",ext="!!">', "[face]"),
        ('<faceType=1,faceId="1"', '<faceType=1,faceId="1"'),
        ("a < b > c &lt;", "a < b > c &lt;"),
    ],
)
def test_faces(content: str, text: str) -> None:
    assert message("C2C_MESSAGE_CREATE", C2C | {"content": content}).text == text


LI = {"id": MEMBER, "member_openid": MEMBER, "username": "Li"}
US = {"member_openid": BOT, "is_you": True, "scope": "single"}


@pytest.mark.parametrize(
    ("name", "content", "mentions", "text"),
    [
        ("GROUP_MESSAGE_CREATE", f"<@{BOT}> ask <@{MEMBER}>", [US, LI], "ask @Li"),
        ("GROUP_MESSAGE_CREATE", f"ask <@{BOT}>", [US, LI], "ask"),
        ("GROUP_MESSAGE_CREATE", f"<@{MEMBER}> hi", [{"id": MEMBER}], f"<@{MEMBER}> hi"),
        ("GROUP_MESSAGE_CREATE", f"<@{MEMBER}> hi", None, f"<@{MEMBER}> hi"),
        ("GROUP_AT_MESSAGE_CREATE", f" <@{MEMBER}> hi", [LI], "@Li hi"),
        ("AT_MESSAGE_CREATE", "<@!7> hi", None, "hi"),
        ("AT_MESSAGE_CREATE", "<@7> hi <@!8>", [], "hi <@!8>"),
        ("AT_MESSAGE_CREATE", "<@!8> <@!7>", [{"id": "8", "username": "Li"}], "@Li <@!7>"),
        ("AT_MESSAGE_CREATE", "&lt;@!7&gt; &amp;lt;", [], "<@!7> &lt;"),
        ("DIRECT_MESSAGE_CREATE", "a &amp; b", [], "a & b"),
        ("C2C_MESSAGE_CREATE", "a &amp; b", [], "a &amp; b"),
    ],
)
def test_mentions_and_entities(name: str, content: str, mentions: Any, text: str) -> None:
    assert message(name, MESSAGES[name] | {"content": content, "mentions": mentions}).text == text


@pytest.mark.parametrize(
    ("author", "sender"),
    [
        ({"member_openid": MEMBER}, Sender(MEMBER)),
        ({"id": MEMBER}, Sender(MEMBER)),
        ({"id": 144115218182563108, "username": "Zhao", "bot": True}, Sender("144115218182563108", "Zhao", "", True)),
        (None, Sender("")),
        ([], Sender("")),
    ],
)
def test_senders(author: Any, sender: Sender) -> None:
    assert message("GROUP_AT_MESSAGE_CREATE", GROUP_AT | {"author": author}).sender == sender


def test_an_image() -> None:
    image = {"content_type": "image/png", "url": "https://a/b", "width": "640", "height": 480, "size": 7}
    got = message("C2C_MESSAGE_CREATE", C2C | {"attachments": [None, image, "x"]})
    assert got.attachments == (Attachment("image/png", "https://a/b", "", 7, 640, 480),)


# --- parse


def test_a_relation() -> None:
    body = {"timestamp": 1790000000, "group_openid": GROUP, "op_member_openid": MEMBER}
    got = events.parse("GROUP_ADD_ROBOT", json.dumps(body).encode())
    assert got == events.Relation("GROUP_ADD_ROBOT", "group", GROUP, MEMBER, "", 1790000000.0, body)


# 9.7: types 11 and 12 are clicks; the others are told and ask for nothing
@pytest.mark.parametrize(("kind", "is_click"), [*((n, n in {11, 12}) for n in (*range(11, 21), 2001)), ("11", True)])
def test_only_buttons_and_menus_are_clicks(kind: object, is_click: bool) -> None:  # noqa: FBT001
    for body in (CLICK | {"type": kind}, CLICK | {"type": None, "data": {"type": kind}}):
        got = classify("INTERACTION_CREATE", body)
        assert (got.is_click, got.wants_turn, bool(got.why_no_turn)) == (is_click, is_click, not is_click)
        assert got.anchor == "event_id:payload:1"
        assert not got.is_stop


def test_a_click_nobody_can_be_answered_in_gets_no_turn() -> None:
    got = classify("INTERACTION_CREATE", {"id": INTERACTION, "type": 11})
    assert (got.is_click, got.wants_turn, got.anchor) == (False, False, None)
    assert "which conversation" in got.why_no_turn
    nameless = classify("INTERACTION_CREATE", {"user_openid": USER, "type": 11})
    assert (nameless.is_click, nameless.wants_turn, nameless.why_no_turn) == (False, False, "a click without an id")


def test_an_entry_of_a_menu_carries_its_name() -> None:
    body = {"id": INTERACTION, "type": 12, "user_openid": USER, "data": {"resolved": {"feature_id": "f1"}}}
    got = events.parse("INTERACTION_CREATE", json.dumps(body).encode())
    assert isinstance(got, events.Interaction)
    assert (got.kind, got.user, got.button_data) == (12, USER, "f1")


def test_a_new_member() -> None:
    body = {"timestamp": "2026-09-20T02:00:00Z", "group_openid": GROUP, "member_openid": MEMBER}
    got = events.parse("GROUP_MEMBER_ADD", json.dumps(body).encode())
    assert got == events.Relation("GROUP_MEMBER_ADD", "group", GROUP, "", MEMBER, NOON, body)


def test_a_click() -> None:
    got = events.parse("INTERACTION_CREATE", json.dumps(CLICK).encode())
    assert got == events.Interaction(
        id=INTERACTION,
        kind=11,
        scene="group",
        conversation=GROUP,
        user=MEMBER,
        button_id="b1",
        button_data="approve:42",
        message_id="",
        timestamp=NOON + 180,
        raw=CLICK,
    )


def test_the_end_of_a_review() -> None:
    got = events.parse("MESSAGE_AUDIT_PASS", json.dumps(AUDIT).encode())
    assert got == events.Audit(True, "a1f0c2d4-0001", "08f1ccac09", "channel", "1661124", NOON + 360, AUDIT)
    rejected = events.parse("MESSAGE_AUDIT_REJECT", b'{"audit_id":"a"}')
    assert isinstance(rejected, events.Audit)
    assert (rejected.passed, rejected.message_id, rejected.scene) == (False, "", None)


def test_a_click_in_a_guild() -> None:
    clicked = {"button_id": "b1", "button_data": "x", "user_id": "144115218182563108", "message_id": "08f1ccac01"}
    body = {"id": INTERACTION, "channel_id": "5", "guild_id": "4", "data": {"type": 12, "resolved": clicked}}
    got = events.parse("INTERACTION_CREATE", json.dumps(body).encode())
    assert isinstance(got, events.Interaction)
    assert (got.kind, got.scene, got.conversation) == (12, "channel", "5")
    assert (got.user, got.message_id) == ("144115218182563108", "08f1ccac01")


@pytest.mark.parametrize(
    ("name", "d", "raw"),
    [
        ("SOMETHING_NEW", b'{"a":1}', {"a": 1}),
        ("FRIEND_ADD", b"{}", {}),
        ("INTERACTION_CREATE", b"{}", {}),
        ("INTERACTION_CREATE", b"[1]", [1]),
        ("RESUMED", b'""', ""),
        ("GUILD_CREATE", b"{", None),
    ],
)
def test_the_rest_is_kept(name: str, d: bytes, raw: Any) -> None:
    got = events.parse(name, d)
    assert isinstance(got, events.Kept)
    assert (got.type, got.raw) == (name, raw)
    assert got.why


def test_only_messages_are_messages() -> None:
    assert events.parse_message("FRIEND_ADD", json.dumps(C2C).encode()) is None
    assert isinstance(events.parse("C2C_MESSAGE_CREATE", json.dumps(C2C).encode()), events.InboundMessage)


# --- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = sorted({key for sample in (*MESSAGES.values(), VOICE, QUOTE, CLICK, AUDIT, JOIN) for key in sample})
INNER = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "user_openid",
            "member_openid",
            "bot",
            "is_you",
            "scope",
            "ext",
            "url",
            "content",
            "nick",
            "username",
        ]
    ),
    JSON,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), JSON | INNER | st.lists(INNER, max_size=3)) | JSON
NAMES = st.sampled_from([*events._KINDS, "GUILD_CREATE", ""]) | st.text(max_size=10)


@settings(deadline=None)
@given(NAMES, BODIES, st.none() | st.text())
def test_any_body_is_classified_and_parsed(name: str, body: Any, ident: str | None) -> None:
    d = json.dumps(body).encode()
    got = classify(name, d, ident)
    assert got.type == name
    assert got.wants_turn is not bool(got.why_no_turn)
    if got.wants_turn:
        assert got.conversation
        assert got.scene
        assert events.parse_message(name, d) is not None
    events.parse(name, d)


@settings(deadline=None)
@given(NAMES, st.binary())
def test_any_bytes_are_classified_and_parsed(name: str, d: bytes) -> None:
    classify(name, d)
    events.parse(name, d)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(C2C)), JSON))
def test_damage_never_gives_a_turn_to_nobody(damage: dict[str, Any]) -> None:
    got = classify("C2C_MESSAGE_CREATE", C2C | damage)
    assert got.wants_turn is (got.conversation is not None and not got.is_bot)
