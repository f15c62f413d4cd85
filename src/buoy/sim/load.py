"""A crowd of users and its judge: who said what, what was answered, how fast, and what was answered twice."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from buoy.sim.events import Speech, say
from buoy.sim.settings import WINDOW_S
from buoy.sim.world import TYPING, Delivered, World

if TYPE_CHECKING:
    from collections.abc import Callable

MODES: Final = ("closed", "burst")
_TOKEN: Final = re.compile(r"~(\d+)-(\d+)~")
_KINDS: Final = {
    "c2c": "C2C_MESSAGE_CREATE",
    "group": "GROUP_AT_MESSAGE_CREATE",
    "channel": "AT_MESSAGE_CREATE",
    "dm": "DIRECT_MESSAGE_CREATE",
}


class Order(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How many users say how many messages.

    ``closed``: each user says the next one when the former was answered. ``burst``: all at once.
    """

    users: int = 50
    messages: int = 2000
    mode: str = "closed"
    scene: str = "c2c"
    bot: str | None = None
    first_user: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.mode not in MODES or self.scene not in WINDOW_S:
            raise ValueError(f"mode is one of {', '.join(MODES)}; scene is one of {', '.join(WINDOW_S)}")
        if self.users < 1 or self.messages < 1:
            raise ValueError("users and messages must be 1 or more")


class Load:
    """One run. A reply belongs to the messages whose marks its text carries, else to its anchor."""

    def __init__(self, world: World, order: Order, number: int, clock: Callable[[], float]) -> None:
        self.order = order
        self._world = world
        self._clock = clock
        self._number = number
        self._said_at: dict[int, float] = {}
        self._speaker: dict[int, int] = {}
        self._by_id: dict[str, int] = {}
        self._answered: dict[int, float] = {}
        self._answers: dict[int, int] = {}
        self._waiting: list[int] = []
        self._next = 0
        self._bot = world.bot(order.bot)
        self._started: float | None = None
        self._ended: float | None = None
        self.stopped = False
        world.on_delivered.append(self._delivered)

    def start(self) -> None:
        """Let everybody speak who may."""
        count = self.order.messages if self.order.mode == "burst" else min(self.order.users, self.order.messages)
        self._waiting = list(range(self.order.first_user, self.order.first_user + self.order.users))
        if self.order.mode == "burst":
            self._waiting = [self._waiting[n % self.order.users] for n in range(count)]
        else:
            del self._waiting[count:]
        self.speak()

    def speak(self) -> None:
        """Say what waits while a session can take it: what nobody hears proves nothing about the bot."""
        world, order = self._world, self.order
        while self._waiting and self._next < order.messages and not self.stopped:
            now = self._clock()
            if not world.sessions.listening(self._bot, _KINDS[order.scene], now):
                return
            user = self._waiting.pop()
            number, self._next = self._next, self._next + 1
            text = f"load ~{self._number}-{number}~"
            at = time.perf_counter()
            if self._started is None:
                self._started = at
            self._said_at[number] = at
            self._speaker[number] = user
            speech = Speech(text=text, user=user, scene=order.scene, room=user, bot=order.bot)
            said = say(world, speech, now)
            self._by_id[said.id] = number

    def _delivered(self, message: Delivered) -> None:
        if self.stopped or message.msg_type == TYPING or message.bot != self._bot.app_id:
            return
        marks = [int(n) for run, n in _TOKEN.findall(message.text) if int(run) == self._number]
        if not marks and message.anchor in self._by_id:
            marks = [self._by_id[message.anchor]]
        for number in marks:
            if number not in self._said_at:
                continue
            self._answers[number] = self._answers.get(number, 0) + 1
            if number in self._answered:
                continue
            self._answered[number] = self._ended = time.perf_counter()
            if self.order.mode == "closed":
                self._waiting.append(self._speaker[number])

    @property
    def wants_to_speak(self) -> bool:
        """Somebody has something to say."""
        return bool(self._waiting) and self._next < self.order.messages and not self.stopped

    @property
    def done(self) -> bool:
        """Every message was said and answered, or the run was stopped."""
        return self.stopped or len(self._answered) == self.order.messages

    def stop(self) -> None:
        """Say and judge no more."""
        self.stopped = True
        if self._delivered in self._world.on_delivered:
            self._world.on_delivered.remove(self._delivered)

    def report(self) -> dict[str, Any]:
        """Return the figures so far; times are the machine's, not the simulated clock's."""
        took = sorted(at - self._said_at[n] for n, at in self._answered.items())
        seconds = (self._ended or 0.0) - (self._started or 0.0) if took else 0.0
        return {
            "run": self._number,
            "mode": self.order.mode,
            "scene": self.order.scene,
            "users": self.order.users,
            "messages": self.order.messages,
            "said": self._next,
            "answered": len(took),
            "unanswered": self._next - len(took),
            "answered_twice": sum(n > 1 for n in self._answers.values()),
            "seconds": round(seconds, 4),
            "round_trips_per_s": round(len(took) / seconds, 1) if seconds > 0 else 0.0,
            "p50_ms": _percentile(took, 0.50),
            "p99_ms": _percentile(took, 0.99),
            "max_ms": _percentile(took, 1.0),
            "done": self.done,
        }


def _percentile(took: list[float], share: float) -> float:
    if not took:
        return 0.0
    return round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 3)
