"""docs/operations*.md: every alert, every cause and every verdict of the doctor stands there, and nothing is stale."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from buoy.faces.doctor import words as doctor
from buoy.gateway.alerts import words as alerts
from tests import operations


@pytest.mark.parametrize(("language", "path"), operations.PAGES.items())
def test_what_is_generated_is_up_to_date(language: Literal["en", "zh"], path: Path) -> None:
    page = path.read_text("utf-8")
    assert page == operations.render(page, language), "stale: make docs"


@pytest.mark.parametrize(("language", "path"), operations.PAGES.items())
def test_every_text_an_operator_may_meet_stands_in_the_guide(language: Literal["en", "zh"], path: Path) -> None:
    page = path.read_text("utf-8").replace("|", "/")
    texts = [told[language] for told in alerts.WORDS.values()]
    wanted = [part for text in texts for part in (text.title, text.means, text.do)]
    wanted += [part for told in alerts.CAUSES.values() for part in told[language]]
    wanted += [part for told in doctor.WORDS.values() for part in told[language]]
    missing = [text for text in wanted if operations.plain(text).replace("|", "/") not in page]
    assert not missing
    assert len(wanted) > 200


def test_both_guides_have_the_same_symptoms() -> None:
    english, chinese = (path.read_text("utf-8") for path in operations.PAGES.values())
    assert english.count("\n## ") == chinese.count("\n## ")
    assert english.count("\n| ") == chinese.count("\n| ")
