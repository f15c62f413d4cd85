"""Runs a program that has to end with its parent, however that ends: `python leash.py FD PROGRAM ...`.

The descriptor is the reading end of a pipe whose other end only the parent holds. When the parent is gone, a kill -9
included, everything in this process's group is killed; it was made the leader of one. Standard library only, and
nothing of ours: it starts in a few milliseconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Start the program on our stdin, stdout and stderr, and end as it ends."""
    fd, argv = int(sys.argv[1]), sys.argv[2:]
    threading.Thread(target=_watch, args=(fd,), daemon=True).start()
    try:
        code = subprocess.call(argv)  # noqa: S603  the program that was configured
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201  the reason on stderr is the interface
        code = 127
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _watch(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
