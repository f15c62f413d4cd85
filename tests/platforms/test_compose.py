"""Letters fit sizes and budgets, nothing of a reply is dropped, and only what a code names is worded anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buoy.chat import Reply
from buoy.platforms.qq.compose import Body, compose, decode, encode, merge, reword
from buoy.protocol.text import units

LIMIT = 4000  # typed again: protocol.md 12.1
TOO_LONG, BAD_URL, BAD_MARKDOWN, POLICY = 40054007, 40054010, 40034127, 40034006
PARAGRAPH = "word " * 700  # 3,500 characters


def bodies(letters: list[bytes]) -> list[Body]:
    return [decode(one) for one in letters]


def visible(text: str) -> str:
    return "".join(text.split())


def test_a_short_reply_is_one_letter() -> None:
    assert bodies(compose("c2c", [Reply("hi")])) == [Body("hi")]
    assert bodies(compose("c2c", [Reply("**hi**", markdown=True)])) == [Body("**hi**", markdown=True)]


def test_several_replies_stay_several_as_long_as_the_budget_holds() -> None:
    replies = [Reply(f"part {n}") for n in range(4)]
    assert [one.text for one in bodies(compose("c2c", replies))] == ["part 0", "part 1", "part 2", "part 3"]


@pytest.mark.parametrize(("scene", "used", "most"), [("c2c", 0, 4), ("group", 0, 5), ("c2c", 3, 1), ("c2c", 4, 1)])
def test_more_replies_than_the_budget_are_merged_and_complete(scene: str, used: int, most: int) -> None:
    replies = [Reply(f"part {n}") for n in range(12)]
    told = bodies(compose(scene, replies, used=used))
    assert len(told) == most
    assert [line for one in told for line in one.text.split("\n\n")] == [f"part {n}" for n in range(12)]


def test_guild_replies_are_not_merged() -> None:
    assert len(compose("channel", [Reply(f"part {n}") for n in range(12)])) == 12


def test_kinds_are_not_mixed_while_the_budget_holds() -> None:
    replies = [Reply("a"), Reply("b", markdown=True), Reply("c"), Reply("d")]
    assert bodies(compose("c2c", replies, used=1)) == [Body("a"), Body("b", markdown=True), Body("c\n\nd")]


def test_where_the_kinds_alone_exceed_the_budget_markdown_is_given_up() -> None:
    replies = [Reply(f"**{n}**", markdown=n % 2 == 1) for n in range(6)]
    told = bodies(compose("c2c", replies))
    assert len(told) == 4
    assert not any(one.markdown for one in told)
    assert visible("".join(one.text for one in told)) == "**0**1**2**3**4**5"


def test_a_text_beyond_every_budget_is_complete_all_the_same() -> None:
    text = "\n".join(f"line {n} {PARAGRAPH}" for n in range(8))
    told = bodies(compose("c2c", [Reply(text)]))
    assert len(told) > 4
    assert visible("".join(one.text for one in told)) == visible(text)


@given(
    st.lists(st.builds(Reply, st.text(min_size=1, max_size=9000), st.booleans()), min_size=1, max_size=8),
    st.sampled_from(["c2c", "group", "channel", "dm"]),
    st.integers(0, 5),
)
def test_nothing_visible_is_dropped_and_everything_fits(replies: list[Reply], scene: str, used: int) -> None:
    told = bodies(compose(scene, replies, used=used))
    assert all(units(one.text) <= LIMIT for one in told)
    if all(not reply.markdown for reply in replies) and "```" not in "".join(r.text for r in replies):
        plain = visible("".join(reply.text for reply in replies))
        if "~~~" not in plain:
            assert visible("".join(one.text for one in told)) == plain


def test_a_quote_is_shown_once_whichever_reply_asks_for_it() -> None:
    assert bodies(compose("c2c", [Reply("a", quote=True)], reference="R")) == [Body("a", reference="R")]
    told = bodies(
        compose("c2c", [Reply("a"), Reply("b", quote=True), Reply("c", markdown=True, quote=True)], reference="R")
    )
    assert [one.reference for one in told] == ["R", None, None]
    assert [one.reference for one in bodies(compose("c2c", [Reply("a"), Reply("b")], reference="R"))] == [None, None]
    assert bodies(compose("c2c", [Reply("a", quote=True)], reference=None)) == [Body("a")]


def test_held_letters_become_one_in_their_order() -> None:
    held = [encode(Body("one")), encode(Body("two", reference="R")), encode(Body("three"))]
    assert bodies(merge(held)) == [Body("one\n\ntwo\n\nthree")]


def test_held_markdown_stays_markdown_only_where_all_of_it_is() -> None:
    bold, plain = encode(Body("**one**", markdown=True)), encode(Body("**two**"))
    assert bodies(merge([bold, bold])) == [Body("**one**\n\n**one**", markdown=True)]
    assert bodies(merge([bold, plain])) == [Body("one\n\n**two**")]


def test_held_letters_that_are_too_long_for_one_become_as_few_as_fit() -> None:
    told = bodies(merge([encode(Body(PARAGRAPH))] * 3))
    assert len(told) == 3
    assert visible("".join(one.text for one in told)) == visible(PARAGRAPH * 3)


def test_too_long_is_halved() -> None:
    told = bodies(reword(encode(Body(PARAGRAPH, markdown=True, reference="R")), code=TOO_LONG))
    assert len(told) == 2 + 1 or len(told) == 2
    assert [one.reference for one in told][:2] == ["R", None]
    assert all(one.markdown for one in told)
    assert visible("".join(one.text for one in told)) == visible(PARAGRAPH)


def test_an_address_that_was_refused_is_made_harmless() -> None:
    (told,) = bodies(reword(encode(Body("see https://example.com or readme.md", reference="R")), code=BAD_URL))
    assert told.text.replace("\u200b", "") == "see https://example.com or readme.md"
    assert "://" not in told.text
    assert told.reference == "R"


def test_markdown_that_was_refused_becomes_plain() -> None:
    (told,) = bodies(reword(encode(Body("# Title\n**bold** text", markdown=True)), code=BAD_MARKDOWN))
    assert told == Body("Title\nbold text")


def test_a_text_that_grew_past_the_limit_is_split() -> None:
    told = bodies(reword(encode(Body("a.b " * 999)), code=BAD_URL))
    assert len(told) == 2
    assert all(units(one.text) <= LIMIT for one in told)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (Body("see https://example.com", markdown=True), POLICY),  # the code names nothing that we can change
        (Body("see https://example.com"), 123456789),
        (Body("no address in here"), BAD_URL),
        (Body("x"), TOO_LONG),
    ],
)
def test_where_nothing_can_be_changed_nothing_is_tried_again(body: Body, code: int) -> None:
    assert reword(encode(body), code=code) == []
