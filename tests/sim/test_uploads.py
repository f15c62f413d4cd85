"""Every check of an upload (protocol.md 15.1, 20), and the message that shows the file."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import pytest

from buoy.sim import Delivered, Settings, World, settings
from buoy.sim.content import Refusal
from buoy.sim.events import Meeting, meet
from buoy.sim.sends import send
from buoy.sim.uploads import upload
from tests.sim.client import running

T0 = 1_790_000_000.0
PNG, MP4, SILK = b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x18ftypmp42", b"\x02#!SILK_V3"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Stage:
    """A world with one bot, a friend and a group, and a clock that the test moves."""

    def __init__(self, **knobs: Any) -> None:
        self.world = World(Settings(**knobs), seed=1, now=T0)
        self.bot = self.world.add_bot("102000001", "secret")
        self.bot.proactive["group"] = True
        self.now = T0
        self.targets = {scene: meet(self.world, Meeting(scene=scene)) for scene in ("c2c", "group")}

    def upload(self, scene: str = "c2c", **fields: Any) -> Any:
        """Returns the answer, or the code of the refusal."""
        body = {"file_type": 4, "file_data": encoded(b"hello"), "file_name": "a.md"} | fields
        answer = upload(self.world, self.bot, scene, self.targets[scene], json.dumps(body).encode(), self.now)
        return answer.code if isinstance(answer, Refusal) else json.loads(answer.body)

    def show(self, info: str, scene: str = "c2c", **fields: Any) -> int:
        """Returns 200, or the code of the refusal."""
        body = {"msg_type": 7, "content": " ", "media": {"file_info": info}} | fields
        answer = send(self.world, self.bot, scene, self.targets[scene], json.dumps(body).encode(), self.now)
        return answer.code if isinstance(answer, Refusal) else answer.status

    @property
    def shown(self) -> Delivered:
        (message,) = self.world.delivered
        return message


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_a_file_is_uploaded_and_then_shown_with_its_text(scene: str) -> None:
    stage = Stage()
    answer = stage.upload(scene, file_data=encoded("全文\n".encode()))
    assert answer["ttl"] == 300
    assert answer["file_uuid"]
    assert "id" not in answer
    assert stage.show(answer["file_info"], scene) == 200
    shown = stage.shown
    assert (shown.msg_type, shown.text, shown.file_name, shown.file_text) == (7, "", "a.md", "全文\n")
    assert shown.shown == "全文\n"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"file_type": 0}, 10000),
        ({"file_type": 5}, 10000),
        ({"file_type": "4"}, 10000),
        ({"file_type": True}, 10000),
        ({"file_type": None}, 10000),
        ({"file_data": None}, 10000),
        ({"file_data": ""}, 10000),
        ({"file_data": 7}, 10000),
        ({"url": "https://a.example/a.md"}, 10000),
        ({"upload_id": "u"}, 10000),
        ({"file_data": None, "upload_id": "u"}, 10000),
        ({"file_data": "not base64!"}, 850019),
        ({"file_data": "é"}, 850019),
        ({"file_type": 1}, 850019),
        ({"file_type": 2}, 850019),
        ({"file_type": 3}, 850019),
        ({"file_data": None, "url": "ftp://a.example/a.md"}, 850026),
        ({"file_data": None, "url": "a.md"}, 850026),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: int) -> None:
    assert Stage().upload(**fields) == code


@pytest.mark.parametrize(
    "fields",
    [
        {"file_type": 1, "file_data": encoded(PNG)},
        {"file_type": 2, "file_data": encoded(MP4)},
        {"file_type": 3, "file_data": encoded(SILK)},
        {"file_name": None},
        {"file_data": None, "url": "https://a.example/a.md"},
        {"srv_send_msg": False},
    ],
)
def test_what_is_taken(fields: dict[str, Any]) -> None:
    stage = Stage()
    assert stage.show(stage.upload(**fields)["file_info"]) == 200


def test_no_json_and_nobody_to_send_it_to() -> None:
    stage = Stage()
    for body in (b"{", b"[]", b"\xff"):
        refused = upload(stage.world, stage.bot, "c2c", stage.targets["c2c"], body, T0)
        assert isinstance(refused, Refusal)
        assert refused.code == 12002
    meet(stage.world, Meeting(friend=False))
    meet(stage.world, Meeting(scene="group", muted=True))
    assert (stage.upload(), stage.upload("group")) == (40054004, 850018)


def test_sizes() -> None:
    assert Stage(file_limit=30).upload(file_data=encoded(b"x" * 31)) == 850031
    stage = Stage(file_limit=30)
    assert stage.bot.uploads[stage.upload(file_data=encoded(b"x" * 30))["file_info"]].data == b"x" * 30
    stage = Stage()
    info = stage.upload(file_type=1, file_data=encoded(PNG + bytes(settings.FILE_SOFT_LIMITS[1])))["file_info"]
    assert stage.bot.uploads[info].kind == 4, "above its soft limit it is a file"


def test_the_volume_of_a_day_and_the_next_day() -> None:
    stage = Stage(upload_day_limit=12)
    assert [stage.upload() if n > 1 else bool(stage.upload()) for n in range(3)] == [True, True, 40093002]
    stage.now += 86_400
    assert stage.upload()["file_info"]


def test_a_file_belongs_to_its_scene_its_bot_and_its_time() -> None:
    stage = Stage()
    info = stage.upload()["file_info"]
    assert stage.show(info, "group") == 304080
    assert stage.show("forged") == 304080
    assert stage.show(info, media={"file_info": 7}) == 304080
    assert stage.show(info, media="x") == 304080
    stage.now += 299
    assert stage.show(info) == 200
    stage.now += 1
    assert stage.show(info) == 304080
    stage.upload()
    assert len(stage.bot.uploads) == 1, "what has expired is forgotten"


def test_a_life_of_zero_is_for_ever() -> None:
    stage = Stage(file_info_life_s=0.0)
    answer = stage.upload()
    assert answer["ttl"] == 0
    stage.now += 1e7
    assert stage.show(answer["file_info"]) == 200


def test_a_media_message_is_a_reply_like_any_other() -> None:
    stage = Stage()
    info = stage.upload()["file_info"]
    assert stage.show(info, msg_id="nobody said this") == 40034024
    assert stage.show(info, markdown={"content": "x"}) == 22006
    meet(stage.world, Meeting(proactive=False))
    assert stage.show(info) == 40054013


def test_an_upload_may_be_sent_at_once_as_a_proactive_message() -> None:
    stage = Stage()
    answer = stage.upload(srv_send_msg=True)
    assert (stage.shown.id, stage.shown.proactive, stage.shown.file_text) == (answer["id"], True, "hello")
    meet(stage.world, Meeting(proactive=False))
    assert stage.upload(srv_send_msg=True) == 40054013


def test_uploads_have_a_rate_of_their_own() -> None:
    stage = Stage()
    assert [stage.upload() for _ in range(51)][-1] == 100017


# --- over the socket --------------------------------------------------------------------------------------------------


def test_the_endpoint_answers_and_faults_can_name_it() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            target = sim.meet()
            body = {"file_type": 4, "file_data": encoded(b"hello")}
            path = f"/v2/users/{target}/files"
            sim.faults.add("error_code", code=850027, endpoint="files", count=1)
            assert (await client.call("POST", path, body)).codes == (400, 850027, 850027)
            assert (await client.call("GET", path, body)).status == 405
            assert (await client.call("POST", f"/channels/{target}/files", body)).status == 404
            info = (await client.call("POST", path, body)).json["file_info"]
            shown = await client.send(target, " ", msg_type=7, media={"file_info": info})
            assert shown.status == 200
            assert sim.delivered[0].file_text == "hello"
            sim.faults.add("taken_down")
            assert (await client.call("POST", path, body)).codes[1] == 40054016
            assert sim.world.counters["requests_files"] == 3, "the injected one never came so far"

    asyncio.run(main())


def test_a_request_beyond_the_front_ends_limit_is_413_in_html_and_one_below_is_read_whole() -> None:
    async def main() -> None:
        async with running(body_limit=3_000_000) as (sim, client):
            await client.get_token()
            url = f"{sim.api_base}/v2/groups/{sim.meet('group')}/files"
            headers = {"Authorization": f"QQBot {client.token}"}
            answers = []
            for size in (3_000_000, 2_000_000):
                body = io.BytesIO(b'{"file_type":4,"file_data":"%s"}' % (b"A" * size))
                async with client.http.post(url, data=body, headers=headers) as answer:
                    answers.append((answer.status, answer.headers["Content-Type"]))
            assert answers == [(413, "text/html"), (200, "application/json")]
            (file,) = sim.world.bot().uploads.values()
            assert len(file.data) == 1_500_000

    asyncio.run(main())
