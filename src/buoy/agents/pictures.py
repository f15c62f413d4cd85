"""Pictures of a message for a model that sees: fetched while their addresses live, handed over inside the request.

QQ's addresses expire, and a model on this machine cannot fetch them at all. Only what the message itself names is
fetched: over http or https, without following a redirect, within bounds. What cannot be had stays a line of text.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Final

from yarl import URL

from buoy.agents.wire import BrokenError, NotSentError, Wire, take
from buoy.errors import ConfigError

if TYPE_CHECKING:
    from buoy.chat import Message

MOST: Final = 4  # ours: pictures of one message
BYTES: Final = 5 * 1024 * 1024  # ours, each; a third more inside the request, and common endpoints take 20 MB
FETCH_S: Final = 15.0


async def shown(message: Message, wire: Wire) -> list[str]:
    """Give the pictures of a message as data URLs, in order; one that cannot be had is left out."""
    wanted = [file.url for file in message.attachments if file.content_type.lower().startswith("image")][:MOST]
    found = await asyncio.gather(*(_fetch(url, wire) for url in wanted))
    return [url for url in found if url]


async def _fetch(address: str, wire: Wire) -> str:
    try:
        url = URL(address)
        if url.scheme not in {"http", "https"} or not url.host:
            return ""
        async with asyncio.timeout(FETCH_S), wire.request("GET", url, headers={"Accept": "image/*"}) as response:
            if response.status != 200:
                return ""
            body = await take(response, BYTES)
    except (ValueError, TimeoutError, NotSentError, BrokenError, ConfigError):  # the last: a proxy that we cannot use
        return ""
    kind = kind_of(body)
    return f"data:{kind};base64,{base64.b64encode(body).decode()}" if kind else ""


def kind_of(body: bytes) -> str:
    """Give the type of a picture by its first bytes, as what a server says is no proof; empty: no model takes it."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body[:6] in {b"GIF87a", b"GIF89a"}:
        return "image/gif"
    return "image/webp" if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else ""
