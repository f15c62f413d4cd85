"""What a message body may hold: the platform's checks of text, markdown, keyboards and guild bodies. Pure.

Sources: protocol.md 10 (bodies), 12 (content), 20 (which code for which check).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard
from urllib.parse import urlsplit

from buoy.sim import keyboards, settings
from buoy.sim.world import TYPING

if TYPE_CHECKING:
    from buoy.sim.keyboards import Rows
    from buoy.sim.world import Bot, Upload, World

TEXT, MARKDOWN, ARK, EMBED, MEDIA = 0, 2, 3, 4, 7  # msg_type (10.1); 6 is the typing notice
_LINK: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s<>\"'()]+")
_BARE_LINK: Final = re.compile(r"(?<![\w@/.-])(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?![\w-])")


class Refusal(NamedTuple):
    """An error answer (3.3): HTTP status, `code`, `err_code`, and text that no client may rely on."""

    status: int
    code: int
    message: str
    err_code: int = 0


def no(code: int, message: str, *, status: int = 400, err_code: int = 0) -> Refusal:
    """Refuse with a code; `err_code` is the same unless told."""
    return Refusal(status, code, message, err_code or code)


class Content(NamedTuple):
    """What will be shown."""

    msg_type: int
    text: str
    file: Upload | None = None
    keyboard: Rows = []  # noqa: RUF012  nobody changes it


def check_v2(world: World, bot: Bot, scene: str, fields: dict[str, Any], now: float) -> Content | Refusal:
    """Check `msg_type` against the body (10.1); absent and null mean the same (3.2)."""
    kind = fields.get("msg_type")
    kind = TEXT if kind is None else kind
    content = fields.get("content")
    content = "" if content is None else content
    if not is_whole(kind) or not isinstance(content, str):
        return no(12002, "msg_type or content has the wrong type")
    present = {
        k
        for k, name in ((MARKDOWN, "markdown"), (ARK, "ark"), (MEDIA, "media"), (TYPING, "input_notify"))
        if fields.get(name) is not None
    }
    if kind == TYPING:
        if scene != "c2c":
            return no(340069, "msg_type invalid for this scene")
        notice = fields.get("input_notify")
        if not isinstance(notice, dict) or not _is_notice(notice):
            return no(50059, "input_notify missing or wrong")
        if present - {TYPING} or content.strip():
            return no(22006, "msg_type does not match the content")
        return Content(TYPING, "")
    if kind not in {TEXT, MARKDOWN, ARK, MEDIA}:
        return no(340069, "msg_type invalid for this scene")
    if present - {kind} or (kind != TEXT and kind not in present):
        return no(22006, "msg_type does not match the content")
    keyboard = fields.get("keyboard")
    if keyboard is not None and kind != MARKDOWN:
        return no(22006, "keyboard needs markdown")
    if kind == TEXT:
        return _text(world, bot, content, 40054010)
    if kind == MARKDOWN:
        if content.strip():
            return no(22006, "markdown and content exclude each other")
        return _with_keyboard(bot, keyboard, _markdown(world, bot, fields["markdown"]))
    if kind == ARK:
        return no(304004, "no privilege for this ark template")
    return _media(bot, scene, fields["media"], content, now)


def _is_notice(notice: dict[str, Any]) -> bool:
    """Typing, or its end, for 1 to 60 seconds (14)."""
    kind, seconds = notice.get("input_type"), notice.get("input_second", 1)
    return is_whole(kind) and kind in {1, 2} and is_whole(seconds) and 1 <= seconds <= settings.TYPING_S


def _with_keyboard(bot: Bot, keyboard: object, content: Content | Refusal) -> Content | Refusal:
    """Put a keyboard under markdown that passed (12.3)."""
    if keyboard is None:
        return content
    rows = keyboards.check(keyboard)
    if rows == keyboards.TOO_MANY:
        return no(keyboards.TOO_MANY, "keyboard rows or columns exceeded")
    if isinstance(rows, int):
        return no(rows, "keyboard style parameter error")
    if rows and not bot.keyboards:
        return no(304057, "custom keyboard not allowed")
    return content if isinstance(content, Refusal) else content._replace(keyboard=rows)


def _media(bot: Bot, scene: str, media: object, content: str, now: float) -> Content | Refusal:
    """A file of this bot and this scene that has not expired (15.1)."""
    info = media.get("file_info") if isinstance(media, dict) else None
    file = bot.uploads.get(info) if isinstance(info, str) else None
    if file is None or file.scene != scene or (file.until is not None and file.until <= now):
        return no(304080, "file_info invalid or expired")
    return Content(MEDIA, content.strip(), file)


def _text(world: World, bot: Bot, content: str, url_code: int) -> Content | Refusal:
    """Length and links of plain text (12.1)."""
    if not content.strip():
        return no(304061, "content is empty")
    if len(content) > world.settings.text_limit:
        return no(40054007, "content too long")
    hosts = []
    if world.settings.check_urls and "://" in content:
        hosts = [urlsplit(link).hostname or "" for link in _LINK.findall(content)]
    if world.settings.bare_urls:
        hosts += _BARE_LINK.findall(content)
        hosts += [m.group() for m in _BARE_LINK.finditer(content)]
    if any(host.lower() not in bot.url_hosts for host in hosts):
        return no(url_code, "url not allowed")
    return Content(TEXT, content)


def _markdown(world: World, bot: Bot, markdown: object) -> Content | Refusal:
    """Exactly one of custom text, template by name, template by number (12.2)."""
    if not isinstance(markdown, dict):
        return no(22006, "markdown is not an object")
    forms = [n for n in ("content", "custom_template_id", "template_id") if markdown.get(n) not in (None, "", 0)]
    if len(forms) > 1:
        return no(50057, "markdown text and template exclude each other")
    if not forms:
        return no(40034011, "invalid markdown")
    if forms[0] != "content":
        return (
            Content(MARKDOWN, f"[template {markdown[forms[0]]}]")
            if bot.templates
            else (no(40034127, "no markdown template privilege"))
        )
    text = markdown["content"]
    if not isinstance(text, str) or not text.strip():
        return no(40034011, "invalid markdown")
    if len(text) > world.settings.text_limit:
        return no(40054007, "content too long")
    return Content(MARKDOWN, text)


def check_guild(world: World, bot: Bot, fields: dict[str, Any]) -> Content | Refusal:
    """Body of guild channel and guild DM messages (10.3)."""
    given = {n for n in ("content", "embed", "ark", "image", "markdown") if fields.get(n) not in (None, "")}
    if not given:
        return no(50006, "message is empty")
    keyboard = fields.get("keyboard")
    if "markdown" in given:
        if given != {"markdown"}:
            return no(50037, "markdown combines only with keyboard")
        return _with_keyboard(bot, keyboard, _markdown(world, bot, fields["markdown"]))
    if keyboard is not None:
        return no(50037, "a keyboard combines only with markdown")
    if "ark" in given:
        return no(304004, "no privilege for this ark template")
    content = fields.get("content")
    if content is None:
        return Content(EMBED, "")
    if not isinstance(content, str):
        return no(12002, "content has the wrong type")
    return _text(world, bot, content, 304003)


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether this is an integer; JSON's true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)
