"""Draws docs/images/page.*.png: the page in a real Chromium over a real Buoy, an outage and the minute after it.

`make screenshots` runs it. Every picture comes from what the tests of the page run on, see :mod:`tests.page.harbour`.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.page.browsing import chromium, tab
from tests.page.harbour import Harbour, harbour, remember
from tests.system.processes import ROOT, wait_until

IMAGES = ROOT / "docs" / "images"
LARGEST = 250_000  # bytes of one picture
DESK = {"width": 1100, "height": 1180}
HAND = {"width": 390, "height": 844}
SAID = ("Is the build green?", "明天天气怎么样？", "Remind me at six", "谢谢！")


def draw(browser: Browser, port: Harbour, name: str, state: str, **profile: Any) -> None:
    """Wait for a state, and take a picture of what fits into the window."""
    path = IMAGES / f"page.{name}.png"
    with tab(browser, port.url, timezone_id="Asia/Shanghai", **profile) as one:
        one.until_state(state)
        one.until("() => document.querySelectorAll('#letters .letter').length > 2")
        one.until("() => document.querySelectorAll('#timeline .span').length > 3")
        if state == "up":
            one.until("() => /[4-9]/.test(document.querySelector('#lasts').textContent)")
            one.until("() => document.querySelector('#why .pulse').textContent.includes(' · ')")
        if state == "down":
            one.until("() => /[2-9] s|\\d\\d s/.test(document.querySelector('#why .next')?.textContent)")
        one.page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size // 1000} kB")
    assert size <= LARGEST, f"{path} has {size} bytes, and a picture of the documents may have {LARGEST}"


def main() -> int:
    """Play the scene and draw it."""
    with tempfile.TemporaryDirectory() as folder, harbour(Path(folder)) as port, chromium() as browser:
        remember(port.process.directory)
        port.start()
        for text in SAID:
            wait_until(partial(port.judge.answers, port.judge.say(text)), f"an answer to {text}")
        port.judge.network("down")
        draw(browser, port, "night", "down", viewport=DESK | {"height": 900}, color_scheme="dark")
        port.judge.network("up")
        draw(browser, port, "en", "up", viewport=DESK)
        draw(browser, port, "zh", "up", viewport=DESK, locale="zh-CN")
        draw(browser, port, "phone", "up", viewport=HAND, device_scale_factor=2, locale="zh-CN")
    return 0


if __name__ == "__main__":
    sys.exit(main())
