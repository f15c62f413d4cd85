"""The picture of a bad history: it says what was recorded, and what was recorded is what happened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.world import adversity, drawing
from tests.world.words import CHINESE, ENGLISH, duration

ROOT = Path(__file__).parents[2]
SHORT = ("--seed", "24", "--days", "1.5")
SVG = "{http://www.w3.org/2000/svg}"
PLAIN = """
from tests.world.adversity import *
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
sys.unraisablehook = lambda _: None
world = World(24, 1.5, messages=MESSAGES, faults=FAULTS, crashes=CRASHES).run()
print(world.heap.steps, len(world.talks), len(world.platform.delivered))
"""


def python(*told: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONHASHSEED": "0"}
    command = [sys.executable, "-W", "ignore", *told]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short history, recorded and drawn."""
    into = tmp_path_factory.mktemp("adversity")
    done = python("-m", "tests.world.adversity", *SHORT, "--into", str(into))
    assert done.returncode == 0, done.stdout + done.stderr
    return into


@pytest.fixture(scope="module")
def recording(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "adversity.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module", params=["adversity.svg", "adversity.zh.svg"])
def picture(folder: Path, request: pytest.FixtureRequest) -> ET.Element:
    return ET.fromstring((folder / request.param).read_text(encoding="utf-8"))


def test_is_svg_that_needs_nothing_else(picture: ET.Element) -> None:
    assert picture.tag == f"{SVG}svg"
    told = [picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")]
    assert all(element is not None and element.text for element in told)
    text = ET.tostring(picture, encoding="unicode")
    assert "<script" not in text
    assert re.findall(r"url\(|@import|href|https?://(?!www\.w3\.org/2000/svg)", text) == []


def test_each_fault_is_a_band_and_each_kill_a_mark(picture: ET.Element, recording: dict[str, Any]) -> None:
    scale = (drawing.RIGHT - drawing.LEFT) / recording["seconds"]
    drawn = []
    for box in picture.iter(f"{SVG}rect"):
        style = box.get("class", "").split()
        if "band" in style:
            drawn.append((style[1].removeprefix("f-"), float(box.get("x", "")), float(box.get("width", ""))))
    assert len(recording["faults"]) > 20
    assert len(drawn) == len(recording["faults"])
    for family, _, begin, end in recording["faults"]:
        width = max(drawing.LEAST, (end - begin) * scale)
        left = min(drawing.LEFT + begin * scale, drawing.RIGHT - width)
        match = [b for b in drawn if b[0] == family and abs(b[1] - left) < 0.01 and abs(b[2] - width) < 0.01]
        assert match, (family, begin, end)
        drawn.remove(match[0])
    marks = next(path.get("d", "") for path in picture.iter(f"{SVG}path") if "kills" in path.get("class", ""))
    assert marks.count("M") == len(recording["kills"]) > 0


def test_caption_says_what_was_recorded(picture: ET.Element, recording: dict[str, Any]) -> None:
    totals = recording["totals"]
    shown = {t.get("data-total"): t.text for t in picture.iter(f"{SVG}text") if t.get("data-total")}
    words = CHINESE if any("条消息" in (t.text or "") for t in picture.iter(f"{SVG}text")) else ENGLISH
    assert shown.pop("outage_s") == duration(totals["outage_s"], words)
    assert shown == {name: f"{totals[name]:,}" for name in shown}
    assert len(shown) == 8
    sentences = " ".join(t.text or "" for t in picture.iter(f"{SVG}text"))
    numbers = {name: f"{number:,}" for name, number in totals.items()}
    assert words["sum"].format(**numbers) in sentences
    assert words["sum_more"].format(**numbers) in sentences
    assert recording["replay"] in sentences


def test_totals_are_those_of_the_recording(recording: dict[str, Any]) -> None:
    totals = recording["totals"]
    assert totals["messages"] == sum(totals[fate] for fate in drawing.FATES) == sum(recording["asked"])
    assert totals["answered"] == sum(recording["answered"]) > 0
    assert totals["in_gap"] + totals["withheld"] == sum(recording["missed"])
    assert totals["lost"] == totals["twice"] == 0
    assert totals["faults"] == len(recording["faults"])
    assert totals["kills"] == len(recording["kills"])
    assert totals["restarts"] == len(recording["starts"]) - 1
    assert totals["gaps"] == len(recording["gaps"])
    assert totals["outage_s"] == drawing.longest_outage(recording["bots"], recording["seconds"])[2] > 0


def test_looking_on_changes_nothing(recording: dict[str, Any]) -> None:
    done = python("-c", PLAIN)
    assert done.returncode == 0, done.stderr
    steps, messages, _ = map(int, done.stdout.split())
    assert (steps, messages) == (recording["steps"], recording["totals"]["messages"])


def test_broken_history_is_an_error_with_its_replay(tmp_path: Path) -> None:
    done = python("-m", "tests.world.adversity", *SHORT, "--bug", "no dedupe", "--into", str(tmp_path))
    assert done.returncode == 1
    assert "answered once: " in done.stdout
    assert "replay: python -m tests.world.adversity --seed 24 --days 1.5 --bug 'no dedupe'" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_committed_pictures_are_drawn_from_the_committed_recording(tmp_path: Path) -> None:
    committed = {path.name: path.read_bytes() for path in adversity.IMAGES.glob("adversity.*")}
    assert sorted(committed) == ["adversity.json", "adversity.svg", "adversity.zh.svg"]
    assert max(map(len, committed.values())) < 300_000
    (tmp_path / "adversity.json").write_bytes(committed["adversity.json"])
    adversity.draw(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == committed


def test_each_kind_of_fault_has_a_family() -> None:
    families = adversity.families()
    assert set(families.values()) == set(drawing.FAMILIES)
    assert families["refused"] == "network"
    assert families["no HELLO"] == "gateway"
    assert families["send hangs"] == "rest"
    assert families["disk full"] == families["clock jumps"] == "machine"
    assert set(adversity._OTHER) | set(adversity._FIRST) <= set(families)


def test_longest_outage_and_shares() -> None:
    bots = {"a": [(0, "trying"), (10, "live"), (50, "dead"), (60, "trying"), (90, "partial"), (95, "blocked")]}
    assert drawing.longest_outage(bots, 100) == ("a", 50, 40)
    assert drawing.longest_outage(bots, 200) == ("a", 95, 105)
    assert drawing.longest_outage({"a": bots["a"], "b": bots["a"]}, 100)[0] == "a"
    assert drawing.live_share(bots["a"], 100) == pytest.approx(0.4)
    assert drawing.shares(bots["a"], 100, 50)[0] == pytest.approx({"trying": 0.2, "live": 0.8})


def test_both_languages_say_the_same() -> None:
    assert ENGLISH.keys() == CHINESE.keys()
    for name, text in ENGLISH.items():
        assert sorted(re.findall(r"{.*?}", text)) == sorted(re.findall(r"{.*?}", CHINESE[name])), name
