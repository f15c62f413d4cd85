"""An echo bot on qq-botpy, Tencent's own SDK: one reply for each line of a message, two buttons for "menu", and clicks.

Changed from a bot for the real platform: scheme and host of the API, which are constants of the class `Route`, and
the address of the token endpoint, which is a constant inside a method and is exchanged there. The `ws://` address
that the gateway look-up names is taken as it is.
"""

import asyncio
import sys

import botpy
from botpy.http import Route
from botpy.interaction import Interaction
from botpy.message import C2CMessage, DirectMessage, GroupMessage, Message
from botpy.robot import Token

api_base, app_id, secret = sys.argv[1:]
TOKEN_URL = "https://bots.qq.com/app/getAppAccessToken"

Route.SCHEME, _, Route.DOMAIN = api_base.partition("://")
code = Token.update_access_token.__code__
constants = list(code.co_consts)
constants[constants.index(TOKEN_URL)] = f"{api_base}/app/getAppAccessToken"
Token.update_access_token.__code__ = code.replace(co_consts=tuple(constants))


BUTTONS = [
    {
        "id": data,
        "render_data": {"label": label, "visited_label": label, "style": 1},
        "action": {"type": 1, "permission": {"type": 2}, "data": data, "unsupport_tips": "update QQ"},
    }
    for label, data in (("Yes", "y"), ("No", "n"))
]
MENU = {"markdown": {"content": "**pick**"}, "keyboard": {"content": {"rows": [{"buttons": BUTTONS}]}}, "msg_type": 2}


class Echo(botpy.Client):
    async def on_c2c_message_create(self, message: C2CMessage) -> None:
        if message.content.strip() == "menu":
            shown = await message.reply(**MENU)
            print("accepted", shown["id"], flush=True)
            return
        await self.echo(message)

    async def on_group_at_message_create(self, message: GroupMessage) -> None:
        if message.content.strip() == "menu":
            shown = await message.reply(**MENU)
            print("accepted", shown["id"], flush=True)
            return
        await self.echo(message)

    async def on_interaction_create(self, interaction: Interaction) -> None:
        await self.api.on_interaction_result(interaction.id, 0)
        user = interaction.group_member_openid or interaction.user_openid
        print("clicked", interaction.data.resolved.button_data, "by", user, flush=True)

    async def on_at_message_create(self, message: Message) -> None:
        await self.echo(message)

    async def on_direct_message_create(self, message: DirectMessage) -> None:
        await self.echo(message)

    async def echo(self, message: C2CMessage | GroupMessage | Message | DirectMessage) -> None:
        for line in message.content.splitlines():
            answer = await message.reply(content=line)
            print("accepted", answer["id"], flush=True)


async def main() -> None:
    intents = botpy.Intents(public_messages=True, public_guild_messages=True, direct_message=True, interaction=True)
    async with Echo(intents=intents, ext_handlers=False) as client:
        await client.start(appid=app_id, secret=secret)


asyncio.run(main())
