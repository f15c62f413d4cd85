"""One attempt to deliver one letter over REST. Never looks at the WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from buoy.letters import Cause, Failed, Letter, Outcome, Sent
from buoy.logger import Logger
from buoy.platforms.qq import compose, translate
from buoy.protocol import codes, keyboards, rest, signals, uploads, wire
from buoy.protocol import text as rules
from buoy.protocol.limits import ACK_AGAIN_S, SEND_TIMEOUT_S, TYPING_TIMEOUT_S, UPLOAD_TIMEOUT_S
from buoy.transport.http import Answer, Http, LostError, NotSentError
from buoy.transport.token import TokenError, TokenSource

if TYPE_CHECKING:
    from buoy.platforms.qq.locate import Hosts

T = TypeVar("T")

ONCE_MORE: Final = frozenset({Cause.TOKEN, Cause.UNREACHABLE, Cause.TRANSIENT})
"""Failures that prove that an acknowledgement was not accepted, and may have passed a moment later."""

log = Logger("buoy.qq")


class Delivery:
    """Sends frozen letters and classifies the answers; remembers nothing about them."""

    def __init__(
        self, http: Http, token: TokenSource, hosts: Hosts, *, timeout_s: float = SEND_TIMEOUT_S, tips: str = ""
    ) -> None:
        """``tips`` is what apps say that are too old for buttons."""
        self._tips = tips
        self._http = http
        self._token = token
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._headers: tuple[str, dict[str, str]] = ("", {})

    async def deliver(self, letter: Letter) -> Outcome:
        """Post the letter and say what became of it.

        A token refused by QQ is renewed once and the same request sent again: a 401 proves that the first one
        was not accepted. A message without an anchor gets a connection of its own, because a kept-alive one
        that the other side has just closed would leave its fate unknown. A file is uploaded just before the
        message that shows it, on each attempt; as long as that has not succeeded nothing was accepted.

        Raises:
            Nothing of the platform's. Cancellation propagates; the letter stays claimed, hence frozen.
        """
        try:
            body = compose.decode(letter.body)
            if body.file:
                return await self._deliver_file(letter, body)
            request = build(letter, self._tips)
        except (KeyError, ValueError, RecursionError, msgspec.DecodeError) as error:
            return Failed(Cause.BUG, f"the letter cannot be made a request: {error}")
        return await self._send(request, repeat=letter.attempts > 1)

    async def reach(self) -> Failed | None:
        """Say what is in the way of any send: no token, or no connection to the host. None: nothing.

        Any answer of the host will do, and so will none: what is only slow may still take a letter.
        """
        try:
            await self._token.get(timeout_s=self._timeout_s)
        except TokenError as error:
            return refused_token(error)
        try:
            await self._http.request(
                "HEAD", self._hosts.current + "/", headers={}, body=None, timeout_s=self._timeout_s, fresh=True
            )
        except NotSentError as error:
            return Failed(Cause.UNREACHABLE, error.reason)
        except LostError:
            pass
        return None

    async def acknowledge(self, interaction: str, within_s: float) -> Failed | None:
        """Tell QQ that a click arrived; None: it knows. Bounded by ``within_s``, and raises nothing of the platform's.

        What surely was not accepted is sent once more for each such cause: with a renewed token, over another
        connection, or where QQ could not store it. Each has a connection of its own: one that the other side has just
        closed would leave its fate unknown, and a second copy would be refused.
        """

        def read(answer: Answer) -> Failed | None:
            return signals.parse_ack(answer.status, answer.headers, answer.body)

        request, tried = signals.build_ack(interaction), set[Cause]()
        failed: Failed | None = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    failed = await self._ask_once(request, read, within_s, fresh=True)
                    if failed is None or failed.cause in tried or failed.cause not in ONCE_MORE:
                        return failed
                    tried.add(failed.cause)
                    if failed.cause is not Cause.TOKEN:
                        await asyncio.sleep(ACK_AGAIN_S)
        except TimeoutError:
            return failed or Failed(Cause.LOST, f"no answer within {within_s:.1f} s")

    async def show_typing(self, lane: str, anchor: str, seq: int) -> None:
        """Show that an answer is being written: one request, soon or not at all. Raises nothing of the platform's."""

        def read(answer: Answer) -> Failed | None:
            told = rest.parse_answer(answer.status, answer.headers, answer.body, passive=True, repeat=False)
            return None if isinstance(told, Sent) else told

        failed: Failed | None = Failed(Cause.LOST, f"no answer within {TYPING_TIMEOUT_S:g} s")
        try:
            request = signals.build_typing(translate.place(lane).id, anchor=anchor, seq=seq)
            async with asyncio.timeout(TYPING_TIMEOUT_S):
                failed = await self._ask_once(request, read, TYPING_TIMEOUT_S, fresh=False)
        except (TimeoutError, ValueError) as error:
            failed = Failed(Cause.BUG, str(error)) if isinstance(error, ValueError) else failed
        if failed is not None:
            log.debug("typing not shown", lane=lane, reason=failed.reason, code=failed.code)

    async def _deliver_file(self, letter: Letter, body: compose.Body) -> Outcome:
        """Upload and send; anew, once, where QQ says that it does not know the file any more."""
        scene, ident = translate.place(letter.lane)
        upload = uploads.build_upload(scene, ident, body.text, body.file)
        for is_last in (False, True):
            told = await self._upload(upload)
            if isinstance(told, Failed):
                return uploads.give_up(told, letter.attempts)
            outcome = await self._send(
                uploads.build_message(
                    scene, ident, told.file_info, anchor=letter.anchor, seq=letter.seq, reference=body.reference
                ),
                repeat=letter.attempts > 1,
            )
            if isinstance(outcome, Sent):
                return outcome
            failed = uploads.of_message(outcome)
            if is_last or failed.code != codes.FILE_EXPIRED or not failed.early:
                break
        return uploads.give_up(failed, letter.attempts)

    async def _upload(self, request: rest.Request) -> uploads.Uploaded | Failed:
        """Hand a file in. No answer says nothing of the way for others, and nothing was accepted in any case."""
        told = await self._ask(
            request,
            lambda answer: uploads.parse_upload(answer.status, answer.headers, answer.body),
            timeout_s=max(self._timeout_s, UPLOAD_TIMEOUT_S),
            fresh=True,
        )
        if isinstance(told, Failed) and told.unsure:
            return Failed(Cause.TRANSIENT, f"the upload failed: {told.reason}", early=True)
        return told

    async def _send(self, request: rest.Request, *, repeat: bool) -> Outcome:
        """Send a message."""

        def read(answer: Answer) -> Outcome:
            return rest.parse_answer(answer.status, answer.headers, answer.body, passive=request.passive, repeat=repeat)

        return await self._ask(request, read, timeout_s=self._timeout_s, fresh=not request.passive)

    async def _ask(
        self, request: rest.Request, read: Callable[[Answer], T | Failed], *, timeout_s: float, fresh: bool
    ) -> T | Failed:
        """Send a request and read its answer; with a renewed token once more where QQ refuses the first."""
        told = await self._ask_once(request, read, timeout_s, fresh=fresh)
        if isinstance(told, Failed) and told.cause is Cause.TOKEN:
            return await self._ask_once(request, read, timeout_s, fresh=fresh)
        return told

    async def _ask_once(
        self, request: rest.Request, read: Callable[[Answer], T | Failed], timeout_s: float, *, fresh: bool
    ) -> T | Failed:
        """Send a request once; a token that QQ refuses is not used again."""
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
                timeout_s=timeout_s,
                fresh=fresh,
            )
        except NotSentError as error:
            return Failed(Cause.UNREACHABLE, error.reason)
        except LostError as error:
            return Failed(Cause.LOST, error.reason)
        told = read(answer)
        if isinstance(told, Failed) and told.cause is Cause.TOKEN:
            self._token.refused(token)
        return told

    def _authorised(self, token: str) -> dict[str, str]:
        """Headers for this token, built once per token."""
        if self._headers[0] != token:
            headers = {"Authorization": f"{wire.AUTH_SCHEME} {token}", "Content-Type": "application/json"}
            self._headers = (token, headers)
        return self._headers[1]


def build(letter: Letter, tips: str = "") -> rest.Request:
    """Make the request of a letter. Where it has buttons, and the scene knows them, its text is markdown.

    Raises:
        KeyError, ValueError, RecursionError, msgspec.DecodeError: its conversation, anchor or body is none of ours.
    """
    scene, ident = translate.place(letter.lane)
    body = compose.decode(letter.body)
    buttons = body.buttons if scene in keyboards.SCENES else ()
    request = rest.build_text(
        scene,
        ident,
        rules.literal(body.text) if buttons and not body.markdown else body.text,
        anchor=letter.anchor,
        seq=letter.seq,
        markdown=body.markdown or bool(buttons),
        reference=body.reference,
    )
    return keyboards.under(request, buttons, tips) if buttons else request


def refused_token(error: TokenError) -> Failed:
    """A letter that could not leave for want of a token: nothing was accepted, whatever the reason."""
    permanent = error.kind in {"secret", "bot"}
    reason = f"{error.reason}; {error.remedy}" if error.remedy else error.reason
    cause = Cause.OPERATOR if permanent else Cause.UNREACHABLE
    return Failed(cause, reason, retry_after_s=error.retry_after_s)
