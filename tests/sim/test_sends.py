"""Every check of a send (protocol.md 20), on the pure world: request in, code out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buoy.sim import Said, Settings, World
from buoy.sim.content import Refusal
from buoy.sim.events import Happening, Meeting, Speech, happen, meet, say
from buoy.sim.peer import Peer
from buoy.sim.sends import Accepted, send

T0 = 1_790_000_000.0
BOT = "102000001"


class Stage:
    """A world with one bot and a clock that the test moves."""

    def __init__(self, **settings: Any) -> None:
        self.world = World(Settings(**settings), seed=1, now=T0)
        self.bot = self.world.add_bot(BOT, "secret")
        self.now = T0

    def say(self, scene: str = "c2c", **switches: Any) -> Said:
        return say(self.world, Speech(text="hello", scene=scene, **switches), self.now)

    def send(self, target: str, scene: str = "c2c", **fields: Any) -> int:
        """Returns 200, or the code of the refusal."""
        body = json.dumps({"content": "hi"} | fields).encode()
        answer = send(self.world, self.bot, scene, target, body, self.now)
        if isinstance(answer, Refusal):
            return answer.code
        return answer.status

    def live(self) -> None:
        """Pretend that the bot has a connection."""
        session = self.world.sessions.open(self.bot, 1 << 30, (0, 1))
        session.peers.append(Peer(self.world))


def md(**extra: Any) -> dict[str, Any]:
    return {"content": None, "msg_type": 2, "markdown": {"content": "**x**"} | extra}


def button(**extra: Any) -> dict[str, Any]:
    return {"id": "b", "render_data": {"label": "ok"}, "action": {"type": 1, "data": "x"}} | extra


def action(**extra: Any) -> dict[str, Any]:
    return button(action={"type": 1, "data": "x"} | extra)


def keys(rows: list[Any]) -> dict[str, Any]:
    return {"keyboard": {"content": {"rows": [{"buttons": row} for row in rows]}}}


CONTENT: list[tuple[dict[str, Any], int]] = [
    ({}, 200),
    ({"msg_type": 0}, 200),
    ({"msg_type": None}, 200),
    ({"content": ""}, 304061),
    ({"content": "  \n"}, 304061),
    ({"content": None}, 304061),
    ({"content": "x" * 5000}, 200),
    ({"content": "x" * 5001}, 40054007),
    ({"content": 5}, 12002),
    ({"msg_type": "0"}, 12002),
    ({"content": "see https://example.org/x"}, 40054010),
    ({"content": "see readme.md"}, 200),
    ({"markdown": {"content": "x"}}, 22006),
    ({"msg_type": 2}, 22006),
    ({"msg_type": 2, "markdown": {"content": "x"}}, 22006),
    (md(), 200),
    (md(content=""), 40034011),
    (md(content="x" * 5001), 40054007),
    (md(custom_template_id="t"), 50057),
    ({"content": "", "msg_type": 2, "markdown": {"custom_template_id": "t"}}, 40034127),
    ({"content": "", "msg_type": 2, "markdown": "x"}, 22006),
    ({"msg_type": 3, "ark": {}}, 304004),
    ({"msg_type": 4}, 340069),
    ({"msg_type": 5}, 340069),
    ({"msg_type": 99}, 340069),
    ({"msg_type": 7}, 22006),
    ({"msg_type": 7, "media": {"file_info": "x"}}, 304080),
    ({"msg_type": 6}, 50059),
    ({"msg_type": 6, "input_notify": {}}, 50059),
    ({"content": None, "msg_type": 6, "input_notify": {"input_type": 1, "input_second": 5}}, 200),
    ({"content": None, "msg_type": 6, "input_notify": {"input_type": 1, "input_second": 60}}, 200),
    ({"content": None, "msg_type": 6, "input_notify": {"input_type": 1, "input_second": 61}}, 50059),
    ({"content": None, "msg_type": 6, "input_notify": {"input_type": 1, "input_second": 0}}, 50059),
    ({"content": None, "msg_type": 6, "input_notify": {"input_type": 3}}, 50059),
    ({"msg_type": 6, "input_notify": {"input_type": 1}}, 22006),
    (md() | {"msg_type": 6, "input_notify": {"input_type": 1}}, 22006),
    (keys([[button()]]), 22006),
    (md() | keys([[button()]]), 200),
    (md() | {"keyboard": {"id": "t"}}, 200),
    (md() | {"keyboard": {"id": "t", "content": {"rows": []}}}, 305007),
    (md() | keys([[button(id=f"{n}{m}") for n in range(5)] for m in range(5)]), 200),
    (md() | keys([[button(id=f"{n}") for n in range(6)]]), 40034029),
    (md() | keys([[button(id=f"{n}")] for n in range(6)]), 40034029),
    (md() | keys([]), 305007),
    (md() | keys([[]]), 305007),
    (md() | keys([[button(id=3)]]), 305007),
    (md() | keys([[button(id="")]]), 305007),
    (md() | keys([[button(id=None), button(id=None)]]), 200),
    (md() | keys([[button(render_data={"label": "ok", "style": 4, "visited_label": "done"})]]), 200),
    (md() | keys([[button(render_data={"label": "ok", "style": 5})]]), 305007),
    (md() | keys([[button(render_data={"label": "ok", "style": "1"})]]), 305007),
    (md() | keys([[action(data=None)]]), 305007),
    (md() | keys([[action(data="")]]), 305007),
    (md() | keys([[action(type=0, data=None)]]), 305007),
    (md() | keys([[action(type=2, data=None)]]), 305007),
    (md() | keys([[action(type=4, data=None)]]), 200),
    (md() | keys([[action(permission={"type": 2})]]), 200),
    (md() | keys([[action(permission={"type": 1})]]), 200),
    (md() | keys([[action(permission={"type": 4})]]), 305007),
    (md() | keys([[action(permission={})]]), 305007),
    (md() | keys([[action(permission={"type": 0})]]), 305007),
    (md() | keys([[action(permission={"type": 0, "specify_user_ids": ["U"]})]]), 200),
    (md() | keys([[action(permission={"type": 0, "specify_user_ids": "U"})]]), 305007),
    (md() | keys([[action(permission={"type": 3})]]), 305007),
    (md() | keys([[action(permission={"type": 3, "specify_role_ids": ["1"]})]]), 200),
    (md() | keys([[action(modal={"content": "x" * 40, "confirm_text": "yes", "cancel_text": "no"})]]), 200),
    (md() | keys([[action(modal={"content": "x" * 41})]]), 305007),
    (md() | keys([[action(modal={"content": "see https://a.b"})]]), 305007),
    (md() | keys([[action(modal={"content": "sure?", "cancel_text": "never"})]]), 305007),
    (md() | keys([[button(), button()]]), 305007),
    (md() | keys([[button(render_data={"label": ""})]]), 305007),
    (md() | keys([[button(action={"type": 9})]]), 305007),
    (md() | {"keyboard": {"content": 3}}, 305007),
    (md() | {"keyboard": []}, 305007),
]


@pytest.mark.parametrize(("fields", "code"), CONTENT)
def test_content(fields: dict[str, Any], code: int) -> None:
    stage = Stage()
    said = stage.say()
    assert stage.send(said.target, msg_id=said.id, **fields) == code
    assert len(stage.world.delivered) == (code == 200)


def test_typing_is_for_c2c_only_and_costs_a_reply() -> None:
    stage = Stage()
    notice: dict[str, Any] = {"content": None, "msg_type": 6, "input_notify": {"input_type": 1}}
    group = stage.say("group")
    assert stage.send(group.target, "group", msg_id=group.id, **notice) == 340069
    said = stage.say()
    assert [stage.send(said.target, msg_id=said.id, msg_seq=n, **notice) for n in range(5)] == [200] * 4 + [40034128]
    assert stage.world.replies(said.id) == []


def test_a_body_that_is_no_object() -> None:
    stage = Stage()
    said = stage.say()
    for body in (b"", b"[]", b"nope", b"[" * 10_000, b'"\xff"'):
        answer = send(stage.world, stage.bot, "c2c", said.target, body, T0)
        assert isinstance(answer, Refusal)
        assert answer.code == 12002


def test_url_hosts_may_be_registered_and_bare_names_count_on_request() -> None:
    stage = Stage(bare_urls=True)
    stage.bot.url_hosts = {"example.org"}
    said = stage.say()
    assert stage.send(said.target, content="https://example.org/x and http://EXAMPLE.org:80") == 200
    assert stage.send(said.target, content="https://example.org.evil/x") == 40054010
    assert stage.send(said.target, content="read readme.md") == 40054010


@pytest.mark.parametrize(
    ("scene", "window", "late"), [("c2c", 3600, 40034005), ("group", 300, 40034005), ("channel", 300, 304027)]
)
def test_the_reply_window_closes(scene: str, window: int, late: int) -> None:
    stage = Stage()
    stage.live()
    said = stage.say(scene)
    stage.now += window
    assert stage.send(said.target, scene, msg_id=said.id) == 200
    stage.now += 1
    assert stage.send(said.target, scene, msg_id=said.id, msg_seq=2) == late


@pytest.mark.parametrize(("scene", "budget"), [("c2c", 4), ("group", 5)])
def test_the_reply_budget_ends(scene: str, budget: int) -> None:
    stage = Stage()
    said = stage.say(scene)
    codes = [stage.send(said.target, scene, msg_id=said.id, msg_seq=n) for n in range(1, budget + 3)]
    assert codes == [200] * budget + [40034128] * 2
    assert len(stage.world.replies(said.id)) == budget


def test_relaxed_has_a_window_but_no_budget() -> None:
    stage = Stage(relaxed=True)
    said = stage.say()
    assert [stage.send(said.target, msg_id=said.id, msg_seq=n) for n in range(9)] == [200] * 9


def test_the_same_seq_twice_is_refused_and_shown_once_even_with_the_budget_spent() -> None:
    stage = Stage()
    said = stage.say()
    assert stage.send(said.target, msg_id=said.id) == 200  # no msg_seq means 1
    assert stage.send(said.target, msg_id=said.id, msg_seq=1) == 40054005
    for seq in (2, 7, 4_000_000_000):
        assert stage.send(said.target, msg_id=said.id, msg_seq=seq) == 200
    assert stage.send(said.target, msg_id=said.id, msg_seq=7) == 40054005
    assert stage.world.counters["duplicates_refused"] == 2
    assert len(stage.world.replies(said.id)) == 4


@pytest.mark.parametrize("seq", [-1, 2**32, "1", True, 1.5])
def test_a_seq_that_is_no_uint32(seq: Any) -> None:
    stage = Stage()
    said = stage.say()
    assert stage.send(said.target, msg_id=said.id, msg_seq=seq) == 12002


def test_anchors_belong_to_a_bot_a_scene_and_a_target() -> None:
    stage = Stage()
    said, other = stage.say(), stage.say(user=1)
    assert stage.send(said.target, msg_id="ROBOT1.0_nope") == 40034024
    assert stage.send(said.target, msg_id=other.id) == 40034024
    assert stage.send(said.target, event_id="FRIEND_ADD:nope") == 40034025
    stranger = stage.world.add_bot("102000002", "s")
    theirs = say(stage.world, Speech(text="x", bot="102000002"), T0)
    assert stranger.anchors
    assert stage.send(said.target, msg_id=theirs.id) == 40034024


def test_event_anchors() -> None:
    stage = Stage()
    added = happen(stage.world, Happening(type="FRIEND_ADD"), T0)
    assert [stage.send(added.target, event_id=added.id, msg_seq=n) for n in range(5)] == [200] * 4 + [40034128]
    assert stage.send(added.target, msg_id=added.id) == 40034024  # right id, wrong field
    deleted = happen(stage.world, Happening(type="FRIEND_DEL", user=1), T0)
    meet(stage.world, Meeting(which=1, friend=True))
    assert stage.send(deleted.target, event_id=deleted.id) == 40034027
    stage.now += 3601
    again = happen(stage.world, Happening(type="C2C_MSG_RECEIVE"), T0)
    assert stage.send(again.target, event_id=again.id) == 40034026


def test_the_delivery_id_of_a_message_is_no_event_anchor() -> None:
    stage = Stage()
    said = stage.say()
    delivery = next(ident for ident in stage.bot.anchors if ident.startswith("C2C_MESSAGE_CREATE:"))
    assert stage.send(said.target, event_id=delivery) == 40034027
    assert stage.send(said.target, event_id=delivery, msg_id=said.id) == 200  # msg_id wins
    assert stage.world.counters["both_anchors"] == 1


def test_targets() -> None:
    stage = Stage()
    said, group = stage.say(), stage.say("group")
    assert stage.send("F" * 32) == 11255
    assert stage.send(said.target, "group") == 11255
    assert stage.send(group.target, "c2c") == 11255
    meet(stage.world, Meeting(which="not-hex"))
    assert stage.send("not-hex") == 11255
    meet(stage.world, Meeting(friend=False))
    assert stage.send(said.target, msg_id=said.id) == 40054004
    meet(stage.world, Meeting(scene="group", friend=False))
    assert stage.send(group.target, "group", msg_id=group.id) == 40034101
    meet(stage.world, Meeting(scene="group", friend=True, muted=True))
    assert stage.send(group.target, "group", msg_id=group.id) == 40054002


def test_any_id_goes_with_check_ids_off() -> None:
    stage = Stage(check_ids=False)
    said = stage.say(user="alice")
    assert said.target == "alice"
    assert stage.send("alice", msg_id=said.id) == 200
    assert stage.send("nobody has heard of me") == 200


def test_proactive_permissions() -> None:
    stage = Stage()
    said, group = stage.say(), stage.say("group")
    assert stage.send(said.target) == 200
    assert stage.world.delivered[-1].proactive
    assert stage.send(group.target, "group") == 40034105
    stage.bot.proactive |= {"c2c": False, "group": True}
    assert stage.send(said.target) == 40034102
    assert stage.send(group.target, "group") == 200
    stage.bot.proactive["c2c"] = True
    happen(stage.world, Happening(type="C2C_MSG_REJECT"), T0)
    assert stage.send(said.target) == 40054013
    assert stage.send(said.target, msg_id=said.id) == 200  # replies are not concerned
    happen(stage.world, Happening(type="GROUP_MSG_REJECT"), T0)
    assert stage.send(group.target, "group") == 40034105


def test_proactive_rates_and_the_day() -> None:
    stage = Stage()
    users = [stage.say(user=n).target for n in range(40)]
    assert [stage.send(u) for u in users[:6]] == [200] * 5 + [40034100]  # 5 a second, unverified
    stage.now += 60
    sent = 0
    for user in users:
        stage.now += 0.2
        sent += stage.send(user) == 200
    assert 30 <= sent <= 35  # 30 a minute, and what came in meanwhile
    stage = Stage()
    stage.bot.certified = True
    user = stage.say().target
    codes = []
    for _ in range(25):
        stage.now += 0.2
        codes.append(stage.send(user))
    assert 20 <= codes.count(200) <= 22  # 20 a minute for one user
    day = next(key for key in stage.bot.quota if key[1] == "c2c")
    stage.bot.quota[day] = 1000
    stage.now += 300
    assert stage.send(user) == 40034100
    stage.now += 86400
    assert stage.send(user) == 200


def test_limits_off_leaves_windows_and_budgets() -> None:
    stage = Stage(limits=False)
    said = stage.say()
    assert all(stage.send(said.target) == 200 for _ in range(200))
    codes = [stage.send(said.target, msg_id=said.id, msg_seq=n) for n in range(6)]
    assert codes == [200] * 4 + [40034128] * 2


def test_interface_limit() -> None:
    stage = Stage(relaxed=True)
    said = stage.say()
    codes = [stage.send(said.target, msg_id=said.id, msg_seq=n) for n in range(101)]
    assert codes == [200] * 100 + [100017]
    stage.now += 0.02
    assert stage.send(said.target, msg_id=said.id, msg_seq=999) == 200


def test_wake_up_ladder() -> None:
    stage = Stage()
    stage.bot.proactive["c2c"] = False
    said = stage.say()
    wake: dict[str, Any] = {"is_wakeup": True}
    assert stage.send(said.target, msg_id=said.id, **wake) == 40034123
    assert [stage.send(said.target, **wake) for _ in range(2)] == [200, 40034122]
    for days, code in (
        (1, 200),
        (2, 40034122),
        (3, 200),
        (6, 40034122),
        (7, 200),
        (29, 40034122),
        (30, 40034122),
    ):
        stage.now = T0 + days * 86400
        assert stage.send(said.target, **wake) == code, days
    stage.say()
    assert stage.send(said.target, **wake) == 200
    group = stage.say("group")
    assert stage.send(group.target, "group", **wake) == 40034123
    assert stage.send(meet(stage.world, Meeting(which=9)), **wake) == 40034123


def test_guild_channels_need_a_session_and_have_quotas() -> None:
    stage = Stage()
    said = stage.say("channel")
    assert stage.send(said.target, "channel", msg_id=said.id) == 304018
    stage.live()
    assert [stage.send(said.target, "channel", msg_id=said.id) for _ in range(5)] == [200] * 4 + [20028]
    stage.now += 10
    assert stage.send(said.target, "channel", content="") == 50006
    assert stage.send(said.target, "channel", markdown={"content": "x"}) == 50037
    assert stage.send(said.target, "channel", content="https://x.org") == 304003
    assert stage.send(said.target, "channel", msg_id="08nope") == 304026
    codes = []
    for _ in range(21):
        stage.now += 1
        codes.append(stage.send(said.target, "channel"))
    assert codes == [200] * 20 + [304045]
    second, third = stage.say("channel", room=1), stage.say("channel", room=2)
    assert stage.send(second.target, "channel") == 200
    assert stage.send(third.target, "channel") == 304047


def test_guild_dms_have_quotas() -> None:
    stage = Stage()
    said = stage.say("dm")
    assert [stage.send(said.target, "dm") for _ in range(3)] == [200, 200, 304049]
    assert stage.send(said.target, "dm", msg_id=said.id) == 200


def test_answers_have_the_shapes_of_10() -> None:
    stage = Stage()
    stage.live()
    said, post = stage.say(), stage.say("channel")
    ok = send(stage.world, stage.bot, "c2c", said.target, b'{"content":"a"}', T0)
    assert isinstance(ok, Accepted)
    answer = json.loads(ok.body)
    assert set(answer) == {"id", "timestamp", "ext_info"}
    assert answer["ext_info"]["ref_idx"].startswith("REFIDX_")
    assert answer["timestamp"].endswith("+08:00")
    body = json.dumps({"content": "a", "msg_id": post.id}).encode()
    ok = send(stage.world, stage.bot, "channel", post.target, body, T0)
    assert isinstance(ok, Accepted)
    full = json.loads(ok.body)
    assert full["channel_id"] == post.target
    assert full["author"]["bot"] is True
    old = Stage(ref_idx=False, int_timestamps=True)
    said = old.say()
    ok = send(old.world, old.bot, "c2c", said.target, b'{"content":"a"}', T0)
    assert isinstance(ok, Accepted)
    answer = json.loads(ok.body)
    assert set(answer) == {"id", "timestamp"}
    assert answer["timestamp"] == int(T0)


def test_the_log_keeps_what_was_delivered() -> None:
    stage = Stage()
    said = stage.say()
    stage.send(said.target, msg_id=said.id, msg_seq=3, message_reference={"message_id": "REFIDX_1"}, content="yes")
    (reply,) = stage.world.replies(said.id)
    assert (reply.text, reply.anchor, reply.msg_seq, reply.quote) == ("yes", said.id, 3, "REFIDX_1")
    assert (reply.scene, reply.target, reply.proactive, reply.at) == ("c2c", said.target, False, T0)
