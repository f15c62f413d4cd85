"""Every setting, from the file and from the environment; every mistake is one line that names it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from buoy.config import Config, Secret, default_data_dir, load
from buoy.errors import ConfigError
from buoy.settings import SETTINGS, Document

ENV = {"QQ_APP_ID": "102", "QQ_CLIENT_SECRET": "hush", "HOME": "/home/someone"}
BOT = '[[bots]]\napp_id = "102"\nclient_secret = "hush"\n'


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(toml: str = "", **env: str) -> Config:
    file = Path("buoy.toml")
    file.write_text(toml, encoding="utf-8")
    file.chmod(0o600)
    return load(None, env)


def refusal(toml: str = "", **env: str) -> str:
    with pytest.raises(ConfigError) as error:
        read(toml, **env)
    text = str(error.value)
    assert "\n" not in text
    assert error.value.exit_code == 2
    return text


# --- what comes out -----------------------------------------------------------------------------------------


def test_the_environment_alone_is_enough() -> None:
    config = load(None, ENV)
    (bot,) = config.bots
    assert (bot.app_id, bot.client_secret.reveal()) == ("102", "hush")
    assert bot.api_base == ("https://api.bot.qq.com", "https://api.sgroup.qq.com")
    assert bot.token_url == (
        "https://api.bot.qq.com/app/getAppAccessToken",
        "https://bots.qq.com/app/getAppAccessToken",
    )
    assert bot.intents == 1 << 25 | 1 << 26 | 1 << 30  # typed by hand
    assert (bot.transport, bot.shard, bot.proactive, bot.proactive_unsure) == (
        "websocket",
        (0, 1),
        ("c2c",),
        "keep",
    )
    assert (bot.agent.kind, bot.agent.timeout_s) == ("echo", 600)
    assert config.web.address == ("127.0.0.1", 8765)
    assert config.shutdown.deadline_s == 5
    assert (config.file, config.warnings, config.alerts.urls) == (None, (), ())


def test_nothing_is_created() -> None:
    config = load(None, ENV | {"BUOY_DATA_DIR": "data"})
    assert config.data_dir == Path.cwd() / "data"
    assert not list(Path.cwd().iterdir())


def test_every_environment_name() -> None:
    Path("secret").write_text("from a file\n", encoding="utf-8")
    Path("secret").chmod(0o600)
    Path("key").write_text("sk-2", encoding="utf-8")
    Path("key").chmod(0o600)
    config = load(
        None,
        {
            "QQBOT_APP_ID": "7",
            "QQBOT_CLIENT_SECRET_FILE": "secret",
            "QQ_API_BASE": "http://127.0.0.1:9/, http://localhost:8",
            "QQ_TRANSPORT": "websocket",
            "BUOY_DATA_DIR": "~/buoy",
            "BUOY_AGENT": "openai",
            "BUOY_MODEL": "m",
            "OPENAI_API_KEY_FILE": "key",
            "OPENAI_BASE_URL": "http://127.0.0.1:7/v1",
            "BUOY_LISTEN": "[::1]:0",
            "BUOY_SHUTDOWN_S": "2.5",
            "BUOY_ALERTS": "https://a.example/x, https://b.example",
            "HOME": "/home/someone",
        },
    )
    (bot,) = config.bots
    assert bot.client_secret == Secret("from a file")
    assert bot.api_base == ("http://127.0.0.1:9", "http://localhost:8")
    assert bot.token_url == (
        "http://127.0.0.1:9/app/getAppAccessToken",
        "http://localhost:8/app/getAppAccessToken",
    )
    agent = bot.agent
    assert agent.api_key is not None
    assert (agent.kind, agent.model, agent.base_url) == ("openai", "m", "http://127.0.0.1:7/v1")
    assert agent.settings()["api_key"] == "sk-2"
    assert config.data_dir == Path("~/buoy").expanduser()
    assert config.web.address == ("::1", 0)
    assert config.shutdown.deadline_s == 2.5
    assert [url.reveal() for url in config.alerts.urls] == ["https://a.example/x", "https://b.example"]
    assert load(None, ENV | {"QQ_TOKEN_URL": "https://x.example/t"}).bots[0].token_url == ("https://x.example/t",)
    assert load(None, ENV | {"BUOY_LISTEN": "off"}).web.address is None


def test_a_full_file() -> None:
    toml = (
        'data_dir = "store"\n[web]\nlisten = "off"\n[shutdown]\ndeadline_s = 3\n[alerts]\nurls = ["https://a"]\n'
        "[turns]\ntimeout_s = 30\nparallel = 2\nattempts = 3\n"
        '[outbox]\nhold_days = 1\nhold_per_conversation = 5\nlate_after_s = 60\nlanguage = "en"\n'
        "[retention]\nbodies_days = 2\nkeys_days = 2\n" + BOT + 'api_base = "https://api.sgroup.qq.com"\n'
        'transport = "websocket"\nshard = [1, 2]\nproactive = ["c2c", "dm"]\n'
        'intents = ["GROUP_AND_C2C_EVENT", "DIRECT_MESSAGE"]\nproactive_unsure = "repeat"\n'
        '[bots.agent]\nkind = "command:cat -u"\n'
        'isolation = "process"\nworkers = 1\nargs = ["a b"]\nbase_url = "http://x"\n'
        'api_key = "k"\nmodel = "m"\nsystem = "be kind"\nhistory_turns = 0\n'
    )
    config = read(toml)
    (bot,) = config.bots
    assert config.data_dir == Path.cwd() / "store"
    assert bot.token_url == (
        "https://api.bot.qq.com/app/getAppAccessToken",
        "https://bots.qq.com/app/getAppAccessToken",
    )
    assert (bot.shard, bot.proactive, bot.intents) == ((1, 2), ("c2c", "dm"), 1 << 25 | 1 << 12)
    assert bot.agent.timeout_s == 30  # from [turns]
    assert bot.agent.args == ("a b",)
    assert (config.turns.parallel, config.outbox.hold_per_conversation, config.retention.keys_days) == (
        2,
        5,
        2,
    )
    assert (config.outbox.late_after_s, config.outbox.language) == (60, "en")
    assert config.file == Path.cwd() / "buoy.toml"
    assert config.warnings == ()


def test_which_file() -> None:
    Path("sub").mkdir()
    other = Path("sub/other.toml")
    other.write_text('data_dir = "d"\n' + BOT.replace("102", "103"), encoding="utf-8")
    other.chmod(0o600)
    assert read(BOT).bots[0].app_id == "102"
    assert load(None, {"BUOY_CONFIG": "sub/other.toml"}).bots[0].app_id == "103"
    config = load(other, {"BUOY_CONFIG": "no such file"})
    assert config.data_dir == Path.cwd() / "sub" / "d"  # a path in the file starts at its folder
    Path("key").write_text("here", encoding="utf-8")
    config = load(other, {"QQ_CLIENT_SECRET_FILE": "key"})
    assert config.bots[0].client_secret == Secret("here")  # one in the environment where Buoy is started
    with pytest.raises(ConfigError, match=r"no such file.*BUOY_CONFIG"):
        load(None, {"BUOY_CONFIG": "no such file"})
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load(Path("missing.toml"), ENV)


def test_with_one_bot_the_environment_wins_except_for_openai() -> None:
    agent = '[bots.agent]\nkind = "openai"\nmodel = "a"\nbase_url = "https://a.example"\napi_key = "ka"\n'
    env = {"QQ_CLIENT_SECRET": "new", "BUOY_AGENT": "echo", "BUOY_MODEL": "b"}
    (bot,) = read(BOT + agent, OPENAI_API_KEY="kb", OPENAI_BASE_URL="https://b.example", **env).bots
    assert (bot.client_secret.reveal(), bot.agent.kind, bot.agent.model) == ("new", "echo", "b")
    assert (bot.agent.settings()["api_key"], bot.agent.base_url) == ("ka", "https://a.example")


def test_with_several_bots_the_environment_fills_in() -> None:
    toml = BOT + '[bots.agent]\nkind = "openai"\n' + BOT.replace("102", "103")
    config = read(toml, BUOY_AGENT="command:cat", QQ_API_BASE="http://127.0.0.1:1", **ENV | {"QQ_CLIENT_SECRET": "x"})
    assert [bot.agent.kind for bot in config.bots] == ["openai", "command:cat"]
    assert {bot.client_secret.reveal() for bot in config.bots} == {"hush"}
    assert {bot.api_base for bot in config.bots} == {("http://127.0.0.1:1",)}
    assert config.warnings == ("QQ_APP_ID is not used: the settings file lists 2 bots, each with its own",)


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(None, ENV | {"BUOY_LISTEN": "", "QQ_API_BASE": " ", "BUOY_CONFIG": ""}).web.listen == "127.0.0.1:8765"


def test_commands_without_bots_need_no_credentials() -> None:
    assert load(None, {"HOME": "/h", "QQ_API_BASE": "nonsense"}, bots=False).bots == ()
    read(BOT)
    assert load(None, {}, bots=False).bots == ()


@pytest.mark.parametrize(
    ("system", "env", "expected"),
    [
        ("linux", {"HOME": "/h"}, "/h/.local/share/buoy"),
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/buoy"),
        ("darwin", {"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/h/Library/Application Support/buoy"),
        ("win32", {"HOME": "/h", "LOCALAPPDATA": "/l"}, "/l/buoy"),
        ("win32", {"HOME": "/h"}, "/h/AppData/Local/buoy"),
    ],
)
def test_data_folder_of_each_system(system: str, env: dict[str, str], expected: str) -> None:
    assert default_data_dir(env, system) == Path(expected)


# --- secrets ------------------------------------------------------------------------------------------------


def test_secrets_are_never_shown() -> None:
    config = read(BOT + '[bots.agent]\napi_key = "sk-1"\n', BUOY_ALERTS="https://hooks.example/token")
    shown = repr(config) + str(config) + f"{config.bots[0].client_secret} {config.alerts.urls}"
    assert not re.search("hush|sk-1|hooks", shown)
    with pytest.raises(TypeError):
        msgspec.json.encode(config.bots[0])


@pytest.mark.parametrize("toml", [BOT.replace('"hush"', "5"), BOT.replace("app_id", "appid"), BOT + "hush"])
def test_no_error_shows_a_secret(toml: str) -> None:
    assert "hush" not in refusal(toml)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_secret_that_others_can_read_is_warned_about() -> None:
    Path("buoy.toml").write_text(BOT, encoding="utf-8")
    Path("buoy.toml").chmod(0o644)
    (warning,) = load(None, {}).warnings
    assert [str(file) in warning for file in load(None, {}).exposed] == [True]
    assert "chmod 600" in warning
    assert "buoy.toml" in warning
    Path("buoy.toml").write_text('[[bots]]\napp_id = "1"\nclient_secret_file = "s"\n', encoding="utf-8")
    Path("s").write_text("hush", encoding="utf-8")
    Path("s").chmod(0o604)
    (warning,) = load(None, {}).warnings
    assert [str(file) in warning for file in load(None, {}).exposed] == [True]
    assert str(Path.cwd() / "s") in warning
    Path("s").chmod(0o600)
    assert (load(None, {}).warnings, load(None, {}).exposed) == ((), ())


# --- mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("bots = 3", "bots: not a list of tables; write each bot under a heading [[bots]]"),
        ("[bots]\napp_id = '1'", "[[bots]], with two brackets"),
        ("[[bots]]\napp_id = 102\n", "bots[0].app_id (QQ_APP_ID): expected text, got int"),
        ("[[bots]]\napp_id = '1/2'\nclient_secret='s'", "bots[0].app_id (QQ_APP_ID): "),
        ("[[bots]]\nclient_secret = 's'", "bots[0].app_id (QQ_APP_ID): missing"),
        ("[[bots]]\napp_id = '1'", "bots[0].client_secret (QQ_CLIENT_SECRET): missing"),
        ("[[bots]]\napp_id = '1'\nclient_secret=''", "bots[0].client_secret (QQ_CLIENT_SECRET): empty"),
        (BOT + "[bots.agent]\napi_key_file='no'", "agent.api_key_file (OPENAI"),
        (BOT + BOT, "bots[1].app_id (QQ_APP_ID): 102 is there twice"),
        (BOT + "api_bsae = 'x'", "bots[0].api_bsae: no such setting; did you mean api_base?"),
        (BOT + "api_base = 3", "bots[0].api_base (QQ_API_BASE): not a text"),
        (BOT + "api_base = ','", "bots[0].api_base (QQ_API_BASE): empty"),
        (BOT + "api_base = 'http://api.bot.qq.com'", "(QQ_API_BASE): 'http://api.bot.qq.com' has no TLS"),
        (BOT + "api_base = 'https://h:99999'", "(QQ_API_BASE): 'https://h:99999' is not an address"),
        (BOT + "api_base = 'https://u:p@h'", "bots[0].api_base (QQ_API_BASE)"),
        (BOT + "api_base = 'ftp://h'", "bots[0].api_base (QQ_API_BASE)"),
        (BOT + "api_base = 'https://[h'", "bots[0].api_base (QQ_API_BASE)"),
        (BOT + "token_url = 'http://10.0.0.1/t'", "bots[0].token_url (QQ_TOKEN_URL)"),
        (BOT + "transport = 'webhook'", "bots[0].transport (QQ_TRANSPORT): webhook does not exist yet"),
        (BOT + "transport = 'udp'", "bots[0].transport (QQ_TRANSPORT)"),
        (BOT + "intents = ['NO']", "bots[0].intents: 'NO' is none of GUILDS"),
        (BOT + "intents = 0", "bots[0].intents: expected int >= 1"),
        (BOT + "shard = [1, 1]", "bots[0].shard: [1, 1] is no shard"),
        (BOT + "shard = [1]", "bots[0].shard: "),
        (BOT + "shard = [0, 'x']", "bots[0].shard: "),
        (BOT + "proactive = ['x']", "bots[0].proactive: "),
        (BOT + "agent = 'echo'", "bots[0].agent: not a table; write its keys under a heading [bots.agent]"),
        (BOT + "[bots.agent]\nkind = 'http:nowhere'", "bots[0].agent.kind (BUOY_AGENT): 'http:nowhere' is no agent"),
        (BOT + "[bots.agent]\nkind = 'acp:'", "bots[0].agent.kind (BUOY_AGENT): 'acp:' is no agent"),
        (BOT + "[bots.agent]\nprompts = {'qq:group' = 3}", "bots[0].agent.prompts: expected text, got int; write a "),
        (BOT + "[bots.agent]\nsecret = 'short'", "bots[0].agent.secret (BUOY_AGENT_SECRET): shorter than 16"),
        (BOT + "[bots.agent]\nparts = 6", "bots[0].agent.parts: "),
        (BOT + "[bots.agent]\npermission = 'yes'", "bots[0].agent.permission: "),
        (BOT + "[bots.agent]\nkind = 'oracle'", "bots[0].agent.kind (BUOY_AGENT): 'oracle' is no agent"),
        (BOT + "[bots.agent]\nkind = 'command:'", "bots[0].agent.kind (BUOY_AGENT)"),
        (BOT + "[bots.agent]\nkind = 'python:mod'", "bots[0].agent.kind (BUOY_AGENT)"),
        (BOT + "[bots.agent]\nkind = 5", "bots[0].agent.kind (BUOY_AGENT): expected text"),
        (BOT + "[bots.agent]\nisolation = 'jail'", "bots[0].agent.isolation: "),
        (BOT + "[bots.agent]\ntimeout_s = 0", "bots[0].agent.timeout_s: "),
        (BOT + "[bots.agent]\nargs = [1]", "bots[0].agent.args: "),
        (BOT + "[web]\nlisten = '8765'", "web.listen (BUOY_LISTEN): '8765' is not an address"),
        (BOT + "[web]\nlisten = 'h:65536'", "web.listen (BUOY_LISTEN)"),
        (BOT + "[shutdown]\ndeadline_s = nan", "shutdown.deadline_s (BUOY_SHUTDOWN_S)"),
        (BOT + "[shutdown]\ndeadline_s = inf", "shutdown.deadline_s (BUOY_SHUTDOWN_S)"),
        (BOT + "[turns]\nparallel = 0", "turns.parallel: expected int >= 1; write a whole number from 1"),
        (BOT + "[turns]\ntimeout_s = 'x'\n", "timeout_s: expected float, got text; write seconds"),
        (BOT + "[outbox]\nhold = 1", "outbox.hold: no such setting; did you mean hold_days?"),
        (BOT + "[retention]\nbodies_days = 10\nkeys_days = 9", "retention.keys_days: shorter than"),
        ("warnings = []\n" + BOT, "warnings: no such setting"),
        ("data_dir = '~no_such_user/x'\n" + BOT, "data_dir (BUOY_DATA_DIR): '~no_such_user/x': no such user"),
        ('data_dir = "a\\u0000b"\n' + BOT, "data_dir (BUOY_DATA_DIR): a path cannot have a zero byte"),
        ("data_dir = 3\n" + BOT, "data_dir (BUOY_DATA_DIR): "),
        ("data_dir = ''\n" + BOT, "data_dir (BUOY_DATA_DIR): empty"),
        ("web = 3\n" + BOT, "web: not a table"),
        ("turns = 3\n" + BOT, "turns: not a table"),
        ("outbox = 3\n" + BOT, "outbox: expected table, got int; write its keys under a heading [outbox]"),
        (BOT + "[alerts]\nurls = [3]", "alerts.urls (BUOY_ALERTS): "),
        (BOT + "[alerts]\nurls = 'https://x'", "alerts.urls (BUOY_ALERTS): "),
        ("[[bots", "not TOML"),
        ("a = " + "[" * 10_000, "not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file(toml: str, named: str) -> None:
    assert named in refusal(toml)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("QQ_CLIENT_SECRET_FILE", "no/such", "bots[0].client_secret_file (QQ_CLIENT_SECRET_FILE): "),
        (
            "QQ_API_BASE",
            "api.bot.qq.com",
            "bots[0].api_base (QQ_API_BASE): 'api.bot.qq.com' is not an address",
        ),
        ("QQ_TOKEN_URL", "http://h", "bots[0].token_url (QQ_TOKEN_URL): "),
        ("QQ_TRANSPORT", "webhook", "bots[0].transport (QQ_TRANSPORT): "),
        ("BUOY_AGENT", "oracle", "bots[0].agent.kind (BUOY_AGENT): "),
        ("OPENAI_API_KEY_FILE", "no/such", "bots[0].agent.api_key_file (OPENAI_API_KEY_FILE): "),
        ("BUOY_LISTEN", "host:port", "web.listen (BUOY_LISTEN): "),
        ("BUOY_WEB_TOKEN", "too short", "web.token (BUOY_WEB_TOKEN): shorter than 16 characters can be guessed; write"),
        ("BUOY_WEB_TOKEN_FILE", "no/such", "web.token_file (BUOY_WEB_TOKEN_FILE): "),
        (
            "BUOY_SHUTDOWN_S",
            "soon",
            "shutdown.deadline_s (BUOY_SHUTDOWN_S): expected float, got text; write seconds",
        ),
        ("BUOY_SHUTDOWN_S", "-1", "shutdown.deadline_s (BUOY_SHUTDOWN_S): "),
    ],
)
def test_a_mistake_in_the_environment(name: str, value: str, named: str) -> None:
    assert named in refusal(**{"QQ_APP_ID": "1", "QQBOT_CLIENT_SECRET": "s", name: value})


def test_missing_credentials_name_both_ways() -> None:
    text = refusal()
    assert "bots[0].app_id (QQ_APP_ID)" in text


# --- the table of settings ----------------------------------------------------------------------------------


def leaves(kind: Any, prefix: str = "") -> set[str]:
    """Every key that the structs accept, by their types."""
    found = set()
    for field in msgspec.structs.fields(kind):
        inner = next((t for t in (field.type, *getattr(field.type, "__args__", ())) if _is_struct(t)), None)
        found |= leaves(inner, f"{prefix}{field.name}.") if inner else {prefix + field.name}
    return found


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def test_the_table_documents_exactly_what_can_be_set() -> None:
    documented = {row.path for row in SETTINGS}
    assert documented - leaves(Document) == {
        "bots.client_secret_file", "bots.agent.api_key_file", "bots.agent.secret_file", "web.token_file",
        "alerts.urls_file", "alerts.heartbeat_url_file",
    }  # fmt: skip
    assert leaves(Document) <= documented
    assert len(documented) == len(SETTINGS)
