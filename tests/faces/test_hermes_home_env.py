"""The lines of a `.env` file after one change, and what a value is."""

from __future__ import annotations

import pytest

from buoy.faces.hermes_home.env_text import OFF, Change, Off, On, Rename, Set, Unset, change, digest, inverse, load

FILE = """\
# secrets
export QQ_APP_ID=1000001
QQ_CLIENT_SECRET='se cret'   # from q.qq.com
QQ_ALLOWED_USERS="A,B"

OTHER=1 # one
EMPTY=
"""


def test_values_are_read_as_hermes_reads_them() -> None:
    assert load(FILE) == {
        "QQ_APP_ID": "1000001",
        "QQ_CLIENT_SECRET": "se cret",
        "QQ_ALLOWED_USERS": "A,B",
        "OTHER": "1",
    }
    assert load("\ufeffA=1\nA=2\nB=\"q\\\"q\"\nC='it\\'s'\nD=a#b\n") == {"A": "2", "B": 'q"q', "C": "it's", "D": "a#b"}


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (Rename("QQ_APP_ID", "QQBOT_APP_ID"), "export QQ_APP_ID=1000001", "export QQBOT_APP_ID=1000001"),
        (
            Rename("QQ_CLIENT_SECRET", "QQBOT_CLIENT_SECRET"),
            "QQ_CLIENT_SECRET='se cret'   # from q.qq.com",
            "QQBOT_CLIENT_SECRET='se cret'   # from q.qq.com",
        ),
        (Rename("QQ_ALLOWED_USERS", "B", "A, B"), 'QQ_ALLOWED_USERS="A,B"', "B='A, B'"),
        (Set("OTHER", "2"), "OTHER=1 # one", "OTHER=2"),
        (Set("NEW", "group-1"), "EMPTY=\n", "EMPTY=\nNEW=group-1\n"),
        (Unset("OTHER", digest("1")), "OTHER=1 # one\n", ""),
        (Unset("OTHER", digest("2")), "", ""),
        (Off("QQ_APP_ID"), "export QQ_APP_ID=1000001", f"{OFF}export QQ_APP_ID=1000001"),
        (Off("ABSENT"), "", ""),
    ],
)
def test_one_change_and_what_undoes_it(one: Change, old: str, new: str) -> None:
    after = change(FILE, [one])
    assert after == FILE.replace(old, new)
    back = inverse(load(FILE), one)
    if isinstance(one, Unset):
        return
    assert (back is None) == (after == FILE)
    if back is not None:
        assert load(change(after, [back])) == load(FILE)


def test_what_was_a_comment_before_stays_one() -> None:
    text = f"# QQ_APP_ID=7\n{OFF}QQ_APP_ID=1\n"
    assert change(text, [On("QQ_APP_ID")]) == "# QQ_APP_ID=7\nQQ_APP_ID=1\n"


def test_a_file_keeps_its_line_ends() -> None:
    assert change("A=1\r\nB=2", [Set("C", "3")]) == "A=1\r\nB=2\r\nC=3\r\n"
    assert change("", [Set("C", "3")]) == "C=3\n"


def test_the_inverse_of_a_renamed_secret_does_not_hold_it() -> None:
    back = inverse(load(FILE), Rename("QQ_CLIENT_SECRET", "QQBOT_CLIENT_SECRET"))
    assert "se cret" not in repr(back)
