"""What the plugin reads of Hermes' configuration, and what chats are called there."""

from __future__ import annotations

from pathlib import Path

import pytest

from buoy.errors import ConfigError
from buoy.faces.hermes import account

HOME = Path("/hermes")
EXTRA = {"app_id": "7", "client_secret": "s"}


def test_extra_wins_over_the_environment_which_fills_in() -> None:
    told = account.read({"app_id": "7"}, {"QQBOT_APP_ID": "8", "QQBOT_CLIENT_SECRET": "t"}, HOME)
    assert (told.app_id, told.client_secret, told.data_dir) == ("7", "t", HOME / "buoy" / "7")
    assert told.is_complete
    assert "'t'" not in repr(told)


def test_the_names_that_only_we_read_come_first() -> None:
    told = account.read({}, {"QQ_APP_ID": "1", "QQBOT_APP_ID": "2", "QQ_CLIENT_SECRET": "a"}, HOME)
    assert (told.app_id, told.client_secret) == ("2", "a")


@pytest.mark.parametrize("extra", [{}, {"app_id": "7"}, {"client_secret": "s"}, {"app_id": "  ", "client_secret": "s"}])
def test_half_an_account_is_none(extra: dict[str, str]) -> None:
    assert not account.read(extra, {}, HOME).is_complete
    assert account.of_environment({f"QQBOT_{key.upper()}": value for key, value in extra.items()}) is None


def test_the_environment_may_name_the_home_of_a_bot_that_the_file_has() -> None:
    assert account.of_environment({"BUOY_HOME_CHANNEL": "ABC"}) == {"home_channel": {"chat_id": "ABC", "name": "home"}}
    assert account.of_environment({}) is None


def test_the_environment_alone_is_enough_and_names_the_home() -> None:
    env = {"QQ_APP_ID": "7", "QQ_CLIENT_SECRET": "s", "BUOY_HOME_CHANNEL": "ABC"}
    assert account.of_environment(env) == EXTRA | {"home_channel": {"chat_id": "ABC", "name": "home"}}
    assert account.of_environment(env | {"BUOY_HOME_CHANNEL": " "}) == EXTRA
    home = {"home_channel": {"chat_id": "ABC", "name": "home"}}
    assert account.of_environment({"BUOY_HOME_CHANNEL": "ABC"}) == home, "the account may stand in config.yaml"


@pytest.mark.parametrize(
    ("value", "is_markdown"), [(True, True), (False, False), ("false", False), ("no", False), ("yes", True)]
)
def test_markdown_can_be_switched_off(value: object, *, is_markdown: bool) -> None:
    assert account.read(EXTRA | {"markdown": value}, {}, HOME).markdown is is_markdown


def test_tables_are_checked_and_named() -> None:
    assert account.read(EXTRA | {"turns": {"parallel": 3}}, {}, HOME).tables()["turns"].parallel == 3
    for told in ({}, {"turns": {"timeout_s": 60}}):
        tables = [account.read(EXTRA | told, {}, HOME).tables(threads) for threads in (10, 6, 1)]
        assert [one["turns"].parallel for one in tables] == [8, 4, 1], "Hermes needs threads to stop"
    with pytest.raises(ConfigError, match="parallels") as caught:
        account.read(EXTRA | {"turns": {"parallels": 3}}, {}, HOME).tables()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("chat", "scene", "ident"),
    [
        ("ABCD", "c2c", "ABCD"),
        ("group-ABCD", "group", "ABCD"),
        ("channel-12", "channel", "12"),
        ("dm-12", "dm", "12"),
    ],
)
def test_a_chat_and_a_conversation_name_each_other(chat: str, scene: str, ident: str) -> None:
    assert account.chat_of(scene, ident) == chat
    assert account.place_of(chat) == (scene, ident)
    assert account.target_of(chat) == f"qq:{scene}:{ident}"


@pytest.mark.parametrize("chat", ["group:ABCD", "qq:group:ABCD", " group-ABCD "])
def test_people_may_write_a_group_otherwise(chat: str) -> None:
    assert account.place_of(chat) == ("group", "ABCD")


def test_a_private_chat_may_be_written_as_a_target() -> None:
    assert account.place_of("qq:c2c:ABCD") == account.place_of("c2c:ABCD") == ("c2c", "ABCD")


@pytest.mark.parametrize(("scene", "kind"), [("c2c", "dm"), ("dm", "dm"), ("group", "group"), ("channel", "channel")])
def test_scenes_in_the_words_of_hermes(scene: str, kind: str) -> None:
    assert account.kind_of(scene) == kind
