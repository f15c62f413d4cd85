"""The text of a YAML file after one change: everything else stays, byte for byte."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buoy.faces.hermes_home.yaml_text import Add, Change, Drop, EditError, Put, Remove, change, inverse, load

TABLE: list[tuple[str, Change, str]] = [
    # nothing there yet
    ("", Add(("plugins", "enabled"), "buoy"), "plugins:\n  enabled:\n  - buoy\n"),
    ("# only words\n", Put(("a", "b"), True), "# only words\na:\n  b: true\n"),
    ("a: 1", Put(("b",), 2), "a: 1\nb: 2\n"),
    ("a: 1\n\n# the end\n", Put(("b",), 2), "a: 1\nb: 2\n\n# the end\n"),
    # a list in each of its forms
    ("p:\n  enabled:\n    - x   # why\n\nq: 1\n", Add(("p", "enabled"), "b"),
     "p:\n  enabled:\n    - x   # why\n    - b\n\nq: 1\n"),
    ("p:\n  enabled:\n  - x\n  disabled: []\n", Add(("p", "enabled"), "b"),
     "p:\n  enabled:\n  - x\n  - b\n  disabled: []\n"),
    ("p: {enabled: [x]}  # flow\n", Add(("p", "enabled"), "b"), "p: {enabled: [x, b]}  # flow\n"),
    ("p: {enabled: []}\n", Add(("p", "enabled"), "b"), "p: {enabled: [b]}\n"),
    ("p: {}\n", Add(("p", "enabled"), "b"), "p:\n  enabled:\n  - b\n"),
    ("p:\n  enabled: []   # none\n  x: 1\n", Add(("p", "enabled"), "b"),
     "p:\n  enabled:   # none\n  - b\n  x: 1\n"),
    ("p:\n  enabled:\n  x: 1\n", Add(("p", "enabled"), "b"), "p:\n  enabled:\n  - b\n  x: 1\n"),
    ("p:\nx: 1\n", Add(("p", "enabled"), "b"), "p:\n  enabled:\n  - b\nx: 1\n"),
    ("p:\n    enabled: [x]\n", Add(("p", "enabled"), "x"), "p:\n    enabled: [x]\n"),
    # a value
    ("a:\n  enabled: true  # on\n", Put(("a", "enabled"), False), "a:\n  enabled: false  # on\n"),
    ("a: {enabled: yes, b: 1}\n", Put(("a", "enabled"), False), "a: {enabled: false, b: 1}\n"),
    ("a: {b: 1}\n", Put(("a", "enabled"), False), "a: {b: 1, enabled: false}\n"),
    ("a:\n    b: |\n      two\n      lines\n\nz: 1\n", Put(("a", "c"), "x: y"),
     "a:\n    b: |\n      two\n      lines\n    c: 'x: y'\n\nz: 1\n"),
    ("a:\n  b: 1\n", Put(("a", "c"), {"d": "007", "e": ["f"]}), "a:\n  b: 1\n  c:\n    d: '007'\n    e:\n    - f\n"),
    ("a: 1\r\nb:\r\n  c: 1\r\n", Put(("b", "d"), 2), "a: 1\r\nb:\r\n  c: 1\r\n  d: 2\r\n"),
    # and away
    ("a:\n  b: 1\n  c:\n    d: 1\n  # of e\n  e: 1\n", Drop(("a", "c")), "a:\n  b: 1\n  # of e\n  e: 1\n"),
    ("z: 1\na:\n  b:\n    c: 1\n", Drop(("a", "b", "c")), "z: 1\n"),
    ("z: 1\na:\n  b:\n    c: 1\n", Drop(("a", "b", "c"), keep=1), "z: 1\na: {}\n"),
    ("a: {b: 1, c: 2}\n", Drop(("a", "b")), "a: {c: 2}\n"),
    ("a: {b: 1, c: 2}\n", Drop(("a", "c")), "a: {b: 1}\n"),
    ("a: 1\r\nb: 2\r\nc: 3\r\n", Drop(("b",)), "a: 1\r\nc: 3\r\n"),
    ("p:\n  enabled:\n  - x\n  - b\n  - c\n", Remove(("p", "enabled"), "b"), "p:\n  enabled:\n  - x\n  - c\n"),
    ("p: {enabled: [b, c]}\n", Remove(("p", "enabled"), "b"), "p: {enabled: [c]}\n"),
    ("p:\n  enabled:\n  - b\nz: 1\n", Remove(("p", "enabled"), "b"), "z: 1\n"),
    ("p:\n  enabled:\n  - b\nz: 1\n", Remove(("p", "enabled"), "b", keep=2), "p:\n  enabled: []\nz: 1\n"),
    ("p: {enabled: [b, c, b]}\n", Remove(("p", "enabled"), "b"), "p: {enabled: [c]}\n"),
    ("p:\n  enabled:\n  - b\n  - b\nz: 1\n", Remove(("p", "enabled"), "b"), "z: 1\n"),
    ("p: 1\n", Remove(("q",), "b"), "p: 1\n"),
    ("p: 1\n", Drop(("q", "r")), "p: 1\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "one", "after"), TABLE)
def test_one_change(text: str, one: Change, after: str) -> None:
    assert change(text, [one]) == after
    assert change(after, [one]) == after, "a second time changes nothing"


@pytest.mark.parametrize(("text", "one", "after"), TABLE)
def test_each_change_has_an_inverse_for_the_data(text: str, one: Change, after: str) -> None:
    back = inverse(load(text), one)
    if text == after:
        assert back is None
    else:
        assert back is not None
        meant = load(text)
        found = load(change(after, [back]))
        assert _bare(found) == _bare(meant)


def _bare(data: object) -> object:
    """Empty lists and tables are as good as none, and an item comes back at the end."""
    if isinstance(data, list):
        return sorted(set(data))
    if not isinstance(data, dict):
        return data
    below = {key: _bare(value) for key, value in data.items()}
    return {key: value for key, value in below.items() if value not in ({}, [], None)}


@pytest.mark.parametrize(
    ("text", "one", "named"),
    [
        ("a: &x {b: 1}\nc: *x\n", Put(("c", "b"), 2), "c.b"),
        ("a: [1]\n", Put(("a", "b"), 2), "a table where b"),
        ("a: text\n", Add(("a",), "b"), "a is no list"),
        ("a: {b: 1\n", Put(("c",), 2), "expected"),
        ("- a\n", Put(("c",), 2), "no table"),
        ("a:\n  b: 1\n", Put(("a",), 2), "more than one value"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text: str, one: Change, named: str) -> None:
    with pytest.raises(EditError, match=named):
        change(text, [one])


KEYS = st.sampled_from(["a", "b", "plugins", "enabled"])
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 99), st.sampled_from(["x", "a: b", "two\nlines\n", "#", "好"])),
    lambda below: st.one_of(st.dictionaries(KEYS, below, max_size=3), st.lists(st.sampled_from("xyz"), max_size=3)),
    max_leaves=12,
)


@given(
    st.dictionaries(KEYS, TREES, max_size=4),
    st.lists(KEYS, min_size=1, max_size=3).map(tuple),
    st.sampled_from(["block", "flow", "mixed"]),
    st.sampled_from(["put", "table", "drop", "add", "remove"]),
)
def test_any_file_of_hermes_form_is_changed_right_or_not_at_all(
    tree: dict[str, object], path: tuple[str, ...], style: str, kind: str
) -> None:
    text = yaml.safe_dump(
        tree, default_flow_style={"block": False, "flow": True, "mixed": None}[style], allow_unicode=True
    )
    kinds: dict[str, Change] = {
        "put": Put(path, "new"),
        "table": Put(path, {"app_id": "1", "list": ["x"]}),
        "drop": Drop(path),
        "add": Add(path, "q"),
        "remove": Remove(path, "x"),
    }
    one = kinds[kind]
    try:
        after = change(text, [one])
    except EditError as error:
        assert "has a form" not in str(error), (text, "the text was changed wrongly, and it was seen")  # noqa: PT017
        return
    old = text.splitlines()
    assert len([line for line in after.splitlines() if line not in old]) <= 7, "the rest of the text is as it was"
