"""A page that is left open for days: other tabs, an update of Buoy, a clock that jumps, a login that ends."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from tests.page.browsing import CUT_OFF, TURNED_AWAY, status_of, tab, tell, told
from tests.page.harbour import Harbour

pytestmark = pytest.mark.system

CONNECTIONS = 6  # of a browser to one place
HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
ROWS = "document.querySelectorAll('#timeline-list li').length"


def test_tabs_that_nobody_sees_leave_connections_to_the_one_that_is_seen(browser: Browser, port: Harbour) -> None:
    context = browser.new_context(reduced_motion="reduce")
    try:
        for _ in range(CONNECTIONS):
            hidden = context.new_page()
            hidden.goto(port.url)
            hidden.wait_for_function("() => document.documentElement.dataset.state === 'up'", timeout=5000)
            hidden.evaluate(HIDE)
        seen = context.new_page()
        seen.goto(port.url, timeout=5000)
        expect(seen.locator("#word")).to_have_text("Up")
        fault = port.judge.ask("POST", "/faults", kind="banned")["id"]
        expect(seen.locator("#word")).to_have_text("Blocked")
        expect(hidden.locator("#word")).to_have_text("Blocked", timeout=7000)
        port.judge.ask("DELETE", f"/faults/{fault}")
    finally:
        context.close()
    port.restart()  # a blocked bot looks again in a quarter of an hour


def test_a_snapshot_that_cannot_be_shown_is_no_contact_and_the_next_one_is(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[CUT_OFF, "uncaught: "]) as one:
        status = status_of(one)
        told(one, status)
        one.until_state("up")
        tell(one, {name: value for name, value in status.items() if name != "outbox"})
        one.until_state("lost")
        assert one.text("#contact") == "no contact"
        tell(one, status)
        one.until_state("up")


def test_a_page_of_another_version_loads_itself_anew(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[CUT_OFF]) as one:
        status = status_of(one)
        told(one, status)
        one.until_state("up")
        one.page.evaluate("document.body.id = 'old'")
        tell(one, status | {"version": "99"})
        one.until("() => document.body.id === ''")
        expect(one.page.locator("#machine")).to_contain_text("Buoy 99")


def test_the_day_goes_on_though_the_clock_was_put_back(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url) as one:
        one.page.clock.install()
        one.page.reload()
        one.until_state("up")
        one.page.clock.set_system_time(time.time() - 86_400)
        with one.page.expect_request("**/timeline.json*"):
            one.page.clock.run_for(70_000)


def test_whoever_is_out_finds_nothing_of_what_was_shown(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[CUT_OFF, TURNED_AWAY]) as one:
        one.until("() => document.querySelectorAll('.letter').length > 0")
        one.page.locator(".letter-open").first.click()
        expect(one.page.locator("#trace")).to_be_visible()
        one.page.route("**/*.json*", lambda route: route.fulfill(status=401, body="{}"))
        one.page.evaluate("document.querySelector('#logout').click()")
        expect(one.page.locator("#login")).to_be_visible()
        expect(one.page.locator("#trace")).to_be_hidden()
        assert one.page.locator(".letter").count() == 0


def test_ten_thousand_dead_letters_are_said_to_be_so_many(browser: Browser, port: Harbour) -> None:
    with tab(browser, port.url, expects=[CUT_OFF]) as one:
        status = status_of(one)
        status["outbox"]["states"] |= {"dead": 10_000, "held": 0, "unsure": 0}
        status["inbox"]["states"]["dead"] = 0
        told(one, status)
        expect(one.page.locator("#letters-sum")).to_have_text("the newest 50 of 10,000")


def test_a_day_on_which_the_clocks_change_keeps_its_hours(browser: Browser, port: Harbour) -> None:
    ends = datetime(2026, 10, 25, 15, tzinfo=UTC).timestamp()  # Berlin had the hour from 2 to 3 twice in this night
    shard = {"bot": "1", "state": "down", "from_at": ends - 3600, "to_at": ends, "cause": "closed"}
    day = {"from": ends - 24 * 3600, "to": ends, "gaps": [], "spans": [shard | {"shard": n} for n in (0, 1)]}
    with tab(browser, port.url, expects=[CUT_OFF], timezone_id="Europe/Berlin", locale="de-DE") as one:
        one.page.route("**/timeline.json*", lambda route: route.fulfill(json=day))
        told(one, status_of(one))
        one.until(f"() => {ROWS} === 2")
        hours = one.page.locator("#timeline .tick:not(.minor)").all_text_contents()
        assert hours == ["18:00", "00:00", "06:00", "12:00"]
        for _ in range(2):
            one.page.click("#language")
        assert one.page.evaluate(ROWS) == 2, "two that say the same stand there twice, and no more"
