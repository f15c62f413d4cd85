"""What the verdicts about this machine mean: settings, disk, database, processes, in both languages."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from typing import Final

from buoy.faces.doctor.text import Text
from buoy.faces.doctor.verdicts import Verdict

V = Verdict
TEXTS: Final[dict[V, dict[str, Text]]] = {
    V.SETTINGS: {
        "en": Text(
            "The settings cannot be used",
            "A key is missing or wrong; `buoy run` would end at once with exit code 2.",
            "Correct the setting that the line names: in buoy.toml or the environment.",
        ),
        "zh": Text(
            "配置无法使用",
            "有一项缺失或写错；`buoy run` 会立即以退出码 2 结束。",
            "按该行指出的项改正：在 buoy.toml 或环境变量里。",
        ),
    },
    V.ADVICE: {
        "en": Text(
            "A setting has no effect, or not the one it seems to have",
            "Buoy starts, and does something else than the settings suggest.",
            "Change or remove the setting that the line names.",
        ),
        "zh": Text(
            "有一项配置没有起到看上去的作用",
            "Buoy 能启动，但做的事与配置给人的印象不同。",
            "修改或删除该行指出的配置。",
        ),
    },
    V.SECRET_FILE: {
        "en": Text(
            "A file with a secret is readable by everybody",
            "Every user of this machine can take over the bot.",
            "chmod 600 the file, or run `buoy doctor --fix`.",
        ),
        "zh": Text(
            "存有密钥的文件人人可读",
            "本机的任何用户都能拿走这个机器人。",
            "对该文件执行 chmod 600，或运行 `buoy doctor --fix`。",
        ),
    },
    V.NO_ALERTS: {
        "en": Text(
            "Nobody is told when something breaks",
            "An outage shows in the log and the status only; QQ cannot carry the news of its own outage.",
            "Set alerts.urls (BUOY_ALERTS) to a webhook or another channel, then run `buoy alerts test`.",
        ),
        "zh": Text(
            "出了故障不会通知任何人",
            "故障只出现在日志和状态里；QQ 断线时，QQ 无法替你报信。",
            "在 alerts.urls（BUOY_ALERTS）里填 webhook 或其他渠道，然后运行 `buoy alerts test`。",
        ),
    },
    V.DATA_MISSING: {
        "en": Text(
            "The data directory is not there yet",
            "Buoy has not run with this data_dir; it makes the directory at its first start.",
            "Nothing, if this is a first start; else check data_dir (BUOY_DATA_DIR). `--fix` makes it now.",
        ),
        "zh": Text(
            "数据目录还不存在",
            "Buoy 还没有用这个 data_dir 运行过；第一次启动时会创建。",
            "第一次启动则无需处理；否则检查 data_dir（BUOY_DATA_DIR）。`--fix` 会立即创建。",
        ),
    },
    V.DATA_UNUSABLE: {
        "en": Text(
            "The data directory cannot be written",
            "Buoy acknowledges nothing that it cannot store: it does not start, or stops taking messages.",
            "Run doctor as the user Buoy runs as; then correct owner and permissions, or set another data_dir.",
        ),
        "zh": Text(
            "数据目录不可写",
            "存不下来的消息 Buoy 不会确认：它无法启动，或停止接收消息。",
            "用运行 Buoy 的用户来运行 doctor；然后改正属主和权限，或换一个 data_dir。",
        ),
    },
    V.DATA_OPEN: {
        "en": Text(
            "Other users of this machine can look into the data directory",
            "It holds what people wrote to the bot, and the key of the control socket.",
            "chmod 700 the directory, or run `buoy doctor --fix`.",
        ),
        "zh": Text(
            "本机其他用户可以查看数据目录",
            "里面有大家写给机器人的内容，以及控制接口的密钥。",
            "对目录执行 chmod 700，或运行 `buoy doctor --fix`。",
        ),
    },
    V.DISK_FULL: {
        "en": Text(
            "The disk is full",
            "What cannot be stored is not acknowledged; QQ keeps it for minutes only.",
            "Free space on that disk. Buoy goes on by itself as soon as there is some.",
        ),
        "zh": Text(
            "磁盘已满",
            "存不下来的消息不会被确认；QQ 只替你保留几分钟。",
            "清出该磁盘的空间。一有空间，Buoy 会自行继续。",
        ),
    },
    V.DISK_LOW: {
        "en": Text(
            "The disk is nearly full",
            "A busy day, or another program, can fill the rest.",
            "Free space, or lower retention.bodies_days.",
        ),
        "zh": Text(
            "磁盘快满了",
            "忙碌的一天或别的程序就可能占满剩余空间。",
            "清理空间，或调低 retention.bodies_days。",
        ),
    },
    V.NO_WAL: {
        "en": Text(
            "The data directory is on a file system that cannot keep a database safe",
            "SQLite's write-ahead log does not work there; network shares are the usual cause.",
            "Set data_dir (BUOY_DATA_DIR) to a folder on a local disk.",
        ),
        "zh": Text(
            "数据目录所在的文件系统无法保证数据库安全",
            "SQLite 的预写日志（WAL）在那里不可用；通常是网络共享。",
            "把 data_dir（BUOY_DATA_DIR）设为本地磁盘上的目录。",
        ),
    },
    V.STORE_NEWER: {
        "en": Text(
            "The database was written by a newer Buoy",
            "This version does not know its tables, and refuses to touch it.",
            "Install the newer version again, or restore the .bak file beside the database.",
        ),
        "zh": Text(
            "数据库由更新版本的 Buoy 写成",
            "当前版本不认识其中的表，拒绝改动它。",
            "重新安装较新的版本，或恢复旁边的 .bak 文件。",
        ),
    },
    V.STORE_OLDER: {
        "en": Text(
            "The database is of an older version",
            "It is brought up to date at the next start, after a backup beside it.",
            "Nothing; start `buoy run`. If one runs, it is the older version: restart it.",
        ),
        "zh": Text(
            "数据库属于旧版本",
            "下次启动时会先备份，再升级。",
            "无需处理；启动 `buoy run` 即可。若已有一个在运行，那是旧版本：请重启它。",
        ),
    },
    V.STORE_DAMAGED: {
        "en": Text(
            "The database is damaged, or cannot be read",
            "Buoy does not start on a file that it cannot trust.",
            "Check disk and owner first; then restore the folder from a backup, or move buoy.db away to start empty.",
        ),
        "zh": Text(
            "数据库损坏或无法读取",
            "Buoy 不会在不可信的文件上启动。",
            "先检查磁盘和属主；再从备份恢复该目录，或移走 buoy.db 从空库开始。",
        ),
    },
    V.STORE_FOREIGN: {
        "en": Text(
            "The database belongs to another program",
            "Buoy does not touch it.",
            "Set another data_dir (BUOY_DATA_DIR).",
        ),
        "zh": Text(
            "数据库属于另一个程序",
            "Buoy 不会动它。",
            "换一个 data_dir（BUOY_DATA_DIR）。",
        ),
    },
    V.STORE_FAILING: {
        "en": Text(
            "Nothing can be stored now",
            "The disk refuses or does not answer. What is not stored is not acknowledged, and QQ sends it again.",
            "Look at the disk: space, quota, errors in the system's log. Buoy goes on by itself when the disk does.",
        ),
        "zh": Text(
            "现在无法存储",
            "磁盘拒绝写入或没有应答。没存下的消息不会被确认，QQ 会重发。",
            "检查磁盘：空间、配额、系统日志中的错误。磁盘恢复后 Buoy 会自行继续。",
        ),
    },
    V.NOT_RUNNING: {
        "en": Text(
            "No Buoy runs here",
            "Nobody hears what is written to the bot: QQ replays a few minutes, the rest is lost.",
            "Start it: `buoy run`, or as a service. If one should be running, compare data_dir with its settings.",
        ),
        "zh": Text(
            "这里没有 Buoy 在运行",
            "没有人在听：QQ 只补发几分钟内的消息，其余会丢失。",
            "启动它：`buoy run`，或作为服务启动。如果应当在运行，请核对它的 data_dir。",
        ),
    },
    V.STUCK: {
        "en": Text(
            "A Buoy runs and does not answer",
            "It holds the data directory, and its control socket is silent: starting, stopping, or stuck.",
            "Wait a moment and ask again. If it stays so, look at its log, and restart it.",
        ),
        "zh": Text(
            "有一个 Buoy 在运行但不应答",
            "它占着数据目录，而控制接口没有回音：正在启动、正在停止，或卡住了。",
            "稍等再问一次。若一直如此，查看它的日志并重启。",
        ),
    },
    V.STALE_ADDRESS: {
        "en": Text(
            "A Buoy ended without a word",
            "It was killed, or the machine went down: its control address is left behind. That harms nobody.",
            "Start Buoy again; `--fix` removes the address.",
        ),
        "zh": Text(
            "Buoy 曾不告而终",
            "它被杀死，或机器断电：控制地址留在了原处，不会造成危害。",
            "重新启动 Buoy；`--fix` 会删除该地址。",
        ),
    },
    V.RESTARTING: {
        "en": Text(
            "A part of Buoy ends again and again",
            "It is started anew each time; the line says how it ended.",
            "Look at the log for that task; if it is a bug, report it with the output of `buoy doctor --json`.",
        ),
        "zh": Text(
            "Buoy 的一个部件反复结束",
            "每次都会重新启动；该行写明它是怎样结束的。",
            "在日志中查看该任务；若是缺陷，请附上 `buoy doctor --json` 的输出报告。",
        ),
    },
    V.TWO_SOCKETS: {
        "en": Text(
            "Two programs are connected with this AppID",
            "Another Buoy of this machine has this bot: each event goes to both or to the wrong one.",
            "Stop one of the two; the line names the process.",
        ),
        "zh": Text(
            "两个程序用同一个 AppID 连接",
            "本机另一个 Buoy 占着这个机器人：每个事件会到两边，或到错误的一边。",
            "停掉其中一个；该行写明是哪个进程。",
        ),
    },
    V.OTHER_SETTINGS: {
        "en": Text(
            "The running Buoy does not have this bot",
            "It was started with other settings than the ones that were read now.",
            "Restart it; if it is a service, compare its settings file and its environment with these.",
        ),
        "zh": Text(
            "运行中的 Buoy 没有这个机器人",
            "它启动时的配置与刚才读到的不同。",
            "重启它；若是服务，核对它的配置文件和环境变量。",
        ),
    },
    V.FOREIGN_IDENTIFIES: {
        "en": Text(
            "Somebody else connects with this AppID",
            "QQ counts more logins than this Buoy made: another machine, another bot program, or an earlier data"
            " directory. Two connections steal each other's events, or answer twice.",
            "Stop the other program. If there is none, reset the secret in the console at q.qq.com. What another"
            " data directory did earlier today counts, too.",
        ),
        "zh": Text(
            "还有别人用这个 AppID 连接",
            "QQ 记录的登录次数多于这个 Buoy 的：另一台机器、另一个机器人程序，或从前的数据目录。"
            "两个连接会互抢事件，或重复回答。",
            "停掉另一个程序。若没有，请在 q.qq.com 控制台重置密钥。另一个数据目录今天早些时候的登录也计入其中。",
        ),
    },
    V.PORT: {
        "en": Text(
            "The status page cannot listen on its address",
            "The port is taken, or the address is not this machine's: no page, no /readyz, no /metrics. QQ is not"
            " affected.",
            "Stop the program that the line names, or set web.listen (BUOY_LISTEN) to another port, or to off.",
        ),
        "zh": Text(
            "状态页无法监听它的地址",
            "端口被占用，或地址不属于本机：没有状态页、/readyz 和 /metrics。QQ 不受影响。",
            "停掉该行指出的程序，或把 web.listen（BUOY_LISTEN）改为别的端口或 off。",
        ),
    },
}
