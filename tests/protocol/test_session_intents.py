"""Behaviour P7: intents that are refused are given up one by one, and asked for again."""

from __future__ import annotations

import itertools

import pytest

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble
from tests.protocol.session_world import WANTED, Later, Platform, World


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
        return (
            [(0.05, op9), (0.3, m.Closed(generation, code))]
            if "op9" in self.way
            else [(0.05, m.Closed(generation, code))]
        )


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


def test_p7_refusals_without_a_word_reduce_the_intents_in_the_end() -> None:
    world = World(Granting(1 << 25 | 1 << 30, "close eof"))
    world.start()
    world.run_until(Phase.LIVE, 1800)
    assert len(world.times(m.SendIdentify)) == limits.SILENT_REFUSALS + 2


def test_p7_a_probe_asks_for_all_that_was_wanted() -> None:
    platform = Granting(0, "close 4014")
    world = World(platform)
    world.start()
    world.run_until(Phase.BLOCKED, 180)
    platform.granted = WANTED
    world.run_until(Phase.LIVE, 1100)
    assert world.commands(m.SendIdentify)[-1].intents == WANTED


def test_p7_a_refusal_asks_for_a_fresh_look_up_which_would_name_a_refused_address() -> None:
    world = World(Granting(1 << 25, "close 4014"))
    world.start()
    world.run_until(Phase.LIVE, 120)
    assert [locate.fresh_url for locate in world.commands(m.Locate)] == [False, True, True, True]


# --- what is remembered, and asked for again ---------------------------------------------------------------


REDUCED = 1 << 25 | 1 << 30


def knows(asked_s: float = 100.0, wanted: int = WANTED) -> m.Granted:
    return m.Granted(wanted, REDUCED, "close code 4014", asked_s)


def start(world: World, granted: m.Granted, session: m.Session | None = None, age_s: float = 0.0) -> None:
    if session is not None:
        world.platform.session, world.platform.newest = session.id, session.seen
    world.feed(m.Start(session, (), age_s, granted))
    world.run_until(Phase.LIVE, 120)


def test_p7_the_state_says_how_the_intents_were_refused_until_they_are_granted() -> None:
    for way, words in (("close 4014", "close code 4014"), ("op9 then 4903", "op 9, close code 4903")):
        platform = Granting(REDUCED, way)
        world = World(platform)
        world.start()
        world.run_until(Phase.LIVE, 120)
        assert world.state.refusal == words
        platform.granted = WANTED
        world.run(limits.INTENTS_AGAIN_S + 300)
        assert (world.state.dropped, world.state.refusal) == (0, "")


def test_p7_after_a_restart_an_identify_asks_at_once_for_what_worked() -> None:
    world = World(Granting(REDUCED, "close 4014"))
    start(world, knows())
    assert [identify.intents for identify in world.commands(m.SendIdentify)] == [REDUCED]
    assert (world.state.dropped, world.state.refusal) == (WANTED & ~REDUCED, "close code 4014")


def test_p7_after_a_restart_a_resumed_session_still_names_what_it_goes_without() -> None:
    world = World(Granting(REDUCED, "close 4014"))
    start(world, knows(), m.Session("s", 9, 9))
    assert world.commands(m.SendIdentify) == []
    assert world.state.dropped == WANTED & ~REDUCED


@pytest.mark.parametrize("is_granted", [False, True])
def test_p7_refused_intents_are_asked_for_again_once_a_day_at_a_quiet_moment(*, is_granted: bool) -> None:
    platform = Granting(REDUCED, "close 4014")
    world = World(platform)
    world.start()
    world.run_until(Phase.LIVE, 120)
    world.run(0.1)
    before = len(world.times(m.SendIdentify))
    if is_granted:
        platform.granted = WANTED
    world.run(limits.INTENTS_AGAIN_S - 600)
    for _ in range(30):  # never quiet for a minute
        world.dispatch()
        world.run(50)
    assert len(world.times(m.SendIdentify)) == before
    world.run(300)
    asked = [identify.intents for identify in world.commands(m.SendIdentify)][before:]
    assert asked == ([WANTED] if is_granted else [WANTED, REDUCED])
    assert world.state.dropped == (0 if is_granted else WANTED & ~REDUCED)
    assert [gap.cause for gap in world.commands(m.RecordGap)] == [Trouble.ASKING]
    assert "asked for again" in world.commands(m.RecordGap)[0].done
    world.run(10 * limits.INTENTS_AGAIN_S)
    daily = (len(world.times(m.SendIdentify)) - before) / 11
    assert daily <= (1 if is_granted else 2)


def test_p7_asking_again_costs_one_refusal_and_seconds() -> None:
    platform = Granting(REDUCED, "op9 then 4903")
    world = World(platform)
    world.start()
    world.run_until(Phase.LIVE, 120)
    world.run(limits.INTENTS_AGAIN_S - 100)
    world.run_until(Phase.WAITING, 300)
    began = world.now
    world.run_until(Phase.LIVE, 30)
    assert world.now - began < 20


def test_p7_a_day_without_asking_counts_across_restarts() -> None:
    platform = Granting(WANTED, "close 4014")
    world = World(platform)
    start(world, knows(limits.INTENTS_AGAIN_S - 1000), m.Session("s", 9, 9))
    world.run(900)
    assert world.commands(m.SendIdentify) == []
    world.run(300)
    assert [identify.intents for identify in world.commands(m.SendIdentify)] == [WANTED]
    assert world.state.dropped == 0
    world = World(Granting(WANTED, "close 4014"))
    start(world, knows(limits.INTENTS_AGAIN_S + 1))
    assert [identify.intents for identify in world.commands(m.SendIdentify)] == [WANTED]


def test_p7_with_the_budget_nearly_spent_nothing_is_asked_again() -> None:
    platform = Granting(REDUCED, "close 4014")
    platform.left = 90
    world = World(platform)
    start(world, knows(limits.INTENTS_AGAIN_S + 1), m.Session("s", 9, 9))
    world.run(12 * 3600)
    assert world.commands(m.SendIdentify) == []


@pytest.mark.parametrize("wanted", [REDUCED | 1 << 12, 1 << 25])
def test_p7_other_intents_in_the_settings_take_effect_after_the_replay_at_a_quiet_moment(wanted: int) -> None:
    world = World(wanted=wanted)
    start(world, knows(), m.Session("s", 9, 9))
    assert len(world.commands(m.SendResume)) == 1  # first what was missed
    world.run(300)
    assert [identify.intents for identify in world.commands(m.SendIdentify)] == [wanted]
    assert [gap.cause for gap in world.commands(m.RecordGap)] == [Trouble.SETTINGS]
    world.run(3600)
    assert len(world.commands(m.SendIdentify)) == 1
