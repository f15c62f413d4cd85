"""Letter bodies: from an agent's replies to stored JSON, and from there to what a request needs. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from buoy.chat import Reply
from buoy.platforms.qq.words import MANNER, Manner
from buoy.protocol import codes, keyboards
from buoy.protocol import text as rules
from buoy.protocol.limits import BUDGETS, TEXT_LIMIT, UPLOAD_LIMIT
from buoy.protocol.uploads import SCENES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buoy.letters import Letter

NEWLINE: Final = "\n"


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """One letter's content. ``reference`` is the quoted message's handle (protocol.md 10.1)."""

    text: str
    markdown: bool = False
    reference: str | None = None
    dated: bool = False
    """The text says itself when it was written."""
    file: str = ""
    """Its name, where the text goes out as a file."""
    is_note: bool = False
    """It only announces the file that follows."""
    unfiled: bool = False
    """A file was refused: the text is not to become one again."""
    buttons: keyboards.Rows = ()
    """They stand under the text, as far as the scene has any."""


_DECODER = msgspec.json.Decoder(Body)
_changed = msgspec.structs.replace


def encode(body: Body) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(body)


def decode(stored: bytes) -> Body:
    """As it was stored."""
    return _DECODER.decode(stored)


def compose(
    scene: str, replies: Sequence[Reply], *, used: int = 0, reference: str | None = None, manner: Manner = MANNER
) -> list[bytes]:
    """Turn one turn's replies into letters that fit the size limit and, where possible, the reply budget.

    Long texts are split, and when there are more pieces than replies left, neighbours of one kind are merged;
    where that is not enough, markdown is given up, and in the end all of it goes out as one file. Nothing is
    dropped: what exceeds the budget even then becomes a letter that is held.

    Buttons, arranged already, stand under the last piece of their text and nothing is joined to it. Where replies are
    too many for that, those of the last that has any stay; above a file they stand under the note.
    """
    if len(replies) == 1 and len(replies[0].text) * 2 <= TEXT_LIMIT:
        only = replies[0]
        return [encode(Body(only.text, only.markdown, reference if only.quote else None, buttons=only.buttons))]
    room = max(1, BUDGETS.get(scene, 1) - used)
    bodies = _pack(replies, room, reference)
    last = keyboards.merged([reply.buttons for reply in replies])
    if len(bodies) > room and last:
        bodies = min(bodies, _under([replace(reply, buttons=()) for reply in replies], room, reference, last), key=len)
    if len(bodies) > room and len({reply.markdown for reply in replies}) > 1:
        plain = [Reply(_plain(reply.text, markdown=reply.markdown), quote=reply.quote) for reply in replies]
        bodies = min(bodies, _under(plain, room, reference, last), key=len)
    if len(bodies) > room and scene in SCENES:
        whole = Body(
            rules.JOINER.join(reply.text for reply in replies),
            any(reply.markdown for reply in replies),
            reference if any(reply.quote for reply in replies) else None,
            buttons=last,
        )
        bodies = _filed(whole, room, manner.in_file) or bodies
    return [encode(body) for body in bodies]


def _filed(whole: Body, room: int, note: str) -> list[Body]:
    """Make a file of a text, behind a note that announces it where there is room; nothing where it is too large."""
    if len(whole.text.encode(errors="replace")) > UPLOAD_LIMIT:
        return []
    file = _changed(whole, file=f"reply.{'md' if whole.markdown else 'txt'}", markdown=False, buttons=())
    if room < 2:
        return [file]
    head = Body(note, reference=whole.reference, dated=whole.dated, is_note=True, buttons=whole.buttons)
    return [head, _changed(file, reference=None)]


def _pack(replies: Sequence[Reply], room: int, reference: str | None) -> list[Body]:
    """Make the letters. Runs of one kind share what room there is; the first run that quotes does so once.

    Buttons end a run.
    """
    runs: list[list[Reply]] = []
    for reply in replies:
        if runs and runs[-1][0].markdown == reply.markdown and not runs[-1][-1].buttons:
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
        if run[-1].buttons and bodies:
            bodies[-1] = _changed(bodies[-1], buttons=run[-1].buttons)
    return bodies


def _under(replies: Sequence[Reply], room: int, reference: str | None, last: keyboards.Rows) -> list[Body]:
    """Make the letters, with these buttons under the last of them."""
    bodies = _pack(replies, room, reference)
    return [*bodies[:-1], *(_changed(body, buttons=last) for body in bodies[-1:])]


def merge(scene: str, held: Sequence[Letter], now: float, manner: Manner = MANNER) -> list[bytes]:
    """Join held letters into as few as their size allows, in order; markdown survives where all have it.

    What is late says when it was written, in a line of its own before it; what was written soon after it shares
    that line, and what is hardly late has none. What needs more than half of the replies that the contact brings
    goes out as a file: the other half is for the contact's own turn. Of the buttons those of the newest letter stay,
    if it has any: what an older one asked is history.
    """
    parts = [(decode(letter.body), letter) for letter in held]
    if any(part.file for part, _ in parts):
        parts = [(part, letter) for part, letter in parts if not part.is_note]
    keeps = all(part.markdown or part.file.endswith(".md") for part, _ in parts)
    texts: list[str] = []
    lines: list[str] = []
    told_at: float | None = None  # when the parts before say that they were written
    for part, letter in parts:
        at = letter.created_at
        text = part.text if keeps else _plain(part.text, markdown=part.markdown or part.file.endswith(".md"))
        if part.dated:
            told_at = at
        elif now - at >= manner.late_after_s if told_at is None else at - told_at > manner.late_after_s:
            lines.append(manner.late(at, now, is_reply=letter.event is not None))
            text = f"{lines[-1]}{rules.JOINER if keeps else NEWLINE}{text}"
            told_at = at
        texts.append(text)
    shape = Body("", keeps, dated=told_at is not None, unfiled=any(part.unfiled for part, _ in parts))
    bodies = [_changed(shape, text=piece) for piece in rules.pack(texts, TEXT_LIMIT, 1)]
    newest = parts[-1][0].buttons
    if newest and bodies:
        bodies[-1] = _changed(bodies[-1], buttons=newest)
    room = max(1, BUDGETS.get(scene, 1) // 2)
    if len(bodies) > room and scene in SCENES and not shape.unfiled:
        note = NEWLINE.join([*lines[:1], manner.in_file])
        bodies = _filed(_changed(shape, text=rules.JOINER.join(texts), buttons=newest), room, note) or bodies
    return [encode(body) for body in bodies]


def reword(stored: bytes, *, code: int) -> list[bytes]:
    """Another wording of content that QQ refused, where the code names what to change (protocol.md 4.2).

    A file that QQ will not take is told as messages. Empty when the code names nothing, or nothing is left to
    change: the same words would be refused again. Buttons stay only under what is cut in halves.
    """
    body = decode(stored)
    markdown, text, limit = body.markdown, body.text, TEXT_LIMIT
    if body.file:
        whole = _changed(body, file="", markdown=body.file.endswith(".md"), unfiled=True)
        pieces = rules.pack([text], TEXT_LIMIT, 1)
        return [
            encode(_changed(whole, text=piece, reference=None if n else body.reference))
            for n, piece in enumerate(pieces)
        ]
    if (fix := codes.fix(code)) is codes.Fix.NONE:
        return []
    if fix is codes.Fix.SHORTER:
        limit = max(2, rules.units(text) // 2)
    else:  # whichever of the two it was: there is only one more try, and it must not fail for the other
        markdown, text = False, rules.neutralise_urls(_plain(text, markdown=markdown))
    pieces = rules.split(text, limit)
    kept = body.buttons if fix is codes.Fix.SHORTER else ()
    new = [
        _changed(
            body,
            text=piece,
            markdown=markdown,
            reference=None if n else body.reference,
            buttons=() if n < len(pieces) - 1 else kept,
        )
        for n, piece in enumerate(pieces)
    ]
    return [] if new == [body] else [encode(one) for one in new]


def _plain(text: str, *, markdown: bool) -> str:
    return rules.plain(text) if markdown else text
