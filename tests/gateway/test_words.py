"""What users are told stands in both languages, and the settings may say it otherwise or not at all."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from buoy.config import load
from buoy.gateway.words import WORDS, words_of
from buoy.settings import Document, Outbox, Turns


def test_both_languages_say_everything_and_say_it_in_their_own_words() -> None:
    assert set(WORDS) == {"zh", "en"}
    for words in WORDS.values():
        assert all(astuple(words))
        assert len(set(astuple(words))) == len(astuple(words))
    assert not set(astuple(WORDS["zh"])) & set(astuple(WORDS["en"]))
    assert all(text.isascii() for text in astuple(WORDS["en"]))


def test_own_texts_replace_them_one_by_one_and_an_empty_one_is_silence() -> None:
    assert words_of("en", None, None, None) == WORDS["en"]
    own = words_of("zh", "oops", "", "")
    assert (own.failed, own.too_long, own.stopped, own.idle) == ("oops", "", "", "")
    assert words_of("zh", "", None, "enough").idle == WORDS["zh"].idle


def test_the_settings_default_to_the_words_of_the_language(tmp_path: Path) -> None:
    file = tmp_path / "buoy.toml"
    file.write_text('[turns]\nfailed_text = ""\ntyping_after_s = 0\n[outbox]\nlanguage = "en"\n', encoding="utf-8")
    config = load(file, {"QQ_APP_ID": "1", "QQ_CLIENT_SECRET": "x", "BUOY_DATA_DIR": str(tmp_path)})
    assert (config.turns.failed_text, config.turns.timeout_text, config.turns.stopped_text) == ("", None, None)
    assert config.turns.typing_after_s == 0
    assert (Turns().typing_after_s, Outbox().language) == (3.0, "zh")
    assert Document(data_dir=tmp_path).turns.failed_text is None


@pytest.mark.parametrize("line", ["typing_after_s = -1", "failed_text = 7"])
def test_a_wrong_one_is_refused_with_its_name(tmp_path: Path, line: str) -> None:
    file = tmp_path / "buoy.toml"
    file.write_text(f"[turns]\n{line}\n", encoding="utf-8")
    with pytest.raises(Exception, match=line.split(maxsplit=1)[0]):
        load(file, {"QQ_APP_ID": "1", "QQ_CLIENT_SECRET": "x"})
