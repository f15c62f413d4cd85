"""The error-code table: one row of it per code that protocol.md 4 names, typed here a second time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.protocol.codes import AUDITED, RANGES, TABLE, Action, Fix, classify, find, fix

PASSIVE = {
    Action.TOKEN: """
        11241 11243 11244 40011027
    """,
    Action.RATE: """
        100001 100017 40023001 40034100 50002 40093002 20028 302012 503004 610012 610013 620006
        1100100 1100308
    """,
    Action.RETRY: """
        11301 11302 11303 11304 11305 11306 40034004 304082 304083 40054006 50055001 50055002
        50055006 304007 304008 304009 304010 304017 304021 304029 304052 50001 850027 40093001
        306003 306005 306006 306010 50065001 304006 304016 304033 304044 304018 620007 630004 630005
        504000 504999 40030009
    """,
    Action.ONCE: """
        11242 11252 11263 11281 304080 340067 850026 40034001
    """,
    Action.REPLY_DEAD: """
        304103 304026 304027 304028 40034005 40034024 40034025 40034026 40034027 40034128 22009
        50045 40034102 40034105 40034122 40054013 304022 304035 304045 304046 304047 304048 304049
        304050
    """,
    Action.DUP: "40054005",
    Action.AUDIT: "304023 304024",
    Action.CONTENT: """
        304061 40034006 40054007 40054018 40054010 304003 40034008 40034009 40034010 40034011
        40034124 40007 850019 40034002 850031 50054 50055 304005 304020 304019 304025 501014 1100101
        1100103 3300006
    """,
    Action.PERM: """
        11251 11253 11254 11261 11262 11264 11265 11273 11274 11275 11282 11298 40023002 11703
        40034127 304036 304057 304004 304064 40054016 40034125 850012 40035007 306004 306007 306008
        40062003 50056 301000 301099 502000 502099 610000 619999 1100303 1100306
    """,
    Action.TARGET: """
        10001 10003 10004 11255 40011028 40034101 40054003 40054002 40054004 850018 304031 304032
        304034 1100104 1100301
    """,
    Action.BUG: """
        12001 12002 12003 40034123 40034029 305007 304062 22006 50059 340069 40034106 40034108
        40034109 10000 40035008 306001 306002 306009 40061001 40061002 306011 40064004 50006 50035
        50037 50046 50053 50057 302000 302024 304011 304012 304014 304030 304037 304038 304039 304040 304051
        501000 501013 503001 503020 620001 620002 620003 620004 630001 630002 630003 630006 630007
        630008 1100499 1000000 2999999 3000000 3999999 40030001 40030021 10044 11004
    """,
}
ROWS = [(int(code), action) for action, codes in PASSIVE.items() for code in codes.split()]


@pytest.mark.parametrize(("code", "action"), ROWS)
def test_each_code_of_the_document_has_its_action(code: Any, action: Any) -> None:
    verdict = classify(400, [code], passive=True)
    assert (verdict.action, verdict.code, verdict.known) == (action, code, True)


def test_every_row_of_the_table_is_checked_above() -> None:
    assert set(TABLE) <= {code for code, _ in ROWS}
    assert all(any(low <= code <= high and code not in TABLE for code, _ in ROWS) for low, high, _ in RANGES)


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (22009, Action.RATE),
        (40034102, Action.PROACTIVE),
        (40034105, Action.PROACTIVE),
        (40034100, Action.RATE),
        (40034122, Action.PROACTIVE),
        (40054013, Action.PROACTIVE),
        (304045, Action.PROACTIVE),
        (40034128, Action.PROACTIVE),
        (40034101, Action.TARGET),
    ],
)
def test_without_an_anchor(code: Any, action: Any) -> None:
    assert classify(400, [code], passive=False).action is action


@pytest.mark.parametrize(
    ("codes", "code", "action"),
    [
        ((11298, 40023002), 11298, Action.PERM),
        ((11255, 40011028), 11255, Action.TARGET),
        ((100017, 40023001), 100017, Action.RATE),
        ((11244, 40011027), 11244, Action.TOKEN),
        ((850026, 40034001), 850026, Action.ONCE),
        ((850019, 40034002), 850019, Action.CONTENT),
        ((40034024, 40034024), 40034024, Action.REPLY_DEAD),
        ((987654321, 40034024), 40034024, Action.REPLY_DEAD),
        ((0, 40034024), 40034024, Action.REPLY_DEAD),
        ((1100499, 40034024), 40034024, Action.REPLY_DEAD),  # an exact row wins over a range
        ((987654321, 1100499), 1100499, Action.BUG),
    ],
)
def test_code_first_then_err_code(codes: Any, code: Any, action: Any) -> None:
    verdict = classify(400, codes, passive=True)
    assert (verdict.code, verdict.action) == (code, action)


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (400, Action.BUG),
        (401, Action.TOKEN),
        (403, Action.PERM),
        (404, Action.BUG),
        (405, Action.BUG),
        (408, Action.RETRY),
        (413, Action.CONTENT),
        (418, Action.BUG),
        (429, Action.RATE),
        (500, Action.RETRY),
        (502, Action.RETRY),
        (503, Action.RETRY),
        (504, Action.RETRY),
        (200, Action.BUG),
        (202, Action.AUDIT),
        (302, Action.RETRY),
        (0, Action.RETRY),
    ],
)
@pytest.mark.parametrize("codes", [(), (0, 0), (987654321,)])
def test_an_unknown_code_is_decided_by_the_status(status: Any, action: Any, codes: Any) -> None:
    verdict = classify(status, codes, passive=True)
    assert verdict.action is action
    assert verdict.known is (status == 429)
    assert verdict.code == (codes[0] if codes else 0)


def test_a_429_is_a_rate_limit_whatever_its_code() -> None:
    assert classify(429, [40034105], passive=False).action is Action.RATE


def test_401_with_the_allowlist_code_is_not_about_the_token_and_names_the_remedy() -> None:
    verdict = classify(401, [11298, 40023002], passive=True)
    assert verdict.action is Action.PERM
    assert "IP" in verdict.reason
    assert "allowlist" in verdict.remedy


def test_500_with_a_token_code_is_about_the_token() -> None:
    assert classify(500, [11244], passive=True).action is Action.TOKEN


def test_500_with_the_limit_code_is_a_dead_anchor_or_a_pause() -> None:
    assert classify(500, [22009], passive=True).action is Action.REPLY_DEAD
    assert classify(500, [22009], passive=False).action is Action.RATE


@pytest.mark.parametrize("code", sorted(TABLE))
def test_every_row_speaks_to_people(code: Any) -> None:
    entry = TABLE[code]
    assert entry.meaning
    assert entry.meaning[0].islower() or entry.meaning.startswith(("QQ", "@"))
    assert not entry.meaning.endswith(".")
    if entry.action is Action.PERM:
        assert entry.remedy, f"{code} needs a person and does not say what to do"


def test_only_the_two_review_codes_are_acceptance() -> None:
    assert {code for code, entry in TABLE.items() if entry.action is Action.AUDIT} == AUDITED == {304023, 304024}


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (40034127, Fix.PLAIN),
        (304036, Fix.PLAIN),
        (40034011, Fix.PLAIN),
        (40034124, Fix.PLAIN),
        (304057, Fix.PLAIN),
        (305007, Fix.PLAIN),
        (40034029, Fix.PLAIN),
        (22006, Fix.PLAIN),
        (304037, Fix.PLAIN),
        (304040, Fix.PLAIN),
        (304041, Fix.NONE),
        (40054010, Fix.URLS),
        (304003, Fix.URLS),
        (40054007, Fix.SHORTER),
        (40054018, Fix.SHORTER),
        (40034006, Fix.NONE),
        (40034024, Fix.NONE),
        (987654321, Fix.NONE),
    ],
)
def test_what_may_be_done_about_a_refused_content(code: Any, what: Any) -> None:
    assert fix(code) is what


def test_ranges_do_not_overlap() -> None:
    edges = [edge for low, high, _ in RANGES for edge in (low, high)]
    ordered = sorted(RANGES)
    assert all(one[1] < other[0] for one, other in pairwise(ordered))
    assert all(find(edge) for edge in edges)


@settings(deadline=None)
@given(st.integers(-1, 1000), st.lists(st.integers(), max_size=4), st.booleans())
def test_classify_is_total_and_the_text_is_for_people(status: Any, codes: Any, passive: Any) -> None:
    verdict = classify(status, codes, passive=passive)
    assert verdict.reason
    assert isinstance(verdict.action, Action)
    if passive:
        assert verdict.action is not Action.PROACTIVE
    else:
        assert verdict.action is not Action.REPLY_DEAD
