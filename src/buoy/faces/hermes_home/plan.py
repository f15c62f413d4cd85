"""What has to change in a Hermes home so that the plugin takes the place of Hermes' own QQ adapter. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from buoy.errors import ConfigError
from buoy.faces.hermes_home import cron_jobs, env_text, taking, yaml_text
from buoy.faces.hermes_home.cron_jobs import Move
from buoy.faces.hermes_home.env_text import Rename, Set
from buoy.faces.hermes_home.taking import BUILTIN, CREDENTIALS, DROP_IN, HOMES, NAME, Home, Taken, Told
from buoy.faces.hermes_home.yaml_text import ABSENT, Add, Put, Remove, look

MEMORY: Final = (
    f"Hermes keeps conversations by platform name: under {NAME} each chat begins anew, and what the agent remembers "
    "of it "
    f"under {BUILTIN} stays stored there. To go on with it, install with --as-qqbot instead"
)
OWN_PATHS: Final = (
    f"Hermes sends to the name {BUILTIN} by code of its own (`hermes send --to {BUILTIN}`, the send_message tool): "
    "write "
    f"{NAME} there from now on"
)
NOBODY: Final = (
    "nobody is let in yet: whoever writes to the bot gets a pairing code, which `hermes pairing approve` takes; or "
    "name "
    "them in BUOY_ALLOWED_USERS, or let everybody in with BUOY_ALLOW_ALL_USERS=true (both in .env)"
)
KEPT: Final = (
    "credentials, lists of who may write, private chats with what the agent remembers of them, cron jobs and "
    "targets stay "
    "as they are; groups begin anew, as the plugin calls them group-ID"
)
WITHOUT_US: Final = (
    f"what Hermes sends without its gateway (`hermes send --to {BUILTIN}`, the send_message tool, cron where the "
    "gateway "
    "cannot be used) goes on by its own code straight to QQ: nothing stores it, nothing tries again"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asked for."""

    as_qqbot: bool = False
    app_id: str | None = None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes, and what to say about them."""

    config: tuple[yaml_text.Change, ...]
    env: tuple[env_text.Change, ...]
    jobs: tuple[Move, ...]
    pairs: bool
    """Copy the list of paired people."""
    app_id: str
    says: tuple[str, ...]
    warns: tuple[str, ...]


def plan(home: Home, wish: Wish, environ: Mapping[str, str]) -> Plan:
    """Decide what changes. ``environ`` is that of this command, in which the gateway may be started as well.

    Raises:
        ConfigError: there is nothing to connect with, or something contradicts itself; nothing can be changed then.
    """
    try:
        data = yaml_text.load(home.config)
    except yaml_text.EditError as error:
        raise ConfigError(f"config.yaml cannot be read: {error}; correct it first") from None
    enabled = look(data, ("plugins", "enabled"))
    there = [name for name in enabled if isinstance(name, str)] if isinstance(enabled, list) else []
    other = NAME if wish.as_qqbot else DROP_IN
    if other in there:
        raise ConfigError(
            f"the plugin is on as `{other}` already, and both together would answer twice; undo that first: buoy "
            "hermes uninstall"
        )
    told = Told(home, data, environ)
    return _drop_in(told, wish) if wish.as_qqbot else _own_name(told, wish)


def _own_name(told: Told, wish: Wish) -> Plan:
    taken, account = taking.credentials(told, {"app_id": wish.app_id, "client_secret": wish.secret})
    lets_in = taking.access(told, taken)
    channel = taking.home_channel(told, taken)
    taking.shared(told, taken)
    block: dict[str, Any] = {"enabled": True}
    if channel:
        block["home_channel"] = {"platform": NAME, "chat_id": channel, "name": "home"}
    if taken.extra:
        block["extra"] = taken.extra
    config = [*_switched_on(NAME), *_told(told, block), *_builtin_off(told)]
    if told.blocks:
        taken.says.append("Hermes' own qqbot adapter is off; its settings stay where they are")
    for path in (("platform_toolsets",), ("display", "platforms")):
        theirs = look(told.data, (*path, BUILTIN))
        if theirs is not ABSENT and look(told.data, (*path, NAME)) is ABSENT:
            config.append(Put((*path, NAME), theirs))
            taken.says.append(f"{'.'.join(path)}.{BUILTIN} holds for {NAME} as well")
    routes = look(told.data, ("platforms", "webhook", "extra", "routes"))
    for route, table in routes.items() if isinstance(routes, dict) else ():
        if isinstance(table, dict) and table.get("deliver") == BUILTIN:
            config.append(Put(("platforms", "webhook", "extra", "routes", route, "deliver"), NAME))
            taken.says.append(f"webhook route {route} delivers to {NAME}")
    if f'"{BUILTIN}"' in told.home.webhooks:
        taken.warns.append(f"webhook_subscriptions.json names {BUILTIN}: make those anew with --deliver {NAME}")
    jobs = _jobs(told, taken, NAME)
    if told.home.paired:
        taken.says.append(f"people who were paired under {BUILTIN} are let in under {NAME}, too")
    elif not lets_in:
        taken.warns.append(NOBODY)
    taken.says += [MEMORY, OWN_PATHS] if told.has_builtin else []
    return _plan(config, taken, jobs, account["app_id"], pairs=told.home.paired)


def _drop_in(told: Told, wish: Wish) -> Plan:
    """The plugin under the builtin's name: credentials, lists, private chats and targets are where they were."""
    taken = Taken()
    config = [*_switched_on(DROP_IN)]
    account = {}
    for key, given in (("app_id", wish.app_id), ("client_secret", wish.secret)):
        theirs, ours = CREDENTIALS[key]
        if given:
            taken.env.append(Set(theirs, given))
        elif not (theirs in told.env or told.setting(key)) and ours in told.env:
            taken.env.append(Rename(ours, theirs))
        known = given or told.env.get(theirs) or told.setting(key) or told.env.get(ours) or told.environ.get(theirs)
        account[key] = str(known or "")
    taking.complete(account)
    taken.says.append(f"the plugin takes the place of Hermes' own adapter as {BUILTIN}, with AppID {account['app_id']}")
    on = ((BUILTIN, "enabled"), ("platforms", BUILTIN, "enabled"))
    config += [Put(path, True) for path in on if look(told.data, path) is False]
    extra = ("platforms", BUILTIN, "extra")
    config += [Put((*extra, one), "pairing") for one in taking.POLICIES if told.setting(one) is None]  # its default
    name = next((name for name in HOMES if name in told.env), "")
    channel = told.chat(told.env.get(name, ""))
    if channel != told.env.get(name, ""):
        taken.env.append(Set(name, channel))
        taken.says.append(f"the home channel is {channel}: the plugin calls groups so")
    in_env = any(one in told.env or one in told.environ for one, _ in CREDENTIALS.values()) or taken.env
    if channel and not in_env and told.setting("home_channel") is None:
        block = {"platform": BUILTIN, "chat_id": channel, "name": "home"}
        config.append(Put(("platforms", BUILTIN, "home_channel"), block))
        taken.says.append(f"config.yaml has the home channel: Hermes overlooks {name} where .env has no QQ_APP_ID")
    jobs = _jobs(told, taken, BUILTIN)
    taken.says += [KEPT, WITHOUT_US]
    return _plan(config, taken, jobs, account["app_id"], pairs=False)


def _plan(config: list[yaml_text.Change], taken: Taken, jobs: list[Move], app_id: str, *, pairs: bool) -> Plan:
    return Plan(tuple(config), tuple(taken.env), tuple(jobs), pairs, app_id, tuple(taken.says), tuple(taken.warns))


def _switched_on(entry_point: str) -> Iterator[yaml_text.Change]:
    yield Add(("plugins", "enabled"), entry_point)
    yield Remove(("plugins", "disabled"), entry_point, keep=2)


def _told(told: Told, block: dict[str, Any]) -> Iterator[yaml_text.Change]:
    """Our platform: whole where it is new, else what is missing."""
    if not isinstance(look(told.data, ("platforms", NAME)), dict):
        yield Put(("platforms", NAME), block)
        return
    for path, value in _leaves(block):
        if path == ("enabled",) or look(told.data, ("platforms", NAME, *path)) is ABSENT:
            yield Put(("platforms", NAME, *path), value)


def _jobs(told: Told, taken: Taken, name: str) -> list[Move]:
    jobs = cron_jobs.moves(told.home.jobs, BUILTIN, name, told.chat) if told.home.jobs else []
    taken.says += [f"cron job {one.name or one.job}: {'.'.join(one.path)} {one.old} -> {one.new}" for one in jobs]
    return jobs


def _builtin_off(told: Told) -> Iterator[yaml_text.Change]:
    if told.blocks:
        yield Put(("platforms", BUILTIN, "enabled"), False)
    if isinstance(look(told.data, (BUILTIN,)), dict) and look(told.data, (BUILTIN, "enabled")) is not ABSENT:
        yield Put((BUILTIN, "enabled"), False)


def _leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and key == "extra":
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
