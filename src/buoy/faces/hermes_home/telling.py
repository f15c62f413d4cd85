"""Prints `buoy hermes status` and `buoy hermes doctor`: for people, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text as Line

from buoy import __version__
from buoy.errors import EXIT_OK, EXIT_REFUSED
from buoy.faces.doctor.show import MARKS
from buoy.faces.doctor.verdicts import Level
from buoy.faces.doctor.words import language
from buoy.faces.hermes_home.host import Told
from buoy.faces.hermes_home.judging import Finding
from buoy.faces.hermes_home.looking import Facts
from buoy.faces.hermes_home.taking import BUILTIN, NAME
from buoy.faces.hermes_home.words import CHECK_MORE, END, LABEL, WORDS
from buoy.faces.status import EXIT_NOT_RUNNING

SCHEMA: Final = 1


def exit_code(facts: Facts) -> int:
    """0: connected and able to deliver; 1: it runs and is not; 3: no gateway runs with the plugin."""
    if not facts.gateway.runs or not facts.name:
        return EXIT_NOT_RUNNING
    snapshot = facts.data.snapshot if facts.data else None
    is_up = facts.gateway.platforms.get(facts.name, {}).get("state") == "connected"
    is_ready = snapshot is None or not snapshot["running"] or snapshot["ready"]
    return EXIT_OK if is_up and is_ready else EXIT_REFUSED


def status(facts: Facts, *, as_json: bool) -> int:
    """Say how it is; returns the exit code of `exit_code`."""
    if as_json:
        print(json.dumps(_status_json(facts), ensure_ascii=False, indent=2, default=str))
    else:
        for label, text in _status_lines(facts):
            print(f"{label:<11} {text}")
    return exit_code(facts)


def missing(told: Told, *, as_json: bool) -> int:
    """Say that the package is not where Hermes is."""
    if as_json:
        print(
            json.dumps({"schema": SCHEMA, "hermes": told.hermes, "python": str(told.python), "plugin": None}, indent=2)
        )
    else:
        print(f"hermes      {told.hermes or 'not there'}, {told.python}")
        print(f"plugin      not there; put it in with: {told.install}")
    return EXIT_NOT_RUNNING


def doctor(
    findings: Sequence[Finding],
    facts: Facts | None,
    environ: Mapping[str, str],
    *,
    as_json: bool,
    hides: Sequence[str] = (),
) -> int:
    """Print the findings, worst in red, and what to do about each; returns 0 where nothing is wrong, else 1."""
    tongue = language(environ)
    worst = next(
        (level for level in (Level.FAULT, Level.WARNING) if any(one.level is level for one in findings)), Level.OK
    )
    pointer = "" if facts is None else _pointer(facts)
    if as_json:
        print(json.dumps(_doctor_json(findings, worst, tongue, pointer, hides), ensure_ascii=False, indent=2))
    else:
        out = Console(highlight=False, soft_wrap=True)
        for one in findings:
            mark, style = MARKS[one.level]
            line = Line(f"{mark}  ", style=style)
            line.append(_sentence(one, tongue, hides), style="default")
            out.print(line)
        if pointer:
            out.print(Line(CHECK_MORE[tongue].format(command=pointer), style="dim"))
        out.print(
            Line(END[tongue][worst.value].format(n=sum(one.level is worst for one in findings)), style=MARKS[worst][1])
        )
    return EXIT_REFUSED if worst is Level.FAULT else EXIT_OK


def _sentence(one: Finding, tongue: str, hides: Sequence[str]) -> str:
    cause = _hidden(one.cause, hides)
    if one.verdict is None:
        return cause
    text = WORDS[one.verdict][tongue]
    return f"{text.title}{f' ({cause})' if cause else ''}. {LABEL[tongue]}: {text.do}"


def _hidden(text: str, hides: Sequence[str]) -> str:
    for secret in hides:
        text = text.replace(secret, "********")
    return text


def _doctor_json(
    findings: Sequence[Finding], worst: Level, tongue: str, pointer: str, hides: Sequence[str]
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": __version__,
        "level": worst.value,
        "language": tongue,
        "findings": [
            {
                "level": one.level.value,
                "verdict": one.verdict,
                "cause": _hidden(one.cause, hides),
                "title": WORDS[one.verdict][tongue].title if one.verdict else "",
                "do": WORDS[one.verdict][tongue].do if one.verdict else "",
            }
            for one in findings
        ],
        "more": pointer,
    }


def _pointer(facts: Facts) -> str:
    if facts.data is None or not facts.data.exists:
        return ""
    buoy = f"BUOY_DATA_DIR={facts.data.path} {sys.executable} -m buoy doctor --no-connect"
    return f"set -a; . {facts.home}/.env; set +a; {buoy}"


def _status_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    told, own, gateway, data = facts.told, facts.platform, facts.gateway, facts.data
    yield "home", str(facts.home)
    yield "hermes", f"{told.hermes or 'not there'}, {told.python}"
    points = f", entry points {', '.join(told.entry_points)}" if told.entry_points else ""
    yield "plugin", f"buoy-qq {told.buoy}{points}" if told.buoy else f"not there; put it in with: {told.install}"
    yield "enabled", f"as {facts.name}" if facts.name else "no: buoy hermes install switches it on"
    if told.error:
        yield "configured", f"Hermes cannot read its configuration: {told.error}"
    elif own is None:
        yield "configured", "no"
    else:
        app = (
            f"AppID {own['app_id']}"
            if own["app_id"]
            else f"AppID {facts.env.get('QQBOT_APP_ID') or 'from the environment'}"
        )
        yield "configured", f"{app}, secret there" if own["complete"] else "not whole: AppID or AppSecret is missing"
    theirs = told.platforms.get(BUILTIN)
    if facts.name == NAME:
        yield "builtin", "on" if theirs and theirs["enabled"] else "off"
    state = gateway.platforms.get(facts.name or NAME, {})
    if gateway.runs:
        why = state.get("error_message") or ""
        word = f"{facts.name or NAME} is {state.get('state', 'not loaded')}"
        yield "gateway", f"runs, pid {gateway.pid}; {word}{f': {why}' if why else ''}"
    else:
        yield "gateway", f"does not run{f': {gateway.reason}' if gateway.reason else ''}"
    yield from _data_lines(facts) if data is not None else [("data", "none yet: the plugin has not run")]


def _data_lines(facts: Facts) -> Iterator[tuple[str, str]]:
    data = facts.data
    assert data is not None  # the caller has looked
    yield "data", f"{data.path}{'' if data.exists else ', not there yet'}{f': {data.trouble}' if data.trouble else ''}"
    snapshot = data.snapshot
    if data.error:
        yield "buoy", data.error
    if snapshot is None:
        return
    yield (
        "buoy",
        f"{snapshot['state']}, pid {snapshot['pid']}" if snapshot["running"] else "; ".join(snapshot["not_ready"]),
    )
    for name in ("inbox", "outbox"):
        box: Mapping[str, Any] = snapshot[name]
        yield name, ", ".join(f"{count} {state}" for state, count in box["states"].items() if count) or "empty"
    if snapshot["gaps"]:
        yield "gaps", f"{len(snapshot['gaps'])}, the last of {snapshot['gaps'][-1]['cause']}"


def _status_json(facts: Facts) -> dict[str, Any]:
    own, theirs = facts.platform, facts.told.platforms.get(BUILTIN)
    data = facts.data
    return {
        "schema": SCHEMA,
        "version": __version__,
        "home": str(facts.home),
        "hermes": facts.told.hermes,
        "python": str(facts.told.python),
        "plugin": facts.told.buoy,
        "entry_points": facts.told.entry_points,
        "enabled": facts.name or None,
        "configured": bool(own and own["enabled"] and own["complete"]),
        "builtin": bool(theirs and theirs["enabled"]) and facts.name != BUILTIN,
        "gateway": {
            "running": facts.gateway.runs,
            "pid": facts.gateway.pid,
            "platform": facts.gateway.platforms.get(facts.name or NAME),
        },
        "data_dir": str(data.path) if data else None,
        "buoy": data.snapshot if data else None,
    }
