"""The behaviours P1-P6 and P8, each on a simulated platform and clock."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble
from tests.protocol.session_world import Later, Platform, World, told


def test_p1_two_unanswered_heartbeats_end_the_socket() -> None:
    class Mute(Platform):
        def beat(self, command: m.Beat) -> Later:
            return []

    platform = Mute()
    world = World(platform).live()
    began = world.now
    old = world.state.generation
    world.run_until(Phase.WAITING, 90)
    assert world.state.cause is Trouble.ZOMBIE
    assert len(world.commands(m.Beat)) == 2
    assert world.now - began <= 2 * platform.interval_s
    assert m.Close(old, 4000) in world.commands(m.Close)
    world.run_until(Phase.LIVE, 5)
    assert len(world.commands(m.SendResume)) == 1


def test_p1_one_lost_ack_is_no_zombie() -> None:
    class Sloppy(Platform):
        beats = 0

        def beat(self, command: m.Beat) -> Later:
            self.beats += 1
            return [] if self.beats % 2 else super().beat(command)

    world = World(Sloppy()).live()
    world.run(24 * 3600)
    assert len(world.times(m.Open)) == 1


@pytest.mark.parametrize("frozen_s", [6.0, 60.0, 120.0, 3600.0])
def test_p1_a_process_that_stood_still_accuses_nobody(frozen_s: float) -> None:
    """Each time it wakes up, the timer comes before the ACKs that wait in the socket."""
    world = World().live()
    for _ in range(10):
        wake_at = world.state.wake_at
        assert wake_at is not None
        world.now = wake_at + frozen_s
        world.heap.clear()
        while (world.state.wake_at or 0) <= world.now:
            world.feed(m.Tick())
        assert world.state.phase is Phase.LIVE
    world.feed(m.Ack(world.state.generation))
    assert world.state.missed == 0


def test_p2_quiet_for_a_day_with_acks_is_healthy() -> None:
    world = World().live()
    world.run(24 * 3600)
    assert len(world.times(m.Open)) == 1
    assert world.state.connected
    assert len(world.times(m.Beat)) == pytest.approx(24 * 3600 / 45, abs=3)


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1011, 4000, 4009, 4555])
def test_p3_resume_after(code: int | None) -> None:
    world = World().live()
    world.dispatch(3)
    world.run(0.1)
    world.push(m.Closed, code)
    world.run_until(Phase.LIVE, 5)
    assert world.commands(m.SendResume) == [m.SendResume(world.state.generation, "session-1", 4)]
    assert len(world.commands(m.SendIdentify)) == 1
    assert world.commands(m.RecordGap) == []


def test_p3_resume_after_op_7() -> None:
    world = World().live()
    world.run(1800)
    left = world.now
    world.push(m.ReconnectAsked)
    world.run_until(Phase.LIVE, 2)
    assert world.now - left < 1.5
    assert len(world.commands(m.SendResume)) == 1


@pytest.mark.parametrize("code", [4003, 4005, 4006, 4007, *range(4900, 4914)])
def test_p3_identify_after(code: int) -> None:
    world = World().live()
    world.dispatch(3)
    world.run(0.1)
    world.push(m.Closed, code)
    world.run_until(Phase.LIVE, 20)
    assert world.commands(m.SendResume) == []
    assert len(world.commands(m.SendIdentify)) == 2
    assert world.gaps == [("session-1", 4, Trouble.INVALID)]


def test_p3_op_9_says_whether_the_session_lives() -> None:
    for resumable, resumes, identifies in ((True, 1, 1), (False, 0, 2)):
        world = World().live()
        world.push(m.Invalid, resumable)
        assert world.state.phase is Phase.LINGERING
        world.run_until(Phase.LIVE, 20)
        assert len(world.commands(m.SendResume)) == resumes
        assert len(world.commands(m.SendIdentify)) == identifies


def test_p3_the_close_code_after_op_9_decides() -> None:
    world = World().live()
    world.push(m.Invalid, True)
    world.push(m.Closed, 4915)
    assert (world.state.phase, world.state.cause) == (Phase.BLOCKED, Trouble.BANNED)


def test_p3_4008_pauses_a_minute_then_resumes() -> None:
    world = World().live()
    world.push(m.Closed, 4008)
    assert world.commands(m.Sleep)[-1].low_s == limits.TOO_FAST_PAUSE_S
    world.run_until(Phase.LIVE, 75)
    assert len(world.commands(m.SendResume)) == 1


class ShortResumes(Platform):
    """Resumes and drops the socket at once."""

    def resume(self, command: m.SendResume) -> Later:
        return [(0.05, m.Resumed(command.generation, None)), (2.0, m.Closed(command.generation, 1006))]


def test_p4_three_futile_resumes_end_the_session() -> None:
    world = World(ShortResumes()).live()
    world.push(m.Closed, 1006)
    world.run_until_sent(m.SendIdentify, 2)
    assert len(world.commands(m.SendResume)) == 3
    world.run_until(Phase.LIVE, 5)
    assert world.gaps == [("session-1", 1, Trouble.FUTILE)]


def test_p4_resumes_that_never_complete_count_too_unless_they_make_progress() -> None:
    class Stuck(Platform):
        replays = 0

        def resume(self, command: m.SendResume) -> Later:
            replay = [(1.0, m.Dispatch(command.generation, command.stored + n + 1)) for n in range(self.replays)]
            self.newest += self.replays
            return [*replay, (2.0, m.Closed(command.generation, None))]

    platform = Stuck()
    platform.replays = 3
    world = World(platform).live()
    world.push(m.Closed, None)
    world.run_until_sent(m.SendResume, 8)
    assert len(world.commands(m.SendIdentify)) == 1
    platform.replays = 0
    world.run_until_sent(m.SendIdentify, 2)
    assert len(world.commands(m.SendResume)) == 8 + limits.SHORT_LIVED_LIMIT


def test_p5_4004_and_a_refused_token_force_one_refresh() -> None:
    world = World().live()
    world.push(m.Closed, 4004)
    world.run_until(Phase.LIVE, 5)
    assert [locate.force_token for locate in world.commands(m.Locate)] == [False, True]
    assert len(world.commands(m.SendResume)) == 1  # a stale token says nothing against the session
    world.push(m.Closed, None)
    world.run_until(Phase.LOCATING, 5)
    world.heap.clear()
    world.feed(m.LocateFailed(world.state.generation, Trouble.TOKEN, "401"))
    world.run_until(Phase.LIVE, 5)
    assert [locate.force_token for locate in world.commands(m.Locate)] == [False, True, False, True]


def test_p5_4004_twice_in_a_row_drops_the_session() -> None:
    class Strict(Platform):
        def resume(self, command: m.SendResume) -> Later:
            return [(0.05, m.Closed(command.generation, 4004))]

    world = World(Strict()).live()
    world.push(m.Closed, 4004)
    world.run_until_sent(m.SendIdentify, 2)
    assert len(world.commands(m.SendResume)) == 1


def probes(times: list[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(times)]


@pytest.mark.parametrize("code", [4001, 4002, 4010, 4011, 4012, 4914, 4915])
def test_p6_codes_that_no_retry_heals_block_probe_and_recover(code: int) -> None:
    class Refusing(Platform):
        refuses = True

        def open(self, command: m.Open) -> Later:
            opened, hello = super().open(command)
            return [opened, (0.1, m.Closed(command.generation, code))] if self.refuses else [opened, hello]

    platform = Refusing()
    world = World(platform)
    world.start()
    world.run_until(Phase.BLOCKED, 2)
    cause = world.state.cause
    assert cause is not None
    trouble, remedy = m.REMEDIES[cause]
    assert trouble
    assert remedy
    assert world.state.code == code
    world.run(4 * 3600)
    gaps = probes(world.times(m.Locate))
    assert all(0.85 * limits.PROBE_S <= gap <= 1.16 * limits.PROBE_S for gap in gaps)
    assert len(gaps) > 12
    platform.refuses = False
    world.run_until(Phase.LIVE, 1.16 * limits.PROBE_S)
    assert world.state.cause is None


@pytest.mark.parametrize("cause", [Trouble.SECRET, Trouble.APP, Trouble.IP, Trouble.TAKEN_DOWN, Trouble.BANNED])
def test_p6_look_ups_that_no_retry_heals_block_and_keep_the_session(cause: Trouble) -> None:
    world = World().live()
    world.push(m.Closed, None)
    world.run_until(Phase.LOCATING, 3)
    world.heap.clear()
    world.feed(m.LocateFailed(world.state.generation, cause, "because"))
    assert (world.state.phase, world.state.cause, world.state.reason) == (Phase.BLOCKED, cause, "because")
    world.run_until(Phase.LIVE, 1.16 * limits.PROBE_S)
    assert len(world.commands(m.SendResume)) == 1


def test_p8_a_session_of_two_days_is_replaced_at_a_quiet_moment() -> None:
    world = World().live()
    for _ in range(49 * 60):
        world.run(59)
        world.dispatch()
    assert len(world.times(m.Open)) == 1  # never quiet for a minute
    world.run_until(Phase.WAITING, 60 + 46)
    assert world.state.last_ack_at is not None
    assert world.now - world.state.last_ack_at <= limits.FRESH_ACK_S
    world.run_until(Phase.LIVE, 10)
    assert world.commands(m.RecordGap)[-1].cause is Trouble.AGED
    assert len(world.times(m.SendIdentify)) == 2


def test_p8_the_age_counts_across_restarts() -> None:
    platform = Platform()
    platform.session, platform.newest = "s", 9
    world = World(platform)
    world.start(m.Session("s", 9, 9), age_s=47.5 * 3600)
    world.run_until(Phase.LIVE, 5)
    world.run(2000)
    assert len(world.times(m.SendIdentify)) == 1


def test_a_session_replays_its_own_ready_and_loses_nothing_by_it() -> None:
    class Replaying(Platform):
        def resume(self, command: m.SendResume) -> Later:
            return [(0.02, m.Ready(command.generation, command.session_id, 1)), *super().resume(command)]

    world = World(Replaying()).live()
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 10)
    world.run(100)
    assert (world.gaps, len(world.commands(m.SendResume))) == ([], 1)
    assert len(world.commands(m.MarkReady)) == 1


def test_an_ack_vouches_for_what_came_before_it_only_where_all_of_that_is_stored() -> None:
    world = World().live()
    world.dispatch()
    world.push(m.Ack)
    assert world.commands(m.MarkWhole) == []  # sequence 2 is on its way to the disk
    world.run(0.1)
    world.push(m.Ack)
    assert world.commands(m.MarkWhole) == [m.MarkWhole("session-1", 2)]
    world.state = replace(world.state, held=True)
    world.push(m.Ack)
    world.state = replace(world.state, held=False)
    world.push(m.Closed, None)
    world.run_until(Phase.RESUMING, 5)
    world.push(m.Ack)
    assert len(world.commands(m.MarkWhole)) == 1


def test_frames_of_a_replay_are_kept_as_such_until_resumed() -> None:
    world = World().live()
    world.dispatch(2)
    world.platform.newest += 2
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 5)
    world.dispatch()
    first, *replay, resumed, live = [keep.whole for keep in world.commands(m.Keep)][2:]
    assert (first, resumed, live) == (True, True, True)
    assert replay
    assert not any(replay)


def test_a_beat_asked_for_is_answered_at_once_but_not_before_the_greeting() -> None:
    world = World().live()
    assert world.feed(m.BeatAsked(world.state.generation)) == (m.Beat(world.state.generation, 1),)
    assert world.state.missed == 0
    for phase in Phase:
        answered = m.step(replace(world.state, phase=phase), m.BeatAsked(world.state.generation), world.now)[1]
        assert bool(answered) == (phase in {Phase.IDENTIFYING, Phase.RESUMING, Phase.LIVE})


def test_the_gateway_is_looked_up_afresh_after_it_failed_a_refusal_or_a_block() -> None:
    class Moved(Platform):
        failures = 1

        def open(self, command: m.Open) -> Later:
            self.failures -= 1
            return [(0.1, m.OpenFailed(command.generation, "x"))] if self.failures >= 0 else super().open(command)

    world = World(Moved())
    world.start()
    world.run_until(Phase.LIVE, 10)
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 10)
    world.push(m.Closed, 4914)
    world.run_until(Phase.LIVE, 1100)
    assert [locate.fresh_url for locate in world.commands(m.Locate)] == [False, True, False, True]


def test_a_frame_stored_after_its_session_was_lost_shortens_the_gap() -> None:
    world = World().live()
    world.dispatch(2)
    world.push(m.Closed, 4006)
    assert told(world.state.gap) == ("session-1", 1, Trouble.INVALID)
    world.run_until(Phase.LIVE, 10)
    assert world.gaps == [("session-1", 3, Trouble.INVALID)]


@pytest.mark.parametrize("code", [4006, 4900, 4013])
def test_a_close_code_before_the_session_was_named_says_nothing_about_it(code: int) -> None:
    class Closing(Platform):
        times = 1

        def open(self, command: m.Open) -> Later:
            opened, hello = super().open(command)
            self.times -= 1
            return [opened, (0.06, m.Closed(command.generation, code)) if self.times >= 0 else hello]

    platform = Closing()
    platform.session, platform.newest = "s", 5
    world = World(platform)
    world.start(m.Session("s", 5, 5))
    world.run_until(Phase.LIVE, 10)
    assert len(world.times(m.SendResume)) == 1


def test_start_with_a_session_and_an_unready_identify_resumes_and_records_a_gap() -> None:
    platform = Platform()
    platform.session, platform.newest = "s", 5
    world = World(platform)
    world.start(m.Session("s", 5, 5), (0.2,))
    world.run_until(Phase.LIVE, 5)
    assert world.gaps == [("s", 5, Trouble.UNREADY)]
    assert len(world.times(m.SendResume)) == 1


def test_a_ready_without_a_readable_session_works_and_is_not_resumed() -> None:
    class Odd(Platform):
        def identify(self, command: m.SendIdentify) -> Later:
            return [(0.05, m.Ready(command.generation, "", 1))]

    world = World(Odd()).live()
    world.dispatch()
    assert world.state.connected
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 10)
    assert world.commands(m.SendResume) == []
    assert len(world.commands(m.RecordGap)) == 1


def test_frames_that_belong_to_no_session_are_kept_without_moving_a_cursor() -> None:
    world = World().live()
    world.push(m.Garbage)
    assert world.state.garbage == 1
    world.push(m.Invalid, True)
    world.feed(m.Dispatch(world.state.generation, 9))
    kept = world.commands(m.Keep)
    assert [keep.counted for keep in kept] == [True, False, False]
    assert world.state.session == m.Session("session-1", 1, 1)
