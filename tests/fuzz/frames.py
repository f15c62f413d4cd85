"""Target: one frame of QQ's gateway, and everything that has to make something of it before and after it is a row."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from buoy.chat import Attachment, Message, Sender
from buoy.letters import Arrival, Event
from buoy.platforms.qq import translate
from buoy.protocol import events, wire
from buoy.protocol import session as m
from tests.fuzz import seeds
from tests.fuzz.hunting import Target
from tests.fuzz.mutate import bend

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.choices import Choices

NOW = seeds.NOW
LIVE = msgspec.structs.replace(
    m.initial(seeds.INTENTS),
    phase=m.Phase.LIVE,
    generation=7,
    deadline=1e4,
    session=m.Session("s", 5, 5),
)


@dataclass(frozen=True)
class Reader:
    """What reads a frame. A planted bug stands in the place of one of these."""

    decode: Callable[[bytes], wire.Frame | wire.Unreadable] = wire.decode
    event_of: Callable[[wire.Frame | wire.Unreadable, int], m.Event | None] = m.event_of
    classify: Callable[[wire.Frame], events.Classified] = events.classify
    arrival: Callable[..., Arrival] = translate.arrival
    parse: Callable[..., Any] = events.parse
    message: Callable[..., Message | None] = translate.message
    reference: Callable[[Event], str | None] = translate.reference

    def check(self, raw: bytes) -> None:
        """Read it in every way, and look at what comes out."""
        frame = self.decode(raw)
        event = self.event_of(frame, 7)
        _check_event(event)
        _check_sequence(raw, event)
        state, _ = m.step(LIVE, event, 1000.0) if event is not None else (LIVE, ())
        assert state.wake_at is not None
        row = self.arrival(frame, raw, bot="b", shard=0, session="s", seq=5, now=NOW, skew_s=0.5)
        _check_row(row, raw)
        _check_row(translate.stripped(row, "\ud800 why"), raw)
        if isinstance(frame, wire.Frame):
            assert all(map(storable, (frame.t, frame.id)))
            known = self.classify(frame)
            assert known.wants_turn != bool(known.why_no_turn), "a reason where there is no turn, and only there"
            _check_texts(self.parse(row.type, frame.d))
        _check_texts(events.parse(row.type, raw))
        self._check_message(row, is_readable=isinstance(frame, wire.Frame))

    def _check_message(self, row: Arrival, *, is_readable: bool) -> None:
        event = Event(
            1, row.bot, row.lane or "", row.type, row.key, row.frame, row.anchor, row.event_at, row.received_at, 1
        )
        assert storable(self.reference(event))
        clicked = translate.click(event, conversation=row.lane or "")
        assert (clicked is not None) >= row.click, "what was stored as a click is one"
        if clicked is not None:
            assert all(map(storable, (clicked.id, clicked.data, clicked.sender.id)))
        try:
            message = self.message(event, conversation=row.lane or "")
        except ValueError:
            assert not is_readable
            return
        assert is_readable
        assert message is not None or not row.turn or row.click, "a turn needs a message or a click"
        if message is not None:
            _check_texts([message.text, message.id, message.quoted, message.turn, message.sender, message.attachments])


def storable(text: str | None) -> bool:
    """SQLite and JSON take it."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_event(event: m.Event | None) -> None:
    assert getattr(event, "generation", 7) == 7
    seq = getattr(event, "seq", None)
    assert seq is None or 0 < seq < 1 << 63, "SQLite holds 64 bits"
    assert math.isfinite(getattr(event, "interval_s", 0.0))
    assert storable(getattr(event, "session_id", ""))


def _check_sequence(raw: bytes, event: m.Event | None) -> None:
    """A sequence that a plain parser reads counts, whatever else the frame holds."""
    twice = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        twice = twice or len({key for key, _ in found}) < len(found)
        return dict(found)

    try:
        told = json.loads(raw.decode(), object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return
    if twice or not isinstance(told, dict) or type(told.get("op")) is not int or type(told.get("s")) is not int:
        return
    if told["op"] == wire.Op.DISPATCH and 0 < told["s"] < 1 << 53:
        assert getattr(event, "seq", None) == told["s"], "the sequence was lost"


def _check_row(row: Arrival, raw: bytes) -> None:
    assert row.frame == raw, "the row is the frame as it came"
    assert row.key
    assert all(map(storable, (row.session, row.type, row.key, row.lane, row.anchor)))
    assert row.event_at <= row.received_at == NOW
    assert row.lane is not None or not row.turn
    assert row.lane is None or translate.place(row.lane).id


def _check_texts(value: Any) -> None:
    """No half surrogate pair anywhere: the next thing that writes it would fail."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                assert storable(text)
            case dict(inner):
                waiting += [*inner, *inner.values()]
            case list(inner) | tuple(inner):
                waiting += inner
            case Sender() | Attachment() | msgspec.Struct() as inner:
                waiting += [getattr(inner, name) for name in _names(inner)]
            case other:
                assert other is None or isinstance(other, bool | int | float)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(getattr(type(value), "__struct_fields__", ()) or getattr(type(value), "__match_args__", ()))


def grow(choices: Choices) -> bytes:
    """A relative of something that the simulated platform sent."""
    return bend(choices.pick(seeds.frames()), seeds.frames(), choices)


# --- bugs that must be found: all of them real ones, of ours or of others, put back -----------------------------------


def _strict(raw: bytes) -> wire.Frame | wire.Unreadable:
    """What the strict parser refuses is unreadable: the sequence of a strange frame is lost."""
    try:
        return msgspec.json.decode(raw, type=wire.Frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return wire.Unreadable(str(error))


def _believing(frame: wire.Frame | wire.Unreadable, generation: int) -> m.Event | None:
    """Takes the heartbeat interval as a number because it always was one."""
    if isinstance(frame, wire.Frame) and frame.op == wire.Op.HELLO:
        return m.Hello(generation, wire.read(frame.d)["heartbeat_interval"] / 1000)
    return m.event_of(frame, generation)


def _with_author(frame: wire.Frame) -> events.Classified:
    """Every message has an author."""
    d = wire.read(frame.d)
    if frame.t == "GROUP_MESSAGE_CREATE" and isinstance(d, dict):
        d["author"].get("bot")
    return events.classify(frame)


def _trusting_seq(frame: wire.Frame | wire.Unreadable, generation: int) -> m.Event | None:
    """Hands any sequence on; SQLite takes 64 bits."""
    if isinstance(frame, wire.Frame) and frame.op == wire.Op.DISPATCH and frame.t not in {"READY", "RESUMED"}:
        return m.Dispatch(generation, frame.s)
    return m.event_of(frame, generation)


def _python_json(raw: bytes) -> wire.Frame | wire.Unreadable:
    """A forgiving parser for what the strict one refuses: it leaves half surrogate pairs what they are."""
    frame = wire.decode(raw)
    try:
        told = json.loads(raw)
        return msgspec.structs.replace(frame, t=told["t"]) if isinstance(told["t"], str) else frame
    except (ValueError, TypeError, KeyError, RecursionError):
        return frame


def _attachments(name: str, d: Any) -> Any:
    """Attachments are objects."""
    body = wire.read(d)
    if name == "C2C_MESSAGE_CREATE" and isinstance(body, dict):
        for one in body.get("attachments") or ():
            one["url"].partition("/")
    return events.parse(name, d)


def _early_time(frame: wire.Frame | wire.Unreadable, raw: bytes, **known: Any) -> Arrival:
    """Believes the platform's time although it lies ahead."""
    row = translate.arrival(frame, raw, **known)
    if isinstance(frame, wire.Frame) and (told := events.classify(frame).timestamp):
        row.event_at = told
    return row


PLANTED = {
    "the strict parser only": Reader(decode=_strict),
    "an interval is a number": Reader(event_of=_believing),
    "a message has an author": Reader(classify=_with_author),
    "any sequence": Reader(event_of=_trusting_seq),
    "half surrogate pairs": Reader(decode=_python_json),
    "attachments are objects": Reader(parse=_attachments),
    "the platform's time as it is": Reader(arrival=_early_time),
}
TARGET = Target("frames", grow, Reader().check, {name: bug.check for name, bug in PLANTED.items()}, examples=2000)
