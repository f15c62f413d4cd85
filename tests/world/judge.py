"""The judge: what must hold over a whole history, whatever happened in it.

Each check has a name; a planted bug says which of them must find it. They look at the platform's own log, at the
database that is left and at what the world noted on the way; at what Buoy says of itself only to hold it to that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from buoy.platforms.qq import compose
from tests.world.people import MARK

if TYPE_CHECKING:
    from tests.world.world import World

CONNECTS_AN_HOUR = 70  # faults 3, 4, 7
STOP_S = 5.0  # fault 22
REPLY_S = 5.0  # fault 11: what the first send after an outage may take; without one it takes a round trip
AFTERMATH_S = 90.0  # after a fault of the way or the disk, what waited goes out within the caps of the backoffs
ON_PURPOSE = {"session aged", "futile resumes", "unready identify", "asking for intents"}
TOO_MANY = "newer letters of this conversation are held back too"  # the one end of a letter that the world allows
MAY_DROP = {4003, 4004, 4005, 4006, 4007, 4013, 4014, *range(4900, 4914)}
"""Close codes after which a session may be given up though QQ still has it; typed by hand from protocol.md 6.7."""


class Row(NamedTuple):
    """One letter as the database has it."""

    id: int
    key: str
    bot: str
    lane: str
    state: str
    reason: str
    origin: str
    event: int | None
    into: int | None
    created_at: float
    settled_at: float | None
    attempts: int
    marks: list[str]


def judge(world: World) -> None:
    """Hold the history against every invariant."""
    letters = read_letters(world)
    delivered = read_delivered(world)
    arrived(world)
    gaps_are_told(world)
    turns_end(world)
    letters_end(world, letters)
    said_once(world, letters, delivered)
    order_is_kept(world, letters)
    within_budgets(world)
    stops_in_time(world)
    leaves_at_once(world, letters)
    no_nonsense(world)


def read_letters(world: World) -> list[Row]:
    rows = world.disk.ask(
        "SELECT id, key, bot, lane, state, reason, origin, event, into_id, created_at, settled_at, attempts, "
        "coalesce(carried, body) FROM outbox ORDER BY id"
    )
    return [Row._make([*row[:-1], MARK.findall(compose.decode(row[-1]).text)]) for row in rows]


def read_delivered(world: World) -> dict[tuple[str, str], Counter[str]]:
    """What was shown where, and how often."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for message in world.platform.delivered:
        found[message.bot, message.target].update(MARK.findall(message.shown))
    return found


# --- in ---------------------------------------------------------------------------------------------------------


def arrived(world: World) -> None:
    """Every message that a session took is in the inbox, or a gap covers it."""
    rows = dict(world.disk.ask("SELECT key, id FROM inbox"))
    known = {session for (session,) in world.disk.ask("SELECT session FROM inbox WHERE type = 'READY'")}
    gaps = world.disk.ask("SELECT bot, session, stored, from_at, to_at FROM gap")
    for talk in world.talks:
        if talk.id in rows or talk.is_unasked or talk.is_deaf:
            continue
        taken = [(session, seq) for session, seq in talk.put if session in known]
        if taken:
            told = any(
                bot == talk.bot and any(session == where and stored < seq for where, seq in taken)
                for bot, session, stored, _, _ in gaps
            )
            if not told:
                text = f"message {talk.number} was taken by {taken}, and is not stored"
                world.break_("stored before acknowledged", text)
        elif not any(bot == talk.bot and _covers(world, talk.at, begin, end) for bot, _, _, begin, end in gaps):
            text = f"message {talk.number} came while no session was live, and no gap says so"
            world.break_("a gap is told", text)


OFF_S = {"clock jumps": 3700.0, "QQ's clock is off": 250.0}
"""How far a gap's times may be off while one of these faults is on, or was when the newest event was stamped."""


def _covers(world: World, at: float, begin: float, end: float) -> bool:
    """Whether a gap covers a moment; its times are those of the process's clock, or of QQ's."""
    slack = 1.0
    for start, over, kind in world.weather.spans:
        off_s = OFF_S.get(kind.name, 0.0)
        if start - off_s - 3600.0 <= at <= over + off_s + 3600.0:
            slack = max(slack, off_s)
    at += world.platform_wall() - world.heap.now
    return begin - slack <= at <= end + slack


def gaps_are_told(world: World) -> None:
    """Each session that was lost is a gap; a session that could have gone on was not given up."""
    gaps = world.disk.ask("SELECT bot, session, cause, from_at, to_at FROM gap")
    lost: dict[str, set[str]] = defaultdict(set)
    for _, session, cause, _, _ in gaps:
        lost[session].add(cause)
    stored = {session for (session,) in world.disk.ask("SELECT session FROM inbox WHERE type = 'READY'")}
    for app_id in world.bots:
        opened = [(session, at) for bot, session, at in world.opened if bot == app_id]
        for session, at in opened[:-1]:
            if session in stored:
                told = session in lost
            else:  # its READY never came: the gap that was open then, or was opened for it, covers it
                told = any(bot == app_id and _covers(world, at, begin, end) for bot, _, _, begin, end in gaps)
            if not told:
                world.break_("a gap is told", f"session {session[:8]} of {app_id} was lost, and no gap says so")
    for session, code in world.needless:
        if session in lost and not lost[session] & ON_PURPOSE and code not in MAY_DROP:
            world.break_("no session is given up needlessly", f"session {session[:8]}, after {code or 'a reset'}")


def turns_end(world: World) -> None:
    """Every turn ended, as done or as dead with a reason; those that must die did, and no other."""
    rows = {
        key: (state, reason)
        for key, state, reason in world.disk.ask("SELECT key, state, reason FROM inbox WHERE lane IS NOT NULL")
    }
    for talk in world.talks:
        state, reason = rows.get(talk.id, ("done", ""))
        if state not in {"done", "dead"}:
            world.break_("every turn ends", f"message {talk.number} ({talk.text}) is {state}: {reason}")
        elif (state == "dead") != talk.must_die and talk.id in rows:
            world.break_("every turn ends", f"message {talk.number} ({talk.text}) is {state}: {reason or 'no reason'}")
        elif state == "dead" and not reason:
            world.break_("every end has a reason", f"message {talk.number} is dead without a reason")


# --- out --------------------------------------------------------------------------------------------------------


def letters_end(world: World, letters: list[Row]) -> None:
    """Nothing is still under way; whatever did not end as sent says why."""
    for letter in letters:
        if letter.state in {"queued", "claimed"}:
            world.break_("every letter ends", f"letter {letter.id} {letter.marks} is {letter.state}: {letter.reason}")
        elif letter.state in {"held", "unsure", "dead", "dropped"} and not letter.reason:
            world.break_("every end has a reason", f"letter {letter.id} is {letter.state} without a reason")
        elif "40054005" in letter.reason:
            world.break_(
                "a duplicate refusal means delivered", f"letter {letter.id} is {letter.state}: {letter.reason}"
            )
        elif letter.state == "dead" and TOO_MANY not in letter.reason:
            world.break_("nothing dies that could live", f"letter {letter.id} {letter.marks}: {letter.reason}")
        elif letter.state == "held":
            world.break_(
                "held until the next contact", f"letter {letter.id} {letter.marks} of {letter.lane}: {letter.reason}"
            )


def said_once(world: World, letters: list[Row], delivered: dict[tuple[str, str], Counter[str]]) -> None:
    """Each mark was read exactly once in its own conversation, except where its letter is unsure: at most once."""
    states: dict[tuple[str, str], list[str]] = defaultdict(list)
    for letter in letters:
        if letter.state != "merged":
            state = "given up" if TOO_MANY in letter.reason else letter.state
            for mark in letter.marks:
                states[letter.bot, mark].append(state)
    stored = {key for (key,) in world.disk.ask("SELECT key FROM inbox WHERE state = 'done'")}
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for talk in world.talks:
        if talk.id in stored:
            wanted[talk.bot, talk.target].update(talk.marks)
    for cron in world.crons:
        if cron.is_stored:
            wanted[cron.bot, cron.target.split(":")[2].partition("@")[0]].add(cron.mark)
    for (bot, target), marks in wanted.items():
        for mark in marks:
            count = delivered[bot, target][mark]
            known = states[bot, mark]
            if not known:
                world.break_("answered", f"«{mark}» has no letter")
            elif count > 1:
                world.break_("answered once", f"«{mark}» was read {count} times; its letters are {known}")
            elif count == 0 and "unsure" not in known and "given up" not in known:
                world.break_("answered", f"«{mark}» was never read; its letters are {known}")
    for (bot, target), found in delivered.items():
        strange = {mark for mark in found if mark not in wanted[bot, target]}
        dead = {m for talk in world.talks if talk.must_die for m in talk.marks}
        given_up = {cron.mark for cron in world.crons if not cron.is_stored}
        for mark in strange - dead - given_up:
            world.break_("answered where it was asked", f"«{mark}» was read in {target} of {bot}")


def order_is_kept(world: World, letters: list[Row]) -> None:
    """In each conversation what was never held, merged or in doubt is read in the order of the messages."""
    noted = {ref for (ref,) in world.disk.ask("SELECT DISTINCT ref FROM note WHERE text LIKE 'held%'")}
    row_of = {
        mark: letter.event
        for letter in letters
        if letter.state == "sent" and letter.origin == "turn" and f"out/{letter.id}" not in noted
        and "~" not in letter.key and letter.event is not None
        for mark in letter.marks
    }  # fmt: skip
    last: dict[tuple[str, str], tuple[int, str]] = {}
    for message in world.platform.delivered:
        for mark in MARK.findall(message.shown):
            row = row_of.get(mark)
            if row is None:
                continue
            place = (message.bot, message.target)
            before = last.get(place)
            if before is not None and row < before[0]:
                world.break_("order is kept", f"«{mark}» was read after «{before[1]}» in {message.scene}")
            last[place] = (row, mark)


def leaves_at_once(world: World, letters: list[Row]) -> None:
    """Sending needs no WebSocket: while REST, disk and process are well, a reply is read within seconds."""
    read_at = {mark: m.at for m in world.platform.delivered for mark in MARK.findall(m.shown)}
    base = world.platform_wall() - world.heap.now
    bad = [
        (start, end + AFTERMATH_S)
        for start, end, kind in world.weather.spans
        if {"rest", "disk", "process"} & set(kind.touches.split())
    ]
    bad += [(start - 3700.0, end + 3700.0) for start, end, kind in world.weather.spans if "clock" in kind.touches]
    bad += [(at - 1.0, at + AFTERMATH_S) for at in (*(at for at, _ in world.ends), *world.starts)]
    for letter in letters:
        if letter.origin != "turn" or letter.state != "sent" or letter.lane.startswith("qq:channel"):
            continue
        at = letter.created_at - base
        if any(start <= at + REPLY_S and at <= end for start, end in bad):
            continue
        late = [mark for mark in letter.marks if mark in read_at and read_at[mark] - base - at > REPLY_S]
        if late and not _waited(letters, letter):
            took = read_at[late[0]] - base - at
            world.break_("sending needs no WebSocket", f"«{late[0]}» was read {took:.1f} s after it was written")


def _waited(letters: list[Row], letter: Row) -> bool:
    """An older letter of the lane was settled after this one was written: it had to wait for its turn."""
    return any(
        other.id < letter.id and other.lane == letter.lane and other.bot == letter.bot
        and (other.settled_at or 0.0) > letter.created_at
        for other in letters
    )  # fmt: skip


# --- limits -----------------------------------------------------------------------------------------------------


def within_budgets(world: World) -> None:
    """Connects an hour and IDENTIFYs a day stay within what is allowed, restarts apart."""
    for bot in world.bots:
        times = [at for at, who in world.network.connects if who == bot]
        first = 0
        for last, at in enumerate(times):
            while at - times[first] >= 3600:
                first += 1
            born = sum(1 for start in world.starts if times[first] - 10 <= start <= at)
            if last - first + 1 > CONNECTS_AN_HOUR + 11 * born:
                world.break_("connects within the pace", f"{last - first + 1} in an hour, with {born} starts")
                break
    refused = world.platform.counters["refused_budget"]
    for account in world.platform.bots.values():
        if len(account.starts) > world.knobs.identifies:
            world.break_("identifies within the budget", f"{len(account.starts)} of {world.knobs.identifies}")
    if refused:
        world.break_("identifies within the budget", f"{refused} were refused for it")


def stops_in_time(world: World) -> None:
    for took in world.stops:
        if took > STOP_S + 0.01:
            world.break_("stop within the deadline", f"a stop took {took:.2f} s")
    for at, how in world.ends:
        if how == "ended by the watch":
            world.break_("stop within the deadline", f"the stop at {at:.0f} did not end by itself")


def no_nonsense(world: World) -> None:
    """The platform never saw a request that nobody should send."""
    counters = world.platform.counters
    for code in (12002, 22006, 304061, 340069, 40034025, 40034027):
        if counters[f"refused_{code}"]:
            world.break_("no nonsense is sent", f"refused {counters[f'refused_{code}']} times with {code}")
    if counters["both_anchors"]:
        world.break_("no nonsense is sent", "both anchors in one request")
