"""A file's way to QQ as data: it is handed in first, and a message that shows it follows. Nothing here sends.

Source: protocol.md 15.1 (upload, sizes), 10.1 (the message), 4.3 (codes), read 2026-11. The upload itself is no message
(``srv_send_msg`` stays false), so whatever becomes of it, nothing was accepted: its failures are all *early*.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from buoy.letters import Cause, Failed, Sent
from buoy.protocol import codes, rest, wire
from buoy.protocol.limits import FILE_TRIES

if TYPE_CHECKING:
    from collections.abc import Mapping

SCENES: Final = frozenset({"c2c", "group"})  # 15.1: there is no such call for guilds
FILE: Final = 4  # file_type: image 1, video 2, voice 3
MEDIA: Final = 7  # msg_type (10.1)
_MESSAGES: Final = "/messages"

_OF_THE_FILE: Final = frozenset({Cause.CONTENT, Cause.BUG, Cause.OPERATOR, Cause.ANCHOR, Cause.PROACTIVE})
"""Refusals of an upload that no repeat mends; there is neither an anchor nor a quota of messages in it."""


class _Upload(msgspec.Struct, gc=False):
    file_type: int
    file_data: str
    file_name: str
    srv_send_msg: bool = False


@dataclass(frozen=True, slots=True)
class Uploaded:
    """QQ has the file. ``file_info`` names it, in this scene only and not for long."""

    file_info: str


def build_upload(scene: str, id: str, text: str, name: str) -> rest.Request:  # noqa: A002  the platform's word
    """Build the request that hands a text in as a file.

    Raises:
        KeyError: this scene takes no files.
    """
    if scene not in SCENES:
        raise KeyError(scene)
    path = rest.build_text(scene, id, " ").path.removesuffix(_MESSAGES) + "/files"
    data = base64.b64encode(text.encode(errors="replace")).decode()
    return rest.Request("POST", path, msgspec.json.encode(_Upload(FILE, data, name)), scene=scene)


def build_message(
    scene: str,
    id: str,  # noqa: A002  the platform's word
    file_info: str,
    *,
    anchor: str | None = None,
    seq: int | None = None,
    reference: str | None = None,
) -> rest.Request:
    """Build the message that shows an uploaded file; arguments and errors as in :func:`rest.build_text`.

    Its text is one blank: older hosts refused an empty one (10.1).
    """
    blank = rest.build_text(scene, id, " ", anchor=anchor, seq=seq, reference=reference)
    fields = msgspec.json.decode(blank.body) | {"msg_type": MEDIA, "media": {"file_info": file_info}}
    return blank._replace(body=msgspec.json.encode(fields))


def parse_upload(status: int, headers: Mapping[str, str], body: bytes) -> Uploaded | Failed:
    """Read the answer to an upload. Total.

    What QQ will not take as a file, whatever the reason, is ``CONTENT``: the same text may go out as messages. What
    it refuses the bot as a whole stays as it is.
    """
    answer = wire.read(body)
    answer = answer if isinstance(answer, dict) else {}
    info = wire.text_of(answer.get("file_info"))
    if 200 <= status < 300 and info and not (wire.integer(answer.get("code")) or wire.integer(answer.get("err_code"))):
        return Uploaded(info)
    failed = rest.parse_answer(status, headers, body, passive=False, repeat=False)
    if isinstance(failed, Sent):
        failed = Failed(Cause.TRANSIENT, f"QQ took it and named no file (HTTP {status})", status=status)
    cause = failed.cause
    if cause is Cause.LOST:
        cause = Cause.TRANSIENT
    elif failed.code == codes.VOLUME_USED_UP or (cause in _OF_THE_FILE and failed.code not in codes.WHOLE_BOT):
        cause = Cause.CONTENT
    return replace(failed, cause=cause, reason=f"the upload failed: {failed.reason}", early=True)


def of_message(failed: Failed) -> Failed:
    """Say what it means that the message which shows the file was refused: the file may be at fault, not the text."""
    if failed.cause in {Cause.CONTENT, Cause.BUG}:
        return replace(failed, cause=Cause.CONTENT, early=True)
    is_of_the_file = failed.cause is Cause.TRANSIENT and failed.code in codes.FILE_FAILED
    return replace(failed, early=is_of_the_file)


def give_up(failed: Failed, attempts: int) -> Failed:
    """Turn a file that QQ has failed to take in so many attempts into one that it will not take."""
    is_of_the_file = failed.early and failed.cause in {Cause.TRANSIENT, Cause.UNREACHABLE}
    return replace(failed, cause=Cause.CONTENT) if is_of_the_file and attempts >= FILE_TRIES else failed
