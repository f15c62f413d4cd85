"""What the verdicts about events, letters and the agent mean, in both languages."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from typing import Final

from buoy.faces.doctor.text import Text
from buoy.faces.doctor.verdicts import Verdict

V = Verdict
TEXTS: Final[dict[V, dict[str, Text]]] = {
    V.DEAF: {
        "en": Text(
            "The session is deaf",
            "QQ acknowledges heartbeats and delivers nothing for longer than bots.expect_event_h. Buoy replaces such a"
            " session; what was written meanwhile is lost at QQ.",
            "Write to the bot. If nothing arrives, check in the console at q.qq.com that events go to WebSocket and not"
            " to a webhook, that the bot is published, and that the person is a sandbox member if it is not.",
        ),
        "zh": Text(
            "会话失聪",
            "QQ 确认心跳，却超过 bots.expect_event_h 没有送来任何事件。Buoy 会更换这样的会话；其间的消息在 QQ"
            " 一侧丢失。",
            "给机器人发一条消息。若收不到，在 q.qq.com 控制台确认事件走 WebSocket 而不是 webhook、机器人已上线；"
            "未上线时对方须是沙箱成员。",
        ),
    },
    V.SILENT: {
        "en": Text(
            "Connected, and nothing arrives",
            "Nobody wrote for a day, or the events do not reach this bot: not published, a webhook in the console,"
            " refused intents, a deaf session.",
            "Write to the bot. If nothing arrives, see the possible causes; set bots.expect_event_h so that Buoy acts.",
        ),
        "zh": Text(
            "已连接，但什么也没收到",
            "一天没有人写消息，或事件没有到达：未上线、控制台设了 webhook、intent 被拒、会话失聪。",
            "给机器人发一条消息。若收不到，逐一排查上述原因；设置 bots.expect_event_h 让 Buoy 自行处理。",
        ),
    },
    V.GAP: {
        "en": Text(
            "Messages may have been lost",
            "A session was lost, and QQ does not replay what came between two sessions. The times are in `buoy"
            " status`.",
            "Ask in those conversations. If gaps come often, look for another program with this AppID and at"
            " the network.",
        ),
        "zh": Text(
            "可能丢失了消息",
            "会话丢失，而 QQ 不会补发两个会话之间的内容。时间见 `buoy status`。",
            "在那些会话里问一声。若经常发生，查找使用同一 AppID 的其他程序，并检查网络。",
        ),
    },
    V.UNREADABLE: {
        "en": Text(
            "QQ sent frames that cannot be read",
            "They are stored as they came, and nothing else is affected.",
            "Update Buoy; if it goes on, report it with one of the rows: `buoy inbox list`.",
        ),
        "zh": Text(
            "QQ 发来了无法解读的数据帧",
            "它们已按原样保存，其他不受影响。",
            "升级 Buoy；若继续出现，请附上其中一行报告：`buoy inbox list`。",
        ),
    },
    V.UNPUBLISHED: {
        "en": Text(
            "The bot is not published, and its messages are refused",
            "QQ says that the bot is offline or not published: only sandbox members can write to it and be answered.",
            "Publish it in the console at q.qq.com, or enter the people as sandbox members.",
        ),
        "zh": Text(
            "机器人未上线，消息被拒绝",
            "QQ 表示机器人离线或未发布：只有沙箱成员能给它写消息并得到回答。",
            "在 q.qq.com 控制台发布上线，或把对方登记为沙箱成员。",
        ),
    },
    V.URLS: {
        "en": Text(
            "Messages are refused because of a URL",
            "QQ takes only links to domains that are registered for the bot; a file name such as readme.md"
            " counts as one.",
            "Register the domain in the console at q.qq.com (development settings, message URL), then `buoy"
            " outbox retry`.",
        ),
        "zh": Text(
            "消息因为网址被拒绝",
            "QQ 只接受指向已登记域名的链接；readme.md 这样的文件名也算网址。",
            "在 q.qq.com 控制台（开发设置，消息 URL）登记域名，然后 `buoy outbox retry`。",
        ),
    },
    V.PROACTIVE: {
        "en": Text(
            "Letters wait for the next message of their conversation",
            "The time to reply is over, and the bot may not write first there.",
            "Nothing: they leave with the next contact. Their reader or a group's administrator can allow it in QQ.",
        ),
        "zh": Text(
            "有消息在等对方下一次开口",
            "回复时限已过，而机器人不能在那里主动发消息。",
            "无需处理：下一次联系时会一并发出。对方或群管理员可以在 QQ 里允许主动消息。",
        ),
    },
    V.QUOTA: {
        "en": Text(
            "The allowance of messages without a reply is used up",
            "QQ limits how often a bot may write first: a minute, a day, a conversation.",
            "Wait; write first less often. Replies are not affected.",
        ),
        "zh": Text(
            "主动消息的额度用完了",
            "QQ 限制机器人主动发消息的次数：每分钟、每天、每个会话。",
            "等待；少发主动消息。回复不受影响。",
        ),
    },
    V.CONTENT: {
        "en": Text(
            "QQ refuses what a message says",
            "The text, its length or its markdown is refused as it is.",
            "See `buoy deadletter list` for the reason; reword it, or change the agent's prompt.",
        ),
        "zh": Text(
            "QQ 拒绝消息的内容",
            "文字、长度或 markdown 被拒绝。",
            "原因见 `buoy deadletter list`；改写它，或修改智能体的提示词。",
        ),
    },
    V.RECIPIENT: {
        "en": Text(
            "The recipient is gone or refuses",
            "The bot was removed from the group, muted, or is no friend of the user any more.",
            "Nothing here: the user or the group's administrator has to take the bot back.",
        ),
        "zh": Text(
            "收信人不在了或拒绝接收",
            "机器人被移出群、被禁言，或不再是好友。",
            "这里无需处理：要由用户或群管理员重新接纳机器人。",
        ),
    },
    V.PERMISSION: {
        "en": Text(
            "QQ refuses messages for want of a permission",
            "This kind of message needs a privilege that the bot does not have; the line has QQ's code.",
            "Apply for it in the console at q.qq.com, or send plain text.",
        ),
        "zh": Text(
            "因缺少权限，QQ 拒绝消息",
            "这类消息需要机器人没有的权限；该行有 QQ 的错误码。",
            "在 q.qq.com 控制台申请，或改发纯文本。",
        ),
    },
    V.UNSURE: {
        "en": Text(
            "Nobody knows whether some messages arrived",
            "QQ gave no answer to them, and a repeat could show them twice.",
            "Look in the conversation; then `buoy outbox retry` or `buoy outbox drop`.",
        ),
        "zh": Text(
            "有些消息不知是否送达",
            "QQ 没有应答，重发又可能显示两次。",
            "到会话里看一看；然后 `buoy outbox retry` 或 `buoy outbox drop`。",
        ),
    },
    V.DEAD_LETTERS: {
        "en": Text(
            "Messages could not be delivered",
            "They ended for good in the last 24 hours; the line has the most frequent reason.",
            "See `buoy deadletter list`; then `buoy deadletter retry` or `drop`.",
        ),
        "zh": Text(
            "有消息无法送达",
            "它们在过去 24 小时内最终失败；该行是最常见的原因。",
            "见 `buoy deadletter list`；然后 `buoy deadletter retry` 或 `drop`。",
        ),
    },
    V.LETTERS_WAIT: {
        "en": Text(
            "Letters wait to be sent",
            "They were refused for now, or cannot leave; they are tried again.",
            "Nothing, if QQ cannot be reached: the checks above say why. Else see `buoy outbox list`.",
        ),
        "zh": Text(
            "有消息等待发送",
            "暂时被拒绝或发不出去；会再次尝试。",
            "若连不上 QQ 则无需处理：前面的检查写明了原因。否则见 `buoy outbox list`。",
        ),
    },
    V.AUDIT: {
        "en": Text(
            "QQ's reviewers rejected messages",
            "In guilds some messages wait for a review, and these did not pass.",
            "Reword them; see the notices in the console at q.qq.com.",
        ),
        "zh": Text(
            "QQ 审核没有通过一些消息",
            "频道里有些消息要先审核，这些没有通过。",
            "改写它们；查看 q.qq.com 控制台的通知。",
        ),
    },
    V.AGENT_SETUP: {
        "en": Text(
            "The agent cannot be started",
            "Its program, module, function or package is missing or wrong: no message gets an answer.",
            "Do what the line says; a module is looked for in the folder where Buoy is started.",
        ),
        "zh": Text(
            "智能体无法启动",
            "它的程序、模块、函数或软件包缺失或有误：没有消息能得到回答。",
            "照该行所说的做；模块在启动 Buoy 的目录里查找。",
        ),
    },
    V.AGENT_AWAY: {
        "en": Text(
            "The agent cannot be reached",
            "Its endpoint does not answer or is overloaded. Messages wait for it, and are not lost.",
            "Start it; check bots.agent.base_url (OPENAI_BASE_URL) and the proxy. Buoy keeps trying.",
        ),
        "zh": Text(
            "联系不上智能体",
            "它的接口没有应答或过载。消息在等它，不会丢失。",
            "启动它；检查 bots.agent.base_url（OPENAI_BASE_URL）和代理。Buoy 会一直重试。",
        ),
    },
    V.AGENT_REFUSED: {
        "en": Text(
            "The agent's endpoint refuses the key",
            "The key is wrong, expired or out of credit.",
            "Set bots.agent.api_key (OPENAI_API_KEY) to one that works.",
        ),
        "zh": Text(
            "智能体的接口拒绝了密钥",
            "密钥错误、过期或余额不足。",
            "把 bots.agent.api_key（OPENAI_API_KEY）换成可用的。",
        ),
    },
    V.AGENT_MODEL: {
        "en": Text(
            "The agent's endpoint does not list the model",
            "It may be mistyped, or not be loaded.",
            "Set bots.agent.model (BUOY_MODEL) to a name from the endpoint's list.",
        ),
        "zh": Text(
            "智能体的接口没有列出这个模型",
            "可能写错了，或没有加载。",
            "把 bots.agent.model（BUOY_MODEL）设为接口列出的名字。",
        ),
    },
    V.AGENT_SLOW: {
        "en": Text(
            "The agent is slow",
            "Answers take long; in groups the time to reply ends after five minutes, and then they are held.",
            "Take a faster model or a shorter prompt; raise turns.parallel where turns wait for each other.",
        ),
        "zh": Text(
            "智能体太慢",
            "回答耗时很长；群里五分钟后就不能再回复，之后只能扣住等待。",
            "换更快的模型或更短的提示词；若回合互相等待，调高 turns.parallel。",
        ),
    },
    V.AGENT_FAILING: {
        "en": Text(
            "The agent fails",
            "Turns ended without an answer in the last 24 hours; the line has the most frequent reason.",
            "Mend the agent; then `buoy deadletter retry` for what was not answered.",
        ),
        "zh": Text(
            "智能体出错",
            "过去 24 小时有回合没有得到回答；该行是最常见的原因。",
            "修好智能体；再用 `buoy deadletter retry` 补答。",
        ),
    },
}
