"""Log lines go where the process wants them, and nothing of the process is changed for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from buoy.logger import Logger

LEVELS = ("debug", "info", "warning", "error")

log = Logger("buoy.test")


@pytest.fixture
def _untouched() -> Iterator[None]:
    """Nobody has set structlog up."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("level", LEVELS)
def test_lines_go_to_logging_where_nobody_set_structlog_up(level: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "buoy"):
        getattr(log, level)("it happened", row=3, why="a b", codes=[1, 2], empty="", none=None, line="a\nb", word="x")
    (record,) = caplog.records
    assert (record.name, record.levelname.lower()) == ("buoy.test", level)
    assert record.getMessage() == "it happened row=3 why='a b' codes=[1, 2] line='a\\nb' word=x"
    assert vars(record)["buoy"]["codes"] == [1, 2]
    assert (record.filename, record.funcName) == (
        "test_logger.py",
        "test_lines_go_to_logging_where_nobody_set_structlog_up",
    )


@pytest.mark.usefixtures("_untouched")
def test_a_stack_goes_along(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("given")
    log.error("given", exc_info=error)
    try:
        raise KeyError("handled")
    except KeyError:
        log.exception("handled")
        log.exception("not wanted", exc_info=False)  # noqa: LOG007  the supervisor decides so
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ValueError, KeyError, False]


@pytest.mark.usefixtures("_untouched")
def test_what_is_not_wanted_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "buoy"):
        log.info("unheard", value=object())
    assert caplog.records == []


@pytest.mark.usefixtures("_untouched")
@pytest.mark.parametrize("level", LEVELS)
def test_lines_go_to_structlog_where_it_is_set_up(level: str, caplog: pytest.LogCaptureFixture) -> None:
    told: list[structlog.typing.EventDict] = []

    def keep(_: object, name: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        told.append(dict(fields) | {"level": name})
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    with caplog.at_level(logging.DEBUG, "buoy"):
        getattr(log, level)("it happened", row=3)
    assert told == [{"event": "it happened", "row": 3, "level": level}]
    assert caplog.records == []
