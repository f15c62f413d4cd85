"""`buoy setup`: asks for what a bot needs, asks QQ whether it is right, and writes `buoy.toml`.

Without a terminal, or with ``--yes``, nothing is asked: what flags and environment leave open is a default or an error.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from buoy.config import DEFAULT_FILE, Config, default_data_dir, load
from buoy.errors import EXIT_OK, EXIT_REFUSED, ConfigError
from buoy.faces.checking import Verdict, check
from buoy.faces.placing import write
from buoy.faces.setup_words import trouble, word
from buoy.protocol.session import Trouble

TRAPS: Final = ("trap_ip", "trap_sandbox", "trap_intents", "trap_urls", "trap_socket")


@dataclass(frozen=True, slots=True)
class Answers:
    """What goes into the file. None: not known yet."""

    app_id: str | None = None
    secret: str | None = None
    secret_file: Path | None = None
    """Named in the file instead of the secret."""
    agent: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    api_base: str | None = None
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How it goes on."""

    file: Path
    asks: bool
    checks: bool
    replaces: bool


def answers_of(environ: Mapping[str, str], given: Answers) -> Answers:
    """Fill in from the environment what the flags leave open."""
    env = {name: value.strip() for name, value in environ.items() if value.strip()}

    def first(*names: str) -> str | None:
        return next((env[name] for name in names if name in env), None)

    secret, secret_file = given.secret, given.secret_file
    if secret is None and secret_file is None:
        secret = first("QQ_CLIENT_SECRET", "QQBOT_CLIENT_SECRET")
        named = first("QQ_CLIENT_SECRET_FILE", "QQBOT_CLIENT_SECRET_FILE")
        secret_file = Path(named) if named and secret is None else None
    return replace(
        given,
        app_id=given.app_id or first("QQ_APP_ID", "QQBOT_APP_ID"),
        secret=secret,
        secret_file=secret_file.expanduser().absolute() if secret_file else None,
        agent=given.agent or first("BUOY_AGENT"),
        model=given.model or first("BUOY_MODEL"),
        base_url=given.base_url or first("OPENAI_BASE_URL"),
        api_base=given.api_base or first("QQ_API_BASE"),
        data_dir=given.data_dir or (Path(env["BUOY_DATA_DIR"]) if "BUOY_DATA_DIR" in env else None),
    )


def toml(answers: Answers) -> str:
    """The settings file. Texts are written as JSON writes them, which TOML reads the same way."""
    lines = []
    if answers.data_dir is not None:
        lines += [f"data_dir = {_text(str(answers.data_dir.expanduser().absolute()))}", ""]
    bot = {
        "app_id": answers.app_id,
        "client_secret": answers.secret,
        "client_secret_file": str(answers.secret_file) if answers.secret_file else None,
        "api_base": answers.api_base,
    }
    agent = {
        "kind": answers.agent or "echo",
        "model": answers.model,
        "base_url": answers.base_url,
        "api_key": answers.api_key,
    }
    for heading, table in (("[[bots]]", bot), ("[bots.agent]", agent)):
        lines += [heading, *(f"{key} = {_text(value)}" for key, value in table.items() if value), ""]
    return "# Written by buoy setup; what else can stand here: docs/settings.md\n" + "\n".join(lines)


def _text(value: str) -> str:
    """Quote a text for TOML; what is no text of Unicode was never one of ours."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f").encode("utf-8", "replace").decode()


def setup(given: Answers, manner: Manner, environ: Mapping[str, str]) -> int:
    """Ask, check, write, and say what comes next; returns the exit code.

    Raises:
        ConfigError: something is missing and nobody can be asked, or what was given is not usable.
    """
    answers = answers_of(environ, given)
    if manner.asks:
        answers = _ask_bot(answers, environ)
    if manner.file.exists() and not manner.replaces and not (manner.asks and _may_replace(manner.file, environ)):
        raise ConfigError(f"{manner.file} exists and is left as it is; --force replaces it and keeps a copy")
    while True:
        config = _read(answers, manner.file.parent)
        if not manner.checks:
            break
        verdict = _check(config, environ)
        if verdict.trouble is None or (verdict.is_right and not manner.asks):
            break
        if not manner.asks:
            print("buoy: nothing was written; --no-check writes the file without asking QQ", file=sys.stderr)
            return EXIT_REFUSED
        choice = input(f"{word('anyway', environ)}: ").strip().lower()[:1]
        if choice == "w":
            break
        if choice == "q":
            return EXIT_REFUSED
        if verdict.trouble in {Trouble.SECRET, Trouble.APP}:
            answers = _ask_bot(replace(answers, secret=None, secret_file=None), environ, again=True)
    if manner.asks:
        answers = _ask_rest(answers, environ, manner.file.parent)
    _read(answers, manner.file.parent)
    backup = write(manner.file, toml(answers))
    if backup is not None:
        print(word("kept", environ, file=backup))
    print(word("wrote", environ, file=manner.file))
    _explain(manner.file, environ)
    return EXIT_OK


def _read(answers: Answers, folder: Path) -> Config:
    """Read the file that would be written as `buoy run` will read it, without the environment.

    Raises:
        ConfigError: it would be refused; the text names the setting.
    """
    with tempfile.TemporaryDirectory(prefix="buoy-") as scratch:
        file = Path(scratch) / DEFAULT_FILE
        file.touch(0o600)
        file.write_text(toml(answers), encoding="utf-8")
        config = load(file, {"HOME": str(folder)})
    for warning in config.warnings:
        print(f"buoy: warning: {warning}", file=sys.stderr)
    return config


def _check(config: Config, environ: Mapping[str, str]) -> Verdict:
    print(word("asking", environ), flush=True)
    verdict = asyncio.run(check(config.bots[0], environ))
    if verdict.trouble is None:
        name = f": {verdict.name}" if verdict.name else ""
        left = "" if verdict.identifies_left is None else f" ({word('left', environ)}: {verdict.identifies_left})"
        print(f"{word('right', environ)}{name}{left}")
    else:
        print(trouble(verdict.trouble, environ), f"[{verdict.reason}]", sep="\n", file=sys.stderr)
    if verdict.clock_ahead_s:
        print(word("clock", environ, seconds=abs(verdict.clock_ahead_s)), file=sys.stderr)
    return verdict


# --- asking ----------------------------------------------------------------------------------------------------


def _ask_bot(answers: Answers, environ: Mapping[str, str], *, again: bool = False) -> Answers:
    if answers.app_id is None or (answers.secret is None and answers.secret_file is None):
        print(word("begin", environ))
    while answers.app_id is None or again:
        answers = replace(answers, app_id=_line("app_id", environ, answers.app_id) or None)
        again = False
    while answers.secret is None and answers.secret_file is None:
        secret = getpass.getpass(f"{word('secret', environ)}: ").strip()
        answers = replace(answers, secret=secret or None)
    return answers


def _ask_rest(answers: Answers, environ: Mapping[str, str], folder: Path) -> Answers:
    """Ask for the agent and the data directory; what the settings would refuse is asked again."""
    for ask in (_ask_agent, _ask_folder):
        while True:
            asked = ask(answers, environ)
            try:
                _read(asked, folder)
            except ConfigError as error:
                if asked == answers:  # it came as a flag, and asking again would not change it
                    raise
                print(f"buoy: {error}", file=sys.stderr)
            else:
                answers = asked
                break
    return answers


def _ask_agent(answers: Answers, environ: Mapping[str, str]) -> Answers:
    if answers.agent is not None:
        return answers
    kind = _line("agent", environ, "echo")
    if kind != "openai":
        return replace(answers, agent=kind)
    return replace(
        answers,
        agent=kind,
        base_url=answers.base_url or _line("base_url", environ, None) or None,
        model=answers.model or _line("model", environ, None) or None,
        api_key=getpass.getpass(f"{word('api_key', environ)}: ").strip() or None,
    )


def _ask_folder(answers: Answers, environ: Mapping[str, str]) -> Answers:
    if answers.data_dir is not None:
        return answers
    return replace(answers, data_dir=Path(_line("data_dir", environ, str(default_data_dir(environ)))))


def _line(name: str, environ: Mapping[str, str], default: str | None) -> str:
    shown = f" [{default}]" if default else ""
    return input(f"{word(name, environ)}{shown}: ").strip() or default or ""


def _may_replace(file: Path, environ: Mapping[str, str]) -> bool:
    return input(f"{word('exists', environ, file=file)} [y/N]: ").strip().lower() in {"y", "yes", "是"}


# --- telling ----------------------------------------------------------------------------------------------------


def _explain(file: Path, environ: Mapping[str, str]) -> None:
    print(f"\n{word('traps', environ)}")
    for trap in TRAPS:
        print(f"  - {word(trap, environ)}")
    here = Path.cwd() / DEFAULT_FILE
    option = "" if file == here else f" -c {shlex.quote(str(file))}"
    print(f"\n{word('next', environ)}")
    for command, name in (("run", "next_run"), ("status", "next_status"), ("install", "next_install")):
        print(f"  {f'buoy {command}{option}':<24}  {word(name, environ)}")
