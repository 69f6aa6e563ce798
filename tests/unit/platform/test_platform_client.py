"""What the client sends, and what every answer means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import CALLS, GOOD, READS, USER, Script, client

from app.platform.errors import (
    Denied,
    Missing,
    PlatformError,
    Rejected,
    Taken,
    Throttled,
    Unauthenticated,
    Unavailable,
    Unreadable,
)
from app.platform.groups import GroupClient
from app.wire.users import UserCreate, UserUpdate


@pytest.mark.parametrize("call", CALLS)
async def test_good_answers(call: str) -> None:
    script = Script(GOOD[call])
    await CALLS[call](client(script))
    (request,) = script.requests
    assert request.headers["authorization"] == "Bearer t"
    assert request.url.path.startswith("/api/v1/tenants/tnt_1/users")
    assert ("content-type" in request.headers) is (request.method in ("POST", "PATCH", "PUT"))


async def test_only_what_is_set_is_sent() -> None:
    script = Script((200, {"data": USER}), (201, {"data": USER}))
    await client(script).update_user("t", "u", UserUpdate(phone=None, first_name="A"))
    await client(script).create_user("t", UserCreate(email="a@x.org"))
    assert json.loads(script.requests[0].content) == {"phone": None, "first_name": "A"}
    assert json.loads(script.requests[1].content) == {"email": "a@x.org", "send_welcome_email": False}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"detail": "bad"}, Rejected),
        (422, {"detail": [{"loc": ["body", "email"], "msg": "m", "type": "t"}]}, Rejected),
        (422, b"<html>", Rejected),
        (403, {"detail": "no"}, Denied),
        (403, b"<html>", Denied),
        (404, b"<html>no such page</html>", Unreadable),
        (404, {"error": "not_found"}, Unreadable),
        (404, b"", Unreadable),
        (409, {"detail": "taken"}, Taken),
        (409, b"", Taken),
        (429, {"detail": "slow"}, Throttled),
        (500, {"detail": "x"}, Unavailable),
        (503, b"<html>", Unavailable),
        (599, b"", Unavailable),
        (408, b"", Unavailable),
        (301, b"", Unreadable),
        (303, b"", Unreadable),
        (418, b"", Unreadable),
        (410, b"<html>", Unreadable),
        (401, {"detail": "token"}, Unauthenticated),
        (203, b"", Unreadable),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_each_status_is_its_error(
    call: str, status: int, body: Any, error: type[PlatformError]
) -> None:
    with pytest.raises(PlatformError) as caught:
        await CALLS[call](client(Script((status, body))))
    assert type(caught.value) is error
    assert "confirm_email" not in str(caught.value)
    assert "a@x.org" not in str(caught.value)
    doubtful = status >= 500 or status < 400
    assert caught.value.outcome_unknown is (doubtful and call not in READS)


@pytest.mark.parametrize("call", CALLS)
async def test_missing_is_said_of_resources_only(call: str) -> None:
    with pytest.raises(PlatformError) as caught:
        await CALLS[call](client(Script((404, {"detail": "User not found"}))))
    assert type(caught.value) is (Unreadable if call in ("list", "create") else Missing)


async def test_a_rejection_tells_where() -> None:
    body = {
        "detail": [{"loc": ["body", "a", 0], "msg": "m", "type": "t"}, {"loc": [], "msg": "n", "type": "t"}]
    }
    with pytest.raises(Rejected) as caught:
        await CALLS["update"](client(Script((422, body))))
    assert [(p.loc, p.msg) for p in caught.value.problems] == [(("body", "a", 0), "m"), ((), "n")]


GARBAGE: list[bytes] = [
    b"",
    b"<html>",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": {"id": 7}}',
    b'{"data": "\xff"}',
    b"\xff\xfe",
    b'{"data":' + b"[" * 100_000,
    json.dumps({"data": {**USER, "custom_attributes": []}}).encode(),
    json.dumps({"data": {**USER, "email": None}}).encode(),
]


@pytest.mark.parametrize("body", GARBAGE, ids=lambda b: repr(b[:30]))
@pytest.mark.parametrize("call", ["get", "list", "create", "update"])
async def test_answers_that_cannot_be_read(call: str, body: bytes) -> None:
    status = 201 if call == "create" else 200
    with pytest.raises(Unreadable) as caught:
        await CALLS[call](client(Script((status, body))))
    assert caught.value.outcome_unknown is (call in ("create", "update"))


async def test_an_answer_larger_than_allowed_cannot_be_read() -> None:
    for call in CALLS:
        status, body = GOOD[call][0], b" " * 1000 + b"{}"
        with pytest.raises(Unreadable, match="999 bytes") as caught:
            await CALLS[call](client(Script((status, body)), max_answer_bytes=999))
        assert caught.value.outcome_unknown is (call not in READS)


NO_CONFIRMATION = [b"<html>welcome</html>", b"{", b"\xff\xfe", b'{"data":' + b"[" * 100_000]
CONFIRMATION = [b"", b"null", b"[]", b"{}", b'{"data": {"id": 7}}']


@pytest.mark.parametrize("body", CONFIRMATION, ids=repr)
async def test_a_write_is_confirmed_by_any_json_or_nothing(body: bytes) -> None:
    script = Script((200, body))
    assert await CALLS["status"](client(script)) is None
    await CALLS["password"](client(script))
    await GroupClient(client(script), path="/groups").add("t", "g", ("u",))


@pytest.mark.parametrize("body", NO_CONFIRMATION, ids=lambda b: repr(b[:30]))
async def test_a_page_of_something_in_between_confirms_nothing(body: bytes) -> None:
    script = Script((200, body, {"content-type": "text/html"}))
    for call in (
        CALLS["status"](client(script)),
        CALLS["password"](client(script)),
        GroupClient(client(script), path="/groups").add("t", "g", ("u",)),
    ):
        with pytest.raises(Unreadable) as caught:
            await call
        assert caught.value.outcome_unknown


@pytest.mark.parametrize("body", GARBAGE, ids=lambda b: repr(b[:30]))
@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500])
async def test_errors_with_any_body(status: int, body: bytes) -> None:
    with pytest.raises(PlatformError):
        await CALLS["get"](client(Script((status, body))))


# --- escaping -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", ["../tnt_2", "a/b", "a?b=c", "a#b", "%2e%2e", "a b", "ä", "a\r\nX: y"])
async def test_ids_are_escaped(hostile: str) -> None:
    script = Script(GOOD["get"], GOOD["list"])
    await client(script).get_user("tnt_1", hostile)
    await client(script).list_users(hostile, {"page": 1, "per_page": 1})
    user, users = (r.url.raw_path.decode() for r in script.requests)
    assert user.count("/") == 6
    assert "?" not in user
    assert users.partition("?")[0].count("/") == 5
    assert user.startswith("/api/v1/tenants/tnt_1/users/")


async def test_query_values_are_escaped() -> None:
    script = Script(GOOD["list"], GOOD["delete"])
    await client(script).list_users("t", {"page": 1, "per_page": 1, "search": "a&status=LOCKED #+ %ä"})
    await client(script).delete_user("t", "u", "a+b&c@x.org")
    assert script.requests[0].url.params["search"] == "a&status=LOCKED #+ %ä"
    assert "status" not in script.requests[0].url.params
    assert script.requests[1].url.params["confirm_email"] == "a+b&c@x.org"


async def test_groups_can_be_asked_for() -> None:
    script = Script(GOOD["get"])
    await client(script, user_include="groups").get_user("t", "u")
    assert script.requests[0].url.params["include"] == "groups"
