"""What stands in a log line, what must not, and that a log which cannot be written costs nobody anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from buoy.faces.log import FILE, FOLDER, Veil, as_json, as_words, lost, secrets_of
from buoy.settings import Agent, Alerts, Bot, Document, Secret

CHILD = """
import os, sys, structlog
from pathlib import Path
from buoy.faces.log import Log
from buoy.settings import Log as Settings
log = Log(Settings({settings}), ["s3cret-value", 'with "quotes"'])
log.install()
log.keep_in(Path({folder!r}))
say = structlog.get_logger("t")
{body}
log.flush()
os.write(1, b"alive")
os._exit(0)
"""


def child(folder: Path, body: str, settings: str = "") -> subprocess.CompletedProcess[str]:
    source = CHILD.format(folder=str(folder), body=body, settings=settings)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    "gone", ["os.close(2)", "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)", "sys.stderr.close()", "sys.stderr = None"]
)
def test_a_log_whose_reader_is_gone_raises_nothing(tmp_path: Path, gone: str) -> None:
    done = child(
        tmp_path,
        f"say.info('before')\nlog.flush()\n{gone}\nfor _ in range(3): say.warning('nobody hears', text='\\ud800')",
    )
    assert (done.returncode, done.stdout) == (0, "alive")
    assert '"event": "before"' in done.stderr
    assert (tmp_path / FOLDER / FILE).read_text().count("nobody hears") == 3, "the file has them"


def test_a_pipe_that_nobody_reads_does_not_hold_the_loop_up(tmp_path: Path) -> None:
    body = "import time\nos.dup2(os.pipe()[1], 2)\nbegan = time.monotonic()\n"
    body += "for _ in range(500): say.info('x' * 1000)\nassert time.monotonic() - began < 1.0"
    done = child(tmp_path, body)
    assert (done.returncode, done.stdout) == (0, "alive")
    assert (tmp_path / FOLDER / FILE).read_text().count('xxx"') == 500


@pytest.mark.parametrize("in_the_way", [f"{FOLDER}/{FILE}/x", f"{FOLDER}/x", "x"])
def test_a_folder_that_takes_no_file_costs_the_file_only(tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    if in_the_way == "x":
        (tmp_path / FOLDER).write_text("a file, no folder")
    elif in_the_way == f"{FOLDER}/x":
        (tmp_path / FOLDER / FILE).symlink_to(tmp_path / "elsewhere")
    done = child(tmp_path, "say.info('said')")
    assert (done.returncode, done.stdout) == (0, "alive")
    assert '"event": "said"' in done.stderr


def test_what_others_say_through_pythons_own_log_is_written_as_ours_is(tmp_path: Path) -> None:
    body = """
import asyncio, gc, logging
async def fail():
    raise RuntimeError("it knows s3cret-value")
async def main():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
asyncio.run(main())
logging.getLogger("theirs").error("%d of s3cret-value", 1)
logging.getLogger("theirs").info("of no interest")
logging.getLogger("theirs").error("does not fit %d", "x")
"""
    done = child(tmp_path, body, "format='json'")
    lines = [json.loads(line) for line in (tmp_path / FOLDER / FILE).read_text().splitlines()]
    assert [(line["logger"], line["level"]) for line in lines] == [("asyncio", "error"), ("theirs", "error")]
    assert "RuntimeError: it knows ***" in lines[0]["exception"]
    assert lines[1]["event"] == "1 of ***"
    assert [json.loads(line) for line in done.stderr.splitlines()] == lines


def test_a_secret_is_found_as_our_json_writes_it_too() -> None:
    assert Veil(['pä"sswort'])(as_json({"a": 'pä"sswort'})) == '{"a": "***"}'


def test_secrets_are_taken_out_of_every_line_and_every_form(tmp_path: Path) -> None:
    body = """
log.veil.asks = lambda: ["the-token-of-now"]
say.error("s3cret-value", a="x s3cret-value y", b={"deep": ["s3cret-value"]}, c='with "quotes"', d="the-token-of-now")
log.veil.asks = lambda: ["the-next-token"]
say.info("QQBot the-token-of-now, QQBot the-next-token")
try:
    raise ValueError("s3cret-value")
except ValueError:
    say.exception("failed")
"""
    for settings in ("", "format='console'"):
        done = child(tmp_path, body, settings)
        for text in (done.stderr, (tmp_path / FOLDER / FILE).read_text()):
            assert done.stdout == "alive", done.stderr
            assert not re.search("s3cret|quotes|the-token|the-next", text), text
            assert "ValueError: ***" in text


def test_the_settings_say_how_much_is_logged_and_in_which_form(tmp_path: Path) -> None:
    body = "say.debug('d'); say.info('i'); say.warning('w', n=1)"
    assert [json.loads(line)["event"] for line in child(tmp_path, body).stderr.splitlines()] == ["i", "w"]
    assert child(tmp_path, body, "level='warning', format='console'").stderr.split()[2:] == ["warning", "w", "n=1"]
    assert [json.loads(line)["event"] for line in (tmp_path / FOLDER / FILE).read_text().splitlines()] == [
        "i",
        "w",
        "w",
    ]
    assert child(tmp_path, body, "level='debug'").stderr.count("\n") == 3


OPENID = "0A1B2C3D4E5F60718293A4B5C6D7E8F9"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"lane=qq:c2c:{OPENID}", "lane=qq:c2c:0A1B2C3D…"),
        (f"qq:group:{OPENID}@102000001, x", "qq:group:0A1B2C3D…@102000001, x"),
        ('"qq:dm:some_opaque_id_of_a_guild"', '"qq:dm:some_opa…"'),
        ("qq:channel:1234", "qq:channel:1234"),
        (f"user {OPENID} is gone", "user 0A1B2C3D… is gone"),
        (f"/v2/users/{OPENID}/messages", "/v2/users/0A1B2C3D…/messages"),
        (f"trace {OPENID.lower()}", f"trace {OPENID.lower()}"),
        (f"{OPENID}0 is longer", f"{OPENID}0 is longer"),
    ],
)
def test_openids_are_shortened_wherever_they_stand(said: str, shown: str) -> None:
    assert Veil()(said) == shown
    assert Veil(full_openids=True)(said) == said


def test_what_is_too_short_to_be_a_secret_eats_no_text() -> None:
    assert Veil(["-", "", "abc"])("a-b abc") == "a-b abc"


def test_every_secret_of_the_settings_is_found() -> None:
    bot = Bot(app_id="1", client_secret=Secret("one"), agent=Agent(api_key=Secret("two")))
    document = Document(data_dir=Path("/"), bots=(bot,), alerts=Alerts(urls=(Secret("three"),)))
    assert sorted(secrets_of(document)) == ["one", "three", "two"]


def test_words_for_people() -> None:
    at = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    local = at.astimezone().strftime("%m-%d %H:%M:%S")
    told = {
        "bot": "1", "cause": None, "reason": "", "code": 4009, "ok": True, "text": "two words", "deep": [1, "x"],
        "event": "phase", "level": "info", "timestamp": at.isoformat(), "exception": "Traceback\n  File",
    }  # fmt: skip
    assert as_words(told) == (
        f'{local} info     phase  bot=1 code=4009 ok=true text="two words" deep=[1, "x"]\n    Traceback\n      File'
    )
    assert as_words({"event": "e", "level": "error"}, colours=True) == " \x1b[31merror   \x1b[0m e"
    assert as_words({"event": "e", "level": "info", "x": "\x1b[2J\r"}) == " info     e  x=\\x1b[2J\\r"
    assert as_words(lost(3)).endswith("warning  log lines lost  lost=3")
