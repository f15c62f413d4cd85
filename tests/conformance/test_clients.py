"""Other people's clients against the simulator: what they take for QQ is faithful enough for us to be judged by."""

from __future__ import annotations

import html
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import APP_ID, ROOT, SECRET, Platform, platform, wait_until

pytestmark = pytest.mark.conformance

SCENES = ("c2c", "group", "channel", "dm")
SIM_OPTIONS: dict[str, tuple[str, ...]] = {
    "nonebot": ("--heartbeat", "2"),
    "botpy": (),  # its first heartbeat leaves after 30 s, whatever HELLO says
}


class Client:
    """An echo bot in a process and an environment of its own, and the platform that it talks to."""

    def __init__(self, name: str, judge: Platform, directory: Path) -> None:
        self.name = name
        self.judge = judge
        self.log = directory / f"{name}.log"
        python = ROOT / f".venv-{name}/bin/python"
        assert python.exists(), f"{python} is missing; run `make test`, which sets it up"
        ours = ("QQ", "PYTHON", "VIRTUAL_ENV")
        environ = {k: v for k, v in os.environ.items() if not k.startswith(ours) and not k.lower().endswith("_proxy")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [python, ROOT / f"tests/conformance/bots/{name}_echo.py", judge.api_base, APP_ID, SECRET],
                cwd=directory,
                env=environ,
                stdout=log,
                stderr=log,
            )

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something that the client causes; its last words tell why it did not."""
        try:
            wait_until(lambda: condition() or self.process.poll() is not None, what, 10.0)
            assert condition(), f"{what}: the client ended with exit code {self.process.returncode}"
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}\n{self.log.read_text()[-3000:]}") from None

    def answers(self, message_id: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a message was answered, and until the client has understood what the platform said to that."""

        def understood() -> bool:
            ids = [one["id"] for one in self.judge.answers(message_id)]
            return len(ids) >= count and all(f"accepted {one}\n" in self.log.read_text() for one in ids)

        self.wait_until(understood, f"{count} answer(s) to {message_id}")
        return self.judge.answers(message_id)

    @property
    def complaints(self) -> int:
        return self.log.read_text().count("ERROR")

    def count(self, name: str) -> int:
        return int(self.judge.state()["counters"].get(name, 0))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module", params=SIM_OPTIONS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    name = str(request.param)
    with platform(*SIM_OPTIONS[name]) as judge:
        one = Client(name, judge, tmp_path_factory.mktemp(name))
        try:
            one.wait_until(lambda: one.count("ready"), "READY")
            assert one.answers(judge.say("hello"))
            assert (one.count("connects"), one.complaints) == (1, 0), one.log.read_text()
            yield one
        finally:
            one.stop()


@pytest.mark.parametrize("scene", SCENES)
def test_a_message_is_answered(client: Client, scene: str) -> None:
    complaints = client.complaints
    (answer,) = client.answers(client.judge.say("is 2 < 3 & 4?", scene=scene))
    said = answer["text"].rpartition("<@!7000000000000000001>")[2].strip()  # botpy keeps the mention in channels
    assert said == ("is 2 < 3 & 4?" if scene in {"c2c", "group"} else html.escape("is 2 < 3 & 4?"))
    assert (answer["scene"], answer["proactive"]) == (scene, False)
    assert client.complaints == complaints


@pytest.mark.parametrize("scene", SCENES)
def test_messages_in_a_row_are_answered_once_each(client: Client, scene: str) -> None:
    said = [client.judge.say(text, scene=scene) for text in ("first", "second")]
    answers = [client.answers(one) for one in said]
    assert [[one["text"].split()[-1] for one in each] for each in answers] == [["first"], ["second"]]
    seq = 1 if scene in {"c2c", "group"} else None
    assert [[one["msg_seq"] for one in each] for each in answers] == [[seq], [seq]]


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_msg_seq_decides_whether_a_second_reply_passes(client: Client, scene: str) -> None:
    """nonebot counts replies; botpy says 1 each time unless told otherwise, and its second reply is a duplicate."""
    refused = client.count("duplicates_refused")
    message = client.judge.say("one\ntwo", scene=scene)
    if client.name == "nonebot":
        answers = client.answers(message, 2)
        assert [(one["text"].strip(), one["msg_seq"]) for one in answers] == [("one", 1), ("two", 2)]
        assert client.count("duplicates_refused") == refused
    else:
        client.wait_until(lambda: client.count("duplicates_refused") == refused + 1, "a duplicate is refused")
        assert [(one["text"].strip(), one["msg_seq"]) for one in client.answers(message)] == [("one", 1)]
        client.wait_until(lambda: "ServerError: same msg_id and msg_seq" in client.log.read_text(), "it is told so")


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_a_button_is_shown_pressed_and_acknowledged(client: Client, scene: str) -> None:
    complaints, acked = client.complaints, client.count("interactions_acked")
    (menu,) = client.answers(client.judge.say("menu", scene=scene))
    assert [(key["label"], key["data"]) for key in menu["keyboard"][0]] == [("Yes", "y"), ("No", "n")]
    clicked = client.judge.ask("POST", "/press", button="No", message=menu["id"])
    assert clicked["heard"] == 1
    client.wait_until(lambda: f"clicked n by {clicked['user']}\n" in client.log.read_text(), "the click is understood")
    client.wait_until(lambda: client.count("interactions_acked") == acked + 1, "it is acknowledged in time")
    assert (client.count("interactions_late"), client.complaints) == (0, complaints)


@pytest.mark.parametrize("interruption", ["network down", "op 7 and 4009"])
def test_an_interrupted_session_is_resumed_and_nothing_is_lost(client: Client, interruption: str) -> None:
    before = {name: client.count(name) for name in ("identifies", "resumed", "replayed")}
    if interruption == "network down":
        client.judge.network("down")
        time.sleep(1.0)
    else:
        client.judge.ask("POST", "/faults", kind="op7")
    message = client.judge.say("meanwhile")
    client.judge.network("up")
    client.wait_until(lambda: client.count("resumed") > before["resumed"], "RESUMED")
    (answer,) = client.answers(message)
    assert answer["text"] == "meanwhile"
    after = {name: client.count(name) for name in before}
    assert after == {k: v + (k != "identifies") for k, v in before.items()}
    assert client.answers(client.judge.say("and on"))


@pytest.mark.parametrize("client", ["nonebot"], indirect=True)
def test_heartbeats_as_often_as_hello_says_keep_a_session_alive(client: Client) -> None:
    connects, beats = client.count("connects"), client.count("heartbeats")
    client.wait_until(lambda: client.count("heartbeats") >= beats + 3, "three heartbeats, two seconds apart")
    assert client.count("connects") == connects
    assert client.answers(client.judge.say("still there?"))
