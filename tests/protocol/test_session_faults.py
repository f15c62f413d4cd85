"""Rows 1-10 of the fault table, at the level of the machine."""

from __future__ import annotations

import itertools

import pytest

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble
from tests.protocol.session_world import Later, Platform, Step, World, most_in_an_hour


def resumes_from_stored(step: Step = m.step) -> None:
    class SlowDisk(Platform):
        def store(self, session_id: str, seq: int, generation: int) -> Later:
            return [] if seq in {5, 6} and generation == 0 else super().store(session_id, seq, generation)

    world = World(SlowDisk(), step=step).live()
    world.dispatch(5)
    world.run(0.1)
    assert world.state.session == m.Session("session-1", 6, 4)
    lost_at = world.now
    world.push(m.Closed, None, "reset")
    world.run_until(Phase.LIVE, 5)
    assert world.now - lost_at < 5
    assert world.commands(m.SendResume)[0].stored == 4
    world.run(0.1)
    assert world.state.session == m.Session("session-1", 7, 7)
    assert world.commands(m.RecordGap) == []


def test_row_1_a_reset_resumes_from_the_last_committed_sequence() -> None:
    resumes_from_stored()


def sees_a_half_open_socket(step: Step = m.step) -> None:
    class HalfOpen(Platform):
        deaf = False

        def beat(self, command: m.Beat) -> Later:
            return [] if self.deaf else super().beat(command)

    for phase_s in (0.0, 1.0, 20.0, 44.9):
        platform = HalfOpen()
        world = World(platform, step=step).live()
        world.run(300 + phase_s)
        platform.deaf = True
        began = world.now
        world.run_until(Phase.WAITING, 2 * platform.interval_s)
        assert world.state.cause is Trouble.ZOMBIE
        platform.deaf = False
        world.run_until(Phase.LIVE, 3)
        assert world.commands(m.SendResume)
        assert world.now - began <= 2 * platform.interval_s + 3


def test_row_2_a_half_open_socket_is_seen_within_two_intervals() -> None:
    sees_a_half_open_socket()


class Refusing(Platform):
    down = True

    def open(self, command: m.Open) -> Later:
        return [(0.001, m.OpenFailed(command.generation, "refused"))] if self.down else super().open(command)


@pytest.mark.parametrize("days", [0.25, 10])
def test_row_3_refused_for_hours_and_days(days: float) -> None:
    platform = Refusing()
    world = World(platform)
    world.start()
    world.run(days * 86400)
    assert most_in_an_hour(world.times(m.Locate)) <= 70
    assert len(world.times(m.Locate)) >= days * 24 * 55
    platform.down = False
    world.run_until(Phase.LIVE, 60 * limits.JITTER[1] + 1)


@pytest.mark.parametrize("after_s", [0.06, 0.1, 0.2, 3.0, 20.0])
def test_row_4_accept_then_drop_for_an_hour(after_s: float) -> None:
    class Dropper(Platform):
        def open(self, command: m.Open) -> Later:
            return [*super().open(command), (after_s, m.Closed(command.generation, None))]

    world = World(Dropper(), draw=lambda low, _: low)
    world.start()
    world.run(3 * 3600)
    assert most_in_an_hour(world.times(m.Open)) <= 70


class NoHello(Platform):
    def open(self, command: m.Open) -> Later:
        return [(0.05, m.Opened(command.generation))]


def survives_without_hello(step: Step = m.step) -> None:
    world = World(NoHello(), step=step)
    world.start()
    world.run_until(Phase.WAITING, 20)
    assert world.state.cause is Trouble.NO_HELLO
    assert world.now - 1000 == pytest.approx(limits.HELLO_DEADLINE_S, abs=0.5)


def test_row_5_hello_never_comes() -> None:
    survives_without_hello()


@pytest.mark.parametrize("session", [None, m.Session("s", 9, 9)])
def test_row_6_no_ready_while_acks_flow(session: m.Session | None) -> None:
    class Silent(Platform):
        def identify(self, command: m.SendIdentify) -> Later:
            return [(n, m.Ack(command.generation)) for n in range(1, 60)]

        def resume(self, command: m.SendResume) -> Later:
            return [(n, m.Ack(command.generation)) for n in range(1, 60)]

    world = World(Silent())
    world.start(session)
    world.run_until(Phase.WAITING, 21)
    assert world.state.cause is Trouble.NO_READY


def test_row_6_a_replay_that_makes_progress_may_take_its_time() -> None:
    class Long(Platform):
        def resume(self, command: m.SendResume) -> Later:
            replay = [(n * 15.0, m.Dispatch(command.generation, 9 + n)) for n in range(1, 20)]
            return [*replay, (301.0, m.Resumed(command.generation, 40))]

    world = World(Long())
    world.start(m.Session("s", 9, 9))
    world.run_until(Phase.LIVE, 310)
    assert len(world.times(m.Open)) == 1


@pytest.mark.parametrize("then_4009", [False, True])
def test_row_7_op_7_storm(*, then_4009: bool) -> None:
    class Storm(Platform):
        def resume(self, command: m.SendResume) -> Later:
            g = command.generation
            storm: Later = [(0.1, m.ReconnectAsked(g)), *([(0.1, m.Closed(g, 4009))] if then_4009 else [])]
            return [*super().resume(command), *storm]

    world = World(Storm()).live()
    world.push(m.ReconnectAsked)
    world.run(6 * 3600)
    assert len(world.times(m.SendIdentify)) == 1
    assert most_in_an_hour(world.times(m.Open)) <= 70
    assert len(world.times(m.SendResume)) > 6 * 50


def test_row_7_a_4009_alone_resumes() -> None:
    world = World().live()
    for _ in range(20):
        world.push(m.Closed, 4009)
        world.run_until(Phase.LIVE, 80)
        world.run(2)
    assert len(world.times(m.SendIdentify)) == 1


@pytest.mark.parametrize("how", ["op 9", *range(4900, 4914), 4006, 4007])
def test_row_8_a_lost_session_identifies_and_reports_the_gap_once(how: str | int) -> None:
    world = World().live()
    world.dispatch(10)
    world.run(0.1)
    world.push(m.Closed, None)
    world.run_until(Phase.RESUMING, 3)
    world.heap.clear()
    began = world.now
    if how == "op 9":
        world.push(m.Invalid, False)
    else:
        world.push(m.Closed, how)
    world.run_until(Phase.LIVE, 20)
    assert world.now - began <= 20
    assert world.gaps == [("session-1", 11, Trouble.INVALID)]
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 20)
    assert len(world.commands(m.RecordGap)) == 1


def reports_a_gap(step: Step = m.step) -> None:
    class Amnesia(Platform):
        def resume(self, command: m.SendResume) -> Later:
            return [(0.1, m.Ready(command.generation, "other", 1))]

    world = World(Amnesia(), step=step).live()
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 5)
    assert world.gaps == [("session-1", 1, Trouble.INVALID)]
    ready = [command for _, command in world.sent if isinstance(command, m.MarkReady | m.RecordGap | m.Keep)][-3:]
    assert [type(command) for command in ready] == [m.MarkReady, m.RecordGap, m.Keep]


def test_row_8_an_ignored_resume_that_gets_a_ready_is_a_gap_too() -> None:
    reports_a_gap()


def test_row_9_blocked_at_once_and_recovers_alone() -> None:
    class Banned(Platform):
        banned = False

        def identify(self, command: m.SendIdentify) -> Later:
            return [(0.05, m.Closed(command.generation, 4915))] if self.banned else super().identify(command)

    platform = Banned()
    world = World(platform).live()
    platform.banned, platform.session = True, "gone"
    world.push(m.Closed, 4915)
    assert world.state.phase is Phase.BLOCKED
    world.run(7200)
    assert world.state.phase is Phase.BLOCKED
    platform.banned = False
    world.run_until(Phase.LIVE, 1.16 * limits.PROBE_S)


def test_row_10_the_budget_is_never_exceeded_when_sessions_die_all_day() -> None:
    class Fragile(Platform):
        """Sessions die after a stable minute; the budget resets each day."""

        def identify(self, command: m.SendIdentify) -> Later:
            return [*super().identify(command), (61.0, m.Closed(command.generation, 4006))]

    platform = Fragile()
    platform.left = 120
    world = World(platform)
    world.start()
    midnight = world.now + 86400
    while world.now < midnight:
        platform.reset_s = max(0.0, midnight - world.now)
        world.run(60)
    sent = world.times(m.SendIdentify)
    assert 100 <= len(sent) <= 120
    assert max(b - a for a, b in itertools.pairwise(sent)) < 2 * 86400 / 100  # spread, not spent and silent


def test_row_20_a_frame_that_cannot_be_stored_holds_the_sequence() -> None:
    class Full(Platform):
        full = False

        def store(self, session_id: str, seq: int, generation: int) -> Later:
            if self.full and seq == 3:
                return [(0.005, m.StoreFailed(generation, "disk full"))]
            return super().store(session_id, seq, generation)

    platform = Full()
    world = World(platform).live()
    platform.full = True
    world.dispatch(4)
    world.run_until(Phase.WAITING, 1)
    world.run(0.01)
    assert world.state.cause is Trouble.STORE
    assert world.state.session == m.Session("session-1", 5, 2)  # 4 and 5 were stored, but 3 was not
    world.run(3600)
    assert len(world.times(m.SendIdentify)) == 1
    assert {resume.stored for resume in world.commands(m.SendResume)} == {2}
    platform.full = False
    world.run_until(Phase.LIVE, 80)
    world.run(1)
    assert world.state.session is not None
    assert world.state.session.stored == world.state.session.seen
