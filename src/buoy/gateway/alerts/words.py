"""What each alert says, in the operator's language: the catalog from which notices and the operations guide are made.

``{subject}`` is the bot or task, ``{detail}`` what the rule found out. `CAUSES` says what the platform names.
"""

# ruff: noqa: E501, RUF001  a sentence stands on one line; Chinese has punctuation of its own

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Language = Literal["zh", "en"]


class Text(NamedTuple):
    """One alert: its title, what was found, what that means, and what to do."""

    title: str
    cause: str
    means: str
    do: str


class Cause(NamedTuple):
    """Why a bot is not connected. ``do`` is empty where Buoy gets over it by itself."""

    says: str
    do: str = ""


# fmt: off
WORDS: Final[dict[str, dict[Language, Text]]] = {
    "down": {
        "en": Text(
            "Bot {subject} is not connected",
            "{detail}",
            "QQ does not reach this bot. Buoy tries again by itself, without end; what waits to be sent is kept.",
            "Look at the cause. If it is the network: is this machine online, do DNS and proxy work? `buoy doctor` looks.",
        ),
        "zh": Text(
            "机器人 {subject} 掉线",
            "{detail}",
            "QQ 联系不上这个机器人。Buoy 会一直自动重连；要发送的内容都保存着。",
            "先看原因。如果是网络：这台机器能上网吗？DNS、代理正常吗？可以运行 `buoy doctor` 检查。",
        ),
    },
    "blocked": {
        "en": Text(
            "Bot {subject}: QQ refuses it until a person acts",
            "{detail}",
            "No retry heals this. Buoy asks QQ again every few minutes and connects by itself once it is put right.",
            "Follow the remedy in the cause; the console is at q.qq.com. `buoy doctor` names what it finds.",
        ),
        "zh": Text(
            "机器人 {subject}：被 QQ 拒绝，需要人工处理",
            "{detail}",
            "重试解决不了。Buoy 每隔几分钟再问一次 QQ，处理好之后会自动连上，不用重启。",
            "按原因里的办法处理；管理后台在 q.qq.com。`buoy doctor` 会说明它查到的问题。",
        ),
    },
    "credentials": {
        "en": Text(
            "Bot {subject}: QQ refuses the AppID and secret",
            "{detail}",
            "The secret was changed or mistyped. Nothing is received or sent until it is right.",
            "Copy AppID and AppSecret again from the console (q.qq.com), put them into the settings and restart Buoy.",
        ),
        "zh": Text(
            "机器人 {subject}：QQ 不认 AppID 和密钥",
            "{detail}",
            "密钥被重置过，或者填错了。改对之前收不到也发不出消息。",
            "到管理后台（q.qq.com）重新复制 AppID 和 AppSecret，写进设置，然后重启 Buoy。",
        ),
    },
    "ip_allowlist": {
        "en": Text(
            "Bot {subject}: this machine's address is not on QQ's IP allowlist",
            "{detail}",
            "The public address has changed, or was never listed. Buoy connects by itself once it is on the list.",
            "Add this machine's public address to the bot's IP allowlist in the console (q.qq.com), or turn the list off.",
        ),
        "zh": Text(
            "机器人 {subject}：本机地址不在 QQ 的 IP 白名单里",
            "{detail}",
            "公网地址变了，或者从没加过。加进白名单之后 Buoy 会自动连上。",
            "到管理后台（q.qq.com）把本机的公网 IP 加进机器人的 IP 白名单，或者关闭白名单。",
        ),
    },
    "dead_letter": {
        "en": Text(
            "Bot {subject}: a message could not be delivered",
            "{detail}",
            "It ended as a dead letter: its reader has not got it. It is kept, with its reason.",
            "`buoy deadletter` lists them; put the cause right, then `buoy deadletter retry out/N`, or drop it.",
        ),
        "zh": Text(
            "机器人 {subject}：有消息送不出去",
            "{detail}",
            "它成了死信：对方没有收到。内容和原因都保存着。",
            "`buoy deadletter` 列出死信；解决原因后执行 `buoy deadletter retry out/编号`，或者 drop 放弃。",
        ),
    },
    "unsure_letter": {
        "en": Text(
            "Bot {subject}: nobody knows whether a message arrived",
            "{detail}",
            "It left, and no answer came. It is at QQ at most once; Buoy does not send it again, lest it shows up twice.",
            "Look into the conversation. If it is missing: `buoy deadletter retry out/N`; if it is there: drop it.",
        ),
        "zh": Text(
            "机器人 {subject}：有消息不知道送到没有",
            "{detail}",
            "请求发出了，但没有回音。QQ 那边最多有一份；为了不重复，Buoy 不再自动重发。",
            "到会话里看一眼。没有：`buoy deadletter retry out/编号`；已经有了：drop 放弃。",
        ),
    },
    "refused_letter": {
        "en": Text(
            "Bot {subject}: a message is held back",
            "{detail}",
            "QQ did not take it now: a reply window or quota is used up, a permission or the IP allowlist is missing. "
            "It goes out with the next message of its conversation.",
            "Nothing, where it is a window or a quota. A missing permission or address: add it in the console (q.qq.com).",
        ),
        "zh": Text(
            "机器人 {subject}：有消息被暂存",
            "{detail}",
            "QQ 现在不收：回复时限或额度用完了，或者缺权限、IP 不在白名单。对方下次发消息时会一起送出。",
            "时限或额度：不用处理。缺权限或白名单：到管理后台（q.qq.com）补上。",
        ),
    },
    "dead_turn": {
        "en": Text(
            "Bot {subject}: a message got no answer",
            "{detail}",
            "The agent failed on it again and again, or took too long. It is set aside so that the others go on.",
            "`buoy deadletter` lists them, `buoy trace in/N` tells the story. Mend the agent, then "
            "`buoy deadletter retry in/N`.",
        ),
        "zh": Text(
            "机器人 {subject}：有消息没有得到回答",
            "{detail}",
            "智能体处理它反复失败或超时。它被放到一边，其他消息照常处理。",
            "`buoy deadletter` 列出它们，`buoy trace in/编号` 说明经过。修好智能体后执行 `buoy deadletter retry in/编号`。",
        ),
    },
    "gap": {
        "en": Text(
            "Bot {subject}: messages may be lost at QQ",
            "{detail}",
            "The session could not be continued. QQ does not send again what came between the two sessions.",
            "Nothing brings them back. `buoy status` tells from when to when; ask whoever wrote then.",
        ),
        "zh": Text(
            "机器人 {subject}：QQ 那边可能丢了消息",
            "{detail}",
            "会话没能接续。两个会话之间的消息 QQ 不会补发。",
            "补不回来。`buoy status` 显示从何时到何时；可以问问那段时间发过消息的人。",
        ),
    },
    "held_too_long": {
        "en": Text(
            "Messages have been held back for long",
            "{detail} are held back",
            "They wait for the next message of their conversation. After some days they end as dead letters.",
            "`buoy outbox list --state held` tells why each waits. Ask the reader to write to the bot, or drop them.",
        ),
        "zh": Text(
            "有消息暂存了很久",
            "暂存 {detail} 条",
            "它们在等对方下一次发消息。过几天还没等到就会成为死信。",
            "`buoy outbox list --state held` 说明每条的原因。请对方给机器人发条消息，或者放弃它们。",
        ),
    },
    "queue_letters": {
        "en": Text(
            "Messages wait to be sent for too long",
            "{detail} wait",
            "They do not get through to QQ, or QQ slows the bot down. They are kept and sent as soon as it goes on.",
            "`buoy status` names the reason; `buoy doctor` looks at network, proxy and credentials.",
        ),
        "zh": Text(
            "待发送的消息等得太久",
            "{detail} 条在等",
            "到不了 QQ，或者被 QQ 限速。消息都保存着，一恢复就发送。",
            "`buoy status` 显示原因；`buoy doctor` 检查网络、代理和密钥。",
        ),
    },
    "queue_turns": {
        "en": Text(
            "Received messages wait for an answer for too long",
            "{detail} wait",
            "The agent is slow or stands still, or more comes in than it can answer. They are kept in order.",
            "`buoy inbox list --state running` tells what runs. Look at the agent; raise `turns.parallel` if it can take more.",
        ),
        "zh": Text(
            "收到的消息等回答等得太久",
            "{detail} 条在等",
            "智能体太慢、卡住了，或者消息比它能答的多。消息按顺序保存着。",
            "`buoy inbox list --state running` 显示正在处理什么。检查智能体；它还有余力就调大 `turns.parallel`。",
        ),
    },
    "cannot_send": {
        "en": Text(
            "Bot {subject} receives but cannot send",
            "{detail}",
            "The connection is up, yet requests to QQ's API do not get through. Answers wait and are kept.",
            "`buoy doctor` looks at the API's name, proxy, certificate, credentials and allowlist.",
        ),
        "zh": Text(
            "机器人 {subject} 能收不能发",
            "{detail}",
            "连接正常，但到 QQ 接口的请求不通。回答都保存着。",
            "`buoy doctor` 检查接口域名、代理、证书、密钥和白名单。",
        ),
    },
    "identify_budget": {
        "en": Text(
            "Bot {subject}: few logins are left for today",
            "{detail} of 1000 are left",
            "QQ counts each new session. Without any left the bot stays away until the day is over; resuming is free.",
            "Find out why sessions are lost: `buoy status` and the log tell the causes. Does another program use this AppID?",
        ),
        "zh": Text(
            "机器人 {subject}：今天的登录次数快用完了",
            "1000 次只剩 {detail} 次",
            "每个新会话 QQ 都计数。用完之后当天连不上；续接会话不计数。",
            "找出会话为什么断：看 `buoy status` 和日志里的原因。是不是有别的程序在用同一个 AppID？",
        ),
    },
    "disk": {
        "en": Text(
            "The disk is almost full",
            "{detail} MB are free",
            "Once it is full nothing can be stored, and Buoy takes no message that it cannot store.",
            "Free space on the disk that holds `data_dir`, or move `data_dir`.",
        ),
        "zh": Text(
            "磁盘快满了",
            "还剩 {detail} MB",
            "满了之后什么都存不下，而存不下的消息 Buoy 不会接收。",
            "清理 `data_dir` 所在的磁盘，或者把 `data_dir` 移到别处。",
        ),
    },
    "store": {
        "en": Text(
            "Nothing can be stored",
            "{detail}",
            "The disk refuses or does not answer. Buoy receives and sends nothing that it cannot store; it tries again.",
            "Free space; look at the disk's health (dmesg) and at who else uses it. Buoy goes on by itself.",
        ),
        "zh": Text(
            "无法保存数据",
            "{detail}",
            "磁盘拒绝写入或没有响应。存不下的消息 Buoy 不接收也不发送；它会一直重试。",
            "清理空间；检查磁盘健康（dmesg）以及谁在占用它。恢复后 Buoy 自动继续。",
        ),
    },
    "agent_away": {
        "en": Text(
            "Bot {subject}: its agent cannot be reached",
            "{detail}",
            "The service behind the agent is off, refuses everybody or asks to slow down. Messages wait, none is lost.",
            "Start the service, or check its address, key and quota. Waiting messages are answered in order.",
        ),
        "zh": Text(
            "机器人 {subject}：联系不上智能体",
            "{detail}",
            "智能体背后的服务没开、拒绝所有请求或要求降速。消息都在等，不会丢。",
            "启动该服务，或检查它的地址、密钥和额度。等待的消息会按顺序得到回答。",
        ),
    },
    "agent_failing": {
        "en": Text(
            "The agent fails more often than it answers",
            "failed/answered in a quarter of an hour: {detail}",
            "Each message is tried several times; those that keep failing become dead letters.",
            "The log has each failure (`turn failed`). Mend the agent; `buoy deadletter retry` brings messages back.",
        ),
        "zh": Text(
            "智能体失败多于成功",
            "一刻钟内 失败/回答：{detail}",
            "每条消息会试几次；一直失败的成为死信。",
            "日志里有每次失败（`turn failed`）。修好智能体；`buoy deadletter retry` 可以找回消息。",
        ),
    },
    "restarts": {
        "en": Text(
            "A part of Buoy keeps failing: {subject}",
            "restarts in an hour: {detail}",
            "Buoy starts it again each time, but it does not last.",
            "This is a fault of Buoy's or of its surroundings: please report it with the log lines `service failed`.",
        ),
        "zh": Text(
            "Buoy 的一个部分反复失败：{subject}",
            "一小时内重启次数：{detail}",
            "每次 Buoy 都重新启动它，但撑不久。",
            "这是 Buoy 或运行环境的问题：请带上日志里的 `service failed` 报告给我们。",
        ),
    },
    "slow_loop": {
        "en": Text(
            "Buoy is held up",
            "{detail} s behind",
            "Something blocks the process: an agent with blocking code, or a machine out of breath. All bots are slow.",
            'Set `isolation = "process"` for a Python agent that may block; look at the machine\'s load.',
        ),
        "zh": Text(
            "Buoy 被拖慢了",
            "落后 {detail} 秒",
            "有东西堵住了进程：会阻塞的智能体代码，或者机器不堪重负。所有机器人都会变慢。",
            '会阻塞的 Python 智能体请设置 `isolation = "process"`；看看机器的负载。',
        ),
    },
}

CAUSES: Final[dict[str, dict[Language, Cause]]] = {
    "starting": {"en": Cause("it has not connected since the start"), "zh": Cause("启动后还没有连上")},
    "unreachable": {"en": Cause("QQ cannot be reached"), "zh": Cause("连不上 QQ")},
    "rate": {"en": Cause("QQ was asked too often"), "zh": Cause("请求 QQ 太频繁")},
    "token": {"en": Cause("QQ does not accept the token"), "zh": Cause("QQ 不接受令牌")},
    "no hello": {"en": Cause("QQ's gateway does not greet"), "zh": Cause("QQ 网关没有问候")},
    "no ready": {"en": Cause("QQ's gateway does not answer the login"), "zh": Cause("QQ 网关没有回应登录")},
    "store": {"en": Cause("nothing can be stored here"), "zh": Cause("本机无法保存数据")},
    "zombie": {"en": Cause("heartbeats are not answered"), "zh": Cause("心跳没有回应")},
    "closed": {"en": Cause("QQ closed the connection"), "zh": Cause("QQ 关闭了连接")},
    "reconnect": {"en": Cause("QQ asked for a new connection"), "zh": Cause("QQ 要求重新连接")},
    "invalid session": {"en": Cause("QQ has forgotten the session"), "zh": Cause("QQ 已忘记会话")},
    "identify refused": {"en": Cause("QQ refuses the login"), "zh": Cause("QQ 拒绝登录")},
    "futile resumes": {"en": Cause("the session resumes and breaks again"), "zh": Cause("会话接上又断")},
    "session aged": {"en": Cause("an old session is replaced"), "zh": Cause("正在更换旧会话")},
    "no events": {"en": Cause("no events came for too long"), "zh": Cause("太久没有收到事件")},
    "asking for intents": {"en": Cause("refused events are asked for again"), "zh": Cause("重新申请被拒的事件")},
    "settings changed": {"en": Cause("the settings changed"), "zh": Cause("设置变了")},
    "unready identify": {"en": Cause("the process ended during a login"), "zh": Cause("登录途中进程结束了")},
    "identify budget": {
        "en": Cause("today's logins are used up", "Buoy waits until there are some; see why sessions are lost"),
        "zh": Cause("今天的登录次数用完了", "等次数恢复后自动连上；请查会话为什么断"),
    },
    "secret": {"en": Cause("QQ refuses AppID and secret"), "zh": Cause("QQ 不认 AppID 和密钥")},
    "ip": {"en": Cause("this address is not on the IP allowlist"), "zh": Cause("本机地址不在 IP 白名单里")},
    "app": {
        "en": Cause("QQ does not know this AppID", "compare it with the console; does the bot still exist?"),
        "zh": Cause("QQ 不认识这个 AppID", "和管理后台核对；机器人还在吗？"),
    },
    "taken down": {
        "en": Cause("the bot was taken down", "publish it in the console, or point QQ_API_BASE to the sandbox"),
        "zh": Cause("机器人已下架，只有沙箱可用", "在管理后台发布，或把 QQ_API_BASE 指向沙箱"),
    },
    "banned": {
        "en": Cause("the bot is banned", "read the notice in the console and appeal there"),
        "zh": Cause("机器人被封禁", "看管理后台的通知并申诉"),
    },
    "intents": {
        "en": Cause("QQ grants none of the events", "apply for group and c2c messages in the console"),
        "zh": Cause("需要的事件 QQ 一个都没批准", "在管理后台申请群聊和单聊消息"),
    },
    "shard": {
        "en": Cause("QQ refuses the shard", "correct `bots.shard`"),
        "zh": Cause("QQ 拒绝这个分片", "改正 `bots.shard`"),
    },
    "too few shards": {
        "en": Cause("QQ wants more shards", "raise the count in `bots.shard`"),
        "zh": Cause("QQ 要求更多分片", "调大 `bots.shard` 的总数"),
    },
    "version": {
        "en": Cause("QQ no longer takes this protocol version", "install the newest Buoy"),
        "zh": Cause("QQ 不再支持这个协议版本", "安装最新的 Buoy"),
    },
    "nonsense": {
        "en": Cause("QQ does not understand what Buoy sends", "install the newest Buoy, or report it"),
        "zh": Cause("QQ 看不懂 Buoy 发的内容", "安装最新的 Buoy，或报告给我们"),
    },
}

LABELS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "cause": "Cause", "means": "Meaning", "do": "What to do", "since": "Since {since} ({lasted})", "times": "{times} so far",
        "queues": "Waiting: {turns} to be answered, {letters} to be sent, {held} held back",
        "recovered": "Over: {title}", "lasted": "It lasted {lasted}, from {since} to {until}.",
        "caught": "Since then {messages} messages written meanwhile arrived, {answered} of them are answered; {sent} were sent.",
        "gaps": "Messages may be lost at QQ: {gaps} gap(s), see `buoy status`.", "whole": "No gap was found.",
        "test": "This is a test", "tested": "Buoy's alerts arrive here. Nothing is wrong.", "again": "still: {title}",
    },
    "zh": {
        "cause": "原因", "means": "含义", "do": "怎么办", "since": "从 {since} 开始（{lasted}）", "times": "到现在共 {times} 次",
        "queues": "排队：待回答 {turns} 条，待发送 {letters} 条，暂存 {held} 条",
        "recovered": "已恢复：{title}", "lasted": "持续 {lasted}，从 {since} 到 {until}。",
        "caught": "期间的消息补收 {messages} 条，已回答 {answered} 条；已发送 {sent} 条。",
        "gaps": "QQ 那边可能丢了消息：{gaps} 段缺口，见 `buoy status`。", "whole": "没有发现缺口。",
        "test": "这是一条测试", "tested": "Buoy 的告警能送到这里。一切正常。", "again": "仍未恢复：{title}",
    },
}
UNITS: Final[dict[Language, tuple[tuple[int, str], ...]]] = {
    "en": ((86400, " d"), (3600, " h"), (60, " min"), (1, " s")),
    "zh": ((86400, " 天"), (3600, " 小时"), (60, " 分钟"), (1, " 秒")),
}
# fmt: on
