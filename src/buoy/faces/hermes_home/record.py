"""What `buoy hermes install` did, as its undo needs it: copies to put back, and what reverses each change. Pure.

A file that is as it was left is put back from its copy, byte for byte. In one that was changed since, by Hermes or by a
person, only what is still as we left it is reversed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from buoy.errors import ConfigError
from buoy.faces.hermes_home import cron_jobs, env_text, yaml_text
from buoy.faces.hermes_home.cron_jobs import Move

SCHEMA: Final = 1
CONFIG, ENV, JOBS = "config.yaml", ".env", "cron/jobs.json"
_YAML: Final = {one.__name__: one for one in (yaml_text.Put, yaml_text.Drop, yaml_text.Add, yaml_text.Remove)}
_ENV: Final = {one.__name__: one for one in (env_text.Rename, env_text.Set, env_text.Unset, env_text.Off, env_text.On)}


@dataclass(frozen=True, slots=True)
class Saved:
    """One file: its name in the home, the copy of what it was (None: there was none), the digest of what we left."""

    name: str
    backup: str | None
    digest: str


@dataclass(frozen=True, slots=True)
class Installed:
    """One run of `buoy hermes install`. ``back`` are reversing changes, in the order in which they are made."""

    at: float
    version: str
    platform: str
    files: tuple[Saved, ...]
    config: tuple[yaml_text.Change, ...]
    left: tuple[Any, ...]
    """What we left where ``config`` puts back a value, in its order; elsewhere None."""
    env: tuple[env_text.Change, ...]
    jobs: tuple[Move, ...]
    pairing: str | None = None
    """The list of paired people that we made."""


def reversing(before: str, changes: Sequence[yaml_text.Change]) -> tuple[tuple[yaml_text.Change, ...], tuple[Any, ...]]:
    """What undoes changes of a YAML text, last change first, and what stands there until then."""
    back, left = [], []
    for one in changes:
        data = yaml_text.load(before)
        undo = yaml_text.inverse(data, one)
        if undo is not None:
            back.append(undo)
            left.append(one.value if isinstance(one, yaml_text.Put) and isinstance(undo, yaml_text.Put) else None)
            before = yaml_text.change(before, [one])
    return tuple(reversed(back)), tuple(reversed(left))


def reversing_env(before: str, changes: Sequence[env_text.Change]) -> tuple[env_text.Change, ...]:
    """The same for a `.env` text."""
    back = []
    for one in changes:
        undo = env_text.inverse(env_text.load(before), one)
        if undo is not None:
            back.append(undo)
            before = env_text.change(before, [one])
    return tuple(reversed(back))


def undone(name: str, text: str, one: Installed) -> tuple[str, list[str]]:
    """The text of a file with our changes reversed, and what was not reversed because somebody changed it since."""
    if name == ENV:
        return env_text.change(text, one.env), []
    if name == JOBS:
        after = cron_jobs.apply(text, one.jobs)
        late = cron_jobs.pointing_to(after, one.platform) if one.platform == "buoy" else []
        return after, [f"cron job {job} delivers to {one.platform}: it was made, or changed, since" for job in late]
    kept = []
    for change, left in zip(one.config, one.left, strict=True):
        try:
            if isinstance(change, yaml_text.Put) and left is not None:
                now = yaml_text.look(yaml_text.load(text), change.path)
                if now != left:
                    kept.append(f"{'.'.join(change.path)} is not what it was left as, and stays")
                    continue
            text = yaml_text.change(text, [change])
        except yaml_text.EditError as error:
            kept.append(f"{'.'.join(change.path)} could not be put back: {error}")
    return text, kept


def dump(installs: Sequence[Installed]) -> str:
    """The record as a file."""
    told = [
        asdict(one)
        | {"config": [_named(change) for change in one.config], "env": [_named(change) for change in one.env]}
        for one in installs
    ]
    return json.dumps({"schema": SCHEMA, "installs": told}, ensure_ascii=False, indent=2) + "\n"


def load(text: str) -> list[Installed]:
    """Read the record.

    Raises:
        ConfigError: it is of a newer Buoy, or damaged.
    """
    try:
        told = json.loads(text)
        if told["schema"] > SCHEMA:
            raise ConfigError("the record of the installation was written by a newer Buoy: undo it with that one")
        return [_installed(one) for one in told["installs"]]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            "the record of the installation (buoy/install.json) is damaged: put the .bak files back by hand, and "
            "remove it"
        ) from None


def _named(change: Any) -> dict[str, Any]:
    return {"kind": type(change).__name__} | asdict(change)


def _installed(told: dict[str, Any]) -> Installed:
    return Installed(
        at=float(told["at"]),
        version=str(told["version"]),
        platform=str(told["platform"]),
        files=tuple(Saved(**one) for one in told["files"]),
        config=tuple(_yaml(one) for one in told["config"]),
        left=tuple(told["left"]),
        env=tuple(_ENV[one.pop("kind")](**one) for one in told["env"]),
        jobs=tuple(Move(one["job"], one["name"], tuple(one["path"]), one["old"], one["new"]) for one in told["jobs"]),
        pairing=told.get("pairing"),
    )


def _yaml(told: dict[str, Any]) -> yaml_text.Change:
    kind = _YAML[told.pop("kind")]
    return kind(**told | {"path": tuple(told["path"])})
