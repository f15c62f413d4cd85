"""Puts the parts together: settings in, a running gateway out, and its orderly end."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from buoy.agents import build
from buoy.chat import Agent
from buoy.config import Bot, Config
from buoy.durable.lock import Lock, lock_machine
from buoy.durable.schedules import Schedule
from buoy.durable.store import Store
from buoy.errors import EXIT_OK, EXIT_REFUSED, BuoyError, StoreError
from buoy.faces import channels, ending, planning
from buoy.faces.control import Control
from buoy.gateway.alerts.channel import Channel
from buoy.gateway.alerts.rules import Limits
from buoy.gateway.alerts.service import Alerts
from buoy.gateway.alerts.service import Manner as Telling
from buoy.gateway.alerts.switch import Switch
from buoy.gateway.app import App
from buoy.gateway.courier import Holding
from buoy.gateway.health import disk
from buoy.gateway.platform import Platform
from buoy.gateway.watch import Watch
from buoy.gateway.words import words_of
from buoy.gateway.worker import Turns
from buoy.platforms.qq.platform import QQ, Account
from buoy.platforms.qq.words import Manner

if TYPE_CHECKING:
    from buoy.faces.web.server import Web

RENEW_S = 12 * 60 * 60.0

log = structlog.get_logger("buoy")

AppHook = Callable[[App], None]


def platforms(config: Config, environ: Mapping[str, str]) -> list[QQ]:
    """One QQ platform for each configured bot."""
    return [QQ(account(config, bot), environ=environ) for bot in config.bots]


def account(config: Config, bot: Bot) -> Account:
    """What the platform has to know of a bot."""
    return Account(
        bot.app_id,
        bot.client_secret.reveal(),
        bot.api_base,
        bot.token_url,
        bot.intents,
        bot.shard,
        frozenset(bot.proactive),
        expect_event_s=bot.expect_event_h * 3600 or math.inf,
        repeat_unsure=bot.proactive_unsure == "repeat",
        names_bot=len(config.bots) > 1,
        manner=Manner(config.outbox.language, config.outbox.late_after_s),
    )


def agents(config: Config) -> dict[str, Agent]:
    """The agent of each bot."""
    language = config.outbox.language
    return {
        bot.app_id: build(
            bot.agent.kind,
            {**bot.agent.settings(), "language": language, "state": config.data_dir / "agents" / bot.app_id},
        )
        for bot in config.bots
    }


def tell_operator(app: App, config: Config, ways: Sequence[Channel], environ: Mapping[str, str]) -> None:
    """Watch this Buoy and tell the operator of its troubles, from now until it stops."""
    asked = config.alerts
    limits = Limits(asked.down_s, asked.held_h * 3600, asked.queue_s, asked.disk_mb << 20)
    alerts = Alerts(app.store, app.health, ways, Telling(asked.language, limits, asked.repeat_h * 3600), wall=app.wall)
    alerts.start(app.supervisor)
    app.sections["alerts"] = alerts.told
    if asked.heartbeat_url is not None:
        ping = channels.Ping(asked.heartbeat_url.reveal(), environ)
        switch = Switch(app.store, alerts, ping, asked.heartbeat_s, wall=app.wall)
        app.supervisor.keep("alerts:heartbeat", switch.run)


def assemble(
    config: Config,
    store: Store,
    lines: Sequence[Platform],
    answers: Mapping[str, Agent],
    schedules: Sequence[Schedule] | None = None,
) -> App:
    """An application from settings and parts; nothing runs yet. ``schedules`` None: nothing runs by the clock."""
    before = store.read(lambda db: ending.last(config.data_dir, db))
    return App(
        store,
        lines,
        answers,
        turns=Turns(
            config.turns.timeout_s,
            config.turns.parallel,
            config.turns.attempts,
            config.turns.late_after_s,
            skips_late=config.turns.late == "skip",
            typing_after_s=config.turns.typing_after_s,
            words=words_of(
                config.outbox.language,
                config.turns.failed_text,
                config.turns.timeout_text,
                config.turns.stopped_text,
            ),
        ),
        holding=Holding(config.outbox.hold_days, config.outbox.hold_per_conversation),
        bodies_days=config.retention.bodies_days,
        keys_days=config.retention.keys_days,
        schedules=schedules,
        before=before,
    )


def socket_name(bot: Bot) -> str:
    """What only one process of a machine may connect."""
    return f"{bot.api_base[0]} {bot.app_id}"


@contextmanager
def sockets_locked(config: Config) -> Iterator[list[Lock]]:
    """Hold the machine's lock of each (API host, AppID), so that two sockets never fight over one bot.

    Raises:
        BusyError: another process has one of them.
    """
    locks = []
    with ExitStack() as stack:
        for bot in config.bots:
            busy = f"bot {bot.app_id} is connected by another process of this machine ({{holder}}); stop it first"
            lock = lock_machine(socket_name(bot), busy)
            stack.callback(lock.release)
            locks.append(lock)
        yield locks


async def renew(locks: Sequence[Lock]) -> None:
    """Touch the lock files now and then: cleaners of temporary folders take what nobody touches."""
    while True:
        for lock in locks:
            lock.touch()
        await asyncio.sleep(RENEW_S)


async def serve(
    config: Config,
    lines: Callable[[], Sequence[Platform]],
    answers: Mapping[str, Agent],
    *,
    schedules: Sequence[Schedule] | None = None,
    until: asyncio.Event | None = None,
    on_open: Callable[[], None] = lambda: None,
    on_start: AppHook | None = None,
    on_stop: Callable[[], object] = lambda: None,
    last_words: Callable[[], None] = lambda: None,
    after: ExitStack | None = None,
) -> int:
    """Run until a signal, or until ``until`` is set; returns the exit code. ``lines`` is called inside the loop.

    ``on_open`` is called when the data directory is ours, ``on_stop`` when the end begins, ``last_words`` on a thread
    of its own when the process has to end at once: then the log has what is printed too, see :class:`Watch`.

    ``after`` is closed by the caller when the loop is closed: until then the deadline of the shutdown holds, because a
    task that swallows its cancellation can keep a loop from closing. Without it the deadline ends with this function.

    Raises:
        StoreError, BusyError: the store cannot be opened; nothing was started.
    """
    ended = until or asyncio.Event()
    leave = partial(ending.record, config.data_dir)

    def leave_at_once(code: int, why: str) -> None:
        leave(code, why)
        log.error("ended at once", code=code, reason=why)
        last_words()

    watch = Watch(
        ended.set, deadline_s=config.shutdown.deadline_s, stuck_s=config.watch.stuck_s, last_words=leave_at_once
    )
    try:
        store = Store.open(config.data_dir, now=time.time())
    except StoreError as error:
        leave(error.exit_code, str(error))
        raise
    on_open()
    watch.start()
    try:
        app = assemble(config, store, lines(), answers, schedules)
        app.sections["loop"] = lambda: {"lag_s": round(watch.lag_s, 3), "max_lag_s": round(watch.max_lag_s, 3)}
        app.sections["disk"] = lambda: disk(config.data_dir) or {}
        control = Control(config.data_dir, handlers(app))
        await control.start()
        await app.start()
        web = _web(config, app)
        if on_start is not None:
            on_start(app)
        log.info("started", bots=list(app.platforms), data=str(config.data_dir), pid=os.getpid())
        app.lost.add_done_callback(lambda _: ended.set())
        await ended.wait()
        if app.lost.done():
            watch.begin_shutdown(app.lost.result().exit_code, str(app.lost.result()))
        watch.begin_shutdown()
        on_stop()
        log.info("stopping", deadline_s=config.shutdown.deadline_s)
        await control.stop()
        if web is not None:
            await web.stop()
        await app.stop(deadline_s=watch.remaining_s)
    except Exception as error:
        code = error.exit_code if isinstance(error, BuoyError) else EXIT_REFUSED
        why = f"{type(error).__name__}: {error}"
        leave(code, why)
        watch.begin_shutdown(code, why)
        raise
    finally:
        watch.begin_shutdown()
        if after is None:
            watch.stop()
        else:
            after.callback(watch.stop)
    if app.lost.done():
        lost = app.lost.result()
        leave(lost.exit_code, str(lost))
        log.error("store lost", error=str(lost))
        return lost.exit_code
    leave(EXIT_OK, ending.IN_ORDER)
    log.info("stopped")
    return EXIT_OK


def _web(config: Config, app: App) -> Web | None:
    """Serve the page and its API beside the gateway, where the settings want that."""
    if config.web.address is None:
        return None
    from buoy.faces.web.server import Web  # noqa: PLC0415  who serves no page needs none of it in memory

    web = Web(app, config.web, config.data_dir, deadline_s=config.shutdown.deadline_s)
    app.sections["web"] = web.told
    for name, service in web.services.items():
        app.supervisor.keep(name, service)
    return web


def handlers(app: App) -> dict[str, Any]:
    """What the control socket may be asked."""

    async def send(asked: dict[str, Any]) -> dict[str, Any]:
        receipt = await app.send(str(asked["target"]), str(asked["text"]), key=asked.get("name"), origin="cli")
        return {
            "id": receipt.id, "key": receipt.key, "state": receipt.state.value, "position": receipt.position,
            "reason": receipt.reason,
        }  # fmt: skip

    async def status(asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        return dict(app.health())

    async def act(asked: dict[str, Any]) -> dict[str, Any]:
        verbs = {
            "retry_letter": app.retry_letter,
            "drop_letter": app.drop_letter,
            "retry_event": app.retry_event,
            "drop_event": app.drop_event,
        }
        return {"done": await verbs[str(asked["do"])](int(asked["row"]))}

    return {
        "send": send,
        "status": status,
        "retry_letter": act,
        "drop_letter": act,
        "retry_event": act,
        "drop_event": act,
        **planning.handlers(app.timetable, app.wall),
    }
