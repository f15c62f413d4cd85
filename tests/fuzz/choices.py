"""A row of bytes read as decisions: the one source of chance of every fuzzer here.

Hypothesis draws the bytes (and shrinks them), a coverage-guided fuzzer bends them, a file repeats them. Where the
bytes end every decision is the first one, which always means "no more": less bytes, a simpler input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Choices:
    """Decisions, in the order of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_spent(self) -> bool:
        """Nothing is left to decide with."""
        return self._at >= len(self._data)

    def below(self, count: int) -> int:
        """A number from 0 up to ``count``, without it."""
        if count <= 1:
            return 0
        width = 1 if count <= 256 else 3
        taken, self._at = self._data[self._at : self._at + width], self._at + width
        return int.from_bytes(taken, "big") % count

    def pick(self, many: Sequence[T]) -> T:
        """One of them."""
        return many[self.below(len(many))]

    def chance(self, one_in: int) -> bool:
        """Yes once in so many times; no when the bytes have ended."""
        return self.below(one_in) == one_in - 1

    def rest(self) -> bytes:
        """The bytes that nothing was decided with yet."""
        left, self._at = self._data[self._at :], len(self._data)
        return left
