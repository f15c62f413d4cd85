"""Short ways to make snapshots and alerts."""

from __future__ import annotations

from typing import Any

from buoy.durable.alerts import Alert


def snapshot(**changes: Any) -> dict[str, Any]:
    """All is well."""
    calm: dict[str, Any] = {
        "bots": {}, "inbox": {"states": {}, "oldest": {}}, "outbox": {"states": {}, "oldest": {}, "pace": {}},
        "tasks": {}, "uptime_s": 60.0, "disk": None, "loop": None,
    }  # fmt: skip
    return {**calm, **changes}


def alert(rule: str, subject: str = "b", **changes: Any) -> Alert:
    """An open alert that was told at 0."""
    fields: dict[str, Any] = {
        "id": 1, "rule": rule, "subject": subject, "since": 0.0, "detail": "d", "times": 1, "last_at": 0.0, "told": 1,
        "told_times": 1, "told_at": 0.0, "ended_at": None, "queued": False,
    }  # fmt: skip
    return Alert(**{**fields, **changes})
