"""How the demo looks: a live screen on a terminal, plain lines elsewhere, and the summary of both."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.align import Align
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from buoy.faces.demo_keys import HELP
from buoy.faces.demo_story import PEOPLE, PROMISE, Connection, Line, Note, Sum, Summary, table, took, verdict

TITLE: Final = "an echo agent on the simulated QQ that ships with Buoy"
NEXT: Final = (
    ("buoy demo --interactive", "be the QQ user, pull the plug"),
    ("QQ_APP_ID=... QQ_CLIENT_SECRET=... make run", "your own bot, on the real QQ"),
)
_STYLES: Final = {
    "calm": "green",
    "down": "bold white on red3",
    "back": "bold black on yellow3",
    "good": "bold white on green4",
}
_NAMES: Final = dict(zip(PEOPLE, ("cyan", "magenta", "bright_blue", "yellow", "bright_green"), strict=True))
_ROWS: Final = 12  # of the screen that are not conversation
_SHOW_WAIT_S: Final = 0.3  # younger messages are not shown as waiting: most are answered by then


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is on the screen at one moment. ``typed`` None: nobody types; ``of_s`` None: no end is set."""

    now: float
    elapsed_s: float
    of_s: float | None
    banner: Note
    connection: Connection
    inbox: int
    outbox: int
    received: int
    answered: int
    story: Sequence[Line | Note]
    typed: str | None


class Lines:
    """Plain lines on standard output, one for each event worth telling."""

    def __init__(self, *, interactive: bool) -> None:
        self._word = ""
        print(f"Buoy demo: {TITLE}")
        if interactive:
            print(f"A line is a message to the bot. {HELP}")

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put right."""

    def tell(self, elapsed_s: float, row: Line | Note) -> None:
        """Print what has just happened."""
        if isinstance(row, Note):
            self._print(elapsed_s, f"*** {row.text} ***")
        elif row.answered_at is None:
            self._print(elapsed_s, f"{row.who} in {row.room}: {row.text} (waits)")
        else:
            seconds = took(row.answered_at - row.said_at)
            self._print(elapsed_s, f"{row.who} in {row.room}: {row.text} -> {row.answer} ({seconds})")

    def draw(self, picture: Picture) -> None:
        """Print the connection's state where it changed."""
        line = picture.connection
        if line.word == self._word:
            return
        self._word = line.word
        detail = f": {line.detail}" if line.detail else ""
        after = "" if line.next_s is None else f"; next try in {max(0.0, line.next_s):.1f} s at the latest"
        self._print(picture.elapsed_s, f"{line.word}{detail}{after}")

    def close(self, summary: Summary) -> None:
        """Print the summary."""
        print("\nSummary, as the simulated QQ counted it:")
        for row in table(summary):
            print(f"  {row.label:<20}{row.value:>8}" + (f"  ({row.remark})" if row.remark else ""))
        print(f"{verdict(summary)}\n\nThe promise: {PROMISE}")

    def _print(self, elapsed_s: float, text: str) -> None:
        plain = "".join(char if char.isprintable() else " " for char in text)
        print(f"{elapsed_s:6.1f} s  {plain}", flush=True)


class Screen:
    """The whole terminal while it runs; the summary stays when it has gone."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back as it was."""
        self._live.stop()

    def tell(self, elapsed_s: float, row: Line | Note) -> None:
        """Nothing: the next picture shows it."""

    def draw(self, picture: Picture) -> None:
        """Show this picture."""
        width, height = self._console.size
        self._live.update(frame(picture, width, height), refresh=True)

    def close(self, summary: Summary) -> None:
        """Print the summary."""
        self._console.print(Padding(_closing(summary), (1, 2)))


def open_view(*, interactive: bool) -> Lines | Screen:
    """Choose by what standard output is."""
    is_screen = sys.stdout.isatty() and not Console().is_dumb_terminal
    if interactive and (sys.platform == "win32" or not sys.stdin.isatty()):
        is_screen = False  # lines are typed, and a live screen would write over them
    return Screen() if is_screen else Lines(interactive=interactive)


# --- the live screen -------------------------------------------------------------------------------------------


def frame(picture: Picture, width: int, height: int) -> RenderableType:
    """Build the screen; nothing on it ever changes its place."""
    p = picture
    rows = max(1, height - _ROWS + (2 if p.typed is None else 0))
    story: list[RenderableType] = [_row(row, p.now, width) for row in p.story[-rows:]]
    story += [Text("")] * (rows - len(story))
    parts: list[RenderableType] = [
        _title(p, width), Text(""), *_banner(p.banner), Text(""), *_figures(p, width), Rule(style="dim"), *story,
    ]  # fmt: skip
    if p.typed is not None:
        line = Text.assemble((" > ", "bold green"), p.typed, ("▏", "blink"), no_wrap=True, overflow="ellipsis")
        if cell_len(p.typed) > width - 6:
            line = Text.assemble((" > ", "bold green"), "…", _end(p.typed, width - 7), ("▏", "blink"), no_wrap=True)
        parts += [line, Text(f"   {HELP}", style="dim", no_wrap=True, overflow="ellipsis")]
    return Group(*parts)


def _title(p: Picture, width: int) -> Text:
    time = f"{p.elapsed_s:.0f} s " if p.of_s is None else f"{min(p.elapsed_s, p.of_s):.0f} of {p.of_s:.0f} s "
    left = f" Buoy  {TITLE}"
    left = _fit(left, max(0, width - len(time) - 1))
    return Text.assemble((left[:5], "bold"), (left[5:], "dim"), " ", (time, "dim"), no_wrap=True)


def _banner(note: Note) -> list[RenderableType]:
    """Three rows, so that the change of colour is seen from the corner of the eye."""
    style = _STYLES[note.mood]
    text = f"● {note.text}" if note.mood == "calm" else note.text
    return [Align.center(Text(line, no_wrap=True, overflow="ellipsis"), style=style) for line in ("", text, "")]


def _figures(p: Picture, width: int) -> list[RenderableType]:
    """Buoy's own view in one row, the counters in the next."""
    line = p.connection
    buoy = Text.assemble((" connection  ", "dim"), (line.word, "green" if line.is_up else "bold red"), no_wrap=True)
    if line.detail:
        buoy.append(f": {line.detail}", "red")
    if not line.is_up:
        next_try = "trying now" if line.next_s is None else f"next try within {max(0.0, line.next_s):.1f} s"
        buoy.append(f"   {next_try}", "dim")
    buoy.truncate(width, overflow="ellipsis")
    parts: list[tuple[str, str]] = []
    pairs = (("received", p.received), ("answered", p.answered), ("inbox", p.inbox), ("outbox", p.outbox))
    for label, number in pairs:
        is_behind = (label == "answered" and number < p.received) or (label.endswith("box") and number > 0)
        parts += [(f" {label} ", "dim"), (f"{number:<6}", "bold yellow" if is_behind else "bold")]
    return [buoy, Text.assemble(*parts, no_wrap=True, overflow="crop")]


def _row(row: Line | Note, now: float, width: int) -> Text | Rule:
    if isinstance(row, Note):
        colour = {"down": "bold red", "back": "bold yellow", "good": "bold green"}.get(row.mood, "dim")
        return Rule(Text(row.text, style=colour), style=colour.removeprefix("bold "))
    text_width = max(4, (width - 32) // 2)
    text = Text(no_wrap=True, overflow="crop")
    text.append(f" {_fit(row.who, 5)} ", _NAMES.get(row.who, "bold"))
    text.append(f"{_fit(row.room, 9)} ", "dim")
    is_open = row.answered_at is None
    waits_s = (row.answered_at or now) - row.said_at
    is_late = waits_s >= 1
    text.append(f"{_fit(row.text, text_width)}  ", "" if not is_open or waits_s < _SHOW_WAIT_S else "yellow")
    if is_open:
        word = f"… {waits_s:.1f} s" if waits_s >= _SHOW_WAIT_S else ""
        text.append(f"  {' ' * text_width} {word:>9} ", "yellow")
    else:
        text.append("↩ ", "dim")
        text.append(f"{_fit(row.answer, text_width)} ")
        text.append(f"{'✓ ' + took(waits_s):>9} ", "bold green" if is_late else "green")
    return text


def _fit(text: str, width: int) -> str:
    """Exactly so many columns; Chinese takes two each."""
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _end(text: str, width: int) -> str:
    while cell_len(text) > width:
        text = text[1:]
    return text


# --- the summary -----------------------------------------------------------------------------------------------


def _closing(summary: Summary) -> RenderableType:
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(min_width=20)
    grid.add_column(justify="right", min_width=6)
    grid.add_column(style="dim")
    for row in table(summary):
        grid.add_row(row.label, Text(row.value, style=_judged(row)), row.remark)
    ways = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for command, what in NEXT:
        ways.add_row(Text(command, style="cyan"), Text(what, style="dim"))
    style = "bold green" if summary.is_kept else "bold red" if summary.lost or summary.twice else "bold yellow"
    return Group(
        Text("Summary, as the simulated QQ counted it", style="bold"), Text(""), Padding(grid, (0, 0, 0, 2)), Text(""),
        Text(verdict(summary), style=style), Text(PROMISE, style="italic"), Text(""), ways,
    )  # fmt: skip


def _judged(row: Sum) -> str:
    return "bold" if row.is_good is None else "bold green" if row.is_good else "bold red"
