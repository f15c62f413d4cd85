"""The shape of a verdict's text."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """For a person who is tired: what it is called, what it means, what to do."""

    title: str
    means: str
    do: str
