"""Where an answer that still grows may be cut, and where another run of it goes on. Pure.

An answer leaves in a few parts, each cut where a reader sees no seam: behind a paragraph, else behind a sentence,
never inside of a code block, a table or behind a heading. What an earlier run delivered is known by its letters and
digits alone: the platform may have worded marks, blanks and addresses anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_TEXT: Final = 240  # ours: characters of the first part; a screen of a phone holds about 400
GROWTH: Final = 3  # ours: each further part may take so many times as much, so that few are enough
FIRST_S: Final = 8.0  # ours: what a reader waits patiently for a first word
LEAST_TEXT: Final = 40  # ours: less is not worth a message, however old
STEPS: Final = 64  # ours: a text without a place is looked at again when it has grown by such a share, not each time
LEAST_SEAM: Final = 24  # ours: letters and digits that agree by chance are fewer

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_LATIN: Final = r"(?<!\d)[.!?…]+[\"'”’)\]*_]*(?=\s)"  # noqa: RUF001
_WIDE: Final = r"[。！？…]+[”’』」）】*_]*(?=[^。！？…”’』」）】*_])"  # noqa: RUF001
_SENTENCE: Final = re.compile(f"{_LATIN}|{_WIDE}")
_LEADS_ON: Final = re.compile(r"\s{0,3}#|.*[:：]\s*$")  # noqa: RUF001


def cut(text: str, least: int) -> int:
    """Give the end of a part with which ``text`` may begin, at ``least`` or behind it; 0: nowhere yet.

    A place at the very end of the text is none: what comes next decides whether a sentence has ended there.
    """
    paragraph = sentence = at = 0
    fence = before = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""
        elif not fence and not line.strip():
            if at >= least and line.endswith("\n") and not _LEADS_ON.match(before):
                paragraph = at
        elif not fence and not line.lstrip().startswith("|") and not _LEADS_ON.match(line):
            places = [at + found.end() for found in _SENTENCE.finditer(line)]
            sentence = next((place for place in reversed(places) if place >= least), sentence)
        if line.strip():
            before = line
        at += len(line)
    return paragraph or sentence


def whole(text: str) -> int:
    """Give the end of the last whole sentence or line: what stands behind it is not worth going on from."""
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    return max(text.rfind("\n") + 1, *ends[-1:], 0)


class Parts:
    """One answer as it comes in, and what of it has left. ``most``: parts of the whole answer, of earlier runs too."""

    def __init__(self, delivered: Sequence[str], most: int) -> None:
        self._said = "\n\n".join(delivered)
        self._early = max(0, most - 1 - len(delivered))
        self._text = ""
        self._blanks = ""
        self._looked = 0  # no place is looked for before the text is longer than this
        self._left_at = 0.0
        self._least = FIRST_TEXT * GROWTH ** len(delivered)
        self._patience_s = FIRST_S * GROWTH ** len(delivered)
        self._seam = Seam(self._said)

    @property
    def so_far(self) -> str:
        """What the answer begins with, whether it has left or not."""
        return self._said + self._text

    def feed(self, piece: str, elapsed_s: float) -> str:
        """Take what came ``elapsed_s`` after the answer was asked for; gives the part that leaves now, or nothing."""
        self._take(self._seam.feed(piece))
        if not self._early:
            return ""
        is_old = elapsed_s - self._left_at >= self._patience_s
        least = LEAST_TEXT if is_old else self._least
        end = cut(self._text, least) if len(self._text) > max(least, self._looked) else 0
        if not end:
            if len(self._text) > max(least, self._looked):
                self._looked = len(self._text) + len(self._text) // STEPS
            return ""
        self._looked = 0
        part, self._text = self._text[:end], self._text[end:]
        self._said += part
        self._early -= 1
        self._left_at, self._least, self._patience_s = elapsed_s, self._least * GROWTH, self._patience_s * GROWTH
        return part.strip()

    def broke(self) -> None:
        """The stream broke: the next one goes on behind :attr:`so_far`, which ends with a whole sentence now."""
        self._take(self._seam.end())
        kept = self._text[: whole(self._text)].rstrip()
        dropped = self._text[len(kept) :]
        self._text, self._blanks = kept, dropped[: len(dropped) - len(dropped.lstrip())]
        self._seam = Seam(self.so_far)
        self._looked = 0

    def rest(self) -> str:
        """The stream has ended: the last part."""
        self._take(self._seam.end())
        return self._text.strip()

    def _take(self, new: str) -> None:
        """Add to the text. Blanks that stood where the stream broke come back, unless the new one has its own."""
        if new:
            self._text += new if new[0].isspace() else self._blanks + new
            self._blanks = ""


class Seam:
    """Drops from the head of a continuation what was said already: all of it again, or its last words.

    What comes in is held back until it differs from everything that was said; what is handed on is never taken back.
    """

    def __init__(self, said: str) -> None:
        self._said = _marks(said)
        self._tail = "".join(re.split(r"\w", said)[-1].split())
        self._held = self._held_marks = ""
        self._is_open = not self._said

    def feed(self, piece: str) -> str:
        """Take a piece; gives what is surely new."""
        if self._is_open:
            return piece
        self._held += piece
        self._held_marks += _marks(piece)
        return "" if self._held_marks in self._said else self.end()

    def end(self) -> str:
        """Nothing more decides: gives what is new of what was held back."""
        held, self._held, self._is_open = self._held, "", True
        return held[self._repeated(held) :]

    def _repeated(self, text: str) -> int:
        """Give how much of the head of ``text`` was said already."""
        said, new = self._said, _marks(text)
        same = next((n for n, (one, other) in enumerate(zip(said, new, strict=False)) if one != other), None)
        same = min(len(said), len(new)) if same is None else same
        if same and same >= min(LEAST_SEAM, len(said)):  # it started again
            end = _behind(text, same)
            if same == len(said):
                return self._past_tail(text, end)
            return len(text) if same == len(new) else whole(text[:end])
        for count in range(min(len(said), len(new)), LEAST_SEAM - 1, -1):
            if said.endswith(new[:count]):
                return self._past_tail(text, _behind(text, count))
        return 0

    def _past_tail(self, text: str, at: int) -> int:
        """Give the place behind the marks with which what was said ended, where they are there again."""
        for mark in self._tail:
            next_at = at + len(text[at:]) - len(text[at:].lstrip())
            if text[next_at : next_at + 1] != mark:
                break
            at = next_at + 1
        return at


class Repeats:
    """Knows parts that an earlier run delivered, as long as they come again from the first one on."""

    def __init__(self, delivered: Sequence[str]) -> None:
        self._left = _marks("".join(delivered))
        self._bare = ["".join(part.split()) for part in delivered if not _marks(part)]

    def has(self, part: str) -> bool:
        """Say whether this part, which comes next, was delivered."""
        marks = _marks(part)
        if not marks:  # a lone emoji: one of those that were delivered, or a piece of what was
            bare = "".join(part.split())
            if bare in self._bare:
                self._bare.remove(bare)
                return True
            return bool(self._left)
        if not self._left.startswith(marks):
            self._left = ""
            self._bare.clear()
            return False
        self._left = self._left[len(marks) :]
        return True


def _marks(text: str) -> str:
    """Give the letters and digits of a text."""
    return "".join(filter(str.isalnum, text))


def _behind(text: str, count: int) -> int:
    """Give the place behind the first ``count`` letters and digits."""
    for at, mark in enumerate(text, 1):
        count -= mark.isalnum()
        if not count:
            return at
    return len(text)
