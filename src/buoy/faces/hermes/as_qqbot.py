"""The opt-in entry point that takes the name of Hermes' own adapter, `qqbot`, and with it its sessions and targets."""

from __future__ import annotations

from typing import Any


def register(ctx: Any) -> None:
    """Offer the platform to Hermes under the name of the builtin adapter, which then is not used."""
    from buoy.faces.hermes import registration  # noqa: PLC0415  every `hermes` command imports this module

    registration.offer(ctx, "qqbot")
