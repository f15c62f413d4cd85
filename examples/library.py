"""Buoy inside a program of your own: a gateway in your loop, for as long as you want it."""

import asyncio

from buoy import QQ, Gateway, Message


async def answer(message: Message) -> str:
    """Answer with the same text."""
    return f"You said: {message.text}"


async def main() -> None:
    """Be reachable until the program is interrupted."""
    async with Gateway(QQ.from_env(), answer, data_dir="./qq-data") as gateway:
        await gateway.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
