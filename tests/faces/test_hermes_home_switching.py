"""`buoy hermes install` and `uninstall` on the files of a home; what Hermes reads of it is told by a stand-in."""

from __future__ import annotations

import json
import resource
import stat
import threading
from pathlib import Path

import pytest

from buoy.errors import EXIT_OK, EXIT_REFUSED, ConfigError
from buoy.faces.hermes_home import files
from buoy.faces.hermes_home.host import Told
from buoy.faces.hermes_home.plan import Wish
from buoy.faces.hermes_home.switching import Manner, install, uninstall

SECRET, MODEL_KEY = "s3cret-of-the-bot", "sk-of-a-model-0123"
# written by hermes-agent 0.19.0 (`hermes config set`, `hermes cron create`), with comments of a person
CONFIG = f"""\
# mine
model:
  provider: custom   # in the cellar
  api_key: {MODEL_KEY}
plugins:
    enabled:
      - disk-cleanup
platforms:
  qqbot:
    enabled: true
    extra:
      app_id: 1000001
      client_secret: "{SECRET}"
"""
ENV = f"# keys\nOPENAI_API_KEY={MODEL_KEY}\nQQ_APP_ID=1000001\nQQ_CLIENT_SECRET={SECRET}\nQQ_ALLOWED_USERS=U1\n"
JOBS = json.dumps({"jobs": [{"id": "5808c4e901ce", "name": "morning", "deliver": "qqbot", "origin": None}]}, indent=2)
FILES = {"config.yaml": CONFIG, ".env": ENV, "cron/jobs.json": JOBS}


def told(home: Path, **platforms: dict[str, object]) -> Told:
    own = {"enabled": True, "complete": True, "app_id": "1000001", "home": None}
    return Told(home, "0.19.0", "0.1.0", ("buoy",), True, {"buoy": own} | platforms, None, None, ())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "config.yaml").chmod(0o640)
    (tmp_path / ".env").chmod(0o600)
    pairing = tmp_path / "platforms" / "pairing"
    pairing.mkdir(parents=True)
    (pairing / "qqbot-approved.json").write_text('{"U2": {"user_name": "Ann"}}')
    return tmp_path


def everything(home: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(home)): (file.read_bytes(), stat.S_IMODE(file.stat().st_mode))
        for file in sorted(home.rglob("*"))
        if file.is_file() and file.name != ".jobs.lock"
    }


def on(home: Path, **more: object) -> Manner:
    return Manner(home, asks=False, reads=lambda: told(home), **more)  # type: ignore[arg-type]


def test_installed_and_undone_every_file_is_as_it_was(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(home)
    assert install(Wish(), on(home), {}) == EXIT_OK
    between = everything(home)
    assert between.keys() > before.keys()
    assert b"- buoy" in between["config.yaml"][0]
    assert b"# mine" in between["config.yaml"][0]
    assert between["config.yaml"][1] == 0o640, "the mode stays"
    assert between["platforms/pairing/buoy-approved.json"][0] == before["platforms/pairing/qqbot-approved.json"][0]
    copies = {name: mode for name, (_, mode) in between.items() if name.endswith(".bak")}
    assert len(copies) == 3
    assert set(copies.values()) == {0o600}, "a copy of secrets is its owner's"
    assert between["buoy/install.json"][1] == 0o600
    assert SECRET.encode() not in between["buoy/install.json"][0]
    assert uninstall(on(home)) == EXIT_OK
    assert everything(home) == before
    shown = capsys.readouterr()
    assert "-QQ_APP_ID=1000001" in shown.out
    assert "+QQBOT_APP_ID=1000001" in shown.out
    for secret in (SECRET, MODEL_KEY):
        assert secret not in shown.out + shown.err
    assert uninstall(on(home)) == EXIT_OK
    assert "Nothing to undo" in capsys.readouterr().out


def test_a_second_install_says_that_nothing_changes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(Wish(), on(home), {})
    between = everything(home)
    capsys.readouterr()
    assert install(Wish(), on(home), {}) == EXIT_OK
    assert "Nothing to change" in capsys.readouterr().out
    assert everything(home) == between


def test_two_installations_are_undone_to_the_first_state(home: Path) -> None:
    before = everything(home)
    install(Wish(), on(home), {})
    jobs = home / "cron" / "jobs.json"
    made_since = json.loads(jobs.read_text())
    made_since["jobs"].append({"id": "2", "name": "late", "deliver": "qqbot"})
    jobs.write_text(json.dumps(made_since, indent=2))
    install(Wish(), on(home), {})
    assert [job["deliver"] for job in json.loads(jobs.read_text())["jobs"]] == ["buoy", "buoy"]
    uninstall(on(home))
    after = everything(home)
    assert [job["deliver"] for job in json.loads(after.pop("cron/jobs.json")[0])["jobs"]] == ["qqbot", "qqbot"]
    del before["cron/jobs.json"]
    assert after == before


def test_what_was_changed_since_stays_and_only_ours_is_reversed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(Wish(), on(home), {})
    config, env, jobs = home / "config.yaml", home / ".env", home / "cron" / "jobs.json"
    config.write_text(config.read_text().replace("# mine", "# still mine") + "display:\n  theme: dark\n")
    env.write_text(env.read_text().replace("BUOY_ALLOWED_USERS=U1", "BUOY_ALLOWED_USERS=U1,U3") + "NEW=1\n")
    data = json.loads(jobs.read_text())
    data["jobs"][0]["last_run_at"] = "2026-11-25T09:00:00+00:00"
    data["jobs"].append({"id": "2", "name": "late", "deliver": "buoy"})
    jobs.write_text(json.dumps(data, indent=2))
    capsys.readouterr()
    assert uninstall(on(home)) == EXIT_OK
    assert config.read_text() == CONFIG.replace("# mine", "# still mine") + "display:\n  theme: dark\n"
    assert env.read_text() == ENV.replace("=U1", "=U1,U3") + "NEW=1\n"
    assert [(job["name"], job["deliver"]) for job in json.loads(jobs.read_text())["jobs"]] == [
        ("morning", "qqbot"),
        ("late", "buoy"),
    ]
    assert "cron job late delivers to buoy" in capsys.readouterr().out
    assert list(home.glob("*.bak")), "where not all is as it was, the copies stay"


def test_a_value_that_somebody_set_since_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(Wish(), on(home), {})
    config = home / "config.yaml"
    config.write_text(config.read_text().replace("enabled: false", "enabled: maybe"))
    capsys.readouterr()
    uninstall(on(home))
    assert "enabled: maybe" in config.read_text()
    assert "buoy" not in config.read_text()
    assert "platforms.qqbot.enabled is not what it was left as" in capsys.readouterr().out


def test_a_dry_run_and_a_no_write_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(home)
    assert install(Wish(), on(home, shows_only=True), {}) == EXIT_OK
    assert "+      - buoy" in capsys.readouterr().out
    asks = Manner(home, asks=True, reads=lambda: told(home))
    with pytest.raises(ConfigError, match="nobody can be asked"):
        install(Wish(), asks, {})
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert install(Wish(), asks, {}) == EXIT_REFUSED
    assert everything(home) == before


@pytest.mark.parametrize(
    ("platforms", "named"),
    [
        ({"buoy": {"enabled": False, "complete": True}}, "does not see the platform buoy"),
        ({"buoy": {"enabled": True, "complete": False}}, "does not find the credentials"),
        ({"qqbot": {"enabled": True, "complete": True}}, "still switches its own qqbot adapter on"),
    ],
)
def test_where_hermes_does_not_read_it_so_all_is_put_back(
    home: Path, capsys: pytest.CaptureFixture[str], platforms: dict[str, dict[str, object]], named: str
) -> None:
    before = everything(home)
    manner = Manner(home, asks=False, reads=lambda: told(home, **platforms))
    assert install(Wish(), manner, {}) == EXIT_REFUSED
    assert named in capsys.readouterr().err
    assert everything(home) == before


def test_a_link_to_the_file_stays_a_link(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    dotfiles = tmp_path_factory.mktemp("dotfiles") / "hermes.yaml"
    (home / "config.yaml").rename(dotfiles)
    (home / "config.yaml").symlink_to(dotfiles)
    install(Wish(), on(home), {})
    assert (home / "config.yaml").is_symlink()
    assert "- buoy" in dotfiles.read_text()
    uninstall(on(home))
    assert (home / "config.yaml").is_symlink()
    assert dotfiles.read_text() == CONFIG


def test_files_that_were_not_there_are_gone_again(tmp_path: Path) -> None:
    assert install(Wish(app_id="7", secret=SECRET), on(tmp_path), {}) == EXIT_OK
    assert (tmp_path / ".env").read_text() == f"QQBOT_APP_ID=7\nQQBOT_CLIENT_SECRET={SECRET}\n"
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    uninstall(on(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_something_else_writes_is_left_alone(home: Path) -> None:
    (home / ".managed").touch()
    with pytest.raises(ConfigError, match="written by something else"):
        install(Wish(), on(home), {})


def test_the_lock_of_the_jobs_is_taken(home: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (home / "cron" / ".jobs.lock").open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held: list[str] = []

        def look() -> Told:
            held.append((home / "config.yaml").read_text())
            return told(home)

        thread = threading.Thread(target=install, args=(Wish(), Manner(home, asks=False, reads=look), {}))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "Hermes has the lock: we wait"
        assert (home / "config.yaml").read_text() == CONFIG
        fcntl.flock(lock, fcntl.LOCK_UN)
        thread.join(10)
    assert "- buoy" in held[0]


def test_what_cannot_be_written_is_one_line_and_leaves_no_copies(home: Path) -> None:
    (home / "buoy").write_text("a file where a folder has to be")
    before = everything(home)
    with pytest.raises(ConfigError, match=r"cannot read .*install\.json"):
        install(Wish(), on(home), {})
    assert everything(home) == before


def test_when_one_file_cannot_be_written_the_others_are_put_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = everything(home), files.replace

    def replace(file: Path, text: str) -> None:
        if file.name == "jobs.json":
            raise ConfigError(f"cannot write {file}")
        real(file, text)

    monkeypatch.setattr(files, "replace", replace)
    with pytest.raises(ConfigError, match=r"cannot write .*jobs\.json"):
        install(Wish(), on(home), {})
    assert everything(home) == before


def test_a_file_that_is_no_text_is_one_line(home: Path) -> None:
    (home / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no UTF-8"):
        install(Wish(), on(home), {})


def test_a_disk_that_is_full_leaves_no_half_copies(home: Path) -> None:
    env = home / ".env"
    env.write_text(env.read_text() + f"# {'x' * 5000}\n")
    before, limits = everything(home), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # config.yaml fits, .env does not
    try:
        with pytest.raises(ConfigError, match=r"cannot copy .*\.env"):
            install(Wish(), on(home), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert everything(home) == before


def test_a_secret_that_was_changed_since_is_not_put_back(home: Path) -> None:
    env = home / ".env"
    env.write_text("QQBOT_APP_ID=1000001\nQQBOT_CLIENT_SECRET=the-first-secret\n")
    assert install(Wish(secret="the-second-secret"), on(home), {}) == EXIT_OK
    assert "the-second-secret" in env.read_text()
    env.write_text(env.read_text().replace("the-second-secret", "the-third-secret") + "OTHER=1\n")
    assert uninstall(on(home)) == EXIT_OK
    assert "QQBOT_CLIENT_SECRET=the-third-secret\n" in env.read_text()
