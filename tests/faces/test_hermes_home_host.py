"""Which Python runs Hermes: the scripts that installers write, and what is said where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from buoy.errors import ConfigError
from buoy.faces.hermes_home import host


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of an environment that holds Hermes."""
    path = tmp_path / "venv" / "bin" / "python3.11"
    path.parent.mkdir(parents=True)
    path.symlink_to(sys.executable)
    return path


def test_the_script_of_pip_names_it(tmp_path: Path, python: Path) -> None:
    hermes = script(tmp_path / "venv" / "bin" / "hermes", f"#!{python}\nimport sys\n")
    assert host.python_of({"PATH": str(hermes.parent)}) == python
    assert host.python_of({}, hermes) == python


def test_a_link_and_a_shell_script_lead_to_it(tmp_path: Path, python: Path) -> None:
    real = script(tmp_path / "venv" / "bin" / "hermes", f"#!{python}\n")
    wrapper = script(tmp_path / "opt" / "hermes", f'#!/usr/bin/env bash\nset -e\nexec "{real}" "$@"\n')
    link = tmp_path / "bin" / "hermes"
    link.parent.mkdir()
    link.symlink_to(wrapper)
    assert host.python_of({"PATH": str(link.parent)}) == python


def test_a_long_path_is_started_by_a_shell(tmp_path: Path, python: Path) -> None:
    text = f"#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\nimport sys\n"  # as pip writes it
    hermes = script(tmp_path / "far" / "hermes", text)
    assert host.python_of({}, hermes) == python


def test_a_script_that_names_nothing_has_its_python_beside_it(tmp_path: Path, python: Path) -> None:
    hermes = script(tmp_path / "venv" / "bin" / "hermes", "#!/usr/bin/env python3\n")
    beside = python.with_name("python3")
    beside.symlink_to(sys.executable)
    assert host.python_of({}, hermes) == beside
    assert host.python_of({}, python) == python, "a Python can be named as well"


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_no_hermes_is_one_line_with_what_to_do(path: str) -> None:
    with pytest.raises(ConfigError, match="no Hermes Agent here") as caught:
        host.python_of({"PATH": path})
    assert "--hermes" in str(caught.value)


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    hermes = script(tmp_path / "hermes", "#!/bin/sh\necho hi\n")
    with pytest.raises(ConfigError, match="cannot tell which Python"):
        host.python_of({}, hermes)


def test_a_python_without_hermes_says_so(tmp_path: Path) -> None:
    told = host.ask(Path(sys.executable), tmp_path, os.environ)
    assert told.hermes is None
    assert told.python == Path(sys.executable)
    assert told.platforms == {}


def test_a_python_that_does_not_run_is_one_line(tmp_path: Path) -> None:
    broken = script(tmp_path / "python", "#!/bin/sh\nexit 3\n")
    with pytest.raises(ConfigError, match="does not run"):
        host.ask(broken, tmp_path, os.environ)


def test_what_a_gateway_would_read_is_asked_of_hermes_itself(tmp_path: Path) -> None:
    """A stand-in for Hermes: modules of its names, with the few attributes that are read (0.13.0, 0.19.0 have them)."""
    site = tmp_path / "site"
    (site / "hermes_agent-0.19.0.dist-info").mkdir(parents=True)
    (site / "hermes_agent-0.19.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: hermes-agent\nVersion: 0.19.0\n"
    )
    script(
        site / "hermes_cli" / "env_loader.py",
        "import os\ndef load_hermes_dotenv(*, hermes_home):\n    os.environ['QQ_APP_ID'] = '7'\n",
    )
    script(
        site / "gateway" / "platform_registry.py",
        "class platform_registry:\n    get = staticmethod(lambda name: None)\n",
    )
    script(
        site / "gateway" / "config.py",
        "from types import SimpleNamespace as S\n"
        "print('noise')\n"
        "one = S(enabled=True, extra={'app_id': 7, 'client_secret': 'a-secret'}, home_channel=S(chat_id='H'))\n"
        "def load_gateway_config():\n"
        "    platforms = {'qqbot': one, 'telegram': one}\n"
        "    return S(platforms=platforms, get_connected_platforms=lambda: ['qqbot'])\n",
    )
    told = host.ask(Path(sys.executable), tmp_path, {**os.environ, "PYTHONPATH": str(site)})
    assert told.error is None
    assert told.hermes == "0.19.0"
    assert told.platforms.keys() == {"qqbot"}
    assert told.platforms["qqbot"]["app_id"] == "7"
    assert told.platforms["qqbot"]["complete"] is True
    assert "QQ_APP_ID" in told.environment
    assert "a-secret" not in repr(told)
    (site / "gateway" / "config.py").write_text("raise ValueError('a bad file')\n")
    assert (
        host.ask(Path(sys.executable), tmp_path, {**os.environ, "PYTHONPATH": str(site)}).error
        == "ValueError: a bad file"
    )


@pytest.mark.parametrize(
    ("version", "old"), [("0.12.9", True), ("0.13.0", False), ("0.19.0", False), ("1.0", False), ("0.9.1", True)]
)
def test_versions(version: str, old: bool) -> None:  # noqa: FBT001
    assert host.is_too_old(version) is old
