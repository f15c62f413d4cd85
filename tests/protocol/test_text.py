"""Outbound text: whatever it is, it is cut to fit, and nothing that a reader would see gets lost."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buoy.protocol import text
from buoy.protocol.text import literal, neutralise_urls, pack, plain, split, units

CODE = "```python\n" + "\n".join(f"print({n})  # a line of code" for n in range(40)) + "\n```"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f"
FLAG = "\U0001f1e8\U0001f1f3"
WAVE = "\U0001f44b\U0001f3fd"


def seen(words: str) -> str:
    """What a reader sees: no blanks."""
    return re.sub(r"\s+", "", words)


def unfenced(words: str) -> str:
    """What a reader sees beside fences, which may be repeated; their letters are removed everywhere."""
    return re.sub(r"[\s`~python]+", "", words)


WORDS = st.lists(
    st.sampled_from(
        [
            "word",
            "\u4f60\u597d\u3002",
            "end. ",
            "\n",
            "\n\n",
            " ",
            "   ",
            FAMILY,
            FLAG,
            WAVE,
            "a\u0301",
            "x" * 30,
        ]
    )
    | st.text(st.characters(exclude_characters="`~"), max_size=12),
    max_size=60,
).map("".join)
FENCED = st.lists(
    st.sampled_from(
        [
            "\n```python\n",
            "\n```\n",
            "\n~~~\n",
            "\n````\n",
            "    x = 1\n",
            "y = [2]\n",
            "\n",
            "words. ",
            "z" * 25,
        ]
    ),
    max_size=40,
).map("".join)


def test_units_are_utf_16() -> None:
    assert [units(one) for one in ("", "a", "\u4f60", "\U0001f44b", "\ud83d", FAMILY)] == [0, 1, 1, 2, 1, 9]


def test_what_fits_is_left_alone() -> None:
    assert split(" hello \n", 8) == [" hello \n"]
    assert split("x" * 4000) == ["x" * 4000]
    assert split(CODE) == [CODE]


@pytest.mark.parametrize("blank", ["", " ", "\n" * 50, " \n\t" * 5000, "\u3000"])
def test_blank_text_has_no_pieces(blank: str) -> None:
    assert split(blank) == []
    assert pack([blank, blank], 100, 2) == []


@pytest.mark.parametrize(
    ("words", "limit", "pieces"),
    [
        ("aaaa bbbb\n\ncccc dddd eeee", 16, ["aaaa bbbb", "cccc dddd eeee"]),  # paragraph before word
        ("aaaa bbbb\ncccc. dddd eeee", 20, ["aaaa bbbb\ncccc.", "dddd eeee"]),  # too early a line: sentence
        ("aaaa bbbb.\ncccc dddd", 18, ["aaaa bbbb.", "cccc dddd"]),  # line before word
        ("aaaa bbb. cccc dddd", 16, ["aaaa bbb.", "cccc dddd"]),  # sentence before word
        ("aaaa bbbb cccc dddd", 16, ["aaaa bbbb cccc", "dddd"]),  # word
        ("\u4f60\u597d\u5417\uff1f\u5f88\u597d\u5417", 6, ["\u4f60\u597d\u5417\uff1f", "\u5f88\u597d\u5417"]),
        ("aa " + "b" * 14, 15, ["aa", "b" * 14]),  # an early blank is better than a cut word
        ("b" * 20, 8, ["b" * 8, "b" * 8, "b" * 4]),
        ("3.14 is pi, v1.2 too", 15, ["3.14 is pi,", "v1.2 too"]),  # a dot inside a word ends nothing
        ("aaaa bbbb cccc\n    indented line", 20, ["aaaa bbbb cccc", "    indented line"]),
        ("aaaa bbbb", 4, ["aaaa", "bbbb"]),
        ("aa bbbb cc", 7, ["aa bbbb", "cc"]),  # a cut may fall right at the limit
        (  # half full counts from where the piece starts
            "pppp pppp pppp pppp qqqq bb\ncccc dddd eeee ffff",
            20,
            ["pppp pppp pppp pppp", "qqqq bb\ncccc dddd", "eeee ffff"],
        ),
        ("some words\n```py\n" + "x" * 60, 50, ["some words", "```py\n" + "x" * 40 + "\n```", "```py\n" + "x" * 20]),
        ("aaaa      bbbb", 4, ["aaaa", "bbbb"]),
    ],
)
def test_where_the_cuts_fall(words: str, limit: int, pieces: list[str]) -> None:
    assert split(words, limit) == pieces


@pytest.mark.parametrize(
    "whole",
    [
        FAMILY,
        FLAG,
        "\U0001f1e6\U0001f1ff",
        "\U0001f1ff\U0001f1e6",
        WAVE,
        "\U0001f44b\U0001f3ff",
        "\U0001f44b",
        "e\u0301",
        "1\ufe0f\u20e3",
    ],
)
@pytest.mark.parametrize("lead", range(4))
def test_no_cut_inside_a_character(whole: str, lead: int) -> None:
    words = "x" * lead + whole * 40
    for dense in (False, True):
        pieces = split(words, 22, dense=dense)
        assert "".join(pieces) == words
        assert all(piece.lstrip("x").count(whole) * len(whole) == len(piece.lstrip("x")) for piece in pieces)


def test_an_absurd_character_is_cut_all_the_same() -> None:
    words = "a" + "\u0301" * 1000
    assert "".join(split(words, 100)) == words
    assert split("\U0001f44b\U0001f44b", 1) == ["\U0001f44b", "\U0001f44b"]  # cannot fit, must not hang


def test_a_fence_is_closed_and_opened_again() -> None:
    pieces = split(f"Look:\n\n{CODE}\n\nThat is all, and it is not much.", 300)
    assert len(pieces) > 2
    for piece in pieces:
        assert piece.count("```") % 2 == 0
        assert units(piece) <= 300
    assert all(piece.startswith("```python\n") for piece in pieces[1:-1])
    assert unfenced("\n".join(pieces)) == unfenced(f"Look:\n{CODE}\nThat is all, and it is not much.")


def test_no_empty_fences_appear() -> None:
    for limit in range(60, 400):
        for piece in split(f"Some words first.\n\n{CODE}\n\nSome words last.", limit):
            assert not re.search(r"```python\n+```", piece), (limit, piece)
            assert units(piece) <= limit


def test_a_shorter_or_other_fence_inside_does_not_close() -> None:
    words = "````md\n```\n" + "inner line\n" * 20 + "```\n````"
    for piece in split(words, 90):
        assert piece.startswith("````md")
        assert piece.rstrip().endswith("````")


def test_a_fence_too_long_to_repeat_is_text() -> None:
    words = "`" * 500 + "\n" + "x " * 300
    pieces = split(words, 100)
    assert seen("".join(pieces)) == seen(words)
    assert all(units(piece) <= 100 for piece in pieces)


def test_a_limit_of_nothing_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        split("x", 0)


@settings(deadline=None)
@given(WORDS, st.integers(2, 80), st.booleans())
@example("\n\n\n x", 2, False)
def test_split_fits_and_loses_nothing(words: str, limit: int, dense: bool) -> None:  # noqa: FBT001
    pieces = split(words, limit, dense=dense)
    assert all(piece.strip() for piece in pieces)
    assert all(units(piece) <= limit for piece in pieces)
    assert seen("".join(pieces)) == seen(words)


@settings(deadline=None)
@given(FENCED, st.integers(20, 120), st.booleans())
def test_split_with_fences_fits_and_loses_nothing(words: str, limit: int, dense: bool) -> None:  # noqa: FBT001
    pieces = split(words, limit, dense=dense)
    assert all(units(piece) <= limit for piece in pieces)
    assert unfenced("\n".join(pieces)) == unfenced(words)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \n"), min_size=1), st.integers(1, 20))
def test_dense_pieces_are_as_few_as_can_be(words: str, limit: int) -> None:
    solid = words.replace(" ", "c").replace("\n", "d")
    assert len(split(solid, limit, dense=True)) == -(-len(solid) // limit)


# --- pack


@pytest.mark.parametrize(
    ("parts", "limit", "budget", "pieces"),
    [
        (["a", "b"], 100, 4, ["a", "b"]),
        (["a", "b", "c"], 100, 2, ["a\n\nb", "c"]),
        (["a", "b", "c"], 100, 1, ["a\n\nb\n\nc"]),
        (["a" * 60, "b" * 60, "c"], 100, 2, ["a" * 60, "b" * 60 + "\n\nc"]),
        (["a" * 60, "b" * 60], 100, 1, ["a" * 60, "b" * 60]),  # impossible: nothing is dropped
        (["a" * 150, "b" * 40], 100, 2, ["a" * 100, "a" * 50 + "\n\n" + "b" * 40]),
        (
            ["a" * 60, "b" * 60, "c" * 60],
            100,
            2,
            ["a" * 60 + "\n\n" + "b" * 38, "b" * 22 + "\n\n" + "c" * 60],
        ),
        ([], 100, 4, []),
        (["", "a", " "], 100, 1, ["a"]),
        (["a" * 49, "b" * 49], 100, 1, ["a" * 49 + "\n\n" + "b" * 49]),  # fits exactly
    ],
)
def test_pack(parts: list[str], limit: int, budget: int, pieces: list[str]) -> None:
    assert pack(parts, limit, budget) == pieces


@settings(deadline=None)
@given(st.lists(WORDS, max_size=8), st.integers(4, 80), st.integers(1, 5))
def test_pack_loses_nothing_and_fits(parts: list[str], limit: int, budget: int) -> None:
    pieces = pack(parts, limit, budget)
    assert all(units(piece) <= limit and piece.strip() for piece in pieces)
    assert seen("".join(pieces)) == seen("".join(parts))


@settings(deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=60), max_size=8), st.integers(4, 80), st.integers(1, 5))
def test_pack_keeps_the_budget_where_that_is_possible(parts: list[str], limit: int, budget: int) -> None:
    if len("\n\n".join(parts)) <= limit * budget:
        assert len(pack(parts, limit, budget)) <= budget


@settings(deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=20), max_size=8), st.integers(1, 5))
def test_pack_merges_no_more_than_it_must(parts: list[str], budget: int) -> None:
    assert len(pack(parts, 1000, budget)) == min(len(parts), budget)


# --- URLs


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.b?c=d",
        "example.com",
        "readme.md",
        "run.sh",
        "www.a.co.uk",
        "\u4e2d\u6587.com",
        "a@b.org",
    ],
)
def test_urls_are_broken_and_look_the_same(url: str) -> None:
    words = f"see {url}, now"
    broken = neutralise_urls(words)
    assert not re.search(r"\w\.[A-Za-z]{2}|://", broken)
    assert broken.replace("\u200b", "") == words
    assert neutralise_urls(broken) == broken


@pytest.mark.parametrize("words", ["3.14", "v1.2.3", "The end. Next", "wait...", "a . b", "", "..", "1.2."])
def test_what_is_no_url_stays(words: str) -> None:
    assert neutralise_urls(words) == words


@settings(deadline=None)
@given(st.text())
def test_neutralise_only_adds(words: str) -> None:
    assert neutralise_urls(words).replace("\u200b", "") == words.replace("\u200b", "")


# --- markdown made plain


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("# Title", "Title"),
        ("###### Title", "Title"),
        ("#hashtag", "#hashtag"),
        ("**bold** __bold__ *it* _it_ ***both*** ~~gone~~", "bold bold it it both gone"),
        ("\u8fd9\u662f**\u91cd\u8981**\u7684", "\u8fd9\u662f\u91cd\u8981\u7684"),
        ("**bold *it* bold**", "bold it bold"),
        ("2*3*4 and 2**3 + 4**5 and a * b * c", "2*3*4 and 2**3 + 4**5 and a * b * c"),
        ("snake_case_name and __init__.py", "snake_case_name and init.py"),
        ("**open", "**open"),
        ("close**", "close**"),
        ("** not **", "** not **"),
        ("** not**", "** not**"),
        ("2**3** x", "2**3** x"),
        ("*a **b* c**", "a **b c**"),
        ("[docs](https://a.b/c_d_e)", "docs (https://a.b/c_d_e)"),
        ("[**docs**](https://a.b)", "docs (https://a.b)"),
        ("[https://a.b](https://a.b)", "https://a.b"),
        ("[](https://a.b)", "https://a.b"),
        ("[x]()", "x"),
        ("[wiki](https://a.b/c_(d))", "wiki (https://a.b/c_(d))"),
        ("[x] (y)", "[x] (y)"),
        ("![pic #208px #320px](https://a.b/c.png)", "pic (https://a.b/c.png)"),
        ("<https://a.b/_c_>", "https://a.b/_c_"),
        ("https://a.b/_c_/d_e_ _it_", "https://a.b/_c_/d_e_ it"),
        ("**https://a.b**", "https://a.b"),
        ("`a*b*c` and ``x`` `", "a*b*c and x `"),
        (r"\*not\* \_it\_ \\", r"*not* _it_ " + "\\"),
        ("> quoted\n> > deep", "quoted\ndeep"),
        ("a > b", "a > b"),
        ("a\n***\nb\n- - -\nc", "a\n\nb\n\nc"),
        ("- item\n1. one\n    - deep", "- item\n1. one\n    - deep"),
        ("```py\nx = a**b  # **keep**\n```\ndone", "x = a**b  # **keep**\ndone"),
        ("~~~\n# keep\n```\n~~~", "# keep\n```"),
        ("```\nopen **end**", "open **end**"),
        ("***", "***"),
        ("", ""),
        ("plain words\n\nmore", "plain words\n\nmore"),
    ],
)
def test_plain(markdown: str, words: str) -> None:
    assert plain(markdown) == words


@settings(deadline=None)
@given(st.text())
@example("*" * 50)
def test_plain_takes_only_marks(markdown: str) -> None:
    marks = set("#*_~`>[]()!\\<-")
    rest = [one for one in markdown if not one.isspace() and one not in marks and not one.isdigit()]
    left = [one for one in plain(markdown) if not one.isspace() and one not in marks and not one.isdigit()]
    if "```" not in markdown and "~~~" not in markdown and "px" not in markdown:
        assert left == rest


@settings(deadline=None)
@given(st.text(st.sampled_from("abc 12.,\n")))
def test_plain_leaves_plain_text(words: str) -> None:
    assert plain(words) == words


# --- size


@pytest.mark.parametrize(
    "seed",
    [
        "**a ",
        "[",
        "[a](",
        "_",
        "* *",
        "`",
        "`a``",
        ">",
        "\n",
        " ",
        "~~a",
        "a.",
        "```\n",
        "\n ",
        FAMILY,
        "\u0301",
        "x",
        "<a",
        "\\",
    ],
)
def test_a_lot_of_anything_is_no_hang(seed: str) -> None:
    words: Any = seed * (200_000 // len(seed))
    for work in (plain, neutralise_urls, split, lambda big: pack([big], 4000, 4)):
        began = time.process_time()
        work(words)
        assert time.process_time() - began < 3


def test_the_default_limit_is_the_platforms() -> None:
    assert len(split("x" * 4001)) == 2
    assert text.JOINER == "\n\n"


# --- plain text under markdown --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("Run ls -l?\n\n1. Yes\n2. No", "Run ls -l?\n\n1. Yes\n2. No"),
        ("rm -rf *.py **x**", r"rm -rf \*.py \*\*x\*\*"),
        ("__init__ and snake_case", r"\_\_init\_\_ and snake_case"),
        ("`code` ~~x~~ <b> [a](b)", r"\`code\` \~\~x\~\~ \<b\> \[a\](b)"),
        ("# not a title\n## nor this\n#tag a # b", "\\# not a title\n\\## nor this\n#tag a # b"),
        ("> quoted", r"\> quoted"),
        ("https://a.b/x_y?q=__z__", "https://a.b/x_y?q=__z__"),
        (r"C:\dir \* \x", r"C:\dir \\\* \x"),
        ("", ""),
    ],
)
def test_literal(words: str, written: str) -> None:
    assert literal(words) == written


@example("***")
@example("```\nx\n```")
@example("~~~ a\n~~~")
@example("\\")
@example("a\\_b")
@example("https://a_*b*_")
@example("a\n---\nb\n - - -\n===")
@example(" # x\n   ### y\n\u3000# z")
@given(st.text(st.sampled_from(list("ab _*`~<>[]()#\\!./:\n\u4e2d1-")), max_size=40) | st.text(max_size=80))
def test_literal_text_is_shown_as_it_was_written(words: str) -> None:
    assert plain(literal(words)) == words
