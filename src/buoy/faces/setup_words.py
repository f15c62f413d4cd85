"""What `buoy setup` says, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buoy.protocol.session import Trouble

# ruff: noqa: RUF001  Chinese has its own punctuation
# fmt: off
WORDS: Final[dict[str, tuple[str, str]]] = {
    "begin": (
        "AppID and AppSecret stand in the console at q.qq.com: your bot, Development, Development settings.",
        "AppID 和 AppSecret 在 q.qq.com 管理端：你的机器人 → 开发 → 开发设置。",
    ),
    "app_id": ("AppID", "AppID"),
    "secret": ("AppSecret (is not shown)", "AppSecret（输入时不显示）"),
    "asking": ("Asking QQ ...", "正在询问 QQ……"),
    "right": ("QQ knows this bot", "QQ 认识这个机器人"),
    "left": ("connections left today", "今天剩余的连接次数"),
    "clock": (
        "This machine's clock is {seconds:.0f} s off; set it right, or replies will be late or refused.",
        "本机时钟偏差 {seconds:.0f} 秒，请校准，否则回复可能过期或被拒绝。",
    ),
    "anyway": ("[a]gain, [w]rite the file all the same, [q]uit", "[a] 重试，[w] 仍然写入，[q] 退出"),
    "agent": (
        "Who answers? echo, openai, http:URL, hermes, acp:PROGRAM, command:PROGRAM or python:MODULE:FUNCTION",
        "由谁回复？echo、openai、http:地址、hermes、acp:程序、command:程序 或 python:模块:函数",
    ),
    "model": ("Model", "模型"),
    "base_url": (
        "Address of an OpenAI-compatible endpoint (empty: OpenAI's own)",
        "OpenAI 兼容接口的地址（留空：OpenAI 官方）",
    ),
    "api_key": (
        "API key (is not shown; empty: from OPENAI_API_KEY)",
        "API Key（输入时不显示；留空：读取 OPENAI_API_KEY）",
    ),
    "data_dir": ("Folder for the database and logs", "数据库和日志的目录"),
    "exists": ("{file} exists; replace it? A copy is kept", "{file} 已存在，要替换吗？会保留一份副本"),
    "kept": ("The old file is kept as {file}.", "旧文件已保存为 {file}。"),
    "wrote": ("Wrote {file}; only you can read it.", "已写入 {file}，只有你能读取。"),
    "traps": ("What the console has in store:", "管理端里常见的坑："),
    "trap_ip": (
        "IP allowlist: if it is on, this machine's public address must be in it, or QQ refuses everything (11298).",
        "IP 白名单：若已开启，必须包含本机的公网地址，否则 QQ 拒绝一切请求（11298）。",
    ),
    "trap_sandbox": (
        "Sandbox: an unpublished bot hears only the members and groups that are enrolled in its sandbox.",
        "沙箱：未发布的机器人只能收到沙箱里登记的成员和群的消息。",
    ),
    "trap_intents": (
        "Events: private chats and @-messages need no approval; all messages of a group do (Buoy runs without them).",
        "事件：私聊和 @ 消息无需申请；群内全部消息需要申请（没有也能运行）。",
    ),
    "trap_urls": (
        "Links: QQ refuses texts with links to domains that are not in the console's message URL list.",
        "链接：消息里的域名必须在管理端的“消息 URL 配置”里登记，否则 QQ 拒绝该消息。",
    ),
    "trap_socket": (
        "One AppID, one program: stop whatever else is connected with this AppID, and choose WebSocket, not webhook.",
        "一个 AppID 只接一个程序：停掉其他使用它的程序；事件方式选 WebSocket，不要选 Webhook。",
    ),
    "next": ("Next:", "接下来："),
    "next_run": ("connect, and write to the bot on QQ", "连接，然后在 QQ 上给机器人发消息"),
    "next_status": ("how it is", "查看状态"),
    "next_install": ("start it with the machine (systemd)", "随系统启动（systemd）"),
}
TROUBLES: Final[dict[Trouble, tuple[str, str]]] = {
    Trouble.SECRET: (
        "QQ refuses this pair of AppID and AppSecret (100016): copy both again; a reset voids the old secret.",
        "QQ 拒绝这对 AppID 和 AppSecret（100016）：请重新复制；重置过的密钥会使旧密钥失效。",
    ),
    Trouble.APP: (
        "QQ does not know this AppID: compare it with the console; the bot may be deleted or banned.",
        "QQ 不认识这个 AppID：请与管理端核对；机器人可能已被删除或封禁。",
    ),
    Trouble.IP: (
        "AppID and AppSecret are right, but this machine's address is not on the bot's IP allowlist (11298): add it.",
        "AppID 和 AppSecret 正确，但本机地址不在 IP 白名单里（11298）：请在管理端加入公网地址，或关闭白名单。",
    ),
    Trouble.BANNED: (
        "AppID and AppSecret are right, but QQ lets this bot do nothing: read the notice in the console.",
        "AppID 和 AppSecret 正确，但 QQ 不允许这个机器人做任何事：请查看管理端的通知。",
    ),
    Trouble.RATE: (
        "QQ has been asked too often for this AppID: wait a minute, or another program uses it.",
        "这个 AppID 请求过于频繁：请等一分钟，或者有别的程序正在使用它。",
    ),
    Trouble.TOKEN: (
        "QQ does not accept the token that it has just issued: try again in a minute.",
        "QQ 不接受刚刚签发的令牌：请一分钟后再试。",
    ),
    Trouble.TRANSIENT: (
        "QQ cannot be reached from here: check network, DNS and proxy (HTTPS_PROXY).",
        "从这里无法连接 QQ：请检查网络、DNS 和代理（HTTPS_PROXY）。",
    ),
}
# fmt: on


def is_chinese(environ: Mapping[str, str]) -> bool:
    """Whether the terminal's user reads Chinese, as the locale says."""
    said = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return said.lower().startswith("zh")


def word(name: str, environ: Mapping[str, str], **values: object) -> str:
    """Give one text in the user's language."""
    return WORDS[name][is_chinese(environ)].format(**values)


def trouble(kind: Trouble, environ: Mapping[str, str]) -> str:
    """What is wrong, in words; the platform's own reason stands behind it."""
    return TROUBLES.get(kind, TROUBLES[Trouble.TRANSIENT])[is_chinese(environ)]
