"""An echo bot on nonebot-adapter-qq: one reply for each line of a message, two buttons for "menu", and clicks.

Changed from a bot for the real platform: the two addresses, which are settings of the adapter. It takes `http://`,
and the `ws://` address that the gateway look-up names, as they are.
"""

import sys

import nonebot
from nonebot import on_message, on_notice
from nonebot.adapters.qq import Adapter, Bot, InteractionCreateEvent, MessageEvent, MessageSegment
from nonebot.adapters.qq.models import (
    Action,
    Button,
    InlineKeyboard,
    InlineKeyboardRow,
    MessageKeyboard,
    Permission,
    RenderData,
)

api_base, app_id, secret = sys.argv[1:]

INTENTS = {"c2c_group_at_messages": True, "direct_message": True, "interaction": True}
BUTTONS = [
    Button(
        id=data,
        render_data=RenderData(label=label, visited_label=label, style=1),
        action=Action(type=1, permission=Permission(type=2), data=data, unsupport_tips="update QQ"),
    )
    for label, data in (("Yes", "y"), ("No", "n"))
]
MENU = MessageKeyboard(content=InlineKeyboard(rows=[InlineKeyboardRow(buttons=BUTTONS)]))

nonebot.init(
    driver="~httpx+~websockets",
    log_level="INFO",
    qq_api_base=api_base,
    qq_auth_base=f"{api_base}/app/getAppAccessToken",
    qq_bots=[{"id": app_id, "secret": secret, "intent": INTENTS}],
)
nonebot.get_driver().register_adapter(Adapter)


@on_message().handle()
async def echo(bot: Bot, event: MessageEvent) -> None:
    if event.get_plaintext().strip() == "menu":
        shown = await bot.send(event, MessageSegment.markdown("**pick**") + MessageSegment.keyboard(MENU))
        print("accepted", shown.id, flush=True)
        return
    for line in event.get_plaintext().splitlines():
        answer = await bot.send(event, line)
        print("accepted", answer.id, flush=True)


@on_notice().handle()
async def clicked(bot: Bot, event: InteractionCreateEvent) -> None:
    await bot.put_interaction(interaction_id=event.id, code=0)
    print("clicked", event.data.resolved.button_data, "by", event.get_user_id(), flush=True)


nonebot.run()
