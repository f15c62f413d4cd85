"""The health snapshot: plain data, the one source of every status that a person or a program sees."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from buoy import __version__
from buoy.durable import status

if TYPE_CHECKING:
    from buoy.gateway.app import App


def snapshot(app: App) -> dict[str, Any]:
    """Everything that is known now. Times ``*_at`` are wall seconds; ages end in ``_s``."""
    now = app.wall()
    children = app.supervisor.children
    bots = {bot: platform.health() for bot, platform in app.platforms.items()}
    for told in bots.values():
        told["state"] = "up" if told["connected"] else "down"
    not_ready = [f"bot {bot}: {told['phase']}" for bot, told in bots.items() if not told["connected"]]
    return {
        "ready": not not_ready,
        "not_ready": not_ready,
        "version": __version__,
        "at": now,
        "pid": os.getpid(),
        "running": True,
        "uptime_s": round(now - app.started_at, 1),
        "bots": bots,
        "inbox": {**app.store.read(status.inbox_depth, now), **app.worker.health(), **app.door.counts},
        "outbox": {**app.store.read(status.outbox_depth, now), **app.sender.health()},
        "gaps": app.store.read(status.gaps, 10),
        "store": asdict(app.store.stats),
        "tasks": {child.name: {"restarts": child.restarts, "last_end": child.last_end} for child in children.values()},
        "job_failures": app.supervisor.job_failures,
        **{name: section() for name, section in app.sections.items()},
    }
