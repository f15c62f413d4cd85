"""Changes single lines in the text of a `.env` file, and reads values as Hermes does; all other lines stay. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(
    r"^(?P<lead>\s*(?:export\s+)?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sign>\s*=\s*)(?P<value>.*)$"
)
_QUOTED: Final = re.compile(r"""^(?:'(?P<one>(?:[^'\\]|\\.)*)'|"(?P<two>(?:[^"\\]|\\.)*)")""")
OFF: Final = "# off, by buoy hermes install: "


@dataclass(frozen=True, slots=True)
class Rename:
    """Call a variable otherwise, and give it another value where ``value`` is not None."""

    old: str
    new: str
    value: str | None = None
    left: str = ""
    """Digest of the value that is given up for it: another one, which somebody gave since, is kept. Empty: any."""


@dataclass(frozen=True, slots=True)
class Set:
    """Give a variable a value: in the line that it has, or in a new one at the end."""

    name: str
    value: str
    left: str = ""
    """Digest of the value that is given up for it, in a line that is there: any other is kept. Empty: any."""


@dataclass(frozen=True, slots=True)
class Unset:
    """Remove the lines of a variable whose value has this digest; another value somebody else gave it."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Off:
    """Make a comment of the lines of a variable."""

    name: str


@dataclass(frozen=True, slots=True)
class On:
    """Undo `Off`."""

    name: str


Change = Rename | Set | Unset | Off | On


def load(text: str) -> dict[str, str]:
    """The variables of the file; of two lines with one name the last counts. Empty values are left out."""
    found = {}
    for line in text.removeprefix("\ufeff").splitlines():
        match = _LINE.match(line)
        if match:
            found[match["name"]] = _value(match["value"])
    return {name: value for name, value in found.items() if value}


def change(text: str, changes: Sequence[Change]) -> str:
    """Make the changes one after the other; one that is made already changes nothing."""
    for one in changes:
        text = _changed(text, one)
    return text


def inverse(values: Mapping[str, str], one: Change) -> Change | None:
    """What undoes a change, as of the values before it; None: it changes nothing.

    Of values only those stand in it that were replaced.
    """
    match one:
        case Rename():
            if one.old not in values:
                return None
            if one.value is None:
                return Rename(one.new, one.old)
            return Rename(one.new, one.old, values[one.old], digest(one.value))
        case Set():
            if values.get(one.name) == one.value:
                return None
            left = digest(one.value)
            return Set(one.name, values[one.name], left) if one.name in values else Unset(one.name, left)
        case Off():
            return On(one.name) if one.name in values else None
        case Unset() | On():
            return None


def digest(value: str) -> str:
    """What tells one value from another, and not what it is."""
    return hashlib.sha256(value.encode("utf-8")).hexdigest()


def _changed(text: str, one: Change) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines, is_there = text.splitlines(keepends=True), False
    done = []
    for line in lines:
        body = line.rstrip("\r\n")
        end, off = line[len(body) :], body.startswith(OFF)
        match = _LINE.match(body.removeprefix(OFF) if isinstance(one, On) and off else body)
        name = one.old if isinstance(one, Rename) else one.name
        if match is None or match["name"] != name:
            done.append(line)
            continue
        is_there = True
        is_kept = isinstance(one, Rename | Set) and one.left not in {"", digest(_value(match["value"]))}
        match one:
            case Rename():
                value = match["value"] if one.value is None or is_kept else _quoted(one.value)
                done.append(match["lead"] + one.new + match["sign"] + value + end)
            case Set():
                done.append(line if is_kept else match["lead"] + name + match["sign"] + _quoted(one.value) + end)
            case Off():
                done.append(OFF + line)
            case On():
                done.append(line.removeprefix(OFF))
            case Unset():
                if digest(_value(match["value"])) != one.digest:
                    done.append(line)
    if isinstance(one, Set) and not is_there and not one.left:
        if done and not done[-1].endswith("\n"):
            done[-1] += newline
        done.append(f"{one.name}={_quoted(one.value)}{newline}")
    return "".join(done)


def _value(written: str) -> str:
    """A value as python-dotenv reads it: in quotes, or up to a comment."""
    quoted = _QUOTED.match(written)
    if quoted is None:
        return re.sub(r"\s+#.*$", "", written).strip()
    if quoted["one"] is not None:
        return re.sub(r"\\([\\'])", r"\1", quoted["one"])
    return re.sub(r'\\([\\"])', r"\1", quoted["two"])


def _quoted(value: str) -> str:
    """A value as it is written: bare where nothing in it has a meaning."""
    if re.fullmatch(r"[A-Za-z0-9_.,:/@%+*=-]*", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
