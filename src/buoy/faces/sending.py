"""`buoy send`: through the running Buoy where there is one, else once, directly, from the same store."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any

from buoy.chat import Reply, Target
from buoy.config import Config
from buoy.durable import outbox
from buoy.durable.store import Store
from buoy.errors import EXIT_OK, EXIT_QUEUED, EXIT_REFUSED, BusyError
from buoy.faces import wiring
from buoy.faces.control import ask
from buoy.letters import LetterState

EXIT_UNSURE = 70
WAIT_S = 20.0  # one attempt ends within its own time-out of 15 s
SETTLED = frozenset({LetterState.SENT, LetterState.UNSURE, LetterState.DEAD, LetterState.HELD, LetterState.DROPPED})
OPEN = frozenset({LetterState.QUEUED, LetterState.CLAIMED})
CODES = {"sent": EXIT_OK, "unsure": EXIT_UNSURE, "dead": EXIT_REFUSED, "dropped": EXIT_REFUSED}
UNDER_WAY = {"claimed": "queued"}  # a running Buoy goes on with it


def send(config: Config, environ: Mapping[str, str], target: str, text: str, *, key: str | None) -> int:
    """Send one message, say what became of it, and return the exit code.

    Raises:
        ConfigError: target or text are not usable.
        NotStoredError: the disk did not take it.
    """
    Target.parse(target)
    told = ask(config.data_dir, "send", target=target, text=text, name=key)
    if told is None:
        try:
            told = asyncio.run(once(config, environ, target, Reply(text), key))
        except BusyError:  # one started in this moment
            told = ask(config.data_dir, "send", target=target, text=text, name=key)
            if told is None:
                raise
    return _say(told)


def _say(told: dict[str, Any]) -> int:
    state = str(told["state"])
    state = UNDER_WAY.get(state, state)
    reason = f": {told['reason']}" if told.get("reason") else ""
    print(f"{state} (letter {told['id']}){reason}", file=sys.stdout if state == "sent" else sys.stderr)
    return CODES.get(state, EXIT_QUEUED)


async def once(
    config: Config, environ: Mapping[str, str], target: str, reply: Reply, key: str | None
) -> dict[str, Any]:
    """No Buoy runs: take its place for one attempt. What does not leave stays queued for the next start."""
    store = Store.open(config.data_dir, now=time.time())
    app = wiring.assemble(config, store, wiring.platforms(config, environ), {})
    try:
        where = app.resolve(Target.parse(target))
        receipt = await app.send(where, reply, key=key, origin="cli")
        letter = store.read(outbox.get, receipt.id)
        if letter is not None and receipt.state in OPEN and letter.state in OPEN:
            app.sender.revive(letter)  # a caller's retry: the letter of then, which this process does not know of yet
        ends_at = time.monotonic() + WAIT_S
        while letter is not None and letter.state not in SETTLED and time.monotonic() < ends_at:
            if letter.attempts and letter.not_before > time.time():
                break  # it was tried, and its next try is later than we stay
            await asyncio.sleep(0.02)
            letter = store.read(outbox.get, receipt.id)
        assert letter is not None
        state = LetterState.UNSURE if letter.frozen else letter.state  # it left, and nobody stays to ask again
        return {"id": letter.id, "state": state.value, "reason": letter.reason}
    finally:
        await app.stop(deadline_s=config.shutdown.deadline_s)
