"""What is fuzzed, how it is hunted, and where what was found stays.

A target makes inputs, bytes all of them, out of choices, and checks one input. A failing input is a file in
``found/<target>/``: from then on every run of the tests begins with it.
"""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.choices import Choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOUND = Path(__file__).parent / "found"
Check = "Callable[[bytes], None]"


@dataclass(frozen=True)
class Target:
    """Something that must be total."""

    name: str
    grow: Callable[[Choices], bytes]
    """Makes an input."""
    check: Callable[[bytes], None]
    """Raises where the input shows something wrong."""
    planted: Mapping[str, Callable[[bytes], None]] = field(default_factory=dict)
    """Checks of the same thing with a bug in it, by its name: each of them must be found."""
    examples: int = 1000
    """Inputs of a bounded run."""
    choices: tuple[int, int] = (16, 64)
    """Bytes that an input grows from: least, most."""

    def known(self) -> list[Path]:
        """Inputs that were found once."""
        return sorted((FOUND / self.name).glob("*"))


@dataclass(frozen=True)
class Catch:
    """A failing input, as small as it could be made."""

    data: bytes
    error: str


def hunt(
    target: Target, check: Callable[[bytes], None] | None = None, *, examples: int = 0, seed: int | None = None
) -> Catch | None:
    """Look for a failing input; without a seed always in the same places. A planted bug is not made small."""
    check, is_planted = check or target.check, check is not None
    least, most = target.choices
    caught: list[Catch] = []

    @settings(
        max_examples=examples or target.examples,
        phases=(Phase.generate,) if is_planted else (Phase.generate, Phase.shrink),
        derandomize=seed is None,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=least, max_size=most))
    def one(choices: bytes) -> None:
        data = target.grow(Choices(choices))
        try:
            check(data)
        except Exception:
            caught[:] = [Catch(data, traceback.format_exc(limit=-4))]
            raise

    run: Any = one if seed is None else hypothesis.seed(seed)(one)
    try:
        run()
    except Exception:
        if not caught:
            raise
    return caught[0] if caught else None


def keep(target: Target, data: bytes) -> Path:
    """Put a failing input where the next run finds it."""
    place = FOUND / target.name / hashlib.blake2b(data, digest_size=6).hexdigest()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place
