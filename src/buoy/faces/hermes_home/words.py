"""What each verdict of `buoy hermes doctor` is called, and what to do: one line each, in both languages."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from typing import Final, NamedTuple

from buoy.faces.hermes_home.judging import Verdict


class Text(NamedTuple):
    """What it is called, and what to do."""

    title: str
    do: str


V = Verdict
WORDS: Final[dict[V, dict[str, Text]]] = {
    V.NO_HERMES: {
        "en": Text("This Python has no Hermes Agent", "name the right one: --hermes PATH_OF_HERMES"),
        "zh": Text("这个 Python 里没有 Hermes Agent", "指明正确的那个：--hermes PATH_OF_HERMES"),
    },
    V.OLD_HERMES: {
        "en": Text("Hermes is too old for the plugin", "update it to 0.13 or newer: hermes update"),
        "zh": Text("Hermes 版本太旧，插件无法使用", "升级到 0.13 或更新：hermes update"),
    },
    V.NO_PACKAGE: {
        "en": Text("The package is not in Hermes' environment", "run the command that this line names"),
        "zh": Text("Hermes 的环境里没有这个软件包", "运行该行给出的命令"),
    },
    V.CONFLICTS: {
        "en": Text("Packages in Hermes' environment do not fit together", "install the version that the line asks for"),
        "zh": Text("Hermes 环境里的软件包互相冲突", "安装该行要求的版本"),
    },
    V.UNREADABLE: {
        "en": Text("Hermes cannot read its configuration", "correct config.yaml where the line says"),
        "zh": Text("Hermes 读不了自己的配置", "按该行指出的位置改正 config.yaml"),
    },
    V.SAFE_MODE: {
        "en": Text(
            "Hermes runs in safe mode, which loads no plugin", "unset HERMES_SAFE_MODE where the gateway starts"
        ),
        "zh": Text("Hermes 处于安全模式，不加载任何插件", "在启动网关的地方取消 HERMES_SAFE_MODE"),
    },
    V.BOTH_NAMES: {
        "en": Text("The plugin is on under both of its names", "hermes plugins disable buoy-qqbot, or buoy"),
        "zh": Text("插件以两个名字同时启用", "hermes plugins disable buoy-qqbot（或 buoy）"),
    },
    V.NOT_ENABLED: {
        "en": Text("The plugin is not switched on", "buoy hermes install"),
        "zh": Text("插件没有启用", "buoy hermes install"),
    },
    V.NOT_CONFIGURED: {
        "en": Text("The plugin is on, and its platform is not configured", "buoy hermes install"),
        "zh": Text("插件已启用，但平台没有配置", "buoy hermes install"),
    },
    V.SWITCHED_OFF: {
        "en": Text("The platform is switched off in config.yaml", "set it to true"),
        "zh": Text("平台在 config.yaml 里是关闭的", "改为 true"),
    },
    V.NO_CREDENTIALS: {
        "en": Text(
            "AppID or AppSecret is missing", "put them into the .env of the Hermes home, or run buoy hermes install"
        ),
        "zh": Text("缺少 AppID 或 AppSecret", "写进 Hermes 目录的 .env，或运行 buoy hermes install"),
    },
    V.PLACEHOLDER: {
        "en": Text("The AppID is a placeholder", "write the one of q.qq.com in its place"),
        "zh": Text("AppID 还是占位符", "换成 q.qq.com 上的 AppID"),
    },
    V.NOT_TAKEN: {
        "en": Text(
            "Hermes uses its own qqbot adapter, although the plugin is on", "restart the gateway; see logs/errors.log"
        ),
        "zh": Text("插件已启用，但 Hermes 仍在用自带的 qqbot 适配器", "重启网关；查看 logs/errors.log"),
    },
    V.BUILTIN_ON: {
        "en": Text(
            "Hermes' own adapter is on for the same bot: both would answer, or shut each other out",
            "buoy hermes install switches it off; QQ_APP_ID and QQ_CLIENT_SECRET in the environment switch it on again",
        ),
        "zh": Text(
            "Hermes 自带的适配器也为同一个机器人开着：两边都会回答，或互相排斥",
            "buoy hermes install 会关掉它；环境变量 QQ_APP_ID、QQ_CLIENT_SECRET 会重新打开它",
        ),
    },
    V.BUILTIN_TOO: {
        "en": Text("Hermes' own adapter is on for another bot", "nothing, if that is meant"),
        "zh": Text("Hermes 自带的适配器为另一个机器人开着", "若是有意为之则无需处理"),
    },
    V.NOBODY: {
        "en": Text(
            "Nobody is let in: who writes to the bot gets a pairing code",
            "hermes pairing approve, or name people in one of these in .env",
        ),
        "zh": Text(
            "没有放行任何人：给机器人发消息的人会收到配对码", "hermes pairing approve，或在 .env 里设置该行的变量"
        ),
    },
    V.NO_HOME: {
        "en": Text(
            "There is no home channel: cron output without a chat goes nowhere", "write /sethome to the bot, or set it"
        ),
        "zh": Text("没有主频道：没有指定会话的定时任务结果无处可去", "对机器人发送 /sethome，或设置该变量"),
    },
    V.JOBS: {
        "en": Text("Cron jobs deliver to qqbot, which is off", "buoy hermes install moves them"),
        "zh": Text("有定时任务仍然投递到已关闭的 qqbot", "buoy hermes install 会改过来"),
    },
    V.DATA_UNUSABLE: {
        "en": Text("The data directory cannot be written", "correct its owner, or set data_dir in extra"),
        "zh": Text("数据目录不可写", "改正属主，或在 extra 里设置 data_dir"),
    },
    V.DATA_HELD: {
        "en": Text(
            "Another process has the data directory", "stop that process, or give one of the two another data_dir"
        ),
        "zh": Text("另一个进程占着数据目录", "停掉那个进程，或给其中一个换 data_dir"),
    },
    V.CLOCK: {
        "en": Text("The clock of this machine is behind", "set it (timedatectl set-ntp true)"),
        "zh": Text("本机时钟慢了", "校准时钟（timedatectl set-ntp true）"),
    },
    V.GATEWAY_DOWN: {
        "en": Text("No gateway runs in this home", "hermes gateway start, or hermes gateway run"),
        "zh": Text("这个目录下没有网关在运行", "hermes gateway start 或 hermes gateway run"),
    },
    V.START_FAILED: {
        "en": Text("The gateway ended at its start", "correct what it names, then hermes gateway start"),
        "zh": Text("网关启动时就退出了", "改正该行指出的问题，然后 hermes gateway start"),
    },
    V.NOT_LOADED: {
        "en": Text(
            "The gateway that runs does not have the plugin", "hermes gateway restart; then see logs/errors.log"
        ),
        "zh": Text("正在运行的网关没有加载插件", "hermes gateway restart；然后查看 logs/errors.log"),
    },
    V.NOT_CONNECTED: {
        "en": Text("The plugin is not connected", "the line says why; where it is the network, it heals by itself"),
        "zh": Text("插件没有连接上", "原因见该行；若是网络问题会自行恢复"),
    },
    V.ERRORS: {
        "en": Text("Hermes logged errors about the plugin", "read logs/errors.log; report what you cannot explain"),
        "zh": Text("Hermes 记录了与插件有关的错误", "查看 logs/errors.log；无法解释的请报告"),
    },
}
CHECK_MORE: Final = {
    "en": "What QQ says of this bot, its database and its letters: {command}",
    "zh": "QQ 对这个机器人的回答、数据库和待发消息：{command}",
}
LABEL: Final = {"en": "do", "zh": "办法"}
END: Final = {
    "en": {"ok": "All is well.", "warning": "It works; {n} to know.", "fault": "{n} wrong."},
    "zh": {"ok": "一切正常。", "warning": "可以工作；{n} 项需留意。", "fault": "{n} 处故障。"},
}
