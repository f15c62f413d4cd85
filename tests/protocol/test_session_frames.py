"""Which event a frame becomes, surprises included."""

from __future__ import annotations

import pytest

from buoy.protocol import session as m
from buoy.protocol import wire

G = 3


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"op":0,"s":5,"t":"C2C_MESSAGE_CREATE","d":{}}', m.Dispatch(G, 5)),
        ('{"op":0,"s":"5","t":null,"d":[]}', m.Dispatch(G, 5)),
        ('{"op":0,"t":"X","d":{}}', m.Dispatch(G, None)),
        ('{"op":0,"s":0,"t":"X"}', m.Dispatch(G, None)),
        ('{"op":0,"s":-4,"t":"X"}', m.Dispatch(G, None)),
        ('{"op":0,"s":99999999999999999999999,"t":"X"}', m.Dispatch(G, None)),
        ('{"op":0,"s":1,"t":"READY","d":{"session_id":"abc"}}', m.Ready(G, "abc", 1)),
        ('{"op":0,"s":1,"t":"READY","d":{"session_id":12}}', m.Ready(G, "12", 1)),
        ('{"op":0,"s":1,"t":"READY","d":{"session_id":null}}', m.Ready(G, "", 1)),
        ('{"op":0,"s":1,"t":"READY","d":"oops"}', m.Ready(G, "", 1)),
        ('{"op":0,"s":1,"t":"READY"}', m.Ready(G, "", 1)),
        ('{"op":0,"s":1,"t":"READY","d":{"session_id":"' + "x" * 300 + '"}}', m.Ready(G, "", 1)),
        ('{"op":0,"s":9,"t":"RESUMED","d":""}', m.Resumed(G, 9)),
        ('{"op":0,"s":9,"t":"RESUMED","d":{}}', m.Resumed(G, 9)),
        ('{"op":1,"d":4}', m.BeatAsked(G)),
        ('{"op":7}', m.ReconnectAsked(G)),
        ('{"op":9}', m.Invalid(G, False)),
        ('{"op":9,"d":false}', m.Invalid(G, False)),
        ('{"op":9,"d":true}', m.Invalid(G, True)),
        ('{"op":9,"d":"true"}', m.Invalid(G, False)),
        ('{"op":10,"d":{"heartbeat_interval":45000}}', m.Hello(G, 45.0)),
        ('{"op":10,"d":{"heartbeat_interval":"41250"}}', m.Hello(G, 41.25)),
        ('{"op":10,"d":{"heartbeat_interval":{}}}', m.Hello(G, 0.0)),
        ('{"op":10}', m.Hello(G, 0.0)),
        ('{"op":11}', m.Ack(G)),
        ('{"op":12,"d":0}', None),
        ('{"op":2,"d":{}}', None),
        ('{"op":4711}', None),
        ("<html>", m.Garbage(G)),
        ("[1]", m.Garbage(G)),
    ],
)
def test_event_of(text: str, event: m.Event | None) -> None:
    assert m.event_of(wire.decode(text), G) == event


@pytest.mark.parametrize("interval_s", [0.0, -1.0, 0.5, 1e9, float("nan"), float("inf")])
def test_an_absurd_heartbeat_interval_is_replaced(interval_s: float) -> None:
    state, _ = m.step(m.initial(1), m.Start(), 0)
    for event in (m.Located(0), m.Opened(0), m.Hello(0, interval_s)):
        state, _ = m.step(state, event, 0)
    assert state.interval_s == 45.0
