"""Disks of their own for tests: small, full, broken, frozen. Needs root, and says so where it is not there."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a disk of its own")


class Disk:
    """A mounted file system that nothing else uses."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self._filler = at / "filler"

    def fill(self) -> None:
        """Leave not one block free."""
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        self._filler.unlink()


@contextmanager
def small_disk(at: Path, size: str = "8m") -> Iterator[Disk]:
    """In memory, and soon full."""
    at.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "chaos", str(at))
    try:
        yield Disk(at)
    finally:
        _run("umount", "--lazy", str(at))


class Ext4(Disk):
    """A journalled disk in a file, as a server has it: it can break, and be frozen for a snapshot."""

    def __init__(self, at: Path, image: Path) -> None:
        super().__init__(at)
        self._image = image

    def mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.at))

    def unmount(self) -> None:
        _run("umount", str(self.at))

    def breaks(self) -> None:
        """The kernel finds an error, and makes the disk read-only under whoever writes."""
        device = self.at.stat().st_dev
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")

    def mended(self) -> None:
        """What a person does then."""
        self.unmount()
        subprocess.run(["e2fsck", "-fy", str(self._image)], capture_output=True, check=False)
        self.mount()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing is written meanwhile: who tries waits."""
        handle = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, FIFREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(handle, FITHAW, 0)
        finally:
            os.close(handle)


@contextmanager
def ext4_disk(at: Path) -> Iterator[Ext4]:
    """Made anew for each test."""
    at.mkdir()
    image = at.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    _run("mkfs.ext4", "-q", "-F", str(image))
    disk = Ext4(at, image)
    disk.mount()
    try:
        yield disk
    finally:
        _run("umount", "--lazy", str(at))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
