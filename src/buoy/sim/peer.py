"""The platform's end of one WebSocket: what it says and when it hangs up. Pure; the server moves the bytes.

Frames to send and the final cut stand in ``out``, in order; ``wake`` tells the server.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from buoy.protocol.wire import AUTH_SCHEME, Close, Frame, Intent, Op, Unreadable, decode, encode
from buoy.sim import settings
from buoy.sim.faults import TRIGGERS, Fault
from buoy.sim.settings import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.sim.sessions import Session
    from buoy.sim.world import Bot, World

_KNOWN_INTENTS: Final = int(sum(Intent))
_ACK: Final = b'{"op":%d}' % Op.HEARTBEAT_ACK  # 6.1: `d` is absent
_RECONNECT: Final = b'{"op":%d}' % Op.RECONNECT


class Cut(msgspec.Struct, frozen=True):
    """The end of a connection: ``close`` frame with a code, TCP ``reset``, or bare ``eof``."""

    how: str
    code: int = 0
    reason: str = ""


class Peer:
    """One connected client, from HELLO to the end."""

    def __init__(self, world: World, wake: Callable[[], None] = lambda: None) -> None:
        self.world = world
        self.wake = wake
        self.out: deque[bytes | Cut] = deque()
        self.session: Session | None = None
        self.bot: Bot | None = None
        self.asked = False
        """An IDENTIFY or RESUME came in and was not refused."""
        self.last_beat = 0.0
        self.ended = False
        self._frames = Bucket(settings.FRAMES_PER_S, settings.FRAMES_BURST)

    # --- what the server reports -----------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The upgrade succeeded."""
        world = self.world
        world.counters["connects"] += 1
        self.last_beat = now
        if world.faults.take("no_hello") is None:
            self.push(encode(Op.HELLO, {"heartbeat_interval": round(world.settings.heartbeat_s * 1000)}))
        world.at(now + self._patience, self._check_beat)
        if world.settings.lifetime_s is not None:
            world.at(now + world.settings.lifetime_s, self._retire)
        world.on_change()

    def received(self, text: str | bytes, now: float) -> None:
        """A frame came in."""
        if self.ended:
            return
        if self.world.settings.limits and not self._frames.take(now):
            self.close(Close.TOO_FAST, "sending too fast")
            return
        frame = decode(text)
        if isinstance(frame, Unreadable):
            self.close(Close.INVALID_PAYLOAD, "invalid payload")
        elif frame.op == Op.HEARTBEAT and self.asked:
            self._beat(now)
        elif frame.op == Op.IDENTIFY:
            self._identify(frame, now)
        elif frame.op == Op.RESUME:
            self._resume(frame, now)
        elif frame.op in {Op.HEARTBEAT, Op.HEARTBEAT_ACK}:
            if not self.asked:
                self.close(Close.NOT_AUTHENTICATED, "not authenticated")
        else:
            self.close(Close.INVALID_OPCODE, "invalid opcode")
        self.world.on_change()

    def lost(self, now: float) -> None:
        """The connection is gone, whoever ended it; the session stays resumable for a while."""
        self.ended = True
        self.out.clear()
        self._leave(now)
        self.world.on_change()

    # --- what the platform does ------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """Send a frame."""
        if not self.ended:
            self.out.append(frame)
            self.wake()

    def cut(self, cut: Cut) -> None:
        """End the connection after what was said so far; a reset does not wait."""
        if self.ended:
            return
        if cut.how == "reset":
            self.out.clear()
        self.out.append(cut)
        self.ended = True
        self.wake()

    def close(self, code: int, reason: str = "") -> None:
        """End the connection with a close frame."""
        self.cut(Cut("close", int(code), reason))

    def strike(self, fault: Fault, now: float) -> None:
        """Let one trigger fault happen to this connection (6.6 for op 7 and op 9)."""
        if fault.kind == "ws_reset":
            self.cut(Cut("reset"))
        elif fault.kind == "ws_close":
            self.close(fault.code or Close.UNKNOWN_ERROR, fault.text)
        elif fault.kind == "malformed_frame":
            self.push(fault.text.encode())
        elif fault.kind == "op1":
            self.push(encode(Op.HEARTBEAT))
        elif fault.kind == "op9":
            self.push(encode(Op.INVALID_SESSION, fault.resumable))
            if self.session is not None and not fault.resumable:
                self.world.sessions.drop(self.session)
            self._leave(now)
            self.asked = False
            if fault.code:
                self.close(fault.code, fault.text)
        else:
            self._reconnect(fault.mode, fault.seconds or 5.0, now)

    # --- inside ----------------------------------------------------------------------------------------

    def _leave(self, now: float) -> None:
        """Let go of the session; without a connection it can be resumed for a while."""
        session, self.session = self.session, None
        if session is not None and self in session.peers:
            session.peers.remove(self)
            if not session.peers:
                session.gone_at = now

    @property
    def _patience(self) -> float:
        return settings.BEATS_MISSED * self.world.settings.heartbeat_s

    def _beat(self, now: float) -> None:
        self.last_beat = now
        self.world.counters["heartbeats"] += 1
        if self.world.faults.take("drop_acks", self._app_id) is None:
            self.push(_ACK)

    def _check_beat(self, now: float) -> None:
        if self.ended:
            return
        silent = now - self.last_beat
        if silent >= self._patience:
            self.close(Close.EXPIRED, "heartbeat timed out")
        else:
            self.world.at(self.last_beat + self._patience, self._check_beat)

    def _retire(self, now: float) -> None:
        self._reconnect("now", 0.0, now)

    def _reconnect(self, mode: str, seconds: float, now: float) -> None:
        if mode != "only4009":
            self.push(_RECONNECT)
        if mode in {"now", "only4009"}:
            self.close(Close.EXPIRED, "connection expired")
        elif mode == "late":
            self.world.at(now + seconds, lambda _: self.close(Close.EXPIRED, "connection expired"))

    @property
    def _app_id(self) -> str | None:
        return self.bot.app_id if self.bot else None

    def _refuse(self, code: int, reason: str) -> None:
        """Refuse an IDENTIFY: op 9 first, then the close (6.4, live)."""
        self.push(encode(Op.INVALID_SESSION, d=False))
        self.close(code, reason)

    def _identify(self, frame: Frame, now: float) -> None:
        world = self.world
        world.counters["identifies"] += 1
        if self.asked:
            self.close(Close.ALREADY_AUTHENTICATED, "already authenticated")
            return
        d = _object(frame)
        token, intents, shard = d.get("token"), d.get("intents"), d.get("shard", [0, 1])
        if not (isinstance(token, str) and _whole(intents) and _pair(shard)):
            self._refuse(Close.INVALID_PAYLOAD, "invalid payload")
            return
        bot = self.bot = _owner(world, token, now, bare=False)
        if bot is None:
            self._refuse(Close.AUTHENTICATION_FAILED, "authentication failed")
            return
        if self._refused_by_fault(bot):
            return
        if not self._within_budget(bot, now):
            return
        index, count = shard
        if intents & ~_KNOWN_INTENTS or intents < 0:
            self._refuse(Close.INTENTS_INVALID, "invalid intents")
        elif intents & ~bot.allowed_intents:
            self._refuse_as(world.settings.bad_intent)
        elif not 0 <= index < count:
            self._refuse(Close.SHARD_INVALID, "invalid shard")
        elif world.faults.take("no_ready", bot.app_id) is not None:
            self.asked = True
        else:
            self.asked = True
            session = self.session = world.sessions.open(bot, intents, (index, count))
            session.peers.append(self)
            ready = {
                "version": 1,
                "session_id": session.id,
                "user": {"id": bot.user_id, "username": bot.name, "bot": True},
                "shard": [index, count],
            }
            self.push(session.frame("READY", msgspec.json.encode(ready), keep=False))
            world.counters["ready"] += 1
            self._live(bot, now)

    def _refused_by_fault(self, bot: Bot) -> bool:
        """Apply what refuses a bot whatever it asks for (3.5, 6.7)."""
        faults = self.world.faults
        if faults.take("banned", bot.app_id) is not None:
            self.close(Close.BANNED, "bot banned")
        elif faults.take("taken_down", bot.app_id) is not None:
            self.close(Close.TAKEN_DOWN, "bot taken down")
        elif faults.take("ip_refused", bot.app_id) is not None:
            self._refuse(Close.CREATE_SESSION_ERROR, "create session error")
        else:
            return False
        return True

    def _within_budget(self, bot: Bot, now: float) -> bool:
        """Count this IDENTIFY, refused or not, against the day and the pause between two (5, 6.4)."""
        world = self.world
        if bot.day_starts_at is None or now >= bot.day_starts_at + settings.DAY_S:
            bot.day_starts_at, bot.starts = now, []
        bot.starts.append(now)
        recent = [t for t in bot.starts if now - t < world.settings.identify_spacing_s]
        fault = world.faults.take("refuse_identify", bot.app_id)
        if fault is not None:
            self._refuse_as(fault.mode)
        elif world.settings.limits and len(bot.starts) > world.settings.identifies_per_day:
            self._refuse(Close.CREATE_SESSION_ERROR, "session start limit reached")
        elif world.settings.limits and len(recent) > world.settings.max_concurrency:
            self._refuse(Close.TOO_FAST, "too many identifies")
        else:
            return True
        return False

    def _refuse_as(self, how: str) -> None:
        if how != "close4014":
            self.push(encode(Op.INVALID_SESSION, d=False))
        if how in {"op9_then_4014", "close4014"}:
            self.close(Close.INTENTS_NOT_PERMITTED, "intents not permitted")
        elif how == "op9_then_4903":
            self.close(Close.CREATE_SESSION_ERROR, "create session error")
        elif how == "op9_eof":
            self.cut(Cut("eof"))

    def _resume(self, frame: Frame, now: float) -> None:
        world = self.world
        world.counters["resumes"] += 1
        if self.asked:
            self.close(Close.ALREADY_AUTHENTICATED, "already authenticated")
            return
        d = _object(frame)
        token, ident, seq = d.get("token"), d.get("session_id"), d.get("seq")
        if not (isinstance(token, str) and isinstance(ident, str) and _whole(seq)):
            self.close(Close.INVALID_PAYLOAD, "invalid payload")
            return
        bot = self.bot = _owner(world, token, now, bare=True)
        if bot is None:
            self.close(Close.AUTHENTICATION_FAILED, "authentication failed")
            return
        if self._refused_by_fault(bot):
            return
        session = world.sessions.find(ident, now)
        fault = world.faults.take("refuse_resume", bot.app_id)
        if fault is not None:
            if session is not None:
                world.sessions.drop(session)
            if fault.mode == "op9":
                self.push(encode(Op.INVALID_SESSION, d=False))
            else:
                self.close(int(fault.mode), "reset by resume" if fault.mode == "4902" else "session invalid")
        elif session is None or session.bot is not bot:
            self.close(Close.SESSION_INVALID, "session id invalid")
        elif not 0 <= seq <= session.s:
            self.close(Close.SEQUENCE_WRONG, "seq wrong")
        elif (missed := session.after(seq)) is None:
            world.sessions.drop(session)
            self.push(encode(Op.INVALID_SESSION, d=False))
        elif world.faults.take("no_resumed", bot.app_id) is not None:
            self.asked = True
        else:
            self._continue(session, missed, bot, now)

    def _continue(self, session: Session, missed: list[bytes], bot: Bot, now: float) -> None:
        """Replay and say RESUMED. A connection that still held the session is told that it lost it."""
        self.asked = True
        for other in list(session.peers):
            other.session = None
            other.close(Close.RESET_BY_RESUME, "reset by resume")
        session.peers = [self]
        session.gone_at = None
        self.session = session
        for missed_frame in missed:
            self.push(missed_frame)
        self.push(session.frame("RESUMED", b'""', keep=False))
        self.world.counters["resumed"] += 1
        self.world.counters["replayed"] += len(missed)
        self._live(bot, now)

    def _live(self, bot: Bot, now: float) -> None:
        """After READY and RESUMED: let the faults strike that wait for this moment."""
        faults = self.world.faults
        if not faults.active:
            return
        drop = faults.take("drop_after_ready", bot.app_id)
        if drop is not None:
            # An orderly end by default: a reset could overtake READY in the client's receive buffer.
            end = Cut("close", drop.code) if drop.code else Cut("eof")
            if drop.seconds:
                self.world.at(now + drop.seconds, lambda _: self.cut(end))
            else:
                self.cut(end)
        for kind in TRIGGERS:
            fault = faults.take(kind, bot.app_id)
            if fault is not None:
                self.world.at(now + fault.seconds, _striking(self, fault))


def _striking(peer: Peer, fault: Fault) -> Callable[[float], None]:
    return lambda now: peer.strike(fault, now)


def _object(frame: Frame) -> dict[str, Any]:
    d = msgspec.json.decode(frame.d)
    return d if isinstance(d, dict) else {}


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_whole(n) for n in value)


def _owner(world: World, text: str, now: float, *, bare: bool) -> Bot | None:
    """Return whose token this is; RESUME may give it without the scheme (6.5)."""
    scheme, _, token = text.rpartition(" ")
    if scheme != AUTH_SCHEME and not (bare and not scheme):
        return None
    bot, until = world.tokens.get(token, (None, 0.0))
    return bot if until > now else None
