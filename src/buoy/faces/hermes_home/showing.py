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
_WORDS: Final = ("secret", "token", "key", "pass", "credential")
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
    """Every value of `.env` and every text of config.yaml whose name sounds like a secret, line by line."""
    found = {value for name, value in env_text.load(env).items() if _is_secret(name)}
    with suppress(yaml_text.EditError):
        found |= set(_in_tables(yaml_text.load(config)))
    return {one for one in found if len(one) >= _SHORT and "://" not in one}


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _WORDS)


def _in_tables(data: Any, *, is_secret: bool = False) -> Iterator[str]:
    """What stands in a table behind such a name, at any depth. It may stand in several lines, or in ``{...}``."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _in_tables(value, is_secret=is_secret or _is_secret(str(key)))
    elif isinstance(data, list):
        for one in data:
            yield from _in_tables(one, is_secret=is_secret)
    elif is_secret and data is not None and not isinstance(data, bool):
        yield from (line.strip() for line in str(data).splitlines())
