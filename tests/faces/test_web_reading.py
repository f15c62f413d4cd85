"""Each path that reads, over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.faces.serving import served


def test_smoke(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            await it.buoy.answered(await it.sim.say("hello"))
            await it.buoy.settled()
            for path in (
                "/livez",
                "/readyz",
                "/status.json",
                "/metrics",
                "/timeline.json",
                "/traffic.json",
                "/letters.json?state=dead",
                "/turns.json?state=waiting",
                "/trace.json?name=out/1",
                "/",
                "/x",
            ):
                answer = await it.ask(path)
                print(path, answer.status, answer.headers, answer.text[:3000])
            stream = await it.listen()
            print(stream.answer, await stream.next())
            print((await it.act({"do": "retry_letter", "row": 1})).text)

    asyncio.run(main())
