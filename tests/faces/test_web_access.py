"""Who may do what over HTTP: the table, typed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from buoy.faces.web import access
from buoy.faces.web.access import Asked, Need, decide

HERE = Asked("127.0.0.1", ("127.0.0.1:8765",))
AWAY = Asked("192.0.2.7", ("buoy.example:8765",))
PAGE: dict[str, Any] = {"origin": "http://127.0.0.1:8765", "site": "same-origin", "is_json": True, "is_marked": True}


def status(need: Need, asked: Asked, **switches: bool) -> int:
    refusal = decide(need, asked, **switches)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (HERE, True),
        (replace(HERE, peer="127.9.9.9"), True),
        (replace(HERE, peer="::1", hosts=("[::1]:8765",)), True),
        (replace(HERE, peer="::ffff:127.0.0.1", hosts=("localhost",)), True),
        (replace(HERE, hosts=("LOCALHOST:80",)), True),
        (replace(HERE, hosts=("evil.example:8765",)), False),  # DNS rebinding: the name points here, and is not ours
        (replace(HERE, hosts=("127.0.0.1.evil.example",)), False),
        (replace(HERE, hosts=("localhost.evil.example",)), False),
        (replace(HERE, hosts=("[::1].evil.example",)), False),
        (replace(HERE, hosts=("127.0.0.1@evil.example",)), False),
        (replace(HERE, hosts=("[::1",)), False),
        (replace(HERE, hosts=("",)), False),
        (replace(HERE, hosts=()), False),
        (replace(HERE, hosts=("127.0.0.1", "127.0.0.1")), False),
        (replace(HERE, is_forwarded=True), False),
        (replace(HERE, peer=""), False),
        (replace(HERE, peer="192.0.2.7"), False),  # it says a loopback host, and comes from elsewhere
        (AWAY, False),
        (replace(AWAY, token=True), True),
        (replace(AWAY, session=True), True),
        (replace(AWAY, session=True, token=False), False),
        (replace(HERE, token=False), False),
        (replace(HERE, is_forwarded=True, session=True), True),
    ],
)
def test_who_may_read(*, asked: Asked, allowed: bool) -> None:
    assert status(Need.READ, asked) == (200 if allowed else 401)


@pytest.mark.parametrize(
    ("site", "expected"), [(None, 200), ("none", 200), ("same-origin", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_a_page_of_another_site_reads_nothing(site: str | None, expected: int) -> None:
    assert status(Need.READ, replace(HERE, site=site)) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (replace(HERE, **PAGE), 200),
        (replace(HERE, **PAGE | {"site": None}), 200),  # an old browser: Origin alone
        (replace(HERE, **PAGE | {"origin": None}), 200),
        (replace(HERE, **PAGE | {"origin": None, "site": None}), 403),
        (replace(HERE, **PAGE | {"origin": None, "site": None, "token": True}), 200),  # a script has no ambient rights
        (replace(HERE, **PAGE | {"origin": "http://evil.example", "token": True}), 403),
        (replace(HERE, **PAGE | {"origin": "null", "site": None}), 403),
        (
            replace(HERE, **PAGE | {"origin": "http://127.0.0.1:1", "site": None}),
            403,
        ),  # another program here
        (replace(HERE, **PAGE | {"site": "none"}), 403),
        (replace(HERE, **PAGE | {"site": "cross-site"}), 403),
        (replace(HERE, **PAGE | {"is_json": False}), 403),
        (replace(HERE, **PAGE | {"is_marked": False}), 403),
        (replace(AWAY, **PAGE), 401),
        (replace(AWAY, **PAGE | {"session": True}), 403),
        (replace(AWAY, **PAGE | {"session": True, "origin": "https://BUOY.example:8765"}), 200),
    ],
)
def test_who_may_act(asked: Asked, expected: int) -> None:
    assert status(Need.ACT, asked) == expected


@pytest.mark.parametrize("asked", [HERE, replace(HERE, session=True, **PAGE), replace(HERE, token=False)])
def test_sending_needs_the_token_here_too(asked: Asked) -> None:
    assert status(Need.SEND, asked) == 401
    assert status(Need.SEND, replace(asked, token=True)) == 200


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, 200),  # a script
        ({"origin": "http://127.0.0.1:8765"}, 200),
        ({"origin": "http://127.0.0.1:8765", "site": "same-origin"}, 200),
        ({"origin": "https://buoy.example", "site": "same-origin"}, 200),  # a proxy that gives the host another name
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example", "site": "cross-site"}, 403),
        ({"origin": "http://127.0.0.1:1", "site": "same-site"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_even_guess(told: dict[str, Any], expected: int) -> None:
    assert status(Need.ENTER, replace(HERE, **told)) == expected


def test_this_machine_may_be_asked_for_the_token_too() -> None:
    assert status(Need.READ, HERE, login_always=True) == 401
    assert status(Need.ACT, replace(HERE, **PAGE), login_always=True) == 401
    assert status(Need.READ, replace(HERE, session=True), login_always=True) == 200


@pytest.mark.parametrize("need", Need)
def test_every_need_is_refused_to_a_stranger_but_none(need: Need) -> None:
    assert (status(need, AWAY) == 200) == (need in {Need.NOTHING, Need.ENTER})


@pytest.mark.parametrize(
    ("name", "is_proxys"),
    [
        ("X-Forwarded-For", True),
        ("x-forwarded-anything", True),
        ("Forwarded", True),
        ("VIA", True),
        ("X-Real-IP", True),
        ("CF-Connecting-IP", True),
        ("Host", False),
        ("X-Buoy", False),
    ],
)
def test_marks_of_a_proxy(*, name: str, is_proxys: bool) -> None:
    assert access.has_forwarding(["Accept", name]) is is_proxys
