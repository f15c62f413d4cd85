"""Files of a message for Hermes, which wants them on its own disk: images and voice are fetched, others are named."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buoy.chat import Attachment

FETCH_S: Final = 20.0  # for all files of one message; what is not there by then is named in the text
_ENDINGS: Final = {"image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "audio/wav": ".wav"}

log = logging.getLogger("buoy.hermes")


@dataclass(frozen=True, slots=True)
class Files:
    """What Hermes gets: paths with their types, and labels for what it does not get as a file."""

    paths: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


async def fetched(attachments: Sequence[Attachment]) -> Files:
    """Fetch through Hermes' own cache, which checks addresses and sizes. Never fails: a file becomes a label."""
    if not attachments:
        return Files()
    paths: list[str] = []
    types: list[str] = []
    labels: list[str] = []
    ends_at = asyncio.get_running_loop().time() + FETCH_S
    for file in attachments:
        path = await _fetched(file, ends_at)
        if path is None or file.text:  # what was said in a voice message is worth more than its sound
            labels.append(file.label)
        if path is not None:
            paths.append(path)
            types.append(file.content_type)
    return Files(tuple(paths), tuple(types), tuple(labels))


async def _fetched(file: Attachment, ends_at: float) -> str | None:
    from gateway.platforms import base  # noqa: PLC0415  Hermes' own

    kind = file.content_type.partition("/")[0]
    if kind not in {"image", "audio"} or not file.url:
        return None
    fetch = base.cache_image_from_url if kind == "image" else base.cache_audio_from_url
    ending = _ENDINGS.get(file.content_type, ".jpg" if kind == "image" else ".ogg")
    try:
        async with asyncio.timeout_at(ends_at):
            return str(await fetch(file.url, ending))
    except Exception as error:  # noqa: BLE001  an address that expired, a disk that is full: the message is not lost for it
        log.warning("a file of a message was not fetched: %s", error)
        return None
