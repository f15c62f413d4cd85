"""What Buoy itself says to readers on QQ, beside what agents say: one line each, in two languages. Pure."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

from buoy.protocol.limits import READERS_UTC_OFFSET_S

_ZONE: Final = timezone(timedelta(seconds=READERS_UTC_OFFSET_S))


class _Language(NamedTuple):
    late_reply: str
    late_message: str
    in_file: str
    too_old: str


_LANGUAGES: Final = {
    "zh": _Language(
        "（迟到的回复，写于 {at}）",
        "（迟到的消息，写于 {at}）",
        "内容较长，全文在下面的文件里。",
        "当前 QQ 版本不支持此按钮，请更新",
    ),
    "en": _Language(
        "(late reply, written {at})",
        "(late message, written {at})",
        "This is long; all of it is in the file below.",
        "This version of QQ does not know this button; please update it",
    ),
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How Buoy speaks for itself. What is delivered later than ``late_after_s`` after it was written says so."""

    language: str = "zh"
    late_after_s: float = 300.0

    @property
    def in_file(self) -> str:
        """What announces a file. No file name: QQ would take it for a link (protocol.md 12.1)."""
        return _LANGUAGES[self.language].in_file

    @property
    def too_old(self) -> str:
        """What an app says that is too old for buttons."""
        return _LANGUAGES[self.language].too_old

    def late(self, written_at: float, now: float, *, is_reply: bool) -> str:
        """The line that says when a late letter was written, on the reader's clock; with the day if it was another."""
        words = _LANGUAGES[self.language]
        then, today = datetime.fromtimestamp(written_at, _ZONE), datetime.fromtimestamp(now, _ZONE)
        at = then.strftime("%H:%M" if then.date() == today.date() else "%m-%d %H:%M")
        return (words.late_reply if is_reply else words.late_message).format(at=at)


MANNER: Final = Manner()
