"""Changes single values in the text of a YAML file, so that comments, order and form of all the rest stay. Pure.

A YAML library that reads a file and writes it anew drops comments or reformats lines that nobody asked about. Here the
parser only tells where a node stands; the text around it is left alone. Each change is made a second time in the data,
and both have to agree: where they do not (an alias, a merge key, a form that was not thought of), nothing is changed.

PyYAML comes with Hermes, in whose environment this runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

Path = tuple[str, ...]
ABSENT: Final = object()


class EditError(Exception):
    """The text cannot be changed safely; it says where."""


@dataclass(frozen=True, slots=True)
class Put:
    """Set a value; mappings on the way are made. Of what is there, only a scalar is replaced."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove a key, and each mapping above it that thereby became empty, down to a depth of ``keep`` keys."""

    path: Path
    keep: int = 0


@dataclass(frozen=True, slots=True)
class Add:
    """Put an item at the end of a list, which is made if it is missing."""

    path: Path
    item: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Take an item out of a list; where the list becomes empty it goes like a `Drop`."""

    path: Path
    item: str
    keep: int = 0


Change = Put | Drop | Add | Remove


def load(text: str) -> Any:
    """Read a YAML file as Hermes does; an empty one is an empty mapping.

    Raises:
        EditError: it is no YAML, or no mapping.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise EditError(" ".join(str(error).split())) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise EditError("the file holds no table of settings")
    return data


def look(data: Any, path: Sequence[str]) -> Any:
    """The value at a path; `ABSENT` where there is none."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return ABSENT
        data = data[key]
    return data


def change(text: str, changes: Sequence[Change]) -> str:
    """Make the changes one after the other; one that is made already changes nothing.

    Raises:
        EditError: nothing was changed: the text has a form in which this change is not safe.
    """
    for one in changes:
        before, place = load(text), ".".join(one.path)
        wanted = _in_data(before, one)
        if wanted == before:
            continue
        text = _in_text(text, one)
        try:
            is_right = load(text) == wanted
        except EditError:
            is_right = False
        if not is_right:
            raise EditError(f"{place} has a form (an alias, a merge key) in which it cannot be changed safely")
    return text


def inverse(before: Any, one: Change) -> Change | None:
    """What undoes a change, as of the data before it; None: it changes nothing."""
    if _in_data(before, one) == before:
        return None
    old = look(before, one.path)
    keep = _depth(before, one.path)
    match one:
        case Put():
            return Drop(one.path, keep) if old is ABSENT else Put(one.path, old)
        case Add():
            return Remove(one.path, one.item, len(one.path) if isinstance(old, list) else keep)
        case Remove():
            return Add(one.path, one.item)
        case Drop():
            return Put(one.path, old)


def _depth(data: Any, path: Path) -> int:
    """How many keys of the path are there."""
    for depth, key in enumerate(path):
        if not isinstance(data, dict) or key not in data:
            return depth
        data = data[key]
    return len(path)


# --- in the data -----------------------------------------------------------------------------------------------


def _in_data(data: Any, one: Change) -> Any:
    match one:
        case Put():
            return _with(data, one.path, one.value)
        case Add():
            items = look(data, one.path)
            if items is not ABSENT and items is not None and not isinstance(items, list):
                raise EditError(f"{'.'.join(one.path)} is no list")
            items = items if isinstance(items, list) else []
            return data if one.item in items else _with(data, one.path, [*items, one.item])
        case Remove():
            items = look(data, one.path)
            if not isinstance(items, list) or one.item not in items:
                return data
            left = [item for item in items if item != one.item]
            if left or len(one.path) <= one.keep:
                return _with(data, one.path, left)
            return _without(data, one.path, one.keep)
        case Drop():
            return data if look(data, one.path) is ABSENT else _without(data, one.path, one.keep)


def _with(data: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise EditError(f"there is something else than a table where {path[0]} should stand")
    return data | {path[0]: _with(data.get(path[0]), path[1:], value)}


def _without(data: dict[str, Any], path: Path, keep: int) -> dict[str, Any]:
    if len(path) == 1:
        return {key: value for key, value in data.items() if key != path[0]}
    below = _without(data[path[0]], path[1:], keep - 1)
    if not below and keep < 1:
        return {key: value for key, value in data.items() if key != path[0]}
    return data | {path[0]: below}


# --- in the text -----------------------------------------------------------------------------------------------


def _in_text(text: str, one: Change) -> str:
    match one:
        case Put():
            return _put(text, one.path, one.value)
        case Add():
            items = _node(text, one.path)
            if not isinstance(items, yaml.SequenceNode) or not items.value:
                return _put(text, one.path, [one.item])
            last = items.value[-1]
            if items.flow_style:
                return _insert(text, _end(text, last), f", {_flow(one.item)}")
            return _insert_line(text, _end(text, last), " " * items.start_mark.column + f"- {_flow(one.item)}")
        case Remove():
            items = _node(text, one.path)
            assert isinstance(items, yaml.SequenceNode)  # the data says so
            while len(items.value) > 1 and one.item in [node.value for node in items.value]:  # it may stand there twice
                text = _cut_item(text, items, one)
                items = _node(text, one.path)
            if one.item not in [node.value for node in items.value]:
                return text
            return _cut_item(text, items, one) if len(one.path) <= one.keep else _drop(text, one.path, one.keep)
        case Drop():
            return _drop(text, one.path, one.keep)


def _drop(text: str, path: Path, keep: int) -> str:
    """Cut the key, or the highest mapping above it that holds nothing else."""
    while len(path) - 1 > keep and len(_node(text, path[:-1]).value) == 1:
        path = path[:-1]
    parent = _node(text, path[:-1])
    key, value = next(pair for pair in reversed(parent.value) if pair[0].value == path[-1])
    if parent.flow_style:
        return _cut_in_flow(text, [(k.start_mark.index, _end(text, v)) for k, v in parent.value], _nth(parent, key))
    if len(parent.value) == 1 and path[:-1]:
        text = _cut_lines(text, key.start_mark.index, _end(text, value))
        return _insert(text, _colon(text, path[:-1]), " {}")
    return _cut_lines(text, key.start_mark.index, _end(text, value))


def _cut_item(text: str, items: yaml.SequenceNode, one: Remove) -> str:
    number = next(n for n, node in enumerate(items.value) if node.value == one.item)
    node = items.value[number]
    if items.flow_style:
        return _cut_in_flow(text, [(n.start_mark.index, _end(text, n)) for n in items.value], number)
    if len(items.value) == 1:
        return _insert(_cut_lines(text, node.start_mark.index, _end(text, node)), _colon(text, one.path), " []")
    return _cut_lines(text, node.start_mark.index, _end(text, node))


def _nth(parent: yaml.MappingNode, key: yaml.Node) -> int:
    return next(n for n, pair in enumerate(parent.value) if pair[0] is key)


def _cut_in_flow(text: str, spans: list[tuple[int, int]], number: int) -> str:
    """Cut one entry of ``{...}`` or ``[...]``, with the comma on one of its sides."""
    begin, end = spans[number]
    if number:
        begin = spans[number - 1][1]
    elif len(spans) > 1:
        end = spans[1][0]
    return text[:begin] + text[end:]


def _cut_lines(text: str, begin: int, end: int) -> str:
    rest = text[_line_end(text, end) :]
    return text[: text.rfind("\n", 0, begin) + 1] + rest.removeprefix("\r").removeprefix("\n")


def _put(text: str, path: Path, value: Any) -> str:
    node, depth = yaml.compose(text, Loader=yaml.SafeLoader), 0
    if node is None:
        return _after(text) + _block(_nest(path, value), 0, _newline(text)) + _newline(text)
    while depth < len(path):
        below = _child(node, path[depth])
        if below is None:
            return _insert_key(text, node, path[depth], _nest(path[depth + 1 :], value))
        node, depth = below, depth + 1
        if depth < len(path) and not (isinstance(node, yaml.MappingNode) and node.value):  # `platforms:` or `{}`
            value, path = _nest(path[depth:], value), path[:depth]
    if isinstance(node, yaml.ScalarNode) or not node.value:
        return _replace(text, node, value, _key(text, path).start_mark.column)
    raise EditError(f"{'.'.join(path)} is there already, and is more than one value")


def _replace(text: str, node: yaml.Node, value: Any, indent: int) -> str:
    """Put a value where a scalar, or nothing, is."""
    begin, end = node.start_mark.index, node.end_mark.index
    is_block = isinstance(value, dict | list) and value and not _inside_flow(text, node)
    if not is_block:
        flow = _flow(value)
        return text[:begin].rstrip(" ") + f" {flow}" + text[end:] if begin == end else text[:begin] + flow + text[end:]
    body = _block(value, indent + (2 if isinstance(value, dict) else 0), _newline(text))
    rest = text[end : _line_end(text, end)]  # a comment behind it
    return text[:begin].rstrip(" ") + rest.rstrip() + _newline(text) + body + text[_line_end(text, end) :]


def _insert_key(text: str, node: yaml.Node, key: str, value: Any) -> str:
    if not isinstance(node, yaml.MappingNode):
        raise EditError(f"there is something else than a table where {key} should stand")
    if node.flow_style:
        entry = _flow({key: value})[1:-1]
        if node.value:
            return _insert(text, _end(text, node.value[-1][1]), f", {entry}")
        return _insert(text, node.start_mark.index + 1, entry)
    entry = _block({key: value}, node.start_mark.column, _newline(text))
    return _insert_line(text, _end(text, node.value[-1][1]), entry)


def _insert_line(text: str, at: int, line: str) -> str:
    """Put lines behind the one in which ``at`` stands."""
    at = _line_end(text, at)
    return text[:at] + _newline(text) + line + (text[at:] or _newline(text))


def _insert(text: str, at: int, what: str) -> str:
    return text[:at] + what + text[at:]


def _node(text: str, path: Path) -> Any:
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        node = None if node is None else _child(node, key)
    return node


def _child(node: Any, key: str) -> Any:
    """The value of a key; of two with one name the parser takes the last."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in reversed(node.value) if name.value == key), None)


def _end(text: str, node: Any) -> int:
    """Where what is written of a node ends: a block's own mark stands behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return (
        len(text[: node.end_mark.index].rstrip()) if getattr(node, "style", None) in {"|", ">"} else node.end_mark.index
    )


def _key(text: str, path: Path) -> Any:
    """The node of the key that a path ends with."""
    return next(key for key, _ in reversed(_node(text, path[:-1]).value) if key.value == path[-1])


def _colon(text: str, path: Path) -> int:
    """Behind the colon of a key."""
    return text.index(":", _key(text, path).end_mark.index) + 1


def _inside_flow(text: str, node: yaml.Node) -> bool:
    """Whether a node stands within ``{...}`` or ``[...]``."""
    return any(
        begin <= node.start_mark.index <= end for begin, end in _flows(yaml.compose(text, Loader=yaml.SafeLoader))
    )


def _flows(node: Any) -> list[tuple[int, int]]:
    if not isinstance(node, yaml.CollectionNode):
        return []
    if node.flow_style and node.value:
        return [(node.start_mark.index, node.end_mark.index)]
    below = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
    return [span for part in below for span in _flows(part)]


def _nest(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=1 << 20)
    return text.removesuffix("...\n").strip()


def _block(value: Any, indent: int, newline: str) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=False, allow_unicode=True, sort_keys=False, width=1 << 20)
    return newline.join(" " * indent + line if line else line for line in text.rstrip("\n").split("\n"))


def _line_end(text: str, at: int) -> int:
    """Where the line ends in which ``at`` stands, before its line break; the end of the text where there is none."""
    found = text.find("\n", at)
    if found < 0:
        return len(text)
    return found - 1 if found and text[found - 1] == "\r" and found > at else found


def _after(text: str) -> str:
    """The text, ended by a line break where it is not empty."""
    return text if not text or text.endswith("\n") else text + _newline(text)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
