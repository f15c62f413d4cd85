"""Who may write: every policy in every scene."""

from __future__ import annotations

import pytest

from buoy.faces.hermes.access import read


@pytest.mark.parametrize(
    ("extra", "private", "stranger", "group", "other", "vouched"),
    [
        ({}, True, True, True, True, False),
        ({"dm_policy": "open", "group_policy": "open"}, True, True, True, True, False),
        ({"dm_policy": "pairing", "group_policy": "pairing"}, True, True, False, False, False),
        ({"dm_policy": "disabled", "group_policy": "disabled"}, False, False, False, False, False),
        ({"dm_policy": "allowlist", "group_policy": "allowlist"}, False, False, False, False, False),
        (
            {"dm_policy": "Allowlist", "allow_from": "a1, B2", "group_policy": "allowlist", "group_allow_from": ["G1"]},
            True, False, True, False, True,
        ),
        ({"group_policy": "allowlist", "group_allow_from": "*", "dm_policy": "allowlist", "allow_from": ["*"]},
         True, True, True, True, True),
        ({"dm_policy": "alowlist", "group_policy": 1, "allow_from": ["A1"]}, False, False, False, False, False),
    ],
)  # fmt: skip
def test_policies(
    extra: dict[str, object], *, private: bool, stranger: bool, group: bool, other: bool, vouched: bool
) -> None:
    access = read(extra)
    assert access.admits("c2c", "A1", "A1") is private
    assert access.admits("dm", "guild", "A1") is private
    assert access.admits("c2c", "Z9", "Z9") is stranger
    assert access.admits("group", "g1", "member") is group
    assert access.admits("channel", "G1", "member") is group
    assert access.admits("group", "G9", "member") is other
    assert access.vouches("group", "G1") is vouched
    assert access.vouches("c2c", "G1") is False


def test_the_list_that_hermes_looks_at_counts_as_well() -> None:
    access = read({"dm_policy": "allowlist", "allow_from": ["A"]}, "b, C")
    assert [access.admits("c2c", who, who) for who in ("a", "B", "c", "d")] == [True, True, True, False]
