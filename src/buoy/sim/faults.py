"""Faults as data: what may go wrong, which requests it concerns, and how many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(msgspec.Struct, frozen=True):
    """What a kind of fault does. ``modes[0]`` is the default; ``count``: how often, unless told."""

    does: str
    modes: tuple[str, ...] = ()
    count: int | None = None


# Triggers strike every live connection at once. What is left of their count strikes each connection that
# becomes READY or RESUMED later, after `seconds`; count null makes a storm.
TRIGGERS: Final = {
    "ws_reset": Kind("connection cut by TCP RST, no close frame", count=1),
    "ws_close": Kind("close frame with `code`", count=1),
    "op7": Kind(
        "op 7; close 4009 now, after `seconds` (late), never (none); or 4009 alone",
        ("now", "late", "none", "only4009"),
        count=1,
    ),
    "op9": Kind("op 9 with `resumable`, then close `code` if given", count=1),
    "malformed_frame": Kind("sends `text` as it is", count=1),
    "op1": Kind("asks for a heartbeat with op 1", count=1),
}

KINDS: Final = TRIGGERS | {
    # the WebSocket
    "drop_acks": Kind("heartbeats get no ACK"),
    "no_hello": Kind("no HELLO after the upgrade"),
    "no_ready": Kind("IDENTIFY is swallowed; ACKs flow"),
    "no_resumed": Kind("RESUME is swallowed; ACKs flow"),
    "upgrade_status": Kind("WebSocket upgrade answered with HTTP `status` (503)"),
    "refuse_identify": Kind("IDENTIFY refused", ("op9_then_4014", "op9_then_4903", "op9_eof", "close4014", "op9")),
    "refuse_resume": Kind("RESUME refused, the session is lost", ("4006", "4007", "4902", "op9")),
    "drop_after_ready": Kind("connection ended `seconds` after READY or RESUMED, by EOF or with close `code`"),
    "deaf_session": Kind(
        "events are lost while ACKs flow: for the sessions that exist now, or for all", ("session", "all")
    ),
    "duplicate_events": Kind("each event is delivered twice, same ids, two sequences"),
    "banned": Kind("WebSocket closed with 4915, sends refused"),
    "taken_down": Kind("WebSocket closed with 4914, sends refused"),
    "sandbox": Kind("not published, and nobody is a sandbox member: nobody is heard, sends refused; sessions stay up"),
    # REST. `before`: nothing was done; `after`: the send was accepted, and then this happens.
    "http_status": Kind("HTTP `status` with `body` json or html, and `retry_after`", ("before", "after")),
    "slow": Kind("answer delayed by `seconds`", ("after", "before")),
    "hang": Kind("no answer until the fault is removed", ("before", "after")),
    "accept_then_reset": Kind("accepted, then TCP RST instead of the answer"),
    "error_code": Kind("refused with `code`, `err_code`, HTTP `status` (400)"),
    "errors_with_200": Kind("business errors arrive with HTTP 200 and err_code only"),
    "token_down": Kind("token endpoint answers HTTP `status` (503) with HTML"),
    "revoke_tokens": Kind("every token issued so far is expired at once", count=1),
    "bad_secret": Kind("token endpoint refuses the secret (100016)"),
    "ip_refused": Kind("source address not on the allowlist: 401/11298, and op 9 on IDENTIFY"),
    "no_proactive": Kind("proactive messages are refused (`scene`, or all)"),
    "audit": Kind("guild sends wait for review; the verdict follows after `seconds`", ("pass", "reject", "never")),
    "clock_skew": Kind("timestamps and Date headers are `seconds` off"),
}
ENDPOINTS: Final = ("token", "gateway", "me", "send", "files", "interaction", "dms", "bot_state", "other")
SCENES: Final = ("c2c", "group", "channel", "dm")


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault. ``bot``, ``endpoint`` and ``scene`` narrow it down; the rest are parameters of its kind."""

    kind: str
    id: int = 0
    bot: str | None = None
    endpoint: str | None = None
    scene: str | None = None
    count: int | msgspec.UnsetType | None = msgspec.UNSET
    mode: str = ""
    code: int = 0
    err_code: int = 0
    status: int = 0
    seconds: float = 0.0
    body: str = "json"
    text: str = ""
    retry_after: float | None = None
    resumable: bool = False

    def __post_init__(self) -> None:
        """Fill in the kind's defaults.

        Raises:
            ValueError: something is unknown; the text lists what is known.
        """
        kind = KINDS.get(self.kind)
        if kind is None:
            raise ValueError(f"fault kind {self.kind!r} is unknown; use one of {', '.join(sorted(KINDS))}")
        if self.endpoint in SCENES:  # "c2c" is a natural way to say: sends to c2c
            self.scene, self.endpoint = self.endpoint, "send"
        for name, value, known in (
            ("mode", self.mode or None, kind.modes),
            ("endpoint", self.endpoint, ENDPOINTS),
            ("scene", self.scene, SCENES),
            ("body", self.body, ("json", "html")),
        ):
            if value is not None and value not in known:
                raise ValueError(
                    f"fault {self.kind}: {name} {value!r} is unknown; use one of {', '.join(known) or 'none'}"
                )
        self.mode = self.mode or (kind.modes[0] if kind.modes else "")
        if self.count is msgspec.UNSET:
            self.count = kind.count
        if isinstance(self.count, int) and self.count < 1:
            raise ValueError(f"fault {self.kind}: count {self.count} is not 1 or more, or null for 'until removed'")

    def concerns(self, bot: str | None, endpoint: str | None, scene: str | None) -> bool:
        """Tell whether it matches; what the fault leaves open matches everything."""
        return (
            (self.bot is None or self.bot == bot)
            and (self.endpoint is None or self.endpoint == endpoint)
            and (self.scene is None or self.scene == scene)
        )


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.added: Callable[[Fault], None] = lambda _: None
        self.removed: Callable[[Fault], None] = lambda _: None
        self._next = 1

    def add(self, kind: str | Fault, **parameters: Any) -> Fault:
        """Switch one on, e.g. ``add("http_status", endpoint="send", status=502, body="html", count=3)``.

        Raises:
            ValueError: kind or parameter unknown.
        """
        if isinstance(kind, str):
            try:
                fault = Fault(kind=kind, **parameters)
            except TypeError as error:
                raise ValueError(f"fault {kind}: {error}") from None
        else:
            fault = kind
        fault.id, self._next = self._next, self._next + 1
        self.active.append(fault)
        self.added(fault)
        return fault

    def remove(self, ident: int | None = None) -> int:
        """Switch one off, or all; returns how many were on."""
        gone = [f for f in self.active if ident is None or f.id == ident]
        for fault in gone:
            self._drop(fault)
        return len(gone)

    def list(self) -> list[Fault]:
        """Return what is on."""
        return list(self.active)

    def on(
        self,
        kind: str,
        bot: str | None = None,
        endpoint: str | None = None,
        scene: str | None = None,
        mode: str | None = None,
    ) -> Fault | None:
        """Find a fault without using it up."""
        for fault in self.active:
            if fault.kind == kind and mode in {None, fault.mode} and fault.concerns(bot, endpoint, scene):
                return fault
        return None

    def take(
        self,
        kind: str,
        bot: str | None = None,
        endpoint: str | None = None,
        scene: str | None = None,
        mode: str | None = None,
    ) -> Fault | None:
        """Find a fault and use it once; the last use switches it off."""
        fault = self.on(kind, bot, endpoint, scene, mode)
        if fault is not None:
            self.use(fault)
        return fault

    def use(self, fault: Fault) -> None:
        """Count one strike."""
        if isinstance(fault.count, int):
            fault.count -= 1
            if fault.count <= 0:
                self._drop(fault)

    def _drop(self, fault: Fault) -> None:
        self.active.remove(fault)
        self.removed(fault)
