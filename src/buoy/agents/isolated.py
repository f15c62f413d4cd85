"""The other end of :mod:`buoy.agents.pool`: runs a Python agent, one message after the other.

One line of JSON per message comes in on stdin, one goes out on what was stdout: ``{"replies": [...]}``, or
``{"error": reason}``, ``{"away": reason}``, or ``{"nonsense": reason}`` for an answer of the wrong type. Prints
go to stderr.
When stdin ends, Buoy is gone: this process and all it started end at once, whatever they are doing.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import queue
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from typing import IO, Any

from buoy.agents import message_json
from buoy.agents.python import find
from buoy.chat import Agent, Message, NonsenseError, Reply, collect, replies_of
from buoy.errors import AgentAwayError, ConfigError


def main() -> None:
    """Answer until stdin ends. The one argument is ``MODULE:FUNCTION``."""
    requests, answers = _take_pipes()
    module, _, function = sys.argv[1].partition(":")
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, messages), daemon=True).start()
    found = None
    with asyncio.Runner() as runner:  # one loop for all messages: clients may be kept between them
        while True:
            line = messages.get()
            try:
                found = found or find(module, function)
                answer: dict[str, Any] = {
                    "replies": [asdict(reply) for reply in _answer(found, message_json.decode(line), runner)]
                }
            except AgentAwayError as error:
                answer = {"away": str(error)}
            except ConfigError as error:
                answer = {"error": str(error)}
            except NonsenseError as error:
                answer = {"nonsense": str(error)}
            except (Exception, SystemExit) as error:  # noqa: BLE001  the agent may raise anything
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()


def _answer(found: Any, message: Message, runner: asyncio.Runner) -> list[Reply]:
    """Run the agent, whichever kind of function it is."""
    if isinstance(found, Agent):
        return runner.run(collect(found, message))
    result = found(message)
    if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
        return runner.run(collect(Agent(lambda _: result), message))
    return replies_of(list(result) if inspect.isgenerator(result) else result)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the pipes for ourselves: what the agent reads is empty, what it prints goes to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _read(requests: IO[bytes], messages: queue.SimpleQueue[bytes]) -> None:
    """Hand the lines on; at their end, end everything."""
    for line in requests:
        messages.put(line)
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
