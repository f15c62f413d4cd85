"""What can go wrong, split by who has to act, with the exit code each one ends the process with."""

from __future__ import annotations

EXIT_OK = 0
EXIT_REFUSED = 1  # `buoy send`: the platform will never take it
EXIT_USAGE = 2  # a setting or an argument is wrong; nothing was opened
EXIT_BUSY = 69  # another Buoy holds the data directory or the AppID
EXIT_LOOP = 70  # the event loop is stuck; `buoy send`: unsure
EXIT_STORE = 74  # the store cannot be trusted or reached; a restart is the remedy
EXIT_QUEUED = 75  # `buoy send`: stored, not delivered yet


class BuoyError(Exception):
    """Anything Buoy raises on purpose. Its text is one line: the cause, then the remedy."""

    exit_code = EXIT_REFUSED


class ConfigError(BuoyError):
    """A setting is missing or wrong. The text names the setting and the remedy."""

    exit_code = EXIT_USAGE


class AgentError(BuoyError):
    """An agent ended without an answer. Its turn fails with this text as the reason."""


class AgentAwayError(AgentError):
    """The agent cannot be reached or refuses everybody: no message is at fault, so its turn waits, uncharged."""


class TurnOverError(BuoyError):
    """Somebody speaks in a turn that has ended; nothing was queued. `send()` reaches the conversation still."""


class BusyError(BuoyError):
    """Another process holds the lock that this one needs."""

    exit_code = EXIT_BUSY


class NotRunningError(BuoyError):
    """Something was asked of a gateway that does not run."""


class StoreError(BuoyError):
    """The database could not do what was asked; nothing of it was stored."""

    exit_code = EXIT_STORE


class StoreLostError(StoreError):
    """The database can no longer be trusted (failed fsync, I/O error): end the process, restart, reopen."""


class NotStoredError(StoreError):
    """A send could not be committed in the time its caller was promised; it will not be delivered."""
