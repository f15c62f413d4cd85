"""Whose click on an approval Hermes' own lists let through: a program for the Python of a Hermes environment.

Prints a JSON list: for a stranger and for somebody on the list, each in a group and in a private chat, and for the
stranger in a group that is on the platform's list of groups.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from buoy.chat import Sender
from buoy.faces.hermes import registration

GROUPS: dict[str, Any] = {"group_policy": "allowlist", "group_allow_from": ["G"]}
ASKED: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({}, "group", "X"),
    ({}, "c2c", "X"),
    ({}, "group", "U"),
    ({}, "c2c", "U"),
    (GROUPS, "group", "X"),
)


class Context:
    """Takes a platform as Hermes' plugin context does."""

    def register_platform(self, **told: Any) -> None:
        from gateway.platform_registry import PlatformEntry, platform_registry  # noqa: PLC0415  Hermes' own

        platform_registry.register(PlatformEntry(source="plugin", **told))


async def main() -> None:
    """Ask an adapter that was wired as Hermes wires it."""
    from gateway.config import GatewayConfig, PlatformConfig  # noqa: PLC0415  Hermes' own
    from gateway.run import GatewayRunner  # noqa: PLC0415

    os.environ["BUOY_ALLOWED_USERS"] = "U"
    os.environ.pop("BUOY_ALLOW_ALL_USERS", None)
    registration.offer(Context(), "buoy")
    from buoy.faces.hermes.adapter import Adapter  # noqa: PLC0415  its platform has to be known

    runner, said = GatewayRunner(GatewayConfig()), []
    for extra, scene, user in ASKED:
        account = {"app_id": "1", "client_secret": "s"}
        adapter = Adapter(PlatformConfig(enabled=True, extra=account | extra), "buoy")
        adapter.set_message_handler(runner._handle_message)
        said.append(adapter._is_allowed(scene, "G" if scene == "group" else user, Sender(user, "")))
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main())
