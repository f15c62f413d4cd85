"""`python -m tests.world`: live through worlds, two at a time, and say what broke. A seed is replayed exactly."""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import structlog

CORES = 2
HUNTS = 40  # worlds in which a planted bug has to be found


def live(seed: int, days: float, bug: str | None = None, *, verbose: bool = False) -> dict[str, Any]:
    """Live through one world; returns plain data."""
    from tests.world.bugs import planted  # noqa: PLC0415  after the hash seed is set
    from tests.world.world import World  # noqa: PLC0415

    level = logging.DEBUG if verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=True)
    sys.unraisablehook = lambda _: None  # coroutines of killed processes
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    began = time.perf_counter()
    with planted(bug):
        world = World(seed, days, verbose=verbose).run()
    return {
        "seed": seed,
        "days": days,
        "bug": bug,
        "broken": [str(violation) for violation in world.violations],
        "invariants": sorted({violation.invariant for violation in world.violations}),
        "counts": dict(world.counts),
        "kinds": world.weather.begun,
        "actions": list(world.actions),
        "seconds": time.perf_counter() - began,
    }


def hunt(bug: str, days: float) -> dict[str, Any]:
    """Look for a planted bug in one world after the other, the likeliest first; then the same world without it."""
    from tests.world.bugs import BUGS  # noqa: PLC0415

    known, seen = BUGS[bug], Counter[str]()
    for worlds, seed in enumerate((known.seed, *(n for n in range(1, HUNTS) if n != known.seed)), 1):
        result = live(seed, days, bug)
        seen.update(result["invariants"])
        if known.found_by & set(result["invariants"]):
            return {
                "bug": bug,
                "seed": seed,
                "worlds": worlds,
                "found_by": sorted(known.found_by & set(result["invariants"])),
                "text": next(line for line in result["broken"] if line.split(": ")[0] in known.found_by),
                "without": live(seed, days)["broken"],
            }
    return {
        "bug": bug,
        "seed": None,
        "worlds": HUNTS,
        "found_by": [],
        "text": f"seen instead: {dict(seen)}",
        "without": [],
    }


def lived(seeds: Iterator[int], days: float, bug: str | None, seconds: float | None) -> Iterator[dict[str, Any]]:
    """Live through a world for each seed, as many at a time as there are cores; ends after ``seconds``."""
    ends_at = None if seconds is None else time.perf_counter() + seconds
    with ProcessPoolExecutor(CORES) as pool:
        running: set[Future[dict[str, Any]]] = set()
        is_over = False
        while running or not is_over:
            while not is_over and len(running) < CORES + 1:
                seed = next(seeds, None) if ends_at is None or time.perf_counter() < ends_at else None
                if seed is None:
                    is_over = True
                else:
                    running.add(pool.submit(live, seed, days, bug))
            done, running = wait(running, return_when=FIRST_COMPLETED) if running else (set(), running)
            yield from (job.result() for job in done)


def tell(result: dict[str, Any], *, whole: bool = False) -> None:
    """Say what broke in a world, what happened last, and how to see it again."""
    print(f"seed {result['seed']}: {len(result['broken'])} broken")
    for line in result["broken"][: None if whole else 5]:
        print("   ", line)
    print("  the last 40 actions:")
    for line in result["actions"]:
        print("   ", line)
    bug = f" --bug '{result['bug']}'" if result["bug"] else ""
    print(f"  replay: python -m tests.world --seed {result['seed']} --days {result['days']:g}{bug} --verbose")


def summary(results: Sequence[dict[str, Any]], took_s: float) -> dict[str, Any]:
    """Add up what happened; rates are per virtual day."""
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for result in results:
        counts.update(result["counts"])
        kinds.update(result["kinds"])
    days = sum(result["days"] for result in results)
    crashes = sum(n for name, n in counts.items() if name.startswith("end:") and name != "end: stopped")
    return {
        "worlds": len(results),
        "days": days,
        "seconds": round(took_s, 1),
        "days_in_60_s": round(60 * days / took_s),
        "messages_a_day": round(counts["messages"] / days, 1),
        "faults_a_day": round(sum(kinds.values()) / days, 1),
        "crashes_a_day": round(crashes / days, 2),
        "kinds": dict(kinds),
        "broken": sum(bool(result["broken"]) for result in results),
    }


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; without it, one that nobody has seen")
    parser.add_argument("--worlds", type=int, default=1, help="how many, each with the next seed")
    parser.add_argument("--seconds", type=float, help="go on for so long instead")
    parser.add_argument("--days", type=float, default=4.0, help="virtual days in each world")
    parser.add_argument("--bug", help="plant this one")
    parser.add_argument("--bugs", action="store_true", help="hunt all planted bugs")
    parser.add_argument("--json", type=Path, help="write all results there")
    parser.add_argument("--verbose", action="store_true", help="print every action and log line")
    return parser.parse_args()


def hunt_all(days: float) -> list[dict[str, Any]]:
    """Hunt every planted bug; print one line for each."""
    from tests.world.bugs import BUGS  # noqa: PLC0415

    with ProcessPoolExecutor(CORES) as pool:
        results = []
        for result in pool.map(hunt, BUGS, itertools.repeat(days)):
            results.append(result)
            verdict = f"seed {result['seed']}: {result['text']}" if result["seed"] is not None else "NOT FOUND"
            print(f"{result['bug']:32} {verdict}"[:160], flush=True)
    return results


def main() -> int:
    """Do what the command line says; 1 where something broke or a planted bug was not found."""
    told = options()
    results: list[dict[str, Any]]
    if told.bugs:
        results = hunt_all(told.days)
        is_bad = any(result["seed"] is None or result["without"] for result in results)
    else:
        first = random.randrange(1 << 30) if told.seed is None else told.seed
        seeds = itertools.count(first) if told.seconds else iter(range(first, first + told.worlds))
        began = time.perf_counter()
        if told.worlds == 1 and not told.seconds:
            results = [live(first, told.days, told.bug, verbose=told.verbose)]
        else:
            results = sorted(lived(seeds, told.days, told.bug, told.seconds), key=lambda result: int(result["seed"]))
        for result in results:
            if result["broken"]:
                tell(result, whole=len(results) == 1)
        totals = summary(results, time.perf_counter() - began)
        print(f"seeds from {first} on; " + ", ".join(f"{k} {v}" for k, v in totals.items() if k != "kinds"))
        is_bad = bool(totals["broken"])
    if told.json:
        told.json.write_text(json.dumps(results), "utf-8")
    return int(is_bad)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order in sets of texts must be the same in every run
        again = [sys.executable, "-W", "ignore", "-m", "tests.world", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
