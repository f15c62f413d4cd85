"""What an agent sees of a conversation: messages in, replies out. Standard library only."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from buoy.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes, written ``platform:scene:id`` or ``platform:scene:id@bot``.

    ``scene`` is one of the platform's (QQ: ``c2c``, ``group``, ``channel``, ``dm``); ``id`` is opaque.
    """

    platform: str
    scene: str
    id: str
    bot: str | None = None

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read the written form.

        Raises:
            ConfigError: a part is missing; the text says what a target looks like.
        """
        platform, _, rest = text.strip().partition(":")
        scene, _, rest = rest.partition(":")
        name, at, bot = rest.rpartition("@")
        if not at:
            name, bot = rest, ""
        if not (platform and scene and name) or (at and not bot):
            raise ConfigError(
                f"target {text[:80]!r} is not platform:scene:id; write for example qq:c2c:<openid>, "
                "qq:group:<group_openid>, qq:channel:<id> or qq:dm:<guild_id>, "
                "with @<bot> for one of several bots"
            )
        return cls(platform, scene, name, bot or None)

    @property
    def lane(self) -> str:
        """The conversation without the bot: what rows are ordered by."""
        return f"{self.platform}:{self.scene}:{self.id}"

    def __str__(self) -> str:
        return f"{self.lane}@{self.bot}" if self.bot else self.lane


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote a message. ``id`` is valid for this bot only; ``name`` and ``role`` are often absent."""

    id: str
    name: str = ""
    role: str = ""
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file of a message. ``url`` expires soon: download at once. ``text`` is what was said in it."""

    content_type: str
    url: str
    filename: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    text: str = ""

    @property
    def label(self) -> str:
        """What stands for it in a text: ``[image/png cat.png]``, ``[voice] what was said``."""
        what = " ".join(filter(None, (self.content_type, self.filename)))
        return f"[{what or 'file'}] {self.text}".rstrip()


def span(seconds: float) -> str:
    """Write a duration for people: ``40 s``, ``25 min``, ``3 h``, ``2 d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier turn of a conversation: what was asked and what was answered (empty when nothing was)."""

    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Message:
    """One inbound message, as an agent gets it."""

    text: str
    """What was written, mention of the bot and surrounding blanks removed."""
    conversation: str
    """Target to answer to, e.g. ``qq:group:<group_openid>``; with ``@<bot>`` where there are several bots."""
    sender: Sender
    id: str = ""
    """The platform's message id."""
    attachments: tuple[Attachment, ...] = ()
    at: float = 0.0
    """When it was written: seconds since 1970, on this machine's clock."""
    quoted: str = ""
    """Text of the message that this one answers to, if any."""
    turn: str = ""
    """Names this turn; the same on every re-run. Use it as an idempotency key."""
    attempt: int = 1
    """1 on the first run, more when an earlier run was interrupted or failed."""
    late_s: float = 0.0
    """Its age in seconds where the turn came late, after an outage for instance; 0 where it came in time."""
    delivered: tuple[str, ...] = ()
    """Parts that an earlier run of this turn already queued, by :meth:`Line.say` or as it ``can_continue``."""
    history: tuple[Exchange, ...] = ()
    """Earlier turns, oldest first; as many as the agent asked for with ``history_turns``."""
    raw: Any = None
    """The platform's own event body, parsed JSON."""
    schedule: str = ""
    """Name of the schedule that asks this; empty where a person wrote it."""
    line: Line | None = field(default=None, compare=False, repr=False)
    """The way to speak before the turn ends. None: there is none, as for an agent in a process of its own."""


@dataclass(frozen=True, slots=True)
class Button:
    """One button under a reply. A click on it comes back with its ``data``, see :class:`Click`."""

    label: str
    data: str
    is_main: bool = False
    """Shown as the one that is expected."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One message to send. An agent that needs no more than text returns a plain string instead.

    ``markdown`` asks for the platform's markdown; where that is refused the same text is sent plain.
    ``quote`` shows the reply as an answer to the message of this turn, where the platform can.
    ``buttons`` are rows of them; where the platform takes none the reply is sent without.
    """

    text: str
    markdown: bool = False
    quote: bool = False
    buttons: tuple[tuple[Button, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Click:
    """Somebody pressed a button of an earlier reply. The platform was told already that it arrived."""

    id: str
    """Of this click; the same whenever it is handed over again."""
    conversation: str
    sender: Sender
    data: str
    """What the button carries."""
    at: float = 0.0
    """Seconds since 1970, on this machine's clock."""


class Line(Protocol):
    """What an agent may do while its turn runs. One for each turn; of no use once the turn has ended."""

    async def say(self, part: Part, *, last: bool = False, also: Sequence[Line] = ()) -> int:
        """Queue one reply now; when this returns it is on disk and will be delivered, whatever happens.

        ``last``: the turn ends with it, in the same transaction. Nothing runs it again then, and what the agent
        returns or raises afterwards is not sent; the conversation goes on when it returns, or its time is up.
        ``also``: the lines of messages that joined and that the last reply answers as well: their turns end in that
        transaction, too.

        May be called from any task of the loop. While the disk takes nothing it waits, and the turn's clock stands.

        Returns:
            The letter's row; of the last one where the text became several.
        Raises:
            NonsenseError: it cannot be sent; a blank text cannot.
            TurnOverError: the turn has ended; nothing was queued.
        Cancellation:
            It is queued or it is not; a later run finds it in ``Message.delivered``.
        """

    async def ask(self, question: Part, options: Sequence[Button]) -> str:
        """Ask whoever wrote the message; returns the ``data`` of what was chosen.

        Buttons where the platform has them; a number or a label written in the conversation answers as well, and
        gets no turn of its own then. An answer given to an earlier run of this turn counts: nobody is asked twice
        (the same question with the same options, asked in the same order). Waits as long as the turn may last.

        Raises:
            NonsenseError: no text, no options, or a blank label.
            TurnOverError: the turn ended before there was an answer.
        """


Part = str | Reply
Answer = Callable[[Message], "Awaitable[Part | Sequence[Part] | None] | AsyncIterator[Part]"]


async def _nothing() -> None:
    """Nothing to close."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Who answers. Build one with :func:`agent` from an async function, or directly in a factory.

    ``answer`` is cancelled with a reason (``error.args``) where nobody wants the answer any more: `/stop`, or it took
    too long. Without one the process ends, and the turn runs again in the next.
    """

    answer: Answer
    name: str = "agent"
    history_turns: int = 0
    """How many earlier turns each message carries."""
    can_continue: bool = False
    """True: parts are queued as they are yielded; a re-run gets them as ``delivered`` and yields the rest."""
    timeout_s: float | None = None
    """Longest turn; None leaves it to the gateway."""
    clicked: Callable[[Click], Awaitable[None]] | None = None
    """Takes the clicks that no :meth:`Line.ask` waits for; None: they are stored and nothing else."""
    joins: Callable[[Message], bool] | None = None
    """Says whether a message that arrives while a turn of its conversation runs is handed over at once, beside it.

    None: it waits. What waited already when the turn began is never handed over beside another. It is asked before
    the message is stored, so it has to be quick. With it `/stop` is a message like any other, handed over at once.
    """
    close: Callable[[], Awaitable[None]] = field(default=_nothing)


def agent(function: Answer, *, name: str = "", history_turns: int = 0, can_continue: bool = False) -> Agent:
    """Wrap an async function, or async generator function, as an agent.

    Raises:
        ConfigError: ``function`` is a plain ``def``; it would block every other conversation.
    """
    name = name or getattr(function, "__name__", type(function).__name__)
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    if not (inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)):
        raise ConfigError(
            f"agent {name!r} is not an async function: write `async def {name}(message)`, and set "
            'isolation = "process" if it calls code that blocks'
        )
    return Agent(function, name, history_turns, can_continue)


class NonsenseError(TypeError):
    """An agent answered with something that cannot be sent. Running it again would not help."""


async def collect(agent: Agent, message: Message) -> list[Reply]:
    """Run one turn to its end and give its replies. Blank ones are dropped, so an empty list is "no reply".

    Raises:
        NonsenseError: the answer is not a text, a Reply, a list of these, or None.
        Exception: whatever the agent raised.
    """
    answer: Any = agent.answer(message)
    if inspect.isawaitable(answer):
        answer = await answer
    if not hasattr(answer, "__aiter__"):
        return replies_of(answer)
    async with aclosing(answer) if hasattr(answer, "aclose") else nullcontext():
        return [reply async for part in answer for reply in replies_of(part)]


def replies_of(answer: Any) -> list[Reply]:
    """Turn what an agent returned into replies, blank ones dropped; raises NonsenseError as above."""
    parts = answer if isinstance(answer, list | tuple) else [answer]
    return [reply for reply in map(as_reply, parts) if reply.text.strip()]


def as_reply(part: Any) -> Reply:
    """Turn one part of an answer into a reply; None is a blank one. Half a surrogate pair becomes ``?``.

    Raises:
        NonsenseError: it is neither a text nor a Reply.
    """
    reply = part if isinstance(part, Reply) else Reply("" if part is None else part)
    if not isinstance(reply.text, str):
        raise NonsenseError(
            f"an agent answered with {type(reply.text).__name__}; return a text, a buoy.chat.Reply, "
            "a list of these, or None for no reply"
        )
    try:
        reply.text.encode()
    except UnicodeEncodeError:
        return replace(reply, text=reply.text.encode(errors="replace").decode())
    return reply
