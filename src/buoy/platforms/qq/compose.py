"""Letter bodies: from an agent's replies to stored JSON, and from there to what a request needs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from buoy.chat import Reply
from buoy.protocol import codes
from buoy.protocol import text as rules
from buoy.protocol.limits import BUDGETS, TEXT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buoy.letters import Letter
    from buoy.platforms.qq.words import Manner


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """One letter's content. ``reference`` is the quoted message's handle (protocol.md 10.1)."""

    text: str
    markdown: bool = False
    reference: str | None = None
    dated: bool = False
    """The text says itself when it was written."""


_DECODER = msgspec.json.Decoder(Body)


def encode(body: Body) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(body)


def decode(stored: bytes) -> Body:
    """As it was stored."""
    return _DECODER.decode(stored)


def compose(scene: str, replies: Sequence[Reply], *, used: int = 0, reference: str | None = None) -> list[bytes]:
    """Turn one turn's replies into letters that fit the size limit and, where possible, the reply budget.

    Long texts are split, and when there are more pieces than replies left, neighbours of one kind are merged;
    where that is not enough, markdown is given up. Nothing is dropped: what exceeds the budget even then
    becomes a letter that is held.
    """
    if len(replies) == 1 and len(replies[0].text) * 2 <= TEXT_LIMIT:
        only = replies[0]
        return [encode(Body(only.text, only.markdown, reference if only.quote else None))]
    room = max(1, BUDGETS.get(scene, 1) - used)
    bodies = _pack(replies, room, reference)
    if len(bodies) > room and len({reply.markdown for reply in replies}) > 1:
        plain = [Reply(_plain(reply.text, markdown=reply.markdown), quote=reply.quote) for reply in replies]
        bodies = min(bodies, _pack(plain, room, reference), key=len)
    return [encode(body) for body in bodies]


def _pack(replies: Sequence[Reply], room: int, reference: str | None) -> list[Body]:
    """Make the letters. Runs of one kind share what room there is; the first run that quotes does so once."""
    runs: list[list[Reply]] = []
    for reply in replies:
        if runs and runs[-1][0].markdown == reply.markdown:
            runs[-1].append(reply)
        else:
            runs.append([reply])
    bodies: list[Body] = []
    for at, run in enumerate(runs):
        share = max(1, room - (len(runs) - 1 - at) - len(bodies))
        for n, piece in enumerate(rules.pack([reply.text for reply in run], TEXT_LIMIT, share)):
            quote = reference if n == 0 and any(reply.quote for reply in run) else None
            reference = None if quote else reference
            bodies.append(Body(piece, run[0].markdown, quote))
    return bodies


def merge(held: Sequence[Letter], now: float, manner: Manner) -> list[bytes]:
    """Join held letters into as few as their size allows, in order; markdown survives where all have it.

    What is late says when it was written, in a line of its own before it; what was written soon after it shares
    that line, and what is hardly late has none.
    """
    parts = [decode(letter.body) for letter in held]
    keeps = all(part.markdown for part in parts)
    texts: list[str] = []
    told_at: float | None = None  # when the parts before say that they were written
    for letter, part in zip(held, parts, strict=True):
        text, at = part.text if keeps else _plain(part.text, markdown=part.markdown), letter.created_at
        if part.dated:
            told_at = at
        elif now - at >= manner.late_after_s if told_at is None else at - told_at > manner.late_after_s:
            text = manner.late(at, now, is_reply=letter.event is not None) + ("\n\n" if keeps else "\n") + text
            told_at = at
        texts.append(text)
    is_dated = told_at is not None
    return [encode(Body(piece, keeps, dated=is_dated)) for piece in rules.pack(texts, TEXT_LIMIT, 1)]


def reword(stored: bytes, *, code: int) -> list[bytes]:
    """Another wording of content that QQ refused, where the code names what to change (protocol.md 4.2).

    Empty when it names nothing, or nothing is left to change: the same words would be refused again.
    """
    body = decode(stored)
    if (fix := codes.fix(code)) is codes.Fix.NONE:
        return []
    markdown, text, limit = body.markdown, body.text, TEXT_LIMIT
    if fix is codes.Fix.SHORTER:
        limit = max(2, rules.units(text) // 2)
    else:  # whichever of the two it was: there is only one more try, and it must not fail for the other
        markdown, text = False, rules.neutralise_urls(_plain(text, markdown=markdown))
    pieces = rules.split(text, limit)
    new = [Body(piece, markdown, None if n else body.reference, body.dated) for n, piece in enumerate(pieces)]
    return [] if new == [body] else [encode(one) for one in new]


def _plain(text: str, *, markdown: bool) -> str:
    return rules.plain(text) if markdown else text
