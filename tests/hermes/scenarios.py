"""All scenarios, and how they read as rows of the table in docs/hermes*.md.

The same is done to Buoy's plugin and to Hermes' builtin adapter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.hermes import endings, outages, uses
from tests.hermes.judge import Seen
from tests.hermes.rig import Rig


@dataclass(frozen=True)
class Scenario:
    """A function, and its row of the table in two languages: what is done, its bound, what was seen."""

    run: Callable[[Rig], Seen]
    en: tuple[str, str, str]
    zh: tuple[str, str, str]

    @property
    def name(self) -> str:
        return self.run.__name__


_KILLED_EN = "answered once: the message {one}, three said meanwhile {dead}; {took_s} from the start"
_KILLED_ZH = "恰好回答一次：该消息 {one}，停机期间的三条 {dead}；启动后 {took_s}"
_ONCE_EN, _ONCE_ZH = "{once} of {said} answered once", "{said} 条中 {once} 条恰好回答一次"
_STOP_EN, _STOP_ZH = "{exit_s}", "{exit_s}"

SCENARIOS = (
    Scenario(
        outages.answer,
        (
            "a message in a private chat and in a group",
            "one answer each",
            _ONCE_EN + "; first {first_s}, later {later_s}",
        ),
        ("私聊和群里各一条消息", "各回答一次", _ONCE_ZH + "；首条 {first_s}，之后 {later_s}"),
    ),
    Scenario(
        outages.websocket_down,
        (
            "WebSocket down for {outage}, REST up, the reply due meanwhile; then a restart",
            "under 2 s, once, no second copy after the restart",
            "{reply_s} after it was due; {once} of {said} once, {by_restart} only by the restart",
        ),
        (
            "WebSocket 中断 {outage}，REST 正常，期间该发回复；之后重启",
            "2 秒内，一次，重启后不重复",
            "到期后 {reply_s}；{said} 条中 {once} 条恰好一次，靠重启才送达 {by_restart} 条",
        ),
    ),
    Scenario(
        outages.both_down,
        (
            "QQ gone altogether for {both}, the reply due meanwhile",
            "once, after",
            _ONCE_EN + ", {after_s} after; CPU {cpu}",
        ),
        ("QQ 完全不可达 {both}，期间该发回复", "恢复后一次", _ONCE_ZH + "，恢复后 {after_s}；CPU {cpu}"),
    ),
    *(
        Scenario(
            endings.killed(at_s),
            (f"kill -9 {at_s:g} s after a message arrived, then a restart", "each once", _KILLED_EN),
            (f"消息到达 {at_s:g} 秒后 kill -9，再启动", "各一次", _KILLED_ZH),
        )
        for at_s in endings.KILL_AT_S
    ),
    Scenario(
        outages.accepted_then_cut,
        ("QQ takes the reply, the connection breaks before it says so", "one copy", _ONCE_EN + ", {twice} twice"),
        ("QQ 已收下回复，应答前连接断开", "一份", _ONCE_ZH + "，{twice} 条重复"),
    ),
    Scenario(
        endings.killed_before_ledger,
        ("kill -9 when the reply is out and Hermes' delivery ledger does not know it yet", "once", _ONCE_EN),
        ("回复已发出、Hermes 的投递账本尚未记录时 kill -9", "一次", _ONCE_ZH),
    ),
    Scenario(
        endings.stop_healthy, ("SIGTERM while all is well", "5 s", _STOP_EN), ("一切正常时 SIGTERM", "5 秒", _STOP_ZH)
    ),
    Scenario(
        endings.stop_websocket_down,
        ("SIGTERM while the WebSocket is down", "5 s", _STOP_EN),
        ("WebSocket 中断时 SIGTERM", "5 秒", _STOP_ZH),
    ),
    Scenario(
        endings.stop_in_turn,
        (
            "SIGTERM while the WebSocket is down and a turn runs",
            "5 s (0.13: 11 s, it waits 5 s behind a turn); answered once later",
            _STOP_EN + "; " + _ONCE_EN,
        ),
        (
            "WebSocket 中断且正在回答时 SIGTERM",
            "5 秒（0.13：11 秒，它自己在回答之后等 5 秒）；之后回答一次",
            _STOP_ZH + "；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        endings.stop_many_chats,
        (
            f"SIGTERM with {endings.CHATS} active chats and QQ gone",
            "5 s (0.13: 11 s); each once later",
            _STOP_EN + "; " + _ONCE_EN,
        ),
        (
            f"{endings.CHATS} 个会话进行中且 QQ 不可达时 SIGTERM",
            "5 秒（0.13：11 秒）；之后各一次",
            _STOP_ZH + "；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        outages.hundred_failures,
        (
            f"{outages.ATTEMPTS} attempts to connect fail (short pauses), then QQ is back",
            "alive, told, healed",
            "{tries} attempts; told: {told}; connected again: {healed_s}; " + _ONCE_EN,
        ),
        (
            f"连接失败 {outages.ATTEMPTS} 次（间隔缩短），之后 QQ 恢复",
            "存活、告知、自愈",
            "尝试 {tries} 次；已告知：{told}；重新连上：{healed_s}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        outages.cut_after_hello,
        (
            "each session is cut 0.5 s after READY, for 12 s",
            "at most 10 connects, healed",
            "{tries} connects; told: {told}; " + _ONCE_EN,
        ),
        (
            "每次 READY 后 0.5 秒被断开，持续 12 秒",
            "至多 10 次连接，自愈",
            "连接 {tries} 次；已告知：{told}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        outages.closed_socket,
        (
            "a closed WebSocket that is still there, look-ups failing; then SIGTERM",
            "no spinning, told, healed, 5 s",
            "CPU {cpu}; told: {told}; connected again: {healed_s}; " + _ONCE_EN + "; end {exit_s}",
        ),
        (
            "WebSocket 对象已关闭但仍在，查询失败；之后 SIGTERM",
            "不空转、告知、自愈、5 秒",
            "CPU {cpu}；已告知：{told}；重新连上：{healed_s}；" + _ONCE_ZH + "；退出 {exit_s}",
        ),
    ),
    Scenario(
        outages.token_revoked,
        ("the token is taken back while all is up (401)", "answered once", _ONCE_EN + ", {reply_s}"),
        ("运行中令牌失效（401）", "回答一次", _ONCE_ZH + "，{reply_s}"),
    ),
    Scenario(
        outages.invalid_session,
        (
            "op 9 from a bad token",
            "at most 3 IDENTIFYs in 8 s, healed",
            "{tries} IDENTIFYs in 8 s; connected: {live}; " + _ONCE_EN,
        ),
        (
            "令牌失效引起的 op 9",
            "8 秒内至多 3 次 IDENTIFY，自愈",
            "8 秒内 IDENTIFY {tries} 次；已连接：{live}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        outages.banned,
        (
            "QQ bans the bot (4915), and takes it back (short probe)",
            "told, alive, healed",
            "told: {told}; alive: {alive}; connected again: {healed}; " + _ONCE_EN,
        ),
        (
            "QQ 封禁机器人（4915），后又解封（探测间隔缩短）",
            "告知、存活、自愈",
            "已告知：{told}；存活：{alive}；重新连上：{healed}；" + _ONCE_ZH,
        ),
    ),
    Scenario(
        uses.cron,
        ("a cron job's output, without a gateway and in one", "once each", "without: {alone}, in one: {live}"),
        ("定时任务的输出：无网关时、网关内", "各一次", "无网关：{alone}，网关内：{live}"),
    ),
    Scenario(
        uses.send,
        (
            "`hermes send` to the home channel, without a gateway and beside one",
            "once each",
            "without: {alone}, beside: {live}",
        ),
        ("`hermes send` 到主会话：无网关时、网关旁", "各一次", "无网关：{alone}，网关旁：{live}"),
    ),
    Scenario(
        uses.approval,
        ("an approval button is pressed after a reconnect", "resolves", "asked: {asked}; resolved: {resolved}"),
        ("重连之后按下批准按钮", "生效", "已询问：{asked}；已生效：{resolved}"),
    ),
    Scenario(
        uses.clicks,
        ("an approval's button pressed by a stranger, by somebody on the list", "no; yes", "counted: {counted}"),
        ("陌生人、名单内的人按下批准按钮", "不生效；生效", "是否生效：{counted}"),
    ),
    Scenario(
        uses.unsent,
        ("a final reply when the store was lost", "not told as sent, not handled", "sent, handled: {handled}"),
        ("存储丢失时的最终回复", "不算已发送，不算已处理", "已发送、已处理：{handled}"),
    ),
    Scenario(
        uses.same_bot,
        ("the other adapter runs with the same AppID", "refuses", "refused: {refused}; " + _ONCE_EN),
        ("另一个适配器已用同一 AppID 运行", "拒绝启动", "已拒绝：{refused}；" + _ONCE_ZH),
    ),
    *(
        Scenario(
            uses.written_meanwhile(mode),
            (
                f"three messages, two of them into the running turn (`{mode}`)",
                "all read, none run twice",
                "{read} of 3 read, {again} twice; {answers} answers",
            ),
            (
                f"三条消息，其中两条在回答进行中写入（`{mode}`）",
                "全部读到，没有执行两次",
                "3 条读到 {read} 条，重复 {again} 次；回答 {answers} 次",
            ),
        )
        for mode in ("interrupt", "queue")
    ),
    *(
        Scenario(
            endings.killed_while_waiting(mode),
            (f"kill -9 when a second message waits for the running turn (`{mode}`)", "each once", _ONCE_EN),
            (f"第二条消息正等待进行中的回答时 kill -9（`{mode}`）", "各一次", _ONCE_ZH),
        )
        for mode in ("interrupt", "queue", "steer")
    ),
    Scenario(
        endings.command_in_turn,
        (
            "`/status` beside a running turn, then kill -9",
            "the turn once, `/status` once",
            _ONCE_EN + "; other messages: {status}",
        ),
        ("回答进行中发送 `/status`，之后 kill -9", "该消息一次，`/status` 一次", _ONCE_ZH + "；其他消息：{status}"),
    ),
    Scenario(
        endings.said_while_draining,
        ("SIGTERM with a running turn that is waited for; somebody else writes meanwhile", "each once", _ONCE_EN),
        ("SIGTERM 后等待进行中的回答，期间另一人写入", "各一次", _ONCE_ZH),
    ),
)
