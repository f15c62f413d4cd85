"""The documents tell the truth: each setting, command, exit code and link appears, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buoy import errors
from buoy.faces.cli import app
from buoy.platforms.qq import health
from buoy.protocol import session as m
from buoy.settings import SETTINGS
from buoy.sim import Sim
from buoy.sim.control import Control
from tests.gateway.fakes import World, play

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
COMMANDS = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
COMMANDS |= {group.name for group in app.registered_groups}


@pytest.mark.parametrize("name", ["settings.md", "settings.zh.md"])
def test_every_setting_stands_in_the_documents_with_its_environment_name(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    for setting in SETTINGS:
        assert f"| `{setting.path}` |" in text, setting.path
        assert not setting.env or f"`{setting.env}`" in text, setting.env
    known = {setting.path for setting in SETTINGS}
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE)) == known, "no setting that does not exist"


@pytest.mark.parametrize("name", ["settings.md", "settings.zh.md"])
def test_every_exit_code_stands_in_the_documents(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    for code in {value for key, value in vars(errors).items() if key.startswith("EXIT_")}:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE), code


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_every_command_stands_in_the_readme(name: str) -> None:
    text = (ROOT / name).read_text()
    for command in COMMANDS:
        assert f"`buoy {command}" in text, command


@pytest.mark.parametrize("name", ["status.md", "status.zh.md"])
def test_every_key_of_the_snapshot_stands_in_the_documents(name: str) -> None:
    named = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs" / name).read_text()))
    bot = health.told(m.initial(3), 0.0, None) | {"since": 0.0, "connects": 0, "unstored": 0}
    found: set[str] = set()

    async def test(world: World) -> None:
        told = world.app.health()
        found.update(told, told["inbox"], told["inbox"]["states"], told["outbox"], told["outbox"]["states"])
        found.update(told["store"] or {}, *told["tasks"].values(), *told["outbox"]["pace"].values())

    play(test)
    assert (found | bot.keys()) - named == set()


@pytest.mark.parametrize("name", ["simulator.md", "simulator.zh.md"])
def test_every_request_that_the_simulators_control_takes_stands_in_the_documents(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    for request in Control(Sim(control_port=None), "127.0.0.1", 0)._known():
        assert f"`{request}`" in text, request


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_what_users_read_has_a_chinese_twin() -> None:
    for name in (
        "README",
        "CHANGELOG",
        "docs/settings",
        "docs/architecture",
        "docs/resilience",
        "docs/status",
        "docs/operations",
        "docs/web",
        "docs/metrics",
        "docs/deploy",
        "docs/library",
        "docs/simulator",
    ):
        english, chinese = (ROOT / f"{name}.md").read_text(), (ROOT / f"{name}.zh.md").read_text()
        assert len(re.findall(r"^#+ ", english, re.MULTILINE)) == len(re.findall(r"^#+ ", chinese, re.MULTILINE)), name
