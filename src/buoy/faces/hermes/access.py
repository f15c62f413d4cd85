"""Who may write, as ``extra`` of the platform has it: `dm_policy`, `group_policy` and their lists. Pure.

The words are those of Hermes' own adapter, so that what was allowed there stays allowed, and no more. A policy that is
not set lets everything through to Hermes, which decides by its own lists and by pairing. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_GROUPS: Final = frozenset({"group", "channel"})


@dataclass(frozen=True, slots=True)
class Access:
    """Policies are ``open``, ``allowlist``, ``pairing``, ``disabled``, or empty. Lists are in lower case."""

    dm: str = ""
    group: str = ""
    people: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def admits(self, scene: str, ident: str, sender: str) -> bool:
        """Whether a message is handed to Hermes at all. ``ident`` is the chat's id, without its scene."""
        if scene in _GROUPS:
            return self.vouches(scene, ident) if self.group == "allowlist" else self.group in {"", "open"}
        if self.dm == "allowlist":
            return _has(self.people, sender)
        return self.dm != "disabled"  # `pairing`: Hermes has to see a stranger to give out a code

    def vouches(self, scene: str, ident: str) -> bool:
        """Whether everybody in this chat may write: its group is on the list."""
        return scene in _GROUPS and self.group == "allowlist" and _has(self.groups, ident)


def read(extra: Mapping[str, Any], people: str = "") -> Access:
    """Read the ``extra`` table of the platform, and the list of people that Hermes looks at, which counts as well.

    A word that is no policy lets nobody in.
    """
    return Access(
        _policy(extra.get("dm_policy")),
        _policy(extra.get("group_policy")),
        _listed(extra.get("allow_from")) | _listed(people),
        _listed(extra.get("group_allow_from")),
    )


def _policy(value: Any) -> str:
    word = str(value if value is not None else "").strip().lower()
    return word if word in {"", "open", "allowlist", "pairing", "disabled"} else "disabled"


def _listed(value: Any) -> frozenset[str]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    return frozenset(str(part).strip().lower() for part in parts if part is not None and str(part).strip())


def _has(listed: frozenset[str], ident: str) -> bool:
    return "*" in listed or ident.strip().lower() in listed
