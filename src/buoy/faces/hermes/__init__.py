"""Buoy inside Hermes Agent: a platform adapter that any `hermes gateway` loads as a plugin.

Hermes imports :mod:`buoy.faces.hermes.plugin` with every one of its commands, so nothing heavy stands at a module's
top there; what runs inside a Hermes gateway is imported when the adapter is made.
"""
