"""The platform's numbers that Buoy plans with: windows, budgets, sizes, pauses.

The simulator never imports them: it must be able to disagree. Each constant names its section of
protocol.md (platform documents of 2026-09, read 2026-11).
"""

from __future__ import annotations

from typing import Final

# Reply windows and budgets (11.1). Sources disagree on c2c: 4 or 5 replies; we plan for 4.
C2C_REPLY_WINDOW_S: Final = 60 * 60
GROUP_REPLY_WINDOW_S: Final = 5 * 60
GUILD_REPLY_WINDOW_S: Final = 5 * 60
C2C_REPLY_BUDGET: Final = 4
GROUP_REPLY_BUDGET: Final = 5
GUILD_REPLY_BUDGET: Final = 1_000_000  # 11.1: not limited

WINDOWS_S: Final = {
    "c2c": C2C_REPLY_WINDOW_S,
    "group": GROUP_REPLY_WINDOW_S,
    "channel": GUILD_REPLY_WINDOW_S,
    "dm": GUILD_REPLY_WINDOW_S,
}
BUDGETS: Final = {
    "c2c": C2C_REPLY_BUDGET,
    "group": GROUP_REPLY_BUDGET,
    "channel": GUILD_REPLY_BUDGET,
    "dm": GUILD_REPLY_BUDGET,
}
WINDOW_MARGIN_S: Final = 5.0  # ours: a reply this close to the end of its window would arrive too late

READERS_UTC_OFFSET_S: Final = 8 * 60 * 60  # 8: QQ writes times with +08:00, and so do its users' phones

TEXT_LIMIT: Final = 4000  # 12.1: unpublished; what clients split at, in UTF-16 code units

KEYBOARD_ROWS: Final = 5  # 12.3
KEYBOARD_COLUMNS: Final = 5
ACK_S: Final = 3.0  # 16.3: later the app has given up on the click
ACK_AGAIN_S: Final = 0.5  # ours: before an acknowledgement that never left is tried once more
CLICK_SLACK_S: Final = 3.0  # ours: whole seconds, and clocks that differ by less than can be told, make none old
TYPING_S: Final = 60  # 14: 1-60; the next message ends it sooner
TYPING_TIMEOUT_S: Final = 5.0  # ours: a notice that comes late is worth nothing

# Gateway look-up (5): 2 a minute sustained.
GATEWAY_LOOKUPS_A_MINUTE: Final = 2
GATEWAY_LOOKUP_BURST: Final = 10
GATEWAY_URL_LIFE_S: Final = 600.0  # ours: a cached URL that failed is asked for again, inside the limit

# Identify budget (5, S9).
IDENTIFIES_A_DAY: Final = 1000
IDENTIFY_SPACING_S: Final = 5.0  # one per 5 s and max_concurrency
LOW_BUDGET: Final = IDENTIFIES_A_DAY // 10  # 19.9: below a tenth, make it last until the reset
BUDGET_WAIT_S: Final = (60.0, 30 * 60.0)  # ours: shortest and longest single wait for the budget
DAY_S: Final = 24 * 60 * 60

# Heartbeats and phases (6.2, faults 2, 5, 6; 19.4: 45 s in all).
MISSED_ACKS: Final = 2
DEFAULT_HEARTBEAT_S: Final = 45.0
LOCATE_DEADLINE_S: Final = 15.0
OPEN_DEADLINE_S: Final = 15.0
HELLO_DEADLINE_S: Final = 10.0
READY_DEADLINE_S: Final = 20.0
LINGER_S: Final = 5.0  # 6.4: after op 9 the close code may follow
ATTEMPT_S: Final = 45.0  # 19.4: one attempt from look-up to READY; a replay that makes progress may take longer
RESERVE_DEADLINE_S: Final = 10.0  # ours: the identify row's commit
HEARTBEAT_RANGE_S: Final = (1.0, 120.0)  # ours: an interval outside is taken for the default
ACK_WAIT_S: Final = 10.0  # ours: after a heartbeat without an ACK the next one follows sooner (fault 2)
LATE_S: Final = 5.0  # ours: a heartbeat this late means that the process stood still; it accuses nobody (fault 23)

# Reconnect (6.9, 19.10): capped, jittered, for ever.
BACKOFF_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
JITTER: Final = (0.85, 1.15)
FIRST_RETRY_S: Final = (0.0, 1.0)
STABLE_S: Final = 60.0
SHORT_LIVED_S: Final = 5.0  # 6.5: a resumed session that drops this soon
SHORT_LIVED_LIMIT: Final = 3
TOO_FAST_PAUSE_S: Final = 60.0  # 4008
INVALID_SESSION_PAUSE_S: Final = (1.0, 5.0)  # 6.6, our choice
REFUSED_IDENTIFY_PAUSE_S: Final = 60.0  # 6.4: after three refusals
REFUSED_PAUSES: Final = 5  # ours: it grows by one with each refusal, up to five of them
SILENT_REFUSALS: Final = 5  # ours: so many IDENTIFYs that end without a word make the intents suspect, too
CONNECTS_AT_ONCE: Final = 10  # faults 3, 4, 7: at most 70 attempts an hour, so ten at once and one a minute
CONNECT_PACE_S: Final = 60.0
SESSION_LIFE_S: Final = 48 * 60 * 60.0  # 6.5, 19.12: sessions of three days went deaf
INTENTS_AGAIN_S: Final = DAY_S  # ours, 6.4: refused intents are asked for again, in case somebody got them granted
DEAF_PAUSE_S: Final = 6 * 60 * 60.0  # ours: at most four times a day a session is replaced for want of events
HOUR_S: Final = 60 * 60
FRESH_ACK_S: Final = 2.0  # ours: how old the ACK may be after which a session is replaced on purpose
QUIET_S: Final = 60.0  # ours: a moment without events, good for a planned IDENTIFY
PROBE_S: Final = 15 * 60.0  # 6.7: how often a blocked bot looks whether somebody fixed it

# Token (2): the overlap is the last 60 s.
TOKEN_MARGIN_S: Final = 60.0
TOKEN_RATE_PAUSE_S: Final = 60.0

UPLOAD_LIMIT: Final = 20 << 20  # 15.1: what clients hand in at once, in bytes; a request of 32 MB was refused
UPLOAD_TIMEOUT_S: Final = 60.0  # ours: the largest upload over a slow line
FILE_TRIES: Final = 5  # ours: after so many attempts a file that QQ fails to take is told as text
SEND_TIMEOUT_S: Final = 15.0  # 19.21: at least 5
DEDUPE_S: Final = DAY_S  # 19.13: at least 24 h
