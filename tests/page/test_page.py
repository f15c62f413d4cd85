"""The page in a real Chromium, over a real `buoy run`, with the simulated platform as QQ.

Every tab holds at its end that the console stayed empty of errors, that no policy was violated and that no request
left the origin; see :func:`tests.page.browsing.tab`.
"""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from buoy.gateway.alerts import notices
from tests.page.browsing import CUT_OFF, TURNED_AWAY, Tab, status_of, tab, told
from tests.page.harbour import HOSTILE, Harbour, harbour
from tests.system.processes import wait_until

pytestmark = pytest.mark.system

TURNS_WITHIN_S = 2.0  # issue 4: outage begins, page turns within 2 s
GONE = 11255  # protocol.md 4.1: the recipient does not exist; a letter that gets this is dead
FAR = {"X-Forwarded-For": "203.0.113.9"}  # a proxy speaks for somebody on another machine
NEXT_TRY = "Number(/next try in (\\d+) s/.exec(document.querySelector('#why .next').textContent)?.[1])"
SIDE_WIDTH = {"width": 360, "height": 740}


def dead_letter(port: Harbour, text: str) -> tuple[str, str]:
    """Let somebody say something whose echo ends as a dead letter; returns the message's id and the letter's row."""
    port.refuse(GONE)
    message = port.judge.say(text)
    row = wait_until(lambda: _letter_of(port, message), f"a dead letter that answers {text}")
    port.heal()
    return message, row


def _letter_of(port: Harbour, message: str) -> str:
    found = re.search(r"(out/\d+): dead", port.trace(message))
    return found[1] if found else ""


def row_of(one: Tab, name: str) -> str:
    """A selector of the row of a letter or turn."""
    one.until("name => [...document.querySelectorAll('.letter-name')].some((e) => e.textContent === name)", name)
    return f".letter:has(.letter-name:text-is('{name}'))"


def alert(rule: str, since: float, words: dict[str, dict[str, str]], times: int = 1) -> dict[str, Any]:
    """An open alert as the snapshot tells it."""
    return {"rule": rule, "subject": "", "since": since, "times": times, "words": words}


# --- the state ---------------------------------------------------------------------------------------------------


def test_the_page_turns_with_an_outage_and_turns_back(browser: Browser, port: Harbour) -> None:
    port.restart()  # attempts of earlier tests would make the pauses long
    with tab(browser, port.url) as one:
        one.until_state("up")
        assert one.text("#word") == "Up"
        assert re.fullmatch(r"for \d+ (s|min.*)", one.text("#lasts"))
        began = time.monotonic()
        port.judge.network("down")
        one.until_state("down")
        assert time.monotonic() - began < TURNS_WITHIN_S
        assert one.text("#word") == "Down"
        assert one.page.title().startswith("▼ Down")
        expect(one.page.locator("#why .cause")).to_have_text("QQ cannot be reached")
        expect(one.page.locator("#why .told")).to_contain_text("Connect call failed")
        seconds = one.until(f"() => {NEXT_TRY} >= 2 && {NEXT_TRY}")
        one.until(f"seconds => {NEXT_TRY} === seconds - 1", seconds, TURNS_WITHIN_S)
        port.judge.network("up")
        one.until_state("up")
        assert one.page.title().startswith("● Up")
        one.until(
            "() => [...document.querySelectorAll('#timeline .span:not(.is-gap)')].at(-2).classList.contains('is-down')"
        )


def test_a_blocked_bot_shows_cause_and_remedy(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, locale="zh-CN") as one:
        one.until_state("up")
        fault = port.judge.ask("POST", "/faults", kind="banned")["id"]
        one.until_state("blocked")
        assert one.text("#word") == "受阻"
        assert one.text("#why .cause") == "机器人被封禁"
        assert "管理端" in one.text("#why .remedy")
        port.judge.ask("DELETE", f"/faults/{fault}")
    port.restart()  # a blocked bot looks again in a quarter of an hour


def test_without_buoy_the_page_says_that_it_knows_nothing_until_buoy_is_back(browser: Browser, tmp_path: Path) -> None:
    with harbour(tmp_path) as port:
        port.start()
        with tab(browser, port.url, expects=[CUT_OFF]) as one:
            one.until_state("up")
            port.process.signal(signal.SIGKILL)
            one.until_state("lost", TURNS_WITHIN_S)
            assert one.text("#word") == "No contact"
            assert re.search(r"This page has no contact with Buoy since \d\d:\d\d:\d\d", one.text("#why"))
            assert "knew then: Up" in one.text("#why")
            assert one.text("#contact") == "no contact"
            colour = "getComputedStyle(document.querySelector('#word')).color"
            red, green, blue = (int(part) for part in re.findall(r"\d+", one.page.evaluate(colour)))
            assert max(red, green, blue) - min(red, green, blue) < 40, "grey, and no stale green"
            port.process.kill()
            port.process.environ["BUOY_LISTEN"] = one.origin
            port.start()
            one.until_state("up")
            assert one.text("#contact") == "in contact"


def test_a_buoy_that_stands_still_is_no_contact(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        one.page.clock.install()
        one.page.reload()
        one.until_state("up")
        port.process.signal(signal.SIGSTOP)
        try:
            one.page.clock.fast_forward("00:13")
            one.until_state("lost")
        finally:
            port.process.signal(signal.SIGCONT)
        one.until_state("up")


def test_several_bots_stand_one_by_one_and_alerts_above_all(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[CUT_OFF]) as one:
        status = status_of(one)
        (bot,) = status["bots"].values()
        down = {"state": "down", "cause": "zombie", "reason": HOSTILE, "attempt": 2, "next_try_s": 400.0}
        status["bots"] = {"1": bot, HOSTILE: bot | down}
        status["state"] = "down"
        status["alerts"] = {
            "open": [
                alert("disk", status["at"] - 300, notices.everywhere("disk", "", HOSTILE)),
                alert("dead_letter", status["at"] - 60, notices.everywhere("dead_letter", "b", "stands below")),
                alert("novel", status["at"], notices.everywhere("novel", HOSTILE, "d"), times=3),
            ],
            "undelivered": 2,
            "oldest_undelivered_s": 90.0,
        }
        told(one, status)
        one.until_state("down")
        assert one.text("#why .cause") == "1 of 2 bots are up."
        rows = one.page.locator("#bot-list .bot")
        expect(rows).to_have_count(2)
        expect(rows.nth(1)).to_be_visible()
        expect(rows.nth(0)).to_contain_text("Up")
        expect(rows.nth(1)).to_contain_text("heartbeats are not answered")
        expect(rows.nth(1)).to_contain_text(f"{HOSTILE}attempt 2 · next try in 6 min")
        alerts = one.text("#alerts")
        assert f"The disk is almost full for 5 min\n\n{HOSTILE} MB are free" in alerts
        assert "Bot b: a message could not be delivered for 1 min" in alerts
        assert "stands below" not in alerts
        assert "What to do: Free space on the disk that holds data_dir, or move data_dir." in alerts
        assert f"novel {HOSTILE} for 0 s\n\nd · 3 times" in alerts
        assert "2 notices are not delivered yet; the oldest waits 1 min 30 s." in alerts
        one.page.click("#language")
        expect(one.page.locator("#alert-list")).to_contain_text("磁盘快满了")


# --- what needs a person -----------------------------------------------------------------------------------------


def test_a_dead_letter_is_retried_and_arrives(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        message, name = dead_letter(port, "hello from the grave")
        row = row_of(one, name)
        assert "does not exist" in one.text(f"{row} .letter-why")
        assert "hello from the grave" in one.text(f"{row} .letter-text")
        one.page.get_by_role("button", name=f"Retry {name}", exact=True).focus()
        one.page.keyboard.press("Enter")
        assert one.page.evaluate("document.activeElement.className") == "letter-open", "whoever uses keys stays there"
        wait_until(lambda: port.judge.answers(message), "the answer is at the platform")
        expect(one.page.locator(f"{row} .letter-told")).to_contain_text("sent as")
        expect(one.page.locator(f"{row} .tag")).to_have_text("sent")


def test_a_retry_that_fails_again_is_told_even_where_no_snapshot_shows_it(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[CUT_OFF]) as one:
        _, name = dead_letter(port, "twice unlucky")
        told(one, status_of(one))
        row = row_of(one, name)
        port.refuse(GONE)
        port.judge.ask("POST", "/faults", kind="slow", mode="before", endpoint="send", seconds=0.7)
        one.page.get_by_role("button", name=f"Retry {name}", exact=True).click()
        expect(one.page.locator(f"{row} .letter-told")).to_contain_text("dead in ")
        expect(one.page.get_by_role("button", name=f"Retry {name}", exact=True)).to_be_visible()
        assert one.text("#word") == "Up", "a page without a stream looks by itself"


def test_a_letter_is_dropped_after_a_question_in_the_page(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        message, name = dead_letter(port, "not wanted any more")
        row = row_of(one, name)
        drop = one.page.get_by_role("button", name=f"Drop {name}", exact=True)
        drop.focus()
        one.page.keyboard.press("Enter")
        expect(one.page.locator(f"{row} .ask")).to_contain_text("never get it")
        assert one.page.evaluate("document.activeElement.textContent") == "Keep it", "the harmless one is at hand"
        one.page.keyboard.press("Enter")
        expect(drop).to_be_visible()
        drop.click()
        one.page.locator(f"{row} .danger").click()
        expect(one.page.locator(f"{row} .letter-told")).to_have_text("dropped")
        assert "dropped by a person" in port.trace(name)
        assert port.judge.answers(message) == []


def test_what_the_server_refuses_is_said(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        _, name = dead_letter(port, "somebody else was quicker")
        row = row_of(one, name)
        stale = one.page.evaluate("fetch('letters.json?state=dead').then((answer) => answer.text())")
        one.page.route("**/letters.json?state=dead", lambda route: route.fulfill(body=stale))
        assert port.process.command("outbox", "drop", name).returncode == 0
        one.page.get_by_role("button", name=f"Drop {name}", exact=True).click()
        one.page.locator(f"{row} .danger").click()
        expect(one.page.locator(f"{row} .letter-told")).to_contain_text("Buoy refused")


def test_one_messages_way_is_shown(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=["status of 404"]) as one:
        message = port.judge.say("where did it go")
        wait_until(lambda: port.judge.answers(message), "the answer")
        one.page.fill("#find-name", message)
        one.page.keyboard.press("Enter")
        expect(one.page.locator("#trace-steps li").last).to_contain_text("sent as")
        one.page.keyboard.press("Escape")
        expect(one.page.locator("#trace")).to_be_hidden()
        one.page.fill("#find-name", "out/999999")
        one.page.click("#find button")
        expect(one.page.locator("#trace-note")).to_have_text("Nothing is known of out/999999.")


# --- for whom ----------------------------------------------------------------------------------------------------


def test_it_speaks_the_browsers_language_and_remembers_another_choice(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, locale="zh-TW") as one:
        one.until_state("up")
        assert one.text("#word") == "在线"
        assert one.page.get_attribute("html", "lang") == "zh-CN"
        expect(one.page.locator("#letters .letter").first).to_contain_text("前")
        one.page.click("#language")
        expect(one.page.locator("#word")).to_have_text("Up")
        expect(one.page.locator("#letters-title")).to_have_text("Needs you")
        expect(one.page.locator("#letters .letter").first).to_contain_text("ago")
        one.page.reload()
        one.until_state("up")
        assert one.text("#word") == "Up"
        untranslated = re.findall(r"\b[a-z_]+\.[a-z_]+(?:\.[a-z]+)?\b", one.page.inner_text("body"))
        assert [word for word in untranslated if not re.search(r"q\.qq\.com|buoy|ValueError", word)] == []


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_a_phone_never_scrolls_sideways(browser: Browser, port: Harbour, locale: str) -> None:
    with tab(browser, port.url, locale=locale, viewport=SIDE_WIDTH, has_touch=True, is_mobile=True) as one:
        one.until_state("up")
        one.until("() => document.querySelectorAll('#letters .letter').length > 4")
        one.page.locator("#timeline-text summary").tap()
        assert one.overflow() == 0
        one.page.locator(".letter-acts button").nth(1).tap()
        assert one.overflow() == 0
        one.page.locator("#letters .letter-open").first.tap()
        expect(one.page.locator("#trace-steps li").first).to_be_visible()
        assert one.overflow() == 0


def test_the_timeline_is_read_by_finger_by_keys_and_in_words(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        one.until("() => document.querySelectorAll('#timeline .is-blocked').length > 0")
        one.page.locator("#timeline .is-blocked .hit").click()
        expect(one.page.locator("#timeline .pick")).to_contain_text("allowlist")
        chart = one.page.locator("#timeline .chart").first
        assert chart.get_attribute("aria-label") == "Timeline; the same stands below in words"
        chart.focus()
        one.page.keyboard.press("ArrowLeft")
        expect(one.page.locator("#timeline .pick")).to_contain_text("Up ")
        one.page.click("#timeline-text summary")
        words = one.text("#timeline-list")
        assert re.search(r"Blocked .+ \(2 h \d+ min\): ", words)
        assert "Gap" in words
        assert re.search(r"Down .+: the connection ended: close code 4009", words)


def test_what_people_write_stays_text(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        _, name = dead_letter(port, HOSTILE)
        row = row_of(one, name)
        assert HOSTILE in one.text(f"{row} .letter-text")
        one.page.click("#timeline-text summary")
        body = one.page.locator("body")
        for text in (f"reason {HOSTILE}", f"text {HOSTILE}", f"ValueError: {HOSTILE}"):
            expect(body).to_contain_text(text)
        expect(one.page.locator("#gaps")).to_contain_text(HOSTILE)
        expect(one.page.locator("#timeline-list")).to_contain_text(HOSTILE)
        one.page.locator(f"{row} .letter-open").click()
        expect(one.page.locator("#trace-steps li").first).to_be_visible()
        assert one.page.locator("img:not([src='icon.svg'])").count() == 0
        assert one.page.locator("script:not([src='page.js'])").count() == 0


def test_another_machine_has_to_show_the_token(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[TURNED_AWAY], extra_http_headers=FAR) as one:
        expect(one.page.locator("#login")).to_be_visible()
        assert one.page.locator("#board").is_hidden()
        one.page.fill("#token", "not the token at all")
        one.page.keyboard.press("Enter")
        expect(one.page.locator("#login-error")).to_have_text("That is not the token.")
        one.page.fill("#token", port.token)
        one.page.keyboard.press("Enter")
        one.until_state("up")
        assert one.page.locator("#login").is_hidden()
        assert port.token not in one.page.content()
        one.page.clock.install()
        one.page.reload()
        one.until_state("up")
        one.page.click("#logout")
        expect(one.page.locator("#login")).to_be_visible()
        asked: list[str] = []
        one.page.on("request", lambda request: asked.append(request.url))
        one.page.clock.run_for(70_000)
        assert asked == [], "who is out asks for nothing"


def test_by_night_the_page_is_dark(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, color_scheme="dark") as one:
        one.until_state("up")
        shades = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(int(part) for part in re.findall(r"\d+", shades)) < 48
