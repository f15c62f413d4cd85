"""How the platform presents itself to Hermes. Light: every `hermes` command comes here."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from buoy.faces.hermes import account

HINT = (
    "You are on QQ, China's instant messenger. Answer in the user's language, mostly Chinese. Markdown works "
    "(headings, bold, lists, quotes, links); tables and fenced code may be shown as plain text. A message can be "
    "answered a few times only, so put everything into one answer."
)


def offer(ctx: Any, name: str) -> None:
    """Register the platform with whatever this version of Hermes knows of a platform."""
    from gateway.platform_registry import PlatformEntry  # noqa: PLC0415  Hermes' own

    known = {item.name for item in fields(PlatformEntry)} if is_dataclass(PlatformEntry) else set()
    more = {
        "is_connected": _is_configured,
        "allowed_users_env": account.ALLOWED_USERS,
        "allow_all_env": account.ALLOW_ALL,
        "platform_hint": HINT,
        "emoji": "🛟",
        "env_enablement_fn": lambda: account.of_environment(os.environ),
        "cron_deliver_env_var": account.HOME,
        "standalone_sender_fn": _send_alone,
        "allow_update_command": True,
    }
    ctx.register_platform(
        name=name,
        label="QQ (Buoy)" if name == "buoy" else "QQ (Buoy as qqbot)",
        adapter_factory=lambda config: _adapter(config, name),
        check_fn=lambda: True,  # what it needs was installed with it
        validate_config=_is_configured,
        required_env=["QQBOT_APP_ID", "QQBOT_CLIENT_SECRET"],
        install_hint="pip install buoy-qq",
        **{key: value for key, value in more.items() if key in known},
    )


def account_of(config: Any) -> account.Account:
    """Read the account of a `PlatformConfig`."""
    return account.read(getattr(config, "extra", None) or {}, os.environ, home())


def home() -> Path:
    """The Hermes home that this process works in."""
    try:
        from hermes_constants import get_hermes_home  # noqa: PLC0415  Hermes' own
    except ImportError:
        return Path(os.environ.get("HERMES_HOME") or Path.home() / ".hermes")
    return Path(get_hermes_home())


def _is_configured(config: Any) -> bool:
    return account_of(config).is_complete


def _adapter(config: Any, name: str) -> Any:
    from buoy.faces.hermes.adapter import Adapter  # noqa: PLC0415  only a gateway needs it

    return Adapter(config, name)


async def _send_alone(
    pconfig: Any,
    chat_id: str,
    message: str,
    *,
    thread_id: str | None = None,
    media_files: list[Any] | None = None,
    force_document: bool = False,
) -> dict[str, Any]:
    """Send without a gateway in this process: for cron and `hermes send`."""
    del thread_id, force_document
    from buoy.faces.hermes import standalone  # noqa: PLC0415  only who sends needs it

    return await standalone.send(account_of(pconfig), chat_id, message, media_files or [])
