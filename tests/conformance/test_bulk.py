"""`POST /Bulk` (RFC 7644 §3.7) over a socket, with groups kept by the platform and by the bridge."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import GroupSide, client, connect
from rfc import ENTERPRISE, ERROR, PATCH, USER, Create, check_error

if TYPE_CHECKING:
    from conftest import Serve, Served

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"


def send(scim: httpx.Client, *operations: Any, **members: Any) -> list[dict[str, Any]]:
    """The operations of the BulkResponse, checked for what RFC 7644 §3.7 has every one be."""
    answer = scim.post(
        "/Bulk",
        json={"schemas": [REQUEST], "Operations": list(operations), **members},
        headers={"content-type": "application/scim+json"},
        timeout=900,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/scim+json"
    body = answer.json()
    assert body["schemas"] == [RESPONSE]
    for each in body["Operations"]:
        assert isinstance(each["status"], str)
        failed = int(each["status"]) >= 400
        assert ("response" in each) == failed
        if failed:
            assert each["response"]["schemas"] == [ERROR]
            assert each["response"]["status"] == each["status"]
            assert each["response"]["detail"]
        else:
            assert each["location"].startswith(str(scim.base_url).rstrip("/"))
    found: list[dict[str, Any]] = body["Operations"]
    return found


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in results]


def name() -> str:
    return f"bulk-{uuid.uuid4().hex}@example.com"


def user(bulk_id: str, **data: Any) -> dict[str, Any]:
    body = {"schemas": [USER], "userName": name(), **data}
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": body}


def managed(bulk_id: str, by: str, **data: Any) -> dict[str, Any]:
    return user(bulk_id, schemas=[USER, ENTERPRISE], **{ENTERPRISE: {"manager": {"value": by}}, **data})


def group(bulk_id: str, *members: Any, **data: Any) -> dict[str, Any]:
    named = [m if isinstance(m, dict) else {"value": m} for m in members]
    body = {"schemas": [GROUP], "displayName": f"bulk {uuid.uuid4()}", "members": named, **data}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": body}


def patch(path: str, *operations: dict[str, Any], **members: Any) -> dict[str, Any]:
    data = {"schemas": [PATCH], "Operations": list(operations)}
    return {"method": "PATCH", "path": path, "data": data, **members}


def title(value: str) -> dict[str, Any]:
    return {"op": "replace", "path": "title", "value": value}


def get(scim: httpx.Client, location: str) -> dict[str, Any]:
    answer = scim.get(location)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def members(scim: httpx.Client, location: str) -> set[str]:
    return {m["value"] for m in get(scim, location).get("members", ())}


def own_id(result: dict[str, Any]) -> str:
    return str(result["location"].rsplit("/", 1)[1])


def manager(scim: httpx.Client, result: dict[str, Any]) -> str:
    return str(get(scim, result["location"])[ENTERPRISE]["manager"]["value"])


def test_every_method(scim: httpx.Client, create: Create) -> None:
    """As in the example of RFC 7644 §3.7.3."""
    put, patched, gone = create(), create(), create()
    new = {"schemas": [USER], "userName": put["userName"], "title": "by put"}
    results = send(
        scim,
        user("qwerty"),
        {"method": "PUT", "path": f"/Users/{put['id']}", "version": put["meta"]["version"], "data": new},
        {
            "method": "PATCH",
            "path": f"/Users/{patched['id']}",
            "version": patched["meta"]["version"],
            "data": [title("by patch")],
        },
        {"method": "DELETE", "path": f"/Users/{gone['id']}", "version": gone["meta"]["version"]},
        failOnErrors=1,
    )
    assert [(r["method"], r["status"]) for r in results] == [
        ("POST", "201"),
        ("PUT", "200"),
        ("PATCH", "200"),
        ("DELETE", "204"),
    ]
    assert results[0]["bulkId"] == "qwerty"
    assert [r["location"] for r in results[1:]] == [u["meta"]["location"] for u in (put, patched, gone)]
    for result, shown in zip(results[:3], (None, "by put", "by patch"), strict=True):
        resource = get(scim, result["location"])
        assert resource["meta"]["version"] == result["version"]
        assert resource.get("title") == shown
    assert "version" not in results[3]
    assert scim.get(gone["meta"]["location"]).status_code == 404


def test_users_and_groups_at_once(groups: httpx.Client) -> None:
    """References ahead: the group comes first."""
    results = send(
        groups,
        group("g", "bulkId:a", {"value": "bulkId:b", "type": "User", "$ref": "../Users/bulkId:b"}),
        patch("/Groups/bulkId:g", {"op": "add", "path": "members", "value": [{"value": "bulkId:c"}]}),
        patch("/Groups/bulkId:g", {"op": "remove", "path": 'members[value eq "bulkId:a"]'}),
        user("a"),
        managed("b", "bulkId:a"),
        user("c"),
    )
    assert statuses(results) == ["201", "204", "204", "201", "201", "201"]
    ids = {r["bulkId"]: own_id(r) for r in results if "bulkId" in r}
    assert members(groups, results[0]["location"]) == {ids["b"], ids["c"]}
    assert manager(groups, results[4]) == ids["a"]
    assert get(groups, results[2]["location"])["meta"]["version"] == results[2]["version"]


def test_a_patch_of_members_as_identity_providers_send_it(groups: httpx.Client) -> None:
    """Names in other cases, operations in Pascal case, a lone value: the dialect holds in bulk too."""
    made = send(groups, user("a"), user("b"), group("g"))
    a, b = own_id(made[0]), own_id(made[1])
    path = f"/Groups/{own_id(made[2])}"
    results = send(
        groups,
        {
            "method": "PATCH",
            "path": path,
            "data": {"operations": [{"Op": "Add", "path": "members", "value": a}]},
        },
        patch(path, {"op": "Add", "path": "members", "value": [{"value": b}]}),
        patch(f"/Users/{a}", {"op": "Replace", "path": "active", "value": "False"}),
        patch(f"/Users/{b}", {"op": "Replace", "value": {"name.givenName": "B"}}),
    )
    assert statuses(results) == ["204", "204", "200", "200"]
    assert members(groups, path) == {a, b}
    assert get(groups, f"/Users/{a}")["active"] is False
    assert get(groups, f"/Users/{b}")["name"]["givenName"] == "B"


def test_nested_groups(groups: httpx.Client, group_side: GroupSide) -> None:
    results = send(groups, group("outer", {"value": "bulkId:inner", "type": "Group"}), group("inner"))
    if group_side.backend == "platform":
        assert statuses(results) == ["400", "201"]
        return
    assert statuses(results) == ["201", "201"]
    assert members(groups, results[0]["location"]) == {own_id(results[1])}


def test_groups_in_a_circle(groups: httpx.Client, group_side: GroupSide) -> None:
    """RFC 7644 §3.7.1: resolved where groups can hold groups, else 409."""
    inner = {"type": "Group"}
    a = group("a", {**inner, "value": "bulkId:b"}, "bulkId:x")
    b = group("b", {**inner, "value": "bulkId:c"})
    c = group("c", {**inner, "value": "bulkId:a"})
    results = send(groups, a, b, c, user("x"))
    if group_side.backend == "local":
        assert statuses(results) == ["201"] * 4
        ids = [own_id(r) for r in results]
        assert [members(groups, r["location"]) for r in results[:3]] == [{ids[1], ids[3]}, {ids[2]}, {ids[0]}]
        # The user has got another version by it.
        for result in results[:3]:
            assert get(groups, result["location"])["meta"]["version"] == result["version"]
        kinds = {g["value"]: g["type"] for g in get(groups, results[3]["location"])["groups"]}
        assert kinds == {ids[0]: "direct", ids[1]: "indirect", ids[2]: "indirect"}
        # What was read can be sent back, and the circle be opened again; one request cannot close it.
        path = f"/Groups/{ids[2]}"
        assert groups.put(path, json=get(groups, path)).status_code == 200
        assert statuses(send(groups, patch(path, {"op": "remove", "path": "members"}))) == ["204"]
        again = {"op": "add", "path": "members", "value": [{**inner, "value": ids[0]}]}
        assert statuses(send(groups, patch(path, again))) == ["400"]
        return
    assert statuses(results) == ["409", "409", "409", "201"]
    assert not any("location" in r for r in results if r["status"] == "409")
    for each in (a, b):
        text = f'displayName eq "{each["data"]["displayName"]}"'
        assert groups.get("/Groups", params={"filter": text}).json()["totalResults"] == 0


def test_who_refers_to_a_circle_that_is_a_conflict(scim: httpx.Client) -> None:
    a, b = group("a", "bulkId:b"), group("b", "bulkId:a")
    results = send(scim, a, b, user("x"), group("c", "bulkId:a"))
    assert statuses(results) == ["409", "409", "201", "409"]
    assert not any("location" in r for r in results if r["status"] == "409")
    for each in (a, b):
        text = f'displayName eq "{each["data"]["displayName"]}"'
        assert scim.get("/Groups", params={"filter": text}).json()["totalResults"] == 0


def test_users_in_a_circle_are_resolved(groups: httpx.Client) -> None:
    results = send(
        groups,
        managed("a", "bulkId:c"),
        managed("b", "bulkId:a"),
        managed("c", "bulkId:b", password="Correct-Horse-7-Battery", active=False),
        managed("self", "bulkId:self"),
        group("g", "bulkId:a", "bulkId:c"),
    )
    assert statuses(results) == ["201"] * 5
    a, b, c, alone, _ = map(own_id, results)
    assert [manager(groups, r) for r in results[:4]] == [c, a, b, alone]
    assert get(groups, results[2]["location"])["active"] is False
    # The members of the group have got another version by it.
    for result in (results[1], results[3], results[4]):
        assert get(groups, result["location"])["meta"]["version"] == result["version"]
    assert members(groups, results[4]["location"]) == {a, c}


def test_a_circle_of_users_and_a_group(groups: httpx.Client) -> None:
    results = send(groups, group("g", "bulkId:a"), managed("a", "bulkId:g"))
    assert statuses(results) == ["201", "201"]
    assert manager(groups, results[1]) == own_id(results[0])
    assert members(groups, results[0]["location"]) == {own_id(results[1])}


def test_a_circle_of_which_one_fails_leaves_nothing(scim: httpx.Client, create: Create) -> None:
    taken = create()["userName"]
    first = managed("a", "bulkId:b")
    results = send(scim, first, managed("b", "bulkId:a", userName=taken), managed("c", "bulkId:a"))
    assert statuses(results) == ["409", "409", "409"]
    assert results[1]["response"]["scimType"] == "uniqueness"
    assert "bulkId:b" in results[0]["response"]["detail"]
    found = scim.get("/Users", params={"filter": f'userName eq "{first["data"]["userName"]}"'}).json()
    assert found["totalResults"] == 0
    # What was taken back is free again.
    again = send(scim, {**first, "data": {**first["data"], ENTERPRISE: {}}})
    assert statuses(again) == ["201"]


def test_who_refers_to_what_failed_fails(groups: httpx.Client, create: Create) -> None:
    results = send(
        groups,
        user("bad", userName=None),
        group("g", "bulkId:bad"),
        patch("/Users/bulkId:bad", title("x")),
        patch("/Groups/bulkId:g", {"op": "add", "path": "members", "value": [{"value": "bulkId:good"}]}),
        user("good"),
    )
    assert statuses(results) == ["400", "409", "409", "409", "201"]
    assert "bulkId:bad" in results[1]["response"]["detail"]
    assert "400" in results[1]["response"]["detail"]
    assert not any("location" in r for r in results[:4])
    assert "scimType" not in results[1]["response"]


def test_unknown_and_repeated_bulk_ids(scim: httpx.Client) -> None:
    results = send(
        scim, managed("a", "bulkId:nobody"), user("b"), user("b"), managed("c", "bulkId:b"), user("d")
    )
    assert statuses(results) == ["400", "400", "400", "409", "201"]
    assert [r["response"].get("scimType") for r in results[:4]] == ["invalidValue"] * 3 + [None]


def test_fail_on_errors_stops_in_order(scim: httpx.Client, create: Create) -> None:
    own = create()
    path = f"/Users/{own['id']}"
    results = send(
        scim,
        patch(path, title("first")),
        patch("/Users/nobody", title("x")),
        patch(path, title("second")),
        {"method": "GET", "path": path},
        patch(path, title("third")),
        failOnErrors=2,
    )
    assert statuses(results) == ["200", "404", "200", "400"]
    assert get(scim, path)["title"] == "second"
    assert results[1]["location"].endswith("/Users/nobody")


def test_without_fail_on_errors_everything_is_done(scim: httpx.Client) -> None:
    results = send(scim, *[patch(f"/Users/nobody{n}", title("x")) for n in range(30)], user("a"))
    assert statuses(results) == ["404"] * 30 + ["201"]


def test_versions(groups: httpx.Client) -> None:
    made = send(groups, user("a"), group("g"))
    paths = [f"/Users/{own_id(made[0])}", f"/Groups/{own_id(made[1])}"]
    change = {"op": "add", "value": {"externalId": "e"}}
    stale = send(groups, *[patch(p, change, version='W/"old"') for p in paths])
    assert statuses(stale) == ["412", "412"]
    fresh = send(groups, *[patch(p, change, version=r["version"]) for p, r in zip(paths, made, strict=True)])
    assert statuses(fresh) == ["200", "204"]
    again = send(
        groups,
        *[{"method": "DELETE", "path": p, "version": r["version"]} for p, r in zip(paths, made, strict=True)],
        *[
            {"method": "DELETE", "path": p, "version": r["version"]}
            for p, r in zip(paths, fresh, strict=True)
        ],
    )
    assert statuses(again) == ["412", "412", "204", "204"]


def test_names_that_pass_from_one_to_another(scim: httpx.Client, create: Create) -> None:
    """In their order each finds its name free: after a deletion, and after a change of name."""
    gone, renamed = create(), create()
    results = send(
        scim,
        {"method": "DELETE", "path": f"/Users/{gone['id']}"},
        user("a", userName=gone["userName"]),
        patch(f"/Users/{renamed['id']}", {"op": "replace", "path": "userName", "value": name()}),
        user("b", userName=renamed["userName"], emails=[{"value": name()}]),
        user("c", userName=gone["userName"].upper()),
    )
    assert statuses(results) == ["204", "201", "200", "201", "409"]
    assert results[4]["response"]["scimType"] == "uniqueness"


def test_errors_are_those_of_the_single_request(groups: httpx.Client, create: Create) -> None:
    taken = create()
    path = f"/Users/{taken['id']}"
    cases: list[tuple[str, str, Any]] = [
        ("POST", "/Users", {"schemas": [USER], "userName": taken["userName"]}),
        ("POST", "/Users", {"schemas": [USER], "userName": 7.5, "active": "perhaps"}),
        ("POST", "/Groups", {"schemas": [GROUP], "displayName": " "}),
        ("PUT", path, {"schemas": [USER]}),
        ("PATCH", path, {"schemas": [PATCH], "Operations": [{"op": "remove"}]}),
        ("PATCH", path, {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "no[", "value": 1}]}),
        ("PATCH", path, {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "id", "value": "1"}]}),
        (
            "PATCH",
            "/Groups/nothing",
            {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "members"}]},
        ),
        ("DELETE", "/Users/nobody", None),
    ]
    bulk = [
        {"method": m, "path": p, "bulkId": str(n)} | ({} if d is None else {"data": d})
        for n, (m, p, d) in enumerate(cases)
    ]
    for (method, place, data), result in zip(cases, send(groups, *bulk), strict=True):
        single = groups.request(method, place, json=data)
        assert result["response"] == single.json(), (method, place)
        assert ("location" in result) == (method != "POST")


def test_operations_that_are_no_operations(scim: httpx.Client) -> None:
    results = send(
        scim,
        None,
        [],
        "POST",
        {"method": "POST", "path": "/Me", "bulkId": "me", "data": {}},
        {"method": "POST", "path": "/Users/.search", "bulkId": "s", "data": {}},
        {"method": "POST", "path": "/Bulk", "bulkId": "b", "data": {}},
        {"method": "POST", "path": "/Users", "data": {"userName": name()}},
        {"method": "PUT", "path": "/Users", "data": {}},
        {"method": "DELETE", "path": "/Users/x", "data": {}},
        {"method": "GET", "path": "/Users/x"},
        {"method": {"a": 1}, "path": ["x"], "bulkId": {"b": 2}, "version": [3]},
        {"method": "PUT", "path": "/Users/../Groups/x", "data": {}},
        {"method": "DELETE", "path": "/Users/%2e%2e%2fx"},
        {"method": "DELETE", "path": "/Users/a\0b"},
        {"method": "POST", "path": "/Users", "bulkId": "a\0b", "data": {"userName": name()}},
        {"method": "POST", "path": "/Users", "bulkId": "nul", "data": {"userName": "a\0b"}},
        {"method": "POST", "path": "/Users", "bulkId": "list", "data": [[[]]]},
        user("last"),
    )
    assert all(r["status"] in ("400", "404") for r in results[:-1])
    assert len(results) == 18
    assert results[-1]["status"] == "201"


@pytest.mark.parametrize("bulk_id", ["a b/c?d#e%20", 'q"\\]', "😀", "bulkId:bulkId:", "../..", "x" * 5000])
def test_bulk_ids_of_any_characters(scim: httpx.Client, bulk_id: str) -> None:
    results = send(
        scim, patch(f"/Users/bulkId:{bulk_id}", title("x")), user(bulk_id), managed("m", f"bulkId:{bulk_id}")
    )
    assert statuses(results) == ["200", "201", "201"]
    assert results[1]["bulkId"] == bulk_id
    assert manager(scim, results[2]) == own_id(results[1])


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"null", b"1", b'"x"', b"{}", b"{", b"", b"\xff", b'{"Operations":{}}'),
        b'{"Operations":[],"failOnErrors":"x"}',
        b'{"Operations":' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"Operations":[{"bulkId":"\\ud800"}]',
    ],
)
def test_a_wrong_message_is_one_error(scim: httpx.Client, body: bytes) -> None:
    check_error(scim.post("/Bulk", content=body), 400, "invalidSyntax")


def test_content_types(scim: httpx.Client) -> None:
    check_error(scim.post("/Bulk", content=b"{}", headers={"content-type": "text/plain"}), 415)
    answer = scim.post("/Bulk", json={"Operations": []}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"schemas": [RESPONSE], "Operations": []}
    check_error(scim.get("/Bulk"), 405)


def test_without_a_token(served: Served) -> None:
    check_error(httpx.post(f"{served.base_url}/Bulk", json={}), 401)


@pytest.fixture(scope="module")
def patient(serve: Serve) -> Served:
    """A bridge with time for a thousand operations also where the machine is busy."""
    return serve(None, SCIM_BRIDGE_HANDLING_TIMEOUT_S="900")


@pytest.mark.parametrize("backend", ["platform", "local"])
def test_a_thousand_operations(patient: Served, backend: str) -> None:
    options = ["--local-groups"] if backend == "local" else []
    groups = client(patient, connect(patient, f"thousand-{backend}", *options))
    people = [managed(f"u{n}", f"bulkId:u{n // 10}" if n else "bulkId:u250") for n in range(300)]
    teams = [group(f"g{n}", *[f"bulkId:u{m}" for m in range(n, 300, 50)]) for n in range(50)]
    changes = [patch(f"/Users/bulkId:u{n}", title(f"number {n}")) for n in range(50)]
    strangers = [patch(f"/Users/nobody-{n}", title("x")) for n in range(600)]
    results = send(groups, *teams, *changes, *people, *strangers)
    assert statuses(results) == ["201"] * 50 + ["200"] * 50 + ["201"] * 300 + ["404"] * 600
    ids = {r["bulkId"]: own_id(r) for r in results if "bulkId" in r}
    assert members(groups, results[7]["location"]) == {ids[f"u{m}"] for m in range(7, 300, 50)}
    assert get(groups, results[50 + 31]["location"])["title"] == "number 31"
    assert manager(groups, results[100 + 299]) == ids["u29"]
    assert manager(groups, results[100]) == ids["u250"]
    groups.close()


@pytest.fixture(scope="module")
def small(serve: Serve) -> Iterator[httpx.Client]:
    """A bridge with small limits for bulk requests, and smaller ones for all others."""
    served = serve(
        None,
        SCIM_BRIDGE_BULK_MAX_OPERATIONS="3",
        SCIM_BRIDGE_BULK_MAX_PAYLOAD_BYTES="20000",
        SCIM_BRIDGE_MAX_BODY_BYTES="5000",
        SCIM_BRIDGE_MAX_VALUES="200",
        SCIM_BRIDGE_MAX_OPERATIONS="2",
    )
    with served.scim() as scim:
        yield scim


def test_limits_are_published_and_kept(small: httpx.Client) -> None:
    config = small.get("/ServiceProviderConfig").json()["bulk"]
    assert config == {"supported": True, "maxOperations": 3, "maxPayloadSize": 20000}

    def fails(body: dict[str, Any], text: str) -> None:
        answer = small.post("/Bulk", json={"schemas": [REQUEST], **body})
        check_error(answer, 413)
        assert text in answer.json()["detail"]

    fails({"Operations": [{}] * 4}, "maxOperations (3)")
    fails({"Operations": [], "x": "y" * 20000}, "maxPayloadSize (20000 bytes)")
    fails({"Operations": [user("a", roles=[{"value": str(n)} for n in range(200)])]}, "values")
    # Larger than what other requests may be.
    assert statuses(send(small, user("a", nickName="n" * 100), x="y" * 10000)) == ["201"]
    check_error(small.post("/Users", json={"userName": "x" * 6000}), 413)


def test_a_payload_of_unknown_length_is_cut_off(small: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"Operations":['
        for _ in range(100):
            yield b" " * 1000

    answer = small.post("/Bulk", content=endless(), headers={"content-type": "application/json"})
    check_error(answer, 413)
    assert "maxPayloadSize" in answer.json()["detail"]


def test_operations_inside_a_patch_are_bounded(small: httpx.Client) -> None:
    results = send(small, user("a"), patch("/Users/bulkId:a", *[title("x")] * 3), user("b"))
    assert statuses(results) == ["201", "413", "201"]


def test_json_of_a_request_is_not_repeated_in_errors(scim: httpx.Client) -> None:
    results = send(
        scim, user("a", password="hunter2-secret", active=["x"]), user("b", password={"x": "hunter2-secret"})
    )
    assert "hunter2-secret" not in json.dumps(results)
