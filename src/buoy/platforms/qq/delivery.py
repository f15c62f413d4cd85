"""One attempt to deliver one letter over REST. Never looks at the WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from buoy.letters import Cause, Failed, Letter, Outcome
from buoy.platforms.qq import compose, translate
from buoy.protocol import rest, wire
from buoy.protocol.limits import SEND_TIMEOUT_S
from buoy.transport.http import Http, LostError, NotSentError
from buoy.transport.token import TokenError, TokenSource

if TYPE_CHECKING:
    from buoy.platforms.qq.locate import Hosts


class Delivery:
    """Sends frozen letters and classifies the answers; remembers nothing about them."""

    def __init__(self, http: Http, token: TokenSource, hosts: Hosts, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._http = http
        self._token = token
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._headers: tuple[str, dict[str, str]] = ("", {})

    async def deliver(self, letter: Letter) -> Outcome:
        """Post the letter and say what became of it.

        A token refused by QQ is renewed once and the same request sent again: a 401 proves that the first one
        was not accepted. A message without an anchor gets a connection of its own, because a kept-alive one
        that the other side has just closed would leave its fate unknown.

        Raises:
            Nothing of the platform's. Cancellation propagates; the letter stays claimed, hence frozen.
        """
        try:
            request = build(letter)
        except (KeyError, ValueError, RecursionError, msgspec.DecodeError) as error:
            return Failed(Cause.BUG, f"the letter cannot be made a request: {error}")
        outcome = await self._post(request, repeat=letter.attempts > 1)
        if isinstance(outcome, Failed) and outcome.cause is Cause.TOKEN:
            return await self._post(request, repeat=letter.attempts > 1)
        return outcome

    async def _post(self, request: rest.Request, *, repeat: bool) -> Outcome:
        """Send the request once; a token that QQ refuses is not used again."""
        try:
            token = await self._token.get(timeout_s=self._timeout_s)
        except TokenError as error:
            return refused_token(error)
        try:
            answer = await self._http.request(
                request.method,
                self._hosts.current + request.path,
                headers=self._authorised(token),
                body=request.body,
                timeout_s=self._timeout_s,
                fresh=not request.passive,
            )
        except NotSentError as error:
            return Failed(Cause.UNREACHABLE, error.reason)
        except LostError as error:
            return Failed(Cause.LOST, error.reason)
        outcome = rest.parse_answer(answer.status, answer.headers, answer.body, passive=request.passive, repeat=repeat)
        if isinstance(outcome, Failed) and outcome.cause is Cause.TOKEN:
            self._token.refused(token)
        return outcome

    def _authorised(self, token: str) -> dict[str, str]:
        """Headers for this token, built once per token."""
        if self._headers[0] != token:
            headers = {"Authorization": f"{wire.AUTH_SCHEME} {token}", "Content-Type": "application/json"}
            self._headers = (token, headers)
        return self._headers[1]


def build(letter: Letter) -> rest.Request:
    """Make the request of a letter.

    Raises:
        KeyError, ValueError, RecursionError, msgspec.DecodeError: its conversation, anchor or body is none of ours.
    """
    scene, ident = translate.place(letter.lane)
    body = compose.decode(letter.body)
    return rest.build_text(
        scene,
        ident,
        body.text,
        anchor=letter.anchor,
        seq=letter.seq,
        markdown=body.markdown,
        reference=body.reference,
    )


def refused_token(error: TokenError) -> Failed:
    """A letter that could not leave for want of a token: nothing was accepted, whatever the reason."""
    permanent = error.kind in {"secret", "bot"}
    reason = f"{error.reason}; {error.remedy}" if error.remedy else error.reason
    cause = Cause.OPERATOR if permanent else Cause.UNREACHABLE
    return Failed(cause, reason, retry_after_s=error.retry_after_s)
