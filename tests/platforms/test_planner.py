"""Every rule by which a letter gets its anchor, as a table; then: never beyond a limit or a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buoy.letters import Anchor, End, Hold, Letter, LetterState, Plan, Proactive, Repeat, Use, Wait
from buoy.platforms.qq.planner import Allowed, plan

NOW = 10_000.0
OWN, OTHER, OLDER = 7, 8, 6  # rows: the letter's own event, a later one, an earlier one
WINDOW_S = {"c2c": 3600.0, "group": 300.0, "channel": 300.0, "dm": 300.0}  # typed again, by hand
BUDGET = {"c2c": 4, "group": 5}
NOBODY = "nobody has written here lately and proactive messages are not allowed; held until the next message"
NEVER, C2C = Allowed(proactive=False), Allowed(proactive=True)


def anchor(row: int = OWN, age_s: float = 10.0, uses: int = 0, **more: Any) -> Anchor:
    return Anchor(row, f"msg_id:{row}", NOW - age_s, uses, **{"open": False, **more})


def letter(**changes: Any) -> Letter:
    fresh = Letter(1, f"{OWN}/1", "bot", "qq:group:G", b"{}", LetterState.QUEUED, NOW - 1, event=OWN)
    return replace(fresh, **changes)


def frozen(row: int | None = OWN, **changes: Any) -> Letter:
    """A letter whose attempt left and came to nothing definite."""
    bound = {"anchor_row": row, "anchor": f"msg_id:{row}", "seq": 1} if row is not None else {}
    return letter(state=LetterState.CLAIMED, attempts=1, **bound, **changes)


def refused(row: int = OWN, **changes: Any) -> Letter:
    """A letter that was definitely not accepted with the number it has."""
    return replace(frozen(row, **changes), state=LetterState.QUEUED)


def decide(what: Letter, *anchors: Anchor, scene: str = "group", allowed: Allowed = NEVER, now: float = NOW) -> Plan:
    return plan(what, anchors, now, scene=scene, allowed=allowed)


def used(result: Plan) -> tuple[int, int]:
    assert isinstance(result, Use), result
    return result.anchor.row, result.limit


# --- which anchor ---------------------------------------------------------------------------------------------------


def test_its_own_anchor_comes_before_a_fresher_one() -> None:
    assert used(decide(letter(), anchor(OTHER, 1), anchor(OWN, 200))) == (OWN, 5)


def test_a_fresher_anchor_of_the_conversation_takes_over_when_its_own_is_too_old() -> None:
    assert used(decide(letter(), anchor(OTHER, 1), anchor(OWN, 400))) == (OTHER, 5)


def test_the_freshest_one_comes_first_whatever_the_order_of_the_rows() -> None:
    late = anchor(OLDER, 20)  # a replayed event may have a later row and an earlier time
    assert used(decide(letter(event=None), anchor(OTHER, 90), late)) == (OLDER, 5)


@pytest.mark.parametrize("gone", [{"uses": 5}, {"spent": True}])
def test_another_anchor_takes_over_when_its_own_has_no_reply_left(gone: dict[str, Any]) -> None:
    assert used(decide(letter(), anchor(OTHER), anchor(OWN, **gone))) == (OTHER, 5)


@pytest.mark.parametrize(("scene", "limit"), [("c2c", 4), ("group", 5)])
def test_an_anchor_serves_as_often_as_its_scene_allows(scene: str, limit: int) -> None:
    assert used(decide(letter(), anchor(uses=limit - 1), scene=scene)) == (OWN, limit)
    assert isinstance(decide(letter(), anchor(uses=limit), scene=scene), Hold)


@pytest.mark.parametrize("scene", ["channel", "dm"])
def test_in_guilds_replies_are_not_counted(scene: str) -> None:
    assert used(decide(letter(), anchor(uses=5000), scene=scene))[0] == OWN


@pytest.mark.parametrize(("scene", "window_s"), WINDOW_S.items())
def test_a_window_ends_five_seconds_early(scene: str, window_s: float) -> None:
    assert used(decide(letter(), anchor(age_s=window_s - 5.1), scene=scene))[0] == OWN
    assert isinstance(decide(letter(), anchor(age_s=window_s - 5.0), scene=scene), Hold)


# --- the last reply is the turn's own -------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [letter(event=None, origin="send"), letter(event=OTHER, id=2)])
def test_the_last_reply_is_kept_for_the_turn_that_still_runs(other: Letter) -> None:
    running = anchor(OWN, uses=4, open=True)
    result = decide(other, running)
    assert isinstance(result, Hold)
    assert "kept for the turn" in result.reason
    assert used(decide(other, replace(running, uses=3))) == (OWN, 4)
    assert used(decide(letter(), running)) == (OWN, 5)
    assert used(decide(other, replace(running, open=False))) == (OWN, 5)


# --- without an anchor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchors", [(), (anchor(age_s=4000),), (anchor(uses=4),), (anchor(spent=True),)])
def test_without_a_usable_anchor_it_goes_out_alone_where_that_is_allowed(anchors: tuple[Anchor, ...]) -> None:
    assert decide(letter(), *anchors, scene="c2c", allowed=C2C) == Proactive()
    assert isinstance(decide(letter(), *anchors, scene="c2c"), Hold)


def test_an_anchor_comes_before_going_out_alone() -> None:
    assert used(decide(letter(), anchor(), scene="c2c", allowed=C2C))[0] == OWN


@pytest.mark.parametrize(
    ("what", "anchors", "reason"),
    [
        (letter(), (), "the reply window of 5 min has passed; held until the next message"),
        (letter(event=None), (anchor(age_s=400),), "the reply window of 5 min has passed; held until the next message"),
        (letter(), (anchor(uses=5),), "no reply is left on the conversation's messages; held until the next one"),
        (letter(), (anchor(spent=True),), "no reply is left on the conversation's messages; held until the next one"),
        (letter(event=None), (), NOBODY),
    ],
)  # fmt: skip
def test_what_is_held_says_why(what: Letter, anchors: tuple[Anchor, ...], reason: str) -> None:
    assert decide(what, *anchors) == Hold(reason)


# --- in doubt -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_a_reply_in_doubt_is_repeated_as_it_is_inside_its_window_and_unsure_after_it(scene: str) -> None:
    inside, after = anchor(age_s=WINDOW_S[scene] - 6), anchor(age_s=WINDOW_S[scene] - 5)
    assert decide(frozen(), inside, scene=scene, allowed=C2C) == Repeat()
    assert decide(frozen(), replace(inside, uses=99), scene=scene, allowed=C2C) == Repeat()
    for gone in (after, replace(inside, spent=True), anchor(OTHER, 1)):
        result = decide(frozen(), gone, anchor(OTHER, 1), scene=scene, allowed=Allowed(True, repeat_unsure=True))
        assert isinstance(result, End)
        assert result.state is LetterState.UNSURE


@pytest.mark.parametrize("scene", ["channel", "dm"])
@pytest.mark.parametrize("session", [False, True])
def test_a_guild_reply_in_doubt_is_never_repeated(scene: str, session: bool) -> None:  # noqa: FBT001
    allowed = Allowed(proactive=True, repeat_unsure=True, session=session)
    result = decide(frozen(), anchor(), scene=scene, allowed=allowed)
    assert isinstance(result, End)
    assert result.state is LetterState.UNSURE
    assert "guild" in result.reason


@pytest.mark.parametrize("scene", WINDOW_S)
def test_a_proactive_message_in_doubt_is_unsure_unless_the_operator_prefers_a_copy(scene: str) -> None:
    result = decide(frozen(None), anchor(), scene=scene, allowed=C2C)
    assert isinstance(result, End)
    assert result.state is LetterState.UNSURE
    twice = Allowed(proactive=True, repeat_unsure=True)
    assert decide(frozen(None), anchor(), scene=scene, allowed=twice) == Proactive()
    refuses = Allowed(proactive=False, repeat_unsure=True)
    assert isinstance(decide(frozen(None), anchor(), scene=scene, allowed=refuses), End)


# --- definitely not accepted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", WINDOW_S)
def test_a_refused_letter_uses_its_number_again_while_its_anchor_lives(scene: str) -> None:
    assert decide(refused(), anchor(OTHER, 1), anchor(OWN, 100, uses=5), scene=scene) == Repeat()


@pytest.mark.parametrize("gone", [anchor(OWN, 296), anchor(OWN, spent=True)])
def test_a_refused_letter_may_take_another_anchor(gone: Anchor) -> None:
    assert used(decide(refused(), gone, anchor(OTHER, 1))) == (OTHER, 5)
    assert decide(refused(), gone, allowed=C2C) == Proactive()
    assert isinstance(decide(refused(), gone), Hold)


# --- guild channels need a session ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [letter(), refused(), letter(event=None)])
def test_a_channel_waits_for_a_session_and_other_scenes_do_not(what: Letter) -> None:
    offline = Allowed(proactive=True, session=False)
    result = decide(what, anchor(), scene="channel", allowed=offline)
    assert isinstance(result, Wait)
    assert result.until > NOW
    for scene in ("c2c", "group", "dm"):
        assert not isinstance(decide(what, anchor(), scene=scene, allowed=offline), Wait)


# --- never beyond a limit -------------------------------------------------------------------------------------------

rows = st.integers(OLDER - 1, OTHER + 1)
ages = st.one_of(st.floats(-10, 4000), st.sampled_from([0.0, 294.9, 295.0, 299.9, 300.0, 3594.9, 3595.0, 3600.0]))
some_anchors = st.lists(
    st.builds(anchor, rows, ages, st.integers(0, 6), open=st.booleans(), spent=st.booleans()),
    max_size=5,
    unique_by=lambda one: one.row,
)
some_letters = st.one_of(
    st.builds(letter, event=st.one_of(st.none(), rows), state=st.sampled_from([LetterState.QUEUED, LetterState.HELD])),
    st.builds(frozen, st.one_of(st.none(), rows), event=st.one_of(st.none(), rows)),
    st.builds(refused, rows, event=st.one_of(st.none(), rows)),
)
scenes = st.sampled_from([*WINDOW_S, "unheard of"])


@given(
    some_letters, some_anchors, scenes, st.builds(Allowed, st.booleans(), st.booleans(), st.booleans())
)  # fmt: skip
@example(frozen(None), [anchor()], "group", Allowed(proactive=False, repeat_unsure=True))
@example(refused(5), [anchor(5, age_s=-10.0)], "unheard of", Allowed(proactive=False))
def test_no_plan_goes_beyond_a_limit_or_a_window(
    what: Letter, anchors: list[Anchor], scene: str, allowed: Allowed
) -> None:
    result = decide(what, *anchors, scene=scene, allowed=allowed)
    if isinstance(result, Use):
        chosen = result.anchor
        assert not what.frozen
        assert chosen in anchors
        assert not chosen.spent
        assert chosen.event_at + WINDOW_S.get(scene, 0.0) > NOW
        limit = BUDGET.get(scene, 10**9)
        assert result.limit <= limit - (chosen.open and chosen.row != what.event)
        assert chosen.uses < result.limit
    elif isinstance(result, Repeat):
        (bound,) = (one for one in anchors if one.row == what.anchor_row)
        assert not bound.spent
        assert bound.event_at + WINDOW_S.get(scene, 0.0) > NOW, "where no window is known, only what is yet to come"
        assert not (what.frozen and scene not in BUDGET)
    elif isinstance(result, Proactive):
        assert allowed.proactive
        assert not what.frozen or (what.anchor is None and allowed.repeat_unsure)
    elif isinstance(result, Hold | Wait):
        assert result.reason
        assert not (what.frozen and isinstance(result, Hold))
    else:
        assert what.frozen
        assert result.state is LetterState.UNSURE
