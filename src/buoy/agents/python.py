"""The agent that is a Python function: `python:MODULE:FUNCTION`, in the loop or in processes of its own."""

from __future__ import annotations

import ast
import sys
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buoy.chat import Agent, agent
from buoy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Find the function. With ``isolation = "process"`` it is not imported here, and it may block.

    Raises:
        ConfigError: there is no such module or function, or a plain `def` would run in the loop.
    """
    module, _, function = rest.partition(":")
    if not module or not function:
        raise _wrong(rest, "not a module and a function", "write python:MODULE:FUNCTION, e.g. python:my_agent:answer")
    if (here := str(Path.cwd())) not in sys.path:  # a console script does not have it, `python -m` does
        sys.path.insert(0, here)
    turns = settings.get("history_turns") or 0
    if settings.get("isolation") == "process":
        _check(module, function)
        from buoy.agents.pool import Pool  # noqa: PLC0415  subprocesses only where they are asked for

        pool = Pool(rest, settings.get("workers") or 2)
        return Agent(pool.answer, name=rest, history_turns=turns, close=pool.close)
    found = find(module, function)
    if isinstance(found, Agent):
        return found
    try:
        return agent(found, name=rest, history_turns=turns)
    except ConfigError:
        remedy = f'write `async def {function}(message)`, or set isolation = "process" if it may block'
        raise _wrong(rest, "a plain function, which would block every other conversation", remedy) from None


def find(module: str, function: str) -> Any:
    """Import a module and give what it calls ``function`` (dots allowed): a callable, or an :class:`Agent`.

    Raises:
        ConfigError: it cannot be imported, or has no such thing.
    """
    target = f"{module}:{function}"
    try:
        found = reduce(getattr, function.split("."), import_module(module))
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise _no_module(target, module) from None
        raise _wrong(target, str(error), "install it where Buoy runs") from error
    except AttributeError as error:
        raise _wrong(target, str(error), f"define `async def {function}(message)` there") from error
    except (Exception, SystemExit) as error:
        raise _wrong(target, f"importing {module} raised {type(error).__name__}: {error}", "mend it") from error
    if not callable(found) and not isinstance(found, Agent):
        raise _wrong(target, f"{function} is no function", f"define `async def {function}(message)` there")
    return found


def _check(module: str, function: str) -> None:
    """Refuse, without importing it, what cannot work: no such module, or a source without that name."""
    target = f"{module}:{function}"
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise _no_module(target, module)
    if not spec.origin or not spec.origin.endswith(".py"):
        return
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise _wrong(target, f"{spec.origin}: {error}", "mend it") from None
    names = {getattr(node, "name", None) or getattr(node, "id", None) for node in ast.walk(tree)}
    names |= {node.asname for node in ast.walk(tree) if isinstance(node, ast.alias)}
    if not names & {function.partition(".")[0], "*", "__getattr__"}:
        raise _wrong(target, f"{module} has no {function}", f"define `def {function}(message)` there")


def _no_module(target: str, module: str) -> ConfigError:
    return _wrong(
        target,
        f"no module {module!r}",
        f"start Buoy in the folder of {module.partition('.')[0]}.py, or install it",
    )


def _wrong(target: str, cause: str, remedy: str) -> ConfigError:
    cause = " ".join(cause.split())[:300]
    return ConfigError(f"bots.agent.kind (BUOY_AGENT): python:{target}: {cause}; {remedy}")
