"""Event bodies against protocol.md 9, and the switches for what varies in the wild."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buoy.sim import Settings, World
from buoy.sim.events import Happening, Meeting, Speech, happen, meet, say
from buoy.sim.peer import Peer

T0 = 1_790_000_000.0


class Ear(Peer):
    """A connection that keeps what it hears."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.frames: list[Any] = []

    def push(self, frame: bytes) -> None:
        self.frames.append(json.loads(frame))


def world_and_ear() -> tuple[World, list[Any]]:
    world = World(Settings(), now=T0)
    bot = world.add_bot("102000001", "s")
    ear = Ear(world)
    world.sessions.open(bot, bot.allowed_intents, (0, 1)).peers.append(ear)
    return world, ear.frames


def spoken(**switches: Any) -> list[tuple[str, Any]]:
    world, frames = world_and_ear()
    given: dict[str, Any] = {"text": "hello"} | switches
    say(world, Speech(**given), T0)
    return [(f["t"], f["d"]) for f in frames]


def test_c2c_has_the_fields_of_9_2() -> None:
    ((kind, d),) = spoken()
    assert kind == "C2C_MESSAGE_CREATE"
    assert set(d) == {"id", "timestamp", "content", "author", "message_type", "message_scene", "attachments"}
    assert d["timestamp"] == "2026-09-21T22:13:20+08:00"
    assert d["id"].startswith("ROBOT1.0_")
    assert d["author"]["id"] == d["author"]["user_openid"]
    assert len(d["author"]["user_openid"]) == 32
    assert d["message_scene"]["ext"][1].startswith("msg_idx=REFIDX_")


def test_group_at_and_full_mode() -> None:
    ((kind, d),) = spoken(scene="group")
    assert (kind, d["content"], d["mentions"]) == ("GROUP_AT_MESSAGE_CREATE", " hello ", [])
    assert d["group_id"] == d["group_openid"]
    assert d["author"]["member_role"] == "member"
    assert spoken(scene="group", at=False) == []
    ((kind, d),) = spoken(scene="group", full=True)
    assert kind == "GROUP_MESSAGE_CREATE"
    (mention,) = d["mentions"]
    assert (mention["is_you"], mention["scope"]) == (True, "single")
    assert d["content"] == f"<@{mention['id']}> hello"
    ((kind, d),) = spoken(scene="group", full=True, at=False)
    assert (kind, d["content"], d["mentions"]) == ("GROUP_MESSAGE_CREATE", "hello", [])
    ((kind, d),) = spoken(scene="group", full=True, everyone=True)
    assert d["mentions"][0]["scope"] == "all"
    both = spoken(scene="group", both=True)
    assert [k for k, _ in both] == ["GROUP_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE"]
    assert both[0][1]["id"] == both[1][1]["id"]


def test_a_group_can_be_set_to_full_mode() -> None:
    world, frames = world_and_ear()
    group = meet(world, Meeting(scene="group", receives_all=True))
    assert say(world, Speech(text="x", scene="group", at=False), T0).target == group
    assert frames[0]["t"] == "GROUP_MESSAGE_CREATE"


def test_guild_channel_and_dm() -> None:
    ((kind, d),) = spoken(scene="channel", text="a <b> & c")
    assert kind == "AT_MESSAGE_CREATE"
    assert d["content"] == "<@!7000000000000000001> a &lt;b&gt; &amp; c"
    assert d["author"]["id"].isdigit()
    assert d["guild_id"].isdigit()
    ((kind, _),) = spoken(scene="channel", full=True, at=False)
    assert kind == "MESSAGE_CREATE"
    assert [k for k, _ in spoken(scene="channel", both=True)] == ["MESSAGE_CREATE", "AT_MESSAGE_CREATE"]
    ((kind, d),) = spoken(scene="dm")
    assert (kind, d["direct_message"]) == ("DIRECT_MESSAGE_CREATE", True)
    assert d["src_guild_id"] != d["guild_id"]


@pytest.mark.parametrize("scene", ["c2c", "group", "channel", "dm"])
def test_switches(scene: str) -> None:
    ((_, bare),) = spoken(scene=scene, bare=True)
    assert "message_scene" not in bare
    assert "attachments" not in bare
    assert set(bare["author"]) in ({"user_openid"}, {"member_openid"}, {"id", "username", "avatar", "bot"})
    ((_, d),) = spoken(scene=scene, int_time=True)
    assert d["timestamp"] == int(T0)
    ((_, d),) = spoken(scene=scene, no_time=True)
    assert "timestamp" not in d
    ((_, d),) = spoken(scene=scene, from_bot=True, extra={"surprise": [1]}, message_id="X")
    assert (d["author"]["bot"], d["surprise"], d["id"]) == (True, [1], "X")
    ((_, d),) = spoken(scene=scene, attachments=[{"content_type": "voice", "url": "//sim/x"}])
    assert d["attachments"][0]["url"] == "//sim/x"


def test_a_quote() -> None:
    ((_, d),) = spoken(quote="earlier")
    assert d["message_type"] == 103
    assert d["msg_elements"][0]["content"] == "earlier"
    assert d["message_scene"]["ext"][1] == "ref_msg_idx=REFIDX_BOT0001=="


def test_relations_change_what_they_tell() -> None:
    world, frames = world_and_ear()
    bot = world.bot()
    user, group = meet(world, Meeting()), meet(world, Meeting(scene="group"))
    for kind, scene, target, field, value in (
        ("FRIEND_DEL", "c2c", user, "friend", False),
        ("FRIEND_ADD", "c2c", user, "friend", True),
        ("C2C_MSG_REJECT", "c2c", user, "proactive", False),
        ("C2C_MSG_RECEIVE", "c2c", user, "proactive", True),
        ("GROUP_DEL_ROBOT", "group", group, "friend", False),
        ("GROUP_ADD_ROBOT", "group", group, "friend", True),
        ("GROUP_MSG_REJECT", "group", group, "proactive", False),
        ("GROUP_MSG_RECEIVE", "group", group, "proactive", True),
    ):
        happen(world, Happening(type=kind), T0)
        d = frames[-1]["d"]
        assert frames[-1]["t"] == kind
        assert d["timestamp"] == int(T0)
        assert d.get("openid", d.get("group_openid")) == target
        assert getattr(world.relation(bot, scene, target), field) is value


def test_other_events() -> None:
    world, frames = world_and_ear()
    happen(world, Happening(type="GROUP_MEMBER_ADD", rfc_time=True), T0)
    assert frames[-1]["d"]["timestamp"] == "2026-09-21T14:13:20Z"
    click = happen(world, Happening(type="INTERACTION_CREATE", button_data="go", scene="group"), T0)
    frame = frames[-1]
    assert frame["id"] == click.id == "INTERACTION_CREATE:" + frame["d"]["id"]
    assert frame["d"]["data"]["resolved"]["button_data"] == "go"
    assert (frame["d"]["scene"], frame["d"]["chat_type"]) == ("group", 1)
    happen(world, Happening(type="NOBODY_KNOWS_THIS", d=[1, "x"]), T0)
    assert (frames[-1]["t"], frames[-1]["d"]) == ("NOBODY_KNOWS_THIS", [1, "x"])
    with pytest.raises(ValueError, match="give it in `d`"):
        happen(world, Happening(type="NOBODY_KNOWS_THIS"), T0)


def test_ids_belong_to_a_bot_and_are_stable_while_message_ids_are_not() -> None:
    worlds = [World(Settings(), seed=1, now=T0 + n) for n in range(2)]
    for world in worlds:
        world.add_bot("1", "s")
        world.add_bot("2", "s")
    first, again = (say(w, Speech(text="x"), T0) for w in worlds)
    assert first.user == again.user  # the same person after a restart of the simulator
    assert first.id != again.id  # but never the same message: clients remember ids
    assert say(worlds[0], Speech(text="x", bot="2"), T0).user != first.user
    with pytest.raises(ValueError, match="unknown"):
        say(worlds[0], Speech(text="x", bot="3"), T0)
    with pytest.raises(ValueError, match="use one of"):
        Speech(text="x", scene="nope")
