"""Which folder is the Hermes home, what a diff shows of its secrets, and what counts as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from buoy.errors import ConfigError
from buoy.faces.hermes_home.files import home_of
from buoy.faces.hermes_home.showing import MASK, diff, secrets_of


def test_the_home_is_the_named_one_else_that_of_the_active_profile(tmp_path: Path) -> None:
    root, other = tmp_path / ".hermes", tmp_path / "other"
    work = root / "profiles" / "work"
    for folder in (work, other, root / "profiles" / "play"):
        folder.mkdir(parents=True)
    environ = {"HOME": str(tmp_path)}
    assert home_of(None, environ) == root
    assert home_of(None, environ | {"HERMES_HOME": str(other)}) == other
    (root / "active_profile").write_text("work\n")
    assert home_of(None, environ) == work
    assert home_of(None, environ | {"HERMES_HOME": str(root)}) == work, "as Hermes does, where a unit names the root"
    assert home_of(None, environ | {"HERMES_HOME": str(root / "profiles" / "play")}) == root / "profiles" / "play"
    assert home_of(root, environ) == root
    (root / "active_profile").write_text("gone")
    assert home_of(None, environ) == root
    with pytest.raises(ConfigError, match="no Hermes home at"):
        home_of(tmp_path / "none", environ)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("client_secret: a-secret", f"client_secret: {MASK}"),
        ("  api_key: sk-1  # mine", f"  api_key: {MASK}"),
        ("note: the word is a-known-secret", f"note: the word is {MASK}"),
        ("app_id: '1000001'", "app_id: '1000001'"),
        ('      "deliver": "buoy",', '      "deliver": "buoy",'),
    ],
)
def test_what_sounds_like_a_secret_is_masked(line: str, shown: str) -> None:
    assert diff("config.yaml", "", line + "\n", secrets=["a-known-secret"])[-1] == f"+{shown}"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("QQBOT_APP_ID=1", "QQBOT_APP_ID=1"),
        ("BUOY_ALLOWED_USERS=U1", "BUOY_ALLOWED_USERS=U1"),
        ("DATABASE=postgres://u:p@h", f"DATABASE={MASK}"),
        (
            "# off, by buoy hermes install: QQ_CLIENT_SECRET=x",
            f"# off, by buoy hermes install: QQ_CLIENT_SECRET={MASK}",
        ),
        ("BUOY_ALLOWED_USERS=a-known-secret", f"BUOY_ALLOWED_USERS={MASK}"),
    ],
)
def test_of_an_env_file_only_what_this_is_about_is_shown(line: str, shown: str) -> None:
    assert diff(".env", "", line + "\n", secrets=["a-known-secret"], context=0)[-1] == f"+{shown}"


def test_secrets_are_found_wherever_they_stand() -> None:
    config = "platforms: {qqbot: {extra: {client_secret: in-config}}}\nlist: [{app_secret: in-a-list}]\n"
    env = "QQ_CLIENT_SECRET=in-env-1\nQQ_TOKEN_URL=https://h/token\nQQ_APP_ID=1000001\nX_KEY=short\n"
    assert secrets_of(config, env) == {"in-config", "in-a-list", "in-env-1"}
    assert secrets_of("a: [", env) == {"in-env-1"}


@pytest.mark.parametrize(
    "config",
    [
        "model: {provider: custom, api_key: a-known-secret}\n",
        "api_key:\n  a-known-secret\n",
        "api_key: |\n  a-known-secret\n",
        "tokens:\n- a-known-secret\n",
    ],
)
def test_a_secret_of_another_platform_is_not_shown_beside_a_change(config: str) -> None:
    shown = diff("config.yaml", config, config + "x: 1\n", secrets=secrets_of(config, ""))
    assert not any("a-known-secret" in line for line in shown)
