"""The behaviours S1, S5, S8, S9 and P1-P8, each on a simulated platform and clock."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble

from tests.protocol.session_world import WANTED, Later, Platform, Step, World, most_in_an_hour


class Dead(Platform):
    """Nothing answers, or refuses, until ``back_at`` attempts were made."""

    alive = False

    def locate(self, command: m.Locate) -> Later:
        if self.alive:
            return super().locate(command)
        return [(0.2, m.LocateFailed(command.generation, Trouble.TRANSIENT, "DNS"))]


def test_s1_after_5000_failures_it_still_tries_and_is_back_within_one_cap() -> None:
    platform = Dead()
    world = World(platform)
    world.start()
    world.run(until=lambda: world.state.attempt >= 5000)
    pauses = world.commands(m.Sleep)
    cap = limits.BACKOFF_S[-1]
    assert all(pause.high_s <= cap * limits.JITTER[1] for pause in pauses)
    assert all(pause.low_s >= cap * limits.JITTER[0] - 0.01 for pause in pauses[10:])
    assert world.state.cause is Trouble.TRANSIENT
    assert world.state.reason == "DNS"
    platform.alive = True
    world.run_until(Phase.LIVE, cap * limits.JITTER[1] + 2)


def test_h1_the_state_says_why_how_often_and_when() -> None:
    world = World(Dead())
    world.start()
    world.run_until(Phase.WAITING, 1)
    assert (world.state.attempt, world.state.cause, world.state.reason) == (1, Trouble.TRANSIENT, "DNS")
    assert world.state.since == world.now
    assert world.state.next_try_at == (world.now, world.now + 1.0)


class Hole(Platform):
    """A black hole at one step of the attempt."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def locate(self, command: m.Locate) -> Later:
        return [] if self.at == "locate" else super().locate(command)

    def open(self, command: m.Open) -> Later:
        if self.at == "open":
            return []
        opened, hello = super().open(command)
        return [opened] if self.at == "hello" else [opened, hello]

    def reserve(self, command: m.Reserve) -> Later:
        return [] if self.at == "reserve" else super().reserve(command)

    def identify(self, command: m.SendIdentify) -> Later:
        return [] if self.at == "ready" else super().identify(command)

    def resume(self, command: m.SendResume) -> Later:
        return [] if self.at == "resumed" else super().resume(command)


def black_hole(at: str, step: Step = m.step) -> None:
    """S5: the attempt ends inside its own budget, its socket with it, and a new one begins."""
    platform = Hole(at)
    world = World(platform, step=step)
    platform.session, platform.newest = "s", 7
    world.start(m.Session("s", 5, 5) if at == "resumed" else None)
    first = world.state.generation
    world.run_until(Phase.WAITING, 45.01)
    assert m.Close(first, 4000) in world.commands(m.Close)
    assert world.state.generation > first
    platform.at = ""
    world.run_until(Phase.LIVE, 10)


@pytest.mark.parametrize("at", ["locate", "open", "hello", "reserve", "ready", "resumed"])
def test_s5_a_black_hole_costs_one_attempt(at: str) -> None:
    black_hole(at)


def test_s5_the_phases_together_have_45_seconds() -> None:
    world = World(Hole("ready"))
    world.start()
    for event, pause in ((m.Located(0, 9), 14.9), (m.Opened(0), 14.9), (m.Hello(0, 45), 9.9), (m.Reserved(0, 9, 1), 1)):
        world.heap.clear()
        world.now += pause
        world.feed(event)
    assert world.state.phase is Phase.IDENTIFYING
    assert world.state.deadline == pytest.approx(1045.0)


class Dropper(Platform):
    """Accepts a connection and drops it after ``after_s``."""

    def __init__(self, after_s: float = 0.5) -> None:
        super().__init__()
        self.after_s = after_s

    def open(self, command: m.Open) -> Later:
        return [*super().open(command), (self.after_s, m.Closed(command.generation, None, "reset"))]


def drops_back_off(step: Step = m.step) -> None:
    """S8: a connect that does not last is a failure like another."""
    world = World(Dropper(), step=step, draw=lambda low, _: low)
    world.start()
    world.run(7200)
    connects = world.times(m.Open)
    gaps = [b - a for a, b in itertools.pairwise(connects)]
    assert all(gap > 50 for gap in gaps[8:]), gaps[:20]
    assert gaps[3:7] == sorted(gaps[3:7])
    assert most_in_an_hour(connects) <= 70


def test_s8_connect_then_drop_does_not_reset_the_backoff() -> None:
    drops_back_off()


@pytest.mark.parametrize(("lived_s", "attempt"), [(59.0, 3), (60.5, 1)])
def test_s8_only_a_stable_minute_resets_the_backoff(lived_s: float, attempt: int) -> None:
    platform = Dead()
    world = World(platform)
    world.start()
    world.run(until=lambda: world.state.attempt == 2)
    platform.alive = True
    world.run_until(Phase.LIVE, 10)
    world.run(lived_s)
    world.push(m.Closed, None)
    assert world.state.attempt == attempt


def test_s8_the_status_shows_no_failures_after_a_stable_minute() -> None:
    world = World().live()
    world.push(m.Closed, None)
    world.run_until(Phase.LIVE, 5)
    assert world.state.attempt == 1
    world.run(61)
    assert world.state.attempt == 0


def test_s9_no_identify_is_sent_beyond_the_budget() -> None:
    class Forgetful(Platform):
        """Every session is gone at once."""

        def identify(self, command: m.SendIdentify) -> Later:
            [(delay, ready)] = super().identify(command)
            return [(delay, ready), (delay + 1, m.Closed(command.generation, 4006))]

    platform = Forgetful()
    platform.left, platform.reset_s = 5, 7200.0
    world = World(platform)
    world.start()
    world.run(7100)
    assert 3 <= len(world.times(m.SendIdentify)) <= 5
    platform.left, platform.reset_s = 1000, 86400.0
    world.run(3600)
    assert len(world.times(m.SendIdentify)) > 5


def test_s9_without_budget_no_socket_is_opened_and_the_state_says_so() -> None:
    platform = Platform()
    platform.left, platform.reset_s = 0, 600.0
    world = World(platform)
    world.start()
    world.run_until(Phase.WAITING, 2)
    assert world.commands(m.Open) == []
    assert world.state.cause is Trouble.BUDGET
    assert world.commands(m.Sleep)[-1].low_s == pytest.approx(600, abs=1)
    platform.left = 1000
    world.run_until(Phase.LIVE, 700)


def test_s9_resume_needs_no_budget() -> None:
    platform = Platform()
    platform.left, platform.session, platform.newest = 0, "s", 9
    world = World(platform)
    world.start(m.Session("s", 9, 9))
    world.run_until(Phase.LIVE, 5)


def test_s9_a_budget_below_a_tenth_is_spread_until_the_reset() -> None:
    platform = Platform()
    platform.left, platform.reset_s = 50, 36000.0
    world = World(platform).live()
    world.push(m.Closed, 4006)
    assert world.commands(m.Sleep)[-1].low_s == pytest.approx(36000 / 50, abs=5)


def test_start_obeys_the_backoff_of_unready_identifies() -> None:
    world = World()
    world.start(None, (3.0, 80.0, 200.0, 400.0))
    assert world.state.phase is Phase.WAITING
    [sleep] = world.commands(m.Sleep)
    assert sleep.low_s == pytest.approx(117.0)  # four in a row: two minutes from the newest
    world.run_until(Phase.LIVE, 140)
    assert world.commands(m.RecordGap) == [m.RecordGap("", 0, Trouble.UNREADY)]


def test_a_crash_loop_between_identify_and_ready_cannot_spend_the_budget() -> None:
    """Every process dies the moment it has sent IDENTIFY."""
    sent: list[float] = []
    now = 1000.0
    while now < 1000.0 + 86400:
        world = World(now=now)
        world.start(None, tuple(now - at for at in sent))
        world.run_until_sent(m.SendIdentify)
        now = world.now
        sent.append(now)
        now += 0.5
    assert len(sent) < 320


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
    assert world.commands(m.RecordGap) == [m.RecordGap("session-1", 4, Trouble.INVALID)]


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
    assert world.commands(m.RecordGap) == [m.RecordGap("session-1", 1, Trouble.FUTILE)]


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


class Granting(Platform):
    """Refuses IDENTIFYs that ask for more than ``granted``, in one of the ways seen."""

    def __init__(self, granted: int, way: str) -> None:
        super().__init__()
        self.granted, self.way = granted, way

    def identify(self, command: m.SendIdentify) -> Later:
        if not command.intents & ~self.granted:
            return super().identify(command)
        self.left -= 1
        generation = command.generation
        op9, code = m.Invalid(generation, False), {"4014": 4014, "4013": 4013, "4903": 4903}.get(self.way[-4:])
        return [(0.05, op9), (0.3, m.Closed(generation, code))] if "op9" in self.way else [(0.05, m.Closed(generation, code))]


@pytest.mark.parametrize("way", ["op9 then 4014", "op9 then 4903", "op9 then eof", "close 4014", "close 4013"])
@pytest.mark.parametrize(("granted", "tries"), [(1 << 25 | 1 << 30, 3), (1 << 25, 4)])
def test_p7_refused_intents_are_reduced_and_named(way: str, granted: int, tries: int) -> None:
    world = World(Granting(granted, way))
    world.start()
    world.run_until(Phase.LIVE, 120)
    asked = [identify.intents for identify in world.commands(m.SendIdentify)]
    assert asked[:2] == [WANTED, WANTED]
    assert len(asked) == tries
    assert asked[-1] == granted
    assert world.state.dropped == WANTED & ~granted
    gaps = [b - a for a, b in itertools.pairwise(world.times(m.SendIdentify))]
    assert all(gap >= limits.IDENTIFY_SPACING_S for gap in gaps)
    assert all(gap >= limits.REFUSED_IDENTIFY_PAUSE_S for gap in gaps[2:])


def test_p7_what_4014_ruled_out_stays_out_what_was_uncertain_is_asked_again() -> None:
    for way, expected in (("close 4014", 1 << 25 | 1 << 30), ("op9 then 4903", WANTED)):
        platform = Granting(1 << 25 | 1 << 30, way)
        world = World(platform)
        world.start()
        world.run_until(Phase.LIVE, 120)
        platform.granted = WANTED
        world.run(61)
        world.push(m.Closed, 4006)
        world.run_until(Phase.LIVE, 30)
        assert world.commands(m.SendIdentify)[-1].intents == expected


@pytest.mark.parametrize("way", ["close 4014", "op9 then 4013"])
def test_p7_the_minimum_refused_as_well_blocks_and_recovers(way: str) -> None:
    platform = Granting(0, way)
    world = World(platform)
    world.start()
    world.run_until(Phase.BLOCKED, 180)
    assert world.state.cause is Trouble.INTENTS
    assert world.commands(m.SendIdentify)[-1].intents == 1 << 25
    world.run(86400)
    assert len(world.times(m.SendIdentify)) < 500
    platform.granted = WANTED
    world.run(1.16 * limits.PROBE_S + 400, until=lambda: world.state.phase is Phase.LIVE)
    assert world.state.phase is Phase.LIVE


def test_p7_a_network_that_breaks_during_identify_does_not_cost_intents() -> None:
    platform = Granting(0, "close eof")
    world = World(platform)
    world.start()
    world.run(until=lambda: world.state.refused == 4)
    platform.granted = WANTED
    world.run_until(Phase.LIVE, 200)
    assert world.state.dropped == 0


def test_p8_a_session_of_two_days_is_replaced_at_a_quiet_moment() -> None:
    world = World().live()
    for _ in range(49 * 60):
        world.run(59)
        world.dispatch()
    assert len(world.times(m.Open)) == 1  # never quiet for a minute
    world.run(70)
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


def test_stop_ends_every_phase_at_once() -> None:
    for phase in Phase:
        if phase is not Phase.STOPPED:
            state = replace(m.initial(WANTED), phase=phase, generation=4, session=m.Session("s", 3, 2))
            after, commands = m.step(state, m.Stop(), 5.0)
            assert after.phase is Phase.STOPPED
            assert after.wake_at is None
            assert commands[-1] == m.Stopped()
            assert m.step(after, m.Stored("s", 3), 6.0) == (after, ())
