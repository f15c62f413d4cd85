"""A chat platform that does what a test says, and a running gateway around it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from buoy.chat import Agent, Answer, Button, Click, Message, Reply, Sender, Target
from buoy.chat import agent as as_agent
from buoy.durable import inbox, outbox, schema
from buoy.durable.schedules import Schedule
from buoy.durable.store import Commit, Store, _start_boot
from buoy.errors import ConfigError
from buoy.gateway.app import App
from buoy.gateway.courier import Holding
from buoy.gateway.receipts import Receipt
from buoy.gateway.worker import Turns
from buoy.letters import Anchor, Arrival, Cause, Event, Failed, Intake, Letter, Outcome, Permission, Plan, Sent
from buoy.platforms.qq.planner import Allowed, plan
from buoy.protocol.limits import WINDOWS_S
from tests import clock

EPOCH = 1_700_000_000.0
BOT = "bot"
CLICK = "CLICK"
ANN, BEN, CAT = "fake:c2c:ann", "fake:c2c:ben", "fake:group:cat"


def wall() -> float:
    """Wall time that runs with the loop's."""
    return EPOCH + asyncio.get_running_loop().time()


# --- the platform ---


@dataclass(frozen=True)
class Lost:
    """No answer comes. Did it arrive?"""

    accepted: bool


@dataclass(frozen=True)
class Slow:
    """The request takes this long before what it says."""

    seconds: float
    then: Outcome | Lost | None = None


Step = Outcome | Lost | Slow | Exception | None
"""What becomes of one request; None: accepted."""

DOWN = Failed(Cause.UNREACHABLE, "connection refused")
REFUSED = {cause: Failed(cause, f"{cause.value} says the platform", 40000, 400) for cause in Cause}
TOO_FAST = Failed(Cause.RATE, "too many requests", 22009, 429)


@dataclass(frozen=True)
class Request:
    """One request as it left."""

    at: float
    lane: str
    text: str
    anchor: str | None
    seq: int | None
    attempt: int


@dataclass
class Line:
    """One bot. Plans like QQ; takes each (anchor, seq) once; ``script`` and ``network`` say what goes wrong."""

    bot: str = BOT
    name: str = "fake"
    proactive: bool = True
    is_up: bool = True
    reached: int = 0
    """How often it was asked whether anything gets through."""
    closing_s: float = 0.0
    script: dict[str, deque[Step]] = field(default_factory=lambda: defaultdict(deque))
    requests: list[Request] = field(default_factory=list)
    shown: list[tuple[str, str]] = field(default_factory=list)
    taken: set[tuple[str, int]] = field(default_factory=set)
    running: int = 0
    most: int = 0
    service: Callable[[], Awaitable[None]] | None = None
    shows_typing: bool = False
    typed: list[tuple[str, int]] = field(default_factory=list)
    buttons: dict[str, tuple[tuple[Button, ...], ...]] = field(default_factory=dict)
    """By text, of whatever was composed."""
    calls: list[str] = field(default_factory=list)

    def services(self, intake: Intake) -> Mapping[str, Callable[[], Awaitable[None]]]:
        del intake
        return {} if self.service is None else {"service": self.service}

    def read(self, event: Event) -> Message | None:
        if event.type == CLICK:
            return None
        told = json.loads(event.frame)
        text = told["text"]
        if not text:
            return None
        who = Sender(told.get("sender", "u"))
        return Message(text, event.lane, who, event.key, at=event.event_at, turn=event.key, attempt=event.attempts)

    def click(self, event: Event) -> Click | None:
        told = json.loads(event.frame) if event.type == CLICK else None
        return told and Click(event.key, event.lane, Sender(told["sender"]), told["data"], event.event_at)

    def types(self, event: Event) -> bool:
        return self.shows_typing

    async def typing(self, event: Event, seq: int) -> None:
        self.typed.append((event.key, seq))
        assert event.anchor is not None
        assert (event.anchor, seq) not in self.taken
        self.taken.add((event.anchor, seq))

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        self.buttons |= {reply.text: reply.buttons for reply in replies if reply.buttons}
        return [self.body(reply) for reply in replies]

    def body(self, reply: Reply) -> bytes:
        return reply.text.encode()

    def text_of(self, body: bytes) -> str:
        return body.decode()

    def check(self, target: Target) -> None:
        if target.scene not in WINDOWS_S:
            raise ConfigError(f"no scene {target.scene}")

    def merge(self, held: Sequence[Letter], now: float) -> list[bytes]:
        del now
        return [b"+".join(letter.body for letter in held)]

    def reword(self, letter: Letter, failed: Failed) -> list[bytes]:
        if failed.code == 1:
            half = len(letter.body) // 2
            return [letter.body[:half], letter.body[half:]]
        return [] if letter.body.startswith(b"plain ") else [b"plain " + letter.body]

    def plan(self, letter: Letter, anchors: Sequence[Anchor], now: float, known: Permission | None = None) -> Plan:
        allowed = Allowed(self.proactive if known is None else bool(known.allowed))
        return plan(letter, anchors, now, scene=letter.lane.split(":")[1], allowed=allowed)

    def alive_since(self, lane: str, now: float) -> float:
        return now - WINDOWS_S[lane.split(":")[1]]

    async def reach(self) -> Failed | None:
        self.reached += 1
        return None if self.is_up else DOWN

    async def deliver(self, letter: Letter) -> Outcome:
        now = asyncio.get_running_loop().time()
        text = letter.body.decode()
        self.requests.append(Request(now, letter.lane, text, letter.anchor, letter.seq, letter.attempts))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for key in (text, letter.lane, "*"):
                if self.script[key]:
                    return await self._do(self.script[key].popleft(), letter, text)
            return await self._do(None if self.is_up else DOWN, letter, text)
        finally:
            self.running -= 1

    async def _do(self, step: Step, letter: Letter, text: str) -> Outcome:
        if isinstance(step, Slow):
            await asyncio.sleep(step.seconds)
            step = step.then
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Failed | Sent):
            is_taken = letter.anchor is not None and (letter.anchor, letter.seq) in self.taken
            if not (
                is_taken and isinstance(step, Failed) and step.cause in {Cause.CONTENT, Cause.BUG} and not step.early
            ):
                return step  # what was accepted once is not refused for what it says
        if isinstance(step, Lost):
            if step.accepted:
                self._accept(letter, text)
            return Failed(Cause.LOST, "no answer came")
        if not self._accept(letter, text):
            if letter.attempts > 1:
                return Sent(None, "proved by duplicate refusal")
            return Failed(Cause.ANCHOR, "the number was taken")
        return Sent(f"r{len(self.shown)}")

    def _accept(self, letter: Letter, text: str) -> bool:
        if letter.anchor is not None and letter.seq is not None:
            if (letter.anchor, letter.seq) in self.taken:
                return False
            self.taken.add((letter.anchor, letter.seq))
        self.shown.append((letter.lane, text))
        return True

    def learn(self, letter: Letter, outcome: Outcome) -> Permission | None:
        is_refused = isinstance(outcome, Failed) and outcome.cause is Cause.PROACTIVE
        if letter.anchor is not None or not (is_refused or isinstance(outcome, Sent)):
            return None
        return Permission(not is_refused, letter.attempted_at or 0.0, "the platform said so")

    def health(self) -> dict[str, Any]:
        return {"state": "up", "phase": "live" if self.is_up else "retrying", "connected": self.is_up}

    async def close(self) -> None:
        self.calls.append("close")
        await asyncio.sleep(self.closing_s)

    async def release(self) -> None:
        self.calls.append("release")

    # --- what tests ask ---

    def say(self, key: str, *steps: Step) -> None:
        """Script the next requests with this text, of this lane, or of any (``*``)."""
        self.script[key].extend(steps)

    def texts(self, lane: str | None = None) -> list[str]:
        """What the readers see."""
        return [text for where, text in self.shown if lane in {None, where}]


# --- agents ---


async def echo(message: Message) -> str:
    return message.text


@dataclass
class Scripted:
    """An agent that a test holds by the hand: each text has its own doing; the default is an echo."""

    doings: dict[str, Callable[[Message], Awaitable[Any]]] = field(default_factory=dict)
    seen: list[Message] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def __call__(self, message: Message) -> Any:
        self.seen.append(message)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            doing = self.doings.get(message.text)
            return message.text if doing is None else await doing(message)
        finally:
            self.running -= 1

    def texts(self) -> list[str]:
        return [message.text for message in self.seen]


async def hang(_: Message) -> None:
    await asyncio.get_running_loop().create_future()


async def hang_for_good(_: Message) -> None:
    """Does not even listen to its cancellation; ends with its loop."""
    never = asyncio.get_running_loop().create_future()
    ends_at = asyncio.get_running_loop().time() + 30
    while asyncio.get_running_loop().time() < ends_at:
        try:
            async with asyncio.timeout_at(ends_at):
                await asyncio.shield(never)
        except (asyncio.CancelledError, TimeoutError):
            continue
    raise asyncio.CancelledError


def sleeps(seconds: float, answer: Any = "slept") -> Callable[[Message], Awaitable[Any]]:
    async def doing(_: Message) -> Any:
        await asyncio.sleep(seconds)
        return answer

    return doing


def raises(error: BaseException) -> Callable[[Message], Awaitable[Any]]:
    async def doing(_: Message) -> Any:
        raise error

    return doing


def answers(what: Any) -> Callable[[Message], Awaitable[Any]]:
    async def doing(_: Message) -> Any:
        return what

    return doing


# --- the disk ---


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as if the disk said so")
    error.sqlite_errorcode = code
    return error


@dataclass
class Disk:
    """The COMMIT of a store, which can be told to fail."""

    error: int = 0
    when: Callable[[], bool] = lambda: True

    def __call__(self, db: sqlite3.Connection) -> None:
        if self.error and self.when():
            raise sqlite_error(self.error)
        db.execute("COMMIT")

    @contextmanager
    def full(self) -> Iterator[None]:
        self.error = sqlite3.SQLITE_FULL
        yield
        self.error = 0


def crash(store: Store, commit: Commit | None = None) -> Store:
    """What the next process finds when this one is killed now: a store of its own over a copy of the file."""
    db = schema.open_memory()
    store._writer.backup(db)
    return type(store)(db, db, _start_boot(db, wall()), commit=commit, threaded=False)


# --- the gateway around them ---


@dataclass
class World:
    """A running gateway, and what a test does to it."""

    app: App
    line: Line

    @property
    def store(self) -> Store:
        return self.app.store

    def click(
        self, key: str, data: str, lane: str = ANN, sender: str = "u", **changes: Any
    ) -> asyncio.Future[inbox.Put]:
        """Somebody presses a button."""
        frame = json.dumps({"data": data, "sender": sender}).encode()
        told = {"type": CLICK, "frame": frame, "bypass": True, "click": True, **changes}
        return self.put(key, lane=lane, **told)

    def put(self, key: str, text: str | None = None, lane: str = ANN, **changes: Any) -> asyncio.Future[inbox.Put]:
        """A message comes in."""
        return self.app.door.put(arrival(key, text, lane, **{"bot": self.line.bot, **changes}))

    async def settle(self) -> None:
        """Wait until everything that can go on has ended."""
        await self.app.drained()
        while self.store.stats.waiting:  # what is settled without waiting
            await asyncio.sleep(0.001)

    async def send(self, text: str, lane: str = ANN, key: str | None = None) -> Receipt:
        return await self.app.send(lane, text, key=key)

    def events(self) -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in self.store.read(inbox.listing, limit=-1)}

    def letters(self) -> dict[str, dict[str, Any]]:
        """By key, in the order in which they were queued."""
        return {row["key"]: row for row in reversed(self.store.read(outbox.listing, limit=-1))}

    def states(self) -> dict[str, str]:
        return {key: row["state"] for key, row in self.letters().items()}


def arrival(key: str, text: str | None = None, lane: str | None = ANN, **changes: Any) -> Arrival:
    """A message that wants a turn, written now."""
    fields: dict[str, Any] = {
        "bot": BOT, "shard": 0, "session": "S", "seq": None, "type": "MESSAGE", "key": key,
        "frame": json.dumps({"text": key if text is None else text}).encode(), "lane": lane, "turn": True,
        "anchor": f"a-{key}", "event_at": wall(), "received_at": wall(),
    }  # fmt: skip
    return Arrival(**{**fields, **changes})


@asynccontextmanager
async def gateway(
    line: Line,
    agent: Agent | Answer = echo,
    *,
    store: Store | None = None,
    commit: Commit | None = None,
    turns: Turns | None = None,
    holding: Holding | None = None,
    deadline_s: float = 5.0,
    schedules: Sequence[Schedule] | None = None,
) -> Any:
    """Start a gateway; stop it in the end, whatever happens."""
    who = agent if isinstance(agent, Agent) else as_agent(agent)
    where = store or Store.open_memory(now=wall(), commit=commit)
    app = App(where, [line], {line.bot: who}, wall=wall, turns=turns, holding=holding, schedules=schedules)
    await app.start()
    try:
        async with asyncio.timeout(20_000):
            yield World(app, line)
    finally:
        await app.stop(deadline_s=deadline_s)


def play(test: Callable[..., Coroutine[Any, Any, None]], agent: Agent | Answer = echo, **options: Any) -> None:
    """Run ``test(world)`` against a gateway on the jumping clock."""
    line = options.pop("line", None) or Line()

    async def main() -> None:
        async with gateway(line, agent, **options) as world:
            await test(world)

    clock.run(main())
