"""Says something before it is done, and asks before it acts."""

from buoy.chat import Button, Message

OPTIONS = (Button("Delete", "yes"), Button("Keep them", "no", is_main=True))


async def answer(message: Message) -> str:
    """Pretend to tidy up."""
    line = message.line
    assert line is not None, "this agent runs in the gateway's own process, not with isolation = 'process'"
    if not message.delivered:  # after a crash it was said already
        await line.say("Looking for old backups ...")
    chosen = await line.ask("Delete 3 backups?", OPTIONS)  # buttons; "1", "2" or "delete" typed by the same user do too
    return "They are gone." if chosen == "yes" else "Nothing was deleted."
