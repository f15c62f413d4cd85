"""One browser and one Buoy for the tests of a module: each costs a second to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.page.browsing import chromium
from tests.page.harbour import Harbour, harbour, remember


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with harbour(tmp_path_factory.mktemp("harbour")) as one:
        remember(one.process.directory, hostile=True)
        one.start()
        yield one


@pytest.fixture
def port(shared: Harbour) -> Iterator[Harbour]:
    """The shared Buoy, connected and without a fault."""
    shared.heal()
    yield shared
    shared.heal()
