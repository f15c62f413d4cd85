"""Uploads: a file is handed in first, and a message that shows it follows. Request in, status and body out. Pure.

Sources: protocol.md 15.1 (fields, sizes), 4.3 (codes), 20 (which code for which check). Uploads in parts are not
simulated, and nothing is fetched: what stands behind a ``url`` is an empty file.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from buoy.sim import settings
from buoy.sim.content import MEDIA, Refusal, is_whole, no
from buoy.sim.sends import Accepted, find_target, send
from buoy.sim.world import Upload

if TYPE_CHECKING:
    from buoy.sim.world import Bot, World

FILE: Final = 4
_MAGIC: Final[dict[int, tuple[tuple[int, bytes], ...]]] = {  # file_type -> where which bytes may stand; 4 takes any
    1: ((0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"GIF8"), (0, b"BM"), (8, b"WEBP")),
    2: ((4, b"ftyp"),),
    3: ((0, b"#!SILK"), (1, b"#!SILK"), (0, b"ID3"), (0, b"OggS"), (8, b"WAVE")),
}
_MUTED: Final = 40054002


def upload(world: World, bot: Bot, scene: str, target: str, body: bytes, now: float) -> Accepted | Refusal:
    """Check one upload, keep the file if it passes, and answer with its ``file_info``."""
    if world.settings.limits and not bot.bucket("files", settings.FILES_PER_S).take(now):
        return no(100017, "frequency limit", status=429, err_code=40023001)
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        return no(12002, "request body is not a JSON object")
    relation = find_target(world, bot, scene, target)
    if isinstance(relation, Refusal):
        return no(850018, "bot is muted") if relation.code == _MUTED else relation
    file = _file(fields, world.settings.file_limit)
    if isinstance(file, Refusal):
        return file
    day = (int((world.wall(now) + settings.BEIJING_S) // settings.DAY_S), "upload")
    if bot.quota[day] + len(file.data) > world.settings.upload_day_limit:
        return no(40093002, "daily upload volume used up")
    bot.quota[day] += len(file.data)
    for known, old in list(bot.uploads.items()):
        if old.until is not None and old.until <= now:
            del bot.uploads[known]
    file.scene = scene
    life = world.settings.file_info_life_s
    file.until = now + life if life else None
    ident = world.trace()
    info = base64.urlsafe_b64encode(f"{scene}/{ident}".encode()).decode()
    bot.uploads[info] = file
    world.counters["uploads"] += 1
    answer: dict[str, Any] = {"file_uuid": ident, "file_info": info, "ttl": int(life)}
    if fields.get("srv_send_msg") is True:
        message = {"msg_type": MEDIA, "media": {"file_info": info}}
        sent = send(world, bot, scene, target, msgspec.json.encode(message), now)
        if isinstance(sent, Refusal):
            return sent
        answer["id"] = msgspec.json.decode(sent.body)["id"]
    return Accepted(msgspec.json.encode(answer))


def _file(fields: dict[str, Any], limit: int) -> Upload | Refusal:
    """Read the file out of the request: kind, exactly one source, what its first bytes say, its size."""
    kind, name = fields.get("file_type"), fields.get("file_name")
    if not is_whole(kind) or not 1 <= kind <= FILE:
        return no(10000, "file_type unsupported")
    sources = [source for source in ("url", "file_data", "upload_id") if fields.get(source)]
    if len(sources) != 1 or not isinstance(fields[sources[0]], str):
        return no(10000, "exactly one of url, file_data, upload_id is needed")
    given = fields[sources[0]]
    data = b""
    if sources == ["upload_id"]:
        return no(10000, "upload_id is unknown")
    if sources == ["url"]:
        address = urlsplit(given)
        if address.scheme not in {"http", "https"} or not address.hostname:
            return no(850026, "download failed", err_code=40034001)
    else:
        try:
            data = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            return no(850019, "media format unsupported", err_code=40034002)
        magic = _MAGIC.get(kind, ((0, b""),))
        if not any(data[at : at + len(mark)] == mark for at, mark in magic):
            return no(850019, "media format unsupported", err_code=40034002)
    if len(data) > limit:
        return no(850031, "file too large")
    if len(data) > settings.FILE_SOFT_LIMITS[kind]:
        kind = FILE  # above the soft limit it degrades to a file
    return Upload(kind, name if isinstance(name, str) else "", data)
