"""Letters fit sizes and budgets, nothing of a reply is dropped, and only what a code names is worded anew."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buoy.chat import Button, Reply
from buoy.letters import Letter, LetterState
from buoy.platforms.qq.compose import Body, compose, decode, encode, merge, reword
from buoy.platforms.qq.words import Manner
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
    told = bodies(compose("channel", [Reply(text)]))
    assert len(told) > 4
    assert visible("".join(one.text for one in told)) == visible(text)


# --- buttons ------------------------------------------------------------------------------------------------------

YES, NO = ((Button("Yes", "y"),),), ((Button("No", "n"),),)


def under(letters: list[bytes]) -> list[str]:
    """The label of the first button of each letter; empty for one without."""
    return [one.buttons[0][0].label if one.buttons else "" for one in bodies(letters)]


def test_buttons_stand_under_their_text_and_nothing_is_joined_to_it() -> None:
    assert bodies(compose("c2c", [Reply("go?", buttons=YES)])) == [Body("go?", buttons=YES)]
    told = compose("c2c", [Reply("a"), Reply("go?", buttons=YES), Reply("b"), Reply("sure?", buttons=NO)])
    assert [one.text for one in bodies(told)] == ["a", "go?", "b", "sure?"]
    assert under(told) == ["", "Yes", "", "No"]


def test_buttons_stand_under_the_last_piece_of_a_long_text() -> None:
    told = compose("c2c", [Reply(PARAGRAPH * 2, buttons=YES)])
    assert len(told) == 2
    assert under(told) == ["", "Yes"]


def test_what_goes_before_them_is_joined_where_replies_are_few() -> None:
    told = compose("c2c", [Reply("a"), Reply("b"), Reply("go?", buttons=YES)], used=2)
    assert [one.text for one in bodies(told)] == ["a\n\nb", "go?"]
    assert under(told) == ["", "Yes"]


def test_where_even_that_is_too_many_the_last_buttons_stay_and_no_text_is_lost() -> None:
    replies = [Reply(f"part {n}", buttons=YES if n < 7 else NO) for n in range(8)]
    told = compose("c2c", replies)
    assert len(told) == 4
    assert [line for one in bodies(told) for line in one.text.split("\n\n")] == [f"part {n}" for n in range(8)]
    assert under(told) == ["", "", "", "No"]


def test_kinds_that_do_not_fit_become_plain_and_keep_the_last_buttons() -> None:
    replies = [Reply(f"**{n}**", markdown=n % 2 == 1, buttons=YES if n == 3 else ()) for n in range(6)]
    told = compose("c2c", replies)
    assert len(told) == 4
    assert under(told) == ["", "", "", "Yes"]


def test_above_a_file_they_stand_under_its_note() -> None:
    note, file = bodies(compose("c2c", [Reply(LONG, buttons=YES)]))
    assert (note.is_note, note.buttons, file.buttons) == (True, YES, ())
    (alone,) = bodies(compose("c2c", [Reply(LONG, buttons=YES)], used=3))
    assert (alone.file, alone.buttons) == ("reply.txt", ())


@pytest.mark.parametrize(("first", "second", "left"), [(YES, NO, "No"), (YES, (), ""), ((), NO, "No")])
def test_held_letters_that_are_joined_keep_the_buttons_of_the_newest(
    first: tuple[tuple[Button, ...], ...], second: tuple[tuple[Button, ...], ...], left: str
) -> None:
    parts = [encode(Body("old", buttons=first)), encode(Body("new", buttons=second))]
    held = [Letter(n, f"k/{n}", "1", "qq:c2c:U", part, LetterState.HELD, 100.0) for n, part in enumerate(parts)]
    told = merge("c2c", held, 110.0)
    assert [one.text for one in bodies(told)] == ["old\n\nnew"]
    assert under(told) == [left]


@pytest.mark.parametrize("code", [304057, 305007, 40034029, 22006, 304037, BAD_MARKDOWN, BAD_URL])
def test_buttons_that_are_refused_leave_and_the_text_stays(code: int) -> None:
    told = bodies(reword(encode(Body("Run ls?\n\n1. Yes", reference="R", buttons=YES)), code=code))
    assert told == [Body("Run ls?\n\n1. Yes", reference="R")]


def test_what_is_cut_keeps_its_buttons_under_the_end() -> None:
    told = reword(encode(Body(PARAGRAPH, buttons=YES)), code=TOO_LONG)
    assert len(told) > 1
    assert under(told) == [""] * (len(told) - 1) + ["Yes"]


def test_a_stored_letter_without_buttons_is_as_short_as_ever() -> None:
    assert encode(Body("hi")) == b'{"text":"hi"}'
    assert decode(b'{"text":"hi"}') == Body("hi")


# --- as a file ----------------------------------------------------------------------------------------------------

LONG = "\n".join(f"line {n} {PARAGRAPH}" for n in range(8))
NOTE = "内容较长，全文在下面的文件里。"


@pytest.mark.parametrize(("scene", "used"), [("c2c", 0), ("c2c", 2), ("group", 3)])
def test_what_does_not_fit_into_the_replies_left_is_a_file_behind_a_note(scene: str, used: int) -> None:
    assert bodies(compose(scene, [Reply(LONG)], used=used)) == [Body(NOTE, is_note=True), Body(LONG, file="reply.txt")]


@pytest.mark.parametrize(("scene", "used"), [("c2c", 3), ("c2c", 4), ("group", 4), ("group", 9)])
def test_with_one_reply_left_the_file_goes_alone(scene: str, used: int) -> None:
    assert bodies(compose(scene, [Reply(LONG)], used=used)) == [Body(LONG, file="reply.txt")]


def test_what_fits_is_no_file() -> None:
    assert not any(one.file for one in bodies(compose("c2c", [Reply(PARAGRAPH * 4)])))
    assert any(one.file for one in bodies(compose("c2c", [Reply(PARAGRAPH * 4)], used=1)))


@pytest.mark.parametrize("scene", ["channel", "dm"])
def test_guilds_get_no_file(scene: str) -> None:
    assert not any(one.file for one in bodies(compose(scene, [Reply(LONG)], used=10_000_000)))


def test_a_file_holds_all_replies_as_they_were_written_and_its_name_says_what_they_are() -> None:
    note, file = bodies(compose("c2c", [Reply(LONG), Reply("**end**", markdown=True)], manner=EN))
    assert note.text == "This is long; all of it is in the file below."
    assert file == Body(f"{LONG}\n\n**end**", file="reply.md")


def test_a_quote_goes_with_what_comes_first() -> None:
    replies = [Reply("a"), Reply(LONG, quote=True)]
    assert [one.reference for one in bodies(compose("c2c", replies, reference="R"))] == ["R", None]
    assert [one.reference for one in bodies(compose("c2c", replies, used=3, reference="R"))] == ["R"]


def test_a_note_names_no_file_that_qq_would_take_for_a_link() -> None:
    assert "." not in ZH.in_file + EN.in_file.removesuffix(".")


def test_a_text_that_is_too_large_for_a_file_stays_text() -> None:
    most = 20 * 1024 * 1024
    text = "\u5b57" * (most // 3) + "x" * (most % 3)
    assert [one.file for one in bodies(compose("c2c", [Reply(text)]))] == ["", "reply.txt"]
    told = compose("c2c", [Reply(f"{text}x")])
    assert len(told) > 1000
    assert not decode(told[-1]).file


@example([Reply(" "), Reply(" ")], "c2c", 0)  # nothing to see is nothing to send
@given(
    st.lists(
        st.builds(
            Reply,
            st.text(min_size=1, max_size=9000),
            st.booleans(),
            buttons=st.sampled_from([(), (), ((Button("Yes", "y"),),)]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["c2c", "group", "channel", "dm"]),
    st.integers(0, 5),
)
def test_nothing_visible_is_dropped_and_everything_fits(replies: list[Reply], scene: str, used: int) -> None:
    told = bodies(compose(scene, replies, used=used))
    if told and told[-1].file:
        assert [one.text for one in told] in ([told[-1].text], [NOTE, told[-1].text])
        assert told[-1].text == "\n\n".join(reply.text for reply in replies)
        return
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


# --- held ---------------------------------------------------------------------------------------------------------

NOW = 1_790_000_000.0  # 2026-09-21 22:13:20 +08:00
ZH, EN = Manner(), Manner("en")


def kept(*parts: Body, ages_s: Sequence[float] = (), event: int | None = 1) -> list[Letter]:
    """Held letters, each written so long ago."""
    ages = [*ages_s, *[0.0] * len(parts)]
    return [
        Letter(n, f"k/{n}", "1", "qq:c2c:U", encode(part), LetterState.HELD, NOW - ages[n], event=event)
        for n, part in enumerate(parts)
    ]


def merged(*parts: Body, ages_s: Sequence[float] = (), event: int | None = 1, manner: Manner = ZH) -> list[Body]:
    return bodies(merge("c2c", kept(*parts, ages_s=ages_s, event=event), NOW, manner))


def test_held_letters_become_one_in_their_order() -> None:
    assert merged(Body("one"), Body("two", reference="R"), Body("three")) == [Body("one\n\ntwo\n\nthree")]


def test_held_markdown_stays_markdown_only_where_all_of_it_is() -> None:
    bold, plain = Body("**one**", markdown=True), Body("**two**")
    assert merged(bold, bold) == [Body("**one**\n\n**one**", markdown=True)]
    assert merged(bold, plain) == [Body("one\n\n**two**")]


def test_held_letters_that_are_too_long_for_one_become_as_few_as_fit() -> None:
    told = merged(Body(PARAGRAPH), Body(PARAGRAPH))
    assert [one.file for one in told] == ["", ""]
    assert visible("".join(one.text for one in told)) == visible(PARAGRAPH * 2)


def test_held_letters_leave_half_of_the_replies_to_the_turn_that_releases_them() -> None:
    note, file = merged(*[Body(PARAGRAPH)] * 3)
    assert note == Body(NOTE, is_note=True)
    assert file == Body("\n\n".join([PARAGRAPH] * 3), file="reply.txt")
    assert merged(*[Body(PARAGRAPH, markdown=True)] * 3)[1].file == "reply.md"


def test_a_held_file_that_fits_into_messages_is_none_any_more_and_its_note_is_dropped() -> None:
    assert merged(Body(NOTE, is_note=True), Body("a", file="reply.txt"), Body("b")) == [Body("a\n\nb")]
    assert merged(Body(NOTE, is_note=True), Body("**a**", file="reply.md")) == [Body("**a**", markdown=True)]
    assert merged(Body("**a**", file="reply.md"), Body("b")) == [Body("a\n\nb")]
    assert merged(Body(NOTE, is_note=True)) == [Body(NOTE)], "its file is on its way"


def test_what_was_refused_as_a_file_is_not_made_one_again() -> None:
    told = merged(*[Body(PARAGRAPH, unfiled=True)] * 3, Body("x"))
    assert not any(one.file for one in told)
    assert all(one.unfiled for one in told)
    assert visible("".join(one.text for one in told)) == visible(PARAGRAPH * 3 + "x")


def test_a_late_file_says_so_in_its_note_and_in_itself() -> None:
    note, file = merged(*[Body(PARAGRAPH)] * 3, ages_s=[7200.0] * 3)
    assert note == Body(f"（迟到的回复，写于 20:13）\n{NOTE}", dated=True, is_note=True)
    assert file.text.startswith("（迟到的回复，写于 20:13）\nword")
    assert file.dated


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (0.0, "an answer"),
        (299.9, "an answer"),
        (300.0, "（迟到的回复，写于 22:08）\nan answer"),
        (7200.0, "（迟到的回复，写于 20:13）\nan answer"),
        (22 * 3600.0, "（迟到的回复，写于 00:13）\nan answer"),
        (24 * 3600.0, "（迟到的回复，写于 09-20 22:13）\nan answer"),
        (-5.0, "an answer"),
    ],
)
def test_a_late_letter_says_when_it_was_written_on_the_readers_clock(age_s: float, text: str) -> None:
    assert merged(Body("an answer"), ages_s=[age_s]) == [Body(text, dated=age_s >= 300)]


def test_the_line_is_written_in_the_language_and_after_the_time_that_the_operator_chose() -> None:
    assert merged(Body("x"), ages_s=[7200.0], manner=EN)[0].text == "(late reply, written 20:13)\nx"
    assert merged(Body("x"), ages_s=[7200.0], manner=Manner(late_after_s=7201.0)) == [Body("x")]
    assert merged(Body("x"), ages_s=[1.0], manner=Manner(late_after_s=0.0))[0].text == "（迟到的回复，写于 22:13）\nx"


def test_what_answers_nothing_is_not_called_a_reply() -> None:
    assert merged(Body("x"), ages_s=[7200.0], event=None)[0].text == "（迟到的消息，写于 20:13）\nx"
    assert merged(Body("x"), ages_s=[7200.0], event=None, manner=EN)[0].text == "(late message, written 20:13)\nx"


def test_before_markdown_the_line_is_a_paragraph_of_its_own() -> None:
    (told,) = merged(Body("# Title", markdown=True), ages_s=[7200.0])
    assert told == Body("（迟到的回复，写于 20:13）\n\n# Title", markdown=True, dated=True)


def test_what_was_written_together_shares_one_line_and_what_was_not_has_its_own() -> None:
    (told,) = merged(Body("a"), Body("b"), Body("c"), Body("d"), ages_s=[7200.0, 7200.0, 3600.0, 10.0])
    assert (
        told.text
        == "（迟到的回复，写于 20:13）\na\n\nb\n\n（迟到的回复，写于 21:13）\nc\n\n（迟到的回复，写于 22:13）\nd"
    )
    (told,) = merged(Body("a"), Body("b"), ages_s=[400.0, 200.0])
    assert told.text == "（迟到的回复，写于 22:06）\na\n\nb"


def test_what_was_merged_once_and_held_again_is_not_dated_a_second_time() -> None:
    (first,) = merged(Body("a"), ages_s=[7200.0])
    (again,) = merged(first, Body("b"), ages_s=[3600.0, 3590.0], event=None)
    assert again.text == "（迟到的回复，写于 20:13）\na\n\nb"
    assert again.dated


def test_every_piece_of_a_long_dated_text_knows_that_it_is_dated() -> None:
    told = merged(*[Body(PARAGRAPH)] * 2, ages_s=[7200.0] * 2)
    assert [one.dated for one in told] == [True] * 2
    assert [one.text.startswith("（迟到") for one in told] == [True, False]
    assert all(units(one.text) <= LIMIT for one in told)


# --- refused --------------------------------------------------------------------------------------------------------


def test_too_long_is_halved() -> None:
    told = bodies(reword(encode(Body(PARAGRAPH, markdown=True, reference="R")), code=TOO_LONG))
    assert len(told) == 2 + 1 or len(told) == 2
    assert [one.reference for one in told][:2] == ["R", None]
    assert all(one.markdown for one in told)
    assert visible("".join(one.text for one in told)) == visible(PARAGRAPH)


@pytest.mark.parametrize("name", ["reply.txt", "reply.md"])
def test_a_file_that_was_refused_is_told_as_text_whatever_the_code(name: str) -> None:
    told = bodies(reword(encode(Body(LONG, file=name, reference="R")), code=123456789))
    assert visible("".join(one.text for one in told)) == visible(LONG)
    assert {(one.file, one.unfiled, one.markdown) for one in told} == {("", True, name.endswith(".md"))}
    assert [one.reference for one in told][:2] == ["R", None]
    assert all(units(one.text) <= LIMIT for one in told)
    assert all(one.unfiled for one in bodies(reword(encode(told[0]), code=TOO_LONG)))


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
