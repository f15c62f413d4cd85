"""What changes in a Hermes home, for homes as hermes-agent 0.13.0 and 0.19.0 write them."""

from __future__ import annotations

import json

import pytest
import yaml

from buoy.errors import ConfigError
from buoy.faces.hermes_home import cron_jobs, env_text, yaml_text
from buoy.faces.hermes_home.plan import MEMORY, NOBODY, Plan, Wish, plan
from buoy.faces.hermes_home.taking import Home

USER, GROUP = "ABCDEF0123456789ABCDEF0123456789", "00112233445566778899AABBCCDDEEFF"
# as `hermes setup` of 0.19.0 leaves a home with a bot of its own adapter
ENV = f"""\
OPENAI_API_KEY=sk-1
QQ_APP_ID=1000001
QQ_CLIENT_SECRET=s3cret-of-the-bot
QQ_ALLOW_ALL_USERS=false
QQ_ALLOWED_USERS={USER}
QQBOT_HOME_CHANNEL={GROUP}
"""
CONFIG = """\
# mine
plugins:
  enabled:
  - disk-cleanup
platforms:
  qqbot:
    enabled: true
    extra:
      app_id: 1000001
      client_secret: s3cret-of-the-bot
platform_toolsets:
  qqbot: [web]
"""


def jobs(*deliver: object, **more: object) -> str:
    return json.dumps(
        {"jobs": [{"id": str(n), "name": f"job{n}", "deliver": one, **more} for n, one in enumerate(deliver)]}
    )


def after(home: Home, wish: Wish | None = None, **environ: str) -> tuple[Plan, dict[str, object], dict[str, str]]:
    todo = plan(home, wish or Wish(), environ)
    config = yaml.safe_load(yaml_text.change(home.config, todo.config))
    return todo, config, env_text.load(env_text.change(home.env, todo.env))


def test_credentials_of_env_get_the_names_that_only_the_plugin_reads() -> None:
    todo, config, env = after(Home(env=ENV, directory={GROUP: "group"}))
    assert env == {
        "OPENAI_API_KEY": "sk-1",
        "QQBOT_APP_ID": "1000001",
        "QQBOT_CLIENT_SECRET": "s3cret-of-the-bot",
        "BUOY_ALLOW_ALL_USERS": "false",
        "BUOY_ALLOWED_USERS": USER,
        "BUOY_HOME_CHANNEL": f"group-{GROUP}",
    }
    assert config == {
        "plugins": {"enabled": ["buoy"]},
        "platforms": {
            "buoy": {
                "enabled": True,
                "home_channel": {"platform": "buoy", "chat_id": f"group-{GROUP}", "name": "home"},
                "extra": {"dm_policy": "pairing", "group_policy": "pairing"},
            }
        },
    }
    assert todo.app_id == "1000001"
    assert MEMORY in todo.says
    assert not any("s3cret" in line for line in (*todo.says, *todo.warns))


def test_credentials_of_config_yaml_are_copied_and_the_builtin_is_off() -> None:
    todo, config, env = after(Home(config=CONFIG))
    assert config["plugins"] == {"enabled": ["disk-cleanup", "buoy"]}
    platforms = config["platforms"]
    assert isinstance(platforms, dict)
    assert platforms["qqbot"]["enabled"] is False
    assert platforms["buoy"]["extra"]["app_id"] == "1000001"
    assert platforms["buoy"]["extra"]["client_secret"] == "s3cret-of-the-bot"
    assert config["platform_toolsets"] == {"qqbot": ["web"], "buoy": ["web"]}
    assert env == {}
    assert NOBODY in todo.warns
    assert any("no home channel" in line for line in todo.warns)


def test_a_second_plan_changes_nothing() -> None:
    home = Home(config=CONFIG, env=ENV, jobs=jobs("qqbot", f"qqbot:{GROUP}"), directory={GROUP: "group"})
    todo = plan(home, Wish(), {})
    done = Home(
        config=yaml_text.change(home.config, todo.config),
        env=env_text.change(home.env, todo.env),
        jobs=cron_jobs.apply(home.jobs, todo.jobs),
        directory=home.directory,
    )
    again = plan(done, Wish(), {})
    assert yaml_text.change(done.config, again.config) == done.config
    assert env_text.change(done.env, again.env) == done.env
    assert not again.jobs


@pytest.mark.parametrize(
    ("config", "env", "extra", "people"),
    [
        # what Hermes' own adapter takes where nothing is said
        ("qqbot: {enabled: true}", "", {"dm_policy": "pairing", "group_policy": "pairing"}, None),
        ("platforms: {qqbot: {extra: {dm_policy: open, group_policy: OPEN}}}", "QQ_ALLOW_ALL_USERS=true",
         {"dm_policy": "open", "group_policy": "open"}, None),
        # beside `extra` it counts more than within
        ("platforms: {qqbot: {dm_policy: disabled, extra: {dm_policy: open}}}", "",
         {"dm_policy": "disabled", "group_policy": "pairing"}, None),
        ("platforms: {qqbot: {extra: {dm_policy: allowlist, allowFrom: 'A, B'}}}", "",
         {"dm_policy": "allowlist", "group_policy": "pairing"}, "A,B"),
        # a list in the environment replaces the one in config.yaml
        ("platforms: {qqbot: {extra: {dm_policy: allowlist, allow_from: [A]}}}", "QQ_ALLOWED_USERS=C",
         {"dm_policy": "allowlist", "group_policy": "pairing"}, "C"),
        ("qqbot: {extra: {group_policy: allowlist, group_allow_from: [G1]}}", "QQ_GROUP_ALLOWED_USERS=G2,G3",
         {"dm_policy": "pairing", "group_policy": "allowlist", "group_allow_from": ["G2", "G3"]}, None),
        ("gateway: {platforms: {qqbot: {extra: {group_policy: allowlist, groupAllowFrom: [G1]}}}}", "",
         {"dm_policy": "pairing", "group_policy": "allowlist", "group_allow_from": ["G1"]}, None),
        # a list without its policy lets nobody in, there and here
        ("qqbot: {extra: {allow_from: [A]}}", "", {"dm_policy": "pairing", "group_policy": "pairing"}, None),
        # no bot of the builtin: nothing is restricted that was not
        ("", "", None, None),
    ],
)  # fmt: skip
def test_who_may_write_stays_who_may_write(
    config: str, env: str, extra: dict[str, object] | None, people: str | None
) -> None:
    credentials = "\nQQBOT_APP_ID=1\nQQBOT_CLIENT_SECRET=secret-1\n"
    _, told, variables = after(Home(config=config + "\n", env=env + credentials))
    platforms = told["platforms"]
    assert isinstance(platforms, dict)
    assert platforms["buoy"].get("extra") == extra
    assert variables.get("BUOY_ALLOWED_USERS") == people
    assert ("BUOY_ALLOW_ALL_USERS" in variables) == ("QQ_ALLOW_ALL_USERS" in env)


@pytest.mark.parametrize(
    ("home", "environ", "named"),
    [
        (Home(), {}, "no AppID and no AppSecret"),
        (Home(env="QQ_APP_ID=1\n"), {}, "no AppSecret"),
        (Home(env="QQ_APP_ID=1\nQQ_CLIENT_SECRET=your-secret\n"), {}, "placeholder"),
        (Home(env="QQ_APP_ID=1\nQQBOT_APP_ID=2\nQQ_CLIENT_SECRET=s\n"), {}, "they differ"),
        (Home(), {"QQ_APP_ID": "1", "QQ_CLIENT_SECRET": "s"}, "environment only"),
        (Home(config="plugins: {enabled: [buoy-qqbot]}\n", env=ENV), {}, "answer twice"),
        (Home(config="a: [\n", env=ENV), {}, "config.yaml cannot be read"),
        (Home(env=ENV, jobs="{"), {}, "jobs.json cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(home: Home, environ: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        plan(home, Wish(), environ)
    assert "\n" not in str(caught.value)


def test_a_name_that_would_switch_the_builtin_on_does_not_stay_beside_ours() -> None:
    home = Home(env="QQ_APP_ID=1\nQQBOT_APP_ID=1\nQQBOT_CLIENT_SECRET=secret-1\nQQ_CLIENT_SECRET=secret-1\n")
    todo, _, env = after(home)
    lines = env_text.change(home.env, todo.env).splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 2, "the other lines are comments now"
    assert env == {"QQBOT_APP_ID": "1", "QQBOT_CLIENT_SECRET": "secret-1"}


def test_given_credentials_go_into_env_and_replace_what_is_there() -> None:
    _, config, env = after(Home(env=ENV), Wish(app_id="2", secret="new-secret"))
    assert (env["QQBOT_APP_ID"], env["QQBOT_CLIENT_SECRET"]) == ("2", "new-secret")
    assert not {"QQ_APP_ID", "QQ_CLIENT_SECRET"} & env.keys()
    assert "new-secret" not in json.dumps(config)


def test_a_variable_of_the_shell_is_told_as_hermes_sees_it_too() -> None:
    todo, _, _ = after(Home(config=CONFIG), QQ_APP_ID="1000001")
    assert any(line.startswith("QQ_APP_ID is set in the environment") for line in todo.warns)


@pytest.mark.parametrize(
    ("deliver", "moved"),
    [
        ("qqbot", "buoy"),
        (f"qqbot:{USER}", f"buoy:{USER}"),
        (f"QQBot:{GROUP}", f"buoy:group-{GROUP}"),
        ("qqbot:1234567", "buoy:channel-1234567"),
        ("origin, qqbot ,telegram:-100:17", "origin, buoy ,telegram:-100:17"),
        (["qqbot", "local"], ["buoy", "local"]),
        ("local", "local"),
        ("all", "all"),
        ("qqbot2:1", "qqbot2:1"),
        (None, None),
    ],
)
def test_cron_targets_move(deliver: object, moved: object) -> None:
    home = Home(env=ENV, jobs=jobs(deliver), directory={GROUP: "group", USER: "dm"})
    todo = plan(home, Wish(), {})
    assert json.loads(cron_jobs.apply(home.jobs, todo.jobs))["jobs"][0]["deliver"] == moved


def test_the_chat_in_which_a_job_was_made_moves_as_well() -> None:
    origin = {"platform": "qqbot", "chat_id": GROUP, "thread_id": None}
    home = Home(env=ENV, jobs=jobs("origin", origin=origin), directory={GROUP: "group"})
    todo = plan(home, Wish(), {})
    told = json.loads(cron_jobs.apply(home.jobs, todo.jobs))["jobs"][0]["origin"]
    assert told == {"platform": "buoy", "chat_id": f"group-{GROUP}", "thread_id": None}
    assert cron_jobs.apply(cron_jobs.apply(home.jobs, todo.jobs), cron_jobs.backwards(todo.jobs)) == json.dumps(
        json.loads(home.jobs), indent=2
    )


def test_as_qqbot_leaves_nearly_all_where_it_is() -> None:
    home = Home(
        config=CONFIG, env=ENV, jobs=jobs("qqbot", f"qqbot:{GROUP}", f"qqbot:{USER}"), directory={GROUP: "group"}
    )
    todo, config, env = after(home, Wish(as_qqbot=True))
    assert config["plugins"] == {"enabled": ["disk-cleanup", "buoy-qqbot"]}
    platforms = config["platforms"]
    assert isinstance(platforms, dict)
    assert platforms.keys() == {"qqbot"}
    assert platforms["qqbot"]["enabled"] is True
    assert platforms["qqbot"]["extra"]["group_policy"] == "pairing", "Hermes' adapter has that where nothing is said"
    assert env == env_text.load(ENV) | {"QQBOT_HOME_CHANNEL": f"group-{GROUP}"}
    assert [(one.old, one.new) for one in todo.jobs] == [(f"qqbot:{GROUP}", f"qqbot:group-{GROUP}")]


def test_as_qqbot_switches_the_platform_on_where_it_is_off_and_the_other_name_is_refused() -> None:
    _, config, _ = after(Home(config=CONFIG.replace("true", "false"), env=ENV), Wish(as_qqbot=True))
    platforms = config["platforms"]
    assert isinstance(platforms, dict)
    assert platforms["qqbot"]["enabled"] is True
    with pytest.raises(ConfigError, match="as `buoy` already"):
        plan(Home(config="plugins: {enabled: [buoy]}\n", env=ENV), Wish(as_qqbot=True), {})
