"""The served OpenAPI document says what the Users API's says, endpoint by endpoint, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from platform_server import RunningPlatform, Tenant
from users_api_document import Facts, facts_of_openapi, facts_of_reference

FACTS = Path(__file__).with_name("users_api.json")
REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "seeds" / "users-api.txt"


@pytest.fixture
def facts() -> Facts:
    return json.loads(FACTS.read_text())


@pytest.fixture(scope="module")
def document(platform: RunningPlatform) -> Any:
    answer = httpx.get(f"{platform.url}/openapi.json", trust_env=False)
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def test_the_facts_are_those_of_the_printed_reference(facts: Facts) -> None:
    if not REFERENCE.exists():
        pytest.skip("the printed reference is not at hand")
    printed = facts_of_reference(REFERENCE.read_text())
    for endpoint in facts["endpoints"].values():  # the reference prints no name for these bodies
        if endpoint["body"] not in (None, "object"):
            endpoint["body"] = "schema"
    assert printed["endpoints"] == facts["endpoints"]
    assert printed["schemas"] == facts["schemas"]
    assert printed["enums"] == facts["enums"]


def test_there_are_seventeen_endpoints_and_every_schema(facts: Facts) -> None:
    assert len(facts["endpoints"]) == 17
    assert len(facts["schemas"]) + len(facts["enums"]) == 15


def test_every_endpoint_is_served_as_documented(document: Any, facts: Facts) -> None:
    served = facts_of_openapi(document)["endpoints"]
    assert {name: served.get(name) for name in facts["endpoints"]} == facts["endpoints"]


def test_every_schema_is_served_as_documented(document: Any, facts: Facts) -> None:
    served = facts_of_openapi(document)
    assert {name: served["schemas"].get(name) for name in facts["schemas"]} == facts["schemas"]
    assert {name: served["enums"].get(name) for name in facts["enums"]} == facts["enums"]


def test_every_reference_of_the_document_leads_somewhere(document: Any) -> None:
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(document["components"]["schemas"])
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)


def test_answers_have_exactly_the_documented_fields(tenant: Tenant, facts: Facts) -> None:
    group = tenant.create_group("Admins")
    user = tenant.create("a@example.com", group_ids=[group["id"]])
    schemas = facts["schemas"]
    one = tenant.http.get(f"{tenant.users}/{user['id']}").json()
    assert set(one) == set(schemas["ApiResponse_UserResponse_"])
    assert set(one["data"]) == set(schemas["UserResponse"])
    assert set(one["meta"]) == set(schemas["MetaResponse"])
    assert set(one["data"]["groups"][0]) == set(schemas["UserGroupMembership"])
    many = tenant.http.get(tenant.users).json()
    assert set(many) == set(schemas["PaginatedResponse_UserListItem_"])
    assert set(many["data"][0]) == set(schemas["UserListItem"])
    assert set(many["pagination"]) == set(schemas["PaginationMeta"])


def test_every_documented_endpoint_is_routed(tenant: Tenant, facts: Facts) -> None:
    user = tenant.create("a@example.com")
    for name in facts["endpoints"]:
        method, _, path = name.partition(" ")
        url = path.format(tenant_id=tenant.id, user_id="usr_absent")
        with httpx.Client(base_url=tenant.platform.url, trust_env=False) as nobody:
            assert nobody.request(method, url).status_code == 401, name
    assert tenant.get(user["id"]) == user
