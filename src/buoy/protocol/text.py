"""Outbound text made to fit: cut, merged, and rid of what QQ refused in it.

Lengths are UTF-16 code units, as QQ counts (protocol.md 12.1). No visible character of the text is ever
dropped, but for the marks of markdown in :func:`plain`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from typing import Final, NamedTuple

from buoy.protocol.limits import TEXT_LIMIT

JOINER: Final = "\n\n"


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- cutting ----------------------------------------------------------------------------------------------

_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"(?:[^\S\n]*\n)+")
_CUTS: Final = (  # where to cut, best first; what a group matches stays with the left piece
    re.compile(r"()\n(?:[^\S\n]*\n)+"),
    re.compile(r"()\n"),
    re.compile(r"([\u3002\uff01\uff1f\uff1b\u2026]|[.!?;](?=\s))[^\S\n]*"),
    re.compile(r"()[^\S\n]+"),
)


class _Fence(NamedTuple):
    """A line that opens or closes a code fence; ``open`` is the opening line, empty where it closes."""

    start: int
    end: int
    open: str
    marker: str


def split(text: str, limit: int = TEXT_LIMIT, *, dense: bool = False) -> list[str]:
    """Cut a text into pieces of at most ``limit`` units; blank text has no pieces.

    Cuts fall between paragraphs, else lines, sentences, words, as long as that leaves a piece at least half
    full; never inside a character of several code points. A piece that ends inside a code fence is closed
    there, and the next one opens it again. Blanks around a cut are dropped, nothing else. ``dense`` fills
    every piece instead.
    """
    if limit < 1:
        raise ValueError(f"a piece of {limit} units holds nothing")
    fences = _fences(text, limit)
    ends = [fence.end for fence in fences]
    pieces: list[str] = []
    at, opened = 0, ""  # where we are, and the line that opened the fence we are in
    while True:
        head = f"{opened}\n" if opened else ""
        room = limit - units(head)
        if len(text) - at <= room and units(text[at:]) <= room:
            return [*pieces, head + text[at:]] if text[at:].strip() else pieces
        closing = ""
        while True:
            cut, after = _cut(text, at, room - units(closing), dense=dense)
            known = bisect_right(ends, cut)
            if known < len(fences) and at < fences[known].start < cut:  # inside the line of a fence
                cut = after = fences[known].start
            last = fences[known - 1] if known else None
            if last and last.open and at < last.start and not text[last.end : cut].strip():
                cut = after = last.start  # no code would be left of the cut
                last = fences[known - 2] if known > 1 else None
            needed = f"\n{last.marker}" if last and last.open else ""
            if units(needed) <= units(closing):
                break
            closing = needed
        opened = last.open if last else ""
        chunk = text[at:cut].rstrip()
        if chunk and chunk.strip() != opened.strip():
            pieces.append(head + chunk + needed)
        at = _past_blanks(text, after)
        known = bisect_right(ends, at)
        if opened and known < len(fences) and not text[at : fences[known].start].strip():
            at, opened = fences[known].end, ""  # of this code only the closing line is left


def _fences(text: str, limit: int) -> list[_Fence]:
    """Find the lines that open and close code fences. One too long to be repeated in a piece is none."""
    found: list[_Fence] = []
    opened = ""
    for match in _FENCE.finditer(text):
        line, marker, info = match[0], match[1], match[2]
        if units(line) > limit // 4:
            continue
        if not opened:
            opened = marker
            found.append(_Fence(match.start(), match.end(), line, marker))
        elif marker[0] == opened[0] and len(marker) >= len(opened) and not info.strip():
            opened = ""
            found.append(_Fence(match.start(), match.end(), "", marker))
    return found


def _cut(text: str, at: int, room: int, *, dense: bool) -> tuple[int, int]:
    """Choose where the piece that starts at ``at`` ends, and where the next one starts."""
    end = _fit(text, at, room)
    if not dense:
        latest = (at, at)
        for cuts in _CUTS:
            last = None
            for match in cuts.finditer(text, at, end + 1):
                if at < match.end(1) <= end:
                    last = (match.end(1), match.end())
            if last and (last[0] - at) * 2 >= end - at:
                return last
            latest = max(latest, last or latest)
        if latest[0] > at:
            return latest
    end = _whole(text, at, end)
    return end, end


def _past_blanks(text: str, at: int) -> int:
    """Find where the next piece starts: after blank lines, and after blanks that do not indent a line."""
    lines = _BLANK_LINES.match(text, at)
    if lines:
        return lines.end()
    while at < len(text) and text[at - 1] != "\n" and text[at].isspace():
        at += 1
    return at


def _fit(text: str, at: int, room: int) -> int:
    """Find the last index up to which the text from ``at`` has ``room``; at least one character is taken."""
    end = min(at + room, len(text))
    while (over := units(text[at:end]) - room) > 0 and end > at + 1:
        end = max(end - (over + 1) // 2, at + 1)
    return end


def _whole(text: str, at: int, end: int) -> int:
    """Move a cut left out of a character of several code points, unless it is absurdly long."""
    for cut in range(end, max(end - 64, at), -1):
        if cut >= len(text) or not _joined(text, cut):
            return cut
    return end


def _joined(text: str, cut: int) -> bool:
    left, right = text[cut - 1], text[cut]
    if right < "\u0300":
        return False
    if "\U0001f1e6" <= left <= "\U0001f1ff" and "\U0001f1e6" <= right <= "\U0001f1ff":  # flags are pairs
        start = cut
        while start > 0 and "\U0001f1e6" <= text[start - 1] <= "\U0001f1ff":
            start -= 1
        return (cut - start) % 2 == 1
    return (
        left == "\u200d"
        or right == "\u200d"
        or unicodedata.category(right) in {"Mn", "Me", "Mc"}
        or "\U0001f3fb" <= right <= "\U0001f3ff"
        or "\U000e0020" <= right <= "\U000e007f"
    )


def pack(parts: list[str], limit: int, budget: int) -> list[str]:
    """Make at most ``budget`` pieces of some parts, if that is possible; nothing is dropped in any case.

    Parts that are too long are split. Then neighbours are merged, a blank line between them, only as many as
    it takes. Where that is not enough everything is filled densely; it may still exceed the budget then.
    """
    pieces = [piece for part in parts for piece in split(part, limit)]
    excess = len(pieces) - budget
    if excess <= 0:
        return pieces
    merged: list[str] = []
    for piece in pieces:
        if excess > 0 and merged and units(merged[-1]) + len(JOINER) + units(piece) <= limit:
            merged[-1] += JOINER + piece
            excess -= 1
        else:
            merged.append(piece)
    if excess <= 0:
        return merged
    filled = split(JOINER.join(part for part in parts if part.strip()), limit, dense=True)
    return filled if len(filled) < len(merged) else merged


# --- what was refused -------------------------------------------------------------------------------------

_DOT: Final = re.compile(r"(?<=[\w-])\.(?=[\w-]{0,63}[^\W\d_])")
_ZERO_WIDTH: Final = "\u200b"


def neutralise_urls(text: str) -> str:
    """Break what QQ takes for URLs, file names included (12.1), with a character that nobody sees.

    Repeatable. The text gets longer: split it afterwards.
    """
    return _DOT.sub(f".{_ZERO_WIDTH}", text.replace("://", f":{_ZERO_WIDTH}//"))


_RULE: Final = re.compile(r"\s*([*_-])(?:[^\S\n]*\1){2,}\s*")
_HEADING: Final = re.compile(r"\s{0,3}#{1,6}\s+(?=\S)")
_QUOTE: Final = re.compile(r"\s{0,3}(?:>\s?)+")
_SIZE: Final = re.compile(r"\s*#\d+px")
_INLINE: Final = re.compile(
    r"""(?P<tick>`{1,3})(?P<code>[^`\n]+)(?P=tick)
    | !?\[(?P<label>[^\[\]\n]*)\]\((?P<target>[^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)?)\)
    | <(?P<auto>https?://[^<>\s]+)>
    | (?P<url>https?://[^\s*<>()\[\]`~\\]+)
    | \\(?P<escaped>[!-/:-@\[-`{-~])
    | (?P<mark>\*+|_+|~~)""",
    re.VERBOSE,
)


def plain(markdown: str) -> str:
    """Read markdown as text, for where markdown is refused: marks go, content and link targets stay."""
    lines: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        match = _FENCE.fullmatch(line)
        if match and not fence:
            fence = match[1]
        elif match and fence[0] == match[1][0] and len(match[1]) >= len(fence) and not match[2].strip():
            fence = ""
        elif fence:
            lines.append(line)
        elif _RULE.fullmatch(line):
            lines.append("")
        else:
            quote = _QUOTE.match(line)
            line = line[quote.end() :] if quote else line  # noqa: PLW2901
            heading = _HEADING.match(line)
            lines.append(_inline(line[heading.end() :] if heading else line))
    text = "\n".join(lines)
    return text if text.strip() else markdown


def _inline(line: str) -> str:
    """Take the marks out of one line. A mark goes only together with its partner."""
    out: list[str] = []
    openers: dict[str, int] = {}  # mark -> its place in `out`
    at = 0
    for match in _INLINE.finditer(line):
        out.append(line[at : match.start()])
        at = match.end()
        kind = match.lastgroup
        if kind == "mark" and len(match[0]) <= 3:
            mark = match[0]
            before, behind = line[match.start() - 1 : match.start()], line[at : at + 1]
            begun = openers.get(mark)
            if begun is not None and before.strip() and not _is_word(behind):
                out[begun] = ""
                openers = {other: place for other, place in openers.items() if place < begun}
                continue
            if behind.strip() and not _is_word(before):
                openers[mark] = len(out)
            out.append(mark)
        elif kind == "target":
            out.append(_link(match))
        else:
            out.append(match[kind] if kind in {"code", "auto", "url", "escaped"} else match[0])
    out.append(line[at:])
    return "".join(out)


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


_MARKS: Final = re.compile(
    r"""(?P<url>https?://[^\s*<>()\[\]`~\\]+)
    | (?P<word>(?<=[A-Za-z0-9])_+(?=[A-Za-z0-9]))
    | (?P<mark>[*_`~<>\[\]] | \\(?=[!-/:-@\[-`{-~]) | ^[^\S\n]{0,3}\#(?=\#{0,5}\s)
        | ^[^\S\n]*(?:-(?=(?:[^\S\n]*-)*[^\S\n]*$) | =(?==*[^\S\n]*$)))""",
    re.VERBOSE | re.MULTILINE,
)


def literal(text: str) -> str:
    """Write a text so that markdown shows it as it stands, for where there must be markdown; :func:`plain` undoes it.

    Links and the underscores inside words mean nothing anyway, and stay as they are.
    """
    return _MARKS.sub(lambda m: m[0] if m.lastgroup != "mark" else f"{m[0][:-1]}\\{m[0][-1]}", text)


def _link(match: re.Match[str]) -> str:
    image = match[0].startswith("!")
    label = _SIZE.sub("", match["label"]) if image else _inline(match["label"])
    target = match["target"]
    if not label.strip() or label == target:
        return target
    return f"{label} ({target})" if target else label
