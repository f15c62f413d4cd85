"""The health snapshot for everybody who asks at the same time: taken once, and not so often that it costs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

AGE_S: Final = 0.25  # what is asked within this time gets the same one
SHARE: Final = 20  # and snapshots take no more than one part in so many of the loop's time

_PASSING: Final = frozenset({"at", "oldest", "disk", "loop"})


class Snapshots:
    """``take`` makes one; ``clock`` is monotonic."""

    def __init__(self, take: Callable[[], Any], clock: Callable[[], float]) -> None:
        self._take = take
        self._clock = clock
        self._plain: dict[str, Any] = {}
        self._good_until = float("-inf")
        self.cost_s = 0.0
        """How long the last one took."""

    def plain(self) -> dict[str, Any]:
        """Give a snapshot as plain data, fresh enough for a person.

        Raises:
            StoreError: the database cannot be read.
        """
        now = self._clock()
        if now >= self._good_until:
            self._plain = msgspec.to_builtins(self._take())
            taken_at = self._clock()
            self.cost_s = taken_at - now
            self._good_until = taken_at + max(AGE_S, SHARE * self.cost_s)
        return self._plain


def material(value: Any) -> Any:
    """Leave out what changes by itself with time: two snapshots that differ in nothing else are no news."""
    if isinstance(value, dict):
        return {
            name: material(one) for name, one in value.items() if name not in _PASSING and not str(name).endswith("_s")
        }
    return [material(one) for one in value] if isinstance(value, list) else value
