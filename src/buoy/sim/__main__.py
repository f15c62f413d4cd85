"""Run the simulated platform alone: its addresses as a JSON line, then it serves until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

from buoy.sim.simulator import DEFAULT_BOT, Sim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Read the options and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="buoy sim", description="A simulated QQ bot platform on loopback.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="API and WebSocket (default: a free port)")
    parser.add_argument("--control-port", type=int, default=0, help="control API (default: a free port)")
    parser.add_argument("--announce", metavar="HOST:PORT", help="name a proxy as the WebSocket's address")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    parser.add_argument("--no-limits", action="store_true", help="no rate limits; reply windows and budgets stay")
    parser.add_argument("--any-ids", action="store_true", help="accept any text as an openid")
    parser.add_argument("--app-id", default=DEFAULT_BOT[0], help="the bot's AppID (default %(default)s)")
    parser.add_argument("--secret", default=DEFAULT_BOT[1], help="the bot's secret (default %(default)s)")
    parser.add_argument("--heartbeat", type=float, default=45.0, help="heartbeat interval in seconds")
    parser.add_argument("--seed", type=int, default=0, help="names the users and groups")
    options = parser.parse_args(argv)
    try:
        sim = Sim(
            seed=options.seed,
            speed=options.speed,
            bots=[(options.app_id, options.secret)],
            host=options.host,
            port=options.port,
            control_port=options.control_port,
            announce=options.announce,
            limits=not options.no_limits,
            check_ids=not options.any_ids,
            heartbeat_s=options.heartbeat,
        )
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(sim))
    except ValueError as error:
        print(f"buoy sim: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"buoy sim: cannot listen: {error}; choose other ports", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(sim: Sim) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    async with sim:
        addresses = {"api_base": sim.api_base, "token_url": sim.token_url, "control_url": sim.control_url}
        print(json.dumps(addresses), flush=True)  # noqa: T201
        await stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
