"""A file's requests have the documented shape; every answer, the absurd ones too, has the outcome that it deserves."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.letters import Cause, Failed
from buoy.protocol import codes, limits, uploads

USER, GROUP = "0A1B2C3D4E5F60718293A4B5C6D7E8F9", "11112222333344445555666677778888"
HTML = b"<html><body>413 Request Entity Too Large</body></html>"


def error(code: int) -> bytes:
    return json.dumps({"message": "human text", "code": code, "err_code": code, "trace_id": "t"}).encode()


def refused(status: int, body: bytes, headers: dict[str, str] | None = None) -> Failed:
    told = uploads.parse_upload(status, headers or {}, body)
    assert isinstance(told, Failed)
    return told


# --- numbers, typed again by hand -----------------------------------------------------------------------------------


def test_the_pages_numbers() -> None:
    assert (uploads.FILE, uploads.MEDIA) == (4, 7)
    assert sorted(uploads.SCENES) == ["c2c", "group"]
    assert limits.UPLOAD_LIMIT == 20 * 1024 * 1024
    assert (codes.FILE_EXPIRED, codes.VOLUME_USED_UP) == (304080, 40093002)
    assert sorted(codes.FILE_FAILED) == [304080, 304082, 304083, 40034004]
    assert all(codes.TABLE[code].action is codes.Action.PERM for code in codes.WHOLE_BOT)


# --- requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scene", "path"), [("c2c", f"/v2/users/{USER}"), ("group", f"/v2/groups/{GROUP}")])
def test_an_upload_is_a_plain_file_that_is_not_sent_at_once(scene: str, path: str) -> None:
    request = uploads.build_upload(scene, path.rpartition("/")[2], "全文 🎈", "reply.md")
    assert (request.method, request.path, request.scene, request.passive) == ("POST", f"{path}/files", scene, False)
    body = json.loads(request.body)
    assert base64.b64decode(body.pop("file_data")).decode() == "全文 🎈"
    assert body == {"file_type": 4, "file_name": "reply.md", "srv_send_msg": False}


@pytest.mark.parametrize("scene", ["channel", "dm", "moon"])
def test_guilds_take_no_files(scene: str) -> None:
    with pytest.raises(KeyError):
        uploads.build_upload(scene, "1", "x", "reply.txt")


def test_an_id_is_percent_encoded_and_half_a_pair_is_a_question_mark() -> None:
    request = uploads.build_upload("c2c", "a/b", "x\ud800", "reply.txt")
    assert request.path == "/v2/users/a%2Fb/files"
    assert base64.b64decode(json.loads(request.body)["file_data"]) == b"x?"


def test_the_message_that_shows_it() -> None:
    request = uploads.build_message("c2c", USER, "INFO", anchor="msg_id:M", seq=3, reference="REFIDX_1")
    assert (request.path, request.passive, request.scene) == (f"/v2/users/{USER}/messages", True, "c2c")
    assert json.loads(request.body) == {
        "msg_type": 7,
        "content": " ",
        "media": {"file_info": "INFO"},
        "msg_id": "M",
        "msg_seq": 3,
        "message_reference": {"message_id": "REFIDX_1", "ignore_get_message_error": True},
    }
    alone = uploads.build_message("group", GROUP, "INFO")
    assert not alone.passive
    assert json.loads(alone.body) == {"msg_type": 7, "content": " ", "media": {"file_info": "INFO"}}


# --- answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [{}, {"ttl": 300}, {"ttl": "0", "file_uuid": "u"}, {"code": 0, "err_code": 0}])
def test_an_answer_with_a_file_info_is_a_file(extra: dict[str, Any]) -> None:
    assert uploads.parse_upload(200, {}, json.dumps({"file_info": "I"} | extra).encode()) == uploads.Uploaded("I")


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        # of this file, or of files at all: the text can go another way
        (400, error(850019), Cause.CONTENT),
        (400, error(40034002), Cause.CONTENT),
        (400, error(850031), Cause.CONTENT),
        (413, HTML, Cause.CONTENT),
        (400, error(40093002), Cause.CONTENT),
        (400, error(850012), Cause.CONTENT),
        (400, error(10000), Cause.CONTENT),
        (400, error(11253), Cause.CONTENT),
        (400, error(11262), Cause.CONTENT),
        (403, HTML, Cause.CONTENT),
        (404, HTML, Cause.CONTENT),
        (405, HTML, Cause.CONTENT),
        (400, error(987654321), Cause.CONTENT),
        (400, error(40034128), Cause.CONTENT),
        # of the bot as a whole: text would fare no better
        (401, error(11298), Cause.OPERATOR),
        (400, error(11265), Cause.OPERATOR),
        (400, error(40054016), Cause.OPERATOR),
        # of the recipient
        (400, error(850018), Cause.TARGET),
        (400, error(40054004), Cause.TARGET),
        # passing
        (401, HTML, Cause.TOKEN),
        (429, HTML, Cause.RATE),
        (400, error(100017), Cause.RATE),
        (400, error(850026), Cause.TRANSIENT),
        (400, error(850027), Cause.TRANSIENT),
        (500, error(850027), Cause.TRANSIENT),
        (502, HTML, Cause.TRANSIENT),
        (408, b"", Cause.TRANSIENT),
        (200, b"", Cause.TRANSIENT),
        (200, b"{}", Cause.TRANSIENT),
        (200, b'{"id":"M"}', Cause.TRANSIENT),
        (200, b'{"file_info":""}', Cause.TRANSIENT),
        (202, b'{"code":304023}', Cause.TRANSIENT),
        # a business error with HTTP 200
        (200, b'{"file_info":"I","err_code":850031}', Cause.CONTENT),
    ],
)
def test_what_a_failed_upload_means(status: int, body: bytes, cause: Cause) -> None:
    told = refused(status, body)
    assert told.cause is cause
    assert told.reason.startswith("the upload failed: ")
    assert told.early
    assert not told.unsure, "whatever became of it, no message was accepted"


@settings(deadline=None)
@given(st.integers(100, 599), st.binary(max_size=80) | st.dictionaries(st.text(), st.integers()).map(json.dumps))
def test_any_answer_has_an_outcome(status: int, body: bytes | str) -> None:
    told = uploads.parse_upload(status, {}, body if isinstance(body, bytes) else body.encode())
    assert isinstance(told, uploads.Uploaded) or (told.early and not told.unsure)


def test_how_long_to_wait_is_kept() -> None:
    assert refused(429, HTML, {"Retry-After": "7"}).retry_after_s == 7


# --- the message was refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "code", "becomes", "early"),
    [
        (Cause.CONTENT, 40034006, Cause.CONTENT, True),
        (Cause.BUG, 22006, Cause.CONTENT, True),
        (Cause.TRANSIENT, 304080, Cause.TRANSIENT, True),
        (Cause.TRANSIENT, 40034004, Cause.TRANSIENT, True),
        (Cause.TRANSIENT, 50055001, Cause.TRANSIENT, False),
        (Cause.LOST, 304080, Cause.LOST, False),
        (Cause.LOST, 0, Cause.LOST, False),
        (Cause.ANCHOR, 40034128, Cause.ANCHOR, False),
        (Cause.TARGET, 40054004, Cause.TARGET, False),
        (Cause.OPERATOR, 11298, Cause.OPERATOR, False),
        (Cause.RATE, 100017, Cause.RATE, False),
    ],
)
def test_what_a_refused_message_says_of_its_file(cause: Cause, code: int, becomes: Cause, *, early: bool) -> None:
    told = uploads.of_message(Failed(cause, "no", code, 400))
    assert (told.cause, told.early, told.code) == (becomes, early, code)


@pytest.mark.parametrize(("attempts", "cause"), [(1, Cause.TRANSIENT), (4, Cause.TRANSIENT), (5, Cause.CONTENT)])
def test_a_file_that_fails_again_and_again_is_given_up(attempts: int, cause: Cause) -> None:
    assert uploads.give_up(refused(502, HTML), attempts).cause is cause
    assert uploads.give_up(Failed(Cause.TRANSIENT, "try later"), 99).cause is Cause.TRANSIENT, "not the file's fault"
    assert uploads.give_up(refused(429, HTML), 99).cause is Cause.RATE
