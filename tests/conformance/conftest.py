"""A skipped conformance test is a failure: nobody would notice that a client is no longer looked at."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.get_closest_marker("conformance"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and a conformance test may not be: {report.longrepr}"
    return report
