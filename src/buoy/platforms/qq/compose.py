"""Letter bodies: from an agent's replies to stored JSON, and from stored JSON to what a request needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from buoy.chat import Reply
from buoy.protocol import codes
from buoy.protocol import text as rules
from buoy.protocol.limits import BUDGETS, TEXT_LIMIT


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """One letter's content. ``reference`` is the quoted message's index (protocol.md 10.1)."""

    text: str
    markdown: bool = False
    reference: str | None = None


_DECODER = msgspec.json.Decoder(Body)


def encode(body: Body) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(body)


def decode(stored: bytes) -> Body:
    """As it was stored."""
    return _DECODER.decode(stored)


def compose(
    scene: str, replies: Sequence[Reply], *, used: int = 0, reference: str | None = None
) -> list[bytes]:
    """Turn one turn's replies into letters that fit the size limit and, where possible, the reply budget.

    Long texts are split, and when there are more pieces than replies left, neighbours of one kind are merged. Nothing
    is dropped: what exceeds the budget even then becomes a letter that is held.
    """
    room = max(1, BUDGETS.get(scene, 1) - used)
    if len(replies) == 1 and len(replies[0].text) * 2 <= TEXT_LIMIT:
        only = replies[0]
        return [encode(Body(only.text, only.markdown, reference if only.quote else None))]
    runs: list[list[Reply]] = []
    for reply in replies:
        if runs and runs[-1][0].markdown == reply.markdown:
            runs[-1].append(reply)
        else:
            runs.append([reply])
    bodies: list[bytes] = []
    for at, run in enumerate(runs):
        share = max(1, room - (len(runs) - 1 - at) - len(bodies))
        for piece in rules.pack([reply.text for reply in run], TEXT_LIMIT, share):
            quote = reference if run[0].quote and not bodies else None
            bodies.append(encode(Body(piece, run[0].markdown, quote)))
    return bodies


def merge(bodies: Sequence[bytes]) -> list[bytes]:
    """Join held letters into as few as their size allows, in order; markdown survives only where all have it."""
    parts = [decode(body) for body in bodies]
    markdown = all(part.markdown for part in parts)
    return [
        encode(Body(piece, markdown)) for piece in rules.pack([part.text for part in parts], TEXT_LIMIT, 1)
    ]


def reword(stored: bytes, *, code: int) -> list[bytes]:
    """Another wording of content that QQ refused (protocol.md 4.2), or nothing when there is none left to try."""
    body = decode(stored)
    if codes.fix(code) is codes.Fix.SHORTER and len(body.text) > 1:
        pieces = rules.split(body.text, max(2, rules.units(body.text) // 2))
        return [encode(Body(piece, body.markdown)) for piece in pieces]
    changed = rules.neutralise_urls(rules.plain(body.text) if body.markdown else body.text)
    if changed == body.text and not body.markdown:
        return []
    return [encode(Body(changed))]
