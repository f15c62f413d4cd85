"""Draw a recorded history as one SVG: pure, from the recording to text, in English or Chinese.

From top to bottom: the totals, with how the sum comes out; messages asked and answered in each hour; what waited in the
queues; how each bot was; the faults of each family, and the kills. All share one axis of time. The picture brings its
own background, in light and dark, so that it does not depend on the page around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from tests.world.words import WORDS, duration

FATES = ("answered", "quiet", "ended", "unsure", "in_gap", "withheld", "lost")
"""What became of a message; each has one of these."""
FAMILIES = ("network", "gateway", "rest", "machine", "process")
STATES = (
    "dead",
    "frozen",
    "blocked",
    "unnoticed",
    "trying",
    "partial",
)  # as they are stacked, from the bottom; live is above
QUEUES = ("held", "outbox", "inbox")

WIDTH, LEFT, RIGHT = 1000, 118, 984
DAY_S = 86400
COLUMN_S = 1800  # a column of the state strip: its heights are shares of so long
LEAST = 2.0  # no fault is drawn thinner: most last minutes, and a pixel is about a quarter of an hour
SHADE_S = 1800  # what lasts longer is also a shadow behind the curves
FLOWS, FLOW_H = 246.0, 60.0  # the middle of the mirrored curves, and the height of each half
WAITS, WAIT_H = 418.0, 72.0
STRIPS, STRIP_H = 438.0, 28.0
LANE_H = 17.0

LIGHT = {
    "back": "#ffffff", "text": "#1f2328", "soft": "#59636e", "line": "#d1d9e0",
    "asked": "#8c959f", "missed": "#e5534b", "answered": "#1a7f37",
    "inbox": "#0969da", "outbox": "#bc4c00", "held": "#a475f9", "live": "#4ac26b",
    "partial": "#b7d433", "trying": "#d4a72c",
    "unnoticed": "#f0883e", "blocked": "#8250df", "frozen": "#57a5d8", "dead": "#cf222e", "network": "#0969da",
    "gateway": "#8250df", "rest": "#bf6a02", "machine": "#0b7a75", "process": "#bf3989",
}  # fmt: skip
DARK = {
    "back": "#0d1117", "text": "#f0f6fc", "soft": "#9198a1", "line": "#3d444d",
    "asked": "#8b949e", "missed": "#ff7b72", "answered": "#3fb950",
    "inbox": "#58a6ff", "outbox": "#f0883e", "held": "#bc8cff", "live": "#238636",
    "partial": "#8aa31f", "trying": "#e3b341",
    "unnoticed": "#f0883e", "blocked": "#a371f7", "frozen": "#79c0ff", "dead": "#f85149", "network": "#58a6ff",
    "gateway": "#bc8cff", "rest": "#e3a13b", "machine": "#39c5bb", "process": "#f778ba",
}  # fmt: skip
FONT = (
    "system-ui,-apple-system,'Segoe UI','Noto Sans','DejaVu Sans','PingFang SC','Microsoft YaHei','Noto Sans CJK SC',"
    "'WenQuanYi Zen Hei',sans-serif"
)


def longest_outage(bots: dict[str, list[Any]], end: int) -> tuple[str, int, int]:
    """Return which bot could be reached by nobody for longest, since when, and for how many seconds."""
    best = ("", 0, 0)
    for bot, states in bots.items():
        since: int | None = None
        for at, state in [*states, (end, "live")]:
            if state not in {"live", "partial"}:
                since = at if since is None else since
            elif since is not None:
                best = max(best, (bot, since, at - since), key=lambda found: found[2])
                since = None
    return best


def live_share(states: list[Any], end: int) -> float:
    """Return how much of the time a bot was live."""
    ends = [at for at, _ in states[1:]] + [end]
    live = sum(int(to - at) for (at, state), to in zip(states, ends, strict=True) if state == "live")
    return live / end


def shares(states: list[Any], end: int, column_s: int) -> list[dict[str, float]]:
    """Return, for each column of time, which share of it was spent in which state."""
    columns: list[dict[str, float]] = [{} for _ in range(math.ceil(end / column_s))]
    ends = [at for at, _ in states[1:]] + [end]
    for (begin, state), to in zip(states, ends, strict=True):
        for n in range(begin // column_s, math.ceil(to / column_s)):
            overlap = min(to, (n + 1) * column_s) - max(begin, n * column_s)
            columns[n][state] = columns[n].get(state, 0.0) + overlap / column_s
    return columns


def draw(recording: dict[str, Any], language: str) -> str:
    """Return the picture of a recording."""
    return Picture(recording, WORDS[language]).text()


class Picture:
    """One drawing, made line by line."""

    def __init__(self, recording: dict[str, Any], words: dict[str, str]) -> None:
        self.told = recording
        self.words = words
        self.lines: list[str] = []
        self.scale: float = (RIGHT - LEFT) / recording["seconds"]
        self.lanes = STRIPS + (STRIP_H + 6) * len(recording["bots"]) + 38
        self.bottom = self.lanes + LANE_H * (len(FAMILIES) + 1) + 4
        self.height = self.bottom + 102

    def text(self) -> str:
        self._head()
        self._totals()
        self._axis()
        self._shades()
        self._flows()
        self._waits()
        self._strips()
        self._faults()
        self._foot()
        return "\n".join([*self._frame(), *self.lines, "</svg>", ""])

    # --- parts ---

    def _frame(self) -> Iterable[str]:
        size = f"0 0 {WIDTH} {self.height:g}"
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" aria-labelledby="t d">'
        yield f'<title id="t">{escape(self.say("title"))}</title>'
        yield f'<desc id="d">{escape(self.say("totals") + " " + self.say("sum"))}</desc>'
        yield "<style>"
        yield f"text{{font:12px {FONT}}}.big{{font-size:19px;font-weight:600}}.top{{font-size:20px;font-weight:600}}"
        yield ".name{font-size:13px;font-weight:600}.code{font-family:ui-monospace,Menlo,Consolas,monospace}"
        yield ".grid{fill:none;stroke-width:1}.curve{fill:none;stroke-width:1.6}.shade{opacity:.13}"
        yield ".end{text-anchor:end}.mid{text-anchor:middle}"
        yield "".join(_rules(LIGHT))
        yield f"@media (prefers-color-scheme:dark){{.shade{{opacity:.28}}{''.join(_rules(DARK))}}}"
        yield "</style>"
        yield f'<rect class="f-back" width="{WIDTH}" height="{self.height:g}" rx="8"/>'

    def _head(self) -> None:
        self.put(16, 30, self.say("title"), "top")
        self.put(16, 50, self.say("subtitle"), soft=True)

    def _totals(self) -> None:
        """The numbers for somebody who reads nothing else."""
        totals = self.told["totals"]
        shown = ["messages", "answered", "lost", "twice", "faults", "kills", "restarts", "outage_s", "gaps"]
        numbers = {name: f"{totals[name]:,}" for name in shown} | {"outage_s": duration(totals["outage_s"], self.words)}
        widths = [max(_width(self.words[f"n_{name}"]), 1.75 * _width(numbers[name])) for name in shown]
        x, between = 16.0, (WIDTH - 32 - sum(widths)) / (len(shown) - 1)
        for name, width in zip(shown, widths, strict=True):
            colour = " f-answered" if name in {"answered", "lost", "twice"} else ""
            self.put(x, 82, numbers[name], f"big{colour}", data=f' data-total="{name}"')
            self.put(x, 98, self.words[f"n_{name}"], soft=True)
            x += width + between
        self.put(16, 124, self.say("sum"))
        self.put(16, 142, self.say("sum_more"))

    def _axis(self) -> None:
        """Days, through all parts."""
        days = math.ceil(self.told["seconds"] / DAY_S)
        parts = ((FLOWS - FLOW_H, FLOWS + FLOW_H), (WAITS - WAIT_H, WAITS), (self.lanes, self.bottom))
        path = "".join(f"M{self.x(n * DAY_S):.1f} {top:g}V{end:g}" for n in range(days) for top, end in parts)
        self.lines.append(f'<path class="grid s-line" d="{path}"/>')
        for n in range(days):
            left, right = self.x(n * DAY_S), self.x(min((n + 1) * DAY_S, self.told["seconds"]))
            if right - left > 30:
                self.put((left + right) / 2, self.bottom + 15, self.words["day"].format(n + 1), "mid", soft=True)

    def _shades(self) -> None:
        """What lasts long stands behind the curves, where it can be compared."""
        for family, _, begin, end in self.told["faults"]:
            if end - begin >= SHADE_S:
                self._box(f"shade f-{family}", begin, end, FLOWS - FLOW_H, 2 * FLOW_H)
                self._box(f"shade f-{family}", begin, end, WAITS - WAIT_H, WAIT_H)

    def _flows(self) -> None:
        """Asked above, answered below: what is missing below is late, or has no answer."""
        top = _round_up(max(*self.told["asked"], *self.told["answered"], 1))
        self._label(FLOWS - FLOW_H + 10, "flows", "an_hour")
        for name, sign in (("asked", -1.0), ("missed", -1.0), ("answered", 1.0)):
            points = [FLOWS + sign * FLOW_H * count / top for count in self.told[name]]
            self.lines.append(f'<path class="f-{name}" d="{self._steps(points, 3600, FLOWS)}Z"/>')
            self._rule(FLOWS + sign * FLOW_H, dashed=True)
        self._rule(FLOWS)
        self.put(LEFT - 6, FLOWS - FLOW_H + 4, f"{top:g}", "end", soft=True)
        self.put(LEFT - 6, FLOWS + FLOW_H + 4, f"{top:g}", "end", soft=True)
        self.put(LEFT - 6, FLOWS + 4, "0", "end", soft=True)
        self._legend(FLOWS - FLOW_H - 6, ["asked", "missed", "answered"])

    def _waits(self) -> None:
        """What waited: the highest count of each stretch."""
        top = _round_up(max(max(self.told[name], default=0) for name in QUEUES) or 1)
        self._label(WAITS - WAIT_H + 10, "waits", "rows")
        for name in QUEUES:
            points = [WAITS - WAIT_H * count / top for count in self.told[name]]
            path = self._steps(points, self.told["keep_s"], WAITS)
            self.lines.append(f'<path class="curve s-{name}" d="{path}"/>')
        self._rule(WAITS)
        self._rule(WAITS - WAIT_H, dashed=True)
        self.put(LEFT - 6, WAITS + 4, "0", "end", soft=True)
        self.put(LEFT - 6, WAITS - WAIT_H + 4, f"{top:g}", "end", soft=True)
        self._legend(WAITS - WAIT_H - 6, list(reversed(QUEUES)))

    def _strips(self) -> None:
        """How each bot was: the height of a colour is its share of the half hour."""
        whose, since, lasted = longest_outage(self.told["bots"], self.told["seconds"])
        for n, (bot, states) in enumerate(self.told["bots"].items()):
            top = STRIPS + n * (STRIP_H + 6)
            share = live_share(states, self.told["seconds"])
            self.put(16, top + 12, self.words["bot"].format(n + 1), "name")
            self.put(16, top + 25, self.words["live_share"].format(100 * share), soft=True)
            self._box("f-live", 0, self.told["seconds"], top, STRIP_H)
            for state, path in self._stacks(states, top).items():
                self.lines.append(f'<path class="f-{state}" d="{path}"/>')
            if bot == whose and lasted:
                self._box("grid s-text longest", since, since + lasted, top - 2, STRIP_H + 4)
        self._legend(self.lanes - 21, ["live", *reversed(STATES)], at=LEFT)

    def _stacks(self, states: list[Any], top: float) -> dict[str, str]:
        paths: dict[str, str] = {}
        for n, share in enumerate(shares(states, self.told["seconds"], COLUMN_S)):
            y = top + STRIP_H
            for state in STATES:
                if height := STRIP_H * share.get(state, 0.0):
                    y -= height
                    left, right = self.x(n * COLUMN_S), self.x((n + 1) * COLUMN_S)
                    cell = f"M{left:.2f} {y:.1f}h{right - left:.2f}v{height:.1f}h{left - right:.2f}z"
                    paths[state] = paths.get(state, "") + cell
        return paths

    def _faults(self) -> None:
        """A lane for each family of faults, and one for the kills."""
        for n, family in enumerate(FAMILIES):
            top = self.lanes + n * LANE_H
            spans = [span for span in self.told["faults"] if span[0] == family]
            self.put(16, top + 12, f"{self.words[family]}", f"name f-{family}")
            self.put(LEFT - 6, top + 12, f"{len(spans)}", "end", soft=True)
            self._rule(top + LANE_H - 1)
            for _, name, begin, end in spans:
                lasted = f", {duration(end - begin, self.words)}" if end > begin else ""
                self._box(f"band f-{family}", begin, end, top + 2, LANE_H - 5, f"{name}{lasted}", LEAST)
        top = self.lanes + len(FAMILIES) * LANE_H
        self.put(16, top + 12, self.words["kills"], "name f-dead")
        self.put(LEFT - 6, top + 12, f"{len(self.told['kills'])}", "end", soft=True)
        marks = "".join(f"M{self.x(at) - 2.5:.1f} {top + 4:g}l5 8m0-8l-5 8" for at in self.told["kills"])
        self.lines.append(f'<path class="curve s-dead kills" d="{marks}"/>')

    def _foot(self) -> None:
        for n, name in enumerate(("how", "how_more")):
            self.put(16, self.bottom + 42 + 18 * n, self.say(name), soft=True)
        self.put(16, self.bottom + 84, self.words["again"])
        self.put(16 + _width(self.words["again"]) + 12, self.bottom + 84, self.told["replay"], "code")

    # --- strokes ---

    def say(self, which: str) -> str:
        """A sentence with the numbers of the recording in it."""
        totals = self.told["totals"]
        numbers = {name: f"{number:,}" for name, number in totals.items()} | {
            "outage": duration(totals["outage_s"], self.words),
            "days": f"{self.told['days']:g}",
            "bots": str(len(self.told["bots"])),
            "seed": str(self.told["seed"]),
            "look": f"{self.told['look_s']:g}",
            "count": f"{self.told['count_s']:g}",
            "keep": f"{self.told['keep_s'] / 60:g}",
            "column": f"{COLUMN_S / 60:g}",
            "shade": f"{SHADE_S / 60:g}",
            "least": duration(LEAST / self.scale, self.words),
        }
        return self.words[which].format(**numbers)

    def x(self, at: float) -> float:
        return LEFT + at * self.scale

    def put(self, x: float, y: float, text: str, style: str = "", *, soft: bool = False, data: str = "") -> None:
        """Write a line of text; its colour is the normal or the soft one, unless the style brings its own."""
        colour = "" if "f-" in style else " f-soft" if soft else " f-text"
        self.lines.append(f'<text class="{(style + colour).strip()}" x="{x:.1f}" y="{y:g}"{data}>{escape(text)}</text>')

    def _label(self, y: float, name: str, unit: str) -> None:
        self.put(16, y, self.words[name], "name")
        self.put(16, y + 15, self.words[unit], soft=True)

    def _legend(self, y: float, names: list[str], at: float | None = None) -> None:
        """Squares with their names, from the left or up to the right end."""
        widths = [19 + _width(self.words[name]) + 14 for name in names]
        x = RIGHT + 14 - sum(widths) if at is None else at
        for name, width in zip(names, widths, strict=True):
            self.lines.append(f'<rect class="f-{name}" x="{x:.1f}" y="{y - 9:g}" width="10" height="10" rx="2"/>')
            self.put(x + 15, y, self.words[name], soft=True)
            x += width

    def _box(
        self, style: str, begin: float, end: float, y: float, height: float, tip: str = "", least: float = 0.5
    ) -> None:
        x, width = self.x(begin), max(least, (end - begin) * self.scale)
        x = min(x, RIGHT - width)
        size = f'x="{x:.2f}" y="{y:g}" width="{width:.2f}" height="{height:g}"'
        inside = f"><title>{escape(tip)}</title></rect>" if tip else "/>"
        self.lines.append(f'<rect class="{style}" {size}{inside}')

    def _rule(self, y: float, *, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="2 3"' if dashed else ""
        self.lines.append(f'<path class="grid s-line" d="M{LEFT} {y:g}H{RIGHT}"{dash}/>')

    def _steps(self, points: list[float], width_s: float, base: float) -> str:
        """A stair: one step of so many seconds for each point; the last one ends where the history does."""
        path, before = f"M{LEFT} {base:g}", base
        for n, y in enumerate(points):
            if abs(y - before) > 0.01:
                path += f"H{self.x(n * width_s):.1f}V{y:.1f}"
            before = y
        return f"{path}H{min(self.x(len(points) * width_s), RIGHT):.1f}V{base:g}"


def _rules(colours: dict[str, str]) -> Iterable[str]:
    for name, colour in colours.items():
        yield f".f-{name}{{fill:{colour}}}.s-{name}{{stroke:{colour}}}"


def _round_up(number: float) -> float:
    """The next round number, for the end of a scale."""
    step = 10.0 ** math.floor(math.log10(number))
    return next(step * n for n in (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * n >= number)


def _width(text: str) -> float:
    """About how wide a text of 12 px is: Chinese characters are square."""
    return sum(12.0 if ord(letter) > 0x2E80 else 6.6 for letter in text)
