"""Acting, sending and logging in, over a real socket; and what other sites and other machines are refused."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from buoy.faces.web import login
from tests.faces.serving import ACTING, BEARER, TOKEN, Answer, Served, head, served, settings

pytestmark = pytest.mark.usefixtures("quiet")
FAR = {"X-Forwarded-For": "192.0.2.7"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def dead_letter(it: Served) -> str:
    """One dead letter; returns its target."""
    target = f"qq:c2c:{it.sim.meet('c2c')}"
    it.sim.faults.add("error_code", endpoint="send", code=40034006, count=1)
    await it.buoy.send(target, "again")
    assert await it.buoy.ends("again") == "dead"
    return target


def test_a_dead_letter_is_retried_and_a_row_is_dropped(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            target = await dead_letter(it)
            assert (await it.act({"do": "retry_letter", "row": 1})).json == {"done": True}
            assert await it.buoy.ends("again") == "sent"
            assert (await it.act({"do": "retry_letter", "row": 1})).json == {"done": False}
            assert (await it.act({"do": "drop_event", "row": 77})).json == {"done": False}
            it.sim.faults.add("error_code", endpoint="send", code=40034006, count=1)
            await it.buoy.send(target, "more")
            assert await it.buoy.ends("more") == "dead"
            assert (await it.act({"do": "drop_letter", "row": 2})).json == {"done": True}
            assert it.buoy.letter("more")["state"] == "dropped"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 403),
        ({"X-Buoy": "0"}, 403),
        ({"X-Forwarded-For": "192.0.2.7"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Host": "evil.example"}, 401),
    ],
)
def test_what_another_site_can_make_a_browser_send_does_nothing(
    changed: dict[str, str], status: int, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            await dead_letter(it)
            for path, body in (("/act", {"do": "retry_letter", "row": 1}), ("/logout", {})):
                told = ACTING | {"Origin": it.origin} | changed
                answer = await it.ask(path, body, told)
                assert answer.status == status, (path, answer.text)
            assert it.buoy.letter("again")["state"] == "dead"

    asyncio.run(main())


def test_a_name_that_was_pointed_here_reads_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            for path in ("/status.json", "/metrics", "/events", "/letters.json?state=dead"):
                assert (await it.ask(path, host="evil.example")).status == 401, path
                assert (await it.ask(path, headers={"Sec-Fetch-Site": "cross-site"})).status == 403, path

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "the body is not as expected"),
        ("[" * 50_000, "the body is not as expected"),
        ({"do": "erase", "row": 1}, "Invalid enum value 'erase'"),
        ({"do": "retry_letter", "row": 0}, "row"),
        ({"do": "retry_letter", "row": 1 << 70}, "row"),
        ({"do": "retry_letter", "row": 1, "all": True}, "unknown field all"),
        ({"do": "retry_letter"}, "missing required field row; it takes do, row"),
    ],
)
def test_a_bad_act_gets_one_line(body: Any, words: str, tmp_path: Path) -> None:
    async def main() -> Answer:
        async with served(tmp_path) as it:
            return await it.act(body)

    answer = asyncio.run(main())
    assert answer.status == 400
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]


# --- sending -----------------------------------------------------------------------------------------------------


def test_sending_goes_the_way_of_every_letter(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            target = f"qq:c2c:{it.sim.meet('c2c')}"
            wanted = {"target": target, "text": "done", "key": "backup"}
            answer = await it.ask("/send", wanted, BEARER)
            assert answer.status == 200
            assert answer.json == {"id": 1, "key": "send/backup", "state": "sent", "position": 0, "reason": ""}
            assert (await it.ask("/send", wanted, BEARER)).json["id"] == 1
            assert len(it.buoy.letters()) == 1
            assert it.buoy.letter("done")["origin"] == "http"

            await it.sim.network("down")
            answer = await it.ask("/send", wanted | {"key": "2"}, BEARER)
            assert (answer.status, answer.json["state"]) == (202, "queued")
            await it.sim.network("up")
            await it.buoy.ends("done") if len(it.buoy.letters()) == 1 else await it.buoy.settled()

            it.sim.faults.add("error_code", endpoint="send", code=40034006)
            answer = await it.ask("/send", wanted | {"key": "3"}, BEARER)
            assert (answer.status, answer.json["state"]) == (422, "dead")
            assert "policy" in answer.json["reason"]

            it.buoy.disk.refuses = lambda _: True
            answer = await it.ask("/send", wanted | {"key": "4"}, BEARER)
            assert answer.status == 503
            assert answer.json["error"].startswith("not stored")
            it.buoy.disk.refuses = lambda _: False

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"target": "qq:c2c:1", "text": "x"}, {}, 401),
        ({"target": "qq:c2c:1", "text": "x"}, ACTING | {"Sec-Fetch-Site": "same-origin"}, 401),
        ({"target": "qq:c2c:1", "text": "x"}, {"Authorization": f"Basic {TOKEN}"}, 401),
        ({"target": "nobody", "text": "x"}, BEARER, 400),
        ({"target": "qq:c2c:1@nobody", "text": "x"}, BEARER, 400),
        ({"target": "qq:c2c:1", "text": "  "}, BEARER, 400),
        ({"target": "qq:c2c:1", "text": "x", "key": ""}, BEARER, 400),
        ({"target": "qq:c2c:1", "text": 1}, BEARER, 400),
        ('{"target": "qq:c2c:1", "text": "\\ud800"}', BEARER, 400),
        ({"target": "qq:c2c:1", "text": "x" * 300_000}, BEARER, 413),
    ],
)
def test_what_cannot_be_sent_is_not_stored(body: Any, headers: dict[str, str], status: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            answer = await it.ask("/send", body, headers)
            assert (answer.status, answer.json.keys()) == (status, {"error"})
            assert it.buoy.letters() == []

    asyncio.run(main())


# --- the token ---------------------------------------------------------------------------------------------------


def test_a_login_makes_a_session_that_reads_acts_and_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            await dead_letter(it)
            assert (await it.ask("/status.json", headers=FAR)).status == 401
            answer = await it.ask("/login", f"token={TOKEN.replace(' ', '+')}", FORM | FAR)
            assert (answer.status, answer.headers["location"]) == (303, "/")
            (cookie,) = answer.cookies
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
            assert "Secure" not in cookie
            assert TOKEN not in cookie
            kept = FAR | {"Cookie": cookie.split(";")[0]}
            assert (await it.ask("/status.json", headers=kept)).status == 200
            far_page = {"Origin": "https://buoy.example"}
            answer = await it.ask(
                "/act", {"do": "retry_letter", "row": 1}, ACTING | kept | far_page, host="buoy.example"
            )
            assert answer.json == {"done": True}
            answer = await it.ask("/logout", {}, ACTING | kept | {"Origin": it.origin})
            assert "Max-Age=0" in answer.cookies[0]
            secure = await it.ask("/login", f"token={TOKEN.replace(' ', '+')}", FORM | {"X-Forwarded-Proto": "https"})
            assert "Secure" in secure.cookies[0]
            assert (await it.ask("/send", {}, kept)).status == 401, "a session does not send"

    asyncio.run(main())


def test_wrong_tokens_are_counted_and_then_none_is_looked_at(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            session = (await it.ask("/login", f"token={TOKEN.replace(' ', '+')}", FORM)).cookies[0].split(";")[0]
            for n in range(login.GUESSES - 1):
                assert (await it.ask("/login", f"token=guess{n}", FORM)).status == 401
            assert (await it.ask("/status.json", headers={"Authorization": "Bearer guess"})).status == 401
            answer = await it.ask("/login", f"token={TOKEN.replace(' ', '+')}", FORM)
            assert answer.status == 429
            assert "try again in" in answer.json["error"]
            assert (await it.ask("/send", {}, BEARER)).status == 429
            assert (await it.ask("/status.json", headers=FAR | {"Cookie": session})).status == 200, "who is in stays in"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("guesser", "status"),
    [
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 401),
        (FAR, 401),
    ],
)
def test_nobody_else_can_use_up_the_guesses_of_this_machine(
    guesser: dict[str, str], status: int, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            for n in range(login.GUESSES):
                assert (await it.ask("/login", f"token=guess{n}", FORM | guesser)).status == status
            assert (await it.ask("/send", {}, BEARER)).status == 400, "the token is looked at, then the body"

    asyncio.run(main())


def test_guesses_are_forgotten_though_the_clock_was_put_back(tmp_path: Path) -> None:
    async def main() -> None:
        now = [time.time()]
        async with served(tmp_path, wait=False) as it:
            it.buoy.app.wall = lambda: now[0]  # before the gate takes it
            while it.web.address is None:
                await asyncio.sleep(0.005)
            for n in range(login.GUESSES):
                await it.ask("/login", f"token=guess{n}", FORM)
            wait = (await it.ask("/login", "token=guess", FORM)).json["error"]
            now[0] -= 86_400
            assert (await it.ask("/login", "token=guess", FORM)).json["error"] == wait

    asyncio.run(main())


def test_what_is_meant_for_a_proxy_is_no_wrong_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            basic = {"Authorization": "Basic b3BlcmF0b3I6cGFzc3dvcmQ="}
            answer = await it.ask("/login", f"token={TOKEN.replace(' ', '+')}", FORM | FAR | basic)
            kept = FAR | basic | {"Cookie": answer.cookies[0].split(";")[0]}
            assert (await it.ask("/status.json", headers=kept)).status == 200
            assert (await it.ask("/status.json", headers=FAR | basic)).status == 401
            assert (await it.ask("/send", {}, basic)).status == 401

    asyncio.run(main())


def test_a_proxy_that_leaves_no_mark_gives_itself_away_by_its_version(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            for path, status in (("/status.json", 401), ("/livez", 200)):
                reader, _ = await it.open(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{it.port}\r\n\r\n")
                assert (await head(reader)).status == status

    asyncio.run(main())


def test_a_token_is_made_where_none_is_set(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, web=settings(token=None)) as it:
            token = (tmp_path / login.FILE).read_text().strip()
            told = (await it.ask("/status.json", headers=FAR | {"Authorization": f"Bearer {token}"})).json
            assert told["web"]["token_file"] == str(tmp_path / login.FILE)
            assert token not in str(told)

    asyncio.run(main())


def test_this_machine_is_asked_too_where_the_settings_say_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, web=settings(login="always")) as it:
            assert (await it.ask("/status.json")).status == 401
            assert (await it.ask("/livez")).status == 200
            assert (await it.ask("/status.json", headers=BEARER)).status == 200

    asyncio.run(main())
