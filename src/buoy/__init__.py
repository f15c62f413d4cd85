"""Buoy keeps an AI agent reachable on QQ.

What a program that embeds it needs: ``from buoy import Gateway, QQ``. Each name is imported when it is asked for first:
``import buoy`` alone costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buoy.chat import Agent, Button, Click, Message, Reply, agent
    from buoy.faces.library import QQ, Gateway

__version__ = "0.1.0"
__all__ = ["QQ", "Agent", "Button", "Click", "Gateway", "Message", "Reply", "agent"]

_HOME = dict.fromkeys(__all__, "buoy.chat") | dict.fromkeys(("QQ", "Gateway"), "buoy.faces.library")


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'buoy' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415  light: this file is read with every module of Buoy

        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
