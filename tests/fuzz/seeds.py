"""What the simulated platform says, as seeds: every event in its variants, every frame of a session, and answers.

``python -m tests.fuzz.seeds`` writes the corpus anew, from :mod:`buoy.sim` and the unusual answers below.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from buoy.protocol import rest, wire
from buoy.sim.api import Api, locate
from buoy.sim.events import Happening, Speech, happen, say
from buoy.sim.faults import Fault
from buoy.sim.peer import Peer
from buoy.sim.settings import Settings
from buoy.sim.world import World

CORPUS = Path(__file__).parent / "corpus"
NOW = 1_790_000_000.0
BOT, SECRET = "102000001", "SIMSECRETSIMSECRET01"
INTENTS = 1 << 9 | 1 << 12 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 27 | 1 << 30
IMAGE = {"content_type": "image/png", "url": "//multimedia.nt.qq.com.cn/a", "filename": "a.png", "size": 1, "width": 2}
VOICE = {"content_type": "voice", "url": "x/y", "voice_wav_url": "https://x/y", "asr_refer_text": "words", "size": "9"}
FACE = '<faceType=1,faceId="13",ext="eyJ0ZXh0Ijoi5ZGy54mZIn0=">'
SPEECHES: list[dict[str, Any]] = [
    *({"text": "hello", "scene": scene} for scene in ("c2c", "group", "channel", "dm")),
    *({"text": "/stop", "scene": scene} for scene in ("c2c", "group", "channel")),
    {"text": "both", "scene": "group", "both": True},
    {"text": "both", "scene": "channel", "both": True},
    {"text": "everyone", "scene": "group", "full": True, "everyone": True},
    {"text": "not for us", "scene": "group", "full": True, "at": False},
    {
        "text": f"a face {FACE} &lt;b&gt; <@123>",
        "scene": "c2c",
        "quote": "what was said",
        "attachments": [IMAGE, VOICE],
    },
    {"text": "bare", "bare": True, "int_time": True},
    {"text": "no time", "no_time": True, "from_bot": True},
]
HAPPENINGS = [
    *("FRIEND_ADD", "FRIEND_DEL", "C2C_MSG_REJECT", "C2C_MSG_RECEIVE", "GROUP_ADD_ROBOT", "GROUP_DEL_ROBOT"),
    *("GROUP_MSG_REJECT", "GROUP_MSG_RECEIVE", "GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE", "INTERACTION_CREATE"),
]
AUDIT = {
    "audit_id": "a1",
    "message_id": "m1",
    "channel_id": "c1",
    "guild_id": "g1",
    "audit_time": "2026-11-01T10:00:00Z",
}
PAGE = "<html>\r\n<head><title>502</title></head>\r\n<body><center><h1>502</h1></center><hr>stgw</body></html>"
DATE = "Sun, 01 Nov 2026 02:00:00 GMT"
UNUSUAL: list[tuple[int, dict[str, str], str]] = [
    (502, {"Content-Type": "text/html"}, PAGE),
    (429, {"Retry-After": "30"}, '{"code":22009,"message":"msg limit exceed"}'),
    (429, {"Retry-After": "Sun, 01 Nov 2026 02:01:00 GMT", "Date": DATE}, ""),
    (200, {}, '{"err_code":40054005,"message":"duplicate","trace_id":"t"}'),
    (202, {}, '{"code":304023,"message":"push review","data":{"message_audit":{"audit_id":"a1"}}}'),
    (400, {"X-Tps-trace-ID": "trace"}, '{"code":40034105,"err_code":40034105,"message":"no permission"}'),
    (408, {}, '{"code":0}'),
    (504, {}, ""),
    (204, {}, ""),
]


def build() -> dict[str, list[Any]]:
    """The corpus, from a world that always comes out the same."""
    world = World(Settings(lifetime_s=None), 0, NOW)
    world.add_bot(BOT, SECRET)
    api = Api(world, lambda: "wss://qq.test/websocket")
    frames: list[bytes] = []
    peer = Peer(world)

    def take() -> None:
        frames.extend(item for item in peer.out if isinstance(item, bytes))
        peer.out.clear()

    answers = [ask(api, "POST", wire.TOKEN_PATH, body=rest.build_token(BOT, SECRET))]
    token = json.loads(answers[0][2])["access_token"]
    peer.opened(NOW)
    peer.received(wire.identify(token, INTENTS, 0, 1), NOW)
    peer.received(wire.heartbeat(1), NOW)
    take()
    said = [say(world, Speech(**speech), NOW) for speech in SPEECHES]
    text = rest.build_text("c2c", said[0].target, "hi", anchor=f"{rest.MSG_ID}{said[0].id}", seq=1)
    alone = rest.build_text("group", said[1].target, "hi", anchor=None)
    answers += [ask(api, one.method, one.path, token, one.body) for one in (text, text, alone)]
    for kind in HAPPENINGS:
        happen(world, Happening(type=kind, button_data="data"), NOW)
    happen(world, Happening(type="MESSAGE_AUDIT_PASS", d=AUDIT), NOW)
    happen(world, Happening(type="SOMETHING_NEW", d=[1, "two", None]), NOW)
    take()
    for fault in ({"kind": "op1"}, {"kind": "op7", "mode": "none"}, {"kind": "op9", "resumable": True}):
        peer.strike(Fault(**fault), NOW)
    take()
    frames.append(wire.encode(wire.Op.DISPATCH, "", s=40, t="RESUMED"))
    answers += [ask(api, "GET", path, token) for path in (wire.GATEWAY_PATH, wire.GATEWAY_BOT_PATH, "/nowhere")]
    answers += [ask(api, "GET", wire.GATEWAY_PATH, "wrong"), ask(api, "POST", wire.TOKEN_PATH, body=b"{}")]
    return {"frames": [frame.decode() for frame in frames], "answers": [*answers, *map(list, UNUSUAL)]}


def ask(api: Api, method: str, path: str, token: str = "", body: bytes = b"") -> list[Any]:
    """One answer of the simulated API, as an entry of the corpus."""
    answer = api.answer(method, locate(path), f"{wire.AUTH_SCHEME} {token}" if token else None, body, NOW)
    return [answer.status, {"Date": DATE, "X-Tps-trace-ID": answer.trace}, answer.body.decode()]


@functools.cache
def frames() -> list[bytes]:
    """Frames as bytes."""
    return [frame.encode() for frame in json.loads((CORPUS / "frames.json").read_bytes())]


@functools.cache
def answers() -> list[tuple[int, dict[str, str], bytes]]:
    """Answers: status, headers, body."""
    found = json.loads((CORPUS / "answers.json").read_bytes())
    return [(status, headers, body.encode()) for status, headers, body in found]


if __name__ == "__main__":
    for name, entries in build().items():
        text = json.dumps(entries, indent=1, ensure_ascii=False)
        (CORPUS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
