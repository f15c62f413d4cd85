"""Tells, as JSON on the last line, what the Python that runs it knows of Hermes. Run by that Python, not imported.

Standard library only, and Hermes itself: Buoy need not be there. Arguments: the Hermes home, then ``config`` where the
gateway's configuration is to be read as well. Secrets are not told.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import os
import sys
from importlib import metadata
from typing import Any

GROUP = "hermes_agent.plugins"


def version(name: str) -> str | None:
    """The version of a package; None: it is not here."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def platforms() -> dict[str, Any]:
    """The QQ platforms as the gateway would start them."""
    importlib.import_module("hermes_cli.env_loader").load_hermes_dotenv(hermes_home=os.environ["HERMES_HOME"])
    config = importlib.import_module("gateway.config").load_gateway_config()
    connected = {str(getattr(one, "value", one)) for one in config.get_connected_platforms()}
    told = {}
    for platform, one in config.platforms.items():
        name = str(getattr(platform, "value", platform))
        extra = dict(one.extra or {})
        home = one.home_channel
        told[name] = {
            "enabled": bool(one.enabled),
            "complete": name in connected,
            "app_id": str(extra.get("app_id") or ""),
            "has_secret": bool(extra.get("client_secret")),
            "home": None if home is None else str(home.chat_id),
            "data_dir": str(extra.get("data_dir") or ""),
            "group_policy": str(extra.get("group_policy") or ""),
        }
    return {name: one for name, one in told.items() if name in {"qqbot", "buoy"}}


def adapter() -> str | None:
    """The module of the plugin that has taken the builtin's name, if one has."""
    registry = importlib.import_module("gateway.platform_registry").platform_registry
    entry = registry.get("qqbot")
    return None if entry is None else str(getattr(entry.adapter_factory, "__module__", ""))


def counts(name: str, value: str) -> bool:
    """Whether a variable concerns us and says something: a switch that is off says nothing."""
    if name.endswith("_ALLOW_ALL_USERS") and value.strip().lower() not in {"true", "1", "yes"}:
        return False
    return name.startswith(("QQ_", "QQBOT_", "BUOY_", "GATEWAY_A")) and bool(value.strip())


def main(home: str, what: str) -> None:
    """Look, and print."""
    os.environ["HERMES_HOME"] = home
    told: dict[str, Any] = {
        "python": sys.executable,
        "prefix": sys.prefix,
        "hermes": version("hermes-agent"),
        "buoy": version("buoy-qq"),
        "entry_points": sorted(one.name for one in metadata.entry_points(group=GROUP) if one.value.startswith("buoy.")),
        "has_pip": importlib.util.find_spec("pip") is not None,
        "platforms": {},
        "taken": None,
        "error": None,
    }
    if what == "config" and told["hermes"]:
        noise = io.StringIO()
        try:
            with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                told["platforms"] = platforms()
                told["taken"] = adapter()
        except Exception as error:  # noqa: BLE001  whatever Hermes raises is the answer
            told["error"] = f"{type(error).__name__}: {error}"
        told["environment"] = sorted(name for name, value in os.environ.items() if counts(name, value))
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
