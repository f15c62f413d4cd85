"""An echo bot on nonebot-adapter-qq: one reply for each line of a message.

Changed from a bot for the real platform: the two addresses, which are settings of the adapter. It takes `http://`,
and the `ws://` address that the gateway look-up names, as they are.
"""

import sys

import nonebot
from nonebot import on_message
from nonebot.adapters.qq import Adapter, Bot, MessageEvent

api_base, app_id, secret = sys.argv[1:]

nonebot.init(
    driver="~httpx+~websockets",
    log_level="INFO",
    qq_api_base=api_base,
    qq_auth_base=f"{api_base}/app/getAppAccessToken",
    qq_bots=[{"id": app_id, "secret": secret, "intent": {"c2c_group_at_messages": True, "direct_message": True}}],
)
nonebot.get_driver().register_adapter(Adapter)


@on_message().handle()
async def echo(bot: Bot, event: MessageEvent) -> None:
    for line in event.get_plaintext().splitlines():
        answer = await bot.send(event, line)
        print("accepted", answer.id, flush=True)


nonebot.run()
