"""What the verdicts about a bot's session mean, in both languages."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from typing import Final

from buoy.faces.doctor.text import Text
from buoy.faces.doctor.verdicts import Verdict

V = Verdict
TEXTS: Final[dict[V, dict[str, Text]]] = {
    V.BANNED: {
        "en": Text(
            "The bot is banned",
            "QQ closes every connection (4915) and refuses every message.",
            "Read the notice in the console at q.qq.com and appeal there. Buoy looks every 15 minutes.",
        ),
        "zh": Text(
            "机器人被封禁",
            "QQ 关闭每个连接（4915），拒绝每条消息。",
            "阅读 q.qq.com 控制台的通知并申诉。Buoy 每 15 分钟看一次。",
        ),
    },
    V.TAKEN_DOWN: {
        "en": Text(
            "The bot was taken down; only its sandbox may connect",
            "QQ closes every connection (4914): the bot is not published, or not any more.",
            "Publish it in the console at q.qq.com, or set QQ_API_BASE to the sandbox while it is in development.",
        ),
        "zh": Text(
            "机器人已下架，只有沙箱可以连接",
            "QQ 关闭每个连接（4914）：机器人没有上线，或已被下线。",
            "在 q.qq.com 控制台发布上线；开发期间可把 QQ_API_BASE 设为沙箱。",
        ),
    },
    V.INTENTS: {
        "en": Text(
            "QQ refuses the event groups that the bot asks for",
            "An intent is not granted to this bot (4013, 4014): direct messages, full guild messages, interactions and"
            " group members need an approval.",
            "Take the group out of bots.intents, or apply for it in the console at q.qq.com. Group and c2c messages are"
            " the minimum.",
        ),
        "zh": Text(
            "QQ 拒绝机器人订阅的事件",
            "有的 intent 没有授予这个机器人（4013、4014）：私信、频道全量消息、互动、群成员需要审批。",
            "把它从 bots.intents 中去掉，或在 q.qq.com 控制台申请。群聊和单聊消息是最低要求。",
        ),
    },
    V.INTENTS_FEWER: {
        "en": Text(
            "The bot works without some event groups",
            "QQ refused them, and Buoy asked for less: those events do not arrive.",
            "Apply for them in the console at q.qq.com, or take them out of bots.intents. Buoy asks again each day.",
        ),
        "zh": Text(
            "机器人缺少一部分事件仍在工作",
            "QQ 拒绝了它们，Buoy 便少要了一些：这些事件收不到。",
            "在 q.qq.com 控制台申请，或从 bots.intents 中去掉。Buoy 每天会再试一次。",
        ),
    },
    V.IDENTIFY_REFUSED: {
        "en": Text(
            "QQ refuses the login and does not say why",
            "Most often an intent that is not granted; else the IP allowlist, or a bot that is not published.",
            "Set bots.intents to group and c2c messages only and try again; then look at allowlist and notices in the"
            " console at q.qq.com.",
        ),
        "zh": Text(
            "QQ 拒绝登录且不说明原因",
            "最常见的是未授予的 intent；其次是 IP 白名单，或机器人未上线。",
            "把 bots.intents 设为只含群聊和单聊消息再试；然后查看 q.qq.com 控制台的白名单和通知。",
        ),
    },
    V.WEBSOCKET: {
        "en": Text(
            "The WebSocket cannot be opened, while QQ's API answers",
            "The gateway's host or the upgrade fails: a proxy or firewall that does not pass WebSockets, or"
            " QQ's gateway.",
            "Let the proxy pass WebSockets (CONNECT to port 443), or go around it with NO_PROXY. Otherwise wait.",
        ),
        "zh": Text(
            "WebSocket 打不开，而 QQ 的 API 有应答",
            "网关主机或升级失败：代理或防火墙不放行 WebSocket，或 QQ 网关故障。",
            "让代理放行 WebSocket（CONNECT 到 443 端口），或用 NO_PROXY 绕开。否则等待。",
        ),
    },
    V.NO_HELLO: {
        "en": Text(
            "The gateway is silent after the connection is open",
            "No HELLO came: QQ's gateway is overloaded, or a proxy holds the frames back.",
            "Wait: Buoy keeps trying. If it lasts, go around the proxy.",
        ),
        "zh": Text(
            "连接打开后网关没有声音",
            "没有等到 HELLO：QQ 网关过载，或代理扣住了数据帧。",
            "等待：Buoy 会一直重试。若持续，绕开代理。",
        ),
    },
    V.NO_READY: {
        "en": Text(
            "The gateway does not answer the login",
            "IDENTIFY or RESUME left, and neither READY nor a refusal came. Each try costs one of 1,000 logins a day.",
            "Wait: Buoy spaces its tries. If it lasts for hours, reset the secret, and report it to QQ.",
        ),
        "zh": Text(
            "网关不应答登录",
            "IDENTIFY 或 RESUME 已发出，既没有 READY 也没有拒绝。每次尝试要用掉每天 1000 次登录中的一次。",
            "等待：Buoy 会拉开间隔。若持续数小时，重置密钥并向 QQ 反馈。",
        ),
    },
    V.NO_ACKS: {
        "en": Text(
            "QQ does not acknowledge heartbeats",
            "The connection looks open and is dead: a zombie. Buoy replaces it after two missing ACKs.",
            "Wait: it heals by itself. If it comes back, look for a router or proxy that drops idle connections.",
        ),
        "zh": Text(
            "QQ 不确认心跳",
            "连接看似打开，其实已死。两次没有确认后 Buoy 会更换它。",
            "等待：它会自行恢复。若反复出现，查找会断开空闲连接的路由器或代理。",
        ),
    },
    V.CLOSING: {
        "en": Text(
            "QQ ends the connection again and again",
            "It is opened, and closed soon after; the line has QQ's close code.",
            "Look for another program with this AppID, then for proxies that cut connections. Otherwise wait: Buoy"
            " keeps trying, slower each time.",
        ),
        "zh": Text(
            "QQ 反复断开连接",
            "连接打开后不久就被关闭；该行有 QQ 的关闭码。",
            "先查找使用同一 AppID 的其他程序，再查找会切断连接的代理。否则等待：Buoy 会以越来越慢的节奏重试。",
        ),
    },
    V.BUDGET: {
        "en": Text(
            "No login is left today",
            "QQ allows 1,000 IDENTIFYs in 24 hours, and they are used up; a session that can be resumed needs none.",
            "Find what spent them (another program, a crash loop), and wait for the reset. Do not restart Buoy.",
        ),
        "zh": Text(
            "今天没有登录次数了",
            "QQ 每 24 小时允许 1000 次 IDENTIFY，已经用完；可以恢复的会话不需要它。",
            "找出是什么用掉的（其他程序、崩溃循环），等待重置。不要重启 Buoy。",
        ),
    },
    V.BUDGET_LOW: {
        "en": Text(
            "Few logins are left today",
            "Something spends IDENTIFYs; at none, the bot stays away until the reset. Buoy makes the rest last.",
            "Look for another program with this AppID, and for a Buoy that restarts in a loop.",
        ),
        "zh": Text(
            "今天的登录次数所剩不多",
            "有东西在消耗 IDENTIFY；用完后机器人要等到重置才能回来。Buoy 会省着用。",
            "查找使用同一 AppID 的其他程序，以及循环重启的 Buoy。",
        ),
    },
    V.SHARD: {
        "en": Text(
            "QQ refuses the shard",
            "bots.shard does not fit (4010).",
            "Set bots.shard to [0, 1], or so that the index is below the count.",
        ),
        "zh": Text(
            "QQ 拒绝分片设置",
            "bots.shard 不合适（4010）。",
            "把 bots.shard 设为 [0, 1]，或使序号小于总数。",
        ),
    },
    V.SHARDS: {
        "en": Text(
            "The bot is in too many guilds for one connection",
            "QQ asks for more shards (4011).",
            "Raise the count in bots.shard, and run one Buoy for each index.",
        ),
        "zh": Text(
            "机器人所在的频道太多，一个连接不够",
            "QQ 要求更多分片（4011）。",
            "提高 bots.shard 的总数，每个序号运行一个 Buoy。",
        ),
    },
    V.VERSION: {
        "en": Text(
            "QQ does not serve this protocol any more",
            "The gateway refuses the version that this Buoy speaks (4012).",
            "Update Buoy.",
        ),
        "zh": Text(
            "QQ 不再支持这个协议版本",
            "网关拒绝了这个 Buoy 所用的版本（4012）。",
            "升级 Buoy。",
        ),
    },
    V.NONSENSE: {
        "en": Text(
            "QQ did not understand what Buoy sent",
            "A fault of Buoy's, or of something in between that changes frames (4001, 4002).",
            "Update Buoy; if that does not help, report it with the output of `buoy doctor --json`.",
        ),
        "zh": Text(
            "QQ 看不懂 Buoy 发送的内容",
            "是 Buoy 的缺陷，或中间有东西改动了数据帧（4001、4002）。",
            "升级 Buoy；若无效，请附上 `buoy doctor --json` 的输出报告。",
        ),
    },
    V.SANDBOX: {
        "en": Text(
            "The bot talks to QQ's sandbox",
            "Only users, groups and guilds that are entered as sandbox members reach it; guild private messages do not"
            " arrive there.",
            "Enter the people as sandbox members in the console at q.qq.com, or remove QQ_API_BASE to go to"
            " production.",
        ),
        "zh": Text(
            "机器人连接的是 QQ 沙箱",
            "只有登记为沙箱成员的用户、群和频道能联系到它；频道私信在那里收不到。",
            "在 q.qq.com 控制台登记沙箱成员，或去掉 QQ_API_BASE 以使用正式环境。",
        ),
    },
}
