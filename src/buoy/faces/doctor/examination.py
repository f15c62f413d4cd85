"""Gathers the facts: everything at once where nothing depends on it, each look with a deadline, all within 20 s."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from buoy.config import Config
from buoy.faces import wiring
from buoy.faces.aside import aside
from buoy.faces.doctor import answering, machine, processes, tally, trial, ways
from buoy.faces.doctor.calls import Rest
from buoy.faces.doctor.facts import Bot, Call, Database, Facts, Folder, Port, Records, Running, Settings, Trial, Way
from buoy.protocol import wire
from buoy.protocol.limits import DAY_S

LOCAL_S: Final = 6.0
ASK_S: Final = 8.0  # the control socket gives up after five
LEFT: Final = 50  # identifies that a trial leaves to the Buoy
RESUMABLE_S: Final = 15 * 60.0  # 6.5: sessions were resumed after five minutes; ours: and then some

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each look may take; a test makes them shorter."""

    call_s: float = 5.0
    walk_s: float = ways.WALK_S
    trial_s: float = trial.TRIAL_S
    spacing_s: float = trial.SPACING_S
    agent_s: float = answering.LOOK_S


DEADLINES: Final = Deadlines()


async def examine(
    config: Config,
    environ: Mapping[str, str],
    *,
    connect: bool | None = None,
    wall: Callable[[], float] = time.time,
    deadlines: Deadlines = DEADLINES,
) -> Facts:
    """Look at everything. ``connect``: try a session; None: only where that can take nothing from anybody."""
    process = await _local(lambda: processes.process(config, environ), Running(error="it does not answer"), ASK_S)
    theirs = environ if process.proxies is None else _as_they_see(environ, process.proxies)
    bots = tuple(
        Bot(
            bot.app_id,
            bot.api_base,
            bot.expect_event_h,
            bot.intents,
            len(tally.since(wiring.socket_name(bot), wall() - DAY_S)),
        )
        for bot in config.bots
    )
    names = tuple(bot.app_id for bot in bots)
    agents = [answering.look(bot, theirs, process.folder, within_s=deadlines.agent_s) for bot in config.bots]
    here, there, answers = await asyncio.gather(
        _machine(config, process, wall(), names),
        _qq(config, theirs, process, connect=connect, wall=wall, deadlines=deadlines),
        asyncio.gather(*agents),
    )
    folder, database, port, records = here
    calls, walked, trials = there
    return Facts(
        now=wall(),
        settings=Settings("", config.warnings, config.exposed, len(config.alerts.urls)),
        bots=bots,
        folder=folder,
        database=database,
        process=process,
        port=port,
        ways=walked,
        calls=calls,
        trials=trials,
        agents=tuple(answers),
        records=records,
    )


async def again(facts: Facts, config: Config, environ: Mapping[str, str]) -> Facts:
    """Look at this machine anew, after something was mended; what QQ said stays as it is."""
    process = await _local(lambda: processes.process(config, environ), facts.process, ASK_S)
    folder, database, port, records = await _machine(config, process, facts.now, tuple(b.app_id for b in facts.bots))
    settings = replace(facts.settings, warnings=config.warnings, exposed=config.exposed)
    return replace(
        facts,
        settings=settings,
        process=process,
        folder=folder,
        database=database,
        port=port,
        records=records or facts.records,
    )


async def without_settings(config: Config | None, error: str) -> Facts:
    """Look at what is left where the settings cannot be used: this machine, if even that could be read."""
    now, settings = time.time(), Settings(error)
    if config is None:
        return Facts(now, settings)
    process = await _local(lambda: processes.process(config, {}), Running(), ASK_S)
    folder, database, port, records = await _machine(config, process, now, ())
    return Facts(now, settings, (), folder, database, process, port, records=records)


def _as_they_see(environ: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """This environment with the running Buoy's proxies in place of ours, where they are others."""
    if processes.proxies(environ) == theirs:
        return dict(environ)
    ours = {name for variable in processes.VARIABLES for name in (variable, variable.upper())}
    return {name: value for name, value in environ.items() if name not in ours} | dict(theirs)


async def _local(job: Callable[[], T], late: T, within_s: float = LOCAL_S) -> T:
    try:
        return await aside(job, within_s, name="doctor")
    except TimeoutError:
        return late


async def _machine(
    config: Config, process: Running, now: float, bots: tuple[str, ...]
) -> tuple[Folder, Database | None, Port | None, Records | None]:
    """The looks at disk and port; one that hangs (a dead network share) costs only itself."""
    directory, address = config.data_dir, config.web.address
    pid = None if process.snapshot is None else process.snapshot.get("pid")
    late = Folder(directory, error=f"looking at it took longer than {LOCAL_S:g} s; is it on a dead network share?")
    return await asyncio.gather(
        _local(lambda: machine.folder(directory), late),
        _local(lambda: machine.database(directory), None),
        _local(lambda: None if address is None else machine.port(*address, pid), None),
        _local(lambda: processes.records(directory, now, bots), None),
    )


async def _qq(
    config: Config,
    environ: Mapping[str, str],
    process: Running,
    *,
    connect: bool | None,
    wall: Callable[[], float],
    deadlines: Deadlines,
) -> tuple[tuple[Call, ...], tuple[Way, ...], tuple[Trial, ...]]:
    """The way to QQ and its answers; then, with an address of the gateway, the way there and a session."""
    rest = Rest(environ, wall=wall, call_s=deadlines.call_s)
    urls = dict.fromkeys(url for bot in config.bots for url in (*map(_origin, bot.token_url), *bot.api_base))
    try:
        walks = [ways.walk(url, environ, within_s=deadlines.walk_s) for url in urls]
        asked = [rest.examine(bot) for bot in config.bots]
        walked, told = await asyncio.gather(asyncio.gather(*walks), asyncio.gather(*asked))
    finally:
        await rest.close()
    calls = tuple(call for one in told for call in one)
    known = {way.host for way in walked}
    gateways = dict.fromkeys(call.url for call in calls if call.url)
    later = [ways.walk(url, environ, within_s=deadlines.walk_s) for url in gateways]
    trials = [_try(config, n, environ, process, calls, connect=connect, deadlines=deadlines)
              for n in range(len(config.bots))]  # fmt: skip
    more, tried = await asyncio.gather(asyncio.gather(*later), asyncio.gather(*trials))
    new = [way for way in more if way.host not in known]
    return calls, (*walked, *new), tuple(one for one in tried if one is not None)


def _origin(url: str) -> str:
    return url.removesuffix(wire.TOKEN_PATH)


async def _try(
    config: Config,
    number: int,
    environ: Mapping[str, str],
    process: Running,
    calls: tuple[Call, ...],
    *,
    connect: bool | None,
    deadlines: Deadlines,
) -> Trial | None:
    """Try a session, unless the Buoy of this data directory tells of its own, or that would take something from it."""
    bot = config.bots[number]
    if process.snapshot is not None:
        return None
    call = next((call for call in calls if call.bot == bot.app_id and call.url), None)
    why = ""
    if connect is False:
        why = "not asked for"
    elif call is None:
        return None  # no address to connect to, and the calls say why
    elif process.error or process.holder is not None:
        why = "a Buoy holds the data directory"
    elif process.is_hidden:
        why = "this user may not see whether a Buoy runs"
    elif bot.app_id in process.sockets:
        why = "another process is connected with this AppID"
    elif call.remaining is not None and call.remaining <= LEFT:
        why = f"only {call.remaining} identifies are left today"
    elif connect is None:
        age_s = await _local(lambda: processes.session_age(config.data_dir, bot.app_id, bot.shard[0]), None)
        if age_s is not None and age_s < RESUMABLE_S:
            why = "a new session could end the last Buoy's, which may still be resumed; --connect tries anyway"
    if why:
        return Trial(bot.app_id, why)
    account, name = wiring.account(config, bot), wiring.socket_name(bot)
    return await trial.attempt(account, name, environ, within_s=deadlines.trial_s, spacing_s=deadlines.spacing_s)
