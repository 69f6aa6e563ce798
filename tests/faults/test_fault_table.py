"""Every fault at every call of every use case: the SCIM error, and what is left on the platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from bridge_rig import Fault, Rig, answers, assert_scim_error, garbles_reply, loses_reply, person, raises

pytestmark = pytest.mark.asyncio(loop_scope="module")

UseCase = Callable[[Rig, dict[str, Any]], Awaitable[httpx.Response]]

BOTH = [
    {"op": "replace", "path": "displayName", "value": "New"},
    {"op": "replace", "path": "active", "value": False},
]


async def get(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("GET", f"/Users/{user['id']}")


async def find(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("GET", '/Users?filter=userName eq "nobody@example.com"')


async def find_external(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("GET", '/Users?filter=externalId eq "x"')


async def everyone(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("GET", "/Users")


async def scan(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("GET", '/Users?filter=title co "x"')


async def create(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("POST", "/Users", person(userName="b@example.com", emails=None))


async def create_inactive(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("POST", "/Users", person(userName="b@example.com", emails=None, active=False))


async def replace(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("PUT", f"/Users/{user['id']}", {**user, "userName": "c@example.com"})


async def patch(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.patch(user["id"], *BOTH)


async def remove(rig: Rig, user: dict[str, Any]) -> httpx.Response:
    return await rig.scim("DELETE", f"/Users/{user['id']}")


USE_CASES: dict[UseCase, list[str]] = {
    get: ["GET user"],
    find: ["GET users"],
    find_external: ["GET users", "GET user"],
    everyone: ["GET users", "GET user"],
    scan: ["GET users", "GET user"],
    create: ["GET users", "POST users"],
    create_inactive: ["GET users", "POST users", "PUT status"],
    replace: ["GET user", "GET users", "PATCH user"],
    patch: ["GET user", "PATCH user", "PUT status"],
    remove: ["GET user", "DELETE user"],
}
POINTS = [(case, number) for case, calls in USE_CASES.items() for number in range(len(calls))]
IDS = [f"{case.__name__}-{number}-{USE_CASES[case][number].replace(' ', '-')}" for case, number in POINTS]

LIST = b'{"data": [], "pagination": {"page": 1}}'
REFUSALS: dict[str, tuple[Fault, int, str | None, str]] = {
    # fault that goes on, status, scimType, Retry-After
    "throttled-long": (answers(429, headers={"retry-after": "77.2"}), 429, None, "78"),
    "throttled-short": (answers(429, headers={"retry-after": "0.5"}), 429, None, "1"),
    "throttled-without-time": (answers(429), 429, None, "5"),
    "throttled-until-a-date": (
        answers(429, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        429,
        None,
        r"\d+",
    ),
    "throttled-for-nonsense": (answers(429, headers={"retry-after": "soon"}), 429, None, "5"),
    "throttled-forever": (answers(429, headers={"retry-after": "inf"}), 429, None, r"\d+"),
    "error-500": (answers(500), 503, None, "5"),
    "error-503": (answers(503, headers={"retry-after": "40"}), 503, None, "40"),
    "error-502-html": (answers(502, raw=b"<html>bad gateway</html>"), 503, None, "5"),
    "refused": (raises(httpx.ConnectError), 503, None, "5"),
    "connect-timeout": (raises(httpx.ConnectTimeout), 503, None, "5"),
    "timeout": (raises(httpx.ReadTimeout), 503, None, "5"),
    "broken": (raises(httpx.RemoteProtocolError), 503, None, "5"),
    "not-json": (answers(200, raw=b"<html>welcome</html>"), 502, None, ""),
    "not-utf8": (answers(200, raw=b'{"data": "\xff"}'), 502, None, ""),
    "too-deep": (answers(200, raw=b'{"data":' + b"[" * 20000), 502, None, ""),
    "other-json": (answers(200, {"hello": "world"}), 502, None, ""),
    "redirect": (answers(302, headers={"location": "https://evil.test/"}), 502, None, ""),
    "html-404": (answers(404, raw=b"<html>no such page</html>"), 502, None, ""),
    "teapot": (answers(418), 502, None, ""),
    "unauthenticated": (answers(401), 502, None, ""),
    "forbidden": (answers(403), 403, None, ""),
    "forbidden-html": (answers(403, raw=b"<html>waf</html>"), 403, None, ""),
}


UNREADABLE = ("not-json", "not-utf8", "too-deep", "other-json", "redirect")
IN_DOUBT = ("error-500", "error-503", "error-502-html", "timeout", "broken", *UNREADABLE)
"""Of a write nobody knows then whether it was done."""
JOURNALLED = (create, create_inactive, patch)


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize(("case", "number"), POINTS, ids=IDS)
async def test_a_fault_that_stays(rig: Rig, case: UseCase, number: int, fault: str) -> None:
    made, status, scim_type, retry_after = REFUSALS[fault]
    user = await rig.make()
    before = await rig.all_at_platform()
    rig.wire.from_number(number, made)
    if case is create_inactive and number == 2:
        rig.wire.always("PUT status", made)  # or the undoing would be refused as well
    answer = await case(rig, user)
    if fault in ("not-json", "not-utf8", "too-deep", "other-json") and rig.wire.calls[number] == "PUT status":
        # The answer to a status need not hold the user; what is there now is read.
        assert answer.status_code in (200, 201, 503)
        return
    if case in JOURNALLED and number and fault in UNREADABLE:
        # What was begun is finished: the client may come again.
        status, retry_after = 503, "1"
    if case is remove and number == 1 and answer.status_code == 204:
        raise AssertionError("nothing was deleted")
    assert answer.status_code == status, answer.text
    body = assert_scim_error(answer)
    assert body.get("scimType") == scim_type
    asked = answer.headers.get("retry-after", "")
    assert asked == retry_after or (retry_after == r"\d+" and asked.isdigit())
    rig.wire.reset()
    if case is create_inactive and number == 2 and fault in IN_DOUBT:
        again = await case(rig, user)
        assert (again.status_code, again.json()["active"]) == (201, False)
        return
    after = await rig.all_at_platform()
    if case in (create, create_inactive) or number < 2:
        assert after == before


REJECTED = {
    "email": (["body", "email"], "emails"),
    "username": (["body", "username"], "userName"),
    "first_name": (["body", "first_name"], "name.givenName"),
    "phone": (["body", "phone"], "phoneNumbers"),
    "custom": (["body", "custom_attributes", "cost_center"], "costCenter"),
}


@pytest.mark.parametrize("place", REJECTED)
@pytest.mark.parametrize(
    ("case", "call"), [(create, "POST users"), (replace, "PATCH user"), (patch, "PATCH user")]
)
@pytest.mark.parametrize("status", [400, 422])
async def test_a_rejection_names_the_attribute(
    rig: Rig, case: UseCase, call: str, place: str, status: int
) -> None:
    loc, name = REJECTED[place]
    user = await rig.make()
    detail = [{"loc": loc, "msg": "value is not good", "type": "value_error"}]
    rig.wire.always(call, answers(status, {"detail": detail}))
    answer = await case(rig, user)
    body = assert_scim_error(answer)
    assert (answer.status_code, body["scimType"]) == (400, "invalidValue")
    assert name in body["detail"]
    assert "value is not good" in body["detail"]


@pytest.mark.parametrize(
    "detail", ["bad", [], [{"loc": [], "msg": "m"}], [{"loc": ["body", 3], "msg": "m"}], {"x": 1}, None]
)
async def test_a_rejection_of_any_form(rig: Rig, detail: Any) -> None:
    user = await rig.make()
    rig.wire.always("PATCH user", answers(422, {"detail": detail}))
    answer = await patch(rig, user)
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")


@pytest.mark.parametrize(
    ("detail", "name"),
    [
        ("A user with this email already exists", "emails"),
        ("A user with this username already exists", "userName"),
        ("taken", "unique"),
    ],
)
@pytest.mark.parametrize(("case", "call"), [(create, "POST users"), (replace, "PATCH user")])
async def test_a_conflict_is_uniqueness(rig: Rig, case: UseCase, call: str, detail: str, name: str) -> None:
    user = await rig.make()
    rig.wire.always(call, answers(409, {"detail": detail}))
    answer = await case(rig, user)
    body = assert_scim_error(answer)
    assert (answer.status_code, body["scimType"]) == (409, "uniqueness")
    assert name in body["detail"]


@pytest.mark.parametrize("fault", ["error-500", "timeout", "not-json", "throttled-long"])
async def test_a_conflict_stays_one_when_it_cannot_be_explained(rig: Rig, fault: str) -> None:
    broken = REFUSALS[fault][0]
    conflict = answers(409, {"detail": "A user with this email already exists"})
    rig.wire.reset()
    rig.wire.fault = lambda n, name: conflict if name == "POST users" else broken if n > 1 else None
    answer = await create(rig, {})
    assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")


@pytest.mark.parametrize(("case", "number"), [(replace, 2), (patch, 1), (patch, 2), (remove, 1)])
async def test_a_user_that_goes_in_between_is_gone(rig: Rig, case: UseCase, number: int) -> None:
    user = await rig.make()
    rig.wire.at(number, answers(404, {"detail": "User not found"}))
    answer = await case(rig, user)
    assert answer.status_code == (204 if case is remove else 404)


# --- faults that pass ---------------------------------------------------------------------------------------

PASSING: dict[str, Fault] = {
    "throttled": answers(429, headers={"retry-after": "2"}),
    "refused": raises(httpx.ConnectError),
    "unauthenticated": answers(401),
}
PASSING_WHERE_HARMLESS: dict[str, Fault] = {
    "error-503": answers(503),
    "timeout": raises(httpx.ReadTimeout),
    "lost": loses_reply(httpx.ReadError),
    "late": loses_reply(httpx.ReadTimeout),
}


@pytest.mark.parametrize("fault", [*PASSING, *PASSING_WHERE_HARMLESS])
@pytest.mark.parametrize(("case", "number"), POINTS, ids=IDS)
async def test_a_fault_that_passes_is_not_seen(rig: Rig, case: UseCase, number: int, fault: str) -> None:
    name = USE_CASES[case][number]
    if fault in PASSING_WHERE_HARMLESS and name == "POST users":
        return  # a creation is not repeated by itself
    user = await rig.make()
    rig.wire.at(number, {**PASSING, **PASSING_WHERE_HARMLESS}[fault])
    answer = await case(rig, user)
    assert answer.status_code < 300, answer.text
    if fault == "throttled":
        assert rig.sleeps == [2.0]


async def test_every_failure_of_5xx_has_a_reference_of_its_own(rig: Rig) -> None:
    user = await rig.make()
    rig.wire.from_number(0, answers(500))
    details = {(await get(rig, user)).json()["detail"] for _ in range(3)}
    assert len(details) == 3


async def test_a_garbled_answer_to_an_update_is_made_good_by_a_look(rig: Rig) -> None:
    user = await rig.make()
    rig.wire.always("PATCH user", garbles_reply(b"<html>"))
    answer = await patch(rig, user)
    assert answer.status_code == 200
    assert (answer.json()["displayName"], answer.json()["active"]) == ("New", False)
    assert rig.wire.seen() == ["GET user", "PATCH user", "GET user", "PUT status"]


async def test_a_garbled_answer_to_a_single_call_says_so(rig: Rig) -> None:
    user = await rig.make()
    rig.wire.always("PATCH user", garbles_reply(b"<html>"))
    answer = await rig.patch(user["id"], BOTH[0])
    assert answer.status_code == 502
    rig.wire.reset()
    assert (await rig.patch(user["id"], BOTH[0])).json()["displayName"] == "New"
