"""A message as JSON, for agents that run in a process of their own."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Final

from buoy.chat import Attachment, Button, Exchange, Message, Reply, Sender

# What is left out first where the whole would be too long; the text goes over stdin as well.
EXPENDABLE: Final = ("raw", "history", "quoted", "text", "attachments")


def encode(message: Message, limit: int | None = None) -> str:
    """Write a message as one line of ASCII, with the names of :class:`buoy.chat.Message`'s fields.

    ``limit`` bounds its length: expendable fields are then left out, one by one, and named under ``omitted``.
    """
    document = {item.name: getattr(message, item.name) for item in fields(message) if item.name != "line"}
    omitted: list[str] = []
    for name in (*EXPENDABLE, None):
        try:
            text = json.dumps({**document, "omitted": omitted} if omitted else document, default=_plain)
        except (RecursionError, ValueError):  # nested too deep, or in a circle: only `raw` can be
            text = None
        if text is not None and (limit is None or len(text) <= limit):
            return text
        if name is None:
            break
        del document[name]
        omitted.append(name)
    raise ValueError(f"a message of {limit} bytes without its texts")  # ids are short


def decode(text: str | bytes) -> Message:
    """Read what :func:`encode` wrote."""
    document: dict[str, Any] = json.loads(text)
    document.pop("omitted", None)
    document["sender"] = Sender(**document["sender"])
    document["attachments"] = tuple(Attachment(**file) for file in document.get("attachments", ()))
    document["history"] = tuple(Exchange(**past) for past in document.get("history", ()))
    document["delivered"] = tuple(document.get("delivered", ()))
    return Message(**document)


def reply_of(document: dict[str, Any]) -> Reply:
    """Read a reply that was written with its fields' names."""
    rows = tuple(tuple(Button(**one) for one in row) for row in document.pop("buttons", ()))
    return Reply(**document, buttons=rows)


def _plain(value: Any) -> Any:
    """Give a dataclass as a dictionary, and anything else that JSON does not know as text."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
