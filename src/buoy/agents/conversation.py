"""A message and what went before it, as messages for a chat model. Pure.

How large a text is for a model is estimated, see :func:`tokens`: each model counts in its own way, and for where
history ends a guess that is rather too high is good enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from buoy.chat import Exchange, Message, span
from buoy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDE: Final = 0x2E80  # from here on in Unicode: Chinese, Japanese, Korean, and most emoji
NARROW_A_TOKEN: Final = 3  # characters of other scripts; English has four, code and numbers fewer
EACH: Final = 4  # tokens around each message, as the makers of such models say
GO_ON: Final = (
    "[The connection broke here, and everything above has arrived. Go on exactly behind your last word: "
    "repeat nothing, announce nothing. If the answer was complete already, write nothing.]"
)


def conversation(
    message: Message,
    system: str,
    history: Sequence[Exchange] = (),
    *,
    pictures: Sequence[str] = (),
    so_far: str = "",
) -> list[dict[str, Any]]:
    """Write a message behind its history for the endpoint; no blank ones.

    ``pictures`` are addresses or data URLs of what is shown; ``so_far`` is what the answer begins with already: the
    model is asked for the rest.
    """
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": system})
    for past in history:
        if past.text.strip():
            messages.append({"role": "user", "content": past.text})
        if past.answer.strip():
            messages.append({"role": "assistant", "content": past.answer})
    asked = question(message)
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    messages.append({"role": "user", "content": [{"type": "text", "text": asked}, *shown] if shown else asked})
    if so_far.strip():
        messages.append({"role": "assistant", "content": so_far.rstrip()})
        messages.append({"role": "user", "content": GO_ON})
    return messages


def question(message: Message) -> str:
    """Write what is asked as one text: its age where it is late, what it quotes, itself, what is attached."""
    parts = [f"[written {span(message.late_s)} ago, answered only now]"] if message.late_s else []
    parts += [f"> {line}" for line in message.quoted.splitlines()]
    parts += [message.text] if message.text.strip() else []
    parts += [file.label for file in message.attachments]
    return "\n".join(parts) or "(empty message)"


def newest(history: Sequence[Exchange], turns: int, limit: int | None) -> Sequence[Exchange]:
    """Give the newest ``turns`` of a history, and of these as many as fit into ``limit`` tokens."""
    kept = list(history[-turns:]) if turns else []
    if limit is None:
        return kept
    for at in range(len(kept) - 1, -1, -1):
        limit -= tokens(kept[at].text) + tokens(kept[at].answer)
        if limit < 0:
            return kept[at + 1 :]
    return kept


def tokens(text: str) -> int:
    """Estimate a text's tokens: one for each Chinese character and its like, one for three others, four around it."""
    wide = sum(ord(one) >= WIDE for one in text)
    return EACH + wide + -(-(len(text) - wide) // NARROW_A_TOKEN)


def system_for(conversation: str, prompts: Mapping[str, str], default: str) -> str:
    """Give the system prompt of a conversation: its own, else its scene's, else the default."""
    lane = conversation.partition("@")[0]
    scene = ":".join(lane.split(":")[:2])
    return next((prompts[name] for name in (conversation, lane, scene) if name in prompts), default)


def check_prompts(prompts: Mapping[str, str]) -> None:
    """Refuse names that no conversation has.

    Raises:
        ConfigError: one line that says what a name looks like.
    """
    for name in prompts:
        if ":" not in name or not all(name.split(":", 2)):
            raise ConfigError(
                f"bots.agent.prompts: {name[:80]!r} is no conversation and no scene; write for example "
                '"qq:group:<group_openid>" = "...", or "qq:c2c" = "..." for all private chats'
            )
