"""Writes the generated parts of docs/operations*.md, every alert and every verdict of the doctor: ``make docs``."""

# ruff: noqa: RUF001  Chinese punctuation is meant

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from buoy.faces.doctor import words as doctor
from buoy.faces.doctor.verdicts import WARNINGS
from buoy.gateway.alerts import words as alerts
from buoy.protocol.session import REMEDIES
from tests.resilience import fill

ROOT = Path(__file__).parent.parent
PAGES: dict[Literal["en", "zh"], Path] = {
    "en": ROOT / "docs/operations.md", "zh": ROOT / "docs/operations.zh.md",
}  # fmt: skip
HEADS = {"en": ("you see", "it means", "do"), "zh": ("看到", "意味着", "该做")}
CAUSE_HEADS = {"en": ("cause", "do"), "zh": ("原因", "该做")}
ALONE = {"en": "nothing: Buoy gets over it by itself", "zh": "不用管：Buoy 会自己恢复"}
PERSON = {"en": "see the alert about it above", "zh": "见上面对应的告警"}
CAUSES = {
    "en": "What an alert about a bot that is down or blocked names as the cause:",
    "zh": "机器人断线或受阻的告警会写明以下原因之一：",
}
MARKS = {"en": "warning: ", "zh": "提醒："}
STANDS_FOR = re.compile(r"\{(\w+)\}")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines)


def plain(text: str) -> str:
    """A text as it stands in the guide: what each alert fills in is an ellipsis."""
    return STANDS_FOR.sub("…", text)


def of_alerts(language: Literal["en", "zh"]) -> str:
    texts = [told[language] for told in alerts.WORDS.values()]
    rules = table(HEADS[language], ((f"**{plain(t.title)}**", plain(t.means), plain(t.do)) for t in texts))
    causes = table(
        CAUSE_HEADS[language],
        (
            (told[language].says, told[language].do or (PERSON if cause in REMEDIES else ALONE)[language])
            for cause, told in alerts.CAUSES.items()
        ),
    )
    return f"{rules}\n\n{CAUSES[language]}\n\n{causes}"


def of_doctor(language: Literal["en", "zh"]) -> str:
    rows = (
        (f"{MARKS[language] if verdict in WARNINGS else ''}**{plain(t.title)}**", plain(t.means), plain(t.do))
        for verdict, told in doctor.WORDS.items()
        for t in (told[language],)
    )
    return table(HEADS[language], rows)


def render(page: str, language: Literal["en", "zh"]) -> str:
    return fill(page, {"alerts": of_alerts(language), "doctor": of_doctor(language)})


def main() -> int:
    for language, path in PAGES.items():
        path.write_text(render(path.read_text("utf-8"), language), "utf-8")
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
