"""The access token of one bot: fetched once for all who wait, renewed before it ends or when it is refused.

A caller waits only while no token works. All callers share one fetch, which outlives each of them. A failure
is remembered for a while and answers whoever asks meanwhile: a hundred waiting letters cost the token
endpoint, which has a rate limit of its own, one call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from buoy.protocol.limits import TOKEN_MARGIN_S, TOKEN_RATE_PAUSE_S
from buoy.protocol.rest import Token, build_token, parse_token
from buoy.transport.http import Http, LostError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FETCH_S: Final = 15.0  # one fetch, over all endpoints
DOWN_PAUSE_S: Final = 1.0  # ours: sends recover within 5 s after the endpoint does (fault 11)
REFUSED_PAUSE_S: Final = 10.0  # ours: a person must act first; short, since that may happen at any moment
SAME_TOKEN_PAUSE_S: Final = 10.0  # ours: the platform issues the same token until its last minute (2.1)

PAUSES_S: Final = {"down": DOWN_PAUSE_S, "rate": TOKEN_RATE_PAUSE_S}
TRYING: Final = "Buoy keeps trying"
HEADERS: Final = {"Content-Type": "application/json"}


class TokenFailure(NamedTuple):
    """Why the last fetch brought no token: ``kind`` is down, rate, secret or bot."""

    kind: str
    reason: str
    remedy: str


class TokenError(Exception):
    """There is no token to send with. A later `get()` may find one: not before ``retry_after_s``."""

    def __init__(self, failure: TokenFailure, retry_after_s: float) -> None:
        super().__init__(f"{failure.reason}; {failure.remedy}")
        self.kind, self.reason, self.remedy = failure
        self.retry_after_s = retry_after_s


class TokenSource:
    """One bot's token. ``clock`` is monotonic; ``urls`` are tried in their order."""

    def __init__(
        self, http: Http, app_id: str, secret: str, urls: Sequence[str], *, clock: Callable[[], float]
    ) -> None:
        self.asked = 0
        """Calls made to a token endpoint."""
        self.last_failure: TokenFailure | None = None
        """None after a success."""
        self._http = http
        self._app_id = app_id
        self._secret = secret
        self._urls = tuple(urls)
        self._clock = clock
        self._token = ""
        self._expires_at = 0.0
        self._renew_at = 0.0
        self._refused_until = 0.0
        self._pause_until = 0.0
        self._fetch: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<TokenSource of {self._app_id}>"

    @property
    def expires_in_s(self) -> float | None:
        """Remaining life of the token; None when there is none that works."""
        return self._expires_at - self._clock() if self._works() else None

    @property
    def newest(self) -> str:
        """The last token, whether it works or not; empty before the first. For what must never show it."""
        return self._token

    async def get(self, *, timeout_s: float = FETCH_S) -> str:
        """Return a token that works, as far as anybody can tell.

        Raises:
            TokenError: there is none, or it did not come in time; then the fetch goes on.
        Cancellation leaves the fetch running for the others.
        """
        if self._works():
            if self._refused_until:  # it gets its other chance: that failure is over
                self._refused_until, self.last_failure = 0.0, None
            if self._clock() >= max(self._renew_at, self._pause_until):
                self._start()
            return self._token
        if self._fetch is None and (pause := self._pause_until - self._clock()) > 0 and self.last_failure:
            raise TokenError(self.last_failure, pause)
        await asyncio.wait((self._start(),), timeout=timeout_s)
        if self._works():
            return self._token
        if self._fetch is not None or self.last_failure is None:
            late = TokenFailure("down", f"no token within {timeout_s:g} s", "it is being fetched; try again")
            raise TokenError(late, DOWN_PAUSE_S)
        raise TokenError(self.last_failure, max(0.0, self._pause_until - self._clock()))

    def refused(self, token: str) -> None:
        """Say that ``token`` was answered 401 (or 4004): the next `get()` fetches another one."""
        if token == self._token:
            self._refused_until = float("inf")

    async def close(self) -> None:
        """End a fetch under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait((self._fetch,))

    def _works(self) -> bool:
        return bool(self._token) and self._refused_until <= self._clock() < self._expires_at

    def _start(self) -> asyncio.Task[None]:
        """Return the fetch under way, or start one."""
        if self._fetch is None:
            self._fetch = asyncio.create_task(self._run(), name=f"token {self._app_id}")
            self._fetch.add_done_callback(self._ended)
        return self._fetch

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._fetch = None
        if not task.cancelled() and (error := task.exception()):
            self._fail(TokenFailure("down", f"the fetch ended with {type(error).__name__}", "report this"))

    async def _run(self) -> None:
        """Ask the endpoints in order until one answers definitely."""
        for url in self._urls:
            if await self._ask(url, FETCH_S / len(self._urls)):
                return

    async def _ask(self, url: str, timeout_s: float) -> bool:
        """Ask one endpoint; return whether its answer ends the fetch."""
        began = self._clock()
        self.asked += 1
        try:
            answer = await self._http.request(
                "POST",
                url,
                headers=HEADERS,
                body=build_token(self._app_id, self._secret),
                timeout_s=timeout_s,
                fresh=True,
            )
        except (NotSentError, LostError) as error:
            self._fail(TokenFailure("down", f"token endpoint: {error.reason}", TRYING))
            return False
        result = parse_token(answer.status, answer.body)
        if isinstance(result, Token):
            return self._take(result, began)
        self._fail(TokenFailure(result.kind, result.reason, result.remedy or TRYING))
        return result.kind != "down"

    def _take(self, new: Token, began: float) -> bool:
        """Keep a new token; return whether it can be used at all."""
        now, life = self._clock(), new.expires_in_s
        if life <= 0 or not (new.access_token.isascii() and new.access_token.isprintable()):
            self._fail(TokenFailure("down", "the token endpoint gave a token that cannot be used", TRYING))
            return False
        is_same, was_refused = new.access_token == self._token, self._refused_until > now
        self._token = new.access_token
        self._expires_at = began + life  # rather too early
        self._renew_at = now + life - TOKEN_MARGIN_S  # rather too late: before, it would be the same one (2.1)
        if is_same:
            self._renew_at = max(self._renew_at, now + SAME_TOKEN_PAUSE_S)
        if is_same and was_refused:
            self._fail(TokenFailure("down", "QQ refuses the token that it has just issued again", TRYING))
            self._refused_until = self._pause_until = now + SAME_TOKEN_PAUSE_S  # then it gets another chance
        else:
            self._refused_until = self._pause_until = 0.0
            self.last_failure = None
        return True

    def _fail(self, failure: TokenFailure) -> None:
        self.last_failure = failure
        self._pause_until = self._clock() + PAUSES_S.get(failure.kind, REFUSED_PAUSE_S)
