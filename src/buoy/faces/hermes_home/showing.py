"""A change of a file as people read it: a unified diff in which no secret stands. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from buoy.faces.hermes_home import env_text, yaml_text

MASK: Final = "********"
_SECRET_KEY: Final = re.compile(
    r"""(?ix) ^ (?P<lead> [-+\ ] \s* (?:\#.*?)? (?:export\s+)? ["']? [\w.-]*
    (?:secret|token|key|passw|credential|webhook|url|auth) [\w.-]* ["']? \s* [:=] \s*) (?P<value> \S .*) $"""
)
_ENV_LINE: Final = re.compile(r"^(?P<lead>[-+ ].*?[A-Za-z_][A-Za-z0-9_]*\s*=\s*)(?P<value>\S.*)$")
_OPEN_NAMES: Final = re.compile(r"(APP_ID|ALLOWED_USERS|ALLOW_ALL_USERS|HOME_CHANNEL(_NAME)?)\s*=")
_SHORT: Final = 6  # a shorter "secret" would blot out words of the file


def diff(name: str, before: str, after: str, *, secrets: Iterable[str] = (), context: int = 3) -> list[str]:
    """Lines of a unified diff, empty where nothing changes.

    Masked are the given secrets wherever they stand, what stands behind a key that sounds like one, and in a `.env`
    file every value but the few that this is about.
    """
    hidden = sorted({one for one in secrets if len(one) >= _SHORT}, key=len, reverse=True)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name} (now)", f"{name} (then)", lineterm="", n=context
    )
    return list(_masked(lines, hidden, is_env=name.endswith(".env")))


def _masked(lines: Iterable[str], hidden: list[str], *, is_env: bool) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number < 2 or line.startswith("@@"):
            yield line
            continue
        for one in hidden:
            line = line.replace(one, MASK)  # noqa: PLW2901
        if is_env and not _OPEN_NAMES.search(line):
            yield _ENV_LINE.sub(rf"\g<lead>{MASK}", line)
        else:
            yield line if is_env else _SECRET_KEY.sub(rf"\g<lead>{MASK}", line)


def secrets_of(config: str, env: str) -> set[str]:
    """Every value of `.env` whose name sounds like a secret, and each ``client_secret`` of config.yaml."""
    values, words = env_text.load(env), ("SECRET", "TOKEN", "KEY", "PASS")
    found = {value for name, value in values.items() if any(word in name for word in words) and "://" not in value}
    with suppress(yaml_text.EditError):
        found |= set(_in_tables(yaml_text.load(config)))
    return {one for one in found if len(one) >= _SHORT}


def _in_tables(data: Any) -> Iterator[str]:
    below = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    if isinstance(data, dict):
        yield from (str(value) for key, value in data.items() if "secret" in str(key).lower() and value)
    for one in below:
        yield from _in_tables(one)
