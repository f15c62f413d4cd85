"""All figures of one run: ``make bench``, or ``python -m benchmarks.run`` with options. Takes some minutes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import machine, standing, store, tables, trips
from benchmarks.processes import LOOPS, BenchmarkError

PARTS = ("trips", "starts", "idle", "store")
WAITERS = (1, 8, 32)
LANES = (50, 5000)  # conversations: each with many turns, or many with few


def measure_store(rows: Sequence[int], directory: Path | None, tell: Callable[[str], None]) -> dict[str, Any]:
    """Commits a second, the price of a message, claims and starts with a full inbox."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        home = Path(name)

        def fresh(of: str) -> Path:
            (home / of).mkdir()
            return home / of

        tell("store: commits")
        told: dict[str, Any] = {"bare_commits_per_s": store.bare_commits(fresh("bare")), "commits": []}
        for waiters in WAITERS:
            rate, shared = asyncio.run(store.group_commits(fresh(f"group{waiters}"), waiters))
            told["commits"].append({"waiters": waiters, "per_s": rate, "shared": shared})
        tell("store: the path of a message")
        told["message_us"] = store.message_path(fresh("path"), messages=max(100, min(20_000, *rows)))
        told["full_inbox"] = []
        for lanes, count in product(LANES, rows):
            tell(f"store: {count:,} rows waiting in {lanes:,} conversations")
            cost = store.full_inbox(fresh(f"full{lanes}-{count}"), count, lanes)
            told["full_inbox"].append({"rows": count, "lanes": lanes} | cost)
        return told


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    known = trips.Load()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Buoy's figures, with their machine.")
    add = parser.add_argument
    add("--only", default=",".join(PARTS), help="parts, with commas (default %(default)s)")
    add("--loops", default=None, help="event loops, with commas (default: uvloop where installed, and asyncio)")
    add("--rounds", type=int, default=known.rounds, help="rounds of trips and starts (default %(default)s)")
    add("--messages", type=int, default=known.messages, help="messages of one load (default %(default)s)")
    add("--users", type=int, default=known.users, help="users of one load (default %(default)s)")
    add("--warm-up", type=int, default=known.warm_up, help="messages before, not counted (default %(default)s)")
    add("--idle-s", type=float, default=10.0, help="seconds before memory is read (default %(default)s)")
    add("--rows", default="1000,100000,1000000", help="sizes of the full inbox, with commas (default %(default)s)")
    add("--store-s", type=float, default=store.SECONDS, help="seconds of each count of commits (default %(default)s)")
    add("--directory", type=Path, help="a folder on the disk to measure (default: the system's temporary one)")
    add("--json", type=Path, help="write every sample to this file")
    add("--markdown", action="store_true", help="print the tables for docs/benchmarks.md")
    options = parser.parse_args(argv)
    options.only = options.only.split(",")
    options.loops = options.loops.split(",") if options.loops else [x for x in LOOPS if x == "asyncio" or find_spec(x)]
    options.rows = [int(count) for count in options.rows.split(",")]
    for told, allowed in ((options.only, PARTS), (options.loops, LOOPS)):
        if unknown := set(told) - set(allowed):
            parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(allowed)}")
    return options


def measure(options: argparse.Namespace, tell: Callable[[str], None]) -> tuple[dict[str, Any], list[tables.Table]]:
    """Do every part asked for; all samples, and the tables made of them."""
    load = trips.Load(options.messages, options.users, options.warm_up, options.rounds)
    where, loops, only = options.directory, options.loops, options.only
    made = [trip for loop in loops if "trips" in only for trip in trips.run(loop, load, where, tell)]
    begun = [it for loop in loops if "starts" in only for it in standing.starts(loop, options.rounds, where, tell)]
    rested = [it for loop in loops if "idle" in only for it in standing.idle(loop, options.idle_s, where, tell)]
    samples: dict[str, Any] = {
        "load": asdict(load),
        "trips": [asdict(it) for it in made],
        "starts": [asdict(it) for it in begun],
        "idle": [asdict(it) for it in rested],
    }
    shown = tables.of_trips(made, load)
    if begun:
        shown.append(tables.of_starts(begun))
    if rested:
        shown.append(tables.of_idle(rested, options.idle_s))
    if "store" in only:
        store.SECONDS = options.store_s
        samples["store"] = measure_store(options.rows, where, tell)
        shown += tables.of_store(samples["store"])
    if made or begun or rested:
        shown.insert(0, tables.of_targets(made, begun, rested, loops[0]))
    return samples, shown


def main(argv: Sequence[str] | None = None) -> int:
    options = read_options(argv)
    here = machine.look(options.directory)
    if doubt := machine.warning(here):
        print(f"warning: {doubt}", file=sys.stderr)
    try:
        samples, shown = measure(options, lambda what: print(what, file=sys.stderr, flush=True))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(machine.line(here))
    for table in shown:
        print(f"\n{table.markdown() if options.markdown else table.text()}")
    if options.json:
        options.json.write_text(json.dumps({"machine": here} | samples, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
