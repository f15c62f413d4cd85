"""Bends JSON in structured ways: first as a tree, whose values become odd, then as text, which breaks.

The tree is written by a writer of our own, because what is interesting (NaN, half surrogate pairs, keys given
twice, numbers of 5,000 digits) is what other writers refuse to write.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.choices import Choices


class Token(bytes):
    """JSON, or what claims to be, written as it stands."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object: its keys have an order and may come twice."""

    __slots__ = ()


def deep(depth: int, left: bytes = b"[", right: bytes = b"]") -> bytes:
    """Something that nests."""
    return left * depth + right * depth


NUMBERS = [
    *(b"0", b"-0", b"1", b"-1", b"2", b"10", b"11", b"103", b"1.5", b"45000", b"2147483648", b"-2147483649"),
    *(b"9007199254740991", b"9007199254740992", b"9223372036854775807", b"9223372036854775808"),
    *(b"18446744073709551616", b"9" * 30, b"1" * 5000, b"1e400", b"-1e400", b"1e-400", b"1e3", b"1e22", b"0.1"),
    *(b"NaN", b"Infinity", b"-Infinity", b"01", b"0x10", b"1_000"),
]
TEXTS = [
    *(b"", b"0", b"1", b"-1", b"true", b" ", b"null", b"9" * 30, b"1" * 5000, b"nan", b"inf", b"1e999", b"0x1"),
    *("²".encode(), "٣".encode(), "\u2028".encode(), "\ufeff".encode(), "\U0001f6df".encode(), "İ".encode()),
    *(rb"\ud800", rb"\udfff\ud800", rb"\u0000", rb"\\", rb"\"", rb"\/stop", b"\x00", b"\n", b"\xff", b"\xc3"),
    *(b"\xed\xa0\x80", b"\xf4\x90\x80\x80", rb"\x", rb"\u12", b"a" * 300, b"/stop", b" /stop ", b"READY", b"RESUMED"),
    *(b"<@", b"<@!1>", b"<@1> ", b'<faceType=1,faceId=\\"1\\",ext=\\"e30=\\">', b"<faceType=", b"&lt;&amp", b"&#x;"),
    *(b"2026-11-01T10:00:00+08:00", b"2026-11-01T10:00:00Z", b"2026-11-01T10:00:00", b"2026-W44-7", b"1790000000"),
    *(b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"2026-02-30T00:00:00Z", b"-1790000000"),
    *(b"C2C_MESSAGE_CREATE", b"GROUP_MESSAGE_CREATE", b"INTERACTION_CREATE", b"//x", b"wss://[::1", b"ws://a b"),
    *(b"msg_idx=", b"=", b"=1", b"ref_msg_idx=a=b", b"https://" + b"a" * 300),
]
THINGS = [
    *(b"null", b"true", b"false", b"[]", b"{}", b"[null]", b"[[]]", b"[{}]", b'[0,"",null,[],{}]', b'{"":null}'),
    *(b'{"id":{}}', b'{"bot":true}', b'[{"is_you":true}]', b'{"bot":"1"}', b"nul", b"undefined", b"", b"'1'", b"[1,]"),
    *(deep(31), deep(33), deep(40, b'{"a":', b"0}"), deep(1100), deep(5000, b'{"a":', b"1}"), deep(20_000), b"[" * 400),
]
ODD = [*(Token(b) for b in THINGS), *(Token(b) for b in NUMBERS), *(Token(b'"' + b + b'"') for b in TEXTS)]
BREAKS = [b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xff", b" ", b"\n", b"{", b"}", b"]", b'"', b"\\", b",", b":", b"0"]


def read(text: bytes) -> Any:
    """A tree of a seed."""
    return json.loads(text, object_pairs_hook=Pairs)


def write(value: Any) -> bytes:
    """The text of a tree."""
    if isinstance(value, Token):
        return bytes(value)
    if isinstance(value, Pairs):
        return b"{" + b",".join(write(key) + b":" + write(one) for key, one in value) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(write, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode()


def bend(seed: bytes, others: list[bytes], choices: Choices) -> bytes:
    """A relative of the seed: up to five odd places in its tree, up to two in its text."""
    tree = read(seed)
    for _ in range(choices.below(6)):
        tree = _bend_tree(tree, others, choices)
    text = write(tree)
    for _ in range(choices.below(8) - 5):
        text = _bend_text(text, choices)
    return text


def _places(tree: Any) -> list[tuple[Any, int]]:
    """Every place of the tree that can be written to: its container and its index there."""
    found: list[tuple[Any, int]] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            for at, inner in enumerate(one):
                found.append((one, at))
                waiting.append(inner[1] if isinstance(one, Pairs) else inner)
    return found


def _bend_tree(tree: Any, others: list[bytes], choices: Choices) -> Any:
    places = _places(tree)
    if not places:
        return choices.pick(ODD)
    home, at = choices.pick(places)
    new: list[Any]
    key, value = home[at] if isinstance(home, Pairs) else ("", home[at])
    match choices.below(10):
        case 0:
            new = [choices.pick(ODD)]
        case 1:
            new = []
        case 2:  # twice, the second time odd
            new = [value, choices.pick(ODD)]
        case 3:
            new = [choices.pick(ODD), value]
        case 4:
            new = [[value]]
        case 5:
            new = [Pairs([("id", value)])]
        case 6 if isinstance(value, str):
            odd, text = choices.pick(TEXTS), json.dumps(value, ensure_ascii=False).encode()[1:-1]
            new = [Token(b'"' + (odd + text if choices.below(2) else text + odd) + b'"')]
        case 6 | 7:  # what stands there in another seed
            inside = _places(read(choices.pick(others)))
            where, index = choices.pick(inside)
            new = [where[index][1] if isinstance(where, Pairs) else where[index]]
        case 8:
            key, new = choices.pick(["op", "d", "s", "t", "id", "author", "content", "code", "url", "", "bot"]), [value]
        case _:
            other, index = choices.pick(places)
            new = [other[index][1] if isinstance(other, Pairs) else other[index]]
            if any(one is home for one in _containers(new[0])):
                new = [choices.pick(ODD)]  # a tree that holds itself has no end
    home[at : at + 1] = [(key, one) for one in new] if isinstance(home, Pairs) else new
    return tree


def _containers(value: Any) -> list[Any]:
    return [value, *(home for home, _ in _places(value))]


def _bend_text(text: bytes, choices: Choices) -> bytes:
    at, length = choices.below(len(text) + 1), choices.below(9)
    match choices.below(7):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + text[at + length :]
        case 2:
            return text[:at] + choices.pick(BREAKS) + text[at:]
        case 3:
            return choices.pick(BREAKS) + text
        case 4:
            return text + choices.pick(BREAKS)
        case 5:
            return text[:at] + bytes([choices.below(256)]) + text[at + 1 :]
        case _:
            return text.decode("utf-8", "replace").encode(choices.pick(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))
