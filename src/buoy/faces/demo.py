"""`buoy demo`: Buoy with the echo agent on the simulated QQ, through an outage; the simulator is the judge.

Both run in this process and talk over real sockets on loopback; the data lies in a directory that is removed at the
end. Nothing of the user's settings or environment is read.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from buoy.config import Config, load
from buoy.errors import EXIT_OK, EXIT_REFUSED, BuoyError, ConfigError
from buoy.faces import wiring
from buoy.faces.demo_keys import HELP, Editor, Say, Wish, typed
from buoy.faces.demo_screen import Lines, Picture, Screen, open_view
from buoy.faces.demo_story import (
    OUTAGE,
    PEOPLE,
    ROOMS,
    YOU,
    Connection,
    Line,
    Note,
    Outage,
    Summary,
    banner,
    connection,
    count,
    script,
    summarize,
)
from buoy.faces.mooring import Mooring
from buoy.faces.process import serve
from buoy.faces.runner import on_loop
from buoy.gateway.app import App
from buoy.sim import DEFAULT_BOT, Delivered, Sim, Speech
from buoy.sim.world import TYPING

SECONDS: Final = (2.0, 600.0)  # ours: shorter shows nothing, longer is no demo
PATIENCE_S: Final = 15.0  # ours: longer than the longest pause between two tries that the outage leads to
LINGER_S: Final = 1.0  # an answer too many would come in this time; and a person sees the end
TICK_S: Final = 0.1
SHUTDOWN_S: Final = 2.0
LOG_LINES: Final = 30
_OPEN: Final = {"inbox": ("waiting", "running"), "outbox": ("queued", "claimed", "held", "unsure")}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to happen. ``prepare`` breaks the simulated platform before the start: tests plant faults."""

    seconds: float = 20.0
    interactive: bool = False
    seed: int = 7
    patience_s: float = PATIENCE_S
    prepare: Callable[[Sim], None] = lambda _: None


def main(
    *,
    interactive: bool,
    seconds: float,
    patience_s: float = PATIENCE_S,
    prepare: Callable[[Sim], None] = lambda _: None,
) -> int:
    """Run it; returns 0 where nothing was lost and nothing was answered twice.

    Raises:
        ConfigError: ``seconds`` is out of range.
        BuoyError: Buoy could not connect to the simulator.
    """
    if not SECONDS[0] <= seconds <= SECONDS[1]:
        raise ConfigError(f"--seconds {seconds:g}: out of range; write a number from {SECONDS[0]:g} to {SECONDS[1]:g}")
    log = _keep_log()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no Chinese still gets its lines
    plan = Plan(seconds, interactive, patience_s=patience_s, prepare=prepare)
    with tempfile.TemporaryDirectory(prefix="buoy-demo-") as folder:
        demo = Demo(plan, open_view(interactive=interactive), _settings(Path(folder)))
        try:
            code = on_loop(lambda _: demo.run())
        finally:
            if not demo.is_fine:
                print("\n".join(["buoy: the demo failed; the end of Buoy's log:", *log]), file=sys.stderr)
    return code


def _keep_log() -> deque[str]:
    """Keep the newest lines of Buoy's log off the screen, for the case that something goes wrong."""
    kept: deque[str] = deque(maxlen=LOG_LINES)

    def keep(_logger: Any, level: str, fields: MutableMapping[str, Any]) -> str:
        what = " ".join(f"{name}={value!r}" for name, value in fields.items() if name != "event")
        kept.append(f"  {level} {fields.get('event')} {what}")
        raise structlog.DropEvent

    structlog.configure(processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    return kept


def _settings(folder: Path) -> Callable[[str], Config]:
    """Settings for the simulator at an address; an empty file keeps `./buoy.toml` out of it."""
    file = folder / "demo.toml"
    file.touch()

    def make(api_base: str) -> Config:
        return load(
            file,
            {
                "QQ_APP_ID": DEFAULT_BOT[0],
                "QQ_CLIENT_SECRET": DEFAULT_BOT[1],
                "QQ_API_BASE": api_base,
                "BUOY_DATA_DIR": str(folder / "data"),
                "BUOY_SHUTDOWN_S": str(SHUTDOWN_S),
                "BUOY_LISTEN": "127.0.0.1:0",
            },
        )

    return make


async def _page(app: App) -> str:
    """Give the address of the page once it is served, which takes a moment."""
    while not (told := app.sections["web"]())["listening"] and not told["error"]:
        await asyncio.sleep(TICK_S / 10)
    return str(told["listening"] or told["error"])


class Demo:
    """One run."""

    def __init__(self, plan: Plan, view: Lines | Screen, settings: Callable[[str], Config]) -> None:
        self._plan = plan
        self._view = view
        self._settings = settings
        self._sim = Sim()
        self._said: dict[str, Line] = {}
        self._story: list[Line | Note] = []
        self._outages: list[Outage] = []
        self._editor = Editor()
        self._wishes: asyncio.Queue[Wish | Say] = asyncio.Queue()
        self._started_at = time.monotonic()
        self._is_done = False
        self._gaps = 0
        self.is_fine = False
        """It ended, by itself or early, and nothing was lost or answered twice."""

    async def run(self) -> int:
        """Play to the end, or until a signal; returns the exit code."""
        async with self._sim as sim:
            self._plan.prepare(sim)
            sim.world.on_delivered.append(self._delivered)
            config = self._settings(sim.api_base)
            self._ended = asyncio.Event()
            self._app: asyncio.Future[App] = asyncio.get_running_loop().create_future()
            with self._view:
                play = asyncio.create_task(self._play())
                play.add_done_callback(lambda _: self._ended.set())
                try:
                    code = await serve(
                        Mooring(config, wiring.agents(config), locks_sockets=False),
                        lambda: wiring.platforms(config, {}),
                        beside=self._beside,
                        until=self._ended,
                    )
                finally:
                    play.cancel()
                    await asyncio.wait({play})
            if not play.cancelled():
                play.result()
            summary = self._sum_up()
        self._view.close(summary)
        self.is_fine = code == EXIT_OK and not (summary.lost or summary.twice)
        return code or (EXIT_OK if summary.is_kept else EXIT_REFUSED)

    @contextmanager
    def _beside(self, app: App) -> Iterator[None]:
        self._app.set_result(app)
        yield

    def _sum_up(self) -> Summary:
        """Ask the simulator, not Buoy, what came of it."""
        replies = [len(self._sim.replies(ident)) for ident in self._said]
        delivered = sum(message.msg_type != TYPING for message in self._sim.delivered)
        heard = self._sim.world.counters["events"]
        now = time.monotonic()
        is_early = not self._is_done
        return summarize(heard, replies, delivered, self._outages, now, gaps=self._gaps, is_early=is_early)

    # --- the play ----------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        """Let it all happen; a signal cancels it."""
        app = await self._app
        drawing = asyncio.create_task(self._draw(app))
        drawing.add_done_callback(lambda _: self._ended.set())
        try:
            await self._connected(app)
            self._tell(Note("calm", f"its page: {await _page(app)}"))
            await (self._converse() if self._plan.interactive else self._perform())
            await self._finish(app)
        finally:
            drawing.cancel()
            await asyncio.wait({drawing})
        if not drawing.cancelled():
            drawing.result()

    async def _connected(self, app: App) -> None:
        """Wait for the first connection: what is said before it, QQ keeps for nobody."""
        try:
            async with asyncio.timeout(self._plan.patience_s):
                while not self._connection(app).is_up:
                    await asyncio.sleep(TICK_S / 2)
        except TimeoutError:
            raise BuoyError(
                f"Buoy did not connect to the simulated QQ on loopback in {self._plan.patience_s:g} s; "
                "is something in this environment keeping local connections from working?"
            ) from None

    async def _perform(self) -> None:
        """Follow the script: talk, an outage in the middle, talk."""
        seconds = self._plan.seconds
        begin = time.monotonic()
        cues: list[tuple[float, Callable[[], Any]]] = [(share * seconds, self._plug) for share in OUTAGE]
        for remark in script(self._plan.seed, seconds):
            cues.append((remark.at, partial(self._say, remark.who, remark.room, remark.text)))  # noqa: PERF401
        for at, act in sorted(cues, key=lambda cue: cue[0]):
            await asyncio.sleep(begin + at - time.monotonic())
            done = act()
            if done is not None:
                await done

    async def _converse(self) -> None:
        """Do what a person types, until they have had enough."""
        with typed(self._keys, single_keys=isinstance(self._view, Screen)):
            while (wish := await self._wishes.get()) is not Wish.QUIT:
                if isinstance(wish, Say):
                    self._say(YOU, wish.room, wish.text)
                elif wish is Wish.PLUG:
                    await self._plug()
                else:
                    self._tell(Note("calm", f"no such command   {HELP}"))
        if self._is_down:
            await self._plug()

    async def _finish(self, app: App) -> None:
        """Wait for the answers that are due. Who quits before Buoy is back has lost nothing yet."""
        with suppress(TimeoutError):
            await self._sim.until(lambda: self._waiting == 0, self._plan.patience_s)
        await asyncio.sleep(LINGER_S)
        self._is_done = not self._plan.interactive or self._waiting == 0 or self._connection(app).is_up

    def _say(self, who: str, room: str, text: str) -> None:
        scene, number = ROOMS[room]
        user = (*PEOPLE, YOU).index(who)
        ident = self._sim.speak(Speech(text=text, user=user, scene=scene, room=number)).id
        line = self._said[ident] = Line(ident, who, room, text, time.monotonic())
        self._story.append(line)
        if self._outages and self._outages[-1].caught_at is None:
            self._outages[-1].said += 1
            self._view.tell(self._elapsed_s, line)

    async def _plug(self) -> None:
        """Take the network away, or give it back."""
        if self._is_down:
            await self._sim.network("up")
            self._outages[-1].to_at = time.monotonic()
            self._tell(Note("back", f"network back, {count(self._waiting, 'message')} to catch up"))
        else:
            self._outages.append(Outage(time.monotonic()))
            self._tell(Note("down", "network taken away, users keep writing"))
            await self._sim.network("down")

    @property
    def _is_down(self) -> bool:
        return bool(self._outages) and self._outages[-1].to_at is None

    # --- what is seen ------------------------------------------------------------------------------------------

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started_at

    @property
    def _waiting(self) -> int:
        return sum(line.answered_at is None for line in self._said.values())

    @staticmethod
    def _connection(app: App) -> Connection:
        (platform,) = app.platforms.values()
        return connection(platform.health())

    def _tell(self, note: Note) -> None:
        self._story.append(note)
        self._view.tell(self._elapsed_s, note)

    def _keys(self, keys: str) -> None:
        for wish in self._editor.type(keys):
            self._wishes.put_nowait(wish)

    def _delivered(self, message: Delivered) -> None:
        """The platform took an answer."""
        line = self._said.get(message.anchor or "")
        if line is None or line.answered_at is not None or message.msg_type == TYPING:
            return
        line.answer, line.answered_at = message.text, time.monotonic()
        self._view.tell(self._elapsed_s, line)

    async def _draw(self, app: App) -> None:
        """Look at everything ten times a second."""
        while not self._ended.is_set():
            now, health = time.monotonic(), app.health()
            line = self._connection(app)
            self._gaps = len(health["gaps"])
            boxes = {"inbox": health["inbox"], "outbox": health["outbox"]}
            queues = {box: sum(boxes[box]["states"].get(state, 0) for state in states) for box, states in _OPEN.items()}
            waiting = self._waiting
            self._view.draw(
                Picture(
                    now=now,
                    elapsed_s=self._elapsed_s,
                    of_s=None if self._plan.interactive else self._plan.seconds,
                    banner=banner(now, self._outages, line, waiting),
                    connection=line,
                    received=len(self._said),
                    answered=len(self._said) - waiting,
                    story=self._story,
                    typed=self._editor.text if self._plan.interactive else None,
                    **queues,
                )
            )
            for outage in self._outages:
                if outage.update(now, list(self._said.values()), connected=line.is_up):
                    self._tell(Note("good", f"caught up {outage.recover_s:.1f} s after the network"))
            await asyncio.sleep(TICK_S)
