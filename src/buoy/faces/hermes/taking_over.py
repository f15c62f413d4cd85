"""Takes over what a dead Hermes process left in its ledger of replies; see :mod:`buoy.faces.hermes.ledger`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from buoy.chat import Reply, Target
from buoy.durable import conversation
from buoy.errors import BuoyError
from buoy.faces.hermes.account import target_of
from buoy.faces.hermes.ledger import KEPT_S, Known, Verdict, judge
from buoy.protocol.limits import TEXT_LIMIT
from buoy.protocol.text import split

if TYPE_CHECKING:
    from buoy.gateway.app import App

log = logging.getLogger("buoy.hermes")


async def take_over(app: App, bot: str, platform: str) -> dict[str, str]:
    """Settle Hermes' owed replies before Hermes looks at them; returns answers of open turns, by message id.

    Hermes that has no ledger, or another one, is left alone.
    """
    try:
        from gateway import delivery_ledger as owed  # noqa: PLC0415  Hermes' own, since 0.19

        if not owed.ledger_enabled():
            return {}
        rows = await asyncio.to_thread(owed.sweep_recoverable, None, deliverable_platforms={platform})
    except Exception as error:  # noqa: BLE001  whatever it is, Hermes sends them itself then
        log.debug("Hermes' ledger was not read: %s", error)
        return {}
    adopted: dict[str, str] = {}
    for row in rows:
        chat, content = str(row["chat_id"]), str(row["content"])
        verdict, message = judge(row, known(app, bot, Target.parse(target_of(chat)).lane), owed.compute_obligation_id)
        log.info("a reply that Hermes owes %s: %s", chat, verdict.name)
        if verdict is Verdict.ADOPT:
            adopted[message] = content
        elif verdict is Verdict.SEND and not await _send(app, chat, content, str(row["obligation_id"])):
            continue
        await asyncio.to_thread(owed.mark_delivered, row["obligation_id"])
    return adopted


async def _send(app: App, chat: str, content: str, name: str) -> bool:
    """Queue a reply as letters of its own; False: the disk did not take it, and Hermes keeps it."""
    try:
        for n, piece in enumerate(split(content, TEXT_LIMIT)):
            await app.send(target_of(chat), Reply(piece), key=f"hermes/{name}/{n}", origin="hermes")
    except BuoyError as error:
        log.warning("a reply that Hermes owes was not queued: %s", error)
        return False
    return True


def known(app: App, bot: str, lane: str) -> Known:
    """What our store knows of a conversation's last day."""
    turns = app.store.read(conversation.turns, bot, lane)
    letters = app.store.read(conversation.letters, bot, lane, app.wall() - KEPT_S)
    text_of: Any = app.platforms[bot].text_of
    return Known(
        answered=frozenset(letter.turn for letter in letters if letter.turn),
        open=frozenset(turn.key for turn in turns),
        texts=frozenset(text_of(letter.body).strip() for letter in letters if letter.body is not None),
    )
