"""What a program gives instead of a settings file: bots, agents and tables, checked; errors speak of the argument."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from buoy import config
from buoy.chat import Agent, Answer, agent
from buoy.errors import ConfigError
from buoy.settings import Bot, Table
from buoy.values import ROWS, SettingError

Scene = Literal["c2c", "group", "channel", "dm"]
Answers = Answer | Agent | Mapping[str, Answer | Agent]


class QQ:
    """One bot on QQ. Names, defaults and checks are those of `[[bots]]` in `buoy.toml`; see docs/settings.md."""

    def __init__(
        self,
        app_id: str,
        client_secret: str,
        *,
        api_base: str | Sequence[str] | None = None,
        token_url: str | Sequence[str] | None = None,
        intents: int | Sequence[str] | None = None,
        shard: tuple[int, int] | None = None,
        expect_event_h: float | None = None,
        proactive: Sequence[Scene] | None = None,
        proactive_unsure: Literal["keep", "repeat"] | None = None,
    ) -> None:
        """Check everything; nothing is opened. None: the default.

        Raises:
            ConfigError: one line that names the argument and the remedy.
        """
        table = {
            "api_base": _commas(api_base),
            "token_url": _commas(token_url),
            "intents": intents if intents is None or isinstance(intents, int) else list(intents),
            "shard": shard,
            "expect_event_h": expect_event_h,
            "proactive": proactive,
            "proactive_unsure": proactive_unsure,
        }
        given: dict[str, Any] = {"app_id": app_id, "client_secret": client_secret}
        given |= {name: value for name, value in table.items() if value is not None}
        try:
            self.settings = config.bot(given, {})
        except SettingError as error:
            raise ConfigError(f"QQ({_last(error.path)}=...): {error.cause}; {error.remedy}") from None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The bot that QQ_APP_ID, QQ_CLIENT_SECRET and their kin name, as for `buoy run`; None: this process's.

        Raises:
            ConfigError: one line that names the variable and the remedy.
        """
        ours = {
            name: value
            for name, value in (os.environ if environ is None else environ).items()
            if name.startswith(("QQ_", "QQBOT_"))
        }
        made = cls.__new__(cls)
        try:
            made.settings = config.bot({}, ours)
        except SettingError as error:
            row = ROWS[error.path]
            raise ConfigError(f"{row.env or row.path}: {error.cause}; set it to {row.write}") from None
        return made

    def __repr__(self) -> str:
        return f"QQ({self.settings.app_id!r})"


def settings(bots: Sequence[QQ], data_dir: str | os.PathLike[str], **tables: Table) -> config.Config:
    """The settings of a gateway: what `buoy.toml` would say.

    Raises:
        ConfigError: one line that names the argument and the remedy.
    """
    if not bots:
        raise ConfigError("Gateway(bots=...): empty; write QQ(app_id, client_secret), or a list of these")
    ids = [bot.settings.app_id for bot in bots]
    if len(set(ids)) < len(ids):
        raise ConfigError(f"Gateway(bots=...): bot {max(ids, key=ids.count)} is there twice; give each AppID once")
    try:
        return config.of(Path(data_dir), [bot.settings for bot in bots], **tables)
    except SettingError as error:
        table, _, key = error.path.partition(".")
        argument = f"{key}=..." if table == "shutdown" else f"{table}={table.capitalize()}({key}=...)"
        raise ConfigError(f"Gateway({argument}): {error.cause}; {error.remedy}") from None


def agents(given: Answers, bots: Sequence[Bot]) -> dict[str, Agent]:
    """One agent for each bot, by AppID.

    Raises:
        ConfigError: one is missing, or is no async function.
    """
    ids = [bot.app_id for bot in bots]
    if not isinstance(given, Mapping):
        one = _agent(given)
        return dict.fromkeys(ids, one)
    if missing := [bot for bot in ids if bot not in given]:
        raise ConfigError(f"Gateway(agent=...): no agent for bot {missing[0]}; write one for each AppID")
    if unknown := [bot for bot in given if bot not in ids]:
        raise ConfigError(f"Gateway(agent=...): there is no bot {unknown[0]!r}; the keys are the AppIDs of the bots")
    return {bot: _agent(given[bot]) for bot in ids}


def _agent(given: Answer | Agent) -> Agent:
    if isinstance(given, Agent):
        return given
    try:
        return agent(given)
    except ConfigError:
        name = getattr(given, "__name__", type(given).__name__)
        raise ConfigError(
            f"Gateway(agent=...): {name} is not an async function; write `async def {name}(message)`, and call what "
            "blocks through asyncio.to_thread"
        ) from None


def _commas(value: str | Sequence[str] | None) -> str | None:
    return value if value is None or isinstance(value, str) else ",".join(value)


def _last(path: str) -> str:
    return path.rpartition(".")[2]
