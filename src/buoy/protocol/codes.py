"""QQ's error codes: what each one means for a request of ours, as one table.

Source: protocol.md 4 (platform documents of 2026-09 and quoted live traffic, read 2026-11). An answer may
carry two numbers, ``code`` and ``err_code`` (3.3); the first that the table knows decides, and an unknown one
is decided by the HTTP status. Message texts are localised and change: nothing here looks at them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

HTTP_REQUEST_TIMEOUT: Final = 408
HTTP_TOO_LARGE: Final = 413
HTTP_TOO_MANY: Final = 429
LARGEST: Final = 1 << 53  # ours: beyond it JSON numbers are not exact; the store takes 64 bits


class Action(StrEnum):
    """What an error code asks for (the vocabulary of protocol.md 4)."""

    TOKEN = "token"  # refresh, replay once  # noqa: S105
    RATE = "rate"  # not accepted; wait, then repeat
    RETRY = "retry"  # not accepted; back off, then repeat
    ONCE = "once"  # a system error of theirs: repeat exactly once
    REPLY_DEAD = "reply_dead"  # this anchor is unusable
    DUP = "dup"  # this anchor and msg_seq were used before
    AUDIT = "audit"  # accepted, a person reviews it first
    CONTENT = "content"  # refused as it is
    PERM = "perm"  # an operator must act
    TARGET = "target"  # the recipient is gone or refuses
    BUG = "bug"  # we sent nonsense
    PROACTIVE = "proactive"  # there was no anchor, and none may be missing here


class Fix(StrEnum):
    """What may be done once to a refused content."""

    NONE = ""
    PLAIN = "plain"  # the same text without markdown and buttons
    URLS = "urls"  # make QQ not see URLs in it
    SHORTER = "shorter"  # halve the pieces


class Entry(NamedTuple):
    """One row of the table. ``remedy`` tells a person what to do, where only a person can."""

    action: Action
    meaning: str
    remedy: str = ""
    fix: Fix = Fix.NONE


class Verdict(NamedTuple):
    """What an answer means. ``known`` is False where only the HTTP status decided."""

    action: Action
    code: int
    reason: str
    remedy: str = ""
    fix: Fix = Fix.NONE
    known: bool = True


_CONSOLE: Final = "in the console at q.qq.com"
_OPEN_API: Final = f"apply for this API {_CONSOLE}"
_BANNED: Final = f"look for a notice {_CONSOLE} and appeal there"
_CREDENTIALS: Final = f"compare app id and secret with those shown {_CONSOLE}"
_ADMIN: Final = "ask an administrator of the group or guild to grant it"
_PRIVILEGE: Final = f"apply for the privilege {_CONSOLE}, or send plain text"

IP_NOT_ALLOWED: Final = 11298
TOKEN_EXPIRED: Final = 11244
AUDITED: Final = frozenset({304023, 304024})
DUPLICATE: Final = 40054005
LIMIT_EXCEEDED: Final = 22009
NO_SESSION: Final = 304018
FILE_EXPIRED: Final = 304080
FILE_FAILED: Final = frozenset(
    {FILE_EXPIRED, 304082, 304083, 40034004}
)  # 4.2: the file of the message, not the message
VOLUME_USED_UP: Final = 40093002
WHOLE_BOT: Final = frozenset(  # 4.1, 4.2: the bot is refused whatever it asks for
    {11251, 11261, 11265, 11273, 11275, IP_NOT_ALLOWED, 40023002, 40034125, 40054016}
)

A = Action
TABLE: Final[dict[int, Entry]] = {
    # 4.1: authentication, app and permission
    10001: Entry(A.TARGET, "the account is in an abnormal state"),
    10003: Entry(A.TARGET, "the channel is in an abnormal state"),
    10004: Entry(A.TARGET, "the guild is in an abnormal state"),
    11241: Entry(A.TOKEN, "QQ saw no token in the request"),
    11242: Entry(A.ONCE, "QQ could not check the token"),
    11243: Entry(A.TOKEN, "the token is wrong", _CREDENTIALS),
    11244: Entry(A.TOKEN, "the token is missing or has expired"),
    40011027: Entry(A.TOKEN, "the token is missing or has expired"),
    11251: Entry(A.PERM, "the app id is wrong", _CREDENTIALS),
    11252: Entry(A.ONCE, "QQ could not check the bot's privileges"),
    11253: Entry(A.PERM, "the bot lacks the privilege for this API", _OPEN_API),
    11254: Entry(A.PERM, "this API is banned for the bot", _BANNED),
    11255: Entry(A.TARGET, "the recipient does not exist, or not in this kind of conversation"),
    40011028: Entry(A.TARGET, "the recipient does not exist, or not in this kind of conversation"),
    11261: Entry(A.PERM, "the app id is missing", _CREDENTIALS),
    11262: Entry(A.PERM, "this API is not open to bots", _OPEN_API),
    11263: Entry(A.ONCE, "QQ could not check the guild's permissions"),
    11264: Entry(A.PERM, "the guild has not granted this API to the bot", _ADMIN),
    11265: Entry(A.PERM, "the bot is banned", _BANNED),
    11273: Entry(A.PERM, "this kind of token is not supported here", _CREDENTIALS),
    11274: Entry(A.PERM, "the user has not granted this to the bot", "ask the user to grant it"),
    11275: Entry(A.PERM, "the app id is wrong or missing", _CREDENTIALS),
    11281: Entry(A.ONCE, "QQ could not check administrator rights"),
    11282: Entry(A.PERM, "the bot is no administrator here", _ADMIN),
    IP_NOT_ALLOWED: Entry(
        A.PERM,
        "this machine's IP address is not on the bot's allowlist",
        f"add the address that this machine reaches the internet with to the IP allowlist {_CONSOLE}",
    ),
    40023002: Entry(
        A.PERM,
        "this machine's IP address is not on the bot's allowlist",
        f"add the address that this machine reaches the internet with to the IP allowlist {_CONSOLE}",
    ),
    **dict.fromkeys(range(11301, 11307), Entry(A.RETRY, "QQ's own look-up failed")),
    11703: Entry(A.PERM, "the bot is no administrator of the group", _ADMIN),
    12001: Entry(A.BUG, "QQ could not translate an id in the request"),
    12002: Entry(A.BUG, "QQ could not read the request"),
    12003: Entry(A.BUG, "QQ could not form its answer"),
    100001: Entry(A.RATE, "too many calls"),
    100017: Entry(A.RATE, "too many calls"),
    40023001: Entry(A.RATE, "too many calls"),
    # 4.2: sends to c2c and group; the anchor
    304103: Entry(A.REPLY_DEAD, "the message to reply to has expired"),
    304026: Entry(A.REPLY_DEAD, "the message to reply to is unknown"),
    304027: Entry(A.REPLY_DEAD, "the message to reply to has expired"),
    304028: Entry(A.REPLY_DEAD, "the message to reply to was not written to this bot"),
    40034005: Entry(A.REPLY_DEAD, "the message to reply to has expired"),
    40034024: Entry(A.REPLY_DEAD, "the message to reply to is unknown here"),
    40034025: Entry(A.REPLY_DEAD, "the event to reply to is unknown here"),
    40034026: Entry(A.REPLY_DEAD, "the event to reply to has expired"),
    40034027: Entry(A.REPLY_DEAD, "this kind of event cannot be replied to"),
    40034128: Entry(A.REPLY_DEAD, "the reply window is over, or all its replies are used"),
    LIMIT_EXCEEDED: Entry(A.REPLY_DEAD, "the message limit is exceeded"),  # RATE when proactive
    DUPLICATE: Entry(A.DUP, "this reply number was used before"),
    # 4.2: without an anchor
    40034100: Entry(A.RATE, "too many messages without a reply to one"),
    40034102: Entry(A.PROACTIVE, "the bot may not write to this user first"),
    40034105: Entry(A.PROACTIVE, "the bot may not write to this group first"),
    40034122: Entry(A.PROACTIVE, "the wake-up message of this period is used"),
    40034123: Entry(A.BUG, "wake-up messages are not supported here"),
    40054013: Entry(A.PROACTIVE, "the user does not take messages that reply to none"),
    # 4.2: faults of the platform
    40034004: Entry(A.RETRY, "QQ could not store the file"),
    FILE_EXPIRED: Entry(A.ONCE, "the uploaded file has expired"),
    304082: Entry(A.RETRY, "QQ could not fetch the file"),
    304083: Entry(A.RETRY, "QQ could not convert the file"),
    40054006: Entry(A.RETRY, "QQ could not check the friendship"),
    340067: Entry(A.ONCE, "QQ could not read the bot's profile"),
    **dict.fromkeys((50055001, 50055002, 50055006), Entry(A.RETRY, "QQ failed and asks to try later")),
    **dict.fromkeys(
        (304007, 304008, 304009, 304010, 304017, 304021, 304029, 304052),
        Entry(A.RETRY, "a look-up or transfer inside QQ failed"),
    ),
    # 4.2: content
    304061: Entry(A.CONTENT, "the content is invalid"),
    40034006: Entry(A.CONTENT, "the content violates QQ's policy"),
    40054007: Entry(A.CONTENT, "the text is too long", fix=Fix.SHORTER),
    40054018: Entry(A.CONTENT, "the text is too long or abnormal", fix=Fix.SHORTER),
    40054010: Entry(
        A.CONTENT, "a URL in it is not registered", f"register the domain {_CONSOLE}, message URLs", Fix.URLS
    ),
    304003: Entry(
        A.CONTENT, "a URL in it is not registered", f"register the domain {_CONSOLE}, message URLs", Fix.URLS
    ),
    40034008: Entry(A.CONTENT, "a template parameter is empty"),
    40034009: Entry(A.CONTENT, "a template parameter holds a line break"),
    40034010: Entry(A.CONTENT, "a template parameter holds markdown"),
    40034011: Entry(A.CONTENT, "the markdown is invalid", fix=Fix.PLAIN),
    40034124: Entry(A.CONTENT, "the markdown's parameters are wrong", fix=Fix.PLAIN),
    40034127: Entry(A.PERM, "the bot may not send this markdown", _PRIVILEGE, Fix.PLAIN),
    304036: Entry(A.PERM, "the bot may not send this markdown", _PRIVILEGE, Fix.PLAIN),
    304057: Entry(A.PERM, "the bot may not send buttons of its own", _PRIVILEGE, Fix.PLAIN),
    304004: Entry(A.PERM, "the bot may not send this card", _PRIVILEGE),
    # 4.2: caller
    40034029: Entry(A.BUG, "too many rows or columns of buttons", fix=Fix.PLAIN),
    305007: Entry(A.BUG, "a button is malformed", fix=Fix.PLAIN),
    304062: Entry(A.BUG, "too many subscription buttons"),
    304064: Entry(A.PERM, "subscriptions are not granted to the bot", _OPEN_API),
    22006: Entry(A.BUG, "the kind of message does not fit its content", fix=Fix.PLAIN),
    50059: Entry(A.BUG, "the typing notice is malformed"),
    340069: Entry(A.BUG, "this kind of message is not possible here"),
    40034106: Entry(A.BUG, "this kind of command is not supported"),
    40034108: Entry(A.BUG, "a command's parameter is too long"),
    40034109: Entry(A.BUG, "a command cannot be read"),
    # 4.2: recipient
    40034101: Entry(A.TARGET, "the bot is not in the group"),
    40054003: Entry(A.TARGET, "the bot is no member of the group"),
    40054002: Entry(A.TARGET, "the bot is muted in the group"),
    40054004: Entry(A.TARGET, "the user has removed the bot"),
    40054016: Entry(A.PERM, "the bot is offline or not published", f"publish the bot {_CONSOLE}"),
    40034125: Entry(A.PERM, "QQ refuses it and does not say why", f"look for a notice {_CONSOLE}"),
    # 4.2: streaming endpoint
    40007: Entry(A.CONTENT, "the text no longer starts with what was delivered"),
    50001: Entry(A.RETRY, "QQ failed inside"),
    50002: Entry(A.RATE, "too many calls"),
    # 4.3: upload
    850018: Entry(A.TARGET, "the bot is muted"),
    850019: Entry(A.CONTENT, "this kind of file is not supported"),
    40034002: Entry(A.CONTENT, "this kind of file is not supported"),
    850026: Entry(A.ONCE, "QQ could not download the file"),
    40034001: Entry(A.ONCE, "QQ could not download the file"),
    850027: Entry(A.RETRY, "QQ's upload timed out"),
    850031: Entry(A.CONTENT, "the file is too large"),
    850012: Entry(A.PERM, "QQ refuses it and does not say why", f"look for a notice {_CONSOLE}"),
    10000: Entry(A.BUG, "not supported"),
    40093001: Entry(A.RETRY, "the uploaded part is not ready"),
    VOLUME_USED_UP: Entry(A.RATE, "today's upload volume is used up"),
    40035007: Entry(A.PERM, "the image store is full", "delete images from the bot's store"),
    40035008: Entry(A.BUG, "the image is not in the store"),
    # 4.4: recall
    **dict.fromkeys(
        (306001, 306002, 306009, 40061001, 40061002), Entry(A.BUG, "there is no such message to recall here")
    ),
    **dict.fromkeys((306003, 306005, 306006, 306010, 50065001), Entry(A.RETRY, "QQ could not recall it")),
    **dict.fromkeys((306004, 306007, 306008, 40062003), Entry(A.PERM, "the bot may not recall this message", _ADMIN)),
    **dict.fromkeys((306011, 40064004), Entry(A.BUG, "it is too late to recall the message")),
    # 4.5: guild era, noteworthy members of the ranges below
    20028: Entry(A.RATE, "too many messages in this channel"),
    50006: Entry(A.BUG, "the message is empty"),
    50035: Entry(A.BUG, "the request is malformed"),
    50045: Entry(A.REPLY_DEAD, "a bot cannot reply to its own message"),
    50054: Entry(A.CONTENT, "the markdown's parameters are wrong", fix=Fix.PLAIN),
    50055: Entry(A.CONTENT, "the markdown is invalid", fix=Fix.PLAIN),
    50056: Entry(A.PERM, "the bot may not send markdown here", _PRIVILEGE, Fix.PLAIN),
    **dict.fromkeys(range(304037, 304041), Entry(A.BUG, "the buttons are refused", fix=Fix.PLAIN)),
    **dict.fromkeys((304006, 304016, 304033, 304044), Entry(A.RETRY, "QQ could not send it")),
    NO_SESSION: Entry(A.RETRY, "QQ takes channel messages only from a bot whose gateway session is live"),
    **dict.fromkeys((304005, 304020), Entry(A.CONTENT, "the content is too large")),
    304019: Entry(A.CONTENT, "@everyone is used up"),
    304025: Entry(A.CONTENT, "the content violates QQ's policy"),
    304023: Entry(A.AUDIT, "QQ reviews the message before it appears"),
    304024: Entry(A.AUDIT, "QQ reviews the reply before it appears"),
    **dict.fromkeys((304031, 304032, 304034), Entry(A.TARGET, "no private chat with this user is open")),
    304022: Entry(A.PROACTIVE, "the bot may not write first at this time of the day"),
    304035: Entry(A.PROACTIVE, "the bot wrote first in too many channels"),
    304045: Entry(A.PROACTIVE, "today's messages without a reply to one are used up in this channel"),
    304046: Entry(A.PROACTIVE, "the channel does not let the bot write first"),
    304047: Entry(A.PROACTIVE, "the bot wrote first in too many channels today"),
    304048: Entry(A.PROACTIVE, "the guild does not let the bot write first"),
    304049: Entry(A.PROACTIVE, "today's messages without a reply to one are used up for this user"),
    304050: Entry(A.PROACTIVE, "today's private messages without a reply to one are used up"),
    302012: Entry(A.RATE, "too many schedules were made today"),
    501014: Entry(A.CONTENT, "the content violates QQ's policy"),
    503004: Entry(A.RATE, "too many posts"),
    **dict.fromkeys((610012, 610013), Entry(A.RATE, "too many requests for a permission")),
    620006: Entry(A.RATE, "too many reactions"),
    620007: Entry(A.RETRY, "QQ asks to try later"),
    **dict.fromkeys((630004, 630005), Entry(A.RETRY, "QQ could not store the acknowledgement")),
    1100100: Entry(A.RATE, "QQ's security limits the bot"),
    1100101: Entry(A.CONTENT, "the content violates QQ's policy"),
    1100103: Entry(A.CONTENT, "the content violates QQ's policy"),
    1100104: Entry(A.TARGET, "the group is gone"),
    1100301: Entry(A.TARGET, "the bot is no member here"),
    1100303: Entry(A.PERM, "only administrators may write here", _ADMIN),
    1100306: Entry(A.PERM, "the channel is private", _ADMIN),
    1100308: Entry(A.RATE, "too many messages in this channel"),
    3300006: Entry(A.CONTENT, "the content violates QQ's policy"),
    # 4.6: newer families; "busy" is the only one that passes by itself
    10044: Entry(A.BUG, "the share link's parameter is wrong"),
    11004: Entry(A.BUG, "the share link's parameter is wrong"),
    40030009: Entry(A.RETRY, "QQ is busy"),
}

RANGES: Final[tuple[tuple[int, int, Entry], ...]] = (
    # 4.5, members that the table above does not name
    (50037, 50057, Entry(A.BUG, "the parts of the message do not go together")),
    (301000, 301099, Entry(A.PERM, "the bot lacks a permission in this channel", _ADMIN)),
    (302000, 302024, Entry(A.BUG, "the schedule is refused")),
    (304003, 304052, Entry(A.BUG, "the message is refused")),
    (501000, 501999, Entry(A.BUG, "the announcement or pin is refused")),
    (502000, 502099, Entry(A.PERM, "the bot may not mute here", _ADMIN)),
    (503001, 503020, Entry(A.BUG, "the forum post is refused")),
    (504000, 504999, Entry(A.RETRY, "QQ could not look up the message settings")),
    (610000, 619999, Entry(A.PERM, "the guild has not granted this API to the bot", _ADMIN)),
    (620001, 620007, Entry(A.BUG, "the reaction is refused")),
    (630001, 630008, Entry(A.BUG, "the acknowledgement is refused")),
    (1000000, 2999999, Entry(A.BUG, "QQ refuses the message")),
    (3000000, 3999999, Entry(A.BUG, "the edit is refused")),
    # 4.6
    (40030001, 40030021, Entry(A.BUG, "the menu or panel is refused")),
)
del A


def find(code: int) -> Entry | None:
    """Look a code up, exact rows before ranges."""
    entry = TABLE.get(code)
    if entry is None:
        entry = next((e for low, high, e in RANGES if low <= code <= high), None)
    return entry


def fix(code: int) -> Fix:
    """Say what may be done once to a content that was refused with this code."""
    entry = find(code)
    return entry.fix if entry else Fix.NONE


def classify(status: int, codes: Iterable[int], *, passive: bool) -> Verdict:
    """Decide what a failed answer means.

    ``codes`` is ``code``, then ``err_code``, as far as the body has them: where the table knows both, the
    first decides, and an exact row wins over a range. ``passive`` says that the request carried an anchor:
    a refusal that means "an anchor is needed" without one then means that this one is unusable. A number too
    large to be stored is none.
    """
    numbers = [code for code in codes if code and abs(code) < LARGEST]
    if status == HTTP_TOO_MANY:
        return Verdict(Action.RATE, next(iter(numbers), 0), "too many calls")
    for code in sorted(numbers, key=lambda number: number not in TABLE):  # stable: exact rows first
        entry = find(code)
        if entry is not None:
            action = _for_anchor(entry.action, code, passive=passive)
            return Verdict(action, code, entry.meaning, entry.remedy, entry.fix)
    return _by_status(status, next(iter(numbers), 0))


def _for_anchor(action: Action, code: int, *, passive: bool) -> Action:
    if passive and action is Action.PROACTIVE:
        return Action.REPLY_DEAD  # QQ did not honour the anchor
    if not passive and action is Action.REPLY_DEAD:
        return Action.RATE if code == LIMIT_EXCEEDED else Action.PROACTIVE
    return action


def _by_status(status: int, code: int) -> Verdict:
    """Decide by HTTP status alone (3.2, 19.19)."""
    action, reason, remedy, repair = Action.BUG, "QQ refuses the request", "", Fix.NONE
    if status in {201, 202}:
        action, reason = Action.AUDIT, "QQ reviews the message before it appears"
    elif status == 401:
        action, reason, remedy = Action.TOKEN, "QQ does not accept the token", _CREDENTIALS
    elif status == 403:
        action, reason = Action.PERM, "access is refused"
        remedy = f"look for a proxy or firewall on the way, then for the bot's permissions {_CONSOLE}"
    elif status in {404, 405}:
        reason, remedy = (
            "QQ does not know this call",
            "compare the API address with QQ's documents",
        )
    elif status == HTTP_TOO_LARGE:
        action, reason, repair = Action.CONTENT, "the request is too large", Fix.SHORTER
    elif status == HTTP_REQUEST_TIMEOUT or not (200 <= status < 300 or 400 <= status < 500):
        action, reason = Action.RETRY, "QQ did not answer as it should"
    return Verdict(action, code, reason, remedy, repair, known=False)
