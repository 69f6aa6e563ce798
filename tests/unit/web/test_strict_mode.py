"""Each tolerance over HTTP: refused in strict mode, taken where it alone is on, taken by default."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest
from bridge_rig import CORE, ENT, PATCH_OP, Rig, assert_scim_error, person

from app.scim.dialect import Tolerance
from app.scim.schema import GROUP
from app.store.connections import DialectSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
USER_URL, GROUP_URL = "/Users/{user}", "/Groups/{group}"
HOME = 'emails[type eq "home"]'


class Case(NamedTuple):
    tolerance: Tolerance
    method: str
    path: str
    body: Any
    strict: int | Callable[[httpx.Response], bool]
    """The status of the refusal, or what tells the strict answer from the lenient one."""
    scim_type: str | None = None
    headers: dict[str, str] | None = None


def ops(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def op(kind: str, path: str | None = None, **members: Any) -> dict[str, Any]:
    return ops({"op": kind, **({} if path is None else {"path": path}), **members})


def new(*urns: str, **attributes: Any) -> dict[str, Any]:
    name = {"userName": "new@example.com", "emails": [{"value": "new@example.com", "type": "work"}]}
    return {"schemas": [CORE, *urns], **name, **attributes}


def media(accept: str | None = None, sent: str | None = "application/scim+json") -> dict[str, str]:
    found = {"accept": accept, "content-type": sent}
    return {name: value for name, value in found.items() if value is not None}


def group(**attributes: Any) -> dict[str, Any]:
    return {"schemas": [GROUP], "displayName": "G", **attributes}


T = Tolerance
CASES = [
    Case(T.BOOLEAN_WORDS, "PATCH", USER_URL, op("replace", "active", value="False"), 400, "invalidValue"),
    Case(T.BOOLEAN_WORDS, "GET", '/Users?filter=active eq "True"', None, 400, "invalidFilter"),
    Case(T.NUMBER_FOR_STRING, "PATCH", USER_URL, op("replace", "title", value=5), 400, "invalidValue"),
    Case(T.EMPTY_IS_UNASSIGNED, "PATCH", USER_URL, op("add", "", value={"title": "x"}), 400, "invalidPath"),
    Case(
        T.HOLLOW_ELEMENTS, "PATCH", USER_URL, op("add", "emails", value=[{"type": "x"}]), 400, "invalidValue"
    ),
    Case(T.MANAGER_FORMS, "PATCH", USER_URL, op("add", f"{ENT}:manager", value="m"), 400, "invalidValue"),
    Case(
        T.MANAGER_FORMS,
        "POST",
        "/Users",
        new(ENT, **{ENT: {"manager": [{"value": "m"}]}}),
        400,
        "invalidValue",
    ),
    Case(T.MEMBER_FORMS, "PATCH", GROUP_URL, op("add", "members", value=["{other}"]), 400, "invalidValue"),
    Case(T.SINGLE_FOR_MULTI, "POST", "/Users", new(emails={"value": "n@example.com"}), 400, "invalidValue"),
    Case(
        T.SINGLE_FOR_MULTI,
        "POST",
        "/Users/.search",
        {"schemas": [SEARCH], "attributes": "id"},
        400,
        "invalidValue",
    ),
    Case(
        T.JSON_IN_STRING,
        "PATCH",
        USER_URL,
        op("add", "roles", value=[{"value": json.dumps({"value": "r", "displayName": "R"})}]),
        lambda answer: answer.json()["roles"][0]["value"].startswith("{"),
    ),
    Case(T.MISSING_SCHEMAS, "POST", "/Users", {**new(), "schemas": None}, 400, "invalidValue"),
    Case(
        T.MISSING_SCHEMAS, "PATCH", USER_URL, {**op("remove", "title"), "schemas": []}, 400, "invalidSyntax"
    ),
    Case(T.MISSING_SCHEMAS, "POST", "/Users/.search", {}, 400, "invalidSyntax"),
    Case(T.UNKNOWN_SCHEMAS, "POST", "/Users", new("urn:x"), 400, "invalidValue"),
    Case(T.UNKNOWN_SCHEMAS, "POST", "/Users", new(CORE), 400, "invalidValue"),
    Case(T.UNLISTED_EXTENSIONS, "POST", "/Users", new(**{ENT: {"department": "d"}}), 400, "invalidValue"),
    Case(T.UNKNOWN_ATTRIBUTES_IGNORED, "POST", "/Users", new(foo=1), 400, "invalidSyntax"),
    Case(T.UNKNOWN_ATTRIBUTES_IGNORED, "PATCH", USER_URL, op("add", value={"foo": 1}), 400, "invalidSyntax"),
    Case(T.UNKNOWN_ATTRIBUTES_IGNORED, "PUT", USER_URL, new(name={"foo": "x"}), 400, "invalidSyntax"),
    Case(
        T.UNQUALIFIED_EXTENSION_ATTRIBUTES, "POST", "/Users", new(ENT, department="d"), 400, "invalidSyntax"
    ),
    Case(
        T.UNQUALIFIED_EXTENSION_ATTRIBUTES, "GET", "/Users?filter=department pr", None, 400, "invalidFilter"
    ),
    Case(
        T.UNQUALIFIED_EXTENSION_ATTRIBUTES,
        "PATCH",
        USER_URL,
        op("add", "department", value="d"),
        400,
        "invalidPath",
    ),
    Case(T.FLAT_KEYS, "PATCH", USER_URL, op("add", value={"name.givenName": "x"}), 400, "invalidSyntax"),
    Case(
        T.FLAT_KEYS,
        "PATCH",
        GROUP_URL,
        op("add", value={"members.value": [{"value": "{other}"}]}),
        400,
        "invalidSyntax",
    ),
    Case(T.OP_CASE, "PATCH", USER_URL, op("Replace", "title", value="x"), 400, "invalidSyntax"),
    Case(T.MESSAGE_KEY_CASE, "PATCH", USER_URL, ops({"OP": "remove", "Path": "title"}), 400, "invalidSyntax"),
    Case(
        T.MESSAGE_KEY_CASE,
        "POST",
        "/Users/.search",
        {"schemas": [SEARCH], "Filter": "id pr"},
        400,
        "invalidSyntax",
    ),
    Case(T.STRAY_OP_KEYS, "PATCH", USER_URL, op("remove", "title", name="x"), 400, "invalidSyntax"),
    Case(T.EMPTY_OPERATIONS, "PATCH", USER_URL, ops(), 400, "invalidSyntax"),
    Case(T.OWN_ID_IN_REPLACE, "PATCH", USER_URL, op("replace", value={"id": "{user}"}), 400, "mutability"),
    Case(T.READ_ONLY_IN_VALUE, "PATCH", USER_URL, op("replace", value={"groups": []}), 400, "mutability"),
    Case(T.READ_ONLY_IN_VALUE, "PATCH", GROUP_URL, op("replace", value={"meta": {}}), 400, "mutability"),
    Case(
        T.UNMATCHED_ADD_CREATES,
        "PATCH",
        USER_URL,
        op("add", f"{HOME}.value", value="h@example.com"),
        400,
        "noTarget",
    ),
    Case(
        T.UNMATCHED_ADD_CREATES,
        "PATCH",
        USER_URL,
        op("replace", f"{HOME}.value", value="h@example.com"),
        400,
        "noTarget",
    ),
    Case(T.UNMATCHED_REMOVE_SUCCEEDS, "PATCH", USER_URL, op("remove", HOME), 400, "noTarget"),
    Case(
        T.UNMATCHED_REMOVE_SUCCEEDS,
        "PATCH",
        GROUP_URL,
        op("remove", 'members[value eq "{other}"]'),
        400,
        "noTarget",
    ),
    Case(
        T.REMOVE_WITH_VALUE_ARRAY,
        "PATCH",
        GROUP_URL,
        op("remove", "members", value=[{"value": "{user}"}]),
        400,
        "invalidValue",
    ),
    Case(
        T.REMOVE_WITH_VALUE_ARRAY,
        "PATCH",
        USER_URL,
        op("remove", "emails", value=[{"value": "x@example.com"}]),
        400,
        "invalidValue",
    ),
    Case(
        T.VALUE_PATH_COMPARED,
        "GET",
        '/Users?filter=emails[type eq "work"].value eq "x"',
        None,
        400,
        "invalidFilter",
    ),
    Case(
        T.VALUE_PATH_COMPARED,
        "POST",
        "/.search",
        {"schemas": [SEARCH], "filter": 'emails[type eq "work"].value pr'},
        400,
        "invalidFilter",
    ),
    Case(T.PUT_KEEPS_MEMBERS, "PUT", GROUP_URL, group(), lambda answer: "members" not in answer.json()),
    Case(
        T.UNKNOWN_MEMBERS_SKIPPED,
        "PATCH",
        GROUP_URL,
        op("add", "members", value=[{"value": "{other}"}, {"value": "usr_none"}]),
        400,
        "invalidValue",
    ),
    Case(
        T.UNKNOWN_MEMBERS_SKIPPED,
        "POST",
        "/Groups",
        group(displayName="H", members=[{"value": "{other}"}, {"value": "usr_none"}]),
        400,
        "invalidValue",
    ),
    Case(T.PARAMETER_FORMS, "GET", "/Users?count=", None, 400, "invalidValue"),
    Case(T.PARAMETER_FORMS, "GET", "/Users?startIndex=%201", None, 400, "invalidValue"),
    Case(T.PARAMETER_FORMS, "GET", "/Users?cursor=&count=", None, 400, "invalidCount"),
    Case(T.PARAMETER_FORMS, "GET", "/Users?sortBy=userName&sortOrder=Descending", None, 400, "invalidValue"),
    Case(T.PARAMETER_FORMS, "GET", "/Users?sortBy=userName&sortOrder=", None, 400, "invalidValue"),
    Case(T.PARAMETER_FORMS, "GET", "/Users?sortBy=", None, 400, "invalidPath"),
    Case(
        T.PARAMETER_FORMS,
        "POST",
        "/Users/.search",
        {"schemas": [SEARCH], "sortOrder": "ASCENDING"},
        400,
        "invalidValue",
    ),
    Case(T.ANY_ACCEPT, "GET", "/Users", None, 406, None, media("text/html")),
    Case(
        T.ANY_ACCEPT,
        "PATCH",
        USER_URL,
        op("remove", "title"),
        406,
        None,
        media("application/json;q=0, text/plain"),
    ),
    Case(
        T.ANSWER_AS_SENT,
        "POST",
        "/Users",
        new(),
        lambda answer: answer.headers["content-type"] == "application/scim+json",
        None,
        media("*/*", "application/json"),
    ),
    Case(T.MISSING_CONTENT_TYPE, "POST", "/Users", new(), 415, None, media(sent=None)),
    Case(T.OTHER_CHARSET, "POST", "/Users", new(), 415, None, media(sent="application/json;charset=latin1")),
]
REFUSED_BY_ALL: list[tuple[str, str, Any, int, str | None]] = [
    ("PATCH", USER_URL, op("remove"), 400, "noTarget"),
    ("PATCH", USER_URL, op("move", "title"), 400, "invalidSyntax"),
    ("PATCH", USER_URL, op("add", "title"), 400, "invalidValue"),
    ("PATCH", USER_URL, op("replace", "id", value="x"), 400, "mutability"),
    ("PATCH", USER_URL, op("replace", "meta.created", value="x"), 400, "mutability"),
    ("PATCH", USER_URL, op("add", "groups", value=[{"value": "x"}]), 400, "mutability"),
    ("PATCH", USER_URL, op("remove", "schemas"), 400, "mutability"),
    ("PATCH", USER_URL, op("remove", "userName"), 400, "mutability"),
    ("PATCH", USER_URL, op("replace", value={"id": "another"}), 400, "mutability"),
    ("PATCH", USER_URL, op("add", "nobody", value="x"), 400, "invalidPath"),
    ("PATCH", USER_URL, op("add", "emails[type eq]", value="x"), 400, "invalidFilter"),
    ("PATCH", GROUP_URL, op("replace", "id", value="x"), 400, "mutability"),
    ("PATCH", GROUP_URL, op("remove", "displayName"), 400, "mutability"),
    ("POST", "/Users", {"schemas": [CORE]}, 400, "invalidValue"),
    ("POST", "/Groups", {"schemas": [GROUP]}, 400, "invalidValue"),
    ("GET", "/Users?attributes=id&excludedAttributes=name", None, 400, "invalidValue"),
    ("GET", "/Users?count=x", None, 400, "invalidValue"),
    ("GET", "/Users?startIndex=1.0", None, 400, "invalidValue"),
    ("GET", "/Users?sortBy=userName&sortOrder=up", None, 400, "invalidValue"),
    ("GET", "/Users?sortBy=nobody", None, 400, "invalidPath"),
    ("GET", "/Users?filter=", None, 400, "invalidFilter"),
    ("GET", "/Users?filter=active gt true", None, 400, "invalidFilter"),
    ("GET", "/Users?filter=nobody pr", None, 400, "invalidFilter"),
    ("GET", "/Schemas?filter=id pr", None, 403, None),
]


async def carry_out(
    rig: Rig, method: str, path: str, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    """The request to a tenant with a user in a group, and another user."""
    made = []
    for name in ("ada@example.com", "bea@example.com"):
        emails = [{"value": name, "type": "work", "primary": True}]
        answer = await rig.scim("POST", "/Users", person(userName=name, emails=emails), headers=media())
        made.append(answer.json()["id"])
    members = [{"value": made[0]}]
    grouped = await rig.scim("POST", "/Groups", group(members=members), headers=media())
    ids = {"{user}": made[0], "{other}": made[1], "{group}": grouped.json()["id"]}
    text = "" if body is None else json.dumps(body)
    for name, value in ids.items():
        path, text = path.replace(name, value), text.replace(name, value)
    async with rig.client() as client:
        del client.headers["accept"]
        return await client.request(
            method, path, content=text, headers=media() if headers is None else headers
        )


def name_of(case: Case) -> str:
    return f"{case.tolerance}-{case.method}-{case.path.partition('?')[2] or case.path}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_tolerance_alone_makes_the_difference(shared: Rig, case: Case) -> None:
    request = case.method, case.path, case.body, case.headers
    strict = await carry_out(await shared.alone(dialect=DialectSettings(mode="strict")), *request)
    only = DialectSettings(mode="strict", on=(case.tolerance,))
    for settings in (only, DialectSettings()):
        lenient = await carry_out(await shared.alone(dialect=settings), *request)
        assert lenient.status_code in (200, 201, 204), lenient.text
        if not isinstance(case.strict, int):
            assert not case.strict(lenient)
    if isinstance(case.strict, int):
        assert strict.status_code == case.strict, strict.text
        assert assert_scim_error(strict).get("scimType") == case.scim_type, strict.text
    else:
        assert strict.status_code in (200, 201)
        assert case.strict(strict)


async def test_every_tolerance_has_a_case() -> None:
    assert {case.tolerance for case in CASES} == set(Tolerance)


@pytest.mark.parametrize("mode", ["lenient", "strict"])
@pytest.mark.parametrize(("method", "path", "body", "status", "scim_type"), REFUSED_BY_ALL)
async def test_what_no_mode_takes(
    shared: Rig, mode: Any, method: str, path: str, body: Any, status: int, scim_type: str | None
) -> None:
    rig = await shared.alone(dialect=DialectSettings(mode=mode))
    answer = await carry_out(rig, method, path, body)
    assert answer.status_code == status, answer.text
    assert assert_scim_error(answer).get("scimType") == scim_type
