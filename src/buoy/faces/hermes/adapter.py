"""The adapter that Hermes' gateway makes: Buoy's gateway on one side, Hermes' base class on the other.

Whatever Hermes asks to be sent is on disk before it is told so, and never looks at a connection. Our inbox owns each
turn: a message counts as handled when Hermes has said what it answers, or that it answers nothing. What is decided
stands in :mod:`hands`, :mod:`ledger` and :mod:`approvals`; the seams of both sides meet here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.config import Platform
from gateway.platforms.base import BasePlatformAdapter, MessageEvent, MessageType, SendResult
from gateway.session import build_session_key

from buoy.chat import Agent, Click, Message, Reply, Sender
from buoy.errors import BuoyError, ConfigError, StoreLostError, TurnOverError
from buoy.faces.hermes import access, approvals, media, registration
from buoy.faces.hermes.account import ALLOWED_USERS, chat_of, kind_of, place_of, target_of
from buoy.faces.hermes.hands import Hands, Slots, Turn
from buoy.faces.hermes.taking_over import known, take_over
from buoy.faces.library import QQ, Gateway
from buoy.protocol.limits import TEXT_LIMIT
from buoy.protocol.text import split

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

STOP_S: Final = 2.0  # of the 5 s that a whole shutdown may take, Hermes itself needs the most
LOOK_S: Final = 0.1  # how often it is looked whether Hermes is done with what it swallowed
TURN_S: Final = 24 * 60 * 60.0  # Hermes bounds its turns itself, by what they do
FATAL: Final = frozenset({"secret", "app"})  # only an edit of the settings heals these; the rest we go on trying

_HANDS: dict[Path, Hands] = {}  # of this process, by data directory: they outlive an adapter object
_PROMPTS: Final = approvals.Prompts()  # as the approvals themselves, they live as long as the process

log = logging.getLogger("buoy.hermes")


def _threads() -> int:
    """Count the threads that Hermes runs turns on: ten of its own, older ones those of the loop."""
    from gateway.run import GatewayRunner  # noqa: PLC0415  Hermes' own, and heavy where no gateway runs

    return 10 if hasattr(GatewayRunner, "_get_executor") else min(32, (os.cpu_count() or 1) + 4)


class Adapter(BasePlatformAdapter):  # type: ignore[misc]  # Hermes is not there when types are checked
    """One bot on QQ as a platform of Hermes."""

    SUPPORTS_MESSAGE_EDITING = False
    MAX_MESSAGE_LENGTH = TEXT_LIMIT
    splits_long_messages = True
    supports_code_blocks = True

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(config, Platform(name))
        self._account = account = registration.account_of(config)
        people = os.environ.get("QQ_ALLOWED_USERS" if name == "qqbot" else ALLOWED_USERS, "")
        self._access = access.read(config.extra or {}, people)
        self._hands = _HANDS.setdefault(account.data_dir.absolute(), Hands())
        self._pending_messages = Slots(self._hands)
        self._runs_for: Any = None  # Hermes' gateway
        self._gateway: Gateway | None = None
        self._is_cut = False  # Hermes cancels what runs
        self._is_ready = asyncio.Event()  # Hermes' ledger was taken over: turns may run
        self._is_stopping = False
        self._adopted: dict[str, str] = {}

    # --- life -------------------------------------------------------------------------------------------------

    async def connect(self, *, is_reconnect: bool = False) -> bool:
        """Start Buoy's gateway. True also while QQ cannot be reached: it comes back by itself, and says how it is."""
        del is_reconnect  # what has to survive is on disk, or in a table of the process
        self._is_stopping = self._is_cut = False
        account = self._account
        if not account.is_complete:
            self._set_fatal_error("buoy_settings", "no app_id and client_secret; see docs/hermes.md", retryable=False)
            return False
        if not self._acquire_platform_lock("qqbot-appid", account.app_id, f"QQ bot {account.app_id}"):
            return False
        agent = Agent(self._answer, "hermes", timeout_s=TURN_S, clicked=self._clicked, joins=lambda _: True)
        try:
            bot = QQ(account.app_id, account.client_secret, api_base=account.api_base, token_url=account.token_url)
            gateway = Gateway(
                bot,
                agent,
                data_dir=account.data_dir,
                deadline_s=STOP_S,
                environ=os.environ,
                on_state=self._state_changed,
                **account.tables(_threads()),
            )
            await gateway.start()
        except BuoyError as error:
            log.warning("not connected: %s", error)
            self._set_fatal_error("buoy_start", str(error), retryable=not isinstance(error, ConfigError))
            self._release_platform_lock()
            return False
        self._gateway = gateway
        self._mark_connected()
        self._write_status("down", "starting")
        _start(self._take_over(gateway))
        _start(self._watch(gateway))
        return True

    async def disconnect(self) -> None:
        """Stop within a bound; any number of times, from any task, however far the connecting came."""
        self._is_stopping = True
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.stop()
        self._release_platform_lock()
        self._mark_disconnected()

    async def cancel_background_tasks(self) -> None:
        """The end begins: what is cancelled now has not been answered, and runs again after the restart."""
        self._is_stopping = self._is_cut = True
        await super().cancel_background_tasks()

    async def _take_over(self, gateway: Gateway) -> None:
        """Take Hermes' ledger over, then let turns run."""
        try:
            self._adopted |= await take_over(gateway, self.platform.value)
        finally:
            self._is_ready.set()

    async def _watch(self, gateway: Gateway) -> None:
        """Tell Hermes when the store is lost: it makes a new adapter, again and again, until the disk is well."""
        try:
            await gateway.wait_closed()
        except StoreLostError as error:
            await self._fail("buoy_store", str(error), retryable=True)

    def _state_changed(self, bot: str, state: str, cause: str) -> None:
        """Keep Hermes' runtime status true; go fatal where only a person with an editor can help."""
        if self._is_stopping or self.has_fatal_error:
            return
        if state == "blocked" and cause.partition(":")[0].partition(" ")[0] in FATAL:
            _start(self._fail("buoy_blocked", f"bot {bot}: {cause}", retryable=False))
        else:
            self._write_status(state, cause)

    def _write_status(self, state: str, cause: str) -> None:
        word, is_up = {"up": "connected", "blocked": "fatal"}.get(state, "retrying"), state == "up"
        log.log(logging.INFO if is_up else logging.WARNING, "QQ is %s%s", state, f": {cause}" if cause else "")
        self._write_runtime_status_safe(
            "buoy", platform_state=word, error_code=None if is_up else f"buoy_{state}", error_message=cause or None
        )

    async def _fail(self, code: str, message: str, *, retryable: bool) -> None:
        """Tell Hermes that this adapter is at its end, in a task of its own: the handler disconnects us."""
        if self._is_stopping or self.has_fatal_error:
            return
        log.error("QQ ended: %s", message)
        self._set_fatal_error(code, message, retryable=retryable)
        await self._notify_fatal_error()

    # --- messages in ------------------------------------------------------------------------------------------

    async def _answer(self, message: Message) -> str | None:
        """One turn: hand the message to Hermes, and wait until Hermes is done with it."""
        scene, ident = place_of(message.conversation)
        if not self._access.admits(scene, ident, message.sender.id):
            log.info(
                "not handed over: %s may not write in %s, by the policies of the platform", message.sender.id, ident
            )
            return None
        await self._is_ready.wait()
        if (owed := self._adopted.pop(message.id, None)) is not None:
            return owed  # Hermes had answered when it was killed
        await self._is_taking(message.text)
        turn, is_new = self._hands.take(message, chat_of(scene, ident))
        try:
            if is_new:
                turn.event = await self._event_of(message, scene, ident)
                turn.session = self._session_of(turn.event.source)
                await self._hand_over(turn)
            while not await self._is_done(turn):
                log.info("handed over again: Hermes had dropped message %s", message.id)
                await self._hand_over(turn)
        except BaseException:
            if turn.event is None or not self._is_busy(turn.session):
                self._hands.drop(turn)  # Hermes does not have it, or not any more
            raise
        self._hands.drop(turn)
        return None  # what there was to say was said

    async def _hand_over(self, turn: Turn) -> None:
        """Give a turn to Hermes, and see what it did with it."""
        turn.is_dropped, text = False, turn.event.text
        await self.handle_message(turn.event)
        is_word = turn.event.text != text and turn.event.text.startswith(("/approve", "/deny"))  # "yes" to an approval
        if turn.is_command or (is_word and not turn.is_begun):
            turn.over.set()
        is_fed = getattr(self._runner, "_busy_input_mode", "") == "steer"
        turn.is_taken |= is_fed or turn.is_in(self._stored(turn.session))

    async def _is_done(self, turn: Turn) -> bool:
        """Wait until the turn is over: said so, or swallowed and its session idle. False: Hermes has dropped it."""
        idle = 0
        while not turn.over.is_set():
            try:
                async with asyncio.timeout(LOOK_S):
                    await turn.over.wait()
            except TimeoutError:
                if turn.is_answered and not turn.is_begun:
                    return True
                idle = 0 if turn.is_begun or self._stops() or self._is_busy(turn.session) else idle + 1
                if idle == 2:  # at the first look it may be between two turns of a chain
                    return turn.is_taken and not turn.is_dropped
        return True

    async def _is_taking(self, text: str) -> None:
        """Wait while Hermes would not run a message, and yet call it complete.

        At its start it queues them. When it ends, or somebody drains it, it says that it takes nothing new; a command
        to what still runs is another matter.
        """
        while getattr(self._runner, "_startup_restore_in_progress", False) or (
            not text.startswith("/") and (self._drains or getattr(self._runner, "_external_drain_active", False))
        ):
            await asyncio.sleep(LOOK_S)

    async def handle_message(self, event: Any) -> None:
        """Hand an event over. A turn that Hermes resumes by itself is refused where our inbox has that turn."""
        is_resumed = getattr(event, "internal", False) and not event.text and not event.message_id
        if is_resumed and self._knows(event.source):
            log.info("not resumed by Hermes: the turn of %s is in Buoy's hands", event.source.chat_id)
            return
        await super().handle_message(event)

    async def on_processing_start(self, event: Any) -> None:
        """Hermes begins a turn."""
        self._hands.begun(event)

    async def on_processing_complete(self, event: Any, outcome: Any) -> None:
        """Hermes is done with an event, whatever came of it: it has told the user."""
        del outcome
        self._hands.complete(event, is_stopping=self._is_cut or self._drains)

    def set_message_handler(self, handler: Any) -> None:
        """Take the handler of Hermes' gateway, and notice what it is given beside a turn: commands, answers."""

        async def handled(event: Any) -> Any:
            turn = self._hands.of_event(event)
            if turn is not None and not turn.is_begun:
                turn.is_command = True
            return await handler(event)

        self._runs_for = getattr(handler, "__self__", None)
        super().set_message_handler(handled)

    def get_pending_message(self, session_key: str) -> Any:
        """Give what is in store to what ran, which goes on with it: Hermes asks when a run has ended."""
        event = super().get_pending_message(session_key)
        self._hands.followed(session_key, event, self._stored)
        return event

    async def _event_of(self, message: Message, scene: str, ident: str) -> Any:
        files = await media.fetched(message.attachments)
        return MessageEvent(
            text="\n".join(filter(None, (message.text, *files.labels))),
            message_type=_type_of(message, files),
            source=self._source_of(scene, ident, message.sender),
            raw_message=message.raw,
            message_id=message.id,
            media_urls=list(files.paths),
            media_types=list(files.types),
            reply_to_text=message.quoted or None,
            timestamp=datetime.fromtimestamp(message.at or time.time(), UTC).astimezone().replace(tzinfo=None),
        )

    def _source_of(self, scene: str, ident: str, sender: Sender) -> Any:
        source = self.build_source(
            chat_id=chat_of(scene, ident),
            chat_name=ident,
            chat_type=kind_of(scene),
            user_id=sender.id,
            user_name=sender.name or None,
        )
        if self._access.vouches(scene, ident) and hasattr(source, "role_authorized"):  # new in 0.19
            source.role_authorized = True
        return source

    # --- messages out -----------------------------------------------------------------------------------------

    async def send(
        self, chat_id: str, content: str, reply_to: str | None = None, metadata: dict[str, Any] | None = None
    ) -> Any:
        """Send one message: on disk when this returns. Nothing waits for QQ: Hermes sends its notices one by one."""
        del metadata
        return await self._send(chat_id, content, reply_to, last=False)

    async def _send_with_retry(
        self,
        chat_id: str,
        content: str,
        reply_to: str | None = None,
        metadata: Any = None,
        max_retries: int = 0,
        base_delay: float = 0.0,
    ) -> Any:
        """Send a reply: where it is final the end of its turn is the same commit. Retries are our outbox's.

        Hermes marks final replies; those to commands beside a turn are marked by newer ones only. Its notices that a
        message waits, or interrupts, come this way as well.
        """
        del max_retries, base_delay
        turn = self._hands.answering(reply_to)
        is_final = bool((metadata or {}).get("notify")) or (turn is not None and turn.is_command)
        if is_final and turn is not None and self._is_interrupted(turn.session):
            return SendResult(success=True)  # "Operation interrupted" is no answer: the turn runs again
        return await self._send(chat_id, content, reply_to, last=is_final)

    async def _send(self, chat_id: str, content: str, reply_to: str | None, *, last: bool) -> Any:
        if not content.strip():
            return SendResult(success=True)
        find = self._hands.ending if last else self._hands.speaking
        turns = find(chat_id, reply_to, self._stored)
        last = last or any(turn.is_followed for turn in turns)
        gateway = self._gateway
        if gateway is None:
            for turn in turns if last else ():
                turn.is_dropped = True  # its answer is lost with this adapter: the next one asks for it again
            return SendResult(success=False, error="Buoy is stopped; nothing was queued", retryable=True)
        if turns and content.strip() in turns[0].message.delivered:  # an earlier run said so
            for turn in turns if last else ():
                turn.is_answered = True
            return SendResult(success=True)
        try:
            number = await self._put(
                gateway, turns, chat_id, Reply(content, markdown=self._account.markdown), last=last
            )
        except (BuoyError, RuntimeError, TypeError) as error:  # NonsenseError is a TypeError
            for turn in turns if last and isinstance(error, BuoyError) else ():
                turn.is_answered, turn.is_dropped = False, True  # the store was lost: the next adapter asks again
            return SendResult(success=False, error=f"not queued: {error}", retryable=isinstance(error, BuoyError))
        return SendResult(success=True, message_id=f"buoy:{number}")

    async def _put(self, gateway: Gateway, turns: list[Turn], chat_id: str, reply: Reply, *, last: bool) -> int:
        """Commit a letter, with the end of its turns where it has come; returns its row."""
        lines = [turn.line for turn in turns if turn.line is not None]
        if lines:
            for turn in turns if last else ():
                turn.is_answered = True
            try:
                return await lines[0].say(reply, last=last, also=lines[1:])
            except TurnOverError:
                pass  # a notice of an error: a letter of its own
            except BaseException:
                for turn in turns if last else ():
                    turn.is_answered = False
                raise
        number = 0
        for piece in split(reply.text, TEXT_LIMIT):
            number = (await gateway.send(target_of(chat_id), replace(reply, text=piece))).id
        return number

    async def get_chat_info(self, chat_id: str) -> dict[str, Any]:
        """QQ tells no names."""
        scene, ident = place_of(chat_id)
        return {"name": ident, "type": kind_of(scene)}

    # --- approvals --------------------------------------------------------------------------------------------

    async def send_exec_approval(
        self,
        chat_id: str,
        command: str,
        session_key: str,
        description: str = "dangerous command",
        metadata: dict[str, Any] | None = None,
        allow_permanent: bool = True,  # noqa: FBT001, FBT002  Hermes' signature
        **_: Any,
    ) -> Any:
        """Ask whether a command may run, with buttons; `/approve` and `/deny` in words do as well."""
        del metadata
        from tools import approval  # noqa: PLC0415  Hermes' own

        waiting = len(getattr(approval, "_gateway_queues", {}).get(session_key, ())) or 1
        shown = command if len(command) <= 1000 else f"{command[:1000]} ..."
        text = f"⚠️ {description}\n\n{shown}\n\n/approve · /approve session · /approve always · /deny"
        buttons = _PROMPTS.ask(session_key, waiting, with_always=allow_permanent)
        gateway = self._gateway
        if gateway is None:
            return SendResult(success=False, error="Buoy is stopped")
        turns = self._hands.ending(chat_id, None, self._stored)[:1]
        try:
            number = await self._put(gateway, turns, chat_id, Reply(text, markdown=True, buttons=buttons), last=False)
        except (BuoyError, TypeError) as error:
            return SendResult(success=False, error=f"not queued: {error}")
        return SendResult(success=True, message_id=f"buoy:{number}")

    async def _clicked(self, click: Click) -> None:
        """Somebody pressed a button of an approval."""
        scene, ident = place_of(click.conversation)
        chat = chat_of(scene, ident)
        told = approvals.read(click.data)
        if told is None:
            log.info("a click on something that is not ours: %s", click.data[:40])
            return
        session = told[2]
        user = click.sender.id
        if not approvals.may_answer(session, chat, user) or not self._is_allowed(scene, ident, click.sender):
            log.warning("a click that does not count: %s may not answer for %s", user, session)
            return
        answer = _PROMPTS.answered(click.data)
        if answer is None:
            await self.send(chat, approvals.OUT_OF_USE)
            return
        from tools.approval import resolve_gateway_approval  # noqa: PLC0415  Hermes' own

        resolved = resolve_gateway_approval(*answer)
        log.info("approval %s for %s: %d resolved", answer[1], session, resolved)

    def _is_interrupted(self, session: str) -> bool:
        """Hermes ends, and has cut this session's turn off: 0.13 says so in the place of its answer."""
        entry = getattr(self._session_store, "_entries", {}).get(session)
        return self._drains and bool(getattr(entry, "resume_pending", False))

    def _is_allowed(self, scene: str, ident: str, sender: Sender) -> bool:
        """This user may write here, by the platform's policies and by Hermes' lists as they are now."""
        ask = getattr(self._runner, "_is_user_authorized", None)
        if ask is None or not self._access.admits(scene, ident, sender.id):
            return False
        return bool(ask(self._source_of(scene, ident, sender)))

    # --- what Hermes is doing ---------------------------------------------------------------------------------

    @property
    def _runner(self) -> Any:
        """Hermes' gateway; older ones tell it to some adapters only."""
        return getattr(self, "gateway_runner", None) or self._runs_for

    @property
    def _drains(self) -> bool:
        """Hermes ends."""
        return bool(getattr(self._runner, "_draining", False))

    def _stops(self) -> bool:
        """Hermes ends, or this adapter does: what is cut off now is to be run again."""
        return self._is_stopping or self._drains

    def _stored(self, session: str) -> list[Any]:
        """The events that Hermes has in store for a session: its next one, those behind it, one that may yet grow."""
        slots, grows = self._hands.waiting(session), getattr(self, "_text_debounce", {}).get(session)
        behind = getattr(self._runner, "_queued_events", {}).get(session) or ()
        return [one for one in (*slots, *behind, getattr(grows, "event", None)) if one is not None]

    def _is_busy(self, session: str) -> bool:
        """Hermes has something of a session in hand, or in store."""
        running = getattr(self._runner, "_running_agents", {})
        return session in self._active_sessions or session in self._pending_messages or session in running

    def _session_of(self, source: Any) -> str:
        extra = self.config.extra or {}
        return str(
            build_session_key(
                source,
                group_sessions_per_user=extra.get("group_sessions_per_user", True),
                thread_sessions_per_user=extra.get("thread_sessions_per_user", False),
            )
        )

    def _knows(self, source: Any) -> bool:
        """Our inbox has a turn of this chat that is open, or its last one has its letters."""
        if self._gateway is None:
            return False
        ours = known(self._gateway, str(source.chat_id))
        return bool(ours.open or ours.answered)


def _type_of(message: Message, files: media.Files) -> Any:
    kinds = [kind.partition("/")[0] for kind in files.types]
    if "image" in kinds:
        return MessageType.PHOTO
    if "audio" in kinds:
        return MessageType.VOICE
    return MessageType.COMMAND if message.text.startswith("/") else MessageType.TEXT


_DETACHED: Final[set[asyncio.Task[None]]] = set()


def _start(job: Coroutine[Any, Any, None]) -> None:
    """Run something beside everything else: Hermes cancels its own tasks, this adapter's among them."""
    task = asyncio.ensure_future(job)
    _DETACHED.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[None]) -> None:
    _DETACHED.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("ended with an error", exc_info=error)
