"""What each path answers. Whether it may is decided before; nothing here touches QQ."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, runtime_checkable

import msgspec
from aiohttp import web
from msgspec import Meta

from buoy.durable import browse, history, inbox, trace
from buoy.faces.web.access import Need
from buoy.faces.web.shown import preview, shortened
from buoy.letters import EventState, LetterState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from buoy.agents.http import Called
    from buoy.durable.reader import Reader
    from buoy.faces.web.snapshots import Snapshots
    from buoy.gateway.app import App

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILE_NAME: Final = re.compile(r"[a-z0-9_-]+\.[a-z]+")
RECENT: Final = 20
GAPS: Final = 200
SEND_STATUS: Final = {"sent": 200, "dead": 422, "dropped": 422}  # anything else is stored and under way: 202


@runtime_checkable
class CalledAgent(Protocol):
    """An agent whose answers may be brought here, as :class:`buoy.agents.http.HttpAgent`'s; others need none of it."""

    def called(self, turn: str, timestamp: str, signed: str, body: bytes) -> Called:
        """Take the answer of a turn; says what the caller is told."""


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /act`."""

    do: Literal["retry_letter", "drop_letter", "retry_event", "drop_event"]
    row: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]


class Send(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /send`."""

    target: str
    text: str
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class BadRequestError(Exception):
    """A request that cannot be meant; the text says what to write."""


class Routes:
    """The data and the actions, over one gateway."""

    def __init__(self, app: App, reader: Reader, snapshots: Snapshots, static: Path = STATIC) -> None:
        self._app = app
        self._reader = reader
        self._snapshots = snapshots
        self._static = static

    @property
    def table(self) -> list[tuple[str, str, Need, Callable[[web.Request], Awaitable[web.StreamResponse]]]]:
        """Method, path, what it needs, who answers."""
        return [
            ("GET", "/livez", Need.NOTHING, self._livez),
            ("GET", "/readyz", Need.NOTHING, self._readyz),
            ("GET", "/status.json", Need.READ, self._status),
            ("GET", "/metrics", Need.READ, self._metrics),
            ("GET", "/timeline.json", Need.READ, self._timeline),
            ("GET", "/traffic.json", Need.READ, self._traffic),
            ("GET", "/letters.json", Need.READ, self._letters),
            ("GET", "/turns.json", Need.READ, self._turns),
            ("GET", "/trace.json", Need.READ, self._trace),
            ("POST", "/act", Need.ACT, self._act),
            ("POST", "/send", Need.SEND, self._send),
            ("POST", "/turns/{turn:.+}", Need.NOTHING, self._called),
            ("GET", "/", Need.NOTHING, self._file),
            ("GET", r"/{file:[a-z0-9_-]+\.[a-z]+}", Need.NOTHING, self._file),
        ]

    # --- probes ----------------------------------------------------------------------------------------------------

    async def _livez(self, request: web.Request) -> web.Response:
        """The loop turns, or nobody would answer; QQ, the disk and the bots are not its business."""
        del request
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        del request
        plain = self._snapshots.plain()
        if plain["ready"]:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="".join(f"{shortened(line)}\n" for line in plain["not_ready"]))

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _status(self, request: web.Request) -> web.Response:
        del request
        return as_json(self._snapshots.plain())

    async def _metrics(self, request: web.Request) -> web.Response:
        from buoy.faces.web import metrics  # noqa: PLC0415  the library is large: not before the first scrape

        del request
        read = self._reader.read
        extra = metrics.Extra(await read(browse.alerts_open), await read(browse.gaps_kept))
        body = metrics.text(self._snapshots.plain(), extra)
        return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _timeline(self, request: web.Request) -> web.Response:
        hours = _number(request, "hours", 24, 24 * 31)
        now = self._app.wall()
        since = now - hours * 3600
        spans = await self._reader.read(history.spans, since, now)
        gaps = await self._reader.read(inbox.gaps, limit=GAPS)
        told = [gap._asdict() for gap in gaps if gap.to_at >= since]
        return as_json({"from": since, "to": now, "spans": [span._asdict() for span in spans], "gaps": told})

    async def _traffic(self, request: web.Request) -> web.Response:
        minutes = _number(request, "minutes", 60, 24 * 60)
        counted = await self._reader.read(browse.traffic, minutes, self._app.wall())
        recent = [_shown(row) for row in await self._reader.read(browse.newest, RECENT)]
        return as_json({**counted, "recent": recent})

    async def _letters(self, request: web.Request) -> web.Response:
        state = LetterState(_choice(request, "state", browse.LETTER_STATES))
        rows = await self._reader.read(browse.letters, state, _number(request, "limit", 50, 200))
        return as_json([_shown(row) | {"text": self._text(row.pop("bot"), row.pop("body"))} for row in rows])

    def _text(self, bot: str, body: bytes | None) -> str:
        platform = self._app.platforms.get(bot)
        return preview(platform.text_of(body)) if platform is not None and body else ""

    async def _turns(self, request: web.Request) -> web.Response:
        state = EventState(_choice(request, "state", browse.TURN_STATES))
        rows = await self._reader.read(browse.turns, state, _number(request, "limit", 50, 200))
        return as_json([_shown(row) | {"text": self._said(row.pop("event"))} for row in rows])

    def _said(self, event: Any) -> str:
        """The beginning of what was written; empty where the row was pruned or cannot be read."""
        platform = None if event is None else self._app.platforms.get(event.bot)
        try:
            message = platform.read(event) if platform is not None and event.frame else None
        except ValueError:
            return ""
        return "" if message is None else preview(message.text)

    async def _trace(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "")
        if not name.strip():
            raise BadRequestError("name: missing; write a message id, in/7, out/9 or a letter's key")
        steps = await self._reader.read(trace.trace, name)
        if not steps:
            raise web.HTTPNotFound(text=f"nothing is known of {name[:80]!r}")
        return as_json({"steps": [{"at": at, "step": shortened(step)} for at, step in steps]})

    # --- doing -----------------------------------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> web.Response:
        act = _body(await request.read(), Act)
        return as_json({"done": await getattr(self._app, act.do)(act.row)})

    async def _send(self, request: web.Request) -> web.Response:
        wanted = _body(await request.read(), Send)
        receipt = await self._app.send(wanted.target, wanted.text, key=wanted.key, origin="http")
        state = "queued" if receipt.state is LetterState.CLAIMED else receipt.state.value
        told = {
            "id": receipt.id, "key": receipt.key, "state": state, "position": receipt.position,
            "reason": receipt.reason,
        }  # fmt: skip
        return as_json(told, status=SEND_STATUS.get(state, 202))

    async def _called(self, request: web.Request) -> web.Response:
        """An http agent brings the answer of a turn; its signature says that it may."""
        headers, body = request.headers, await request.read()
        told = [
            agent.called(
                request.match_info["turn"],
                headers.get("X-Buoy-Timestamp", ""),
                headers.get("X-Buoy-Signature", ""),
                body,
            )
            for agent in self._app.agents.values()
            if isinstance(agent, CalledAgent)
        ]
        if not told:
            raise web.HTTPNotFound(text="no bot here has an http agent")
        best = min(told, key=lambda one: (one.status in {401, 404}, one.status == 401))
        return as_json({"told": best.text} if best.status == 200 else {"error": best.text}, status=best.status)

    # --- the page's own files ----------------------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("file", "index.html")
        path = self._static / name
        kind = TYPES.get(path.suffix)
        if kind is None or not FILE_NAME.fullmatch(name) or not path.is_file():
            raise web.HTTPNotFound
        return web.Response(
            body=path.read_bytes(), content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"}
        )


def as_json(value: Any, *, status: int = 200) -> web.Response:
    """Answer with plain data."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row for the page: the conversation shortened, no opaque parts."""
    told = {name: value for name, value in row.items() if name not in {"lane", "id", "body", "event"}}
    lane = row["lane"]
    return told | {"conversation": None if lane is None else shortened(lane)}


def _body(data: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        text = str(error).replace("`", "").replace("$.", "")
        raise BadRequestError(f"the body is not as expected: {text}; it takes {_fields(kind)}") from None


def _fields(kind: type[Any]) -> str:
    return ", ".join(field.name + ("" if field.required else " (optional)") for field in msgspec.structs.fields(kind))


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise BadRequestError(f"{name}={text[:40]}: not a whole number from 1 to {most}")
    return int(text)


def _choice(request: web.Request, name: str, known: tuple[str, ...]) -> str:
    text = request.query.get(name, "")
    if text not in known:
        raise BadRequestError(f"{name}={text[:40]}: write one of {', '.join(known)}")
    return text
