"""Buttons end to end: a real `buoy run`, real sockets, and everything between the click and its answer taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import wait_until
from tests.system.stage import Stage, stage

pytestmark = pytest.mark.system

ACK_S = 3.0  # protocol.md 16.3


class Buttons:
    """A stage whose agent asks and shows menus."""

    def __init__(self, play: Stage, folder: Path) -> None:
        self.play = play
        self.diary = folder / "diary"

    def asked(self, text: str, **switches: Any) -> dict[str, Any]:
        """Say something, and wait for the message with buttons that comes of it."""
        before = len(self.shown())
        self.play.judge.say(text, **switches)
        wait_until(lambda: len(self.shown()) > before, f"buttons\n{self.play.tail()}")
        return self.shown()[-1]

    def shown(self) -> list[dict[str, Any]]:
        return [one for one in self.play.judge.ask("GET", "/log") if one["keyboard"]]

    def press(self, button: str, **switches: Any) -> str:
        return str(self.play.judge.ask("POST", "/press", button=button, **switches)["id"])

    def texts(self) -> list[str]:
        return [one["text"] for one in self.play.judge.ask("GET", "/log")]

    def acknowledged(self, clicks: int) -> None:
        """The platform has taken so many acknowledgements, all of them in time."""
        wait_until(lambda: self.count("interactions_acked") == clicks, f"the acknowledgement\n{self.play.tail()}")
        assert self.count("interactions_late") == 0
        assert self.count("requests_interaction") == clicks, "one each"
        assert all(line["took_ms"] < ACK_S * 1000 for line in self.play.log("click acknowledged"))

    def count(self, name: str) -> int:
        return int(self.play.judge.state()["counters"].get(name, 0))

    def pressed(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []


@pytest.fixture
def buttons(tmp_path: Path) -> Iterator[Buttons]:
    with stage(tmp_path, BUOY_AGENT="python:asking:agent") as one:
        one.start()
        yield Buttons(one, tmp_path)


def test_a_question_is_answered_by_its_button(buttons: Buttons) -> None:
    message = buttons.asked("ask")
    assert message["text"] == "Run \\*it\\*?\n\n1. Allow\n2. Deny"
    assert [(key["label"], key["style"]) for key in message["keyboard"][0]] == [("Allow", 1)]
    buttons.press("Allow")
    wait_until(lambda: "chosen allow" in buttons.texts(), f"the answer\n{buttons.play.tail()}")
    buttons.acknowledged(1)


def test_a_click_is_acknowledged_while_the_agent_hangs_and_the_websocket_is_cut_behind_it(buttons: Buttons) -> None:
    buttons.asked("menu")
    buttons.play.judge.say("wait")  # this lane is busy from now on
    wait_until(lambda: buttons.play.rows("SELECT 1 FROM inbox WHERE state = 'running'"), "the agent hangs")
    buttons.play.fault("upgrade_status", count=None)  # and no other WebSocket can be opened
    click = buttons.press("Two")
    buttons.play.fault("ws_reset")
    buttons.acknowledged(1)
    wait_until(lambda: len(buttons.pressed()) == 1, "the agent got it")
    assert buttons.pressed()[0].startswith("two by ")
    assert buttons.play.is_stored(click)
    assert buttons.play.rows("SELECT count(*) FROM inbox WHERE state = 'running'") == [(1,)], "the turn goes on"


def test_a_click_on_a_question_of_a_process_that_died_answers_it(buttons: Buttons) -> None:
    buttons.asked("ask", scene="group")
    buttons.play.process.kill()
    buttons.press("Deny", scene="group")  # the platform keeps it for whoever resumes the session
    buttons.play.start()
    wait_until(lambda: "chosen deny" in buttons.texts(), f"the answer\n{buttons.play.tail()}")
    assert len(buttons.shown()) == 1, "nobody is asked twice"


def test_where_buttons_are_refused_the_question_can_be_answered_by_its_number(buttons: Buttons) -> None:
    buttons.play.judge.ask("POST", "/bots", app_id="102000001", keyboards=False)
    buttons.play.judge.say("ask")
    wait_until(buttons.texts, f"the question\n{buttons.play.tail()}")
    assert buttons.texts() == ["Run *it*?\n\n1. Allow\n2. Deny"]
    buttons.play.judge.say("2")
    wait_until(lambda: "chosen deny" in buttons.texts(), f"the answer\n{buttons.play.tail()}")
