"""Behaviour P8: a session that an operator expects events from, and that brings none, is replaced."""

from __future__ import annotations

import itertools

import pytest

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble
from tests.protocol.session_world import WANTED, Later, Platform, World

HOUR = 3600


def expecting(hours: float, platform: Platform | None = None) -> World:
    world = World(platform)
    world.state = m.initial(WANTED, hours * HOUR)
    return world.live()


def test_p2_without_an_expectation_no_silence_is_too_long() -> None:
    world = World().live()
    world.run(40 * HOUR)
    assert len(world.times(m.Open)) == 1


def test_p8_no_event_for_the_expected_time_replaces_the_session_and_says_so() -> None:
    world = expecting(6)
    world.dispatch()
    heard_at = world.now
    world.run_until(Phase.WAITING, 6 * HOUR + 60)
    assert world.now - heard_at == pytest.approx(6 * HOUR, abs=50)
    assert world.state.cause is Trouble.DEAF
    assert "no event came for 6 h although heartbeats were acknowledged" in world.state.reason
    world.run_until(Phase.LIVE, 5)
    (gap,) = world.commands(m.RecordGap)
    assert gap.cause is Trouble.DEAF
    assert gap.done.startswith("session session- was replaced on purpose: no event came for 6 h")
    assert gap.silent_s == pytest.approx(6 * HOUR, abs=50)


def test_p8_an_event_in_time_keeps_the_session() -> None:
    world = expecting(6)
    for _ in range(9):
        world.run(5 * HOUR)
        world.dispatch()
    assert len(world.times(m.SendIdentify)) == 1


def test_p8_connections_that_are_renewed_every_half_hour_do_not_hide_the_silence() -> None:
    world = expecting(6)
    for _ in range(11):
        world.run(1800)
        world.push(m.ReconnectAsked)
        world.run_until(Phase.LIVE, 80)
    assert len(world.times(m.SendIdentify)) == 1
    world.run_until_sent(m.SendIdentify, 2)
    assert world.now - 1000 == pytest.approx(6 * HOUR, abs=200)


def test_p8_a_replayed_event_counts() -> None:
    world = expecting(6)
    world.run(5.9 * HOUR)
    world.platform.newest += 1
    world.push(m.ReconnectAsked)
    world.run(5.9 * HOUR)
    assert len(world.times(m.SendIdentify)) == 1


def test_p8_time_without_a_connection_does_not_count() -> None:
    class Away(Platform):
        is_down = False

        def open(self, command: m.Open) -> Later:
            return [(0.1, m.OpenFailed(command.generation, "down"))] if self.is_down else super().open(command)

    platform = Away()
    world = expecting(6, platform)
    world.run(3 * HOUR)
    platform.is_down = True
    world.push(m.Closed, None)
    world.run(10 * HOUR)
    platform.is_down = False
    world.run_until(Phase.LIVE, 80)
    world.run(2.9 * HOUR)
    assert len(world.times(m.SendIdentify)) == 1
    world.run(0.2 * HOUR)
    assert len(world.times(m.SendIdentify)) == 2


def test_p8_at_most_four_times_a_day_however_short_the_expectation() -> None:
    world = expecting(0.1)
    world.run(10 * 24 * HOUR)
    times = [at for at, command in world.sent if isinstance(command, m.RecordGap) and command.cause is Trouble.DEAF]
    assert 30 <= len(times) <= 41
    assert min(b - a for a, b in itertools.pairwise(times)) >= limits.DEAF_PAUSE_S - 5


def test_p8_a_heartbeat_without_an_answer_is_decided_first() -> None:
    class Mute(Platform):
        is_mute = False

        def beat(self, command: m.Beat) -> Later:
            return [] if self.is_mute else super().beat(command)

    for before_s in range(1, 60, 4):
        platform = Mute()
        world = expecting(6, platform)
        world.run(6 * HOUR - before_s)
        platform.is_mute = True
        world.run_until(Phase.WAITING, 120)
        if world.state.cause is Trouble.DEAF:  # the last heartbeat before it was answered
            assert world.state.last_ack_at is not None
            assert world.now - world.state.last_ack_at <= limits.FRESH_ACK_S
            continue
        assert world.state.cause is Trouble.ZOMBIE
        assert len(world.times(m.SendIdentify)) == 1
        platform.is_mute = False
        world.run_until(Phase.LIVE, 80)
        world.run(600)
        assert len(world.times(m.SendIdentify)) == 2


def test_p8_with_the_budget_nearly_spent_it_waits() -> None:
    platform = Platform()
    platform.left = 50
    world = expecting(1, platform)
    world.run(10 * HOUR)
    assert len(world.times(m.SendIdentify)) == 1


def test_p8_a_new_session_is_given_its_time() -> None:
    world = expecting(8)
    world.run(8 * HOUR + 120)
    assert len(world.times(m.SendIdentify)) == 2
    world.run(7.9 * HOUR)
    assert len(world.times(m.SendIdentify)) == 2
    assert m.silent_s(world.state, world.now) == pytest.approx(7.9 * HOUR, abs=130)
