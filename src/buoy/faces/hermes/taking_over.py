"""Takes over what a dead Hermes process left in its ledger of replies; see :mod:`buoy.faces.hermes.ledger`."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from buoy.chat import Reply
from buoy.errors import BuoyError
from buoy.faces.hermes.account import target_of
from buoy.faces.hermes.ledger import KEPT_S, Known, Verdict, judge
from buoy.protocol.limits import TEXT_LIMIT
from buoy.protocol.text import split

if TYPE_CHECKING:
    from buoy.faces.library import Gateway

log = logging.getLogger("buoy.hermes")


async def take_over(gateway: Gateway, platform: str) -> dict[str, str]:
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
        verdict, message = judge(row, known(gateway, chat), owed.compute_obligation_id)
        log.info("a reply that Hermes owes %s: %s", chat, verdict.name)
        if verdict is Verdict.ADOPT:
            adopted[message] = content
        elif verdict is Verdict.SEND and not await _send(gateway, chat, content, str(row["obligation_id"])):
            continue
        await asyncio.to_thread(owed.mark_delivered, row["obligation_id"])
    return adopted


async def _send(gateway: Gateway, chat: str, content: str, name: str) -> bool:
    """Queue a reply as letters of its own; False: the disk did not take it, and Hermes keeps it."""
    try:
        for n, piece in enumerate(split(content, TEXT_LIMIT)):
            await gateway.send(target_of(chat), Reply(piece), key=f"hermes/{name}/{n}")
    except BuoyError as error:
        log.warning("a reply that Hermes owes was not queued: %s", error)
        return False
    return True


def known(gateway: Gateway, chat: str) -> Known:
    """What our store knows of a chat's last day."""
    letters = gateway.letters(target_of(chat), since=time.time() - KEPT_S)

    def message(turn: str) -> str:  # a turn is BOT/MESSAGE
        return turn.partition("/")[2]

    return Known(
        answered=frozenset(message(letter.turn) for letter in letters if letter.turn),
        open=frozenset(message(turn.turn) for turn in gateway.open_turns(target_of(chat))),
        texts=frozenset(letter.text.strip() for letter in letters if letter.text),
    )
