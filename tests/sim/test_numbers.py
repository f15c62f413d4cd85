"""The simulator's numbers against protocol.md, typed once more by hand."""

from __future__ import annotations

import pathlib

import buoy.sim
from buoy.sim import Settings, settings


def test_windows_and_budgets_of_11_1() -> None:
    assert settings.WINDOW_S == {"c2c": 60 * 60, "group": 5 * 60, "channel": 5 * 60, "dm": 5 * 60}
    assert settings.BUDGET == {"c2c": 4, "group": 5, "channel": None, "dm": None}


def test_quotas_of_11_2_to_11_4() -> None:
    assert settings.C2C_PROACTIVE_PER_S == {True: 10, False: 5}
    assert settings.C2C_PROACTIVE_PER_MIN[False] == 30
    assert settings.GROUP_PROACTIVE_PER_MIN == {True: 60, False: 30}
    assert (settings.RELATION_PROACTIVE_PER_MIN, settings.RELATION_PROACTIVE_PER_DAY) == (20, 1000)
    assert (settings.CHANNEL_PROACTIVE_PER_DAY, settings.CHANNELS_PER_GUILD_PER_DAY) == (20, 2)
    assert (settings.DM_PROACTIVE_PER_USER_PER_DAY, settings.DM_PROACTIVE_PER_DAY) == (2, 200)
    assert settings.WAKE_UP_DAYS == (1, 3, 7, 30)


def test_rates_of_18_and_5() -> None:
    assert settings.SENDS_PER_S == {"c2c": 100, "group": 100, "channel": 50, "dm": 50}
    assert settings.CHANNEL_WRITES_PER_S == 5
    assert (settings.GATEWAY_PER_MIN, settings.GATEWAY_BURST) == (2, 10)


def test_uploads_of_15_1_and_20() -> None:
    mega = 2**20
    assert {1: 20 * mega, 2: 30 * mega, 3: 20 * mega, 4: 200 * mega} == settings.FILE_SOFT_LIMITS
    assert settings.FILES_PER_S == 50
    knobs = Settings()
    assert knobs.file_limit == 200 * mega
    assert (knobs.body_limit, knobs.file_info_life_s, knobs.upload_day_limit) == (30_000_000, 300, 2 * 1024 * mega)


def test_sessions_and_tokens() -> None:
    knobs = Settings()
    assert (knobs.heartbeat_s, knobs.resume_s, knobs.resume_buffer, knobs.lifetime_s) == (45, 300, 1000, 1800)
    assert (knobs.identifies_per_day, knobs.identify_spacing_s, knobs.max_concurrency) == (1000, 5, 1)
    assert (knobs.token_life_s, settings.TOKEN_OVERLAP_S, settings.BEATS_MISSED) == (7200, 60, 2)
    assert (knobs.text_limit, settings.KEYBOARD_ROWS, settings.KEYBOARD_COLUMNS) == (5000, 5, 5)
    assert settings.INTERACTION_ACK_S == 3


def test_the_simulator_knows_nothing_of_our_numbers() -> None:
    """It may import wire formats only: it has to be able to disagree with us."""
    for file in pathlib.Path(buoy.sim.__file__).parent.glob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith(("from buoy", "import buoy")):
                assert "buoy.sim" in line or "buoy.protocol.wire" in line, f"{file.name}: {line}"
