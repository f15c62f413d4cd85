"""A real Chromium for the tests of the page, and what a page did in it that it may not do.

It drives Debian's own browser: `make test` installs it where it can.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
REMEDY = (
    "no Chromium: run `apt-get install chromium fonts-noto-cjk` (as root `make test` does), or name one in CHROMIUM"
)
CUT_OFF = "net::ERR_"
TURNED_AWAY = "status of 401"
WITHIN_S = 15.0  # longest that a page may take for what has no bound of its own


def executable() -> str:
    """Where Chromium is. Without one a test fails where it could be had, and is skipped, with the remedy, elsewhere."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if found is None:
        if os.environ.get("CI") or (os.geteuid() == 0 and shutil.which("apt-get")):
            pytest.fail(REMEDY, pytrace=False)
        pytest.skip(REMEDY)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; each tab has a profile of its own."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page, and everything in it that would worry somebody."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.origin = urlsplit(url).netloc
        self.worries: list[str] = []
        """Errors and warnings of the console (violations of the policy are among them), uncaught errors, dialogs,
        requests that leave the origin."""
        page.set_default_timeout(WITHIN_S * 1000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.worries.append(f"uncaught: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.worries.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.worries.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.netloc != self.origin:
            self.worries.append(f"request: {request.url}")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def until(self, condition: str, argument: Any = None, within_s: float = WITHIN_S) -> Any:
        """Wait until a JavaScript function says something true; returns that. An expression would need `eval`."""
        told = self.page.wait_for_function(condition, arg=argument, polling=20, timeout=within_s * 1000)
        return told.json_value()

    def until_state(self, state: str, within_s: float = WITHIN_S) -> None:
        """Wait until the page as a whole shows a state."""
        self.until("state => document.documentElement.dataset.state === state", state, within_s)

    def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextmanager
def tab(browser: Browser, url: str, *, expects: Sequence[str] = (), **profile: Any) -> Iterator[Tab]:
    """Open an address, and hold at the end that nothing happened that worries; ``expects`` are parts of what may.

    ``profile``: ``locale``, ``viewport`` ... of the browser's context.
    """
    context = browser.new_context(**({"locale": "en-GB", "reduced_motion": "reduce"} | profile))
    try:
        one = Tab(context.new_page(), url)
        one.page.goto(url)
        yield one
        left = [worry for worry in one.worries if not any(part in worry for part in expects)]
        assert left == []
    finally:
        context.close()


def status_of(one: Tab) -> dict[str, Any]:
    """The snapshot that Buoy tells now."""
    return dict(one.page.evaluate("fetch('status.json').then((answer) => answer.json())"))


def told(one: Tab, status: dict[str, Any]) -> None:
    """Load the page anew; from now on this snapshot is all that it is told, and no stream (``CUT_OFF``)."""
    tell(one, status)
    one.page.route("**/events", lambda route: route.abort())
    one.page.reload()


def tell(one: Tab, status: dict[str, Any]) -> None:
    """Let the page be told this when it looks next."""
    one.page.route("**/status.json", lambda route: route.fulfill(json=status))
