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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import buoy
from tests.hermes.judge import Seen
from tests.hermes.rig import BUILTIN, BUOY, VERSIONS, rig
from tests.hermes.scenarios import SCENARIOS, Scenario
from tests.hermes.table import Key, put, table, told
from tests.system.processes import ROOT

TAIL = 4000


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
    options.add_argument("--workers", type=int, default=6, help="so many at a time; most of each is waiting")
    options.add_argument("--full", action="store_true", help="full outages, as in the table")
    options.add_argument("--table", action="store_true", help="both adapters, full outages, and write docs/")
    asked = options.parse_args()
    columns = (BUILTIN, BUOY) if asked.table else tuple(asked.column or [BUOY])
    chosen = [one for one in SCENARIOS if not asked.only or one.name.startswith(tuple(asked.only))]
    keys = [
        (one.name, column, version) for one in chosen for column in columns for version in asked.version or VERSIONS
    ]
    folder = Path(tempfile.mkdtemp(prefix="buoy-hermes-"))
    results = dict(_run_all(chosen, keys, folder, workers=asked.workers, is_full=asked.full or asked.table))
    wrong = [key for key, seen in results.items() if not seen.is_right and key[1] == BUOY]
    if asked.table:
        _write(results)
    if not wrong:
        shutil.rmtree(folder)
    print(f"{len(results)} runs, {len(wrong)} of Buoy's missed their bound" + (f"; kept: {folder}" if wrong else ""))
    return 1 if wrong or not results else 0


def _run_all(
    chosen: Iterable[Scenario], keys: list[Key], folder: Path, *, workers: int, is_full: bool
) -> Iterable[tuple[Key, Seen]]:
    scenarios = {one.name: one for one in chosen}
    with ThreadPoolExecutor(workers) as pool:
        jobs = {}
        for key in keys:
            place = folder / "-".join(key)
            place.mkdir()
            jobs[key] = pool.submit(run, scenarios[key[0]], key, place, is_full=is_full)
        for key, job in jobs.items():
            name, column, version = key
            seen, took_s, tail = job.result()
            scenario = scenarios[name]
            mark = "ok  " if seen.is_right else "FAIL"
            head = f"{mark} {column} {VERSIONS[version]} {name} ({scenario.en[1]})"
            print(f"{head}: {told(scenario, seen, 'en')} [{took_s:.0f} s]", flush=True)
            if tail and column == BUOY:
                print(tail, flush=True)
            yield key, seen


def _write(results: dict[Key, Seen]) -> None:
    """Put the table into docs/hermes*.md, and the raw results beside it."""
    date = datetime.now(UTC).date().isoformat()
    rows = [
        {"scenario": name, "adapter": column, "hermes": VERSIONS[version]} | asdict(seen)
        for (name, column, version), seen in results.items()
    ]
    measured = {"date": date, "buoy": buoy.__version__, "results": rows}
    (ROOT / "docs/hermes-measured.json").write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    for language, end in (("en", ""), ("zh", ".zh")):
        new = table(results, language, date=date, buoy=buoy.__version__)
        document = ROOT / f"docs/hermes{end}.md"
        document.write_text(put(document.read_text(), new))


if __name__ == "__main__":
    sys.exit(main())
