"""Which machine, which versions, which disk: figures mean nothing without them."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

QUIET = 0.5  # a higher load average at the start: somebody else takes part


def look(directory: Path | None) -> dict[str, Any]:
    """Describe the machine as it is now."""
    with tempfile.TemporaryDirectory(dir=directory) as home:
        disk = _disk(Path(home))
        sync_us = _sync_us(Path(home) / "sync")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: _version(name) for name in ("aiohttp", "msgspec", "uvloop")},
        "disk": disk,
        "fdatasync_us": sync_us,
        "load": round(os.getloadavg()[0], 2),
    }


def line(machine: dict[str, Any]) -> str:
    """One line for people."""
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, Python {machine['python']}, SQLite "
        f"{machine['sqlite']}, aiohttp {machine['aiohttp']}, msgspec {machine['msgspec']}, uvloop {machine['uvloop']}; "
        f"{machine['disk']}, fdatasync of 4 kB {machine['fdatasync_us']:.0f} us; {machine['date']}, "
        f"load average at the start {machine['load']}"
    )


def warning(machine: dict[str, Any]) -> str | None:
    """What makes the figures doubtful."""
    if machine["load"] > QUIET:
        return f"load average {machine['load']} at the start: others use this machine, compare ratios only"
    return None


def _cpu() -> str:
    for row in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = row.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _disk(folder: Path) -> str:
    """The file system that holds the folder."""
    parts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(parts, key=lambda part: len(part.mountpoint)).fstype if parts else "unknown disk"


def _sync_us(path: Path, times: int = 200) -> float:
    """Median of one page appended and on disk: what a commit cannot be faster than."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(b"\0" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6
