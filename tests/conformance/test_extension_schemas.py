"""An extension schema of a mapping's own is served like the RFC's: every characteristic, every operation."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import client, connect
from rfc import USER, check_error, find, ids, patch, read

if TYPE_CHECKING:
    from conftest import Serve, Served

MAPPING = Path(__file__).parents[1] / "data" / "mappings" / "extensions.toml"
HR = "urn:example:params:scim:schemas:hr:2.0:User"
OKTA = "urn:okta:demo_app_1:1.0:user:custom"
EVERYTHING = {
    "label": "Blue Team",
    "grade": "A",
    "mood": "curious",
    "remote": True,
    "floor": 3,
    "share": 0.5,
    "since": "2024-05-01T00:00:00Z",
    "photo": "aGVsbG8=",
    "page": "https://example.com/Ada",
    "tags": ["x", "y"],
    "desk": {"building": "North", "room": "12"},
    "badges": [
        {"value": "B1", "type": "door", "primary": True, "until": "2027-01-01T00:00:00Z"},
        {"value": "B2", "type": "lift"},
    ],
    "hired": "2020",
}


@pytest.fixture(scope="module")
def hr(served: Served) -> Iterator[httpx.Client]:
    token = connect(served, "extensions", "--mapping", str(MAPPING), "--domain", "extensions")
    with client(served, token) as made:
        yield made


def post(hr: httpx.Client, **extensions: Any) -> httpx.Response:
    body = {"schemas": [USER], "userName": f"x-{uuid.uuid4()}@example.com", **extensions}
    return hr.post("/Users", json=body)


def user(hr: httpx.Client, **attributes: Any) -> dict[str, Any]:
    """A user with these attributes of HR."""
    answer = post(hr, **{HR: attributes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def custom_of(platform: httpx.Client, user_id: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.get(f"/users/{user_id}").json()["data"]["custom_attributes"]
    return found


def test_it_is_published(hr: httpx.Client) -> None:
    listed = {s["id"]: s for s in hr.get("/Schemas").json()["Resources"]}
    one = hr.get(f"/Schemas/{HR}").json()
    assert listed[HR] == one
    shown = {a["name"]: a for a in one["attributes"]}
    assert shown["code"]["uniqueness"] == "server"
    assert shown["grade"]["canonicalValues"] == ["A", "B"]
    assert shown["hired"]["mutability"] == "immutable"
    assert (shown["pin"]["mutability"], shown["pin"]["returned"]) == ("writeOnly", "never")
    assert shown["page"]["referenceTypes"] == ["external"]
    assert [s["name"] for s in shown["badges"]["subAttributes"]] == ["value", "type", "primary", "until"]
    assert shown["desk"]["subAttributes"][0]["required"] is True
    assert shown["tags"]["multiValued"] is True
    types = {t["id"]: t for t in hr.get("/ResourceTypes").json()["Resources"]}
    extensions = [e["schema"] for e in types["User"]["schemaExtensions"]]
    assert extensions[-2:] == [HR, OKTA]
    assert "schemaExtensions" in types["Group"]
    assert HR not in str(types["Group"])


def test_every_type_is_read_back_and_mapped(hr: httpx.Client, platform: httpx.Client) -> None:
    code = str(uuid.uuid4())
    made = user(hr, code=code, pin="1234", notes="hm", **EVERYTHING)
    assert made[HR] == {"code": code, **EVERYTHING}
    assert HR in made["schemas"]
    assert read(hr, made["id"])[HR] == made[HR]
    held = custom_of(platform, made["id"])
    assert held["hr"] == {
        "code": code,
        "remote": True,
        "floor": 3,
        "since": "01.05.2024",
        "badges": EVERYTHING["badges"],
        "room": "12",
        "hired": "2020",
        "pin": "1234",
        "notes": "hm",
    }
    unmapped = ("label", "grade", "mood", "share", "photo", "page", "tags")
    rest = {name: EVERYTHING[name] for name in unmapped}
    assert held["scim"]["attributes"][HR] == {**rest, "desk": {"building": "North"}}


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("label", True),
        ("grade", "a"),
        ("grade", "C"),
        ("remote", "perhaps"),
        ("floor", 1.5),
        ("floor", "3"),
        ("share", "half"),
        ("since", "yesterday"),
        ("photo", "not base64!"),
        ("page", 7),
        ("tags", [{"value": "x"}]),
        ("desk", {"room": "12"}),
        ("desk", 12.5),
        ("badges", [{"value": "B", "primary": True}, {"value": "C", "primary": True}]),
        ("badges", [{"value": "B", "until": "soon"}]),
    ],
)
def test_a_value_of_another_type_is_refused(hr: httpx.Client, attribute: str, value: object) -> None:
    answer = post(hr, **{HR: {attribute: value}})
    check_error(answer, 400, "invalidValue")
    assert attribute in answer.json()["detail"]
    made = user(hr, label="before")
    check_error(
        patch(hr, made["id"], {"op": "replace", "path": f"{HR}:{attribute}", "value": value}),
        400,
        "invalidValue",
    )
    assert read(hr, made["id"])[HR] == {"label": "before"}


def test_required_counts_once_the_extension_is_there(hr: httpx.Client) -> None:
    assert post(hr).status_code == 201
    answer = post(hr, **{OKTA: {"badgeNumber": "1"}})
    check_error(answer, 400, "invalidValue")
    assert "departmentName" in answer.json()["detail"]
    made = post(hr, **{OKTA: {"badgeNumber": "1", "departmentName": "Sales"}}).json()
    removal = {"op": "remove", "path": f"{OKTA}:departmentName"}
    check_error(patch(hr, made["id"], removal), 400, "mutability")
    assert patch(hr, made["id"], {"op": "remove", "path": OKTA}).status_code == 200
    assert OKTA not in read(hr, made["id"])


def test_numbers_where_okta_should_send_strings(hr: httpx.Client, platform: httpx.Client) -> None:
    made = post(hr, **{OKTA: {"badgeNumber": 4711, "departmentName": 12.5}}).json()
    assert made[OKTA] == {"badgeNumber": "4711", "departmentName": "12.5"}
    assert custom_of(platform, made["id"])["badge_number"] == "4711"
    after = patch(hr, made["id"], {"op": "replace", "value": {OKTA: {"badgeNumber": 4712}}}).json()
    assert after[OKTA]["badgeNumber"] == "4712"
    assert made["id"] in ids(find(hr, f'{OKTA}:badgeNumber eq "4712"'))


def test_a_strict_connection_takes_strings_only(served: Served) -> None:
    token = connect(served, "strict-extensions", "--mapping", str(MAPPING), "--strict")
    with client(served, token) as strict:
        body = {"schemas": [USER, OKTA], OKTA: {"badgeNumber": 4711, "departmentName": "Sales"}}
        answer = post(strict, **body)
    check_error(answer, 400, "invalidValue")
    assert "badgeNumber" in answer.json()["detail"]


def test_immutable(hr: httpx.Client, platform: httpx.Client) -> None:
    made = user(hr, label="x")
    path = f"{HR}:hired"
    assert patch(hr, made["id"], {"op": "add", "path": path, "value": "2020"}).status_code == 200
    for operation in (
        {"op": "replace", "path": path, "value": "2021"},
        {"op": "remove", "path": path},
        {"op": "replace", "value": {HR: {"hired": "2021"}}},
    ):
        check_error(patch(hr, made["id"], operation), 400, "mutability")
    body = {"schemas": [USER, HR], "userName": made["userName"]}
    place = f"/Users/{made['id']}"
    check_error(hr.put(place, json={**body, HR: {"hired": "2021"}}), 400, "mutability")
    assert hr.put(place, json={**body, HR: {"hired": "2020", "floor": 1}}).json()[HR] == {
        "hired": "2020",
        "floor": 1,
    }
    assert hr.put(place, json=body).json()[HR] == {"hired": "2020"}
    other = user(hr, label="y")
    first = {"schemas": [USER, HR], "userName": other["userName"], HR: {"hired": "2022"}}
    assert hr.put(f"/Users/{other['id']}", json=first).json()[HR]["hired"] == "2022"
    assert custom_of(platform, made["id"])["hr"] == {"hired": "2020"}


def test_write_only_and_on_request(hr: httpx.Client, platform: httpx.Client) -> None:
    made = user(hr, label="x", pin="1234", notes="hm")
    assert made[HR] == {"label": "x"}
    place = f"/Users/{made['id']}"
    for names in ("pin", f"{HR}:pin", f"{HR}:pin,{HR}:notes,{HR}:label"):
        assert "pin" not in str(hr.get(place, params={"attributes": names}).json().get(HR, {}))
    asked = hr.get(place, params={"attributes": f"{HR}:notes"}).json()
    assert asked[HR] == {"notes": "hm"}
    check_error(hr.get("/Users", params={"filter": f'{HR}:pin eq "1234"'}), 400, "invalidFilter")
    check_error(hr.get("/Users", params={"sortBy": f"{HR}:pin"}), 400, "invalidPath")
    assert made["id"] in ids(find(hr, f'{HR}:notes eq "hm" and id eq "{made["id"]}"'))
    assert hr.put(place, json=hr.get(place).json()).status_code == 200
    assert custom_of(platform, made["id"])["hr"] == {"pin": "1234", "notes": "hm"}
    assert patch(hr, made["id"], {"op": "replace", "path": f"{HR}:pin", "value": "9"}).status_code == 200
    assert patch(hr, made["id"], {"op": "remove", "path": f"{HR}:notes"}).status_code == 200
    assert custom_of(platform, made["id"])["hr"] == {"pin": "9"}


def test_read_only(hr: httpx.Client, platform: httpx.Client) -> None:
    made = user(hr, label="x", number="sent by the client")
    assert "number" not in made[HR]
    held = custom_of(platform, made["id"])
    platform.patch(
        f"/users/{made['id']}", json={"custom_attributes": {**held, "hr_number": "N-1"}}
    ).raise_for_status()
    place = f"/Users/{made['id']}"
    assert read(hr, made["id"])[HR] == {"label": "x", "number": "N-1"}
    operation = {"op": "replace", "path": f"{HR}:number", "value": "N-2"}
    check_error(patch(hr, made["id"], operation), 400, "mutability")
    after = hr.put(place, json={"schemas": [USER, HR], "userName": made["userName"], HR: {"number": "N-3"}})
    assert after.json()[HR] == {"number": "N-1"}
    assert custom_of(platform, made["id"])["hr_number"] == "N-1"
    assert hr.get(place, params={"attributes": "userName"}).json()[HR] == {"number": "N-1"}


def test_unique(hr: httpx.Client) -> None:
    code = str(uuid.uuid4())
    first = user(hr, code=f"{code}-a")
    answer = post(hr, **{HR: {"code": f"{code}-a"}})
    check_error(answer, 409, "uniqueness")
    assert f"{HR}:code" in answer.json()["detail"]
    assert first["id"] in answer.json()["detail"]
    # The schema says that case counts.
    second = user(hr, code=f"{code}-A")
    taken = {"op": "replace", "path": f"{HR}:code", "value": f"{code}-a"}
    check_error(patch(hr, second["id"], taken), 409, "uniqueness")
    body = {"schemas": [USER, HR], "userName": second["userName"], HR: {"code": f"{code}-a"}}
    check_error(hr.put(f"/Users/{second['id']}", json=body), 409, "uniqueness")
    assert read(hr, second["id"])[HR]["code"] == f"{code}-A"
    assert patch(hr, first["id"], taken).status_code == 200
    assert hr.delete(f"/Users/{first['id']}").status_code == 204
    assert patch(hr, second["id"], taken).status_code == 200


def test_unique_among_writes_at_once(hr: httpx.Client) -> None:
    code = str(uuid.uuid4())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(hr, **{HR: {"code": code}}).status_code, range(4)))
    assert sorted(answers) == [201, 409, 409, 409]


def test_unique_without_the_index(serve: Serve) -> None:
    served = serve(SCIM_BRIDGE_SCAN_LIMIT="2")
    token = connect(served, "live", "--mapping", str(MAPPING), "--live-search")
    with client(served, token) as live:
        user(live, code="a")
        check_error(post(live, **{HR: {"code": "a"}}), 409, "uniqueness")
        user(live, code="b")
        user(live, label="not unique")
        answer = post(live, **{HR: {"code": "c"}})
        check_error(answer, 400, "tooMany")
        assert "without the index" in answer.json()["detail"]
        assert live.get("/Users", params={"count": 0}).json()["totalResults"] == 3


def test_filters(hr: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    made = user(hr, **{**EVERYTHING, "label": f"Blue {mark}", "tags": [mark, "y"]})
    other = user(hr, label=f"blue {mark} too", floor=7)
    both, one = {made["id"], other["id"]}, {made["id"]}
    for text, wanted in (
        (f'{HR}:label sw "BLUE {mark}"', both),
        (f'{HR}:label co "{mark}" and {HR}:floor gt 3', {other["id"]}),
        (f'{HR}:label co "{mark}" and {HR}:floor le 3', one),
        (f'{HR}:label co "{mark}" and {HR}:share eq 0.5', one),
        (f'{HR}:label co "{mark}" and {HR}:remote eq true', one),
        (f'{HR}:label co "{mark}" and not ({HR}:remote pr)', {other["id"]}),
        (f'{HR}:label co "{mark}" and {HR}:since eq "2024-05-01T02:00:00+02:00"', one),
        (f'{HR}:label co "{mark}" and {HR}:grade eq "A"', one),
        (f'{HR}:label co "{mark}" and {HR}:grade eq "a"', set()),
        (f'{HR}:label co "{mark}" and {HR}:photo eq "aGVsbG8="', one),
        (f'{HR}:label co "{mark}" and {HR}:page sw "https://example.com/A"', one),
        (f'{HR}:label co "{mark}" and {HR}:desk.room eq "12"', one),
        (f'{HR}:label co "{mark}" and {HR}:badges[type eq "door" and value eq "B1"]', one),
        (f'{HR}:label co "{mark}" and {HR}:badges[type eq "lift" and value eq "B1"]', set()),
        (f'{HR}:label co "{mark}" and {HR}:badges.until gt "2026-01-01T00:00:00Z"', one),
        (f'{HR}:tags eq "{mark}"', one),
        (f'{HR.upper()}:LABEL eq "blue {mark}"', one),
        (f'label co "{mark}"', both),
        (f'{HR} pr and label co "{mark}"', both),
    ):
        assert ids(find(hr, text)) == wanted, text
    for text in (f'{HR}:nobody eq "x"', f'{HR}:floor eq "3"', f'{HR}:desk eq "x"', f"{HR}:remote gt true"):
        check_error(hr.get("/Users", params={"filter": text}), 400, "invalidFilter")


def test_order(hr: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    floors = {user(hr, label=mark, floor=n, badges=[{"value": str(n)}])["id"]: n for n in (9, 10, -1)}
    for order, wanted in (("ascending", [-1, 9, 10]), ("descending", [10, 9, -1])):
        found = find(hr, f'{HR}:label eq "{mark}"', sortBy=f"{HR}:floor", sortOrder=order)
        assert [floors[r["id"]] for r in found["Resources"]] == wanted
    found = find(hr, f'{HR}:label eq "{mark}"', sortBy=f"{HR}:badges")
    assert [floors[r["id"]] for r in found["Resources"]] == [-1, 10, 9]


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ({"op": "replace", "path": f"{HR}:floor", "value": 4}, {"floor": 4}),
        ({"op": "Replace", "path": f"{HR.lower()}:REMOTE", "value": "False"}, {"remote": False}),
        ({"op": "remove", "path": f"{HR}:tags"}, {"tags": None}),
        ({"op": "replace", "path": f"{HR}:label", "value": ""}, {"label": None}),
        ({"op": "add", "path": f"{HR}:tags", "value": ["y", "z"]}, {"tags": ["x", "y", "z"]}),
        (
            {"op": "replace", "path": f"{HR}:desk.room", "value": "13"},
            {"desk": {"building": "North", "room": "13"}},
        ),
        ({"op": "remove", "path": f"{HR}:desk.room"}, {"desk": {"building": "North"}}),
        (
            {"op": "replace", "path": f'{HR}:badges[type eq "lift"].value', "value": "B9"},
            {"badges": [EVERYTHING["badges"][0], {"value": "B9", "type": "lift"}]},
        ),
        (
            {"op": "remove", "path": f'{HR}:badges[value eq "B1"]'},
            {"badges": [{"value": "B2", "type": "lift"}]},
        ),
        (
            {"op": "Add", "path": f'{HR}:badges[type eq "car"].value', "value": "B3"},
            {"badges": [*EVERYTHING["badges"], {"value": "B3", "type": "car"}]},
        ),
        ({"op": "add", "value": {HR: {"floor": 5, "mood": "good"}}}, {"floor": 5, "mood": "good"}),
        ({"op": "replace", "path": HR, "value": {"floor": 6}}, {"floor": 6}),
        (
            {"op": "replace", "value": {f"{HR}:floor": 7, f"{HR}:desk.room": "14"}},
            {"floor": 7, "desk": {"building": "North", "room": "14"}},
        ),
        ({"op": "replace", "path": "floor", "value": 8}, {"floor": 8}),
        # As a key of a body, a bare name is looked for in the enterprise extension only.
        ({"op": "replace", "value": {"floor": 8}}, {}),
    ],
)
def test_patch(hr: httpx.Client, operation: dict[str, Any], wanted: dict[str, Any]) -> None:
    made = user(hr, **EVERYTHING)
    answer = patch(hr, made["id"], operation)
    assert answer.status_code == 200, answer.text
    expected = {name: value for name, value in {**EVERYTHING, **wanted}.items() if value is not None}
    assert answer.json()[HR] == expected
    assert read(hr, made["id"])[HR] == expected


def test_put_replaces_the_extension(hr: httpx.Client, platform: httpx.Client) -> None:
    made = user(hr, **{n: v for n, v in EVERYTHING.items() if n != "hired"})
    echo = hr.put(f"/Users/{made['id']}", json=read(hr, made["id"])).json()
    assert echo[HR] == made[HR]
    body = {"schemas": [USER, HR], "userName": made["userName"], HR: {"label": "alone"}}
    assert hr.put(f"/Users/{made['id']}", json=body).json()[HR] == {"label": "alone"}
    held = custom_of(platform, made["id"])
    assert "hr" not in held
    assert held["scim"]["attributes"] == {HR: {"label": "alone"}}
    assert HR not in hr.put(f"/Users/{made['id']}", json={**body, HR: {}}).json()["schemas"]


def test_projection(hr: httpx.Client) -> None:
    made = user(hr, **EVERYTHING)
    place = f"/Users/{made['id']}"
    for names, wanted in (
        (HR, EVERYTHING),
        (f"{HR}:floor", {"floor": 3}),
        (f"{HR}:desk.room,{HR}:remote", {"desk": {"room": "12"}, "remote": True}),
        (f"{HR}:badges.value", {"badges": [{"value": "B1"}, {"value": "B2"}]}),
    ):
        shown = hr.get(place, params={"attributes": names}).json()
        assert shown[HR] == wanted
        assert "userName" not in shown
    assert HR not in hr.get(place, params={"excludedAttributes": HR}).json()
    rest = hr.get(place, params={"excludedAttributes": f"{HR}:badges,{HR}:desk.room"}).json()[HR]
    assert "badges" not in rest
    assert rest["desk"] == {"building": "North"}
