"""What a reply that a dead Hermes process owes means to our store."""

from __future__ import annotations

import hashlib

import pytest

from buoy.faces.hermes.ledger import Known, Verdict, judge

SESSION = "agent:main:buoy:dm:A"


def name_of(session: str, message: str, content: str) -> str:
    return hashlib.sha256(f"{session}|{message}|{content}".encode()).hexdigest()[:24]


def row(message: str, content: str = "the answer") -> dict[str, object]:
    return {"session_key": SESSION, "content": content, "obligation_id": name_of(SESSION, message, content)}


@pytest.mark.parametrize(
    ("known", "verdict", "message"),
    [
        (Known(frozenset(), frozenset({"m0", "m1"}), frozenset()), Verdict.ADOPT, "m1"),
        (Known(frozenset({"m1"}), frozenset({"m2"}), frozenset()), Verdict.DONE, "m1"),
        # letters of an open turn are only what it said on its way: its answer is this one
        (Known(frozenset({"m1"}), frozenset({"m1"}), frozenset()), Verdict.ADOPT, "m1"),
        (Known(frozenset(), frozenset(), frozenset({"the answer"})), Verdict.DONE, ""),
        (Known(frozenset({"m2"}), frozenset({"m3"}), frozenset({"another answer"})), Verdict.SEND, ""),
        (Known(frozenset(), frozenset(), frozenset()), Verdict.SEND, ""),
    ],
)
def test_verdicts(known: Known, verdict: Verdict, message: str) -> None:
    assert judge(row("m1"), known, name_of) == (verdict, message)


def test_blanks_around_a_text_do_not_make_it_another() -> None:
    known = Known(frozenset(), frozenset(), frozenset({"the answer"}))
    assert judge(row("m1", "the answer\n"), known, name_of)[0] is Verdict.DONE
