"""Fuzzing for as long as one likes: ``make fuzz FUZZ_SECONDS=600``.

Round after round, each target with a new seed. A failing input is made small, kept in ``found/<target>/`` (commit it:
every test run then begins with it), and printed with the line that repeats it.

    FUZZ_SECONDS  how long, 600 by default
    FUZZ_SEED     the first seed; each round adds one
    FUZZ_TARGET   only this target
    FUZZ_INPUT    check this file against FUZZ_TARGET, and nothing else

``python -m tests.fuzz.guided`` lets a coverage-guided fuzzer choose the inputs, see there.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from pathlib import Path

import structlog

from tests.fuzz import answers, frames, letters, sessions, storing
from tests.fuzz.hunting import Catch, Target, hunt, keep

TARGETS: dict[str, Target] = {
    module.TARGET.name: module.TARGET for module in (frames, sessions, answers, letters, storing)
}
ROUND = 2000  # inputs of one round; expensive targets take fewer


def be_quiet() -> None:
    """Leave the log out."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def report(target: Target, caught: Catch, seed: int | None) -> None:
    """Say what was found and how to see it again."""
    place = keep(target, caught.data)
    print(caught.error)
    print(f"{target.name}: {caught.data[:300]!r}{'...' if len(caught.data) > 300 else ''}")
    print(f"kept as {place}; again:")
    print(f"  make fuzz FUZZ_TARGET={target.name} FUZZ_INPUT={place}")
    if seed is not None:
        print(f"  make fuzz FUZZ_TARGET={target.name} FUZZ_SEED={seed} FUZZ_SECONDS=1")


def main() -> int:
    """Read the environment and hunt."""
    be_quiet()
    env = os.environ
    targets = [TARGETS[env["FUZZ_TARGET"]]] if env.get("FUZZ_TARGET") else list(TARGETS.values())
    if path := env.get("FUZZ_INPUT"):
        targets[0].check(Path(path).read_bytes())
        print(f"{targets[0].name}: {path} is fine")
        return 0
    seed = int(env.get("FUZZ_SEED") or random.randrange(1 << 32))
    ends_at = time.monotonic() + float(env.get("FUZZ_SECONDS") or 600)
    print(f"fuzzing {', '.join(target.name for target in targets)} from seed {seed}", flush=True)
    tried = dict.fromkeys(TARGETS, 0)
    while True:
        for target in targets:
            share = min(ROUND, target.examples)
            caught = hunt(target, examples=share, seed=seed)
            tried[target.name] += share
            if caught is not None:
                report(target, caught, seed)
                return 1
            if time.monotonic() >= ends_at:
                print("nothing found:", ", ".join(f"{count} {name}" for name, count in tried.items() if count))
                return 0
        seed += 1


if __name__ == "__main__":
    sys.exit(main())
