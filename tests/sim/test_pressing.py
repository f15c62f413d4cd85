"""Buttons in the simulator: who may press them, what comes of it, and the rules of the acknowledgement."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from buoy.sim.api import Api, locate
from buoy.sim.events import Speech, say
from buoy.sim.pressing import Press, press
from buoy.sim.world import World
from tests.sim.client import running
from tests.sim.test_control import Desk
from tests.sim.test_sends import T0, Stage, action, button, keys, md

OTHER = "102000002"


class Room(Stage):
    """A stage on which messages with buttons were sent."""

    def ask(self, *buttons: dict[str, Any], scene: str = "c2c", user: int = 0) -> str:
        said = self.say(scene, user=user)
        number = len(self.world.delivered) + 1
        fields = md() | keys([list(buttons)]) | {"msg_id": said.id}
        assert (
            self.send(said.target, scene, msg_seq=number, **(fields if scene in {"c2c", "group"} else bare(fields)))
            == 200
        )
        return self.world.delivered[-1].id

    def press(self, name: str, **switches: Any) -> Any:
        """What the bot is told; the event's body."""
        told: list[Any] = []

        def hear(*event: Any) -> int:
            told.append(event)
            return 1

        vars(self.world.sessions)["dispatch"] = hear
        press(self.world, Press(button=name, **switches), self.now)
        return told[-1][2] if told else None


def bare(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: fields[key] for key in ("content", "markdown", "keyboard", "msg_id")}


ALLOW, DENY = action() | {"id": "1", "render_data": {"label": "Allow"}}, button(id="2", render_data={"label": "Deny"})


def test_the_record_of_a_message_shows_its_buttons() -> None:
    room = Room()
    room.ask(ALLOW, DENY)
    (row,) = room.world.delivered[0].keyboard
    assert [(key.id, key.label, key.data, key.action, key.permission) for key in row] == [
        ("1", "Allow", "x", 1, 2),
        ("2", "Deny", "x", 1, 2),
    ]
    said = room.say()
    assert room.send(said.target, msg_id=said.id) == 200
    assert room.world.delivered[1].keyboard == []


@pytest.mark.parametrize("scene", ["c2c", "group", "channel", "dm"])
def test_a_click_carries_what_the_document_says(scene: str) -> None:
    room = Room()
    if scene == "channel":
        room.live()
    sent = room.ask(ALLOW, scene=scene)
    target = room.world.delivered[0].target
    d = room.press("Allow", scene=scene)
    assert (d["type"], d["version"], d["application_id"]) == (11, 1, "102000001")
    assert d["chat_type"] == {"c2c": 2, "group": 1}.get(scene, 0)
    assert d["scene"] == (scene if scene in {"c2c", "group"} else "guild")
    resolved = d["data"]["resolved"]
    assert (resolved["button_id"], resolved["button_data"]) == ("1", "x")
    where = {"c2c": "user_openid", "group": "group_openid", "channel": "channel_id", "dm": "guild_id"}[scene]
    assert d[where] == target
    if scene in {"channel", "dm"}:
        assert (resolved["message_id"], bool(resolved["user_id"])) == (sent, True)
    if scene == "group":
        assert d["group_member_openid"] == room.world.openid(room.bot, f"group/{target}/member", 0)


def test_the_last_message_with_buttons_is_meant_unless_one_is_named() -> None:
    room = Room()
    first = room.ask(ALLOW | {"action": {"type": 1, "data": "first"}})
    room.ask(ALLOW | {"action": {"type": 1, "data": "second"}})
    room.ask(ALLOW | {"action": {"type": 1, "data": "elsewhere"}}, user=1)
    assert room.press("Allow")["data"]["resolved"]["button_data"] == "second"
    assert room.press("first", message=first)["data"]["resolved"]["button_data"] == "first"
    assert room.press("1", user=1)["data"]["resolved"]["button_data"] == "elsewhere"


@pytest.mark.parametrize(
    ("switches", "why"),
    [
        ({"button": "Maybe"}, "there is no button 'Maybe'.*'Allow', 'Deny'"),
        ({"button": "Allow", "message": "no"}, "no message 'no' with buttons"),
        ({"button": "Allow", "user": 9}, "no message with buttons was sent to c2c"),
        ({"button": "Allow", "scene": "group"}, "no message with buttons was sent to group"),
    ],
)
def test_what_is_not_there_cannot_be_pressed(switches: dict[str, Any], why: str) -> None:
    room = Room()
    room.ask(ALLOW, DENY)
    with pytest.raises(ValueError, match=why):
        press(room.world, Press(**switches), room.now)


@pytest.mark.parametrize(
    ("permission", "switches", "may"),
    [
        ({"type": 2}, {"user": 5}, True),
        ({"type": 0, "specify_user_ids": ["MEMBER"]}, {"user": "MEMBER"}, True),
        ({"type": 0, "specify_user_ids": ["MEMBER"]}, {"user": 5}, False),
        ({"type": 0, "specify_user_ids": ["MEMBER"]}, {"user": 5, "admin": True}, False),
        ({"type": 1}, {"user": 5}, False),
        ({"type": 1}, {"user": 5, "admin": True}, True),
        ({"type": 3, "specify_role_ids": ["4"]}, {"user": 5}, False),
        ({"type": 3, "specify_role_ids": ["4"]}, {"user": 5, "admin": True}, True),
    ],
)
def test_the_app_lets_only_those_press_whom_the_button_allows(
    permission: dict[str, Any],
    switches: dict[str, Any],
    may: bool,  # noqa: FBT001
) -> None:
    room = Room()
    room.ask(action(permission=permission) | {"render_data": {"label": "Allow"}}, scene="group")
    if may:
        assert room.press("Allow", scene="group", **switches) is not None
    else:
        with pytest.raises(ValueError, match="may not press 'Allow'"):
            room.press("Allow", scene="group", **switches)


def test_a_command_is_said_and_a_link_leads_away() -> None:
    room = Room()
    room.ask(
        action(type=2, data="/help"), action(type=0, data="https://a.b") | {"id": "2", "render_data": {"label": "site"}}
    )
    assert room.press("/help")["content"] == "/help"
    with pytest.raises(ValueError, match="opens 'https"):
        room.press("site")


# --- the acknowledgement (16.3, 20) ---------------------------------------------------------------------------------


def acknowledge(world: World, ident: str, now: float, body: bytes = b'{"code":0}', bot: str = "102000001") -> int:
    """Returns 200, or the code of the refusal."""
    api = Api(world, lambda: "")
    token, _ = world.issue_token(world.bot(bot), now)
    answer = api.answer("PUT", locate(f"/interactions/{ident}"), f"QQBot {token}", body, now)
    return 200 if answer.status == 200 else int(json.loads(answer.body)["code"])


def clicked(room: Room) -> str:
    room.ask(ALLOW)
    return press(room.world, Press(button="Allow"), room.now).id.partition(":")[2]


def test_a_click_is_acknowledged_once_by_its_own_bot() -> None:
    room = Room()
    room.world.add_bot(OTHER, "secret")
    ident = clicked(room)
    assert acknowledge(room.world, "nobody", T0) == 630001
    assert acknowledge(room.world, ident, T0, bot=OTHER) == 630003
    assert acknowledge(room.world, ident, T0) == 200
    assert acknowledge(room.world, ident, T0) == 630001


@pytest.mark.parametrize(("after_s", "counter"), [(3.0, "interactions_acked"), (3.1, "interactions_late")])
def test_a_late_acknowledgement_is_accepted_and_counted(after_s: float, counter: str) -> None:
    room = Room()
    ident = clicked(room)
    assert acknowledge(room.world, ident, T0 + after_s) == 200
    assert room.world.counters[counter] == 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"code":"0"}', b'{"code":6}', b'{"code":-1}', b'{"code":true}', b"[0]"])
def test_an_acknowledgement_needs_a_result(body: bytes) -> None:
    room = Room()
    ident = clicked(room)
    assert acknowledge(room.world, ident, T0, body) == 630001
    assert acknowledge(room.world, ident, T0, b'{"code":5}') == 200


def test_acknowledgements_have_a_rate() -> None:
    room = Room()
    told = [acknowledge(room.world, "nobody", T0) for _ in range(51)]
    assert told.count(100017) == 1


# --- over the control API -------------------------------------------------------------------------------------------


def test_a_person_presses_over_the_control_api() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            desk = Desk(sim, client.http)
            await client.identify(1 << 25 | 1 << 26)
            said = say(sim.world, Speech(text="hello"), sim.clock.now())
            await client.recv()
            sent = await client.send(said.target, "", msg_id=said.id, **(md() | keys([[ALLOW]]) | {"content": ""}))
            assert sent.status == 200
            (shown,) = (await desk("GET", "/log"))[1]
            assert shown["keyboard"][0][0]["label"] == "Allow"
            status, pressed = await desk("POST", "/press", button="Allow")
            assert (status, pressed["heard"]) == (200, 1)
            assert (await client.recv())["id"] == pressed["id"]
            assert await sim.press("Allow", message=shown["id"]) != pressed["id"]
            status, told = await desk("POST", "/press", button="Never")
            assert status == 400
            assert "there are 'Allow'" in told["error"]
            await desk("POST", "/bots", app_id="102000001", keyboards=False)
            refused = await client.send(
                said.target, "", msg_id=said.id, msg_seq=2, **(md() | keys([[ALLOW]]) | {"content": ""})
            )
            assert refused.json["code"] == 304057

    asyncio.run(main())
