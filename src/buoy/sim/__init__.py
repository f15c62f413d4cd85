"""A simulated QQ platform for tests, demos and other people's bots; see `python -m buoy.sim --help`."""

from __future__ import annotations

from buoy.sim.clock import Clock
from buoy.sim.events import Happening, Said, Speech
from buoy.sim.faults import Fault
from buoy.sim.load import Load, Order
from buoy.sim.settings import Settings
from buoy.sim.simulator import DEFAULT_BOT, Sim
from buoy.sim.world import Delivered, World

__all__ = [
    "DEFAULT_BOT",
    "Clock",
    "Delivered",
    "Fault",
    "Happening",
    "Load",
    "Order",
    "Said",
    "Settings",
    "Sim",
    "Speech",
    "World",
]
