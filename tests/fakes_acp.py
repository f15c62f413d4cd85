"""A small ACP agent for tests, written with the published package: `python fakes_acp.py FOLDER [switches]`.

What a prompt holds between << and >> says what it does: ``slow N`` says N words, a tenth of a second each; ``permit
COMMAND`` asks for permission and tells what was chosen; ``two`` says something, calls a tool, says something else;
``die`` ends the process; ``history`` tells the prompts of this session. Anything else is echoed. FOLDER gets the
sessions (JSON), and `prompts`, one line for each prompt that came.

Switches: ``no-load`` (it cannot load sessions), ``deaf`` (it ignores cancellations, and the end of its stdin),
``chatty`` (it writes to stdout what is no message), ``login`` (it wants to be logged in).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import acp
from acp.schema import (
    AgentCapabilities,
    AllowedOutcome,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    ToolCallUpdate,
)

MARKED = re.compile(r"<<(\w+) ?(.*?)>>", re.DOTALL)
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
SWITCHES = frozenset(sys.argv[2:])


class Agent:
    def __init__(self) -> None:
        self.client: Any = None
        self.cancelled: set[str] = set()

    def on_connect(self, conn: Any) -> None:
        self.client = conn

    async def initialize(self, protocol_version: int, client_capabilities: Any = None, **_: Any) -> InitializeResponse:
        (FOLDER / "capabilities").write_text(client_capabilities.model_dump_json())
        if "chatty" in SWITCHES:
            print("starting up ...\n[1, 2]", flush=True)
        return InitializeResponse(
            protocol_version=protocol_version,
            agent_capabilities=AgentCapabilities(load_session="no-load" not in SWITCHES),
            agent_info=Implementation(name="fake", version="1"),
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        if "login" in SWITCHES:
            raise acp.RequestError.auth_required()
        session = uuid.uuid4().hex
        self.write(session, [])
        return NewSessionResponse(session_id=session)

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        for text in self.read(session_id):
            await self.client.session_update(session_id, acp.update_agent_message_text(f"(then) {text}"))
        return LoadSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        text = "\n".join(getattr(block, "text", None) or f"<{block.uri}>" for block in prompt)
        with (FOLDER / "prompts").open("a") as file:
            file.write(json.dumps({"session": session_id, "text": text, "pid": os.getpid()}) + "\n")
        past = self.read(session_id)
        self.write(session_id, [*past, text])
        self.cancelled.discard(session_id)
        kind, rest = found[-1] if (found := MARKED.findall(text)) else ("", "")
        if kind == "die":
            sys.stderr.write("I am ill\n")
            sys.stderr.flush()
            os._exit(3)
        if kind == "slow":
            for n in range(int(rest)):
                if session_id in self.cancelled and "deaf" not in SWITCHES:
                    return PromptResponse(stop_reason="cancelled")
                await self.say(session_id, f"w{n} ")
                await asyncio.sleep(0.1)
            await self.say(session_id, "END")
        elif kind == "permit":
            chosen = await self.permitted(session_id, rest)
            await self.say(session_id, f"chosen: {chosen}")
        elif kind == "two":
            await self.say(session_id, "First this.")
            await self.client.session_update(session_id, acp.start_tool_call("c1", "ls"))
            await self.client.session_update(session_id, acp.update_agent_thought_text("hidden"))
            await self.say(session_id, "Then that.")
        elif kind == "history":
            await self.say(session_id, " | ".join(past))
        elif kind == "refuse":
            return PromptResponse(stop_reason="refusal")
        else:
            await self.say(session_id, f"ECHO: {text}")
        return PromptResponse(stop_reason="end_turn")

    async def permitted(self, session: str, command: str) -> str:
        call = ToolCallUpdate(tool_call_id="c1", title="Run a command", raw_input={"command": command})
        options = [
            PermissionOption(option_id="p-always", name="Always", kind="allow_always"),
            PermissionOption(option_id="p-once", name="Yes", kind="allow_once"),
            PermissionOption(option_id="p-no", name="No", kind="reject_once"),
        ]
        told = await self.client.request_permission(session, call, options)
        outcome = told.outcome
        return outcome.option_id if isinstance(outcome, AllowedOutcome) else outcome.outcome

    async def cancel(self, session_id: str, **_: Any) -> None:
        self.cancelled.add(session_id)

    async def say(self, session: str, text: str) -> None:
        await self.client.session_update(session, acp.update_agent_message_text(text))

    def read(self, session: str) -> list[str]:
        try:
            return list(json.loads((FOLDER / f"{session}.json").read_text()))
        except OSError:
            raise acp.RequestError.resource_not_found(session) from None

    def write(self, session: str, prompts: list[str]) -> None:
        (FOLDER / f"{session}.json").write_text(json.dumps(prompts))


async def main() -> None:
    (FOLDER / "pids").open("a").write(f"{os.getpid()}\n")
    (FOLDER / "environ").write_text(json.dumps(dict(os.environ)))
    agent: Any = Agent()
    await acp.run_agent(agent)
    if "deaf" in SWITCHES:
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
