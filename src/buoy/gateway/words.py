"""What Buoy itself says to users about their turns, in two languages; the settings may say it otherwise. Pure."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from typing import Final

from buoy.gateway.turns import Words

WORDS: Final = {
    "zh": Words(
        failed="抱歉，处理这条消息时出错了，没能给出回答。请稍后再发一次。",
        too_long="抱歉，这条消息处理得太久，已经中止。请再试一次，或者把问题拆小一些。",
        stopped="已停止。",
        idle="现在没有正在处理的消息。",
    ),
    "en": Words(
        failed="Sorry, something went wrong with this message, and there is no answer. Please send it again later.",
        too_long="Sorry, this message took too long and was given up. Please try again, or ask for less at once.",
        stopped="Stopped.",
        idle="Nothing is running right now.",
    ),
}


def words_of(language: str, failed: str | None, too_long: str | None, stopped: str | None) -> Words:
    """The words of a language, or those that somebody chose instead; empty: nothing is said."""
    own = WORDS[language]
    return Words(
        failed=own.failed if failed is None else failed,
        too_long=own.too_long if too_long is None else too_long,
        stopped=own.stopped if stopped is None else stopped,
        idle="" if stopped == "" else own.idle,  # who is silent about a stop is silent about none
    )
