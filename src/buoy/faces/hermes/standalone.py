"""Sends for cron and `hermes send` where this process runs no gateway of ours: as `buoy send` does.

A gateway that runs elsewhere on this data directory sends it; where none runs it is stored here and tried once. What
does not leave then is sent by the next gateway that starts.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from buoy import config
from buoy.chat import Reply
from buoy.errors import BuoyError, BusyError
from buoy.faces import sending
from buoy.faces.control import ask
from buoy.faces.hermes.account import Account, target_of
from buoy.faces.library import QQ
from buoy.protocol.limits import TEXT_LIMIT
from buoy.protocol.text import split

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            told = await _send(settings, target_of(chat), Reply(piece, markdown=account.markdown))
            if told["state"] not in KEPT:
                return {"error": f"{told['state']} (letter {told['id']}): {told.get('reason') or 'no reason known'}"}
    except BuoyError as error:
        return {"error": str(error)}
    if not told:
        return {"error": "the text is empty; QQ takes no empty message"}
    return {"success": True, "message_id": f"buoy:{told['id']}", "state": told["state"]}


async def _send(settings: config.Config, target: str, reply: Reply) -> dict[str, Any]:
    """Through the gateway that has the data directory, else once from here."""
    asked = {"target": target, "text": reply.text, "markdown": reply.markdown}
    told = await asyncio.to_thread(ask, settings.data_dir, "send", **asked)
    if told is not None:
        return told
    try:
        return await sending.once(settings, os.environ, target, reply, None)
    except BusyError:  # one started in this moment
        told = await asyncio.to_thread(ask, settings.data_dir, "send", **asked)
        if told is None:
            raise
        return told
