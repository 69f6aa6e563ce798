"""`mappings/okta.toml` and `entra.toml`: every attribute of the client, in its own ways of writing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import client, connect
from rfc import ENTERPRISE, USER, patch, read

if TYPE_CHECKING:
    from conftest import Served

MAY_BE_HELD = {"emails", "phoneNumbers", "name.formatted"}
"""What a field of the platform cannot hold whole: further values, and a name put together otherwise."""

OKTA_PROFILE: dict[str, Any] = {
    "name": {
        "givenName": "Ada",
        "familyName": "Byron",
        "middleName": "Augusta",
        "honorificPrefix": "Lady",
        "honorificSuffix": "LLD",
        "formatted": "Lady Ada Augusta Byron",
    },
    "displayName": "Ada Byron",
    "nickName": "Ada",
    "profileUrl": "https://people.example.com/ada",
    "title": "Countess",
    "userType": "Employee",
    "preferredLanguage": "en-GB",
    "locale": "en-GB",
    "timezone": "Europe/London",
    "active": True,
    "emails": [
        {"value": "ada@work.example.com", "type": "work", "primary": True},
        {"value": "ada@home.example.com", "type": "home", "primary": False},
    ],
    "phoneNumbers": [
        {"value": "+44 20 7946 0001", "type": "work", "primary": True},
        {"value": "+44 7700 900001", "type": "mobile", "primary": False},
    ],
    "addresses": [
        {
            "type": "work",
            "primary": True,
            "formatted": "12 St James's Square, London",
            "streetAddress": "12 St James's Square",
            "locality": "London",
            "region": "England",
            "postalCode": "SW1Y 4JH",
            "country": "GB",
        }
    ],
    "roles": [{"value": "admin", "display": "Administrator"}, {"value": "11", "display": "Member"}],
    "entitlements": [{"value": "lic-1", "display": "Full licence", "type": "license"}],
    ENTERPRISE: {
        "employeeNumber": "4711",
        "costCenter": "CC-7",
        "organization": "Analytical Engines",
        "division": "Research",
        "department": "Mathematics",
        "manager": {"value": "00u-babbage", "displayName": "Charles Babbage"},
    },
}
OKTA_CHANGES: dict[str, Any] = {
    "name": {**OKTA_PROFILE["name"], "givenName": "Augusta", "middleName": "A.", "formatted": "A. A. Byron"},
    "displayName": "Augusta Byron",
    "nickName": "Gus",
    "profileUrl": "https://people.example.com/augusta",
    "title": "Programmer",
    "userType": "Contractor",
    "preferredLanguage": "fr-FR",
    "locale": "fr-FR",
    "timezone": "Europe/Paris",
    "active": False,
    "emails": [{"value": "augusta@work.example.com", "type": "work", "primary": True}],
    "phoneNumbers": [{"value": "+33 1 99 00 00 00", "type": "work", "primary": True}],
    "addresses": [{"type": "home", "primary": True, "country": "FR"}],
    "roles": [{"value": "auditor"}],
    "entitlements": [{"value": "lic-2", "display": "Guest licence", "type": "license"}],
    ENTERPRISE: {
        "employeeNumber": "4712",
        "costCenter": "CC-8",
        "organization": "Difference Engines",
        "division": "Development",
        "department": "Programming",
        "manager": {"value": "00u-somerville", "displayName": "Mary Somerville"},
    },
}

ENTRA_PROFILE: dict[str, Any] = {
    "name": {"givenName": "Grace", "familyName": "Hopper", "formatted": "Grace Hopper"},
    "displayName": "Grace Hopper",
    "active": True,
    "title": "Rear Admiral",
    "preferredLanguage": "en-US",
    "emails": [{"type": "work", "primary": True, "value": "grace@contoso.example"}],
    "addresses": [
        {
            "type": "work",
            "formatted": "Pentagon 5",
            "streetAddress": "1 Main St",
            "locality": "Arlington",
            "region": "VA",
            "postalCode": "22202",
            "country": "US",
        }
    ],
    "phoneNumbers": [
        {"type": "work", "value": "+1 425 555 0100"},
        {"type": "mobile", "value": "+1 425 555 0101"},
        {"type": "fax", "value": "+1 425 555 0102"},
    ],
    "roles": [{"value": "Admin", "display": "Administrators", "primary": True}],
    ENTERPRISE: {
        "employeeNumber": "1906",
        "department": "Compilers",
        "manager": {"value": "usr_boss"},
    },
}
ENTRA_CHANGES: list[tuple[str, str]] = [
    ("displayName", "Amazing Grace"),
    ("title", "Professor"),
    ("preferredLanguage", "de-DE"),
    ("name.givenName", "Grace B."),
    ("name.familyName", "Murray"),
    ("name.formatted", "Grace B. M. Hopper"),
    ('emails[type eq "work"].value', "gbm@contoso.example"),
    ('addresses[type eq "work"].formatted', "Pentagon 6"),
    ('addresses[type eq "work"].streetAddress', "2 Main St"),
    ('addresses[type eq "work"].locality', "Alexandria"),
    ('addresses[type eq "work"].region', "VG"),
    ('addresses[type eq "work"].postalCode', "22301"),
    ('addresses[type eq "work"].country', "CA"),
    ('phoneNumbers[type eq "work"].value', "+1 425 555 0200"),
    ('phoneNumbers[type eq "mobile"].value', "+1 425 555 0201"),
    ('phoneNumbers[type eq "fax"].value', "+1 425 555 0202"),
    ('roles[primary eq "True"].value', "Auditor"),
    ("externalId", "grace.mail.nickname"),
    (f"{ENTERPRISE}:employeeNumber", "1907"),
    (f"{ENTERPRISE}:department", "Standards"),
    (f"{ENTERPRISE}:manager", "usr_other"),
]
NEEDED = {'emails[type eq "work"].value'}
"""What cannot be removed: the platform needs an address."""

Mapped = tuple[httpx.Client, dict[str, Any]]


def mapped_client(name: str, served: Served) -> Iterator[httpx.Client]:
    token = connect(served, f"mapped-{name}", "--mapping", name, "--domain", f"mapped-{name}")
    with client(served, token) as made:
        yield made


@pytest.fixture(scope="module")
def okta(served: Served) -> Iterator[httpx.Client]:
    yield from mapped_client("okta", served)


@pytest.fixture(scope="module")
def entra(served: Served) -> Iterator[httpx.Client]:
    yield from mapped_client("entra", served)


def unique(profile: dict[str, Any], mark: str) -> dict[str, Any]:
    """The profile with addresses of this user's own."""
    text = json.dumps(profile).replace("@", f".{mark}@")
    found: dict[str, Any] = json.loads(text)
    return found


def post(scim: httpx.Client, profile: dict[str, Any]) -> Mapped:
    mark = uuid.uuid4().hex[:12]
    body = {
        "schemas": [USER, ENTERPRISE],
        "userName": f"u.{mark}@example.com",
        "externalId": f"ext-{mark}",
        **unique(profile, mark),
    }
    answer = scim.post("/Users", json=body)
    assert answer.status_code == 201, answer.text
    return scim, {"id": answer.json()["id"], "mark": mark, "body": body}


def without(user: dict[str, Any]) -> dict[str, Any]:
    """What the client sent of a user, as the bridge answers it."""
    return {k: v for k, v in user.items() if k not in ("id", "meta", "groups", "schemas", PLATFORM)}


PLATFORM = "urn:scim-bridge:schemas:2.0:PlatformUser"


def check_no_residue(platform: httpx.Client, user_id: str) -> dict[str, Any]:
    """Nothing that has a rule is in the key for what has none; custom_attributes."""
    custom: dict[str, Any] = platform.get(f"/users/{user_id}").json()["data"]["custom_attributes"]
    record = custom.get("scim", {})
    assert "attributes" not in record
    assert record.get("held", {}).keys() <= MAY_BE_HELD
    return custom


@pytest.mark.parametrize("name", ["okta", "entra"])
def test_a_full_user_through_post_get_and_put(
    name: str, platform: httpx.Client, request: pytest.FixtureRequest
) -> None:
    scim: httpx.Client = request.getfixturevalue(name)
    profile = OKTA_PROFILE if name == "okta" else ENTRA_PROFILE
    _, made = post(scim, profile)
    sent = {k: v for k, v in made["body"].items() if k != "schemas"}
    user = read(scim, made["id"])
    # Entra sends neither, and the platform has defaults.
    assert without(user) == {"locale": "en", "timezone": "UTC", **sent}
    custom = check_no_residue(platform, made["id"])
    assert custom["title"] == profile["title"]
    assert custom["roles"] == profile["roles"]
    assert custom["manager"] == profile[ENTERPRISE]["manager"]
    before = platform.get(f"/users/{made['id']}").json()["data"]["updated_at"]
    echo = scim.put(f"/Users/{made['id']}", json=user)
    assert echo.status_code == 200, echo.text
    assert echo.json() == user
    assert platform.get(f"/users/{made['id']}").json()["data"]["updated_at"] == before


def test_okta_replaces_each_attribute_by_put(okta: httpx.Client, platform: httpx.Client) -> None:
    """Wizard apps: one attribute of the profile is changed, the whole user is sent."""
    _, made = post(okta, OKTA_PROFILE)
    place = f"/Users/{made['id']}"
    for name, value in unique(OKTA_CHANGES, made["mark"]).items():
        user = {**okta.get(place).json(), name: value}
        answer = okta.put(place, json=user)
        assert answer.status_code == 200, answer.text
        assert answer.json()[name] == value
        assert without(read(okta, made["id"])) == without(user)
        check_no_residue(platform, made["id"])


def test_okta_replaces_each_attribute_without_a_path(okta: httpx.Client, platform: httpx.Client) -> None:
    """Catalog apps."""
    _, made = post(okta, OKTA_PROFILE)
    expected = without(read(okta, made["id"]))
    for name, value in unique(OKTA_CHANGES, made["mark"]).items():
        answer = patch(okta, made["id"], {"op": "replace", "value": {name: value}})
        assert answer.status_code == 200, answer.text
        expected = {**expected, name: value}
        assert without(read(okta, made["id"])) == expected
        check_no_residue(platform, made["id"])


def test_okta_clears_each_attribute_by_put(okta: httpx.Client, platform: httpx.Client) -> None:
    _, made = post(okta, OKTA_PROFILE)
    place = f"/Users/{made['id']}"
    kept_by_put = {"emails", "locale", "timezone", "active"}
    for name in sorted(OKTA_PROFILE.keys() - kept_by_put - {"name"}):
        user = {k: v for k, v in okta.get(place).json().items() if k != name}
        answer = okta.put(place, json=user)
        assert answer.status_code == 200, answer.text
        assert name not in answer.json()
    custom = check_no_residue(platform, made["id"])
    assert custom.keys() <= {
        "scim",
        "scim_external_ids",
        "middle_name",
        "honorific_prefix",
        "honorific_suffix",
    }


def value_at(user: dict[str, Any], path: str) -> Any:
    """What a path of Entra's points at, None where nothing is."""
    scope = user
    if path.startswith("urn:"):
        urn, _, path = path.rpartition(":")
        scope = user.get(urn, {})
    name, bracket, rest = path.partition("[")
    if bracket:
        kind, sub = rest.split('"')[1], rest.rpartition(".")[2]
        for element in scope.get(name, ()):
            if element.get("type") == kind or (name == "roles" and element.get("primary") is True):
                return element.get(sub)
        return None
    attribute, _, sub = path.partition(".")
    value = scope.get(attribute)
    if isinstance(value, dict):
        return value.get(sub or "value")
    return value


def change_of(path: str, value: str, mark: str) -> tuple[str, str]:
    return path, value.replace("@", f".{mark}@")


@pytest.mark.parametrize("op", ["Add", "Replace"])
def test_entra_changes_each_attribute(op: str, entra: httpx.Client, platform: httpx.Client) -> None:
    """The default dialect: ops with a capital, one path each."""
    _, made = post(entra, ENTRA_PROFILE)
    expected = {path: value_at(read(entra, made["id"]), path) for path, _ in ENTRA_CHANGES}
    assert None not in expected.values()
    for path, value in ENTRA_CHANGES:
        path, value = change_of(path, value, made["mark"])
        answer = patch(entra, made["id"], {"op": op, "path": path, "value": value})
        assert answer.status_code == 200, answer.text
        expected[path] = value
        user = read(entra, made["id"])
        assert {p: value_at(user, p) for p in expected if p != "name.formatted"} == {
            p: v for p, v in expected.items() if p != "name.formatted"
        }
        check_no_residue(platform, made["id"])
    assert patch(entra, made["id"], {"op": op, "path": "active", "value": "False"}).json()["active"] is False
    assert patch(entra, made["id"], {"op": op, "path": "active", "value": "True"}).json()["active"] is True


def test_entra_adds_each_attribute_to_an_empty_user(entra: httpx.Client, platform: httpx.Client) -> None:
    _, made = post(entra, {})
    for path, value in ENTRA_CHANGES:
        path, value = change_of(path, value, made["mark"])
        answer = patch(entra, made["id"], {"op": "Add", "path": path, "value": value})
        assert answer.status_code == 200, answer.text
        assert value_at(read(entra, made["id"]), path) == value
    check_no_residue(platform, made["id"])


@pytest.mark.parametrize(
    "removal",
    [{"op": "Remove"}, {"op": "Replace", "value": ""}, {"op": "Replace", "value": None}],
    ids=["remove", "empty", "null"],
)
def test_entra_clears_each_attribute(
    removal: dict[str, Any], entra: httpx.Client, platform: httpx.Client
) -> None:
    _, made = post(entra, ENTRA_PROFILE)
    for path, _ in ENTRA_CHANGES:
        if path in NEEDED:
            continue
        answer = patch(entra, made["id"], {**removal, "path": path})
        assert answer.status_code == 200, (path, answer.text)
        user = read(entra, made["id"])
        if path != "name.formatted":  # without one of its own it is put together from the names
            assert value_at(user, path) is None, path
    assert check_no_residue(platform, made["id"]).keys() <= {"scim", "roles"}


def test_entra_with_aadoptscim062020(entra: httpx.Client, platform: httpx.Client) -> None:
    """The flag in the tenant URL: one operation without a path, flat keys, and paths for value filters."""
    _, made = post(entra, ENTRA_PROFILE)
    changes = [change_of(path, value, made["mark"]) for path, value in ENTRA_CHANGES]
    flat = {path: value for path, value in changes if "[" not in path}
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": path, "value": value} for path, value in changes if "[" in path
    ]
    answer = entra.patch(
        f"/Users/{made['id']}",
        params={"aadOptscim062020": ""},
        json={"Operations": [*operations, {"op": "replace", "value": {**flat, "active": False}}]},
    )
    assert answer.status_code == 200, answer.text
    user = read(entra, made["id"])
    assert {path: value_at(user, path) for path, _ in changes} == dict(changes)
    assert user["active"] is False
    check_no_residue(platform, made["id"])


@pytest.mark.parametrize("name", ["okta", "entra"])
def test_every_rule_is_exercised(name: str) -> None:
    """An attribute that is added to a mapping is added here too."""
    profile = OKTA_PROFILE if name == "okta" else ENTRA_PROFILE
    text = (Path(__file__).parents[2] / "mappings" / f"{name}.toml").read_text("utf-8")
    rules = {line.split('"')[1] for line in text.splitlines() if line.startswith("scim = ")}
    not_sent = {"userName", "externalId"}
    if name == "entra":
        extra = (
            *("locale", "timezone", "userType", "nickName", "profileUrl", "entitlements"),
            *("name.middleName", "name.honorificPrefix", "name.honorificSuffix"),
            *(f"{ENTERPRISE}:{n}" for n in ("costCenter", "organization", "division")),
        )
        not_sent |= set(extra)
    for rule in sorted(rules - not_sent):
        if not rule.startswith(PLATFORM):
            scope = profile[ENTERPRISE] if rule.startswith(ENTERPRISE) else profile
            path = rule.removeprefix(f"{ENTERPRISE}:").split(".")
            for key in path:
                assert key in scope, rule
                scope = scope[key]
