"""One QQ bot as the gateway sees it: what it allows, what it learns, what it says of itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from buoy.chat import Reply, Target
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
