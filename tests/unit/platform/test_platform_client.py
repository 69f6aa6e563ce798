"""The client against a platform that answers as each test says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from app.platform.auth import ClientCredentials, StaticToken
from app.platform.client import PlatformClient
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
from app.platform.retry import RetryPolicy
from app.wire.users import UserCreate, UserPasswordReset, UserStatusUpdate, UserUpdate

USER = {"id": "usr_1", "email": "a@x.org", "status": "ACTIVE", "created_at": "2026-01-01T00:00:00Z"}
PAGE = {"data": [], "pagination": {"page": 1, "per_page": 1, "total_items": 0, "total_pages": 0}}

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | Exception


class Script(httpx.AsyncBaseTransport):
    """Answers in turn; the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = (*answer, {})[:3]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content, headers=headers)


class Sleeps:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def client(
    transport: httpx.AsyncBaseTransport, sleeps: Sleeps | None = None, **options: Any
) -> PlatformClient:
    options.setdefault("tokens", StaticToken("t"))
    policy = RetryPolicy(sleep=sleeps or Sleeps())
    return PlatformClient(transport, base_url="http://platform.test/", retry=policy, **options)


CALLS: dict[str, Callable[[PlatformClient], Awaitable[Any]]] = {
    "get": lambda c: c.get_user("tnt_1", "usr_1"),
    "list": lambda c: c.list_users("tnt_1", {"page": 1, "per_page": 1}),
    "create": lambda c: c.create_user("tnt_1", UserCreate(email="a@x.org")),
    "update": lambda c: c.update_user("tnt_1", "usr_1", UserUpdate(phone=None)),
    "status": lambda c: c.set_status("tnt_1", "usr_1", UserStatusUpdate(status="LOCKED")),
    "password": lambda c: c.reset_password(
        "tnt_1", "usr_1", UserPasswordReset(method="DIRECT", new_password="p")
    ),
    "delete": lambda c: c.delete_user("tnt_1", "usr_1", "a@x.org"),
}
GOOD: dict[str, Answer] = {
    "get": (200, {"data": USER}),
    "list": (200, PAGE),
    "create": (201, {"data": USER}),
    "update": (200, {"data": USER}),
    "status": (200, {"data": USER}),
    "password": (200, {}),
    "delete": (204, b""),
}
REPEATED = {"get", "list", "update", "status"}


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
        (301, b"", Unreadable),
        (418, b"", Unreadable),
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
    if isinstance(caught.value, Unavailable):
        assert caught.value.outcome_unknown is (call not in ("get", "list"))


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


@pytest.mark.parametrize("body", GARBAGE, ids=lambda b: repr(b[:30]))
async def test_the_answer_to_a_status_need_not_hold_the_user(body: bytes) -> None:
    assert await CALLS["status"](client(Script((200, body)))) is None


@pytest.mark.parametrize("body", GARBAGE, ids=lambda b: repr(b[:30]))
@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500])
async def test_errors_with_any_body(status: int, body: bytes) -> None:
    with pytest.raises(PlatformError):
        await CALLS["get"](client(Script((status, body))))


# --- repeating -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("seconds", "slept"), [("2", [2.0]), ("0", [0.0]), ("5", [5.0])])
async def test_a_short_wait_is_waited(call: str, seconds: str, slept: list[float]) -> None:
    sleeps = Sleeps()
    script = Script((429, {"detail": "slow"}, {"retry-after": seconds}), GOOD[call])
    await CALLS[call](client(script, sleeps))
    assert sleeps.slept == slept
    assert len(script.requests) == 2


@pytest.mark.parametrize("seconds", ["6", "3600", "inf", "1e400"])
async def test_a_long_wait_is_passed_on(seconds: str) -> None:
    script = Script((429, {"detail": "slow"}, {"retry-after": seconds}), GOOD["get"])
    with pytest.raises(Throttled):
        await CALLS["get"](client(script))
    assert len(script.requests) == 1


@pytest.mark.parametrize("seconds", ["nan", "-5", "soon", "", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_wait_that_is_none(seconds: str) -> None:
    sleeps = Sleeps()
    script = Script((429, {"detail": "slow"}, {"retry-after": seconds}), GOOD["get"])
    await CALLS["get"](client(script, sleeps))
    assert all(0 <= s <= 5 for s in sleeps.slept)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "fault",
    [
        (503, b""),
        (500, {"detail": "x"}),
        httpx.ReadTimeout("x"),
        httpx.ReadError("x"),
        httpx.RemoteProtocolError("x"),
        OSError("x"),
    ],
    ids=repr,
)
async def test_only_what_is_harmless_is_repeated(call: str, fault: Answer) -> None:
    script = Script(fault, GOOD[call])
    if call in REPEATED:
        await CALLS[call](client(script))
        assert len(script.requests) == 2
    else:
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](client(script))
        assert len(script.requests) == 1
        assert caught.value.outcome_unknown


@pytest.mark.parametrize("call", CALLS)
async def test_a_refused_connection_is_tried_again(call: str) -> None:
    script = Script(httpx.ConnectError("x"), GOOD[call])
    await CALLS[call](client(script))
    assert len(script.requests) == 2


@pytest.mark.parametrize("call", CALLS)
async def test_it_ends_after_three_tries(call: str) -> None:
    sleeps = Sleeps()
    script = Script(httpx.ConnectError("x"))
    with pytest.raises(Unavailable) as caught:
        await CALLS[call](client(script, sleeps))
    assert len(script.requests) == 3
    assert len(sleeps.slept) == 2
    assert not caught.value.outcome_unknown


async def test_the_last_error_is_the_one_told() -> None:
    script = Script((503, b""), (404, {"detail": "User not found"}))
    with pytest.raises(Missing):
        await CALLS["get"](client(script))


# --- tokens ----------------------------------------------------------------------------------------------


class Tokens:
    def __init__(self) -> None:
        self.given = 0

    async def token(self) -> str:
        return f"t{self.given}"

    def reject(self, token: str) -> None:
        if token == f"t{self.given}":
            self.given += 1


async def test_a_refused_token_is_renewed_once() -> None:
    script = Script((401, b""), GOOD["create"])
    await CALLS["create"](client(script, tokens=Tokens()))
    assert [r.headers["authorization"] for r in script.requests] == ["Bearer t0", "Bearer t1"]


async def test_a_token_refused_twice_is_an_error() -> None:
    script = Script((401, b""))
    with pytest.raises(Unauthenticated):
        await CALLS["get"](client(script, tokens=Tokens()))
    assert len(script.requests) == 2


# --- escaping, time, concurrency -------------------------------------------------------------------------


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


class Slow(httpx.AsyncBaseTransport):
    """Answers the head at once and the body never, or nothing at all."""

    def __init__(self, *, head: bool) -> None:
        self.head = head
        self.running = self.most = self.writes = 0
        self.answers = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            return httpx.Response(200, json={"data": USER})
        self.writes += request.method != "GET"
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if not self.head:
                await asyncio.sleep(3600)
        finally:
            self.running -= 1

        class Body(httpx.AsyncByteStream):
            async def __aiter__(self) -> Any:
                yield b"{"
                await asyncio.sleep(3600)

        return httpx.Response(200, stream=Body())


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("call", ["get", "create"])
async def test_a_call_ends_in_time(call: str, head: bool) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](client(Slow(head=head), timeout_s=0.05))
    assert caught.value.outcome_unknown is (call == "create")


async def test_a_bounded_number_runs_at_a_time() -> None:
    slow = Slow(head=False)
    limited = client(slow, timeout_s=0.1, max_concurrency=3)
    async with asyncio.timeout(10):
        found = await asyncio.gather(*(CALLS["create"](limited) for _ in range(6)), return_exceptions=True)
    assert slow.most == 3
    assert all(isinstance(f, Unavailable) for f in found)


async def test_a_write_that_never_got_its_turn_was_not_sent() -> None:
    slow = Slow(head=False)
    limited = client(slow, timeout_s=0.2, max_concurrency=1)
    first = asyncio.create_task(CALLS["get"](limited))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable) as caught:
        await CALLS["password"](limited)
    if slow.most == 1 and slow.writes == 0:
        assert not caught.value.outcome_unknown
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_cancelled_call_gives_its_place_back() -> None:
    slow = Slow(head=False)
    limited = client(slow, max_concurrency=1)
    task = asyncio.create_task(CALLS["get"](limited))  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.answers = True
    async with asyncio.timeout(5):
        await CALLS["get"](limited)


# --- the token source ------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def credentials(
    transport: httpx.AsyncBaseTransport, clock: Clock | None = None, **options: Any
) -> ClientCredentials:
    return ClientCredentials(
        transport,
        token_url="http://platform.test/oauth/token",
        client_id="id:with:colons",
        client_secret="s/e c%r&t",
        scope="a b",
        clock=clock or Clock(),
        **options,
    )


def token(name: str, life: float = 3600) -> Answer:
    return (200, {"access_token": name, "token_type": "Bearer", "expires_in": life})


async def test_a_token_is_renewed_ahead_of_its_end() -> None:
    clock = Clock()
    script = Script(token("one"), token("two"))
    source = credentials(script, clock)
    assert await source.token() == "one"
    clock.now += 3539
    assert await source.token() == "one"
    clock.now += 2
    assert await source.token() == "two"
    assert len(script.requests) == 2


async def test_a_short_lived_token_is_used_for_half_its_life() -> None:
    clock = Clock()
    source = credentials(Script(token("one", 20), token("two", 20)), clock)
    assert await source.token() == "one"
    clock.now += 9.9
    assert await source.token() == "one"
    clock.now += 0.2
    assert await source.token() == "two"


async def test_many_waiters_share_one_renewal() -> None:
    class Late(Script):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.01)
            return await super().handle_async_request(request)

    late = Late(token("one"), token("two"))
    source = credentials(late)
    assert set(await asyncio.gather(*(source.token() for _ in range(20)))) == {"one"}
    assert len(late.requests) == 1


async def test_many_waiters_share_one_failure() -> None:
    """A token endpoint that does not answer costs each of them one time-out, not one after the other."""
    source = credentials(Slow(head=False), timeout_s=0.1)
    async with asyncio.timeout(1.0):
        found = await asyncio.gather(*(source.token() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(f, Unavailable) for f in found)


async def test_rejecting_an_old_token_keeps_the_new_one() -> None:
    script = Script(token("one"), token("two"), token("three"))
    source = credentials(script)
    old = await source.token()
    source.reject(old)
    assert await source.token() == "two"
    source.reject(old)
    assert await source.token() == "two"
    assert len(script.requests) == 2


async def test_credentials_are_encoded_before_they_are_joined() -> None:
    script = Script(token("one"))
    await credentials(script).token()
    (request,) = script.requests
    pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "id%3Awith%3Acolons:s%2Fe%20c%25r%26t"
    assert request.content == b"grant_type=client_credentials&scope=a+b"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, {"error": "invalid_client"}), Unauthenticated),
        ((401, b""), Unauthenticated),
        ((403, b"<html>"), Unauthenticated),
        ((404, b"<html>"), Unauthenticated),
        ((429, b""), Unavailable),
        ((500, b""), Unavailable),
        ((200, b"<html>"), Unreadable),
        ((200, b"\xff"), Unreadable),
        ((200, b"{}"), Unreadable),
        ((200, {"access_token": 7}), Unreadable),
        ((200, {"access_token": ""}), Unreadable),
        ((200, {"access_token": "a\r\nX-Injected: b"}), Unreadable),
        (httpx.ConnectError("x"), Unavailable),
        (httpx.ReadTimeout("x"), Unavailable),
        (OSError("x"), Unavailable),
    ],
    ids=repr,
)
async def test_a_token_that_cannot_be_had(answer: Answer, error: type[PlatformError]) -> None:
    source = credentials(Script(answer))
    with pytest.raises(PlatformError) as caught:
        await source.token()
    assert type(caught.value) is error
    assert "s/e c%r&t" not in str(caught.value)
    if isinstance(caught.value, Unavailable):
        assert not caught.value.outcome_unknown


async def test_one_attempt_means_one() -> None:
    script = Script((503, b""))
    limited = PlatformClient(
        script,
        base_url="http://p.test",
        tokens=StaticToken("t"),
        retry=RetryPolicy(attempts=1, sleep=Sleeps()),
    )
    with pytest.raises(Unavailable):
        await limited.get_user("t", "u")
    assert len(script.requests) == 1
