"""One QQ bot as the gateway sees it: what it allows, what it learns, what it says of itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from buoy.chat import Button, Click, Reply, Sender, Target
from buoy.errors import ConfigError
from buoy.letters import Anchor, Cause, Event, Failed, Hold, Letter, LetterState, Proactive, Sent, Use, Wait
from buoy.platforms.qq.connection import Connection
from buoy.platforms.qq.platform import QQ, Account
from buoy.protocol.session import initial

NOW = 1_790_000_000.0
DAY_S = 86_400.0


class Clock:
    """Wall seconds that the test moves."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def bot(clock: Clock | None = None, **changes: Any) -> QQ:
    account = Account("1", "secret", ("https://qq.test",), ("https://qq.test/token",), 1 << 25, **changes)
    return QQ(account, environ={}, monotonic=lambda: 0.0, wall=clock or Clock())


def letter(scene: str = "c2c", **changes: Any) -> Letter:
    return Letter(1, "k/1", "1", f"qq:{scene}:U", b'{"text":"x"}', LetterState.QUEUED, NOW, **changes)


NO = Failed(Cause.PROACTIVE, "no")


def test_a_refusal_of_proactive_messages_is_believed_for_a_day_or_until_one_goes_through() -> None:
    clock = Clock()
    qq = bot(clock)
    assert qq.plan(letter(), [], clock.now) == Proactive()
    no = qq.learn(letter(), NO)
    held = qq.plan(letter(), [], clock.now + DAY_S, no)
    assert isinstance(held, Hold)
    assert "(no)" in held.reason
    assert qq.plan(letter(), [], clock.now + DAY_S + 1, no) == Proactive()
    yes = qq.learn(letter("group"), Sent("id"))
    assert qq.plan(letter("group"), [], clock.now, yes) == Proactive()


def test_what_became_of_a_reply_says_nothing_about_proactive_messages() -> None:
    assert bot().learn(letter(anchor="msg_id:M"), Sent("id")) is None


def test_groups_are_not_written_to_first_unless_the_operator_says_so() -> None:
    assert isinstance(bot().plan(letter("group"), [], NOW), Hold)
    assert bot(proactive=frozenset({"group"})).plan(letter("group"), [], NOW) == Proactive()


def test_only_channels_ask_for_a_session_and_only_where_there_is_a_connection() -> None:
    qq, said = bot(), [Anchor(1, "msg_id:M", NOW - 1, 0, open=False)]
    assert isinstance(qq.plan(letter("channel"), said, NOW), Use)  # `buoy send` without a gateway just tries
    qq.connection = Connection.__new__(Connection)
    vars(qq.connection)["state"] = initial(1)
    assert isinstance(qq.plan(letter("channel"), said, NOW), Wait)
    for scene in ("c2c", "group", "dm"):
        assert isinstance(qq.plan(letter(scene), said, NOW), Use)


@pytest.mark.parametrize(("scene", "window_s"), [("c2c", 3600), ("group", 300), ("channel", 300), ("dm", 300)])
def test_anchors_are_looked_for_as_far_back_as_they_live(scene: str, window_s: float) -> None:
    assert bot().alive_since(f"qq:{scene}:a:b", NOW) == NOW - window_s


def test_a_target_that_qq_does_not_know_is_refused_with_a_remedy() -> None:
    bot().check(Target.parse("qq:c2c:U"))
    with pytest.raises(ConfigError, match="qq:c2c:, qq:group:"):
        bot().check(Target.parse("qq:user:U"))


def test_a_message_of_ours_is_one_letter_or_refused() -> None:
    assert bot().text_of(bot().body(Reply("hi"))) == "hi"
    with pytest.raises(ConfigError, match="4200 characters; one QQ message takes 4000, send it in parts"):
        bot().body(Reply("word " * 840))
    with pytest.raises(ConfigError, match="blank"):
        bot().body(Reply(" \n" * 2500))


def frame(**more: Any) -> bytes:
    body = {"id": "M", "author": {"user_openid": "U"}, "content": "hi", "message_scene": {"ext": ["msg_idx=R"]}}
    return json.dumps({"op": 0, "s": 2, "t": "C2C_MESSAGE_CREATE", "d": body | more}).encode()


def event() -> Event:
    return Event(1, "1", "qq:c2c:U", "C2C_MESSAGE_CREATE", "M", frame(), "msg_id:M", NOW, NOW, 1, uses=3)


def test_conversations_name_the_bot_only_where_there_are_several() -> None:
    alone, one_of_two = bot().read(event()), bot(names_bot=True).read(event())
    assert alone is not None
    assert one_of_two is not None
    assert (alone.conversation, one_of_two.conversation) == ("qq:c2c:U", "qq:c2c:U@1")


def test_letters_of_a_turn_know_the_replies_that_were_used_and_what_to_quote() -> None:
    told = bot().compose(event(), [Reply("a", quote=True), Reply("b")])
    assert [json.loads(one) for one in told] == [{"text": "a\n\nb", "reference": "R"}]


def test_what_only_announces_a_file_is_no_part_of_the_conversation() -> None:
    told = bot().compose(replace(event(), uses=0), [Reply("word " * 5000)])
    assert [bot().text_of(one) for one in told] == ["", "word " * 5000]


def test_before_it_runs_it_says_so_as_plain_data() -> None:
    health = bot().health()
    assert (health["connected"], health["phase"]) == (False, "not started")
    assert json.loads(json.dumps(health, allow_nan=False)) == health


@pytest.mark.parametrize(
    ("outcome", "doubts"),
    [
        (Failed(Cause.UNREACHABLE, "the name cannot be resolved"), True),
        (Failed(Cause.LOST, "no answer"), False),  # it left: the host is there
        (Sent("r"), False),
    ],
)
def test_a_host_that_sends_cannot_reach_is_doubted(outcome: Failed | Sent, *, doubts: bool) -> None:
    class Fixed:
        async def deliver(self, _: Letter) -> Failed | Sent:
            return outcome

    async def main() -> None:
        account = Account("1", "s", ("https://a.test", "https://b.test"), ("https://a.test/token",), 1 << 25)
        qq = QQ(account, environ={}, monotonic=lambda: 0.0, wall=Clock())
        vars(qq)["_delivery"] = Fixed()
        assert await qq.deliver(letter()) == outcome
        assert qq._locator._doubted.is_set() is doubts

    asyncio.run(main())


# --- buttons and clicks -------------------------------------------------------------------------------------------


def rows(count: int) -> tuple[tuple[Button, ...], ...]:
    return (tuple(Button(f"B{n}", f"d{n}") for n in range(count)),)


def test_buttons_that_qq_would_refuse_never_cost_the_text() -> None:
    told = bot().compose(replace(event(), uses=0), [Reply("pick", buttons=rows(26)), Reply("or", buttons=rows(6))])
    bodies = [json.loads(one) for one in told]
    assert [one["text"] for one in bodies] == ["pick", "or"]
    assert "buttons" not in bodies[0]
    assert [len(row) for row in bodies[1]["buttons"]] == [2, 2, 2]


def test_a_message_of_ours_with_impossible_buttons_is_refused_in_one_line() -> None:
    assert json.loads(bot().body(Reply("pick", buttons=rows(6))))["buttons"][0][0]["label"] == "B0"
    with pytest.raises(ConfigError, match="there are 26 buttons; QQ takes 25 under one message"):
        bot().body(Reply("pick", buttons=rows(26)))
    with pytest.raises(ConfigError, match="a button has no data"):
        bot().body(Reply("pick", buttons=((Button("x", ""),),)))


def test_the_text_of_a_letter_is_its_text_whatever_stands_below_it() -> None:
    assert bot().text_of(bot().body(Reply("Run *this*?", buttons=rows(1)))) == "Run *this*?"


def clicked(scene: str = "c2c", kind: int = 11, **more: Any) -> Event:
    who = {
        "c2c": {"user_openid": "U"},
        "group": {"group_openid": "G", "group_member_openid": "MEMBER"},
        "channel": {"channel_id": "5", "guild_id": "4"},
    }[scene]
    d = {"id": "5b8f", "type": kind, "data": {"type": kind, "resolved": {"button_data": "yes", "user_id": "77"}}}
    frame_ = json.dumps(
        {"op": 0, "s": 2, "t": "INTERACTION_CREATE", "id": "INTERACTION_CREATE:5b8f", "d": d | who | more}
    )
    lane = {"c2c": "qq:c2c:U", "group": "qq:group:G", "channel": "qq:channel:5"}[scene]
    key = "INTERACTION_CREATE:5b8f"
    return Event(0, "1", lane, "INTERACTION_CREATE", key, frame_.encode(), f"event_id:{key}", NOW, NOW, 1)


@pytest.mark.parametrize(("scene", "user"), [("c2c", "U"), ("group", "MEMBER"), ("channel", "77")])
@pytest.mark.parametrize("kind", [11, 12])
def test_a_click_says_who_pressed_what_where(scene: str, user: str, kind: int) -> None:
    row = clicked(scene, kind)
    assert bot().click(row) == Click("INTERACTION_CREATE:5b8f", row.lane, Sender(user), "yes", NOW)
    assert bot().read(row) is None
    one_of_two = bot(names_bot=True).click(row)
    assert one_of_two is not None
    assert one_of_two.conversation == f"{row.lane}@1"


def test_other_rows_are_no_clicks() -> None:
    assert bot().click(event()) is None
    assert bot().click(clicked(kind=13)) is None
    for nonsense in (b"", b"[]", b'{"op":0,"t":"INTERACTION_CREATE","d":[1]}', b"\xff"):
        assert bot().click(replace(clicked(), frame=nonsense)) is None


def test_typing_means_something_to_who_wrote_a_private_message() -> None:
    assert bot().types(event())
    assert not bot().types(replace(event(), anchor=None))
    assert not bot().types(clicked())
    for scene in ("group", "channel", "dm"):
        assert not bot().types(replace(event(), lane=f"qq:{scene}:X"))
