"""What each verdict is called, what it means, and what to do about it: the catalog, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buoy.faces.doctor import words_machine, words_reach, words_session, words_work
from buoy.faces.doctor.text import Text
from buoy.faces.doctor.verdicts import Verdict

__all__ = ["LANGUAGES", "WORDS", "Text", "language"]

LANGUAGES: Final = ("en", "zh")
WORDS: Final[dict[Verdict, dict[str, Text]]] = (
    words_machine.TEXTS | words_reach.TEXTS | words_session.TEXTS | words_work.TEXTS
)


def language(environ: Mapping[str, str]) -> str:
    """The language of a terminal: Chinese where its locale says so, else English."""
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if locale.lower().startswith("zh") else "en"
