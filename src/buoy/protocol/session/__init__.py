"""The session machine: when to connect, what to send, what to store, when to give a session up.

``step`` is pure and total. The driver owns the socket, the token, the URL, the store and chance; the machine
owns every decision. What the driver owes it:

- report events in the order in which they happened, with the generation of the command that caused them, and
  what the socket already holds before :class:`Tick`;
- obey commands in their order; report :class:`Tick` when ``state.wake_at`` has come;
- report :class:`Stored` only for what is committed, and once a frame could not be committed, commit no later
  one of that session until the next RESUME brings all of them again.

An attempt runs from WAITING through LOCATING, OPENING and GREETING, then RESUMING, or RESERVING and
IDENTIFYING, to LIVE. Whatever goes wrong ends the attempt and plans the next one; there is no last attempt.
Two sequence numbers are kept: *seen* and *stored*; RESUME and heartbeats carry *stored*. A session is given
up when the platform says so, when RESUME proves futile, or on purpose (it is old, deaf, or short of intents);
then a gap is owed, recorded with the next READY.

``docs/session.md`` shows the transitions, drawn from this code.
"""

from buoy.protocol.session.closing import CLOSE_ACTIONS, REMEDIES, Action, close_action
from buoy.protocol.session.frames import event_of
from buoy.protocol.session.machine import step
from buoy.protocol.session.renewing import silent_s
from buoy.protocol.session.state import Phase, State, initial
from buoy.protocol.session.words import (
    Ack,
    Beat,
    BeatAsked,
    Close,
    Closed,
    Command,
    Dispatch,
    Event,
    Garbage,
    Granted,
    Hello,
    Invalid,
    Keep,
    Locate,
    Located,
    LocateFailed,
    MarkReady,
    MarkWhole,
    Open,
    Opened,
    OpenFailed,
    Ready,
    ReconnectAsked,
    RecordGap,
    Reserve,
    Reserved,
    ReserveFailed,
    Resumed,
    SendIdentify,
    SendResume,
    Session,
    Sleep,
    Start,
    Stop,
    Stopped,
    Stored,
    StoreFailed,
    Tick,
    Trouble,
    Woke,
)

__all__ = [
    "CLOSE_ACTIONS",
    "REMEDIES",
    "Ack",
    "Action",
    "Beat",
    "BeatAsked",
    "Close",
    "Closed",
    "Command",
    "Dispatch",
    "Event",
    "Garbage",
    "Granted",
    "Hello",
    "Invalid",
    "Keep",
    "Locate",
    "LocateFailed",
    "Located",
    "MarkReady",
    "MarkWhole",
    "Open",
    "OpenFailed",
    "Opened",
    "Phase",
    "Ready",
    "ReconnectAsked",
    "RecordGap",
    "Reserve",
    "ReserveFailed",
    "Reserved",
    "Resumed",
    "SendIdentify",
    "SendResume",
    "Session",
    "Sleep",
    "Start",
    "State",
    "Stop",
    "Stopped",
    "StoreFailed",
    "Stored",
    "Tick",
    "Trouble",
    "Woke",
    "close_action",
    "event_of",
    "initial",
    "silent_s",
    "step",
]
