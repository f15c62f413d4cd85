"""The token of the HTTP face: where it is kept, the sessions made of it, and how often it may be guessed."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import Final

from buoy.config import SHORTEST_TOKEN
from buoy.errors import StoreError
from buoy.settings import Secret

FILE: Final = "web.token"
SESSION_S: Final = 7 * 86_400.0
COOKIE: Final = "buoy_session"
GUESSES: Final = 10  # different wrong tokens from one address ...
GUESS_S: Final = 60.0  # ... within this time; then none is looked at
PEERS: Final = 1000  # addresses whose guesses are remembered


def kept(directory: Path) -> Secret:
    """Give the token of this data directory, making one where there is none.

    Raises:
        StoreError: it can neither be read nor made.
    """
    path = directory / FILE
    try:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = path.read_text("utf-8").strip()
            if len(token) >= SHORTEST_TOKEN:
                return Secret(token)
            path.unlink()  # a full disk or a power cut left it empty
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        token = secrets.token_urlsafe(32)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(token + "\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not a text file"
        raise StoreError(f"cannot keep a token in {path} ({cause}); check the disk, or set web.token") from error
    return Secret(token)


class Keys:
    """What the token opens. It is held here and shown nowhere."""

    def __init__(self, token: Secret) -> None:
        self._token = _digest(token.reveal())
        self._key = hmac.digest(token.reveal().encode(), b"buoy web session", "sha256")

    def is_token(self, text: str) -> bool:
        """Compare in the same time for every text."""
        return hmac.compare_digest(_digest(text), self._token)

    def session(self, now: float) -> str:
        """Make a session that lasts :data:`SESSION_S`; it ends earlier only with the token."""
        head = f"{int(now + SESSION_S)}.{secrets.token_urlsafe(9)}"
        return f"{head}.{self._sign(head)}"

    def is_session(self, text: str, now: float) -> bool:
        """Say whether a session was made here and lasts."""
        head, _, sign = text.rpartition(".")
        ends = head.partition(".")[0]
        is_ours = hmac.compare_digest(_digest(sign), _digest(self._sign(head)))
        return is_ours and ends.isascii() and ends.isdigit() and now < int(ends)

    def _sign(self, head: str) -> str:
        return hmac.digest(self._key, head.encode("utf-8", "surrogateescape"), "sha256").hex()


class Guesses:
    """Wrong tokens by address. The same one again is no new guess: a script with an old token locks nobody out."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, dict[bytes, float]] = OrderedDict()

    def wait_s(self, peer: str, now: float) -> float:
        """How long until this address may try again; 0: now."""
        wrong = [at for at in self._wrong.get(peer, {}).values() if at > now - GUESS_S]
        return 0.0 if len(wrong) < GUESSES else min(wrong) + GUESS_S - now

    def wrong(self, peer: str, text: str, now: float) -> None:
        """Remember a wrong token."""
        known = self._wrong.pop(peer, {})
        fresh = {digest: at for digest, at in known.items() if at > now - GUESS_S}
        self._wrong[peer] = fresh | {_digest(text): now}
        if len(self._wrong) > PEERS:
            self._wrong.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
