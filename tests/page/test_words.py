"""What the page is made of, as files: both languages whole, nothing that its policy forbids, contrast that holds."""

from __future__ import annotations

import itertools
import re
from enum import StrEnum
from pathlib import Path

import pytest

from buoy.faces.web.routes import STATIC
from buoy.letters import EventState, LetterState
from buoy.protocol import session as m

FILES = {path.name: path.read_text("utf-8") for path in sorted(STATIC.iterdir())}
SCRIPTS = {name: text for name, text in FILES.items() if name.endswith(".js") and not name.startswith("words-")}
LINE = re.compile(r'^  "([^"]+)": "((?:[^"\\]|\\.)*)",$', re.MULTILINE)
EN, ZH = (dict(LINE.findall(FILES[f"words-{language}.js"])) for language in ("en", "zh"))
DYNAMIC = ("state.", "row.", "cause.", "remedy.", "phase.", "inbox.", "outbox.", "way.", "pulse.")
"""Groups of which the code builds the keys."""


def test_both_languages_say_the_same_things() -> None:
    assert len(EN) > 150
    assert list(EN) == list(ZH), "the same keys in the same order"
    for key, text in EN.items():
        assert set(re.findall(r"\{(\w+)\}", ZH[key])) <= set(re.findall(r"\{(\w+)\}", text)), key
        assert text, key
        assert ZH[key], key


def test_every_line_of_the_dictionaries_was_read() -> None:
    for language, words in (("en", EN), ("zh", ZH)):
        assert len(words) == len(re.findall(r'^  "', FILES[f"words-{language}.js"], re.MULTILINE))


def test_every_key_in_use_is_known_and_every_known_key_is_in_use() -> None:
    code = "\n".join([*SCRIPTS.values(), FILES["index.html"]])
    used = set(re.findall(r'(?:\bt\(|data-t=)"([^"{}$]+)"', code))
    assert used <= set(EN)
    mentioned = {key for key in EN if f'"{key}"' in code or key.startswith(DYNAMIC)}
    built = {key for key in EN for head in re.findall(r"t\(`([a-z.]+)\.\$\{", code) if key.startswith(head + ".")}
    assert set(EN) - mentioned - built - {"away", "paused"} == set()


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("cause", m.Trouble),
        ("phase", m.Phase),
        ("row", LetterState),
        ("row", EventState),
    ],
)
def test_what_buoy_calls_by_a_name_has_words(group: str, names: type[StrEnum]) -> None:
    assert [name for name in names if f"{group}.{name.value}" not in EN] == []


def test_each_trouble_that_needs_a_person_has_a_remedy() -> None:
    remedies = {key.removeprefix("remedy.") for key in EN if key.startswith("remedy.")}
    assert remedies == {trouble.value for trouble in m.REMEDIES}


def test_nothing_stands_in_line_and_nothing_becomes_markup() -> None:
    page = FILES["index.html"]
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    for name, text in SCRIPTS.items():
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.confirm\(", text
        )
        assert found is None, name


def test_no_file_names_another_place() -> None:
    for name, text in FILES.items():
        assert set(re.findall(r"\w+://[^\"'\s)]+", text)) <= {"http://www.w3.org/2000/svg"}, name


def colours() -> dict[str, dict[str, str]]:
    """The colours of the style sheet by theme."""
    light, dark = re.split(r"@media \(prefers-color-scheme: dark\)", FILES["page.css"])[:2]
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    return {"light": found[0], "dark": found[0] | found[1]}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


WASHES = ("wash-up", "wash-down", "wash-blocked", "wash-off")
TEXT = [  # text and the ground that it stands on
    *itertools.product(("ink", "soft"), ("ground", "card", "hover", *WASHES)),
    *((tone, "card") for tone in ("up", "down", "blocked", "off", "lost", "gap", "in", "out", "accent")),
    *(("up", "wash-up"), ("down", "wash-down"), ("blocked", "wash-blocked"), ("off", "wash-off"), ("lost", "wash-off")),
    ("on-accent", "accent"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    known = colours()[theme]
    assert [(text, ground) for text, ground in TEXT if contrast(known[text], known[ground]) < 4.5] == []


def test_the_page_goes_out_with_the_package() -> None:
    assert Path(STATIC).parts[-3:] == ("faces", "web", "static")
    assert {"index.html", "page.js", "page.css", "icon.svg", "words-en.js", "words-zh.js"} <= set(FILES)
