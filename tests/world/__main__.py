"""`python -m tests.world`: live through worlds, many at once, and say what broke. A seed is replayed exactly."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import structlog


def live(seed: int, days: float, bug: str | None = None, *, verbose: bool = False) -> dict[str, Any]:
    """Live through one world; returns plain data."""
    from tests.world.bugs import planted  # noqa: PLC0415  after the hash seed is set
    from tests.world.world import World  # noqa: PLC0415

    level = logging.DEBUG if verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
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
        "steps": world.heap.steps,
    }


def hunt(bug: str, seeds: Sequence[int], days: float) -> dict[str, Any]:
    """Look for a planted bug in one world after the other; returns the first that finds it, or what else was found."""
    from tests.world.bugs import BUGS  # noqa: PLC0415

    tried = []
    for seed in seeds:
        result = live(seed, days, bug)
        tried.append(result)
        if BUGS[bug].found_by & set(result["invariants"]):
            return result | {"worlds": len(tried)}
    other = sorted({name for result in tried for name in result["invariants"]})
    return {"bug": bug, "seed": None, "invariants": other, "worlds": len(tried)}


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-W", "ignore", "-m", "tests.world", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    parser = argparse.ArgumentParser(prog="python -m tests.world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--bug")
    parser.add_argument("--bugs", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    told = parser.parse_args()
    began = time.perf_counter()
    if told.bugs:
        from tests.world.bugs import BUGS  # noqa: PLC0415

        with ProcessPoolExecutor(2) as pool:
            jobs = [pool.submit(hunt, name, range(told.seed, told.seed + told.worlds), told.days) for name in BUGS]
            for job in jobs:
                r = job.result()
                print(r["bug"], "|", r["seed"], "|", r["worlds"], "|", r["invariants"], flush=True)
        print(f"{time.perf_counter() - began:.1f} s")
        return 0
    results = []
    if told.worlds == 1:
        results.append(live(told.seed, told.days, told.bug, verbose=told.verbose))
    else:
        with ProcessPoolExecutor(2) as pool:
            jobs = [pool.submit(live, told.seed + n, told.days, told.bug) for n in range(told.worlds)]
            results = [job.result() for job in jobs]
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result["counts"])
        if result["broken"]:
            print(f"seed {result['seed']}: {len(result['broken'])} broken")
            for line in result["broken"][:5]:
                print("   ", line)
            print(f"    replay: python -m tests.world --seed {result['seed']} --days {told.days:g} --verbose")
    took = time.perf_counter() - began
    days = told.days * told.worlds
    print(f"{days:g} days in {took:.1f} s: {days / took:.1f} days/s; {dict(counts)}")
    print("steps", sum(r["steps"] for r in results))
    return 1 if any(result["broken"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
