"""The entry point of the plugin: the platform `buoy`."""

from __future__ import annotations

from typing import Any


def register(ctx: Any) -> None:
    """Offer the platform to Hermes."""
    from buoy.faces.hermes import registration  # noqa: PLC0415  every `hermes` command imports this module

    registration.offer(ctx, "buoy")
