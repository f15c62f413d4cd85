"""Buoy keeps an AI agent reachable on QQ."""

__version__ = "0.1.0"
