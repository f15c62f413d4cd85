"""`buoy doctor --fix`: does what is safe and can be undone, says each thing, leaves database and QQ alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from buoy.errors import BuoyError
from buoy.faces.control import ADDRESS
from buoy.faces.doctor import processes
from buoy.faces.doctor.verdicts import Finding, Verdict

ROOT: Final = 0
SECRET_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def mend(findings: Iterable[Finding], directory: Path) -> Iterator[tuple[Finding, str]]:
    """Mend what can be, one line for each thing that was done or could not be."""
    for finding in findings:
        cure = CURES.get(finding.verdict) if finding.verdict is not None else None
        if cure is None:
            continue
        try:
            yield finding, cure(finding, directory)
        except (OSError, KeyError, BuoyError) as error:
            yield finding, f"could not: {error}"


def _close_file(finding: Finding, directory: Path) -> str:
    """Close it to everybody but its owner, unless the user that Buoy runs as, whose the data are, reads it so."""
    file = Path(finding.subject)
    if directory.exists() and directory.stat().st_uid not in {ROOT, file.stat().st_uid}:
        user = directory.owner()
        return f"left {file}: Buoy runs as {user} and must read it; chgrp {user} {file}, then chmod 640 {file}"
    file.chmod(SECRET_MODE)
    return f"chmod {SECRET_MODE:o} {finding.subject}"


def _make(_: Finding, directory: Path) -> str:
    directory.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    return f"mkdir {directory}, mode {FOLDER_MODE:o}"


def _close_folder(_: Finding, directory: Path) -> str:
    directory.chmod(FOLDER_MODE)
    return f"chmod {FOLDER_MODE:o} {directory}"


def _forget(_: Finding, directory: Path) -> str:
    gone = processes.forget_address(directory)
    return f"{'removed' if gone else 'left'} {directory / ADDRESS}"


CURES: Final[dict[Verdict, Callable[[Finding, Path], str]]] = {
    Verdict.SECRET_FILE: _close_file,
    Verdict.DATA_MISSING: _make,
    Verdict.DATA_OPEN: _close_folder,
    Verdict.STALE_ADDRESS: _forget,
}
