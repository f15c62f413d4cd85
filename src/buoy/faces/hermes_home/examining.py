"""`buoy hermes doctor`: look, judge, tell."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from buoy.faces.doctor.verdicts import Level
from buoy.faces.hermes_home import host
from buoy.faces.hermes_home.judging import Finding, Verdict, judge


def doctor(home: Path, told: host.Told, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Examine a home in the environment in which Hermes runs; elsewhere there is one thing to say.

    Raises:
        ConfigError: a file of the home cannot be read.
    """
    from buoy.faces.hermes_home import telling  # noqa: PLC0415

    if not told.buoy or importlib.util.find_spec("yaml") is None:
        verdict, cause = (Verdict.NO_PACKAGE, told.install) if told.hermes else (Verdict.NO_HERMES, str(told.python))
        return telling.doctor([Finding(Level.FAULT, verdict, cause)], None, environ, as_json=as_json)
    from buoy.faces.hermes_home import files, looking  # noqa: PLC0415
    from buoy.faces.hermes_home.record import CONFIG, ENV  # noqa: PLC0415
    from buoy.faces.hermes_home.showing import secrets_of  # noqa: PLC0415

    facts = looking.look(home, host.ask(told.python, home, environ), environ, deep=True)
    hides = secrets_of(files.text_of(home / CONFIG), files.text_of(home / ENV))
    return telling.doctor(judge(facts), facts, environ, as_json=as_json, hides=sorted(hides))
