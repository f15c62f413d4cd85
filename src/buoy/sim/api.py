"""The simulated REST API: which endpoint a request means, who asks, and the answer. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from buoy.protocol.wire import AUTH_SCHEME, GATEWAY_BOT_PATH, GATEWAY_PATH, TOKEN_PATH
from buoy.sim import settings
from buoy.sim.content import Refusal, is_whole
from buoy.sim.sends import Accepted, send
from buoy.sim.uploads import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.sim.faults import Fault
    from buoy.sim.world import Bot, World


class Place(NamedTuple):
    """One endpoint with its ids: what faults and counters call it, the scene, the target, its method."""

    endpoint: str
    method: str
    scene: str = ""
    target: str = ""


class Answer(NamedTuple):
    """One HTTP answer. ``trace`` goes into X-Tps-trace-ID."""

    status: int
    body: bytes
    trace: str
    html: bool = False
    retry_after: float | None = None


_PLAIN: Final = {
    TOKEN_PATH: Place("token", "POST"),
    GATEWAY_PATH: Place("gateway", "GET"),
    GATEWAY_BOT_PATH: Place("gateway", "GET", target="bot"),
    "/users/@me": Place("me", "GET"),
    "/users/@me/dms": Place("dms", "POST"),
}
_SENDS: Final = {"users": "c2c", "groups": "group", "channels": "channel", "dms": "dm"}
_HTML: Final = b"<html>\r\n<head><title>%d</title></head>\r\n<body><center><h1>%d</h1></center><hr>stgw</body></html>"
_NO_ROUTE: Final = Refusal(404, 404, "no such API")


def locate(path: str) -> Place | None:
    """Find the endpoint of a raw path."""
    path = path.partition("?")[0]
    if path.endswith(("/messages", "/files")):
        parts = path.split("/")
        if parts[1] == "v2" and len(parts) == 5 and parts[2] in {"users", "groups"}:
            endpoint = "send" if parts[4] == "messages" else "files"
            return Place(endpoint, "POST", _SENDS[parts[2]], unquote(parts[3]))
        if len(parts) == 4 and parts[3] == "messages" and parts[1] in {"channels", "dms"}:
            return Place("send", "POST", _SENDS[parts[1]], unquote(parts[2]))
    found = _PLAIN.get(unquote(path))
    if found is not None:
        return found
    parts = path.split("/")
    if len(parts) == 3 and parts[1] == "interactions":
        return Place("interaction", "PUT", target=unquote(parts[2]))
    if len(parts) == 5 and parts[1:3] == ["v2", "groups"] and parts[4] == "bot_state":
        return Place("bot_state", "GET", "group", unquote(parts[3]))
    return None


class Api:
    """Answers requests out of a world."""

    def __init__(self, world: World, ws_url: Callable[[], str]) -> None:
        self._world = world
        self._ws_url = ws_url

    def caller(self, place: Place | None, authorization: str | None, body: bytes) -> str | None:
        """Return the AppID that a request belongs to, for matching faults; None where it cannot be told."""
        if place is not None and place.endpoint == "token":
            app_id = _object(body).get("appId")
            return app_id if isinstance(app_id, str) else None
        bot, _ = self._world.tokens.get((authorization or "").rpartition(" ")[2], (None, 0.0))
        return bot.app_id if bot else None

    def answer(self, method: str, place: Place | None, authorization: str | None, body: bytes, now: float) -> Answer:
        """Do what was asked and answer."""
        world = self._world
        if place is None:
            world.counters["requests_other"] += 1
            return self._wrap(_NO_ROUTE, None)
        world.counters[f"requests_{place.endpoint}"] += 1
        if method != place.method:
            return self._wrap(Refusal(405, 405, "method not allowed"), None)
        if place.endpoint == "token":
            return self._token(body, now)
        bot = self._authorize(authorization, now)
        if isinstance(bot, Refusal):
            return self._wrap(bot, None)
        if place.endpoint in {"send", "files"}:
            act = send if place.endpoint == "send" else upload
            refused = self._suspended(bot) if world.faults.active else None
            return self._wrap(refused or act(world, bot, place.scene, place.target, body, now), bot)
        action = {
            "gateway": self._gateway,
            "me": self._me,
            "dms": self._open_dm,
            "interaction": self._interaction,
            "bot_state": self._bot_state,
        }[place.endpoint]
        return self._wrap(action(bot, place, body, now), bot)

    def fault(self, fault: Fault) -> Answer:
        """Make the answer of an `http_status`, `error_code` or `token_down` fault."""
        status = fault.status or {"error_code": 400, "token_down": 503}.get(fault.kind, 502)
        if fault.body == "html" or fault.kind == "token_down":
            return Answer(
                status,
                _HTML % (status, status),
                self._world.trace(),
                html=True,
                retry_after=fault.retry_after,
            )
        code = fault.code or (100017 if status == 429 else 50001)
        refusal = Refusal(status, code, fault.text or "injected fault", fault.err_code or code)
        return self._wrap(refusal, None)._replace(retry_after=fault.retry_after)

    def unavailable(self, status: int) -> Answer:
        """Make an HTML page of the front-end proxy (3.2)."""
        return Answer(status, _HTML % (status, status), self._world.trace(), html=True)

    # --- inside ----------------------------------------------------------------------------------------

    def _wrap(self, result: Accepted | Refusal, bot: Bot | None) -> Answer:
        """Give a result its trace id, and a refusal its body (3.3, shape 2)."""
        trace = self._world.trace()
        if isinstance(result, Accepted):
            return Answer(result.status, result.body, trace)
        status, code, message, err_code = result
        self._world.counters["refused"] += 1
        self._world.counters[f"refused_{code}"] += 1
        faults = self._world.faults
        if (
            status in {400, 429}
            and faults.active
            and faults.take("errors_with_200", bot.app_id if bot else None) is not None
        ):
            body: dict[str, Any] = {"err_code": err_code or code, "message": message, "trace_id": trace}
            return Answer(200, msgspec.json.encode(body), trace)
        body = {"message": message, "code": code, "err_code": err_code or code, "trace_id": trace}
        return Answer(status, msgspec.json.encode(body), trace)

    def _authorize(self, authorization: str | None, now: float) -> Bot | Refusal:
        """Check the token (2.3), then the address (3.5)."""
        if not authorization:
            return Refusal(401, 11241, "no token in request", 40011027)
        scheme, _, token = authorization.partition(" ")
        if scheme != AUTH_SCHEME or token not in self._world.tokens:
            return Refusal(401, 11243, "token wrong", 40011027)
        bot, until = self._world.tokens[token]
        if until <= now:
            return Refusal(401, 11244, "token not exist or expire", 40011027)
        if self._world.faults.active and self._world.faults.take("ip_refused", bot.app_id) is not None:
            return Refusal(401, 11298, "source IP not allowed", 40023002)
        return bot

    def _suspended(self, bot: Bot) -> Refusal | None:
        faults = self._world.faults
        if faults.on("banned", bot.app_id) is not None:
            return Refusal(400, 11265, "bot is banned")
        if (faults.on("taken_down", bot.app_id) or faults.on("sandbox", bot.app_id)) is not None:
            return Refusal(400, 40054016, "bot is offline")
        return None

    def _token(self, body: bytes, now: float) -> Answer:
        """Issue a token; failures are HTTP 200 with a code (2.2)."""
        world = self._world
        fields = _object(body)
        app_id, secret = fields.get("appId"), fields.get("clientSecret")
        bot = world.bots.get(app_id) if isinstance(app_id, str) else None
        refusal: tuple[int, str] | None = None
        if not isinstance(app_id, str) or not isinstance(secret, str):
            refusal = (100007, "appid invalid")
        elif bot is None:
            refusal = (100007, "appid invalid") if not app_id.isdigit() else (10004, "bot does not exist")
        elif bot.secret != secret or world.faults.take("bad_secret", app_id) is not None:
            refusal = (100016, "invalid appid or secret")
        elif world.settings.limits and not bot.bucket("token", settings.TOKENS_PER_S, settings.TOKENS_BURST).take(now):
            refusal = (100001, "too many requests")
        trace = world.trace()
        if refusal is not None or bot is None:
            world.counters["tokens_refused"] += 1
            code, message = refusal or (10004, "bot does not exist")
            return Answer(200, msgspec.json.encode({"code": code, "message": message}), trace)
        token, left = world.issue_token(bot, now)
        life: int | str = str(left) if world.settings.expires_as_text else left
        return Answer(200, msgspec.json.encode({"access_token": token, "expires_in": life}), trace)

    def _gateway(self, bot: Bot, place: Place, _body: bytes, now: float) -> Accepted | Refusal:
        """Tell the WebSocket address (5)."""
        world = self._world
        bucket = bot.bucket("gateway", settings.GATEWAY_PER_MIN / 60, settings.GATEWAY_BURST)
        if world.settings.limits and not bucket.take(now):
            return Refusal(429, 100017, "frequency limit", 40023001)
        answer: dict[str, Any] = {"url": self._ws_url()}
        if place.target == "bot":
            fresh = bot.day_starts_at is None or now >= bot.day_starts_at + settings.DAY_S
            used = 0 if fresh else len(bot.starts)
            reset = settings.DAY_S if bot.day_starts_at is None or fresh else bot.day_starts_at + settings.DAY_S - now
            answer |= {
                "shards": 1,
                "session_start_limit": {
                    "total": world.settings.identifies_per_day,
                    "remaining": max(0, world.settings.identifies_per_day - used),
                    "reset_after": int(reset * 1000),
                    "max_concurrency": world.settings.max_concurrency,
                },
            }
        return Accepted(msgspec.json.encode(answer))

    def _limited(self, bot: Bot, name: str, now: float) -> Refusal | None:
        if self._world.settings.limits and not bot.bucket(name, settings.OTHER_PER_S).take(now):
            return Refusal(429, 100017, "frequency limit", 40023001)
        return None

    def _me(self, bot: Bot, _place: Place, _body: bytes, now: float) -> Accepted | Refusal:
        me = {"id": bot.user_id, "username": bot.name, "avatar": "", "bot": True}
        return self._limited(bot, "me", now) or Accepted(msgspec.json.encode(me))

    def _open_dm(self, bot: Bot, _place: Place, body: bytes, now: float) -> Accepted | Refusal:
        """Open a guild DM (10)."""
        fields = _object(body)
        user, source = fields.get("recipient_id"), fields.get("source_guild_id")
        if not (isinstance(user, str) and isinstance(source, str)):
            return Refusal(400, 12002, "recipient_id or source_guild_id missing")
        world = self._world
        guild = world.number(bot, f"dm/{user}", 0)
        channel = world.number(bot, f"dmc/{user}", 0, 7)
        world.relation(bot, "dm", guild, guild=channel)
        opened = {"guild_id": guild, "channel_id": channel, "create_time": str(int(world.wall(now)))}
        return self._limited(bot, "dms", now) or Accepted(msgspec.json.encode(opened))

    def _interaction(self, bot: Bot, place: Place, body: bytes, now: float) -> Accepted | Refusal:
        """Acknowledge a click: once, by the right bot, with a result (16.3)."""
        code = _object(body).get("code")
        if not is_whole(code) or not 0 <= code <= 5:
            return Refusal(400, 630001, "parameter error")
        limited = self._limited(bot, "interaction", now)
        if limited is not None:
            return limited
        sent_at = bot.interactions.pop(place.target, None)
        if sent_at is None:
            others = any(place.target in b.interactions for b in self._world.bots.values())
            return Refusal(400, 630003, "appid mismatch") if others else Refusal(400, 630001, "parameter error")
        late = now - sent_at > settings.INTERACTION_ACK_S
        self._world.counters["interactions_late" if late else "interactions_acked"] += 1
        return Accepted(b"{}")

    def _bot_state(self, bot: Bot, place: Place, _body: bytes, now: float) -> Accepted | Refusal:
        relation = bot.relations.get(("group", place.target))
        if relation is None:
            return Refusal(400, 11255, "target does not exist", 40011028)
        state = {
            "member_openid": self._world.openid(bot, f"group/{place.target}/member", -1),
            "joined_at": self._world.stamp(now),
            "allow_proactive_msg": bot.proactive["group"] and relation.proactive,
            "recv_msg_setting": "all" if relation.receives_all else "only_mention",
            "member_role": "member",
        }
        return self._limited(bot, "group", now) or Accepted(msgspec.json.encode(state))


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return fields if isinstance(fields, dict) else {}
