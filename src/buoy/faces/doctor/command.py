"""`buoy doctor`: settings, examination, judgement, report, exit code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from buoy.config import Config, load
from buoy.errors import EXIT_OK, EXIT_REFUSED, ConfigError
from buoy.faces.doctor import examination, show
from buoy.faces.doctor.judge import judge, worst
from buoy.faces.doctor.mend import mend
from buoy.faces.doctor.verdicts import Level
from buoy.faces.doctor.words import language


def main(path: Path | None, environ: Mapping[str, str], *, as_json: bool, fix: bool, connect: bool | None) -> int:
    """Run one examination and print the report. Exit code 0: no fault was found; 1: at least one."""
    began = time.monotonic()
    tongue = language(environ)
    config, error = _settings(path, environ)
    if error:
        facts = asyncio.run(examination.without_settings(config, error))
    else:
        assert config is not None
        facts = asyncio.run(examination.examine(config, environ, connect=connect))
    findings = judge(facts)
    fixed = list(mend(findings, config.data_dir)) if fix and config is not None else []
    if fixed:
        config, _ = _settings(path, environ)
        assert config is not None  # it was read a moment ago
        findings = judge(asyncio.run(examination.again(facts, config, environ)))
    if as_json:
        print(show.as_json(findings, fixed, tongue, at=facts.now, took_s=time.monotonic() - began))
    else:
        show.for_people(findings, fixed, tongue)
    return EXIT_REFUSED if worst(findings) is Level.FAULT else EXIT_OK


def _settings(path: Path | None, environ: Mapping[str, str]) -> tuple[Config | None, str]:
    """The settings; with an error, what can be read without the bots, if anything."""
    try:
        return load(path, environ), ""
    except ConfigError as error:
        try:
            return load(path, environ, bots=False), str(error)
        except ConfigError:
            return None, str(error)
