"""Keep the log out of tests that provoke everything that can be logged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log calls are made as ever, and end here."""

    def drop(*_: object) -> structlog.typing.EventDict:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop])
    yield
    structlog.configure(**before)
