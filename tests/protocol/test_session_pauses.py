"""The behaviours S1, S5, S8 and S9: pauses, deadlines and budgets, each on a simulated platform and clock."""

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


class Refused(Platform):
    """Every look-up fails at once."""

    def locate(self, command: m.Locate) -> Later:
        return [(0.0, m.LocateFailed(command.generation, Trouble.TRANSIENT, "x"))]


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


def test_s8_a_stable_minute_counts_even_if_its_tick_came_late() -> None:
    state = replace(World().live().state, attempt=5, since=0.0)
    after, _ = m.step(state, m.Closed(state.generation), limits.STABLE_S)
    assert after.attempt == 1


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


def test_s9_a_long_wait_for_the_budget_goes_in_steps_and_probes_nothing() -> None:
    platform = Platform()
    platform.left, platform.reset_s = 1, 7200.0
    world = World(platform).live()
    began = world.now
    world.push(m.Closed, 4006)
    platform.left = 1000
    world.run_until(Phase.LIVE, 10_000)
    assert world.now - began == pytest.approx(7200, rel=0.16)
    assert all(sleep.high_s <= 1800 * limits.JITTER[1] for sleep in world.commands(m.Sleep))
    assert len(world.times(m.Locate)) == 2


def test_an_early_wake_up_cannot_undercut_the_pace() -> None:
    world = World(Refused(), draw=lambda low, _: low / 4)
    world.start()
    world.run(3600)
    assert most_in_an_hour(world.times(m.Locate)) <= 70


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
    assert world.gaps == [("", 0, Trouble.UNREADY)]


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


def test_stop_ends_every_phase_at_once() -> None:
    for phase in Phase:
        if phase is not Phase.STOPPED:
            state = replace(m.initial(WANTED), phase=phase, generation=4, session=m.Session("s", 3, 2))
            after, commands = m.step(state, m.Stop(), 5.0)
            assert after.phase is Phase.STOPPED
            assert after.wake_at is None
            assert commands[-1] == m.Stopped()
            assert m.step(after, m.Stored("s", 3), 6.0) == (after, ())
