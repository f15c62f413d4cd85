"""The agent behind a Hermes API server: each message is a run there, found again after a crash and never paid twice.

    POST /v1/runs --> its id is kept in the notebook --> events are read, or (later) its state asked for --> answer

A turn that runs again first looks for the run of before. One that the server still knows is waited for; one that it
lost (a restart of Hermes) counts as a failed attempt, and the next attempt starts another. What a run says between its
tool calls is sent as it comes, but only by the execution that started the run, and only while nothing was sent before:
so no part can be sent twice.

What a run asks to be allowed is put to the person. The server's approval endpoint answers the oldest question that
waits, whichever that is; so a choice is sent only while the server's state names the very question that was shown.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from buoy.agents import consent, wire, words
from buoy.agents.consent import Choice
from buoy.agents.conversation import check_prompts, question, system_for
from buoy.agents.hermes_api import Api, GoneError, NoRunsError, State
from buoy.agents.notebook import Notebook
from buoy.chat import Agent, Message
from buoy.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from buoy.chat import Exchange

BASE_URL: Final = "http://127.0.0.1:8642/v1"
HISTORY_TURNS: Final = 20
POLL_S: Final = 1.0
STOP_S: Final = 2.0  # a stop is an offer to save work; nobody waits longer for it
SAME_S: Final = 1.0  # the server notes an approval twice, in its event and in its state, within milliseconds
MOST_EARLY: Final = 2  # ours: QQ takes four replies to a message at least; the answer and a question need theirs
WAITING: Final = ("waiting_for_approval", "approval.request")
COMMAND: Final = 1000  # ours: characters of it that a question shows
DESCRIPTION: Final = 300
CHOICES: Final = ("once", "session", "always", "deny")


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the agent from the address, the key, and how it speaks to the server.

    Raises:
        ConfigError: the key is missing, or the address cannot be used.
    """
    if rest:
        raise ConfigError(
            f"bots.agent.kind (BUOY_AGENT): write hermes alone; if {rest[:80]!r} is an address, set bots.agent.base_url"
        )
    key = settings.get("api_key") or ""
    if not key:
        raise ConfigError(
            "bots.agent.api_key (OPENAI_API_KEY): missing; write what API_SERVER_KEY is in the .env file of Hermes"
        )
    check_prompts(settings.get("prompts") or {})
    turns = settings.get("history_turns")
    hermes = Hermes(
        Api(wire.check(settings.get("base_url") or BASE_URL, "bots.agent.base_url (OPENAI_BASE_URL)"), key),
        Notebook(settings["state"].with_suffix(".runs") if settings.get("state") else None),
        settings,
    )
    return Agent(
        hermes.answer, name="hermes", history_turns=HISTORY_TURNS if turns is None else turns, close=hermes.close
    )


def session_of(prefix: str, conversation: str) -> str:
    """Name the Hermes session of a conversation: the same for ever, and fit for a file name."""
    return re.sub(r"[^\w.-]+", "-", f"{prefix or 'buoy'}-{conversation}", flags=re.ASCII)[:200]


def history_of(history: tuple[Exchange, ...]) -> list[dict[str, str]]:
    """Earlier turns as the server takes them: a run starts with the history that it is given, and no other."""
    said = [pair for past in history for pair in (("user", past.text), ("assistant", past.answer))]
    return [{"role": role, "content": text} for role, text in said if text.strip()]


def asked(message: Message) -> str:
    """Write a message as one text, with the addresses of its files: the agent there has tools to look at them."""
    return "\n".join([question(message), *(file.url for file in message.attachments if file.url)])


def is_said(output: str, parts: tuple[str, ...]) -> bool:
    """Say whether an output was sent already: the last words before a tool call can be all that a run has to say."""
    squashed = "".join(output.split())
    newest = ("".join("".join(parts[at:]).split()) for at in range(len(parts)))  # a long part left in pieces
    return bool(squashed) and squashed in newest


class Hermes:
    """Answers with the runs of one server."""

    def __init__(self, api: Api, notes: Notebook, settings: Mapping[str, Any]) -> None:
        self._api = api
        self._notes = notes
        self._model = settings.get("model") or ""
        self._system = settings.get("system") or ""
        self._prompts = settings.get("prompts") or {}
        self._session = settings.get("session") or ""
        self._permission = settings.get("permission") or consent.ASK
        self._words = words.of(settings.get("language") or "en")

    async def close(self) -> None:
        """Let go of the server; its runs go on."""
        await self._api.close()

    async def answer(self, message: Message) -> str:
        """Answer with the output of this turn's run.

        Cancelled with a reason (`/stop`, too late), the run is told to stop; cancelled without one, because Buoy stops,
        it goes on and is found again.
        """
        note = self._notes.get(message.turn)
        try:
            if note is None:
                run = Run(self, message, await self._begun(message), [])
                return await run.told(await run.watched())
            run = Run(self, message, note["run"], note["asked"])
            return await run.told(await run.found())
        except NoRunsError:
            return await self._complete(message)
        except GoneError:
            await self._notes.put(message.turn, None)
            raise AgentError("the Hermes API server has lost this message's run: it was restarted") from None

    async def _begun(self, message: Message) -> str:
        """Start a run. A cancellation meanwhile waits a moment for its id: to stop it, or to find it again."""
        starting = asyncio.ensure_future(self._start(message))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError as gone:
            try:
                async with asyncio.timeout(STOP_S):
                    run = Run(self, message, await starting, [])
                    await (run.stop() if gone.args else run.keep())
            except (AgentError, NoRunsError, TimeoutError):
                pass
            raise

    async def _start(self, message: Message) -> str:
        session = session_of(self._session, message.conversation)
        body = {
            "input": asked(message),
            "session_id": session,
            "conversation_history": history_of(message.history),
            "instructions": self._told(message) or None,
            "model": self._model or None,
        }
        given = {name: value for name, value in body.items() if value}
        return await self._api.start(given, message.turn, session)

    def _told(self, message: Message) -> str:
        return system_for(message.conversation, self._prompts, self._system)

    async def _complete(self, message: Message) -> str:
        """Without runs: one request, which the server answers once for the same turn, for five minutes.

        It loads the session's history itself. Nothing that differs from run to run may stand in the text.
        """
        session = session_of(self._session, message.conversation)
        system = self._told(message)
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": asked(replace(message, late_s=0.0))})
        body: dict[str, Any] = {"messages": messages, "stream": False}
        if self._model:
            body["model"] = self._model
        return await self._api.complete(body, message.turn, session, session)


class Run:
    """One run, followed by one execution of its turn."""

    def __init__(self, hermes: Hermes, message: Message, run: str, asked: list[dict[str, Any]]) -> None:
        self._api = hermes._api  # noqa: SLF001  one module, two lifetimes
        self._notes = hermes._notes  # noqa: SLF001
        self._words = hermes._words  # noqa: SLF001
        self._permission = hermes._permission  # noqa: SLF001
        self._message = message
        self._id = run
        self._asked = asked
        self._said: list[str] = []
        self._remarks: list[str] = []

    async def keep(self) -> None:
        """Write down what finds it again."""
        await self._notes.put(self._message.turn, {"run": self._id, "asked": self._asked})

    async def watched(self) -> State:
        """Read its events to the end, and say what it says on the way; whatever breaks, ask for its state."""
        return await self._or_stopped(self._watched())

    async def found(self) -> State:
        """Wait for its end by its state: its events are gone, and with them what was said between."""
        return await self._or_stopped(self._found())

    async def told(self, end: State) -> str:
        """Turn its end into the answer.

        Raises:
            AgentError: it did not end well; another run of the turn starts another.
        """
        if end.status != "completed":
            await self._notes.put(self._message.turn, None)
            raise AgentError(f"the run at the Hermes API server {end.status}: {end.error or 'no reason given'}"[:500])
        is_repeated = is_said(end.output, (*self._message.delivered, *self._said))
        return "\n\n".join(filter(None, ["" if is_repeated else end.output.strip(), *self._remarks]))

    async def _or_stopped(self, following: Awaitable[State]) -> State:
        try:
            return await following
        except asyncio.CancelledError as gone:
            if gone.args:  # a reason: nobody wants the answer any more
                await self.stop()
            raise

    async def stop(self) -> None:
        """Tell the server to stop it: best effort, bounded."""
        try:
            async with asyncio.timeout(STOP_S):
                await self._api.stop(self._id)
        except (AgentError, TimeoutError):
            pass  # best effort: a server that is away runs nothing
        await self._notes.put(self._message.turn, None)

    async def _watched(self) -> State:
        await self.keep()
        text: list[str] = []
        async for event in self._api.events(self._id):
            kind = event.get("event")
            if kind == "message.delta":
                text.append(str(event.get("delta") or ""))
            elif kind in {"tool.started", "approval.request"}:
                await self._say("".join(text).strip())
                text.clear()
            if kind == "approval.request":
                self._asked.append(self._question(event))
                await self.keep()
                await self._permit(len(self._asked) - 1)
        return await self._ended()

    async def _found(self) -> State:
        state = await self._api.state(self._id)
        if (state.status, state.last_event) == WAITING:
            if self._asked and self._is(self._asked[-1], state):
                for n in range(len(self._asked)):  # so that each has the number that it had
                    await self._permit(n)
            else:
                await self._refuse()
        return await self._ended()

    async def _ended(self) -> State:
        while not (state := await self._api.state(self._id)).is_over:
            await asyncio.sleep(POLL_S)
        return state

    async def _say(self, text: str) -> None:
        message = self._message
        if text and message.line is not None and not message.delivered and len(self._said) < MOST_EARLY:
            self._said.append(text)
            await message.line.say(text)

    # --- what it asks to be allowed -----------------------------------------------------------------------------

    def _question(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What is shown of an approval, and what is kept of it: it has to be the same in every run of the turn."""
        offered = [one for one in event.get("choices") or () if one in CHOICES] or ["once", "deny"]
        more = self._words["more"]
        command = consent.shown(str(event.get("command") or ""), COMMAND, more)
        lines = [self._words["asks"], command, consent.shown(str(event.get("description") or ""), DESCRIPTION, more)]
        at = event.get("timestamp")
        text = "\n".join(filter(None, lines))
        return {"text": text, "choices": offered, "at": float(at) if isinstance(at, int | float) else 0.0}

    @staticmethod
    def _is(question: Mapping[str, Any], state: State) -> bool:
        """Say whether this is the question that the server waits with, and the newest."""
        return (state.status, state.last_event) == WAITING and abs(state.updated_at - question["at"]) < SAME_S

    async def _permit(self, n: int) -> None:
        """Have the n-th question answered, and tell the server."""
        question = self._asked[n]
        choices = [
            Choice(one, self._words[one], one != "deny", one in {"session", "always"}) for one in question["choices"]
        ]
        line = self._message.line
        if self._permission == consent.ASK and line is None:
            self._remark("denied")
        choice = await self._unless_over(consent.decide(line, self._permission, question["text"], choices))
        if choice is None and line is not None and self._permission == consent.ASK:
            return  # the run has ended meanwhile
        state = await self._api.state(self._id)
        if n < len(self._asked) - 1:
            return  # the server had this choice before it asked the next
        if self._is(question, state):
            await self._api.approve(self._id, choice or "deny")
        elif not state.is_over:
            await self._refuse()

    async def _refuse(self) -> None:
        """Deny whatever waits: nobody has seen it, or not in time."""
        await self._api.approve(self._id, "deny", all_of_them=True)
        self._remark("lost")

    def _remark(self, name: str) -> None:
        if self._words[name] not in self._remarks:
            self._remarks.append(self._words[name])

    async def _unless_over(self, asking: Awaitable[str | None]) -> str | None:
        """Wait for a choice, but no longer than the run does; None: that has ended."""
        asked, over = asyncio.ensure_future(asking), asyncio.ensure_future(self._ended())
        try:
            await asyncio.wait({asked, over}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            over.result()
            return None
        finally:
            for task in (asked, over):
                task.cancel()
            await asyncio.gather(asked, over, return_exceptions=True)
