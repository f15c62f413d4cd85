"""What a test does inside Hermes: the rig copies this file into the home as a plugin, so that no product code knows it.

Standard library and what Hermes brings; told by the environment:

    RIG_API      HTTP requests to QQ's own hosts go there: Hermes' builtin adapter has them hard-coded
    RIG_QUICK    pauses between attempts to connect, of either adapter, are short: a hundred of them fit into seconds
    RIG_DIE_AT   a file; when it is there and Hermes is about to note a delivered reply in its ledger, the file is
                 removed and the process killed: behind the adapter's commit, ahead of Hermes' own
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

QQ_HOSTS = ("https://bots.qq.com", "https://api.sgroup.qq.com", "https://api.bot.qq.com")


def register(ctx: Any) -> None:
    """Do what the environment says."""
    del ctx
    if api := os.environ.get("RIG_API"):
        _redirect(api)
    if os.environ.get("RIG_QUICK"):
        _hurry()
    if mark := os.environ.get("RIG_DIE_AT"):
        _die_at(Path(mark))


def _redirect(api: str) -> None:
    import httpx  # noqa: PLC0415  Hermes' own

    request = httpx.AsyncClient.request

    async def elsewhere(self: Any, method: str, url: Any, **more: Any) -> Any:
        told = str(url)
        for host in QQ_HOSTS:
            if told.startswith(host):
                told = api + told.removeprefix(host)
        return await request(self, method, told, **more)

    httpx.AsyncClient.request = elsewhere


def _hurry() -> None:
    try:
        from buoy.protocol import limits  # noqa: PLC0415
    except ImportError:
        pass
    else:
        vars(limits).update(BACKOFF_S=(0.05,), FIRST_RETRY_S=(0.0, 0.05), CONNECT_PACE_S=0.01, PROBE_S=2.0)
    from gateway.platforms.qqbot import adapter  # noqa: PLC0415  Hermes' own

    adapter.RECONNECT_BACKOFF = [0.05]


def _die_at(mark: Path) -> None:
    try:
        from gateway import delivery_ledger  # noqa: PLC0415  Hermes' own, from 0.19 on
    except ImportError:
        return
    note = delivery_ledger.mark_delivered

    def mark_delivered(obligation_id: str) -> None:
        if mark.exists():
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        note(obligation_id)

    delivery_ledger.mark_delivered = mark_delivered
