"""The control API: JSON over HTTP on a port of its own, untouched by the simulated network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from buoy.sim.events import Happening, Meeting, Said, Speech, happen, meet
from buoy.sim.faults import KINDS, Fault
from buoy.sim.load import Order
from buoy.sim.pressing import Press, press

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from buoy.sim.simulator import Sim


class _Network(msgspec.Struct, forbid_unknown_fields=True):
    mode: str


class _Clock(msgspec.Struct, forbid_unknown_fields=True):
    advance: float = 0.0
    speed: float | None = None
    beats: bool = True


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    """A new bot, or what changes about one."""

    app_id: str
    secret: str | None = None
    allowed_intents: int | None = None
    certified: bool | None = None
    templates: bool | None = None
    keyboards: bool | None = None
    url_hosts: set[str] | None = None
    proactive: dict[str, bool] | None = None


class _Log(msgspec.Struct, forbid_unknown_fields=True):
    """Filters of GET /log."""

    anchor: str | None = None
    target: str | None = None
    scene: str | None = None
    bot: str | None = None
    since: int = 0
    """Leave out so many of the oldest."""


class Control:
    """Routes requests to the simulator."""

    def __init__(self, sim: Sim, host: str, port: int) -> None:
        self._sim = sim
        self._host = host
        self.port = port
        self._http: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._routes: Final[dict[tuple[str, str], Callable[[bytes, web.BaseRequest], Awaitable[Any]]]] = {
            ("POST", "/say"): self._say,
            ("POST", "/press"): self._press,
            ("POST", "/events"): self._happen,
            ("POST", "/meet"): self._meet,
            ("POST", "/faults"): self._add_fault,
            ("GET", "/faults"): self._list_faults,
            ("DELETE", "/faults"): self._remove_fault,
            ("POST", "/network"): self._network,
            ("GET", "/log"): self._log,
            ("GET", "/state"): self._state,
            ("POST", "/clock"): self._clock,
            ("POST", "/bots"): self._add_bot,
            ("POST", "/load"): self._start_load,
            ("GET", "/load"): self._show_load,
            ("DELETE", "/load"): self._stop_load,
        }

    async def start(self) -> None:
        """Listen."""
        self._http = web.Server(self._handle, access_log=None)
        self._listener = await asyncio.get_running_loop().create_server(self._http, self._host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every socket."""
        if self._listener is not None:
            self._listener.close()
        if self._http is not None:
            await self._http.shutdown(0.2)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/")
        route = self._routes.get((request.method, path))
        if route is None and path.startswith("/faults/"):
            route = self._routes.get((request.method, "/faults"))
        status = 200
        if route is None:
            status, answer = (
                404,
                {"error": f"no {request.method} {path}; there are {', '.join(self._known())}"},
            )
        else:
            try:
                answer = await route(await request.read(), request)
            except (msgspec.DecodeError, ValueError, TypeError) as error:
                status, answer = 400, {"error": f"{request.method} {path}: {error}"}
        return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")

    def _known(self) -> list[str]:
        return [f"{method} {path}" for method, path in self._routes]

    async def _say(self, body: bytes, _: web.BaseRequest) -> Said:
        return self._sim.speak(msgspec.json.decode(body, type=Speech))

    async def _press(self, body: bytes, _: web.BaseRequest) -> Said:
        return press(self._sim.world, msgspec.json.decode(body, type=Press), self._sim.clock.now())

    async def _happen(self, body: bytes, _: web.BaseRequest) -> Said:
        what = msgspec.json.decode(body, type=Happening)
        return happen(self._sim.world, what, self._sim.clock.now())

    async def _add_fault(self, body: bytes, _: web.BaseRequest) -> Fault:
        return self._sim.faults.add(msgspec.json.decode(body, type=Fault))

    async def _list_faults(self, _: bytes, request: web.BaseRequest) -> Any:
        if request.path.endswith("/kinds"):
            return KINDS
        return self._sim.faults.list()

    async def _remove_fault(self, _: bytes, request: web.BaseRequest) -> Any:
        last = request.path.rstrip("/").rpartition("/")[2]
        return {"removed": self._sim.faults.remove(None if last == "faults" else int(last))}

    async def _network(self, body: bytes, _: web.BaseRequest) -> Any:
        await self._sim.network(msgspec.json.decode(body, type=_Network).mode)
        return {"mode": self._sim.network_mode}

    async def _log(self, _: bytes, request: web.BaseRequest) -> Any:
        wanted = msgspec.convert(dict(request.query), _Log, strict=False)
        return [
            message
            for message in self._sim.delivered[wanted.since :]
            if (wanted.anchor in {None, message.anchor})
            and wanted.target in {None, message.target}
            and wanted.scene in {None, message.scene}
            and wanted.bot in {None, message.bot}
        ]

    async def _state(self, _: bytes, __: web.BaseRequest) -> Any:
        sim = self._sim
        world = sim.world
        return {
            "now": sim.clock.now(),
            "speed": sim.clock.speed,
            "network": sim.network_mode,
            "connections": sim.connections,
            "sessions": [
                {
                    "id": s.id,
                    "bot": s.bot.app_id,
                    "shard": s.shard,
                    "intents": s.intents,
                    "s": s.s,
                    "live": len(s.peers),
                    "gone_at": s.gone_at,
                    "buffered": len(s.buffer),
                }
                for s in world.sessions.of()
            ],
            "bots": {
                bot.app_id: {"identifies_today": len(bot.starts), "relations": len(bot.relations)}
                for bot in world.bots.values()
            },
            "counters": world.counters,
            "unheard": sorted(world.unheard),
            "delivered": len(world.delivered),
        }

    async def _clock(self, body: bytes, _: web.BaseRequest) -> Any:
        wanted = msgspec.json.decode(body, type=_Clock)
        if wanted.speed is not None:
            self._sim.clock.speed = wanted.speed
        if wanted.advance:
            self._sim.clock.advance(wanted.advance, beats=wanted.beats)
        return {"now": self._sim.clock.now(), "speed": self._sim.clock.speed}

    async def _add_bot(self, body: bytes, _: web.BaseRequest) -> Any:
        wanted = msgspec.json.decode(body, type=_Account)
        world = self._sim.world
        bot = world.bot(wanted.app_id) if wanted.secret is None else world.add_bot(wanted.app_id, wanted.secret)
        for fact in ("allowed_intents", "certified", "templates", "keyboards", "url_hosts"):
            value = getattr(wanted, fact)
            if value is not None:
                setattr(bot, fact, value)
        bot.proactive |= wanted.proactive or {}
        return {"app_id": bot.app_id}

    async def _meet(self, body: bytes, _: web.BaseRequest) -> Any:
        return {"target": meet(self._sim.world, msgspec.json.decode(body, type=Meeting))}

    async def _start_load(self, body: bytes, _: web.BaseRequest) -> Any:
        order = msgspec.json.decode(body or b"{}", type=Order)
        return self._sim.load(order).report()

    async def _show_load(self, _: bytes, __: web.BaseRequest) -> Any:
        load = self._sim.current_load
        if load is None:
            raise ValueError("no load was started; POST /load first")
        return load.report()

    async def _stop_load(self, _: bytes, __: web.BaseRequest) -> Any:
        load = self._sim.current_load
        if load is None:
            raise ValueError("no load was started; POST /load first")
        load.stop()
        return load.report()
