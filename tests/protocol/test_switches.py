"""Which events tell about messages without an anchor, typed a second time by hand from protocol.md 9.5."""

from __future__ import annotations

import json

import pytest

from buoy.protocol import events, wire
from buoy.protocol.switches import SWITCHES, TICK_S

ALLOWED = {
    "C2C_MSG_RECEIVE": True,
    "GROUP_MSG_RECEIVE": True,
    "C2C_MSG_REJECT": False,
    "GROUP_MSG_REJECT": False,
    "FRIEND_DEL": False,
    "GROUP_DEL_ROBOT": False,
    "FRIEND_ADD": None,
    "GROUP_ADD_ROBOT": None,
}


def test_each_event_tells_what_the_page_says() -> None:
    assert {name: switch.allowed for name, switch in SWITCHES.items()} == ALLOWED
    assert all(switch.meaning for switch in SWITCHES.values())
    assert TICK_S == 1


@pytest.mark.parametrize("name", ALLOWED)
def test_each_of_them_names_its_conversation_and_contacts_can_be_replied_to(name: str) -> None:
    ids = {"group_openid": "G", "openid": "U", "timestamp": 1790000000}
    frame = wire.decode(json.dumps({"op": 0, "s": 1, "t": name, "id": f"{name}:1", "d": ids}).encode())
    assert isinstance(frame, wire.Frame)
    told = events.classify(frame)
    assert (told.scene, told.conversation) == (("group", "G") if name.startswith("GROUP") else ("c2c", "U"))
    assert (told.anchor is not None) is (ALLOWED[name] is not False)
