"""Fuzzing guided by coverage: ``pip install atheris``, then ``python -m tests.fuzz.guided TARGET [libFuzzer options]``.

The same targets and the same inputs; only the bytes that the choices are made of come from a fuzzer that sees which
lines they reach. It is no dependency of the project: it exists for few versions of Python.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

atheris: Any = importlib.import_module("atheris")
with atheris.instrument_imports(include=["buoy.protocol", "buoy.platforms"], enable_loader_override=False):
    from tests.fuzz.choices import Choices
    from tests.fuzz.hunting import Catch
    from tests.fuzz.run import TARGETS, be_quiet, report


def main() -> None:
    """Fuzz the target named on the command line until something is found or the options say so."""
    target = TARGETS[sys.argv.pop(1)]
    be_quiet()

    def one(choices: bytes) -> None:
        data = target.grow(Choices(choices))
        try:
            target.check(data)
        except Exception as error:
            report(target, Catch(data, repr(error)), None)
            raise

    atheris.Setup([sys.argv[0], f"-max_len={target.choices[1]}", *sys.argv[1:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
