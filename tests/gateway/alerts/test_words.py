"""Every alert says what it is, what it means and what to do, in both languages, whatever it found."""

from __future__ import annotations

from string import Formatter

import pytest

from buoy.durable.alerts import Caught
from buoy.gateway.alerts import notices
from buoy.gateway.alerts.words import CAUSES, LABELS, UNITS, WORDS, Language
from buoy.protocol.session import REMEDIES
from buoy.protocol.session.words import Trouble

LANGUAGES: tuple[Language, ...] = ("zh", "en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rule", WORDS)
def test_each_rule_is_said_whole(rule: str, language: Language) -> None:
    text = WORDS[rule][language]
    assert all(text)
    fields = {name for part in text for _, name, _, _ in Formatter().parse(part) if name is not None}
    assert fields <= {"subject", "detail"}
    assert "{detail}" in text.cause
    queues = {"turns": 3, "letters": 2, "held": 1}
    words = notices.trouble(
        "raised", rule, "SUBJECT", 1000.0, "unreachable: DETAIL", times=2, now=1300.0, queues=queues, language=language
    )
    assert words.title.startswith("[Buoy] ")
    assert ("SUBJECT" in words.title) is ("{subject}" in text.title)
    assert "DETAIL" in words.text
    assert text.means in words.text
    assert text.do in words.text
    assert ("5 分钟" if language == "zh" else "5 min") in words.text
    assert "{" not in words.title + words.text


def test_the_languages_have_the_same_texts() -> None:
    keys = [texts.keys() for texts in WORDS.values()] + [texts.keys() for texts in CAUSES.values()] + [UNITS.keys()]
    assert all(found == {"zh", "en"} for found in keys)
    assert LABELS["zh"].keys() == LABELS["en"].keys()
    for texts in WORDS.values():
        assert ("{subject}" in texts["zh"].title) is ("{subject}" in texts["en"].title)


def test_every_cause_that_the_session_knows_is_said() -> None:
    assert CAUSES.keys() == {trouble.value for trouble in Trouble} | {"starting"}
    need_a_person = {trouble.value for trouble in REMEDIES}
    told = {name for name, cause in CAUSES.items() if cause["en"].do}
    assert need_a_person - {"secret", "ip"} <= told, "the two have a rule of their own"
    assert all(bool(cause["en"].do) is bool(cause["zh"].do) for cause in CAUSES.values())


def test_the_remedy_of_a_cause_wins() -> None:
    banned = notices.trouble(
        "raised", "blocked", "b", 0.0, "banned: 4915", times=1, now=9.0, queues={}, language="en"
    ).text
    assert "appeal" in banned
    assert "Cause: the bot is banned: 4915" in banned
    assert WORDS["blocked"]["en"].do not in banned


def test_what_is_over_says_how_long_and_what_came_of_it() -> None:
    told = notices.recovered("down", "b", 0.0, 754.0, "closed: x", Caught(7, 5, 4, 2), "en")
    assert told.title == "[Buoy] Over: Bot b is not connected"
    assert "It lasted 12 min 34 s" in told.text
    assert "7 messages" in told.text
    assert "5 of them are answered; 4 were sent" in told.text
    assert "2 gap(s)" in told.text
    assert "QQ closed the connection: x" in told.text
    whole = notices.recovered("down", "b", 0.0, 754.0, "closed: x", Caught(0, 0, 0, 0), "zh")
    assert whole.title == "[Buoy] 已恢复：机器人 b 掉线"  # noqa: RUF001
    assert "没有发现缺口" in whole.text
    disk = notices.recovered("disk", "", 0.0, 60.0, "100", None, "en")
    assert "messages" not in disk.text


def test_what_a_later_version_wrote_is_named_as_it_is() -> None:
    told = notices.trouble("repeated", "new_rule", "x", 0.0, "why", times=1, now=5.0, queues={}, language="en")
    assert told.title == "[Buoy] still: new_rule x"
    assert "why" in told.text
    assert notices.remedy("new_rule", "", "en") == ""
    assert notices.cause("down", "something else: x", "zh") == "something else: x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90000, "1 d 1 h"), (-5, "0 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert notices.lasting(seconds, "en") == text


def test_a_test_is_no_alarm() -> None:
    assert notices.tested("en").kind == "test"
    assert notices.tested("zh").title == "[Buoy] 这是一条测试"
