"""What a Hermes home says of Hermes' own QQ adapter, and how the plugin is told the same. Pure.

Hermes' adapter is told by ``platforms.qqbot`` of config.yaml (also ``gateway.platforms.qqbot`` and a table ``qqbot``)
and by variables, which are stronger: ``QQ_APP_ID`` or ``QQ_CLIENT_SECRET`` in the environment switch it on whatever
config.yaml says. So these are not copied but renamed, to ``QQBOT_APP_ID`` and ``QQBOT_CLIENT_SECRET``, which only the
plugin reads. (hermes-agent 0.13.0 and 0.19.0: gateway/config.py, gateway/authz_mixin.py, platforms/qqbot/adapter.py.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from buoy.errors import ConfigError
from buoy.faces.hermes_home import env_text
from buoy.faces.hermes_home.env_text import Off, Rename, Set
from buoy.faces.hermes_home.yaml_text import look

NAME: Final = "buoy"
"""The platform, and the plugin's entry point."""
BUILTIN: Final = "qqbot"
DROP_IN: Final = "buoy-qqbot"
"""The entry point of the plugin that takes the builtin's name."""
CREDENTIALS: Final = {
    "app_id": ("QQ_APP_ID", "QQBOT_APP_ID"),
    "client_secret": ("QQ_CLIENT_SECRET", "QQBOT_CLIENT_SECRET"),
}
"""What both read, and what only the plugin reads."""
ACCESS: Final = {"QQ_ALLOWED_USERS": "BUOY_ALLOWED_USERS", "QQ_ALLOW_ALL_USERS": "BUOY_ALLOW_ALL_USERS"}
HOMES: Final = ("QQBOT_HOME_CHANNEL", "QQ_HOME_CHANNEL")
HOME: Final = "BUOY_HOME_CHANNEL"
POLICIES: Final = ("dm_policy", "group_policy")
PEOPLE: Final = ("allow_from", "allowFrom")
GROUPS: Final = ("group_allow_from", "groupAllowFrom")
PLACEHOLDERS: Final = ("your", "<", "xxx", "changeme", "replace", "example", "${", "***", "...", "todo")
"""How values begin that examples have where a person has to write one."""
SHARED: Final = (  # what Hermes itself reads of any platform
    *("allow_admin_from", "user_allowed_commands", "group_allow_admin_from", "group_user_allowed_commands"),
    *("channel_prompts", "gateway_restart_notification", "typing_indicator", "unauthorized_dm_behavior"),
    *("notice_delivery", "reply_prefix"),
)


@dataclass(frozen=True, slots=True)
class Home:
    """The texts of a Hermes home. Empty: there is no such file."""

    config: str = ""
    env: str = ""
    jobs: str = ""
    directory: Mapping[str, str] = field(default_factory=dict)
    """Chats that Hermes knows under ``qqbot``, by id: ``dm`` or ``group``."""
    paired: bool = False
    """People were let in by pairing, under ``qqbot`` and not yet under our name."""
    webhooks: str = ""


class Told:
    """What the home says of Hermes' own adapter, the stronger word first."""

    def __init__(self, home: Home, data: Any, environ: Mapping[str, str]) -> None:
        self.home, self.data, self.environ = home, data, environ
        self.env = env_text.load(home.env)
        blocks = [look(data, path) for path in ((BUILTIN,), ("platforms", BUILTIN), ("gateway", "platforms", BUILTIN))]
        self.blocks = [block for block in blocks if isinstance(block, dict)]
        self.extras = [block["extra"] for block in self.blocks if isinstance(block.get("extra"), dict)]

    @property
    def has_builtin(self) -> bool:
        """Hermes' own adapter is configured in some way."""
        return bool(self.blocks) or any(name in self.env for name, _ in CREDENTIALS.values())

    def setting(self, *names: str) -> Any:
        """A setting of the platform: Hermes takes it beside ``extra`` and within."""
        for table in (*self.blocks, *self.extras):
            for name in names:
                if table.get(name) not in (None, "", []):
                    return table[name]
        return None

    def chat(self, ident: str) -> str:
        """Name a chat as the plugin does: Hermes' own adapter calls all of them by the id alone."""
        if ident.startswith(("group-", "channel-", "dm-", "group:", "channel:", "dm:")) or not ident:
            return ident
        kind = self.home.directory.get(ident)
        if ident.isdecimal():
            return f"dm-{ident}" if kind == "dm" else f"channel-{ident}"
        return f"group-{ident}" if kind == "group" else ident


@dataclass(slots=True)
class Taken:
    """What was taken over so far."""

    env: list[env_text.Change] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """Of platforms.buoy in config.yaml."""
    says: list[str] = field(default_factory=list)
    warns: list[str] = field(default_factory=list)


def credentials(told: Told, given: Mapping[str, str | None]) -> tuple[Taken, dict[str, str]]:
    """Take AppID and secret over; both are returned as well.

    Raises:
        ConfigError: one is missing, is a placeholder, or contradicts another.
    """
    taken, account = Taken(), {}
    own = look(told.data, ("platforms", NAME, "extra"))
    for key in CREDENTIALS:
        account[key] = _credential(told, taken, key, given[key], own if isinstance(own, dict) else {})
    complete(account)
    renamed = " and ".join(f"{one.old} is now {one.new}" for one in taken.env if isinstance(one, Rename))
    parts = [f"in .env {renamed} (with the old name Hermes would switch its own adapter on)"] if renamed else []
    if new := " and ".join(one.name for one in taken.env if isinstance(one, Set)):
        parts.append(f".env has {new}")
    if copied := " and ".join(key for key in CREDENTIALS if key in taken.extra):
        parts.append(f"{copied} stand in config.yaml under platforms.{NAME}")
    where = "; ".join(parts) or "they are where it reads them"
    taken.says.append(f"AppID {account['app_id']} and its secret are the plugin's: {where}")
    taken.warns += [
        f"{name} is set in the environment of this command: where the gateway is started with it, Hermes switches its "
        f"own adapter on as well; take it out there (systemd unit, shell profile, compose file) or call it {ours}"
        for name, ours in CREDENTIALS.values()
        if told.environ.get(name) and name not in told.env
    ]
    return taken, account


def complete(account: Mapping[str, str]) -> None:
    """See that there is something to connect with.

    Raises:
        ConfigError: there is not.
    """
    missing = [word for key, word in (("app_id", "AppID"), ("client_secret", "AppSecret")) if not account[key]]
    if missing:
        raise ConfigError(
            f"there is no {' and no '.join(missing)} in this Hermes home: name the bot with --app-id ID --secret - "
            "(the "
            "AppSecret from standard input), or put QQBOT_APP_ID and QQBOT_CLIENT_SECRET into its .env"
        )
    for key, value in account.items():
        if is_placeholder(value):
            raise ConfigError(f"the {key} in this Hermes home is a placeholder: write the one of q.qq.com there")


def is_placeholder(value: str) -> bool:
    """What examples have where a value belongs."""
    return value.strip().lower().startswith(PLACEHOLDERS)


def access(told: Told, taken: Taken) -> bool:
    """Take over who may write; true where somebody is let in.

    People stand in BUOY_ALLOWED_USERS, where Hermes looks. Policies and groups stand in config.yaml, where the plugin
    does: to Hermes a plugin's groups are as good as any other chat.
    """
    for old, new in ACCESS.items():
        if old in told.env and new not in told.env:
            taken.env.append(Rename(old, new))
            taken.says.append(f"in .env {old} is now {new}")
        elif told.environ.get(old) and old not in told.env and not told.environ.get(new):
            taken.warns.append(f"{old} is set in the environment of this command, not in .env: set {new} there as well")
    if told.has_builtin:
        for name in POLICIES:  # Hermes' adapter takes `pairing` where nothing is said
            taken.extra[name] = str(told.setting(name) or "pairing").strip().lower()
    people, groups = (_list(told.setting(*names)) for names in (PEOPLE, GROUPS))
    groups = _list(told.env.get("QQ_GROUP_ALLOWED_USERS")) or groups
    if groups:
        taken.extra["group_allow_from"] = groups
    if groups and taken.extra.get("group_policy") == "allowlist":
        taken.says.append(
            f"everybody in the groups {', '.join(groups)} may write, as before; Hermes 0.13 takes no plugin's word for "
            "that: there, name the people in BUOY_ALLOWED_USERS as well"
        )
    known = {*ACCESS, *ACCESS.values()} & told.env.keys()
    if people and taken.extra.get("dm_policy") == "allowlist" and not known:
        taken.env.append(Set(ACCESS["QQ_ALLOWED_USERS"], ",".join(people)))
        taken.says.append("allow_from of config.yaml stands in .env as BUOY_ALLOWED_USERS")
    policy = taken.extra.get("group_policy")
    if policy in {"pairing", "disabled"}:
        taken.says.append(
            f"groups are not answered, as before: group_policy is {policy}; `open` or `allowlist` changes it"
        )
    after = env_text.load(env_text.change(told.home.env, taken.env))
    lists = after.get("BUOY_ALLOWED_USERS"), after.get("GATEWAY_ALLOWED_USERS")
    switches = after.get("BUOY_ALLOW_ALL_USERS", ""), after.get("GATEWAY_ALLOW_ALL_USERS", "")
    return any(lists) or any(word.lower() in {"true", "1", "yes"} for word in switches)


def home_channel(told: Told, taken: Taken) -> str:
    """Take the home channel over, by the name that the plugin gives to the chat; empty: there is none."""
    if HOME in told.env:
        return told.env[HOME]
    name = next((name for name in HOMES if name in told.env), "")
    table = told.setting("home_channel")
    old = told.env.get(name) or (str(table.get("chat_id") or "") if isinstance(table, dict) else "")
    if not old:
        taken.warns.append(
            "there is no home channel: cron output without a chat has nowhere to go; write /sethome to the bot, or "
            f"set {HOME} in .env"
        )
        return ""
    new = told.chat(old)
    taken.env.append(Rename(name, HOME, None if new == old else new) if name else Set(HOME, new))
    taken.says.append(f"the home channel is {new} ({HOME})")
    if not old.isdecimal() and old not in told.home.directory:
        taken.warns.append(f"the home channel {old} is taken for a private chat; if it is a group, write group-{old}")
    return new


def shared(told: Told, taken: Taken) -> None:
    """Take over what Hermes itself reads of any platform."""
    for name in SHARED:
        value = told.setting(name)
        if name == "channel_prompts" and isinstance(value, dict):
            value = {told.chat(str(chat)): prompt for chat, prompt in value.items()}
        if value is not None:
            taken.extra[name] = value


def _credential(told: Told, taken: Taken, key: str, given: str | None, own: Mapping[str, Any]) -> str:
    """Take one over: each stands in one place, as the plugin reads config.yaml first, and Hermes' adapter .env."""
    theirs, ours = CREDENTIALS[key]
    old, new = told.env.get(theirs), told.env.get(ours)
    if old and new and old != new and not given and not own.get(key):
        raise ConfigError(f".env has {theirs} and {ours}, and they differ: remove the one that is not to be used")
    if old:
        taken.env.append(Off(theirs) if given or new or own.get(key) else Rename(theirs, ours))
    if given:
        taken.env.append(Set(ours, given))
        return given
    if kept := own.get(key) or new or old:
        return str(kept)
    told_there = told.setting(key)
    if told_there is not None:
        taken.extra[key] = str(told_there).strip()
        return str(told_there).strip()
    if told.environ.get(theirs) and not told.environ.get(ours):
        raise ConfigError(
            f"{theirs} stands in the environment only, not in this Hermes home, and wherever Hermes sees it, it "
            "switches "
            f"its own adapter on: call it {ours} where it is set (systemd unit, shell profile, compose file), then "
            "again; or keep the name qqbot with --as-qqbot"
        )
    return str(told.environ.get(ours) or "")


def _list(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return [str(part).strip() for part in parts if str(part).strip()]
