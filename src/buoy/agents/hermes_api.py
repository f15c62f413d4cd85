"""The HTTP interface of a Hermes API server (0.13 to 0.19): one request each, read within bounds, failures sorted.

Facts of that server, read in both versions and measured on both:

- `POST /v1/runs` starts a run at once and gives its id. It does not look at `Idempotency-Key`: the same key twice is
  two runs. So an id has to be kept by who wants its run again.
- `GET /v1/runs/{id}/events` is one queue, not a log: what a reader took is gone, and a reader that was cut off can
  take the end of the stream with it. So a run is watched there once; after that its state is asked for.
- `GET /v1/runs/{id}` tells state, last event and output: while it runs, and for an hour after; a restart of the server
  forgets all runs.
- `POST /v1/runs/{id}/approval` answers the oldest question that waits, whichever that is.
- `POST /v1/chat/completions`, not streamed, does look at `Idempotency-Key`: for five minutes after the answer, and
  while it is being made, the same key and body get the same answer.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from buoy.agents.wire import BrokenError, NotSentError, Wire, take
from buoy.errors import AgentAwayError, AgentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from yarl import URL

AWAY: Final = frozenset({401, 403, 404, 429, 502, 503, 504, 529})  # as for other endpoints: it fails everybody
MISSING: Final = frozenset({404, 405})
BUSY: Final = 429
BUSY_S: Final = 1.0  # what the server asks for; it runs ten at once, unless it is set otherwise
BUSY_TRIES: Final = 30
REQUEST_S: Final = 60.0  # the first request of a server can take seconds: it loads its tools
SILENCE_S: Final = 75.0  # two missed signs of life: the server gives one every 30 s
ANSWER_LIMIT: Final = 16 * 1024 * 1024
OVER: Final = frozenset({"completed", "failed", "cancelled"})


class GoneError(Exception):
    """The server has no such run (any more)."""


class NoRunsError(Exception):
    """The server does not offer runs."""


@dataclass(frozen=True, slots=True)
class State:
    """What the server tells of a run."""

    status: str
    last_event: str = ""
    updated_at: float = 0.0
    """The server's clock."""
    output: str = ""
    error: str = ""

    @property
    def is_over(self) -> bool:
        """It has ended, in whatever way."""
        return self.status in OVER

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> State:
        """Read what the server sends, whatever it is."""
        updated = told.get("updated_at")
        return cls(
            str(told.get("status") or ""),
            str(told.get("last_event") or ""),
            float(updated) if isinstance(updated, int | float) else 0.0,
            str(told.get("output") or ""),
            str(told.get("error") or ""),
        )


class Api:
    """One server. Connections are made at the first request, and closed with :meth:`close`.

    Raises, in every method:
        AgentAwayError: it cannot be reached, or refuses everybody.
        AgentError: it did not answer in time, or not as a Hermes API server does.
    """

    def __init__(self, base_url: URL, key: str) -> None:
        self.base_url = str(base_url).rstrip("/")
        self._base = base_url
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._wire = Wire()

    async def start(self, body: Mapping[str, Any], key: str, scope: str) -> str:
        """Start a run, and give its id. ``scope``: whose long-term memory it uses.

        Raises:
            NoRunsError: it offers none.
        """
        headers = {"Idempotency-Key": key, "X-Hermes-Session-Key": scope}
        for _ in range(BUSY_TRIES):
            status, told = await self._ask("POST", "runs", body, headers, fine=MISSING | {BUSY})
            if status in MISSING:
                raise NoRunsError
            if status != BUSY:
                break
            await asyncio.sleep(BUSY_S)
        else:
            raise AgentAwayError(f"{self.base_url} is busy: {_why(told) or 'too many runs at once'}"[:500])
        run = told.get("run_id")
        if not isinstance(run, str) or not run:
            raise AgentError(f"{self.base_url}/runs answered without a run; is it a Hermes API server?")
        return run

    async def state(self, run: str) -> State:
        """Ask how a run is.

        Raises:
            GoneError: the server does not know it.
        """
        status, told = await self._ask("GET", f"runs/{run}", fine=MISSING)
        if status in MISSING:
            raise GoneError
        return State.of(told)

    async def approve(self, run: str, choice: str, *, all_of_them: bool = False) -> None:
        """Answer what the run waits for; that nothing waits any more is no error."""
        body = {"choice": choice, "all": all_of_them}
        await self._ask("POST", f"runs/{run}/approval", body, fine=frozenset({404, 409}))

    async def stop(self, run: str) -> None:
        """Tell a run to stop; that it has ended is no error."""
        await self._ask("POST", f"runs/{run}/stop", {}, fine=MISSING)

    async def complete(self, body: Mapping[str, Any], key: str, scope: str, session: str) -> str:
        """Ask for a whole answer in one request, as long as the turn may last."""
        headers = {"Idempotency-Key": key, "X-Hermes-Session-Key": scope, "X-Hermes-Session-Id": session}
        _, told = await self._ask("POST", "chat/completions", body, headers, timeout_s=None)
        try:
            return str(told["choices"][0]["message"]["content"] or "")
        except (KeyError, IndexError, TypeError):
            raise AgentError(
                f"{self.base_url} answered without a choice; is it a Hermes API server? (base_url ends in /v1)"
            ) from None

    async def events(self, run: str) -> AsyncIterator[dict[str, Any]]:
        """Give what happens in a run, as it happens, until its stream ends, for whatever reason."""
        url = self._base / "runs" / run / "events"
        try:
            async with self._wire.request("GET", url, headers=self._headers) as response:
                while response.status == 200:
                    async with asyncio.timeout(SILENCE_S):
                        line = await response.content.readline()
                    if not line:
                        return
                    if line.startswith(b"data:") and (event := _document(line[5:])):
                        yield event
        except (AgentError, NotSentError, aiohttp.ClientError, OSError, LineTooLong):
            return

    async def close(self) -> None:
        """Let go of the connections."""
        await self._wire.close()

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        fine: frozenset[int] = frozenset(),
        timeout_s: float | None = REQUEST_S,
    ) -> tuple[int, dict[str, Any]]:
        """One request; ``fine`` are the statuses beside 2xx that the caller understands."""
        raw = json.dumps(body).encode() if body is not None else None
        sent = {**self._headers, **(headers or {})}
        status = 0
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._wire.request(method, self._base / path, headers=sent, body=raw) as response,
            ):
                status, raw = response.status, await take(response, ANSWER_LIMIT)
        except TimeoutError as error:  # it may be this message's own doing
            raise AgentError(f"{self.base_url}/{path} did not answer in time") from error
        except (NotSentError, BrokenError) as error:
            kind = AgentError if status else AgentAwayError  # it began to answer: it is there
            raise kind(f"{self.base_url}: {error}"[:500]) from error
        told = _document(raw)
        if status // 100 == 2 or status in fine:
            return status, told
        why = f"{self.base_url}/{path} answered {status}: {_why(told) or raw[:200].decode(errors='replace')}"
        raise (AgentAwayError if status in AWAY else AgentError)(" ".join(why.split())[:500])


def _document(raw: bytes) -> dict[str, Any]:
    """Read a JSON object; anything else is an empty one."""
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _why(told: Mapping[str, Any]) -> str:
    """The server's own words about an error."""
    error = told.get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else str(error or "")
