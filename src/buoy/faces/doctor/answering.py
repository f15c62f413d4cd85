"""Looks at who answers for a bot, without a message: the endpoint, the program, or the Python function."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec

from buoy.agents import build
from buoy.agents.child import Child
from buoy.errors import BuoyError, ConfigError
from buoy.faces.aside import aside
from buoy.faces.doctor.facts import Agent, State
from buoy.settings import Bot
from buoy.transport.http import Http, LostError, NotSentError

LOOK_S: Final = 6.0
IMPORT_S: Final = 12.0  # a large model library takes its time
PUBLIC: Final = "https://api.openai.com/v1"  # what the openai package asks where no base_url is set
NO_LIST: Final = frozenset({404, 405, 501})  # it is there, and has no list of models
NOBODY: Final = frozenset({502, 503, 504})  # a proxy in front says that there is none behind it
REFUSED: Final = frozenset({401, 403})
# A module may do anything when it is imported: not in this process. What it prints is not for the report.
TRY: Final = (
    "import sys, json; path, kind, settings = json.loads(sys.argv[1]); sys.path[:] = path\n"
    "from buoy.agents import build\n"
    "from buoy.agents.python import find\n"
    "from buoy.errors import ConfigError\n"
    "try:\n"
    "    if settings.get('isolation') == 'process': find(*kind.removeprefix('python:').split(':', 1))\n"
    "    build(kind, settings)\n"
    "except ConfigError as error:\n"
    "    sys.stderr.write(str(error)); sys.stderr.flush(); import os; os._exit(2)\n"
    "import os; os._exit(0)\n"
)


async def look(bot: Bot, environ: Mapping[str, str], folder: Path | None = None, *, within_s: float = LOOK_S) -> Agent:
    """Try a bot's agent. ``folder``: where Buoy runs, and looks for modules; None: here."""
    began = time.monotonic()
    family = bot.agent.kind.partition(":")[0]
    if family == "openai":
        found = await _endpoint(bot, environ, within_s)
    elif family == "hermes":
        found = await _hermes(bot, environ, within_s)
    elif family == "http":
        found = await _service(bot, environ, within_s)
    elif family == "python":
        found = await _function(bot, folder or Path.cwd(), IMPORT_S)
    else:
        found = await _made(bot, within_s)
    state, text = found
    took_s = round(time.monotonic() - began, 3)
    kind = family if family == "http" else bot.agent.kind  # an address may have a key in it
    return Agent(bot.app_id, kind, state, text, took_s)


async def _made(bot: Bot, within_s: float) -> tuple[State, str]:
    """What needs no more than itself."""
    try:
        await aside(lambda: build(bot.agent.kind, bot.agent.settings()), within_s, name="doctor")
    except ConfigError as error:
        return "setup", str(error)
    except TimeoutError:
        return "late", f"looking for it took longer than {within_s:g} s"
    return "ok", ""


async def _service(bot: Bot, environ: Mapping[str, str], within_s: float) -> tuple[State, str]:
    """See whether somebody answers at the agent's address; HEAD is no turn, and what it is told does not matter."""
    made = await _made(bot, within_s)
    if made[0] != "ok":
        return made
    url = bot.agent.kind.partition(":")[2].strip()
    shown = url.partition("://")[2].rpartition("@")[2].partition("/")[0]
    http = Http(environ=environ)
    try:
        answer = await http.request("HEAD", url, headers={}, body=None, timeout_s=within_s)
    except (NotSentError, LostError) as error:
        return "away", f"{shown}: {error.reason}"
    finally:
        await http.close()
    return ("away", f"{shown} answers HTTP {answer.status}") if answer.status in NOBODY else ("ok", shown)


async def _function(bot: Bot, folder: Path, within_s: float) -> tuple[State, str]:
    """Import the module in a process of its own, as `buoy run` would here."""
    settings = bot.agent.settings() | {"api_key": "", "secret": ""}
    path = [str(folder), *(one for one in sys.path if one)]
    argv = [sys.executable, "-c", TRY, json.dumps([path, bot.agent.kind, settings], default=str)]
    try:
        child = await Child.start(argv, limit=1 << 20, env={"PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "")})
    except OSError as error:
        return "setup", f"no process could be started: {error.strerror or error}"
    try:
        code = await _exit(child, within_s)
    finally:
        await child.end()
    if code is None:
        return "late", f"importing it took longer than {within_s:g} s"
    if code:
        return "setup", child.last_words or f"importing it: the process {child.ended}"
    return "ok", ""


async def _exit(child: Child, within_s: float) -> int | None:

    try:
        async with asyncio.timeout(within_s):
            await child.drained()
    except TimeoutError:
        return None
    return child.exit_code


async def _endpoint(bot: Bot, environ: Mapping[str, str], within_s: float) -> tuple[State, str]:
    """Ask an OpenAI-compatible endpoint for its models: that costs nothing and needs the key."""
    agent = bot.agent
    if not agent.model:
        return "setup", "bots.agent.model (BUOY_MODEL): missing; write the name of the model to ask"
    if agent.api_key is None:
        return "setup", "bots.agent.api_key (OPENAI_API_KEY): missing; write the key, or any text where none is needed"
    key = agent.api_key.reveal()
    if not (key.isascii() and key.isprintable()):
        return "setup", "bots.agent.api_key (OPENAI_API_KEY): it has characters that no key has; copy it again"
    if find_spec("openai") is None:
        return "setup", "a package is not installed: pip install 'buoy-qq[openai]'"
    return await _listed(agent.base_url or PUBLIC, key, agent.model, environ, within_s)


async def _hermes(bot: Bot, environ: Mapping[str, str], within_s: float) -> tuple[State, str]:
    """Ask a Hermes API server for its models: it has some whatever it is asked to run, and wants its key for it."""
    made = await _made(bot, within_s)
    if made[0] != "ok":
        return made
    from buoy.agents.hermes import BASE_URL  # noqa: PLC0415  nobody else needs it

    key = bot.agent.api_key.reveal() if bot.agent.api_key else ""
    return await _listed(bot.agent.base_url or BASE_URL, key, "", environ, within_s)


async def _listed(base: str, key: str, model: str, environ: Mapping[str, str], within_s: float) -> tuple[State, str]:
    """Ask for the list of models; ``model`` has to be in it, where it is named."""
    base = base.rstrip("/")
    scheme, _, place = base.partition("://")
    login, _, shown = place.rpartition("@")
    http = Http(environ=environ)
    try:
        answer = await http.request(
            "GET",
            f"{scheme}://{shown}/models",
            headers={"Authorization": _basic(login) if login else f"Bearer {key}"},  # as the openai package does
            body=None,
            timeout_s=within_s,
        )
    except NotSentError as error:
        return "away", f"{shown}: {error.reason}"
    except (LostError, BuoyError) as error:
        return "away", f"{shown}: {error}"
    finally:
        await http.close()
    if answer.status in REFUSED:
        return "refused", f"{shown} answers HTTP {answer.status}"
    if answer.status in NO_LIST:
        return "ok", f"{shown} answers, without a list of models"
    if answer.status != 200:
        return "away", f"{shown} answers HTTP {answer.status}"
    names = _models(answer.body)
    if names and model and model not in names:
        return "model", f"{shown} lists {len(names)} models, and {model!r} is none of them"
    return "ok", shown


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(unquote(login).encode()).decode()}"


def _models(body: bytes) -> frozenset[str]:
    """The names in a list of models; none where it cannot be read."""
    try:
        told = msgspec.json.decode(body)
        return frozenset(str(one["id"]) for one in told["data"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError):
        return frozenset()
