"""Every request passes here: asked whether it may, bounded in time, answered with the headers that keep a page safe."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from buoy.errors import BuoyError, ConfigError, StoreError
from buoy.faces.web.access import Asked, Need, Refusal, decide, has_forwarding, is_local
from buoy.faces.web.doorman import cut
from buoy.faces.web.live import FullError, Live
from buoy.faces.web.login import COOKIE, SESSION_S, Guesses, Keys
from buoy.faces.web.routes import BadRequestError, Routes, as_json
from buoy.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from buoy.faces.web.doorman import Doorman

REQUEST_S: Final = 10.0  # a request, its body and its answer
SLOW_S: Final = 5.0  # a listener that takes nothing for so long is dropped
STREAM_S: Final = 3600.0  # a stream ends then; the browser opens it again, and is asked again who it is
BODY: Final = 256 * 1024

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "buoy",
}

log = Logger("buoy.web")


class Gate:
    """The web application around the routes. ``doorman`` is told of every request that has begun."""

    def __init__(
        self,
        routes: Routes,
        live: Live,
        keys: Keys,
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
        login_always: bool = False,
    ) -> None:
        self._live = live
        self._keys = keys
        self._wall = wall
        self._clock = clock
        self._login_always = login_always
        self._guesses = Guesses()
        self._needs: dict[Any, Need] = {}
        self.doorman: Doorman | None = None
        self.application = web.Application(middlewares=[self._pass], client_max_size=BODY)
        self.application.on_response_prepare.append(_dress)
        extra = [
            ("GET", "/events", Need.READ, self._events),
            ("POST", "/login", Need.ENTER, self._login),
            ("POST", "/logout", Need.ACT, self._logout),
        ]
        for method, path, need, handler in [*extra, *routes.table]:
            self._needs[handler] = need
            self.application.router.add_route(method, path, handler)
            if method == "GET" and handler != self._events:
                self.application.router.add_route("HEAD", path, handler)

    # --- every request -----------------------------------------------------------------------------------------------

    @web.middleware
    async def _pass(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.doorman is not None:
            self.doorman.heard(request.protocol)
        if request.match_info.handler == self._events:
            return await self._answer(request, handler)
        response: web.StreamResponse | None = None
        try:
            async with asyncio.timeout(REQUEST_S):
                response = await self._answer(request, handler)
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if response is not None:
                cut(request.protocol)  # it does not take its answer
                return response
            response = _refused(503, "this took too long; try again")
            response.force_close()
        except ConnectionError:
            response = response or _refused(400, "the connection ended before the request did")  # nobody hears it
        return response

    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            refusal = self._refusal(request)
            return await handler(request) if refusal is None else _refused(refusal.status, refusal.error)
        except web.HTTPException as error:
            response = _refused(error.status, _words(error))
            if isinstance(error, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except (BadRequestError, ConfigError) as error:
            return _refused(400, str(error))
        except StoreError as error:
            return _refused(503, str(error))
        except BuoyError as error:
            return _refused(500, str(error))
        except (ConnectionError, asyncio.CancelledError, TimeoutError):
            raise
        except Exception:
            log.exception("request failed", path=request.path)
            return _refused(500, "this is a bug in Buoy; its log says more")

    def _refusal(self, request: web.Request) -> Refusal | None:
        need = self._needs.get(request.match_info.handler, Need.NOTHING)
        if need is Need.NOTHING:
            return None
        token: bool | None = None
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":  # another scheme is meant for a proxy in front
            wait = self._wait_s(request)
            if wait is not None:
                return wait
            token = self._is_token(request, text.strip())
        return decide(need, self._asked(request, token), login_always=self._login_always)

    def _asked(self, request: web.Request, token: bool | None) -> Asked:  # noqa: FBT001
        headers = request.headers
        return Asked(
            peer=request.remote or "",
            hosts=tuple(headers.getall("Host", [])),
            is_forwarded=_is_forwarded(request),
            token=token,
            session=self._keys.is_session(request.cookies.get(COOKIE, ""), self._wall()),
            origin=headers.get("Origin"),
            site=headers.get("Sec-Fetch-Site"),
            is_json=request.content_type == "application/json",
            is_marked=headers.get("X-Buoy") == "1",
        )

    # --- the token ---------------------------------------------------------------------------------------------------

    def _wait_s(self, request: web.Request) -> Refusal | None:
        wait_s = self._guesses.wait_s(self._guesser(request), self._clock())
        if not wait_s:
            return None
        return Refusal(429, f"too many wrong tokens from this address; try again in {math.ceil(wait_s)} s")

    def _is_token(self, request: web.Request, text: str) -> bool:
        if self._keys.is_token(text):
            return True
        self._guesses.wrong(self._guesser(request), text, self._clock())
        return False

    def _guesser(self, request: web.Request) -> str:
        """Whose guesses are counted together. What somebody else makes this machine ask is not its own guess."""
        return f"{request.remote or ''}{'' if is_local(self._asked(request, None)) else ' for others'}"

    async def _login(self, request: web.Request) -> web.Response:
        wait = self._wait_s(request)
        if wait is not None:
            return _refused(wait.status, wait.error)
        if not self._is_token(request, await _form_token(request)):
            return _refused(401, "this is not the token")
        response = web.Response(status=303, headers={"Location": "/"})
        is_secure = request.secure or "https" in request.headers.get("X-Forwarded-Proto", "")
        response.set_cookie(
            COOKIE,
            self._keys.session(self._wall()),
            max_age=int(SESSION_S),
            httponly=True,
            samesite="Strict",
            secure=is_secure,
        )
        return response

    async def _logout(self, request: web.Request) -> web.Response:
        del request
        response = as_json({"done": True})
        response.del_cookie(COOKIE)
        return response

    # --- the stream --------------------------------------------------------------------------------------------------

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        news = self._live.follow()
        try:
            first = await anext(news)
        except FullError:
            return _refused(503, "too many pages are open; close one")
        try:
            async with asyncio.timeout(STREAM_S):
                await response.prepare(request)
                await _write(response, b"retry: 1000\n" + first)
                async for one in news:
                    await _write(response, one)
        except (TimeoutError, ConnectionError):
            cut(request.protocol)
        finally:
            await news.aclose()
        return response


def _is_forwarded(request: web.Request) -> bool:
    """A proxy may leave no mark; nginx, unless told otherwise, still gives itself away by its HTTP/1.0."""
    return has_forwarding(list(request.headers)) or request.version < (1, 1)


async def _form_token(request: web.Request) -> str:
    """Read the one field of the login form."""
    try:
        form = parse_qs((await request.read()).decode(), max_num_fields=10)
    except ValueError:
        raise BadRequestError("this is not a form; send token=TOKEN") from None
    return form.get("token", [""])[0].strip()


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(SLOW_S):
        await response.write(data)


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on everything that is answered."""
    del request
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _refused(status: int, error: str) -> web.Response:
    response = as_json({"error": error}, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _words(error: web.HTTPException) -> str:
    """Say in one line what aiohttp says in its own way."""
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"the body is larger than {BODY // 1024} KiB"
    default = f"{error.status}: {error.reason}"
    return error.reason if error.text in {None, default} else str(error.text)
