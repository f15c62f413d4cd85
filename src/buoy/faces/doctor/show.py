"""Prints a report: for people, worst first and one line at the end; or as JSON, whose shape stays.

``--json`` is one object: ``schema`` (1), ``version`` of Buoy, ``at`` (wall seconds), ``took_s``, ``level`` (ok,
warning or fault: the worst), ``language``, ``findings``, ``fixed``. A finding has ``check``, ``level``, ``verdict``
(null: it is well), ``subject`` (a bot, a host or a file; may be empty), ``cause`` (what was seen), and ``title``,
``means``, ``do`` (empty where it is well). ``fixed`` lists ``verdict``, ``subject`` and ``done``. Names are added,
never changed; a new verdict may appear at any time.
"""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text as Line

from buoy import __version__
from buoy.faces.doctor.judge import worst
from buoy.faces.doctor.verdicts import Check, Finding, Level
from buoy.faces.doctor.words import WORDS

SCHEMA: Final = 1
MARKS: Final = {Level.OK: ("ok", "green"), Level.WARNING: ("!!", "yellow"), Level.FAULT: ("XX", "bold red")}
LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {"do": "do", "fixed": "fixed", "ok": "All is well.", "warning": "It works; {n} to know: {names}.",
           "fault": "{n} wrong: {names}."},
    "zh": {"do": "办法", "fixed": "已处理", "ok": "一切正常。", "warning": "可以工作；{n} 项需留意：{names}。",
           "fault": "{n} 处故障：{names}。"},
}  # fmt: skip

CHECKS: Final = {
    Check.SETTINGS: "配置", Check.DATA: "数据目录", Check.STORE: "数据库", Check.PROCESS: "进程", Check.PAGE: "状态页",
    Check.NETWORK: "网络", Check.CLOCK: "时钟", Check.TOKEN: "令牌", Check.API: "QQ 接口", Check.SESSION: "会话",
    Check.EVENTS: "事件", Check.LETTERS: "消息", Check.AGENT: "智能体", Check.ALERTS: "告警",
}  # fmt: skip

Fixed = Sequence[tuple[Finding, str]]


def as_json(findings: Sequence[Finding], fixed: Fixed, language: str, *, at: float, took_s: float) -> str:
    """The report for programs."""
    told = {
        "schema": SCHEMA,
        "version": __version__,
        "at": round(at, 3),
        "took_s": round(took_s, 2),
        "level": worst(findings).value,
        "language": language,
        "findings": [_plain(finding, language) for finding in findings],
        "fixed": [{"verdict": one.verdict, "subject": one.subject, "done": done} for one, done in fixed],
    }
    return json.dumps(told, ensure_ascii=False, indent=2)


def _plain(finding: Finding, language: str) -> dict[str, Any]:
    text = None if finding.verdict is None else WORDS[finding.verdict][language]
    return {
        "check": finding.check.value,
        "level": finding.level.value,
        "verdict": finding.verdict,
        "subject": finding.subject,
        "cause": finding.cause,
        "title": text.title if text else "",
        "means": text.means if text else "",
        "do": text.do if text else "",
    }


def for_people(findings: Sequence[Finding], fixed: Fixed, language: str) -> None:
    """The report for people, on standard output."""
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    labels = LABELS[language]
    for finding in findings:
        mark, style = MARKS[finding.level]
        subject = f" [{finding.subject}]" if finding.subject and finding.subject not in finding.cause else ""
        name = CHECKS[finding.check] if language == "zh" else finding.check.value
        line = Line(f"{mark}  ", style=style)
        line.append(f"{name}{subject}: ", style="default")
        if finding.verdict is None:
            line.append(finding.cause, style="dim")
            out.print(line)
            continue
        text = WORDS[finding.verdict][language]
        line.append(text.title, style="bold default")
        out.print(line)
        for body in (Line(finding.cause), Line(text.means, style="dim"), Line(f"{labels['do']}: {text.do}")):
            out.print(Padding(body, (0, 0, 0, 4), expand=False))
    for _, done in fixed:
        out.print(Line(f"{labels['fixed']}: {done}", style="green"))
    out.print()
    out.print(Line(verdict_line(findings, language), style=MARKS[worst(findings)][1]))


def verdict_line(findings: Sequence[Finding], language: str) -> str:
    """The last line: how it is, in one sentence."""
    level = worst(findings)
    titles = [WORDS[one.verdict][language].title for one in findings if one.verdict and one.level is level]
    names = "; ".join(dict.fromkeys(titles))
    return LABELS[language][level.value].format(n=len(titles), names=names)
