"""What the verdicts about the way to QQ and its REST interface mean, in both languages."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

from typing import Final

from buoy.faces.doctor.text import Text
from buoy.faces.doctor.verdicts import Verdict

V = Verdict
TEXTS: Final[dict[V, dict[str, Text]]] = {
    V.DNS: {
        "en": Text(
            "A name cannot be resolved",
            "The resolver does not know the host, or does not answer: no connection, or a broken DNS setting.",
            "Check the network first, then the name servers (/etc/resolv.conf, the container's dns, the router).",
        ),
        "zh": Text(
            "域名无法解析",
            "解析器不认识这个主机，或没有应答：没有网络，或 DNS 设置有误。",
            "先检查网络，再检查域名服务器（/etc/resolv.conf、容器的 dns、路由器）。",
        ),
    },
    V.UNREACHABLE: {
        "en": Text(
            "QQ's host cannot be reached",
            "The name is known, and no connection comes about: no route, a firewall, or QQ is down.",
            "Try another network or host from here; look at firewall and router; check api_base (QQ_API_BASE).",
        ),
        "zh": Text(
            "连不上 QQ 的主机",
            "域名能解析，但连接建立不起来：没有路由、防火墙拦截，或 QQ 故障。",
            "从这里试试别的网络或主机；检查防火墙和路由器；检查 api_base（QQ_API_BASE）。",
        ),
    },
    V.TLS: {
        "en": Text(
            "The encrypted connection is not trusted",
            "The certificate is not QQ's, or no TLS comes about: a proxy that looks inside, a login page, or missing"
            " certificates on this machine.",
            "Open the host in a browser from this network; install ca-certificates; take the inspecting proxy away.",
        ),
        "zh": Text(
            "加密连接不可信",
            "证书不是 QQ 的，或 TLS 建立不起来：会解密的代理、登录页面，或本机缺少根证书。",
            "在本网络用浏览器打开该主机；安装 ca-certificates；撤掉会解密的代理。",
        ),
    },
    V.TLS_TIME: {
        "en": Text(
            "The certificate's time does not fit this machine's clock",
            "It looks expired or not yet valid; nearly always it is the clock of this machine that is wrong.",
            "Set the clock: timedatectl set-ntp true, or check the battery of the board.",
        ),
        "zh": Text(
            "证书的时间与本机时钟不符",
            "证书看上去过期或尚未生效；几乎总是本机时钟错了。",
            "校准时钟：timedatectl set-ntp true，或检查主板电池。",
        ),
    },
    V.PROXY: {
        "en": Text(
            "The proxy cannot be used",
            "A variable of the environment sends everything through a proxy that does not answer or refuses.",
            "Start the proxy, correct the variable that the line names (password, too), or add the host to NO_PROXY.",
        ),
        "zh": Text(
            "代理用不了",
            "某个环境变量让所有请求都经过一个没有应答、或不放行的代理。",
            "启动代理，改正该行指出的变量（包括用户名和密码），或把主机加入 NO_PROXY。",
        ),
    },
    V.PROXY_KIND: {
        "en": Text(
            "The proxy is of a kind that Buoy cannot use",
            "Buoy takes http:// and https:// proxies.",
            "Set an http:// proxy (most SOCKS programs offer one), or add the host to NO_PROXY.",
        ),
        "zh": Text(
            "代理的类型 Buoy 不能使用",
            "Buoy 接受 http:// 和 https:// 代理。",
            "设置 http:// 代理（多数 SOCKS 程序都提供），或把主机加入 NO_PROXY。",
        ),
    },
    V.PROXY_DIFFERS: {
        "en": Text(
            "The running Buoy has other proxy settings than this shell",
            "A service does not see the variables of your shell. These checks went the way of the running Buoy.",
            "Set the variables where Buoy is started: the unit's Environment, compose.yaml, the manifest.",
        ),
        "zh": Text(
            "运行中的 Buoy 与当前终端的代理设置不同",
            "服务看不到终端里的变量。以上检查走的是运行中 Buoy 的路线。",
            "在启动 Buoy 的地方设置变量：服务单元的 Environment、compose.yaml、清单文件。",
        ),
    },
    V.HOST_DOWN: {
        "en": Text(
            "One of several hosts fails, another works",
            "Buoy uses the one that works.",
            "Nothing. If it stays so for days, take the host out of api_base or token_url.",
        ),
        "zh": Text(
            "多个主机中有一个失败，另一个可用",
            "Buoy 使用可用的那个。",
            "无需处理。若持续数日，可把该主机从 api_base 或 token_url 中去掉。",
        ),
    },
    V.CLOCK: {
        "en": Text(
            "This machine's clock is wrong",
            "Reply windows count from QQ's time, and certificates are valid between two times. Buoy corrects what it"
            " can; schedules run at the wrong time.",
            "Switch time synchronisation on: timedatectl set-ntp true; in a virtual machine, on its host.",
        ),
        "zh": Text(
            "本机时钟不准",
            "回复时限按 QQ 的时间计算，证书也有起止时间。Buoy 会尽量修正；但定时任务会在错误的时间运行。",
            "打开时间同步：timedatectl set-ntp true；虚拟机则在宿主机上打开。",
        ),
    },
    V.TOKEN_DOWN: {
        "en": Text(
            "QQ's token endpoint does not work",
            "It answers without a token; nothing can be sent or connected without one. The fault is QQ's, or a proxy's"
            " in between.",
            "Wait: Buoy keeps trying. If only you are affected, look at proxy, firewall and token_url (QQ_TOKEN_URL).",
        ),
        "zh": Text(
            "QQ 的令牌接口不可用",
            "它的应答里没有令牌；没有令牌就不能发送和连接。问题在 QQ 一侧，或在中间的代理。",
            "等待：Buoy 会一直重试。若只有你受影响，检查代理、防火墙和 token_url（QQ_TOKEN_URL）。",
        ),
    },
    V.TOKEN_REFUSED: {
        "en": Text(
            "QQ refuses the token that it issued",
            "A fresh token is not accepted: token endpoint and API belong to different environments, or QQ"
            " has a fault.",
            "Check that api_base and token_url go together (both QQ's, or both the sandbox's). Otherwise wait.",
        ),
        "zh": Text(
            "QQ 拒绝了它自己签发的令牌",
            "新令牌不被接受：令牌接口和 API 不属于同一环境，或 QQ 出了故障。",
            "确认 api_base 与 token_url 配套（都是正式环境，或都是沙箱）。否则等待。",
        ),
    },
    V.SECRET: {
        "en": Text(
            "QQ refuses the secret",
            "AppID and AppSecret do not belong together; a secret that was reset in the console ends the old one.",
            "Copy both again from the console at q.qq.com, set QQ_CLIENT_SECRET, restart Buoy.",
        ),
        "zh": Text(
            "QQ 拒绝了密钥",
            "AppID 与 AppSecret 不匹配；在控制台重置密钥后，旧密钥即失效。",
            "从 q.qq.com 控制台重新复制两者，设置 QQ_CLIENT_SECRET，重启 Buoy。",
        ),
    },
    V.APP: {
        "en": Text(
            "QQ does not know this AppID",
            "It is mistyped, or the bot was deleted or banned.",
            "Compare QQ_APP_ID with the console at q.qq.com, and look for a notice there.",
        ),
        "zh": Text(
            "QQ 不认识这个 AppID",
            "写错了，或机器人已被删除或封禁。",
            "与 q.qq.com 控制台核对 QQ_APP_ID，并查看那里的通知。",
        ),
    },
    V.RATE: {
        "en": Text(
            "QQ says: too many requests",
            "Tokens and gateway look-ups are limited (two look-ups a minute); several programs with one AppID"
            " share that.",
            "Wait a minute. If it comes back, look for another program with this AppID.",
        ),
        "zh": Text(
            "QQ 表示请求过多",
            "获取令牌和查询网关都有频率限制（网关每分钟两次）；同一 AppID 的多个程序共用。",
            "等一分钟。若反复出现，查找使用同一 AppID 的其他程序。",
        ),
    },
    V.IP: {
        "en": Text(
            "This machine's address is not on the bot's IP allowlist",
            "The console's list is on, and QQ refuses everything but tokens. A new address from the provider"
            " does that.",
            "Add the public address to the allowlist in the console at q.qq.com (development settings), or"
            " turn it off.",
        ),
        "zh": Text(
            "本机地址不在机器人的 IP 白名单里",
            "控制台开启了白名单，除令牌外 QQ 一律拒绝。运营商更换地址就会这样。",
            "在 q.qq.com 控制台（开发设置）把公网地址加入白名单，或关闭白名单。",
        ),
    },
    V.QQ_DOWN: {
        "en": Text(
            "QQ's API fails",
            "It answers with an error of its own; nothing here is wrong.",
            "Wait: Buoy keeps trying, and sends later what waits.",
        ),
        "zh": Text(
            "QQ 的 API 出错",
            "它以自身的错误应答；这里没有问题。",
            "等待：Buoy 会一直重试，排队的稍后发出。",
        ),
    },
    V.QQ_SILENT: {
        "en": Text(
            "QQ's host takes the connection and does not answer",
            "QQ is overloaded, or something in between (a firewall, a proxy, a captive portal) swallows the answers.",
            "Try from another network. If it answers there, look at firewall, proxy and MTU here; else wait.",
        ),
        "zh": Text(
            "QQ 的主机接受连接但不应答",
            "QQ 过载，或中间有东西（防火墙、代理、认证页面）吞掉了应答。",
            "换一个网络试试。若那里有应答，检查这里的防火墙、代理和 MTU；否则等待。",
        ),
    },
    V.QQ_SLOW: {
        "en": Text(
            "QQ answers slowly",
            "Answers that take seconds are late for readers; a time-out leaves unsure what was delivered.",
            "Try from another network; a server nearer to QQ helps. Otherwise wait.",
        ),
        "zh": Text(
            "QQ 应答缓慢",
            "需要数秒的应答对读者来说太迟；超时后无法确定是否送达。",
            "换一个网络试试；离 QQ 更近的服务器会有帮助。否则等待。",
        ),
    },
    V.QQ_REFUSES: {
        "en": Text(
            "QQ refuses this bot's requests",
            "The token is accepted, and the call is not: a permission or the bot's state; the line has QQ's code.",
            "Look for a notice in the console at q.qq.com, and apply for the API there.",
        ),
        "zh": Text(
            "QQ 拒绝这个机器人的请求",
            "令牌被接受，而调用被拒绝：权限或机器人的状态；该行有 QQ 的错误码。",
            "查看 q.qq.com 控制台的通知，并在那里申请该接口。",
        ),
    },
}
