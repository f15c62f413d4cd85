"""The simulated QQ platform as one object: start it, speak as its users, break it, look at what came out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import msgspec

from buoy.protocol.wire import TOKEN_PATH, Close
from buoy.sim.clock import Clock
from buoy.sim.control import Control
from buoy.sim.events import Happening, Meeting, Said, Speech, happen, meet, say
from buoy.sim.faults import TRIGGERS, Fault, Faults
from buoy.sim.load import Load, Order
from buoy.sim.pressing import Press, press
from buoy.sim.server import Server
from buoy.sim.settings import Settings
from buoy.sim.world import Delivered, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

DEFAULT_BOT = ("102000001", "SIMSECRETSIMSECRET01")


class Sim:
    """The platform on loopback: HTTP and WebSocket on one port, control on another.

    ``announce``: the HOST:PORT that the gateway look-up names, where a proxy stands before the WebSocket.
    Further keyword arguments are the fields of :class:`buoy.sim.settings.Settings`. Use it from the loop that
    called :meth:`start` only.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        speed: float = 1.0,
        bots: Iterable[tuple[str, str]] = (DEFAULT_BOT,),
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int | None = 0,
        start_at: float | None = None,
        announce: str | None = None,
        **settings: Any,
    ) -> None:
        self.clock = Clock(speed, start_at)
        try:
            knobs = msgspec.convert(settings, Settings)
        except msgspec.ValidationError as error:
            raise ValueError(f"simulator setting: {error}") from None
        self.world = World(knobs, seed, self.clock.now())
        for app_id, secret in bots:
            self.world.add_bot(app_id, secret)
        self._host = host
        self._server = Server(self.world, self.clock, host, port, announce)
        self._control = Control(self, host, control_port) if control_port is not None else None
        self._load: Load | None = None
        self._loads = 0
        self._speaking = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: set[asyncio.Event] = set()
        self.world.on_change = self._changed
        self.world.on_agenda = self._arm
        self.world.faults.added = self._fault_added
        self.world.faults.removed = self._fault_removed
        self.clock.changed = self._clock_changed

    # --- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on both ports."""
        self._loop = asyncio.get_running_loop()
        await self._server.start()
        if self._control is not None:
            await self._control.start()
        self._arm()

    async def stop(self) -> None:
        """Close every socket and forget every timer; nothing is left open."""
        if self._load is not None:
            self._load.stop()
        if self._control is not None:
            await self._control.stop()
        await self._server.stop()
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def api_base(self) -> str:
        """Address for REST and the gateway look-up."""
        return f"http://{self._host}:{self._server.port}"

    @property
    def token_url(self) -> str:
        """Address of the token endpoint."""
        return self.api_base + TOKEN_PATH

    @property
    def control_url(self) -> str:
        """Address of the control API; empty without one."""
        return f"http://{self._host}:{self._control.port}" if self._control is not None else ""

    # --- speak -----------------------------------------------------------------------------------------

    async def say(self, text: str, **switches: Any) -> str:
        """Let a user say something; returns the message id. Switches: :class:`buoy.sim.events.Speech`."""
        return self.speak(Speech(text=text, **switches)).id

    def speak(self, speech: Speech) -> Said:
        """Like :meth:`say`, with everything that came of it."""
        return say(self.world, speech, self.clock.now())

    async def happen(self, type: str, **fields: Any) -> str:  # noqa: A002  the platform's word
        """Dispatch another event; returns its id. Fields: :class:`buoy.sim.events.Happening`."""
        return happen(self.world, Happening(type=type, **fields), self.clock.now()).id

    async def press(self, button: str, **switches: Any) -> str:
        """Let a user press a button of a message that the bot sent; returns the event's id.

        ``button`` is its label, data or id. Switches: :class:`buoy.sim.pressing.Press`.

        Raises:
            ValueError: there is none, or the user is not allowed to.
        """
        return press(self.world, Press(button=button, **switches), self.clock.now()).id

    def meet(self, scene: str = "c2c", which: int | str = 0, bot: str | None = None, **facts: Any) -> str:
        """Make a user, group, channel or DM known to a bot without a message; returns its id.

        Facts: ``friend``, ``proactive``, ``muted``, ``receives_all`` of :class:`buoy.sim.world.Relation`.
        """
        return meet(self.world, Meeting(scene=scene, which=which, bot=bot, **facts))

    def load(self, order: Order | None = None, **fields: Any) -> Load:
        """Start a crowd; it replaces the one before."""
        if self._load is not None:
            self._load.stop()
        self._loads += 1
        self._load = Load(self.world, order or Order(**fields), self._loads, self.clock.now)
        self._load.start()
        return self._load

    @property
    def current_load(self) -> Load | None:
        """The crowd started last."""
        return self._load

    # --- look ------------------------------------------------------------------------------------------

    @property
    def delivered(self) -> list[Delivered]:
        """Every accepted message, oldest first."""
        return self.world.delivered

    def replies(self, message_id: str) -> list[Delivered]:
        """Return what was accepted as replies to a message or event."""
        return self.world.replies(message_id)

    @property
    def connections(self) -> int:
        """How many WebSockets are open."""
        return len(self._server.peers)

    @property
    def network_mode(self) -> str:
        """What gets through now."""
        return self._server.network_mode

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until a condition over this object holds; it is looked at whenever something changes.

        Raises:
            TimeoutError: it did not, within ``timeout_s`` of the machine's time.
        """
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    event.clear()
                    await event.wait()
        finally:
            self._waiters.discard(event)

    # --- break -----------------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """The faults that are on: add, remove, list."""
        return self.world.faults

    async def network(self, mode: str) -> None:
        """Set what gets through; the control port always works.

        ``up``; ``down``: nothing listens, and every connection was cut with RST; ``blackhole``: connections
        are accepted and kept, and nothing is read or written, until ``up`` lets them go on; ``drop``: each
        connection is cut as soon as it was accepted.
        """
        await self._server.network(mode)
        self._changed()

    # --- inside ----------------------------------------------------------------------------------------

    def _changed(self) -> None:
        for event in self._waiters:
            event.set()
        load = self._load
        if load is not None and not self._speaking and load.wants_to_speak and self._loop is not None:
            self._speaking = True
            self._loop.call_soon(self._speak_on)

    def _speak_on(self) -> None:
        try:
            if self._load is not None:
                self._load.speak()
        finally:
            self._speaking = False

    def _arm(self) -> None:
        """Set the timer for what is next on the world's agenda."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.world.next_due()
        if self._loop is None or due is None:
            return
        delay = max(0.0, due - self.clock.now())
        if delay and not self.clock.speed:
            return  # the clock stands still
        if delay:
            delay /= self.clock.speed
        self._timer = self._loop.call_later(delay, self._run_due)

    def _run_due(self) -> None:
        self.world.run_due(self.clock.now())
        self._arm()

    def _clock_changed(self, jump: float, beats: bool) -> None:  # noqa: FBT001
        if beats:
            for peer in self._server.peers:
                peer.last_beat += jump
        self._run_due()
        self._changed()

    def _fault_added(self, fault: Fault) -> None:
        """Let a fault strike at once where that is its nature."""
        world, now = self.world, self.clock.now()
        if fault.kind == "revoke_tokens":
            world.revoke_tokens(fault.bot, now)
            world.faults.remove(fault.id)
            return
        concerned = [p for p in self._server.peers if p.session and fault.bot in {None, p.session.bot.app_id}]
        if fault.kind in TRIGGERS and concerned:
            for peer in concerned:
                peer.strike(fault, now)
            world.faults.use(fault)
        elif fault.kind in {"banned", "taken_down"}:
            for peer in concerned:
                peer.close(Close.BANNED if fault.kind == "banned" else Close.TAKEN_DOWN)
        elif fault.kind == "deaf_session":
            for session in world.sessions.of():
                if fault.bot in {None, session.bot.app_id}:
                    session.deaf = True
        self._changed()

    def _fault_removed(self, fault: Fault) -> None:
        self._server.released(fault)
        if fault.kind == "deaf_session":
            for session in self.world.sessions.of():
                session.deaf = False
        self._changed()
