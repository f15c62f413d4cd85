"""A log that cannot be written costs nobody anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import os, structlog
from buoy.faces.runner import log_to_stderr
log_to_stderr()
structlog.get_logger("t").info("before")
{gone}
for _ in range(3):
    structlog.get_logger("t").warning("nobody hears this", text="\\ud800")
os.write(1, b"alive")
os._exit(0)
"""


@pytest.mark.parametrize(
    "gone", ["os.close(2)", "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)", "import sys; sys.stderr.close()"]
)
def test_a_log_whose_reader_is_gone_raises_nothing(gone: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(gone=gone)], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive")
    assert '"event": "before"' in done.stderr
