"""Buttons as QQ takes them: what is laid out anew, what is refused in one line, and the request's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buoy.chat import Button
from buoy.protocol import keyboards, rest
from buoy.sim import keyboards as theirs

YES, NO = Button("Yes", "y", is_main=True), Button("No", "n")


def many(*widths: int) -> tuple[tuple[Button, ...], ...]:
    numbers = iter(range(1000))
    return tuple(tuple(Button(f"B{(n := next(numbers))}", f"d{n}") for _ in range(width)) for width in widths)


def widths(rows: keyboards.Rows) -> list[int]:
    return [len(row) for row in rows]


def shown(rows: keyboards.Rows, tips: str = "old") -> Any:
    request = rest.build_text("c2c", "U", "**x**", anchor="msg_id:M", seq=2, markdown=True)
    with_keys = keyboards.under(request, rows, tips)
    assert with_keys._replace(body=b"") == request._replace(body=b"")
    fields = json.loads(with_keys.body)
    assert {key: fields[key] for key in fields if key != "keyboard"} == json.loads(request.body)
    return fields["keyboard"]


# --- layout: five by five (12.3) ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [many(), many(1), many(5), many(5, 5, 5, 5, 5), many(1, 2, 3, 2, 1)])
def test_what_fits_stays_as_it_is(rows: keyboards.Rows) -> None:
    assert keyboards.arrange(rows) == rows
    assert keyboards.arrange([list(row) for row in rows]) == rows


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((6,), [2, 2, 2]),
        ((1,) * 6, [2, 2, 2]),
        ((1,) * 7, [2, 2, 2, 1]),
        ((25,), [5, 5, 5, 5, 5]),
        ((1,) * 25, [5, 5, 5, 5, 5]),
        ((6, 1), [2, 2, 2, 1]),
    ],
)
def test_what_is_too_wide_or_too_tall_is_laid_out_anew_in_its_order(asked: tuple[int, ...], given: list[int]) -> None:
    rows = keyboards.arrange(many(*asked))
    assert widths(rows) == given
    assert [one.data for row in rows for one in row] == [f"d{n}" for n in range(sum(asked))]


def test_empty_rows_are_no_rows() -> None:
    assert keyboards.arrange(((), (YES,), ())) == ((YES,),)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (many(26), "there are 26 buttons; QQ takes 25 under one message"),
        (((Button(" ", "x"),),), "a button has no label"),
        (((Button("x", ""),),), "a button has no data"),
        (((Button(3, "x"),),), "buoy.chat.Button"),  # type: ignore[arg-type]
        (((Button("x", None),),), "buoy.chat.Button"),  # type: ignore[arg-type]
        ((("Yes",),), "buoy.chat.Button"),
        ((YES, NO), "rows of buoy.chat.Button"),
        ("Yes", "rows of buoy.chat.Button"),
        (7, "rows of buoy.chat.Button"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(rows: object, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        keyboards.arrange(rows)
    assert "\n" not in str(caught.value)


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert keyboards.arrange(((Button("a\ud800", "\udfffb"),),)) == ((Button("a?", "?b"),),)


# --- the request: numbers typed by hand from 12.3 -------------------------------------------------------------------


def test_a_keyboard_has_the_documented_shape() -> None:
    def key(ident: str, label: str, data: str, style: int) -> dict[str, Any]:
        return {
            "id": ident,
            "render_data": {"label": label, "visited_label": label, "style": style},
            "action": {"type": 1, "permission": {"type": 2}, "data": data, "unsupport_tips": "old"},
        }

    assert shown(((YES, NO), (Button("Later", "l"),))) == {
        "content": {
            "rows": [
                {"buttons": [key("b1", "Yes", "y", 1), key("b2", "No", "n", 0)]},
                {"buttons": [key("b3", "Later", "l", 0)]},
            ]
        }
    }


@given(
    st.lists(
        st.lists(
            st.builds(Button, st.text(min_size=1).filter(str.strip), st.text(min_size=1), st.booleans()),
            max_size=7,
        ),
        max_size=9,
    )
)
def test_whatever_is_arranged_passes_the_platforms_checks(rows: list[list[Button]]) -> None:
    every = [one for row in rows for one in row]
    if len(every) > 25:
        with pytest.raises(ValueError, match="25"):
            keyboards.arrange(rows)
        return
    arranged = keyboards.arrange(rows)
    assert [one.label for row in arranged for one in row] == [one.label for one in every]
    if every:
        seen = theirs.check(shown(arranged))
        assert isinstance(seen, list)
        assert [key.data for row in seen for key in row] == [one.data for one in every]


def test_joined_messages_keep_the_buttons_of_the_last_that_has_some() -> None:
    assert keyboards.merged([((YES,),), ((NO,),), ()]) == ((NO,),)
    assert keyboards.merged([(), ()]) == ()
