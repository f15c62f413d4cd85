"""`buoy setup`: a person at a terminal, a script with flags, every refusal, and a file that `buoy run` takes."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from buoy.config import load
from buoy.errors import ConfigError
from buoy.faces.placing import write
from buoy.faces.setup import Answers, answers_of, toml
from buoy.faces.setup_words import TROUBLES, WORDS, word
from buoy.protocol.session import Trouble
from tests.system.processes import APP_ID, SECRET, Platform, platform


@pytest.fixture(scope="module")
def running() -> Iterator[Platform]:
    with platform("--no-limits") as one:
        yield one


@pytest.fixture
def judge(running: Platform) -> Iterator[Platform]:
    yield running
    running.ask("DELETE", "/faults")


def environ(home: Path, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not re.match("QQ|BUOY|OPENAI|LC_|LANG|XDG", k)}
    return clean | {"HOME": str(home), "PYTHONPATH": str(Path.cwd() / "src"), "LANG": "C.UTF-8"} | more


def setup(folder: Path, *options: str, typed: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "buoy", "setup", *options],
        env=environ(folder, **more), cwd=folder, input=typed, capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip


class Terminal:
    """A person's terminal with the command in it."""

    def __init__(self, folder: Path, *options: str, **more: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "buoy", "setup", *options],
            env=environ(folder, **more), cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.screen = ""
        self._seen = 0

    def sees(self, text: str) -> None:
        """Wait for a text after what was seen last."""
        ends_at = time.monotonic() + 20
        while text not in self.screen[self._seen :]:
            assert time.monotonic() < ends_at, f"not seen: {text!r} in\n{self.screen}"
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self.screen += os.read(self._ours, 4096).decode()
                except OSError:
                    raise AssertionError(f"ended before {text!r}:\n{self.screen}") from None
        self._seen = self.screen.index(text, self._seen) + len(text)

    def types(self, text: str) -> None:
        os.write(self._ours, text.encode() + b"\n")

    def ends(self) -> int:
        with suppress(OSError):  # what is left on the screen
            while data := os.read(self._ours, 4096):
                self.screen += data.decode()
        os.close(self._ours)
        return self.process.wait(20)


def test_a_person_is_led_through_a_wrong_secret_to_a_file_that_works(judge: Platform, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--api-base", judge.api_base)
    terminal.sees("AppID: ")
    terminal.types(APP_ID)
    terminal.sees("AppSecret (is not shown): ")
    terminal.types("a-wrong-secret-of-mine")
    terminal.sees("100016")
    terminal.sees("[a]gain")
    terminal.types("a")
    terminal.sees(f"AppID [{APP_ID}]: ")
    terminal.types("")
    terminal.sees("AppSecret (is not shown): ")
    terminal.types(SECRET)
    terminal.sees("QQ knows this bot")
    terminal.sees("Who answers?")
    terminal.types("parrot")
    terminal.sees("bots[0].agent.kind")
    terminal.sees("Who answers?")
    terminal.types("")
    terminal.sees("Folder for the database")
    terminal.types("")
    terminal.sees("Wrote")
    assert terminal.ends() == 0, terminal.screen
    assert SECRET not in terminal.screen
    assert "a-wrong-secret" not in terminal.screen
    for trap in ("IP allowlist", "Sandbox", "Events", "Links", "One AppID"):
        assert f"- {trap}" in terminal.screen
    assert "buoy run " in terminal.screen
    file = tmp_path / "buoy.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    config = load(file, {})
    assert (config.bots[0].app_id, config.bots[0].client_secret.reveal()) == (APP_ID, SECRET)
    assert config.bots[0].agent.kind == "echo"
    assert config.data_dir == tmp_path / ".local/share/buoy"
    assert config.warnings == ()


def test_an_existing_file_is_replaced_only_when_told_and_kept(judge: Platform, tmp_path: Path) -> None:
    file = tmp_path / "buoy.toml"
    file.write_text("# mine\n")
    file.chmod(0o640)
    options = ("--app-id", APP_ID, "--api-base", judge.api_base, "--agent", "echo", "--data-dir", "data")
    terminal = Terminal(tmp_path, *options, QQ_CLIENT_SECRET=SECRET)
    terminal.sees("[y/N]: ")
    terminal.types("")
    assert terminal.ends() == 2
    assert file.read_text() == "# mine\n"
    assert setup(tmp_path, *options, QQ_CLIENT_SECRET=SECRET).returncode == 2
    assert [one.name for one in tmp_path.iterdir()] == ["buoy.toml"]
    done = setup(tmp_path, *options, "--force", QQ_CLIENT_SECRET=SECRET)
    assert done.returncode == 0, done.stderr
    (backup,) = tmp_path.glob("buoy.toml.*.bak")
    assert backup.read_text() == "# mine\n"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert load(file, {}).data_dir == tmp_path / "data"
    terminal = Terminal(tmp_path, *options, QQ_CLIENT_SECRET=SECRET)
    terminal.sees("[y/N]: ")
    terminal.types("y")
    terminal.sees("Wrote")
    assert terminal.ends() == 0


def test_a_person_may_fix_the_allowlist_and_try_again(judge: Platform, tmp_path: Path) -> None:
    judge.ask("POST", "/faults", kind="ip_refused")
    terminal = Terminal(
        tmp_path, "--app-id", APP_ID, "--api-base", judge.api_base, "--agent", "echo", "--data-dir", "d",
        QQ_CLIENT_SECRET=SECRET, LANG="zh_CN.UTF-8",
    )  # fmt: skip
    terminal.sees("IP 白名单")
    terminal.sees("[a] 重试")
    judge.ask("DELETE", "/faults")
    terminal.types("a")
    terminal.sees("QQ 认识这个机器人")
    terminal.sees("已写入")
    assert terminal.ends() == 0


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("bad_secret", 1, "100016"),
        ("ip_refused", 0, "IP allowlist (11298)"),
        ("token_down", 1, "cannot be reached from here"),
    ],
)
def test_what_is_wrong_at_qq_is_said_in_words(
    judge: Platform, tmp_path: Path, fault: str, code: int, said: str
) -> None:
    judge.ask("POST", "/faults", kind=fault)
    done = setup(tmp_path, "--app-id", APP_ID, "--api-base", judge.api_base, "--secret", "-", typed=SECRET)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert (tmp_path / "buoy.toml").exists() == (code == 0), "a secret that is not known to be right is not written"
    assert SECRET not in done.stdout + done.stderr


def test_without_a_network_no_check_writes_all_the_same(tmp_path: Path) -> None:
    options = ("--app-id", APP_ID, "--api-base", "http://127.0.0.1:9")
    done = setup(tmp_path, *options, QQ_CLIENT_SECRET=SECRET)
    assert (done.returncode, (tmp_path / "buoy.toml").exists()) == (1, False)
    assert "no connection to 127.0.0.1:9" in done.stderr
    assert "--no-check" in done.stderr
    assert setup(tmp_path, *options, "--no-check", QQ_CLIENT_SECRET=SECRET).returncode == 0
    assert load(tmp_path / "buoy.toml", {}).bots[0].client_secret.reveal() == SECRET


def test_a_secret_file_is_named_and_not_copied(judge: Platform, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    done = setup(tmp_path, "--secret-file", "secret.txt", QQ_APP_ID=APP_ID, QQ_API_BASE=judge.api_base)
    assert done.returncode == 0, done.stderr
    assert SECRET not in (tmp_path / "buoy.toml").read_text()
    assert load(tmp_path / "buoy.toml", {}).bots[0].client_secret.reveal() == SECRET


@pytest.mark.parametrize(
    ("options", "typed", "said"),
    [
        (("--secret", "in-plain-sight"), "", "--secret -"),
        (("--secret", "-", "--secret-file", "x"), "", "only one"),
        (("--secret", "-", "--app-id", "1"), "\n", "standard input is empty"),
        (("--secret", "-"), "s3cret", "QQ_APP_ID"),
        (("--app-id", "1"), "", "QQ_CLIENT_SECRET"),
        (("--app-id", "not an id", "--secret", "-"), "s3cret", "app_id"),
        (("--app-id", "1", "--secret-file", "nowhere"), "", "nowhere"),
        (("--app-id", "1", "--secret", "-", "--agent", "parrot"), "s3cret", "parrot"),
        (("--app-id", "1", "--secret", "-", "--api-base", "http://example.org"), "s3cret", "TLS"),
        (("--app-id", "1", "--secret", "-", "--no-check", "-c", "/proc/no/buoy.toml"), "s3cret", "cannot write"),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(
    tmp_path: Path, options: tuple[str, ...], typed: str, said: str
) -> None:
    done = setup(tmp_path, *options, typed=typed)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "in-plain-sight" not in done.stderr
    assert list(tmp_path.iterdir()) == []


ODD = 'quote " back\\slash \x7f tab\t新 \U0001f600'


def test_every_text_survives_the_file(tmp_path: Path) -> None:
    given = Answers("1", ODD, None, "openai", ODD, "https://h/v1", ODD, "https://h", tmp_path / "d d")
    file = tmp_path / "buoy.toml"
    assert write(file, toml(given)) is None
    assert tomllib.loads(file.read_text())["bots"][0]["client_secret"] == ODD
    agent = load(file, {}).bots[0].agent
    assert (agent.kind, agent.model, agent.base_url, agent.settings()["api_key"]) == (
        "openai",
        ODD,
        "https://h/v1",
        ODD,
    )


def test_flags_win_over_the_environment() -> None:
    env = {"QQBOT_APP_ID": "2", "QQ_CLIENT_SECRET": "env", "QQ_CLIENT_SECRET_FILE": "/f", "BUOY_AGENT": "  "}
    assert answers_of(env, Answers()) == Answers("2", "env")
    assert answers_of(env, Answers("1", "flag")) == Answers("1", "flag")
    assert answers_of(env, Answers(secret_file=Path("/g"))) == Answers("2", None, Path("/g"))
    assert answers_of({"QQ_CLIENT_SECRET_FILE": "/f"}, Answers()).secret_file == Path("/f")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    (tmp_path / f".a.{os.getpid()}.new").mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        write(file, "new")
    assert file.read_text() == "old"


def test_every_trouble_of_a_look_up_has_words_in_both_languages() -> None:
    from buoy.platforms.qq import locate  # noqa: PLC0415

    raised = {*locate._TOKEN_TROUBLES.values(), *locate._LOOKUP_TROUBLES.values()}
    assert raised | {Trouble.TRANSIENT, Trouble.IP, Trouble.BANNED} == TROUBLES.keys()
    for english, chinese in (*TROUBLES.values(), *WORDS.values()):
        assert english.isascii()
        assert english == "AppID" or not chinese.isascii()
        assert re.findall(r"\{\w+", english) == re.findall(r"\{\w+", chinese)
    assert word("agent", {"LC_ALL": "", "LANG": "zh_CN.UTF-8"}) == WORDS["agent"][1]
    assert word("agent", {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) == WORDS["agent"][0]
