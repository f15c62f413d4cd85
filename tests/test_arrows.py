"""Who may import whom: the table of design 2, held against every module of `src`.

Between our own packages an import inside a function or under `TYPE_CHECKING` counts like any other. A library
that stands under `TYPE_CHECKING` only lends a type and is free.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SRC = Path(__file__).parent.parent / "src"
LEAVES = frozenset({"buoy.errors", "buoy.chat", "buoy.letters", "buoy.logger"})
STDLIB = frozenset(sys.stdlib_module_names) | {"__future__"}
UNDECIDED = frozenset(  # what would make a decision depend on the clock, on chance or on the machine
    [
        *(
            "asyncio",
            "concurrent",
            "io",
            "logging",
            "multiprocessing",
            "os",
            "pathlib",
            "random",
            "secrets",
            "select",
        ),
        *("selectors", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "uuid"),
    ]
)
AIOHTTP_CLIENTS = frozenset({"buoy.transport", "buoy.agents.wire", "buoy.agents.hermes_api"})
AIOHTTP_SERVER = frozenset({"web", "WSMsgType", "WSCloseCode"})  # of aiohttp, what the serving end needs


@dataclass(frozen=True)
class Rule:
    """What one package (or module) may import besides itself."""

    ours: frozenset[str]
    libraries: frozenset[str] = frozenset()
    not_stdlib: frozenset[str] = frozenset({"sqlite3"})


def rule(*ours: str, libraries: str = "", not_stdlib: frozenset[str] = frozenset({"sqlite3"})) -> Rule:
    return Rule(frozenset(ours), frozenset(libraries.split()), not_stdlib)


RULES = {
    "buoy.errors": rule(),
    "buoy.chat": rule("buoy.errors"),
    "buoy.letters": rule("buoy.errors", "buoy.chat"),
    "buoy.logger": rule(libraries="structlog"),  # who logs goes through it: a program that embeds Buoy has its own log
    "buoy.protocol": rule(
        "buoy.errors", "buoy.chat", "buoy.letters", libraries="msgspec cryptography", not_stdlib=UNDECIDED | {"sqlite3"}
    ),
    "buoy.settings": rule("buoy.errors", "buoy.protocol", libraries="msgspec"),
    "buoy.values": rule("buoy.errors", "buoy.protocol", "buoy.settings"),
    "buoy.config": rule("buoy.errors", "buoy.protocol", "buoy.settings", "buoy.values", libraries="msgspec"),
    "buoy.transport": rule(*LEAVES, "buoy.protocol", libraries="aiohttp yarl msgspec"),
    "buoy.durable": rule(*LEAVES, libraries="msgspec psycopg", not_stdlib=frozenset()),
    "buoy.platforms.console": rule(*LEAVES, libraries="msgspec rich"),
    "buoy.platforms": rule(*LEAVES, "buoy.protocol", "buoy.transport", libraries="msgspec"),
    "buoy.gateway": rule(*LEAVES, "buoy.durable", libraries="msgspec croniter prometheus_client"),
    "buoy.agents": rule("buoy.errors", "buoy.chat", libraries="openai acp pydantic"),
    # Agents that speak HTTP go the way that is proven for QQ: its proxies, look-ups and TLS, and nothing else of it.
    "buoy.agents.wire": rule("buoy.errors", "buoy.agents", "buoy.transport.route", libraries="aiohttp yarl"),
    "buoy.agents.pictures": rule("buoy.errors", "buoy.chat", "buoy.agents", libraries="yarl"),
    "buoy.faces.hermes_home": rule("buoy", libraries="rich yaml"),  # where Hermes is: PyYAML comes with it
    # It reads a stream of events, and has to know how one breaks.
    "buoy.agents.hermes_api": rule("buoy.errors", "buoy.agents", libraries="aiohttp yarl"),
    "buoy.sim": rule("buoy.protocol.wire", libraries="aiohttp msgspec uvloop"),
    "buoy.faces": rule(
        "buoy", libraries="aiohttp apprise msgspec prometheus_client rich structlog typer tzlocal uvloop"
    ),
    "buoy.faces.hermes": rule("buoy", libraries="gateway hermes_constants msgspec tools"),  # inside Hermes' process
    "buoy.__main__": rule("buoy.faces"),
    "buoy": rule(
        "buoy.chat", "buoy.faces.library"
    ),  # for type checkers; at run time a name is imported when it is asked for
}


def test_every_module_keeps_to_the_table() -> None:
    wrong = [
        line for file in sorted(SRC.rglob("*.py")) for line in violations(module_of(file), file.read_text("utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_package_has_a_rule_of_its_own() -> None:
    packages = {f"buoy.{entry.stem}" for entry in (SRC / "buoy").iterdir() if (entry / "__init__.py").exists()}
    modules = {f"buoy.{file.stem}" for file in (SRC / "buoy").glob("[!_]*.py")}
    assert packages | modules <= RULES.keys()
    assert {"buoy.protocol", "buoy.gateway"} <= packages  # the search finds something


@pytest.mark.parametrize(
    ("module", "source", "named"),
    [
        ("buoy.errors", "import buoy.chat", "buoy.chat"),
        ("buoy.chat", "from buoy.letters import Letter", "buoy.letters"),
        ("buoy.chat", "import msgspec", "msgspec"),
        ("buoy.protocol.session", "import asyncio", "asyncio"),
        ("buoy.protocol.session", "import os.path", "os"),
        ("buoy.protocol.session", "from time import time", "time"),
        ("buoy.protocol.session", "def f():\n    import random", "random"),
        ("buoy.protocol.session", "import logging as l", "logging"),
        ("buoy.protocol.session", "from buoy.transport import http", "buoy.transport"),
        ("buoy.durable.store", "from buoy import protocol", "buoy.protocol"),
        ("buoy.durable.store", "from buoy.transport.http import Http", "buoy.transport"),
        ("buoy.durable.store", "import buoy.gateway.app", "buoy.gateway"),
        ("buoy.gateway.app", "from buoy.protocol.limits import TEXT_LIMIT", "buoy.protocol"),
        (
            "buoy.gateway.app",
            "if TYPE_CHECKING:\n    from buoy.platforms.qq import platform",
            "buoy.platforms",
        ),
        ("buoy.gateway.app", "from ..transport import http", "buoy.transport"),
        ("buoy.gateway.app", "from . import health\nfrom .. import agents", "buoy.agents"),
        ("buoy.gateway.app", "from buoy.config import load", "buoy.config"),
        ("buoy.gateway.app", "from buoy.faces import cli", "buoy.faces"),
        ("buoy.gateway.app", "import sqlite3", "sqlite3"),
        ("buoy.gateway.app", "import aiohttp", "aiohttp"),
        ("buoy.gateway.app", "import structlog", "structlog"),
        ("buoy.faces.web", "from sqlite3 import connect", "sqlite3"),
        ("buoy.faces.web", "from aiohttp import ClientSession, web", "aiohttp.ClientSession"),
        ("buoy.faces.web", "import aiohttp", "aiohttp"),
        ("buoy.sim.server", "from aiohttp.connector import TCPConnector", "aiohttp.connector"),
        ("buoy.sim.server", "from buoy.protocol import limits, wire", "buoy.protocol.limits"),
        ("buoy.sim.server", "from buoy.protocol.rest import classify", "buoy.protocol.rest"),
        ("buoy.sim.server", "from buoy.protocol import *", "buoy.protocol"),
        ("buoy.sim.server", "from buoy.chat import Target", "buoy.chat"),
        ("buoy.agents.echo", "from buoy.letters import Letter", "buoy.letters"),
        ("buoy.agents.echo", "from buoy.settings import Agent", "buoy.settings"),
        ("buoy.agents.openai", "import aiohttp", "aiohttp"),
        ("buoy.agents.wire", "from buoy.transport.http import Http", "buoy.transport"),
        ("buoy.platforms.console", "from buoy.protocol import wire", "buoy.protocol"),
        ("buoy.platforms.qq.platform", "from buoy.durable.store import Store", "buoy.durable"),
        ("buoy.platforms.qq.platform", "import aiohttp", "aiohttp"),
        ("buoy.config", "from buoy.faces import cli", "buoy.faces"),
        ("buoy.transport.http", "from buoy.durable import store", "buoy.durable"),
    ],
)
def test_a_planted_import_is_seen(module: str, source: str, named: str) -> None:
    (line,) = violations(module, source)
    assert named in line
    assert line.startswith(module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "buoy.gateway.app",
            "from buoy import __version__\nfrom buoy.gateway.health import snapshot\nimport asyncio",
        ),
        ("buoy.gateway.app", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sqlite3"),
        ("buoy.gateway.app", "from . import health\nfrom .health import snapshot"),
        (
            "buoy.sim.server",
            "from aiohttp import web\nfrom buoy.protocol import wire\nfrom buoy.protocol.wire import Op",
        ),
        ("buoy.durable.store", "import sqlite3, os, time"),
        (
            "buoy.faces.cli",
            "from buoy.sim import Sim\nfrom buoy.durable.store import Store\nfrom aiohttp import web",
        ),
    ],
)
def test_what_is_allowed_is_not_seen(module: str, source: str) -> None:
    assert violations(module, source) == []


def violations(module: str, source: str) -> list[str]:
    """Every import in ``source`` that the rule of ``module`` does not allow, one line each."""
    name = max((name for name in RULES if f"{module}.".startswith(f"{name}.")), key=len)
    rule = RULES[name]
    found = []
    for line, target, is_type_only in imports(module, source):
        top = target.partition(".")[0]
        if top == "buoy":
            is_fine = target == "buoy.__version__" or any(
                f"{target}.".startswith(f"{allowed}.") for allowed in (*rule.ours, own_package(name))
            )
        elif is_type_only:
            is_fine = True
        elif top in STDLIB:
            is_fine = top not in rule.not_stdlib
        elif top == "aiohttp" and name not in AIOHTTP_CLIENTS:
            is_fine = top in rule.libraries and target.partition(".")[2].partition(".")[0] in AIOHTTP_SERVER
        else:
            is_fine = top in rule.libraries
        if not is_fine:
            found.append(f"{module}:{line} imports {target}")
    return found


def own_package(name: str) -> str:
    """A package may import what is inside it; the root of all packages may not."""
    return name if name != "buoy" else "buoy.__init__"


def imports(module: str, source: str) -> Iterator[tuple[int, str, bool]]:
    """Line, dotted name, and whether only a type checker sees it, for every import in ``source``."""
    tree = ast.parse(source)
    type_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in type_only
        elif isinstance(node, ast.ImportFrom):
            parent = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*parent, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}", id(node) in type_only


def module_of(file: Path) -> str:
    """Dotted name of a source file; an `__init__` keeps its name, so that relative imports resolve."""
    return ".".join(file.relative_to(SRC).with_suffix("").parts)
