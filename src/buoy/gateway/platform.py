"""What the gateway asks of a chat platform. QQ and the console satisfy it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from buoy.chat import Click, Message, Reply, Target
from buoy.letters import Anchor, Event, Failed, Intake, Letter, Outcome, Permission, Plan


class Platform(Protocol):
    """One bot on one platform."""

    @property
    def name(self) -> str:
        """The first part of its targets, e.g. ``qq``."""

    @property
    def bot(self) -> str:
        """The account, as rows name it."""

    def services(self, intake: Intake) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The long-running tasks by name. The supervisor runs them and restarts whatever ends."""

    def read(self, event: Event) -> Message | None:
        """Translate a stored row for the agent; None when it holds nothing to answer. May raise ValueError."""

    def click(self, event: Event) -> Click | None:
        """Translate a stored row that is a click on a button; None: it is none."""

    def types(self, event: Event) -> bool:
        """Say whether :meth:`typing` means anything to who wrote this row."""

    async def typing(self, event: Event, seq: int) -> None:
        """Show once that an answer to this row is being written, as its reply ``seq``. Best effort, bounded.

        Raises nothing of the platform's.
        """

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        """Letter bodies for a turn's replies, in order, within sizes and budgets where possible."""

    def body(self, reply: Reply) -> bytes:
        """The letter body of one message that answers nothing. Raises ConfigError for what cannot be one letter."""

    def text_of(self, body: bytes) -> str:
        """The text of a letter body, for histories and lists; empty for one that says nothing of the agent's."""

    def check(self, target: Target) -> None:
        """Refuse a target that the platform cannot know. Raises ConfigError."""

    def merge(self, held: Sequence[Letter], now: float) -> list[bytes]:
        """Join held letters' bodies into as few as fit, oldest first; the reader is told how late they are."""

    def reword(self, letter: Letter, failed: Failed) -> list[bytes]:
        """Other bodies for content that was refused; empty when there is nothing left to try."""

    def plan(self, letter: Letter, anchors: Sequence[Anchor], now: float, known: Permission | None = None) -> Plan:
        """What to do with a letter now. ``anchors`` newest first, none older than :meth:`alive_since`.

        ``known`` is what was learned last about messages without an anchor in this conversation.
        """

    def alive_since(self, lane: str, now: float) -> float:
        """The oldest event time that an anchor may still have."""

    async def reach(self) -> Failed | None:
        """Say what is in the way of any request; None: nothing. Nothing is delivered. Raises nothing of the platform's.

        Asked while requests do not get through, so that a way which is closed for hours costs no commit.
        """

    async def deliver(self, letter: Letter) -> Outcome:
        """One attempt. Raises nothing of the platform's."""

    def learn(self, letter: Letter, outcome: Outcome) -> Permission | None:
        """What an outcome says about messages without an anchor; it is stored with the outcome.

        Only two can say it: accepted, and refused with ``Cause.PROACTIVE``.
        """

    def health(self) -> dict[str, Any]:
        """Plain data for status: phase, since, cause ..."""

    async def close(self) -> None:
        """Stop receiving; what is being delivered may finish. Bounded."""

    async def release(self) -> None:
        """Let go of everything; bounded."""
