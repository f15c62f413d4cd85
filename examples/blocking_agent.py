"""An agent that blocks: it runs in processes of its own, so nobody else waits for it.

Set isolation = "process" for it, see buoy.toml in README.md beside this file.
"""

import hashlib

from buoy.chat import Message


def answer(message: Message) -> str:
    """Think hard, without ever giving the event loop a chance to do something else."""
    digest = hashlib.pbkdf2_hmac("sha256", message.text.encode(), message.sender.id.encode(), 50_000)
    return f"Your number is {int.from_bytes(digest[:4])}."
