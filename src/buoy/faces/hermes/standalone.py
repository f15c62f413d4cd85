"""Sends for cron and `hermes send` where this process runs no gateway of ours: as `buoy send` does.

A gateway that runs elsewhere on this data directory sends it; where none runs it is stored here and tried once. What
does not leave then is sent by the next gateway that starts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from buoy import config
from buoy.chat import Reply
from buoy.errors import BuoyError, BusyError, NotStoredError
from buoy.faces import sending
from buoy.faces.control import ask
from buoy.faces.hermes.account import Account, target_of
from buoy.faces.library import QQ
from buoy.protocol.limits import TEXT_LIMIT
from buoy.protocol.text import split

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PATIENCE_S: Final = 20.0  # Hermes gives a delivery of cron 60 s
AGAIN_S: Final = 0.5
KEPT = frozenset({"sent", "queued", "claimed", "held"})

log = logging.getLogger("buoy.hermes")


async def send(account: Account, chat: str, message: str, files: Sequence[Any]) -> dict[str, Any]:
    """Send one text, in parts where it is long; gives what Hermes wants to know: ``success`` or ``error``."""
    if files:
        log.warning("%d files were not sent: QQ gets texts only from here", len(files))
    told: dict[str, Any] = {}
    try:
        bot = QQ(account.app_id, account.client_secret, api_base=account.api_base, token_url=account.token_url)
        settings = config.of(account.data_dir.absolute(), [bot.settings], **account.tables())
        for piece in split(message, TEXT_LIMIT):
            reply = Reply(piece, markdown=account.markdown)
            told = await stored(partial(_send, settings, target_of(chat), reply, f"hermes/{uuid.uuid4().hex}"))
            if told["state"] not in KEPT:
                return {"error": f"{told['state']} (letter {told['id']}): {told.get('reason') or 'no reason known'}"}
    except BuoyError as error:
        return {"error": str(error)}
    if not told:
        return {"error": "the text is empty; QQ takes no empty message"}
    return {"success": True, "message_id": f"buoy:{told['id']}", "state": told["state"]}


async def stored(attempt: Callable[[], Awaitable[dict[str, Any]]], patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Repeat what a slow disk did not take in the 100 ms that a caller is promised.

    Each attempt goes by the same key: were one stored after all, behind our back, it is the same letter.

    Raises:
        NotStoredError: it was not taken in all that time.
    """
    ends_at = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            return await attempt()
        except NotStoredError:
            if asyncio.get_running_loop().time() >= ends_at:
                raise
        await asyncio.sleep(AGAIN_S)


async def _send(settings: config.Config, target: str, reply: Reply, key: str) -> dict[str, Any]:
    """Through the gateway that has the data directory, else once from here."""
    asked = {"target": target, "text": reply.text, "markdown": reply.markdown, "name": key}
    told = await asyncio.to_thread(ask, settings.data_dir, "send", **asked)
    if told is not None:
        return told
    try:
        return await sending.once(settings, os.environ, target, reply, key)
    except BusyError:  # one started in this moment
        told = await asyncio.to_thread(ask, settings.data_dir, "send", **asked)
        if told is None:
            raise
        return told
