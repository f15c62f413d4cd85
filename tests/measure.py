"""What a fault costs, measured: held against its bound, and kept for docs/resilience.md when that is written anew.

A test calls :func:`measured` for the row of the fault table that it proves. ``BUOY_MEASURED`` names a file that gets
one JSON line for each; without it only the bound counts.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def measured(row: int, what: str, value: float, bound: float, *, unit: str = "s") -> None:
    """Hold ``value`` against ``bound``; ``row`` is the fault's number, ``what`` names what was measured."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    if path := os.environ.get("BUOY_MEASURED"):
        line = {
            "row": row,
            "what": what,
            "value": round(value, 3),
            "bound": bound,
            "unit": unit,
            "test": test,
            "date": time.strftime("%Y-%m-%d"),
        }
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    assert value <= bound, f"fault row {row}, {what}: {value:.3f} {unit}, and the bound is {bound:g} {unit}"
