"""What the demo is about, as plain data: who says what when, what became of it, and the sums at the end. Pure."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

PROMISE: Final = (
    "Every message QQ hands to Buoy is stored before it is acknowledged, handled at least once, and answered exactly "
    "as often as if nothing had gone wrong; what cannot be delivered is kept, explained and reported; nothing ends "
    "silently; stopping never takes longer than it was told to."
)
PEOPLE: Final = ("Lin", "Mei", "Jun", "Ada", "Tao")
YOU: Final = "you"
ROOMS: Final = {"private": ("c2c", 0), "#harbour": ("group", 0), "#kitchen": ("group", 1)}
SAYINGS: Final = (
    "morning! anybody awake?", "早上好", "is the ferry on time today?", "two tickets for Friday, please",
    "what did we decide yesterday?", "晚上吃什么？", "dumplings, obviously", "remind me at six", "今天风好大",
    "can you translate this for me?", "the printer is on fire again", "which printer?", "all of them", "哈哈哈",
    "how deep is the harbour?", "deep enough", "谁有备用钥匙？", "I left mine at home", "we are out of coffee",
    "明天几点出发？", "half past seven, at the pier", "bring a jacket", "收到，谢谢", "are you still there?",
    "is it raining over there?", "只是毛毛雨", "ok, on my way", "see you at the lighthouse",
    "what's the Wi-Fi password?", "not in this group, please", "周末去钓鱼吗？", "only if you bring lunch", "deal",
)  # fmt: skip
GAP_S: Final = (0.15, 0.6)  # between two remarks: what a person can still follow
OUTAGE: Final = (0.35, 0.65)  # of the conversation: when the network goes, when it is back
CHEER_S: Final = 5.0  # how long a recovery stays on the banner


class Remark(NamedTuple):
    """One line of the script; ``at`` counts from its beginning."""

    at: float
    who: str
    room: str
    text: str


def script(seed: int, seconds: float) -> list[Remark]:
    """Write a conversation of that length; the same seed gives the same one."""
    draw = random.Random(seed)  # noqa: S311  small talk, not secrets
    remarks: list[Remark] = []
    texts: list[str] = []
    at = draw.uniform(*GAP_S)
    while at < seconds:
        texts = texts or draw.sample(SAYINGS, len(SAYINGS))
        remarks.append(Remark(at, draw.choice(PEOPLE), draw.choice(list(ROOMS)), texts.pop()))
        at += draw.uniform(*GAP_S)
    return remarks


# --- what happens ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Line:
    """Something that a user said, and what came back. Times are monotonic."""

    id: str
    who: str
    room: str
    text: str
    said_at: float
    answer: str = ""
    answered_at: float | None = None


@dataclass(slots=True)
class Note:
    """Something that happened to the network; ``mood`` is a key of :data:`MOODS`."""

    mood: str
    text: str


@dataclass(slots=True)
class Outage:
    """From the network taken away, over the network back, to connected and everything said before answered."""

    from_at: float
    to_at: float | None = None
    caught_at: float | None = None
    said: int = 0

    def update(self, now: float, lines: Sequence[Line], *, connected: bool) -> bool:
        """Note the moment in which everything is caught up; True in that moment."""
        back = self.to_at
        if back is None or self.caught_at is not None or not connected:
            return False
        if any(line.answered_at is None and line.said_at <= back for line in lines):
            return False
        self.caught_at = now
        return True

    @property
    def recover_s(self) -> float | None:
        """Seconds from the network's return to everything caught up."""
        return None if self.to_at is None or self.caught_at is None else self.caught_at - self.to_at


class Connection(NamedTuple):
    """A bot's connection as its status tells it."""

    is_up: bool
    word: str
    detail: str = ""
    next_s: float | None = None


def connection(bot: Mapping[str, Any]) -> Connection:
    """Read one bot's part of the health snapshot."""
    if bot["connected"]:
        return Connection(is_up=True, word="connected")
    attempt, phase = bot.get("attempt") or 0, bot["phase"]
    cause = " ".join(str(bot[name]) for name in ("cause", "code") if bot.get(name))
    word = f"retrying, attempt {attempt}" if attempt else "connecting"
    if phase == "blocked":
        word = "blocked, a person must act"
    waits = phase in {"waiting", "blocked"}
    return Connection(is_up=False, word=word, detail=cause, next_s=bot.get("next_try_s") if waits else None)


MOODS: Final = ("calm", "down", "back", "good")


def banner(now: float, outages: Sequence[Outage], line: Connection, waiting: int) -> Note:
    """Say in a few words how things are."""
    last = outages[-1] if outages else None
    if last is not None and last.to_at is None:
        return Note(
            "down", f"NETWORK TAKEN AWAY   {now - last.from_at:.0f} s   {count(waiting, 'message')} waiting at QQ"
        )
    if last is not None and last.to_at is not None and last.caught_at is None:
        return Note("back", f"NETWORK BACK   {now - last.to_at:.1f} s   {count(waiting, 'message')} to catch up")
    if last is not None and last.caught_at is not None and now - last.caught_at < CHEER_S:
        return Note("good", f"RECOVERED IN {last.recover_s:.1f} s   {count(last.said, 'message')} caught up")
    return Note("calm", "connected" if line.is_up else line.word)


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# --- the sums --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run. ``waiting``: not answered yet when a person ended it early."""

    received: int
    answered: int
    lost: int
    twice: int
    waiting: int
    outages: int
    down_s: float
    gaps: int
    """Gaps that Buoy reported: it was away for longer than QQ keeps messages."""
    recover_s: float | None
    """The slowest recovery; None where the network never came back, or never went."""

    @property
    def is_kept(self) -> bool:
        """Each message was answered, and none twice."""
        return not (self.lost or self.twice or self.waiting)


def summarize(
    received: int,
    replies: Sequence[int],
    delivered: int,
    outages: Sequence[Outage],
    now: float,
    *,
    gaps: int = 0,
    is_early: bool = False,
) -> Summary:
    """Add up what the simulated platform counted.

    ``replies`` says for each message how many replies the platform took for it; ``delivered`` is all that it took, so
    what answers no message counts as an answer too many. ``is_early``: the run was cut short.
    """
    answered = sum(number > 0 for number in replies)
    missing = received - answered
    strays = delivered - sum(replies)
    recoveries = [outage.recover_s for outage in outages]
    known = [seconds for seconds in recoveries if seconds is not None]
    return Summary(
        received=received,
        answered=answered,
        lost=0 if is_early else missing,
        twice=sum(number > 1 for number in replies) + strays,
        waiting=missing if is_early else 0,
        outages=len(outages),
        down_s=sum((now if outage.to_at is None else outage.to_at) - outage.from_at for outage in outages),
        gaps=gaps,
        recover_s=max(known) if known and len(known) == len(recoveries) else None,
    )


class Sum(NamedTuple):
    """One row of the summary; ``is_good`` None: no judgement."""

    label: str
    value: str
    is_good: bool | None = None
    remark: str = ""


def table(summary: Summary) -> list[Sum]:
    """Write the figures for people."""
    s = summary
    gap = "Buoy reported a gap: away for longer than QQ keeps messages"
    rows = [
        Sum("messages received", str(s.received)),
        Sum("answered", str(s.answered), s.answered == s.received),
        Sum("lost", str(s.lost), s.lost == 0, gap if s.lost and s.gaps else ""),
        Sum("answered twice", str(s.twice), s.twice == 0),
    ]
    if s.waiting:
        rows.insert(2, Sum("not answered yet", str(s.waiting), is_good=False, remark="stopped before"))
    times = f"in {s.outages} outages" if s.outages > 1 else ""
    recovered = "-" if s.recover_s is None else f"{s.recover_s:.1f}"
    never = "not caught up" if s.outages and s.recover_s is None else ""
    slowest = "the slowest; " if s.outages > 1 else ""
    rows.append(Sum("seconds down", f"{s.down_s:.1f}", remark=times))
    how = never or (f"{slowest}from network back to connected and caught up" if s.outages else "")
    rows.append(Sum("seconds to recover", recovered, (not never) if s.outages else None, how))
    return rows


def verdict(summary: Summary) -> str:
    """Give the figures in one sentence."""
    if not summary.received:
        return "Nothing was said."
    if summary.is_kept:
        return "Kept: each message was answered, and none twice."
    if summary.lost or summary.twice:
        return f"NOT kept: {summary.lost} lost, {summary.twice} answered twice."
    return f"Stopped while {count(summary.waiting, 'message')} waited for an answer."


def took(seconds: float) -> str:
    """Write how long an answer took."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
