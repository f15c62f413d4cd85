"""Run the scenarios on real gateways: ``python -m tests.hermes``; see --help. Exit code 1: one missed its bound.

``--table`` is for docs/: full outages, both adapters, and what was measured is written down.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import buoy
from tests.hermes.judge import Seen
from tests.hermes.rig import BUILTIN, BUOY, VERSIONS, rig
from tests.hermes.scenarios import SCENARIOS, Scenario
from tests.hermes.table import Key, put, table, told
from tests.system.processes import ROOT

TAIL = 4000
ALONE = 3  # so many may miss a bound beside others on a busy machine; each has to hold it alone then
MEASURED = ROOT / "docs/hermes-measured.json"


def run(scenario: Scenario, key: Key, folder: Path, *, is_full: bool) -> tuple[Seen, float, str]:
    """Run one scenario in a folder of its own; returns what was seen, how long it took, and the end of the logs."""
    _, column, version = key
    began, tail = time.monotonic(), ""
    with rig(folder, column, version, is_full=is_full) as stage:
        try:
            seen = scenario.run(stage)
        except Exception as error:
            seen = Seen(is_right=False, values={"broke": f"{type(error).__name__}: {error}".partition("\n")[0]})
        if not seen.is_right:
            tail = "\n".join(f"--- {home.folder}\n{home.log()[-TAIL:]}" for home in stage.homes)
    return seen, time.monotonic() - began, tail


def main() -> int:
    """Run them side by side, print a line each, and judge."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("only", nargs="*", help="names of scenarios, or their beginnings")
    options.add_argument("--column", choices=(BUOY, BUILTIN), action="append", help="whose adapter (default: ours)")
    options.add_argument("--version", choices=tuple(VERSIONS), action="append", help="of Hermes (default: both)")
    options.add_argument("--workers", type=int, default=5, help="so many at a time; most of each is waiting")
    options.add_argument("--full", action="store_true", help="full outages, as in the table")
    options.add_argument("--table", action="store_true", help="both adapters, full outages, and write docs/")
    options.add_argument("--draw", action="store_true", help="run nothing: the table anew from what was measured")
    asked = options.parse_args()
    if asked.draw:
        _draw()
        return 0
    columns = (BUILTIN, BUOY) if asked.table else tuple(asked.column or [BUOY])
    chosen = [one for one in SCENARIOS if not asked.only or one.name.startswith(tuple(asked.only))]
    keys = [
        (one.name, column, version) for one in chosen for column in columns for version in asked.version or VERSIONS
    ]
    folder = Path(tempfile.mkdtemp(prefix="buoy-hermes-"))
    results: dict[Key, Seen] = {}
    for key, seen in _run_all(chosen, keys, folder, workers=asked.workers, is_full=asked.full or asked.table):
        results[key] = seen
        if asked.table:
            _keep(results)
    wrong = _missed(results)
    if asked.table:
        _draw()
    elif 0 < len(wrong) <= ALONE:
        print(f"{len(wrong)} missed beside {asked.workers - 1} others; once more, alone:", flush=True)
        (folder / "alone").mkdir()
        results |= dict(_run_all(chosen, wrong, folder / "alone", workers=1, is_full=asked.full))
        wrong = _missed(results)
    if not wrong:
        shutil.rmtree(folder)
    print(f"{len(results)} runs, {len(wrong)} of Buoy's missed their bound" + (f"; kept: {folder}" if wrong else ""))
    return 1 if wrong or not results else 0


def _missed(results: dict[Key, Seen]) -> list[Key]:
    return [key for key, seen in results.items() if not seen.is_right and key[1] == BUOY]


def _run_all(
    chosen: Iterable[Scenario], keys: list[Key], folder: Path, *, workers: int, is_full: bool
) -> Iterable[tuple[Key, Seen]]:
    scenarios = {one.name: one for one in chosen}
    with ThreadPoolExecutor(workers) as pool:
        jobs = {}
        for key in keys:
            place = folder / "-".join(key)
            place.mkdir()
            jobs[pool.submit(run, scenarios[key[0]], key, place, is_full=is_full)] = key
        for job in as_completed(jobs):
            name, column, version = key = jobs[job]
            seen, took_s, tail = job.result()
            scenario = scenarios[name]
            mark = "ok  " if seen.is_right else "FAIL"
            head = f"{mark} {column} {VERSIONS[version]} {name} ({scenario.en[1]})"
            print(f"{head}: {told(scenario, seen, 'en')} [{took_s:.0f} s]", flush=True)
            if tail and column == BUOY:
                print(tail, flush=True)
            yield key, seen


def _keep(results: dict[Key, Seen]) -> None:
    """Write down what was measured so far. What an earlier run measured of other scenarios stays, with its date."""
    told = _measured()
    day = datetime.now(UTC).date().isoformat()
    for (name, column, version), seen in results.items():
        row = {"scenario": name, "adapter": column, "hermes": VERSIONS[version]}
        told = [one for one in told if {key: one[key] for key in row} != row]
        told.append(row | {"measured": day, "buoy": buoy.__version__} | asdict(seen))
    MEASURED.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _measured() -> list[dict[str, Any]]:
    return list(json.loads(MEASURED.read_text())) if MEASURED.exists() else []


def _draw() -> None:
    """Put the table into docs/hermes*.md."""
    told = _measured()
    of_number = {number: version for version, number in VERSIONS.items()}
    results = {
        (one["scenario"], one["adapter"], of_number[one["hermes"]]): Seen(
            one["is_right"], one["values"], applies=one["applies"]
        )
        for one in told
    }
    date, ours = max(one["measured"] for one in told), max(one["buoy"] for one in told)
    for language, end in (("en", ""), ("zh", ".zh")):
        document = ROOT / f"docs/hermes{end}.md"
        document.write_text(put(document.read_text(), table(results, language, date=date, buoy=ours)))


if __name__ == "__main__":
    sys.exit(main())
