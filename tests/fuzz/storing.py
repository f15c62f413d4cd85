"""Target: strange frames on a live connection. Each of them ends as a row, and messages come through afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from buoy.platforms.qq import translate
from buoy.protocol import session as m
from buoy.protocol import wire
from tests import clock
from tests.fuzz import frames
from tests.fuzz.hunting import Target
from tests.shells.between import Between
from tests.shells.rig import Rig, rig

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.letters import Arrival, Intake
    from tests.fuzz.choices import Choices
    from tests.shells.between import Job

CUT = b"\n---\n"
KEPT = (m.Dispatch, m.Ready, m.Resumed, m.Garbage)


def check(data: bytes, wrap: Callable[[Intake], Intake] = lambda door: door) -> None:
    """Send the frames one after the other to a gateway that is connected, and look at its rows."""
    clock.run(_play(data.split(CUT), wrap))


async def _play(raws: list[bytes], wrap: Callable[[Intake], Intake]) -> None:
    async with rig(wrap=wrap) as r:
        task = r.start()
        for raw in raws:
            await r.live(600)
            session = r.connection.state.session
            r.network.push(raw)
            for _ in range(8):
                await asyncio.sleep(0)
            while r.store.stats.waiting:
                await asyncio.sleep(0.001)
            assert not task.done(), "the connection ended"
            _check_row(r, raw, "" if session is None else session.id)
        await r.live(600)
        said = r.network.say("after all that")
        await r.until(lambda: said in r.rows(), 120)
        assert r.connection.health()["unstored"] == 0
        assert r.app.supervisor.job_failures == 0


def _check_row(r: Rig, raw: bytes, session: str) -> None:
    """It is there as it came, or one with its key is: the same id, or the same sequence of the session."""
    frame = wire.decode(raw)
    event = m.event_of(frame, 0)
    if not isinstance(event, KEPT):
        return
    session = getattr(event, "session_id", session)
    seq = getattr(event, "seq", None)
    found = r.ask("SELECT frame FROM inbox WHERE frame = ?", raw)
    if not found and isinstance(frame, wire.Frame):
        row = translate.arrival(frame, raw, bot="", shard=0, session=session, seq=seq, now=0.0, skew_s=0.0)
        found = r.ask("SELECT frame FROM inbox WHERE key = ?", row.key)
    assert found, "no row"


def grow(choices: Choices) -> bytes:
    """Some frames."""
    return CUT.join(frames.grow(choices) for _ in range(1 + choices.below(8)))


# --- bugs that must be found -----------------------------------------------------------------------------------------


class Forgetful(Between):
    """Takes what nobody can read for worth nothing."""

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> Job:
        if arrival.type != "?":
            return super().put(arrival, opens_session=opens_session)
        done: Job = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Tidy(Between):
    """Stores what it understood, not what came."""

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> Job:
        tidy = arrival.frame.decode("utf-8", "replace").strip().encode()
        return super().put(replace(arrival, frame=tidy), opens_session=opens_session)


class Strict(Between):
    """Raises at a type that it does not know."""

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> Job:
        if arrival.type not in {"?", "", "READY", "RESUMED"} and not arrival.type.isupper():
            raise KeyError(arrival.type)
        return super().put(arrival, opens_session=opens_session)


PLANTED = {
    "what cannot be read is dropped": lambda data: check(data, Forgetful),
    "what was understood is stored": lambda data: check(data, Tidy),
    "an unknown type raises": lambda data: check(data, Strict),
}
TARGET = Target("storing", grow, check, PLANTED, examples=250, choices=(32, 256))
