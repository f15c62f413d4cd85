"""The token: kept private, made once, guessed slowly; and sessions that end."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from buoy.errors import StoreError
from buoy.faces.web import login
from buoy.faces.web.login import Guesses, Keys
from buoy.settings import Secret


def test_a_token_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    token = login.kept(tmp_path)
    assert len(token.reveal()) >= 43, "256 bits"
    assert login.kept(tmp_path) == token
    assert stat.S_IMODE((tmp_path / login.FILE).stat().st_mode) == 0o600
    assert token.reveal() not in repr(token)


@pytest.mark.parametrize("left", ["", "\n", "torn"])
def test_what_a_power_cut_left_is_made_anew(left: str, tmp_path: Path) -> None:
    (tmp_path / login.FILE).write_text(left)
    token = login.kept(tmp_path)
    assert len(token.reveal()) >= 43
    assert stat.S_IMODE((tmp_path / login.FILE).stat().st_mode) == 0o600


def test_a_file_that_cannot_be_read_or_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot keep a token in .*\(.*\); check the disk, or set web\.token"):
        login.kept(tmp_path / "nowhere")
    (tmp_path / login.FILE).write_bytes(b"\xff" * 40)
    with pytest.raises(StoreError, match="not a text file"):
        login.kept(tmp_path)


def test_a_session_lasts_its_time_and_only_with_its_token() -> None:
    keys = Keys(Secret("a token of some length"))
    session = keys.session(1000.0)
    assert keys.is_session(session, 1000.0 + login.SESSION_S - 1)
    assert not keys.is_session(session, 1000.0 + login.SESSION_S)
    assert not Keys(Secret("another token, as long")).is_session(session, 1000.0)
    ends, nonce, sign = session.split(".")
    for forged in (f"{int(ends) + 1}.{nonce}.{sign}", f"{ends}.{nonce}.", f"{ends}..{sign}", "", "..", "\udcff", sign):
        assert not keys.is_session(forged, 1000.0), forged
    assert keys.session(1000.0) != session


def test_a_token_is_compared_whole() -> None:
    keys = Keys(Secret("a token of some length"))
    assert keys.is_token("a token of some length")
    assert not any(keys.is_token(wrong) for wrong in ("", "a token of some lengt", "A token of some length", "\udcff"))


def test_guesses_are_slow_by_address_and_the_same_wrong_token_is_no_guess() -> None:
    guesses = Guesses()
    for _ in range(1000):
        guesses.wrong("1", "an old token", 0.0)
    assert guesses.wait_s("1", 0.0) == 0
    for n in range(login.GUESSES - 1):
        assert guesses.wait_s("1", 1.0 + n) == 0
        guesses.wrong("1", f"guess {n}", 1.0 + n)
    assert guesses.wait_s("1", 20.0) == pytest.approx(40.0)
    assert guesses.wait_s("2", 20.0) == 0
    assert guesses.wait_s("1", 60.0) == 0


def test_guesses_of_many_addresses_are_forgotten_oldest_first() -> None:
    guesses = Guesses()
    for n in range(login.PEERS + 1):
        for k in range(login.GUESSES):
            guesses.wrong(str(n), str(k), 0.0)
    assert guesses.wait_s("0", 0.0) == 0
    assert guesses.wait_s("1", 0.0) > 0
