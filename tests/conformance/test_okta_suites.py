"""Okta's own test suites, as exchanges of ours; and that ours ask for all that Okta's ask for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from exchanges import ABSENT, DATA, at, load, replay
from groups_served import connect

if TYPE_CHECKING:
    from conftest import Serve, Served

OKTA = DATA / "okta"
SUITES = Path(__file__).parents[3] / "shared" / "suites"


@pytest.fixture(scope="module")
def alone(serve: Serve) -> Served:
    """A bridge without other users: the spec test looks at the first user of all."""
    return serve()


@pytest.mark.parametrize("name", ["spec", "crud"])
def test_the_suite_passes(name: str, alone: Served) -> None:
    with alone.platform() as platform:
        replay(load(OKTA / f"{name}.json"), alone.base_url, alone.token, platform)


@pytest.mark.parametrize("endpoint", ["/Roles", "/Entitlements"])
def test_the_entitlements_suite_passes(endpoint: str, served: Served) -> None:
    mapping = DATA / "mappings" / "catalogs.toml"
    token = connect(served, f"suite-{endpoint[1:].lower()}", "--mapping", str(mapping))
    suite = load(OKTA / "entitlements.json")
    suite["variables"]["EntitlementEndpoint"] = endpoint
    with served.platform() as platform:
        replay(suite, served.base_url, token, platform)


@pytest.mark.parametrize(
    ("ours", "theirs", "assertions"),
    [
        ("spec.json", "Okta-SCIM-20-SPEC-Test.json", 52),
        ("crud.json", "Okta-SCIM-20-CRUD-Test.json", 13),
        ("entitlements.json", "Okta-SCIM-20-Entitlements-Test.json", 6),
    ],
)
def test_every_assertion_of_the_original_is_made(ours: str, theirs: str, assertions: int) -> None:
    original = SUITES / theirs
    if not original.is_file():
        pytest.skip("Okta's files are not at hand")
    steps = [s for s in load(OKTA / ours)["steps"] if "mirrors" in s]
    checked = 0
    for theirs_step in json.loads(original.read_text("utf-8"))["steps"]:
        url = theirs_step.get("url", "")
        if not url.lower().startswith(("{{scimbaseurl}}", "{{scimurl}}")):
            continue
        assert steps, f"nothing is left for {theirs_step['note']!r}"
        step = steps.pop(0)
        where = f"{ours}: {step['note']}"
        assert step["mirrors"] == theirs_step["note"], where
        assert step["method"] == theirs_step["method"], where
        assert step["path"] == as_ours(re.sub(r"^\{\{\w+\}\}", "", url)), where
        if "body" in theirs_step:
            assert step["body"] == json.loads(as_ours(theirs_step["body"])), where
        for assertion in theirs_step["assertions"]:
            assert asks_for(step["expect"], assertion), f"{where} does not ask for {assertion}"
            checked += 1
    assert not steps, "these have no original"
    assert checked == assertions


def asks_for(expect: dict[str, Any], assertion: dict[str, Any]) -> bool:
    """Whether what a step of ours expects says at least as much as an assertion of Okta's."""
    value = as_ours(str(assertion.get("value")))
    if assertion["source"] == "response_status":
        return str(expect["status"]) == value
    if assertion["source"] == "response_time":
        assert assertion["comparison"] == "is_less_than"
        return "within_ms" in expect and expect["within_ms"] <= int(value)
    assert assertion["source"] == "response_json"
    found = at(expect["json"], assertion["property"])
    match assertion["comparison"]:
        case "equal" | "equal_number":
            return isinstance(found, str | int) and json_text(found) == value
        case "not_empty":
            return found is not ABSENT and found not in ({"$absent": True}, "", [], {})
        case "is_a_number":
            return found == {"$type": "int"} or type(found) is int
        case "has_value" | "contains":
            return bool(found == {"$contains": value} or found == [value])
    raise AssertionError(f"unknown comparison {assertion['comparison']}")


def json_text(value: str | int) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def as_ours(text: str) -> str:
    return re.sub(r"\{\{(\w+)\}\}", r"${\1}", text)


@pytest.mark.parametrize(
    ("expect", "assertion"),
    [
        ({"status": 200}, {"source": "response_status", "value": 404}),
        ({"status": 200}, {"source": "response_time", "comparison": "is_less_than", "value": "600"}),
        ({"json": {}}, {"source": "response_json", "comparison": "not_empty", "property": "id"}),
        (
            {"json": {"active": "true2"}},
            {"source": "response_json", "comparison": "equal", "property": "active", "value": "true"},
        ),
        (
            {"json": {"schemas": {"$contains": "a"}}},
            {"source": "response_json", "comparison": "has_value", "property": "schemas", "value": "b"},
        ),
    ],
)
def test_the_comparison_of_assertions_can_fail(expect: dict[str, Any], assertion: dict[str, Any]) -> None:
    assert not asks_for(expect, assertion)
