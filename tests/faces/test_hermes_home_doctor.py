"""`buoy hermes doctor` and `status`: every verdict has a scene that finds it, and a text in both languages."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buoy.durable.lock import lock_directory
from buoy.errors import EXIT_OK, EXIT_REFUSED
from buoy.faces.doctor.verdicts import Level
from buoy.faces.hermes_home import looking, probe, telling
from buoy.faces.hermes_home.host import Told
from buoy.faces.hermes_home.judging import Finding, Verdict, judge
from buoy.faces.hermes_home.looking import Data, Facts, Gateway, gateway_of, look
from buoy.faces.hermes_home.words import WORDS
from buoy.faces.status import EXIT_NOT_RUNNING

V = Verdict
OWN: Mapping[str, Any] = {
    "enabled": True, "complete": True, "app_id": "1000001", "has_secret": True, "home": "U1", "data_dir": "",
    "group_policy": "",
}  # fmt: skip
TOLD = Told(Path("/venv/bin/python"), "0.19.0", "0.1.0", ("buoy", "buoy-qqbot"), True, {"buoy": OWN}, None, None, ())
WELL = Facts(
    home=Path("/home/x/.hermes"),
    told=TOLD,
    enabled=("buoy",),
    name="buoy",
    env={"BUOY_ALLOWED_USERS": "U1"},
    gateway=Gateway(7, runs=True, state="running", platforms={"buoy": {"state": "connected"}}),
    data=Data(Path("/data"), exists=True, held_by="pid 7"),
    jobs=(),
    paired=False,
    is_safe_mode=False,
    now=1000.0,
    newest_at=990.0,
)


def told(**changes: Any) -> Facts:
    return replace(WELL, told=replace(TOLD, **changes))


def platform(**changes: Any) -> Facts:
    return told(platforms={"buoy": {**OWN, **changes}})


SCENES: dict[V, Facts] = {
    V.NO_HERMES: told(hermes=None),
    V.OLD_HERMES: told(hermes="0.12.4"),
    V.NO_PACKAGE: told(buoy=None, entry_points=()),
    V.CONFLICTS: replace(WELL, conflicts=("buoy-qq 0.1.0 requires msgspec, which is not installed.",)),
    V.UNREADABLE: told(error="ScannerError: line 3", platforms={}),
    V.SAFE_MODE: replace(told(platforms={}), is_safe_mode=True),
    V.BOTH_NAMES: replace(WELL, enabled=("buoy", "buoy-qqbot")),
    V.NOT_ENABLED: replace(WELL, enabled=(), name=""),
    V.NOT_CONFIGURED: told(platforms={}),
    V.SWITCHED_OFF: platform(enabled=False),
    V.NO_CREDENTIALS: platform(complete=False),
    V.PLACEHOLDER: platform(app_id="your-app-id"),
    V.NOT_TAKEN: replace(
        WELL,
        enabled=("buoy-qqbot",),
        name="qqbot",
        env={"QQ_ALLOWED_USERS": "U1"},
        told=replace(TOLD, platforms={"qqbot": OWN}),
    ),
    V.BUILTIN_ON: told(platforms={"buoy": OWN, "qqbot": OWN}),
    V.BUILTIN_TOO: told(platforms={"buoy": OWN, "qqbot": {**OWN, "app_id": "2"}}),
    V.NOBODY: replace(WELL, env={}),
    V.NO_HOME: platform(home=None),
    V.JOBS: replace(WELL, jobs=("morning",)),
    V.DATA_UNUSABLE: replace(WELL, data=Data(Path("/data"), exists=True, trouble="it is not writable for this user")),
    V.DATA_HELD: replace(WELL, data=Data(Path("/data"), exists=True, held_by="pid 8")),
    V.CLOCK: replace(WELL, newest_at=2000.0),
    V.GATEWAY_DOWN: replace(WELL, gateway=Gateway(), data=None),
    V.START_FAILED: replace(WELL, gateway=Gateway(7, runs=False, state="startup_failed", reason="buoy: a bad secret")),
    V.NOT_LOADED: replace(WELL, gateway=Gateway(7, runs=True)),
    V.NOT_CONNECTED: replace(WELL, gateway=Gateway(7, runs=True, platforms={"buoy": {"state": "retrying"}})),
    V.ERRORS: replace(WELL, errors=("2026-11-25 ERROR buoy: something",)),
}


def verdicts(facts: Facts) -> list[V]:
    return [one.verdict for one in judge(facts) if one.verdict]


def test_where_all_is_well_nothing_is_found() -> None:
    assert verdicts(WELL) == []


@pytest.mark.parametrize("verdict", list(V))
def test_each_verdict_has_a_scene_and_words(verdict: V) -> None:
    assert verdict in verdicts(SCENES[verdict])
    assert len(verdicts(SCENES[verdict])) <= 2, "one cause is one line"
    assert {*WORDS[verdict]} == {"en", "zh"}
    for text in WORDS[verdict].values():
        assert text.title
        assert text.do


def test_safe_mode_counts_where_hermes_knows_it() -> None:
    assert verdicts(replace(WELL, is_safe_mode=True)) == [], "0.13 loads plugins all the same"


def test_a_switch_that_is_off_lets_nobody_in() -> None:
    assert verdicts(replace(WELL, env={"BUOY_ALLOW_ALL_USERS": "false"})) == [V.NOBODY]
    assert verdicts(replace(WELL, env={"BUOY_ALLOW_ALL_USERS": "true"})) == []
    assert verdicts(replace(told(environment=("GATEWAY_ALLOW_ALL_USERS",)), env={})) == []
    assert probe.counts("BUOY_ALLOW_ALL_USERS", "Yes")
    assert not probe.counts("BUOY_ALLOW_ALL_USERS", "no")
    assert not probe.counts("QQ_APP_ID", " ")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (WELL, EXIT_OK),
        (SCENES[V.NOT_CONNECTED], EXIT_REFUSED),
        (SCENES[V.NOT_LOADED], EXIT_REFUSED),
        (SCENES[V.GATEWAY_DOWN], EXIT_NOT_RUNNING),
        (SCENES[V.NOT_ENABLED], EXIT_NOT_RUNNING),
    ],
)
def test_exit_codes_are_those_of_status(facts: Facts, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert telling.status(facts, as_json=True) == code
    assert json.loads(capsys.readouterr().out)["enabled"] == (facts.name or None)
    assert telling.status(facts, as_json=False) == code


def test_the_report_says_one_line_each_and_hides_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding(Level.FAULT, V.JOBS, "morning"), Finding(Level.WARNING, V.ERRORS, "secret=s3cret-of-the-bot")]
    assert telling.doctor(findings, WELL, {"LANG": "zh_CN.UTF-8"}, as_json=False, hides=["s3cret-of-the-bot"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "XX  有定时任务仍然投递到已关闭的 qqbot (morning). 办法: buoy hermes install 会改过来"
    assert "s3cret" not in "".join(shown)
    telling.doctor(findings, WELL, {}, as_json=True, hides=["s3cret-of-the-bot"])
    report = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in report["findings"]] == ["jobs", "errors"]
    assert "s3cret" not in json.dumps(report)


# --- looking ---------------------------------------------------------------------------------------------------


def state(home: Path, **told: object) -> None:
    """As gateway/status.py of 0.19.0 writes it."""
    (home / "gateway_state.json").write_text(json.dumps({"gateway_state": "running", "platforms": {}, **told}))


def test_a_gateway_runs_where_its_process_does(tmp_path: Path) -> None:
    assert gateway_of(tmp_path) == Gateway()
    state(tmp_path, pid=os.getpid())
    assert gateway_of(tmp_path).runs
    state(tmp_path, pid=os.getpid(), start_time=1)
    assert gateway_of(tmp_path).runs is not Path("/proc/self/stat").exists(), "the number belongs to somebody else now"
    state(tmp_path, pid=os.getpid(), gateway_state="stopped")
    assert not gateway_of(tmp_path).runs
    state(tmp_path, pid=2**22 + 1)
    assert not gateway_of(tmp_path).runs
    (tmp_path / "gateway_state.json").write_text("{")
    assert gateway_of(tmp_path) == Gateway()


def test_a_home_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("plugins: {enabled: [x, buoy]}\n")
    (tmp_path / ".env").write_text("BUOY_ALLOWED_USERS=U1\nHERMES_SAFE_MODE=1\n")
    (tmp_path / "cron").mkdir()
    (tmp_path / "cron" / "jobs.json").write_text('{"jobs": [{"id": "1", "name": "morning", "deliver": "qqbot"}]}')
    (tmp_path / "logs").mkdir()
    at = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = [
        f"{at},1 ERROR telegram: x",
        f"{at},2 WARNING buoy.hermes: QQ is down",
        f"{at},3 ERROR buoy.hermes: broken",
    ]
    lines += ["2020-01-01 00:00:00,1 ERROR buoy.hermes: long ago", "    a line of buoy's traceback"]
    (tmp_path / "logs" / "errors.log").write_text("\n".join(lines))
    data = tmp_path / "buoy" / "1000001"
    data.mkdir(parents=True)
    lock = lock_directory(data)
    try:
        facts = look(tmp_path, TOLD, {})
        deep = looking._errors(tmp_path, time.time())
    finally:
        lock.release()
    assert facts.name == "buoy"
    assert facts.jobs == ("morning",)
    assert facts.is_safe_mode
    assert facts.data is not None
    assert facts.data.path == data
    assert facts.data.held_by == f"pid {os.getpid()}"
    assert facts.data.snapshot is None
    assert deep == (lines[2],)
    assert abs(facts.now - time.time()) < 60
    assert {V.JOBS, V.DATA_HELD} <= {*verdicts(facts)}


def test_the_drop_in_has_other_names(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("plugins: {enabled: [buoy-qqbot]}\n")
    (tmp_path / ".env").write_text("QQ_ALLOWED_USERS=U1\nQQBOT_HOME_CHANNEL=U1\n")
    (tmp_path / "cron").mkdir()
    (tmp_path / "cron" / "jobs.json").write_text('{"jobs": [{"id": "1", "name": "morning", "deliver": "qqbot"}]}')
    taken = replace(TOLD, platforms={"qqbot": {**OWN, "home": None}}, taken="buoy.faces.hermes.registration")
    facts = look(tmp_path, taken, {})
    assert facts.name == "qqbot"
    assert verdicts(facts) == [V.GATEWAY_DOWN]
