"""A way to the operator that is not QQ; the webhook and everything that apprise knows are in `buoy.faces.channels`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class ChannelError(Exception):
    """It was not told. The text is one line for people, without the secrets of the channel's address."""


class Channel(Protocol):
    """One address. ``name`` tells it from the others and holds nothing secret."""

    @property
    def name(self) -> str:
        """For status, logs and the notice's row."""

    async def tell(self, title: str, text: str, data: Mapping[str, Any]) -> None:
        """Deliver once. ``data`` is the same for programs: kind, rule, subject, since, at.

        Raises:
            ChannelError: it did not arrive, or nobody knows. Cancellation propagates at once.
        """
