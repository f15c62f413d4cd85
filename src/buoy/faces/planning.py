"""From settings and options to the rows of schedules, and what the control socket may be asked about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from buoy.config import Config
from buoy.durable.schedules import COMMAND, FILE, Schedule
from buoy.errors import ConfigError
from buoy.gateway.schedules.planned import parse, parse_zone
from buoy.gateway.schedules.timetable import Timetable
from buoy.values import wrong

_SAID: Final = ("name", "cron", "zone", "target", "kind", "text", "misfire")

Handlers = dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]]


def of_file(config: Config, now: float) -> list[Schedule]:
    """The rows of `[[schedules]]`, as new ones.

    Raises:
        ConfigError: a time or a zone is none; the line names the setting. Targets are looked at by the gateway.
    """
    rows = []
    for n, one in enumerate(config.schedules):
        at = f"schedules[{n}]"
        zone = one.zone or machine_zone(f"{at}.zone")
        try:
            known = parse_zone(zone)
        except ValueError as error:
            raise wrong(f"{at}.zone", str(error)) from None
        try:
            parse(one.cron, known)
        except ValueError as error:
            raise wrong(f"{at}.cron", str(error)) from None
        kind = "text" if one.text.strip() else "prompt"
        rows.append(
            Schedule(
                one.name, FILE, one.cron, zone, one.target, kind, one.text if kind == "text" else one.prompt,
                one.misfire, settled_to=now, created_at=now,
            )
        )  # fmt: skip
    return rows


def machine_zone(setting: str) -> str:
    """The IANA name of this machine's time zone.

    Raises:
        ConfigError: it has none that is known; ``setting`` is where to name one.
    """
    from tzlocal import get_localzone_name  # noqa: PLC0415  only where no zone is named

    try:
        name = str(get_localzone_name() or "")
        zone = parse_zone(name)
    except (LookupError, ValueError, OSError) as error:
        cause = " ".join(str(error).split())[:200]
        raise ConfigError(f"{setting}: missing, and this machine names no time zone ({cause}); write one") from None
    now = datetime.now(UTC)
    if now.astimezone(zone).utcoffset() != now.astimezone().utcoffset():
        cause = f"its zone is {name}, its clock is not"
        raise ConfigError(f"{setting}: missing, and this machine is not sure of its own ({cause}); write one")
    return name


def handlers(timetable: Timetable, wall: Callable[[], float]) -> Handlers:
    """What the control socket may be asked about schedules."""

    async def add(asked: dict[str, Any]) -> dict[str, Any]:
        now = wall()
        name, cron, zone, target, kind, text, misfire = (str(asked[word]) for word in _SAID)
        return await timetable.add(
            Schedule(name, COMMAND, cron, zone, target, kind, text, misfire, settled_to=now, created_at=now)
        )

    async def remove(asked: dict[str, Any]) -> dict[str, Any]:
        await timetable.remove(str(asked["name"]))
        return {}

    async def fire(asked: dict[str, Any]) -> dict[str, Any]:
        return {"row": await timetable.fire_now(str(asked["name"]))}

    return {"schedule_add": add, "schedule_remove": remove, "schedule_run": fire}


def words(one: Schedule) -> dict[str, str]:
    """What a person said of a schedule, as the control socket takes it."""
    return {word: str(getattr(one, word)) for word in _SAID}
