"""What is wrong with the plugin in a Hermes home: facts in, findings out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from buoy.faces.doctor.verdicts import Level
from buoy.faces.hermes_home.host import is_too_old
from buoy.faces.hermes_home.looking import Facts
from buoy.faces.hermes_home.taking import BUILTIN, CREDENTIALS, DROP_IN, HOME, HOMES, NAME, is_placeholder

OFF: Final = frozenset({"false", "0", "no", "off"})
CLOCK_S: Final = 5 * 60.0


class Verdict(StrEnum):
    """What is the matter; `words` has the texts."""

    NO_HERMES = "no_hermes"
    OLD_HERMES = "old_hermes"
    NO_PACKAGE = "no_package"
    CONFLICTS = "conflicts"
    UNREADABLE = "unreadable"
    SAFE_MODE = "safe_mode"
    BOTH_NAMES = "both_names"
    NOT_ENABLED = "not_enabled"
    NOT_CONFIGURED = "not_configured"
    SWITCHED_OFF = "switched_off"
    NO_CREDENTIALS = "no_credentials"
    PLACEHOLDER = "placeholder"
    NOT_TAKEN = "not_taken"
    BUILTIN_ON = "builtin_on"
    BUILTIN_TOO = "builtin_too"
    NOBODY = "nobody"
    NO_HOME = "no_home"
    JOBS = "jobs"
    DATA_UNUSABLE = "data_unusable"
    DATA_HELD = "data_held"
    CLOCK = "clock"
    GATEWAY_DOWN = "gateway_down"
    START_FAILED = "start_failed"
    NOT_LOADED = "not_loaded"
    NOT_CONNECTED = "not_connected"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``verdict`` None: it is well."""

    level: Level
    verdict: Verdict | None
    cause: str


V = Verdict
_FAULT, _WARNING, _OK = Level.FAULT, Level.WARNING, Level.OK


def judge(facts: Facts) -> list[Finding]:
    """Everything that is wrong, in the order in which one thing rests on another; what is well in one line each."""
    found = [*_environment(facts), *_switches(facts)]
    if facts.name:
        found += [*_people(facts), *_running(facts)]
    return found


def _environment(facts: Facts) -> Iterator[Finding]:
    told = facts.told
    if told.hermes is None:
        yield Finding(_FAULT, V.NO_HERMES, f"{told.python}")
        return
    if is_too_old(told.hermes):
        yield Finding(_FAULT, V.OLD_HERMES, f"hermes-agent {told.hermes}, {told.python}")
    else:
        yield Finding(_OK, None, f"hermes-agent {told.hermes}, {told.python}")
    if told.buoy is None or NAME not in told.entry_points:
        yield Finding(_FAULT, V.NO_PACKAGE, told.install)
    else:
        yield Finding(_OK, None, f"buoy-qq {told.buoy} is there, with the entry points {', '.join(told.entry_points)}")
    if facts.conflicts:
        yield Finding(_WARNING, V.CONFLICTS, "; ".join(facts.conflicts[:3]))
    if told.error:
        yield Finding(_FAULT, V.UNREADABLE, told.error)
    if abs(min(0.0, facts.now - facts.newest_at)) > CLOCK_S:
        yield Finding(_WARNING, V.CLOCK, f"a file of {facts.home} is {facts.newest_at - facts.now:.0f} s in the future")


def _switches(facts: Facts) -> Iterator[Finding]:
    if len(facts.enabled) > 1:
        yield Finding(_FAULT, V.BOTH_NAMES, f"plugins.enabled has {NAME} and {DROP_IN}")
    platforms, own = facts.told.platforms, facts.platform
    if not facts.name:
        yield Finding(_FAULT, V.NOT_ENABLED, "it is configured, and Hermes drops that without a word" if own else "")
        return
    if facts.told.error or facts.told.hermes is None:
        return
    if own is None and facts.is_safe_mode:  # 0.13 does not know the variable, and loads plugins
        yield Finding(_FAULT, V.SAFE_MODE, "HERMES_SAFE_MODE")
    elif own is None:
        yield Finding(_FAULT, V.NOT_CONFIGURED, f"platforms.{facts.name}")
    elif not own["enabled"]:
        yield Finding(_FAULT, V.SWITCHED_OFF, f"platforms.{facts.name}.enabled")
    elif not own["complete"]:
        yield Finding(_FAULT, V.NO_CREDENTIALS, " and ".join(names[1] for names in CREDENTIALS.values()))
    elif is_placeholder(own["app_id"]):
        yield Finding(_FAULT, V.PLACEHOLDER, own["app_id"])
    else:
        yield Finding(
            _OK, None, f"the platform {facts.name} is on" + (f", AppID {own['app_id']}" if own["app_id"] else "")
        )
    if facts.name == BUILTIN and not str(facts.told.taken).startswith("buoy."):
        yield Finding(_FAULT, V.NOT_TAKEN, DROP_IN)
    theirs = platforms.get(BUILTIN)
    if facts.name == NAME and theirs and theirs["enabled"] and theirs["complete"]:
        same = own is None or theirs["app_id"] in {own["app_id"], ""} or not own["app_id"]
        yield Finding(*((_FAULT, V.BUILTIN_ON) if same else (_WARNING, V.BUILTIN_TOO)), f"AppID {theirs['app_id']}")


def _people(facts: Facts) -> Iterator[Finding]:
    prefix = "QQ" if facts.name == BUILTIN else "BUOY"
    doors = {f"{prefix}_ALLOWED_USERS", f"{prefix}_ALLOW_ALL_USERS", "GATEWAY_ALLOWED_USERS", "GATEWAY_ALLOW_ALL_USERS"}
    if not facts.paired and not doors & _open(facts):
        yield Finding(_WARNING, V.NOBODY, f"{prefix}_ALLOWED_USERS, {prefix}_ALLOW_ALL_USERS")
    own = facts.platform
    homes = HOMES if facts.name == BUILTIN else (HOME,)
    if (own is None or not own["home"]) and not {*homes} & {*facts.env, *facts.told.environment}:
        yield Finding(_WARNING, V.NO_HOME, homes[0])
    if facts.jobs:
        yield Finding(_FAULT, V.JOBS, ", ".join(facts.jobs[:5]))


def _open(facts: Facts) -> set[str]:
    """Variables that let people in: a switch that is off lets in nobody."""
    is_off = {name for name, value in facts.env.items() if name.endswith("_ALL_USERS") and value.lower() in OFF}
    return {*facts.env, *facts.told.environment} - is_off


def _running(facts: Facts) -> Iterator[Finding]:
    data, gateway = facts.data, facts.gateway
    if data is not None and data.trouble:
        yield Finding(_FAULT, V.DATA_UNUSABLE, f"{data.path}: {data.trouble}")
    elif data is not None and data.held_by and data.held_by != f"pid {gateway.pid}":
        yield Finding(_FAULT, V.DATA_HELD, f"{data.path}: {data.held_by}")
    if not gateway.runs and gateway.state == "startup_failed":
        yield Finding(_FAULT, V.START_FAILED, gateway.reason)
    elif not gateway.runs:
        yield Finding(_WARNING, V.GATEWAY_DOWN, f"gateway_state.json of pid {gateway.pid}" if gateway.pid else "")
    else:
        told = gateway.platforms.get(facts.name)
        if told is None:
            yield Finding(_FAULT, V.NOT_LOADED, f"pid {gateway.pid}")
        elif told.get("state") != "connected":
            why = told.get("error_message") or told.get("error_code") or ""
            yield Finding(_WARNING, V.NOT_CONNECTED, f"{told.get('state')}{f': {why}' if why else ''}")
        else:
            yield Finding(_OK, None, f"the gateway runs (pid {gateway.pid}), and {facts.name} is connected")
    if facts.errors:
        yield Finding(_WARNING, V.ERRORS, " | ".join(facts.errors))
