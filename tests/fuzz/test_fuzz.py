"""A bounded hunt of every target, always in the same places; longer and elsewhere: ``make fuzz FUZZ_SECONDS=600``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buoy.protocol import session as m
from tests.fuzz import answers, seeds, sessions
from tests.fuzz.choices import Choices
from tests.fuzz.hunting import FOUND, Target, hunt, keep
from tests.fuzz.mutate import bend, read, write
from tests.fuzz.run import TARGETS

LONGER = "longer: make fuzz FUZZ_SECONDS=600; this input alone: make fuzz FUZZ_TARGET={} FUZZ_INPUT={}"
KNOWN = [(target, path) for target in TARGETS.values() for path in target.known()]
PLANTED = [(target, name) for target in TARGETS.values() for name in target.planted]


@pytest.mark.parametrize(("target", "path"), KNOWN, ids=[f"{target.name}/{path.name}" for target, path in KNOWN])
def test_what_was_found_once_stays_fixed(target: Target, path: Path) -> None:
    target.check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_nothing_is_found(target: Target) -> None:
    caught = hunt(target)
    if caught is not None:
        place = keep(target, caught.data)
        pytest.fail(f"{caught.error}\n{caught.data!r}\n{LONGER.format(target.name, place)}")


@pytest.mark.parametrize(("target", "name"), PLANTED, ids=[f"{target.name}/{name}" for target, name in PLANTED])
def test_the_fuzzer_is_not_blind(target: Target, name: str) -> None:
    """The same hunt finds each planted bug, and what it found is fine without it."""
    caught = hunt(target, target.planted[name])
    assert caught is not None, f"{name} was not found in {target.examples} inputs"
    target.check(caught.data)


def test_every_target_has_planted_bugs_and_every_find_a_target() -> None:
    assert all(len(target.planted) >= 2 for target in TARGETS.values())
    assert {path.name for path in FOUND.iterdir()} <= TARGETS.keys()


def test_sessions_reach_every_phase_and_every_command() -> None:
    phases: set[m.Phase] = set()
    commands: set[type] = set()

    def step(s: m.State, e: m.Event, now: float) -> sessions.Step:
        state, told = m.step(s, e, now)
        phases.add(state.phase)
        commands.update(map(type, told))
        return state, told

    assert hunt(sessions.TARGET, sessions.Machine(step).check, examples=300) is None
    assert phases == set(m.Phase)
    assert commands == set(m.Command.__args__)


# --- the tools ---


def test_the_corpus_is_what_the_simulated_platform_says() -> None:
    built = seeds.build()
    kinds = {json.loads(frame).get("t") for frame in built["frames"]}
    known = {json.loads(frame).get("t") for frame in seeds.frames()}
    assert kinds == known, "write it anew: python -m tests.fuzz.seeds"
    assert {status for status, *_ in built["answers"]} == {status for status, *_ in seeds.answers()}


def test_every_seed_is_fine_and_comes_back_from_its_tree() -> None:
    for frame in seeds.frames():
        assert json.loads(write(read(frame))) == json.loads(frame)
        TARGETS["frames"].check(frame)
    for status, headers, body in seeds.answers():
        data = answers.pack(status, list(headers.items()), body)
        assert answers.unpack(data) == (status, headers, body)
        TARGETS["answers"].check(data)


def test_without_choices_a_seed_stays_as_it_is() -> None:
    seed = seeds.frames()[3]
    assert bend(seed, seeds.frames(), Choices(b"")) == write(read(seed))


def test_choices_follow_their_bytes_and_end_with_them() -> None:
    choices = Choices(bytes([7, 0, 1, 0, 255]))
    assert choices.below(5) == 2
    assert choices.below(1000) == 256
    assert not choices.is_spent
    assert choices.pick("abc") == "a"
    assert choices.is_spent
    assert choices.below(9) == choices.below(100000) == 0
    assert Choices(b"abc").rest() == b"abc"


@pytest.mark.parametrize("status", [200, 999])
def test_a_header_that_is_no_utf_8_comes_back_as_it_was(status: int) -> None:
    answer = answers.unpack(b"%d\nX-Tps-trace-ID: a\xff\nEmpty:\n\nbody\n\nbody" % status)
    assert (answer.status, answer.headers["x-tps-trace-id"], answer.body) == (status, " a\udcff", b"body\n\nbody")
