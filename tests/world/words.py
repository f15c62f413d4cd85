"""What stands in the picture of a history, in English and in Chinese."""

# ruff: noqa: RUF001  Chinese has punctuation of its own

from __future__ import annotations

ENGLISH = {
    "title": "{days} days of adversity: {bots} bots, and everything that can go wrong goes wrong",
    "subtitle": (
        "Real Buoys on a virtual clock and real SQLite, against the simulated QQ. Traffic, faults and kills are drawn "
        "from seed {seed}."
    ),
    "totals": (
        "{messages} messages, {answered} answered, {lost} lost without a gap, {twice} answered twice, {faults} faults, "
        "{kills} kills, {restarts} restarts, longest outage {outage}, {gaps} gaps reported."
    ),
    "n_messages": "messages",
    "n_answered": "answered",
    "n_lost": "lost without a gap",
    "n_twice": "answered twice",
    "n_faults": "faults",
    "n_kills": "kills",
    "n_restarts": "restarts",
    "n_outage_s": "longest outage",
    "n_gaps": "gaps reported",
    "day": "day {}",
    "flows": "Messages",
    "an_hour": "per hour",
    "asked": "asked",
    "missed": "of these, never reached Buoy",
    "answered": "answered in full",
    "waits": "Queues",
    "rows": "rows waiting",
    "inbox": "inbox: for a turn",
    "outbox": "outbox: to be sent",
    "held": "held: until the next contact",
    "bot": "Bot {}",
    "live_share": "live {:.1f} %",
    "live": "live",
    "partial": "live in part",
    "trying": "trying",
    "unnoticed": "cut off, not yet noticed",
    "blocked": "blocked: a person must act",
    "frozen": "process frozen",
    "dead": "process dead",
    "network": "Network",
    "gateway": "Gateway",
    "rest": "REST",
    "machine": "Machine",
    "process": "Process",
    "kills": "Kills",
    "sum": (
        "{messages} messages = {answered} answered + {quiet} that want no answer + {ended} whose turn ended in an "
        "error, on record + {unsure} in doubt, on record"
    ),
    "sum_more": (
        "+ {in_gap} in reported gaps (QQ had no session, or lost it) + {withheld} withheld by QQ (intents refused, or "
        "a deaf session) + {lost} lost without a gap."
    ),
    "how": (
        "Bots: the height of a colour is its share of {column} min, looked at every {look} s. Queues: the highest of "
        "{keep} min, counted every {count} s. Outage: framed."
    ),
    "how_more": (
        "Faults shorter than {least} are drawn as long as that; those of {shade} min and more also shade the curves. "
        "The last hours are calm, to settle."
    ),
    "again": "The same history again:",
    "h_min": "{} h {:02} min",
    "min": "{} min",
    "s": "{} s",
}
CHINESE = {
    "title": "{days} 天逆境：{bots} 个机器人，能出错的都出错了",
    "subtitle": "真实的 Buoy，虚拟时钟，真实的 SQLite，模拟的 QQ。消息、故障和强杀都由种子 {seed} 抽出。",
    "totals": (
        "{messages} 条消息，{answered} 条已回答，{lost} 条丢失而未报告，{twice} 条重复回答，{faults} 次故障，"
        "{kills} 次强杀，{restarts} 次重启，最长中断 {outage}，报告了 {gaps} 个缺口。"
    ),
    "n_messages": "消息",
    "n_answered": "已回答",
    "n_lost": "丢失而未报告",
    "n_twice": "重复回答",
    "n_faults": "故障",
    "n_kills": "强杀",
    "n_restarts": "重启",
    "n_outage_s": "最长中断",
    "n_gaps": "已报告的缺口",
    "day": "第 {} 天",
    "flows": "消息",
    "an_hour": "每小时条数",
    "asked": "提问",
    "missed": "其中未到达 Buoy 的",
    "answered": "完整回答",
    "waits": "队列",
    "rows": "等待的行数",
    "inbox": "收件箱：等待处理",
    "outbox": "发件箱：等待发送",
    "held": "保留：等对方下次联系",
    "bot": "机器人 {}",
    "live_share": "在线 {:.1f} %",
    "live": "在线",
    "partial": "部分在线",
    "trying": "重连中",
    "unnoticed": "已断，尚未察觉",
    "blocked": "受阻，须人工处理",
    "frozen": "进程冻结",
    "dead": "进程已死",
    "network": "网络",
    "gateway": "网关",
    "rest": "REST",
    "machine": "机器",
    "process": "进程",
    "kills": "强杀",
    "sum": (
        "{messages} 条消息 = {answered} 条已回答 + {quiet} 条无须回答 + {ended} 条处理以错误告终（有记录）"
        "+ {unsure} 条结果存疑（有记录）"
    ),
    "sum_more": (
        "+ {in_gap} 条在已报告的缺口内（QQ 没有会话，或丢了会话）+ {withheld} 条被 QQ 扣下（intents 被拒，或会话失聪）"
        "+ {lost} 条丢失而未报告。"
    ),
    "how": (
        "机器人：颜色的高度是它在 {column} 分钟里所占的比例，每 {look} 秒看一次。"
        "队列：{keep} 分钟内的最大值，每 {count} 秒数一次。方框：最长中断。"
    ),
    "how_more": (
        "短于 {least}的故障按此长度画出；{shade} 分钟以上的故障同时在曲线后留下阴影。最后几小时无故障，用来收尾。"
    ),
    "again": "重现这段历史：",
    "h_min": "{} 小时 {:02} 分",
    "min": "{} 分钟",
    "s": "{} 秒",
}
WORDS = {"en": ENGLISH, "zh": CHINESE}


def duration(seconds: float, words: dict[str, str]) -> str:
    """Return how long, in the two largest units."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return words["h_min"].format(*divmod(minutes, 60))
    return words["min"].format(minutes) if seconds >= 60 else words["s"].format(round(seconds))
