"""The discovery documents, member by member (RFC 7643 §5 to §7, RFC 7644 §4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from rfc import LIST, check_error

CORE = "urn:ietf:params:scim:schemas:core:2.0:"
TYPES = {"string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"}
DISCOVERY = {CORE + name for name in ("ServiceProviderConfig", "ResourceType", "Schema")}


@pytest.fixture(scope="module")
def schemas(scim: httpx.Client) -> dict[str, dict[str, Any]]:
    return {s["id"]: s for s in scim.get("/Schemas").json()["Resources"]}


@pytest.fixture(scope="module")
def resource_types(scim: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scim.get("/ResourceTypes").json()["Resources"]
    return found


def attributes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Attributes and sub-attributes."""
    for attribute in schema["attributes"]:
        yield attribute
        yield from attribute.get("subAttributes", ())


def test_the_configuration_has_every_required_member(scim: httpx.Client) -> None:
    answer = scim.get("/ServiceProviderConfig")
    config = answer.json()
    assert config["schemas"] == [CORE + "ServiceProviderConfig"]
    for feature in ("patch", "bulk", "filter", "changePassword", "sort", "etag"):
        assert type(config[feature]["supported"]) is bool, feature
    for limit in (
        config["bulk"]["maxOperations"],
        config["bulk"]["maxPayloadSize"],
        config["filter"]["maxResults"],
    ):
        assert type(limit) is int
        assert limit >= 0
    for scheme in config["authenticationSchemes"]:
        assert scheme["type"] in ("oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest")
        assert scheme["name"]
        assert scheme["description"]
    assert config["authenticationSchemes"]
    assert config["meta"]["location"] == str(answer.request.url)


def test_resource_types_have_every_required_member(
    scim: httpx.Client, resource_types: list[dict[str, Any]], schemas: dict[str, dict[str, Any]]
) -> None:
    assert [t["name"] for t in resource_types] == ["User", "Group"]
    for found in resource_types:
        assert found["schemas"] == [CORE + "ResourceType"]
        assert found["description"]
        assert found["schema"] in schemas
        for extension in found["schemaExtensions"]:
            assert extension["schema"] in schemas
            assert extension["required"] is False
        listed = scim.get(found["endpoint"], params={"count": 1}).json()
        assert listed["schemas"] == [LIST]
        for resource in listed["Resources"]:
            assert resource["meta"]["resourceType"] == found["name"]


def test_every_schema_in_use_is_published(
    schemas: dict[str, dict[str, Any]], resource_types: list[dict[str, Any]]
) -> None:
    used = {t["schema"] for t in resource_types}
    used |= {e["schema"] for t in resource_types for e in t["schemaExtensions"]}
    assert used | DISCOVERY == set(schemas)


def test_message_schemas_are_not_published(scim: httpx.Client, schemas: dict[str, dict[str, Any]]) -> None:
    assert not [urn for urn in schemas if urn.startswith("urn:ietf:params:scim:api:")]
    check_error(scim.get(f"/Schemas/{LIST}"), 404)


def test_schemas_describe_every_attribute(schemas: dict[str, dict[str, Any]]) -> None:
    for urn, schema in schemas.items():
        assert re.fullmatch(r"urn:[A-Za-z0-9][A-Za-z0-9-]*:.+", urn)
        assert schema["schemas"] == [CORE + "Schema"]
        assert schema["name"]
        assert schema["description"]
        for attribute in attributes(schema):
            where = f"{urn}:{attribute['name']}"
            assert re.fullmatch(r"[A-Za-z$][A-Za-z0-9$_-]*", attribute["name"]), where
            assert attribute["description"], where
            assert attribute["type"] in TYPES, where
            assert type(attribute["multiValued"]) is bool, where
            assert type(attribute["required"]) is bool, where
            assert attribute["mutability"] in ("readOnly", "readWrite", "immutable", "writeOnly"), where
            assert attribute["returned"] in ("always", "never", "default", "request"), where
            assert attribute["uniqueness"] in ("none", "server"), where
            if attribute["type"] == "string":
                assert type(attribute["caseExact"]) is bool, where
            if attribute["type"] == "reference":
                assert attribute["referenceTypes"], where
            assert ("subAttributes" in attribute) == (attribute["type"] == "complex"), where
            if attribute["mutability"] == "writeOnly":
                assert attribute["returned"] == "never", where


def test_attributes_are_at_most_two_levels_deep(schemas: dict[str, dict[str, Any]]) -> None:
    """But those of the schema of schemas (RFC 7643 §7)."""
    for urn in set(schemas) - {CORE + "Schema"}:
        for attribute in schemas[urn]["attributes"]:
            subs = attribute.get("subAttributes", ())
            assert not [s["name"] for s in subs if s["type"] == "complex"], (urn, attribute["name"])


def test_extensions_redefine_nothing(
    schemas: dict[str, dict[str, Any]], resource_types: list[dict[str, Any]]
) -> None:
    for found in resource_types:
        core = {a["name"].lower() for a in schemas[found["schema"]]["attributes"]}
        core |= {"id", "externalid", "meta", "schemas"}
        for extension in found["schemaExtensions"]:
            assert core.isdisjoint(a["name"].lower() for a in schemas[extension["schema"]]["attributes"])


def test_values_that_are_recommended_are_published(schemas: dict[str, dict[str, Any]]) -> None:
    user = {a["name"]: a for a in schemas[CORE + "User"]["attributes"]}

    def kinds(name: str) -> list[str]:
        subs = {s["name"]: s for s in user[name]["subAttributes"]}
        found: list[str] = subs["type"].get("canonicalValues", [])
        return found

    assert kinds("emails") == kinds("addresses") == ["work", "home", "other"]
    assert set(kinds("phoneNumbers")) == {"work", "home", "mobile", "fax", "pager", "other"}
    messengers = {"aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"}
    assert set(kinds("ims")) - {"other"} == messengers
    assert kinds("photos") == ["photo", "thumbnail"]
    assert kinds("groups") == ["direct", "indirect"]


@pytest.mark.parametrize("path", ["/Schemas", "/ResourceTypes"])
def test_discovery_lists_are_whole(scim: httpx.Client, path: str) -> None:
    everything = scim.get(path).json()
    assert everything["schemas"] == [LIST]
    assert everything["totalResults"] == len(everything["Resources"])
    params = {"startIndex": 2, "count": 1, "sortBy": "id", "sortOrder": "descending"}
    assert scim.get(path, params=params).json()["Resources"] == everything["Resources"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/Schemas", f"/Schemas/{CORE}User", "/ResourceTypes", "/ResourceTypes/User", "/ServiceProviderConfig"],
)
def test_discovery_documents_cannot_be_changed(scim: httpx.Client, method: str, path: str) -> None:
    before = scim.get(path).json()
    check_error(scim.request(method, path, json=before), 405)
    assert scim.get(path).json() == before
