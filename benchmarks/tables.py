"""From samples to tables, for a terminal or for a document: medians, with the least and the most in brackets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import CLIENTS
from benchmarks.standing import Idle, Start
from benchmarks.trips import MODES, Load, Trip

NAMES = {"bare": "bare aiohttp", "buoy": "Buoy", "closed": "one message outstanding each", "burst": "one burst"}


@dataclass(frozen=True, slots=True)
class Table:
    """The first column is words, the others are numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            first, *rest = (
                cell.rjust(width) if n else cell.ljust(width)
                for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return "  ".join((f"  {first}", *rest)).rstrip()

        return "\n".join((self.title, line(self.head), *map(line, self.rows)))

    def markdown(self) -> str:
        rows = (self.head, ["---", *("---:" for _ in self.head[1:])], *self.rows)
        return "\n".join((f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in rows)))


def spread(values: Iterable[float], form: str = ",.0f") -> str:
    """Median, least and most."""
    known = list(values)
    if len(known) == 1:
        return format(known[0], form)
    return f"{statistics.median(known):{form}} ({min(known):{form}} to {max(known):{form}})"


def ratios(trips: Sequence[Trip], figure: Callable[[Trip], float]) -> list[float]:
    """Buoy's figure over bare's of the same round: what one machine's mood does to both falls out."""
    of = {(trip.client, trip.round): figure(trip) for trip in trips}
    return [of["buoy", number] / of["bare", number] for client, number in of if client == "buoy"]


def of_trips(trips: Sequence[Trip], load: Load) -> list[Table]:
    found = []
    for loop in dict.fromkeys(trip.loop for trip in trips):
        for mode in MODES:
            some = [trip for trip in trips if (trip.loop, trip.mode) == (loop, mode)]
            rows = []
            for name in CLIENTS:
                mine = [trip for trip in some if trip.client == name]
                rows.append([
                    NAMES[name],
                    spread(trip.per_s for trip in mine),
                    spread((trip.p50_ms for trip in mine), ".1f"),
                    spread((trip.p99_ms for trip in mine), ".1f"),
                    spread(trip.cpu_us for trip in mine),
                    spread(trip.sim_cpu_us for trip in mine),
                ])  # fmt: skip
            figures: tuple[Callable[[Trip], float], ...] = (
                lambda trip: trip.per_s,
                lambda trip: trip.p50_ms,
                lambda trip: trip.p99_ms,
                lambda trip: trip.cpu_us,
                lambda trip: trip.sim_cpu_us,
            )
            rows.append(["Buoy / bare, by rounds", *(spread(ratios(some, figure), ".2f") for figure in figures)])
            title = f"{load.messages:,} echoes to {load.users} users, {NAMES[mode]}, {loop}, n = {load.rounds}"
            head = ["", "round trips/s", "p50 ms", "p99 ms", "client CPU us/message", "simulator CPU us/message"]
            found.append(Table(title, head, rows))
    return found


def of_starts(starts: Sequence[Start]) -> Table:
    rows = []
    for loop in dict.fromkeys(start.loop for start in starts):
        some = [start for start in starts if start.loop == loop]
        rows.append([
            loop,
            spread((start.bare_connected_s for start in some), ".2f"),
            spread((start.connected_s for start in some), ".2f"),
            spread((start.resumed_s for start in some), ".2f"),
            spread((start.answered_s for start in some), ".2f"),
            spread((start.stop_s for start in some), ".2f"),
        ])  # fmt: skip
    head = ["", "bare: connected", "Buoy: connected", "again: resumed", "again: first answer", "SIGTERM to end"]
    return Table(f"seconds since the start of the process, n = {len(starts) // max(1, len(rows))}", head, rows)


def of_idle(found: Sequence[Idle], seconds: float) -> Table:
    rows = [
        [f"{NAMES[it.client]}, {it.loop}", f"{it.rss_mb:.1f}", f"{it.uss_mb:.1f}", f"{it.cpu_ms_per_s:.2f}"]
        for it in found
    ]
    return Table(f"connected, idle for {seconds:g} s", ["", "RSS MB", "USS MB", "CPU ms/s"], rows)


def of_store(told: dict[str, Any]) -> list[Table]:
    bare = told["bare_commits_per_s"]
    rows = [["bare sqlite3, one by one", f"{bare:,.0f}", "1.00", "1.0"]]
    rows += [
        [f"store, {it['waiters']} waiting", f"{it['per_s']:,.0f}", f"{it['per_s'] / bare:.2f}", f"{it['shared']:.1f}"]
        for it in told["commits"]
    ]
    path = told["message_us"]
    loop = sum(path.values()) - path["3 commits"]
    steps = [*((step, us) for step, us in path.items()), ("on the loop, all together", loop)]
    full = [
        [f"{it['rows']:,} in {it['lanes']:,}", f"{it['start_s'] * 1e3:,.1f}", f"{it['claim_us']:.1f}"]
        for it in told["full_inbox"]
    ]
    return [
        Table("durable jobs (one row and its cursor each)", ["", "a second", "ratio", "jobs a commit"], rows),
        Table("store: microseconds a message, batches of 50", ["", "us"], [[step, f"{us:.1f}"] for step, us in steps]),
        Table("turns waiting", ["turns in conversations", "start ms", "page, claim, finish us"], full),
    ]


def of_targets(trips: Sequence[Trip], starts: Sequence[Start], idle: Sequence[Idle], loop: str) -> Table:
    """What the project promises, beside the median of what was measured with ``loop``."""
    mine = [trip for trip in trips if (trip.client, trip.loop) == ("buoy", loop)]
    closed = [trip for trip in mine if trip.mode == "closed"]
    measured: list[tuple[str, list[float], float, bool]] = [
        ("round trips/s, one outstanding each, at least", [it.per_s for it in closed], 3500, True),
        ("p99 ms, one outstanding each, below", [it.p99_ms for it in closed], 40, False),
        ("idle RSS MB, below", [it.rss_mb for it in idle if (it.client, it.loop) == ("buoy", loop)], 45, False),
        ("first answer after s, below", [it.answered_s for it in starts if it.loop == loop], 2, False),
    ]
    rows = []
    for name, values, bound, is_least in measured:
        if values:
            middle = statistics.median(values)
            is_met = middle >= bound if is_least else middle < bound
            rows.append(
                [name, f"{bound:,}", f"{middle:,.0f}" if middle >= 100 else f"{middle:.2f}", "yes" if is_met else "NO"]
            )
    return Table(f"targets, {loop}", ["", "target", "median", "met"], rows)
