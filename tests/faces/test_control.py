"""The control socket's address on a disk that takes no file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from buoy.errors import StoreError
from buoy.faces.control import ADDRESS, Control


def test_an_address_that_cannot_be_left_or_taken_away_is_no_traceback(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(StoreError, match=f"cannot write .*{ADDRESS}"):
            await Control(tmp_path / "nowhere", {}).start()
        control = Control(tmp_path, {})
        await control.start()
        (tmp_path / ADDRESS).unlink()
        (tmp_path / ADDRESS).mkdir()  # it cannot be unlinked
        await control.stop()

    asyncio.run(run())
