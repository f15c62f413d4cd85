"""Every test here is quiet: refusals and restarts come by the thousand."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _quiet(quiet: None) -> None:
    """As :func:`tests.conftest.quiet`."""
