"""The log of what is fuzzed is not interesting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.fuzz.run import be_quiet


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    be_quiet()
    yield
    structlog.reset_defaults()
