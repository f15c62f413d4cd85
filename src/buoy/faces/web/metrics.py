"""The snapshot as Prometheus metrics. No label holds an openid or free text; docs/metrics.md explains each one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
STATES: Final = ("up", "down", "blocked", "off")
Rows = Iterable[tuple[tuple[str, ...], Any]]


@dataclass(frozen=True, slots=True)
class Extra:
    """What is counted in the store besides the snapshot."""

    alerts: Mapping[str, int]
    """Open alerts by rule."""
    gaps: Mapping[str, int]
    """Gaps on record by bot."""


def text(plain: Mapping[str, Any], extra: Extra) -> bytes:
    """Write what a scrape gets."""
    return generate_latest(_Told(plain, extra))


class _Told(Collector):
    def __init__(self, plain: Mapping[str, Any], extra: Extra) -> None:
        self._plain = plain
        self._extra = extra

    def collect(self) -> Iterator[Metric]:
        """Give every family; one of which nothing is known has no samples."""
        for name, help_, labels, rows in _families(self._plain, self._extra):
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, help_, labels=labels)
            for values, value in rows:
                if value is not None:
                    family.add_metric(list(values), float(value))
            yield family


def _families(plain: Mapping[str, Any], extra: Extra) -> Iterator[tuple[str, str, tuple[str, ...], Rows]]:
    bots, inbox, outbox, store = plain["bots"], plain["inbox"], plain["outbox"], plain["store"]
    loop, disk = plain.get("loop") or {}, plain.get("disk") or {}

    def of_bots(key: str) -> Rows:
        return [((bot,), told.get(key)) for bot, told in bots.items()]

    def one(value: Any) -> Rows:
        return [((), value)]

    yield "buoy_build_info", "The version that runs", ("version",), [((plain["version"],), 1)]
    yield "buoy_ready", "1: every bot can deliver (what /readyz says)", (), one(plain["ready"])
    yield "buoy_uptime_seconds", "Since the process started", (), one(plain["uptime_s"])

    yield (
        "buoy_bot_state", "1 for the state that the bot is in: up, down, blocked, off", ("bot", "state"),
        [((bot, state), told["state"] == state) for bot, told in bots.items() for state in STATES],
    )  # fmt: skip
    yield "buoy_bot_attempt", "Attempts to connect in a row; 0 while connected", ("bot",), of_bots("attempt")
    yield "buoy_bot_last_frame_seconds", "Since the last frame of the gateway", ("bot",), of_bots("last_frame_s")
    yield "buoy_bot_last_ack_seconds", "Since the last heartbeat was acknowledged", ("bot",), of_bots("last_ack_s")
    yield "buoy_bot_identifies_left", "What is left of the day's IDENTIFY budget", ("bot",), of_bots("identifies_left")
    yield "buoy_bot_token_expires_seconds", "Until the access token expires", ("bot",), of_bots("token_expires_s")
    yield "buoy_bot_clock_skew_seconds", "The platform's clock less this machine's", ("bot",), of_bots("clock_skew_s")
    yield "buoy_bot_gaps", "Gaps on record: times of which events may be lost", ("bot",), _by(extra.gaps)

    yield "buoy_inbox_rows", "Turns by state", ("state",), _by(inbox["states"])
    yield "buoy_inbox_oldest_seconds", "Age of the oldest turn by state", ("state",), _by(inbox.get("oldest", {}))
    yield "buoy_inbox_frames_total", "Frames stored", (), one(inbox["frames"])
    yield "buoy_inbox_duplicates_total", "Frames that were stored before", (), one(inbox["duplicates"])
    yield "buoy_inbox_refused_total", "Frames that the disk did not take; they come again", (), one(inbox["refused"])
    yield "buoy_turns_total", "Runs of an agent", (), one(inbox["turns"])
    yield "buoy_turns_ended_total", "Runs by their end", ("end",), _some(inbox, "done failed dead stopped skipped")
    yield "buoy_turns_late_total", "Runs of messages that came to their turn late", (), one(inbox["late"])
    yield "buoy_agent_away_seconds", "Since the bot's agent cannot be reached", ("bot",), [
        ((bot,), away["away_s"]) for bot, away in inbox.get("away", {}).items()
    ]  # fmt: skip

    yield "buoy_outbox_rows", "Letters by state", ("state",), _by(outbox["states"])
    yield "buoy_outbox_oldest_seconds", "Age of the oldest letter by state", ("state",), _by(outbox.get("oldest", {}))
    yield "buoy_outbox_attempts_total", "Requests to deliver a letter", (), one(outbox["attempts"])
    yield "buoy_outbox_ended_total", "Letters by what became of them", ("end",), _some(outbox, "sent held unsure dead")
    yield "buoy_outbox_paused_seconds", "How long sends of this bot wait yet, after failures", ("bot",), [
        ((bot,), pace["paused_s"]) for bot, pace in outbox.get("pace", {}).items()
    ]  # fmt: skip

    yield "buoy_store_commits_total", "Transactions on disk", (), one(store["commits"])
    yield "buoy_store_jobs_total", "Writes in them", (), one(store["jobs"])
    yield "buoy_store_failed_total", "Writes that failed", (), one(store["failed"])
    yield "buoy_store_waiting_jobs", "Writes that are not committed yet", (), one(store["waiting"])
    yield "buoy_store_committing_seconds", "Since the commit that runs now began", (), one(store["committing_s"])
    yield "buoy_store_last_commit_seconds", "How long the last commit took", (), one(store["last_commit_s"])
    yield "buoy_store_max_commit_seconds", "The longest commit since the start", (), one(store["max_commit_s"])

    yield "buoy_task_restarts_total", "Restarts by the supervisor", ("task",), [
        ((task,), told["restarts"]) for task, told in plain["tasks"].items()
    ]  # fmt: skip
    yield "buoy_job_failures_total", "Short jobs that raised: bugs", (), one(plain["job_failures"])
    yield "buoy_loop_lag_seconds", "How late the event loop was last", (), one(loop.get("lag_s"))
    yield "buoy_loop_max_lag_seconds", "How late it was at worst since the start", (), one(loop.get("max_lag_s"))
    yield "buoy_disk_free_bytes", "Free on the data directory's disk", (), one(disk.get("free_bytes"))
    yield "buoy_disk_total_bytes", "Size of that disk", (), one(disk.get("total_bytes"))
    yield "buoy_alerts_open", "Alerts that are open", ("rule",), _by(extra.alerts)


def _by(counts: Mapping[str, Any]) -> Rows:
    return [((name,), value) for name, value in counts.items()]


def _some(counts: Mapping[str, Any], names: str) -> Rows:
    return [((name,), counts.get(name)) for name in names.split()]
