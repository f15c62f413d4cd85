"""What the plugin is told in Hermes' configuration, and what a chat is called there. Pure.

Standard library only: it is read by every `hermes` command.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOWED_USERS: Final = "BUOY_ALLOWED_USERS"
ALLOW_ALL: Final = "BUOY_ALLOW_ALL_USERS"
HOME: Final = "BUOY_HOME_CHANNEL"
# The names that only we read come first: QQ_APP_ID in the environment switches Hermes' own adapter on as well.
_NAMES: Final = {
    "app_id": ("QQBOT_APP_ID", "QQ_APP_ID"),
    "client_secret": ("QQBOT_CLIENT_SECRET", "QQ_CLIENT_SECRET"),
    "api_base": ("QQ_API_BASE",),
    "token_url": ("QQ_TOKEN_URL",),
}
_SCENES: Final = ("group", "channel", "dm")


@dataclass(frozen=True, slots=True)
class Account:
    """One bot as Hermes' configuration has it. What is wrong with it is said when it is used."""

    app_id: str
    client_secret: str = field(repr=False)
    data_dir: Path
    api_base: str | None = None
    token_url: str | None = None
    markdown: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Tables ``turns``, ``outbox``, ``retention`` of docs/settings.md."""

    def tables(self) -> dict[str, Any]:
        """The tables as their types.

        Raises:
            ConfigError: a key or a value cannot be.
        """
        import msgspec  # noqa: PLC0415  only a gateway needs it

        from buoy import settings  # noqa: PLC0415
        from buoy.errors import ConfigError  # noqa: PLC0415

        kinds = {"turns": settings.Turns, "outbox": settings.Outbox, "retention": settings.Retention}
        try:
            return {name: msgspec.convert(dict(table), kinds[name]) for name, table in self.settings.items()}
        except msgspec.ValidationError as error:
            raise ConfigError(f"platform buoy: extra: {error}; docs/settings.md lists what may stand there") from None

    @property
    def is_complete(self) -> bool:
        """There is something to connect with."""
        return bool(self.app_id and self.client_secret)


def read(extra: Mapping[str, Any], environ: Mapping[str, str], hermes_home: Path) -> Account:
    """Read the ``extra`` table of the platform; the environment fills in what it leaves out."""
    told = {key: str(extra.get(key) or "").strip() or _first(environ, names) for key, names in _NAMES.items()}
    folder = str(extra.get("data_dir") or "").strip()
    return Account(
        told["app_id"],
        told["client_secret"],
        Path(folder).expanduser() if folder else hermes_home / "buoy" / (told["app_id"] or "bot"),
        told["api_base"] or None,
        told["token_url"] or None,
        markdown=str(extra.get("markdown", True)).lower() not in {"false", "0", "no"},
        settings={name: extra[name] for name in ("turns", "outbox", "retention") if isinstance(extra.get(name), dict)},
    )


def of_environment(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """What the environment configures, as Hermes wants it: the platform's ``extra``; None: nothing.

    It may be the home channel alone, of a bot whose credentials stand in the file.
    """
    found = {key: _first(environ, _NAMES[key]) for key in ("app_id", "client_secret")}
    told: dict[str, Any] = dict(found) if all(found.values()) else {}
    if home := environ.get(HOME, "").strip():
        told["home_channel"] = {"chat_id": home, "name": "home"}
    return told or None


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := environ.get(name, "").strip())), "")


# --- chats ----------------------------------------------------------------------------------------------------


def chat_of(scene: str, ident: str) -> str:
    """Name a conversation for Hermes: the openid alone in private chats, as its own adapter does, else `group-ID`.

    A colon would end the id in Hermes' targets and session keys.
    """
    return ident if scene == "c2c" else f"{scene}-{ident}"


def place_of(chat: str) -> tuple[str, str]:
    """Read a chat as Hermes, or a person, names it: scene and id.

    ``ID``, ``group-ID``, ``group:ID`` and ``qq:group:ID`` are understood.
    """
    rest = chat.strip().removeprefix("qq:")
    for scene in (*_SCENES, "c2c"):
        for mark in "-:":
            if rest.startswith(scene + mark):
                return scene, rest[len(scene) + 1 :]
    return "c2c", rest


def target_of(chat: str) -> str:
    """Give the target of a chat as Buoy writes it."""
    scene, ident = place_of(chat)
    return f"qq:{scene}:{ident}"


def kind_of(scene: str) -> str:
    """Hermes' word for a scene."""
    return {"c2c": "dm", "dm": "dm", "group": "group"}.get(scene, "channel")
