"""Python imports this by itself where its folder is on PYTHONPATH: the wall clock of the whole process is another."""

from __future__ import annotations

import os
import time

_OFFSET_S = float(os.environ.get("CLOCK_OFFSET_S", "0"))
_real = time.time


def _shifted() -> float:
    return _real() + _OFFSET_S


time.time = _shifted
