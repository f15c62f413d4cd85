"""The platform's numbers as the simulator holds them: typed from protocol.md, not from `protocol.limits`.

The two sides must be able to disagree; a table test compares each with the page a third time.
"""

from __future__ import annotations

from typing import Final

import msgspec

# 11.1: how long, and how often, a message or an event may be replied to.
WINDOW_S: Final = {"c2c": 3600.0, "group": 300.0, "channel": 300.0, "dm": 300.0}
BUDGET: Final = {"c2c": 4, "group": 5, "channel": None, "dm": None}

# 18: interface limits per bot, a second.
SENDS_PER_S: Final = {"c2c": 100.0, "group": 100.0, "channel": 50.0, "dm": 50.0}
CHANNEL_WRITES_PER_S: Final = 5.0  # 11.3: one channel, passive messages too
GATEWAY_PER_MIN: Final = 2.0
GATEWAY_BURST: Final = 10.0
OTHER_PER_S: Final = 50.0
TOKENS_PER_S: Final = 1.0  # 18: unpublished; ours
TOKENS_BURST: Final = 60.0
FRAMES_PER_S: Final = 10.0  # 6.9: unpublished, but 4008 exists; ours
FRAMES_BURST: Final = 120.0

# 11.2: proactive messages.
C2C_PROACTIVE_PER_S: Final = {True: 10.0, False: 5.0}  # by "certified"
C2C_PROACTIVE_PER_MIN: Final = {True: 600.0, False: 30.0}
GROUP_PROACTIVE_PER_MIN: Final = {True: 60.0, False: 30.0}
RELATION_PROACTIVE_PER_MIN: Final = 20.0
RELATION_PROACTIVE_PER_DAY: Final = 1000

# 11.3: guild quotas, a day.
CHANNEL_PROACTIVE_PER_DAY: Final = 20
CHANNELS_PER_GUILD_PER_DAY: Final = 2
DM_PROACTIVE_PER_USER_PER_DAY: Final = 2
DM_PROACTIVE_PER_DAY: Final = 200

# 11.4: a wake-up message per period since the user's last message, in calendar days: day 0, 1-3, 3-7, 7-30.
WAKE_UP_DAYS: Final = (1, 3, 7, 30)

# 15.1: uploads. Above the soft limit of its kind a file is shown as a plain file.
FILE_SOFT_LIMITS: Final = {1: 20 << 20, 2: 30 << 20, 3: 20 << 20, 4: 200 << 20}
FILES_PER_S: Final = 50.0

KEYBOARD_ROWS: Final = 5  # 12.3
KEYBOARD_COLUMNS: Final = 5
MODAL_TEXT: Final = 40
MODAL_WORD: Final = 4
TYPING_S: Final = 60  # 14
TOKEN_OVERLAP_S: Final = 60.0  # 2.1: in its last minute a token gets a successor, and both work
INTERACTION_ACK_S: Final = 3.0  # 16.3
BEATS_MISSED: Final = 2  # 20: a client silent for two intervals is closed with 4009
DAY_S: Final = 86400
BEIJING_S: Final = 8 * 3600  # 8: message timestamps carry +08:00; days are counted there

BAD_INTENT: Final = ("op9_then_4014", "op9_then_4903", "op9_eof", "close4014")


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be varied. Defaults are protocol.md's "Assume" lines."""

    limits: bool = True
    """False: no rate buckets, no quotas, no pause between identifies. Reply windows and budgets stay."""
    check_ids: bool = True
    """False: any text is an openid, and a target nobody has heard of is a friend."""
    relaxed: bool = False
    """True: reply budgets are not enforced (11.1: some report that more replies passed)."""
    heartbeat_s: float = 45.0
    resume_s: float = 300.0
    resume_buffer: int = 1000
    lifetime_s: float | None = 1800.0
    """Age at which a connection is told to reconnect (op 7, then 4009); None: never."""
    token_life_s: float = 7200.0
    expires_as_text: bool = True
    identifies_per_day: int = 1000
    identify_spacing_s: float = 5.0
    max_concurrency: int = 1
    bad_intent: str = "op9_then_4014"
    strict_member_intent: bool = False
    """True: group membership events want bit 24; False: 24 or 25 (6.4)."""
    text_limit: int = 5000
    check_urls: bool = True
    """Links in plain text must point to hosts listed for the bot (12.1)."""
    bare_urls: bool = False
    """True: `readme.md` counts as a link too (12.1, reported)."""
    body_limit: int = 30_000_000
    """Bytes; a longer request is answered with HTML 413 by the front-end (15.1, 20)."""
    file_limit: int = 200 << 20
    """Bytes: the hard limit of one file (15.1)."""
    file_info_life_s: float = 300.0
    """How long an upload may be shown; 0: for ever (15.1)."""
    upload_day_limit: int = 2 << 30
    """Bytes a bot may upload a day (15.1)."""
    ref_idx: bool = True
    """False: answers carry no `ext_info`, like old hosts."""
    int_timestamps: bool = False
    """True: answers carry unix seconds instead of RFC 3339 (10.2)."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.bad_intent not in BAD_INTENT:
            raise ValueError(f"bad_intent {self.bad_intent!r} is unknown; use one of {', '.join(BAD_INTENT)}")
        if self.heartbeat_s <= 0:
            raise ValueError("heartbeat_s must be above 0")


class Bucket:
    """A token bucket: ``rate`` a second, up to ``burst`` at once."""

    __slots__ = ("at", "burst", "level", "rate")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = max(1.0, rate) if burst is None else burst
        self.level = self.burst
        self.at: float | None = None

    def take(self, now: float) -> bool:
        """Take one; False when none is left."""
        if self.at is not None and now > self.at:
            self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True
