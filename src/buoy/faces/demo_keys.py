"""What a person types into the demo: keystrokes or lines in, wishes out."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final, NamedTuple

HELP: Final = "Enter: say it   Ctrl-P or /plug: network out or in   /group TEXT   /quit"
MAX_TEXT: Final = 500  # ours: one message has one answer
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)?")


class Wish(Enum):
    """What may be wished for besides saying something."""

    PLUG = "plug"
    QUIT = "quit"
    HELP = "help"


class Say(NamedTuple):
    """Say this in that room."""

    text: str
    room: str = "private"


class Editor:
    """One line of input with the keys that everybody expects."""

    def __init__(self) -> None:
        self.text = ""

    def type(self, keys: str) -> list[Wish | Say]:
        """Take keys; returns what they wish for."""
        wishes: list[Wish | Say] = []
        for key in _ESCAPE.sub("", keys):
            if key in "\r\n":
                line, self.text = self.text.strip(), ""
                if line:
                    wishes.append(wish(line))
            elif key in "\x7f\b":
                self.text = self.text[:-1]
            elif key == "\x15":  # Ctrl-U
                self.text = ""
            elif key == "\x10":  # Ctrl-P
                wishes.append(Wish.PLUG)
            elif key == "\x04":  # Ctrl-D
                wishes.append(Wish.QUIT)
            elif key.isprintable() and len(self.text) < MAX_TEXT:
                self.text += key
        return wishes


def wish(line: str) -> Wish | Say:
    """Read one line; words with a slash that mean nothing ask for help."""
    if not line.startswith("/"):
        return Say(line)
    word, _, rest = line.partition(" ")
    if word == "/group" and rest.strip():
        return Say(rest.strip(), "#harbour")
    return {"/plug": Wish.PLUG, "/quit": Wish.QUIT}.get(word, Wish.HELP)


@contextmanager
def typed(on_keys: Callable[[str], None], *, single_keys: bool) -> Iterator[None]:
    """Hand on what standard input brings, and Ctrl-D at its end; call it inside the loop.

    ``single_keys``: standard input is a terminal and gives each key at once, unechoed; it is put right at the end.
    """
    loop = asyncio.get_running_loop()
    handle = sys.stdin.fileno()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read() -> bool:
        data = os.read(handle, 4096)
        loop.call_soon_threadsafe(on_keys, decoder.decode(data) if data else "\n\x04")
        return bool(data)

    def read_all() -> None:
        try:
            while read():
                pass
        except (OSError, RuntimeError):
            return  # the terminal is gone, or the loop is closed: nobody listens any more

    if not single_keys:
        threading.Thread(target=read_all, name="buoy-keys", daemon=True).start()
        yield
        return
    import termios  # noqa: PLC0415  not on Windows, where single_keys is never asked for
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)
    loop.add_reader(handle, lambda: read() or loop.remove_reader(handle))
    try:
        yield
    finally:
        loop.remove_reader(handle)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
