"""Bodies of POST and PUT: what each client sends, and what the lenient and the strict dialect make of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from app.scim.dialect import LENIENT, STRICT, Dialect
from app.scim.errors import InvalidSyntax, InvalidValue, ScimError
from app.scim.schema import ENTERPRISE_USER as ENT
from app.scim.schema import (
    GROUP,
    PLATFORM_USER,
    USER,
    Attribute,
    ResourceModel,
    Schema,
    group_model,
    user_model,
)
from app.scim.validate import read_resource, read_value

USERS, GROUPS = user_model(), group_model()
MAIL = {"emails": [{"value": "a@x.org"}]}
ENTRA_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


def read(body: dict[str, Any], dialect: Dialect = LENIENT, *, whole: bool = False) -> Any:
    """The attributes read beyond those that every case has, or the class of the error."""
    full = {"schemas": [USER, ENT, PLATFORM_USER], "userName": "a", **MAIL, **body}
    before = copy.deepcopy(full)
    try:
        resource = read_resource(full, USERS, dialect)
    except ScimError as error:
        return type(error)
    finally:
        assert full == before, "the body was changed"
    if whole:
        return resource
    kept = {"schemas": None, "userName": "a", **MAIL}
    return {k: v for k, v in resource.items() if k not in ("schemas",) and v != kept.get(k)}


CASES: list[tuple[str, dict[str, Any], Any, Any]] = [
    # client and form, body, lenient, strict
    ("Entra: active as a word", {"active": "True"}, {"active": True}, InvalidValue),
    ("OneLogin: active in lower case", {"active": "false"}, {"active": False}, InvalidValue),
    ("any: a word that is no boolean", {"active": "yes"}, InvalidValue, InvalidValue),
    ("any: number for a boolean", {"active": 1}, InvalidValue, InvalidValue),
    (
        "Entra: primary as a word",
        {"emails": [{"value": "b@x", "primary": "true"}]},
        {"emails": [{"value": "b@x", "primary": True}]},
        InvalidValue,
    ),
    ("Entra: explicit nulls", {"title": None, "addresses": None}, {}, {}),
    ("JumpCloud: empty array", {"addresses": [], "phoneNumbers": None}, {}, {}),
    ("Entra: empty string", {"title": ""}, {}, {"title": ""}),
    (
        "Entra: name with empty parts",
        {"name": {"formatted": "", "familyName": "", "givenName": "G"}},
        {"name": {"givenName": "G"}},
        {"name": {"formatted": "", "familyName": "", "givenName": "G"}},
    ),
    ("Entra: name of empty parts only", {"name": {"formatted": None, "familyName": None}}, {}, {}),
    ("any: empty object", {"name": {}}, {}, {}),
    ("Entra: manager as a string", {ENT: {"manager": "m"}}, {ENT: {"manager": {"value": "m"}}}, InvalidValue),
    (
        "Entra: manager in an array",
        {ENT: {"manager": [{"$ref": "../Users/m", "value": "m"}]}},
        {ENT: {"manager": {"$ref": "../Users/m", "value": "m"}}},
        InvalidValue,
    ),
    ("any: two managers", {ENT: {"manager": ["m", "n"]}}, InvalidValue, InvalidValue),
    ("Entra: manager empty", {ENT: {"manager": ""}}, {}, InvalidValue),
    ("Entra: manager null", {ENT: {"manager": None}}, {}, {}),
    ("Entra: unqualified manager", {"manager": "m"}, {ENT: {"manager": {"value": "m"}}}, InvalidSyntax),
    (
        "any: manager with its readOnly name",
        {ENT: {"manager": {"value": "m", "displayName": "M"}}},
        {ENT: {"manager": {"value": "m"}}},
        {ENT: {"manager": {"value": "m"}}},
    ),
    ("Entra: flat dotted key", {"name.givenName": "G"}, {"name": {"givenName": "G"}}, InvalidSyntax),
    (
        "Entra: flat key beside the object",
        {"name": {"familyName": "F"}, "name.givenName": "G"},
        {"name": {"familyName": "F", "givenName": "G"}},
        InvalidSyntax,
    ),
    (
        "any: the same part twice",
        {"name": {"GivenName": "F"}, "name.givenName": "G"},
        InvalidSyntax,
        InvalidSyntax,
    ),
    ("Entra: flat URN key", {f"{ENT}:department": "D"}, {ENT: {"department": "D"}}, InvalidSyntax),
    (
        "Entra: flat URN key with sub-attribute",
        {f"{ENT}:manager.value": "m"},
        {ENT: {"manager": {"value": "m"}}},
        InvalidSyntax,
    ),
    (
        "Entra: flat and nested extension",
        {f"{ENT}:department": "D", ENT: {"costCenter": "C"}},
        {ENT: {"costCenter": "C", "department": "D"}},
        InvalidSyntax,
    ),
    ("any: URN of the core as prefix", {f"{USER}:title": "T"}, {"title": "T"}, InvalidSyntax),
    (
        "any: flat key of a multi-valued attribute",
        {"phoneNumbers.value": "1"},
        {"phoneNumbers": [{"value": "1"}]},
        InvalidSyntax,
    ),
    ("Entra Postman: names in mixed case", {"DisplayName": "D"}, {"displayName": "D"}, {"displayName": "D"}),
    ("any: sub-names in mixed case", {"name": {"GIVENNAME": "G"}}, {"name": {"givenName": "G"}}, None),
    ("any: URN in mixed case", {ENT.upper(): {"Department": "D"}}, {ENT: {"department": "D"}}, None),
    ("any: names twice", {"title": "a", "Title": "b"}, InvalidSyntax, InvalidSyntax),
    ("any: sub-names twice", {"name": {"givenName": "a", "GivenName": "b"}}, InvalidSyntax, InvalidSyntax),
    (
        "OneLogin: emails as one object",
        {"emails": {"value": "b@x"}},
        {"emails": [{"value": "b@x"}]},
        InvalidValue,
    ),
    ("any: emails as a string", {"emails": "b@x"}, {"emails": [{"value": "b@x"}]}, InvalidValue),
    ("Entra Postman: bare elements", {"roles": ["r"]}, {"roles": [{"value": "r"}]}, InvalidValue),
    ("OneLogin: id null", {"id": None}, {}, {}),
    (
        "Okta: id, meta and groups echoed",
        {"id": "x", "meta": {"version": 1}, "groups": [{"value": "g"}]},
        {},
        {},
    ),
    ("Okta: number for a string", {"title": 7}, {"title": "7"}, InvalidValue),
    ("Okta: decimal for a string", {"title": 1.5}, {"title": "1.5"}, InvalidValue),
    ("any: boolean for a string", {"title": True}, InvalidValue, InvalidValue),
    ("any: array for a string", {"title": ["T"]}, InvalidValue, InvalidValue),
    ("any: object for a string", {"title": {"a": 1}}, InvalidValue, InvalidValue),
    ("any: string for a name", {"name": "N"}, InvalidValue, InvalidValue),
    ("Okta: custom attributes of its own", {"urn:okta:app:1.0:user:custom": {"a": 1}}, {}, InvalidSyntax),
    ("any: unknown attribute", {"shoeSize": 43}, {}, InvalidSyntax),
    (
        "any: unknown sub-attribute",
        {"name": {"nick": "N", "givenName": "G"}},
        {"name": {"givenName": "G"}},
        InvalidSyntax,
    ),
    ("any: a stray status is not the platform's", {"status": "PROVISIONED"}, {}, InvalidSyntax),
    (
        "Entra: element of a type without value",
        {"emails": [{"type": "work", "primary": True}, {"value": "b@x"}]},
        {"emails": [{"value": "b@x"}]},
        InvalidValue,
    ),
    (
        "Entra: element with an empty value",
        {"phoneNumbers": [{"type": "work", "value": ""}]},
        {},
        {"phoneNumbers": [{"type": "work", "value": ""}]},
    ),
    ("JumpCloud: photos without type", {"photos": [{"value": "https://x/p"}]}, None, None),
    (
        "Entra: app role as JSON in a string",
        {
            "roles": [
                {
                    "value": json.dumps({"id": "1", "value": "admin", "displayName": "Admin"}),
                    "primary": "True",
                }
            ]
        },
        {"roles": [{"value": "admin", "display": "Admin", "primary": True}]},
        InvalidValue,
    ),
    ("any: a role that only looks like JSON", {"roles": [{"value": "{x"}]}, None, None),
    ("any: a role of deep JSON", {"roles": [{"value": '{"a":' * 5_000}]}, None, None),
    (
        "any: equal elements",
        {"roles": [{"value": "r"}, {"value": "r"}]},
        {"roles": [{"value": "r"}]},
        {"roles": [{"value": "r"}]},
    ),
    (
        "RFC 7643 §2.4: two primaries",
        {"emails": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]},
        InvalidValue,
        InvalidValue,
    ),
    ("RFC 7643 §7: other types than suggested", {"ims": [{"value": "a", "type": "matrix"}]}, None, None),
    ("platform: a status there is", {PLATFORM_USER: {"status": "LOCKED"}}, None, None),
    ("platform: a status there is not", {PLATFORM_USER: {"status": "locked"}}, InvalidValue, InvalidValue),
    ("platform: a number as status", {PLATFORM_USER: {"status": 0}}, InvalidValue, InvalidValue),
    ("platform: readOnly ouId", {PLATFORM_USER: {"ouId": "1"}}, {}, {}),
    ("any: extension as a string", {ENT: "x"}, InvalidValue, InvalidValue),
    ("any: extension null", {ENT: None}, {}, {}),
    ("any: binary", {"x509Certificates": [{"value": "AQID"}]}, None, None),
    ("any: binary that is none", {"x509Certificates": [{"value": "é!"}]}, InvalidValue, InvalidValue),
    ("any: number for a reference", {"profileUrl": 1}, InvalidValue, InvalidValue),
    ("any: NUL in text", {"title": "a\0b"}, InvalidValue, InvalidValue),
    ("any: half a surrogate pair", {"title": "a\ud800b"}, InvalidValue, InvalidValue),
    ("any: half a surrogate pair in an unknown name", {"\ud800": 1}, {}, InvalidSyntax),
    ("any: user name empty", {"userName": ""}, InvalidValue, InvalidValue),
    ("any: user name null", {"userName": None}, InvalidValue, InvalidValue),
    ("any: no addresses", {"emails": []}, InvalidValue, InvalidValue),
]


@pytest.mark.parametrize(("body", "lenient", "strict"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_bodies(body: dict[str, Any], lenient: Any, strict: Any) -> None:
    expected = body if lenient is None else lenient
    assert read(body, LENIENT) == expected
    assert read(body, STRICT) == (expected if strict is None else strict)


SCHEMAS: list[tuple[str, Any, Any, Any]] = [
    ("whole", [USER, ENT], None, None),
    ("JumpCloud: extension first", [ENT, USER], None, None),
    ("Entra: extension not listed", [USER], None, InvalidValue),
    ("OneLogin: version 1", ["urn:scim:schemas:core:1.0"], None, InvalidValue),
    ("OneLogin: without ietf:params", ["urn:scim:schemas:core:2.0", USER, ENT], None, InvalidValue),
    ("authentik: none", None, None, InvalidValue),
    ("any: empty", [], None, InvalidValue),
    ("any: not an array", USER, None, InvalidSyntax),
    ("any: numbers", [1], None, InvalidSyntax),
    ("any: other case", [USER.upper(), ENT], None, None),
]


@pytest.mark.parametrize(
    ("listed", "lenient", "strict"), [c[1:] for c in SCHEMAS], ids=[c[0] for c in SCHEMAS]
)
def test_schemas_are_those_present_whatever_was_listed(listed: Any, lenient: Any, strict: Any) -> None:
    body = {"schemas": listed, ENT: {"department": "D"}}
    for dialect, expected in ((LENIENT, lenient), (STRICT, strict)):
        found = read(body, dialect, whole=True)
        assert found == expected if expected else found["schemas"] == [USER, ENT]


def test_entra_create_as_documented() -> None:
    body = {
        "schemas": [USER, ENT],
        "externalId": "0a21f0f2",
        "userName": "Test_User_ab6490ee@example.org",
        "active": True,
        "emails": [{"primary": True, "type": "work", "value": "a@example.org"}],
        "name": {"formatted": "", "familyName": "familyName", "givenName": ""},
        "meta": {"resourceType": "User"},
        "roles": [],
    }
    assert read_resource(body, USERS, LENIENT) == {
        "schemas": [USER],
        "externalId": "0a21f0f2",
        "userName": "Test_User_ab6490ee@example.org",
        "name": {"familyName": "familyName"},
        "active": True,
        "emails": [{"primary": True, "type": "work", "value": "a@example.org"}],
    }


def test_entra_group_with_its_own_schema() -> None:
    body = {
        "schemas": [GROUP, ENTRA_GROUP],
        "externalId": "8aa1",
        "displayName": "displayName",
        "meta": {"resourceType": "Group"},
    }
    assert read_resource(body, GROUPS, LENIENT) == {
        "schemas": [GROUP],
        "externalId": "8aa1",
        "displayName": "displayName",
    }
    with pytest.raises(InvalidValue, match="not served here"):
        read_resource(body, GROUPS, STRICT)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([{"$ref": None, "value": "u1"}], id="Entra: $ref null"),
        pytest.param(["u1"], id="Entra Postman: bare string"),
        pytest.param([{"value": "u1", "display": "One"}], id="Okta: display"),
        pytest.param([{"value": "u1"}, {"value": "u1"}], id="any: twice"),
    ],
)
def test_member_forms(members: list[Any]) -> None:
    group = read_resource({"displayName": "g", "members": members}, GROUPS, LENIENT)
    assert group["members"] == [{"value": "u1"}]


def test_okta_create_with_placeholder_password_and_empty_groups() -> None:
    body = {"schemas": [USER], "userName": "a", **MAIL, "password": "1mz050nq", "groups": []}
    assert read_resource(body, USERS, STRICT)["password"] == "1mz050nq"


def test_all_missing_attributes_are_named() -> None:
    with pytest.raises(InvalidValue, match="userName and emails must be given"):
        read_resource({}, USERS, LENIENT)
    supplied = read_resource({"userName": "a@x"}, USERS, LENIENT, supplied_elsewhere=frozenset({"emails"}))
    assert supplied == {"schemas": [USER], "userName": "a@x"}


@pytest.mark.parametrize("body", [None, [], "x", 1, True])
def test_a_body_that_is_no_object(body: object) -> None:
    with pytest.raises(InvalidSyntax, match="must be a JSON object"):
        read_resource(body, USERS, LENIENT)


@pytest.mark.parametrize("password", [["hunter2"], {"a": "hunter2"}, "hunter2\0"])
def test_an_error_never_repeats_the_password(password: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        read_resource({"userName": "a", **MAIL, "password": password}, USERS, LENIENT)
    assert "password" in caught.value.detail
    assert "hunter2" not in caught.value.detail


def test_an_error_names_the_element() -> None:
    with pytest.raises(InvalidValue, match=r"emails\[1\]\.primary must be true or false, not a number"):
        read_resource({"emails": [{"value": "a"}, {"value": "b", "primary": 3}]}, USERS, LENIENT)


def one(kind: str, **more: Any) -> Attribute:
    return msgspec.convert({"name": "a", "type": kind, **more}, Attribute)


SCALARS: list[tuple[str, Any, bool]] = [
    ("integer", 5, True),
    ("integer", True, False),
    ("integer", 5.0, False),
    ("integer", "5", False),
    ("integer", 10**400, False),
    ("decimal", 5, True),
    ("decimal", 5.25, True),
    ("decimal", float("inf"), False),
    ("decimal", False, False),
    ("dateTime", "2011-05-13T04:42:34Z", True),
    ("dateTime", "2011-05-13T04:42:34.123456789+02:00", True),
    ("dateTime", "2011-05-13T04:42:34", True),
    ("dateTime", "2011-13-13T04:42:34Z", False),
    ("dateTime", "2011-05-13", False),
    ("dateTime", "٢٠١١-05-13T04:42:34Z", False),
    ("dateTime", 5, False),
    ("binary", "AQ==", True),
    ("binary", "_-8=", True),
    ("binary", "AQ", False),
    ("reference", "../Users/1", True),
    ("string", "ünï 🎉", True),
]


@pytest.mark.parametrize(("kind", "value", "good"), SCALARS)
@pytest.mark.parametrize("dialect", [LENIENT, STRICT], ids=["lenient", "strict"])
def test_scalars_keep_their_value_or_are_refused(kind: str, value: Any, good: bool, dialect: Dialect) -> None:
    if good:
        assert read_value(value, one(kind), dialect, path="a") == value
    else:
        with pytest.raises(InvalidValue, match=r"^a "):
            read_value(value, one(kind), dialect, path="a")


def test_unassigned_values() -> None:
    plain, several = one("string"), one("string", multiValued=True)
    for value in (None, [], {}):
        assert read_value(value, plain, STRICT, path="a") is None
        assert read_value(value, several, STRICT, path="a") is None
    assert read_value("", plain, LENIENT, path="a") is None
    assert read_value("", plain, STRICT, path="a") == ""
    assert read_value(["", None], several, LENIENT, path="a") is None


def test_multi_valued_strings() -> None:
    several = one("string", multiValued=True)
    assert read_value(["x", "y", "x"], several, STRICT, path="a") == ["x", "y"]
    assert read_value("x", several, LENIENT, path="a") == ["x"]
    with pytest.raises(InvalidValue, match="must be an array"):
        read_value("x", several, STRICT, path="a")


def test_required_attributes_of_an_extension_count_when_it_is_present() -> None:
    urn = "urn:example:1.0:Badge"
    badge = Schema(id=urn, name="Badge", attributes=(one("string", required=True), one("string", name="b")))
    model = ResourceModel(name="Group", endpoint="/Groups", core=GROUPS.core, extensions=[badge])
    assert read_resource({"displayName": "g"}, model, LENIENT)["schemas"] == [GROUP]
    with pytest.raises(InvalidValue, match=f"{urn}:a must be given"):
        read_resource({"displayName": "g", urn: {"b": "x"}}, model, LENIENT)


def test_a_put_of_what_get_gave_is_taken_in_either_dialect() -> None:
    got = {
        "schemas": [USER, ENT, PLATFORM_USER],
        "id": "2819c223",
        "meta": {"resourceType": "User", "location": "https://x/Users/2819c223"},
        "userName": "a",
        "active": True,
        **MAIL,
        "groups": [{"value": "g", "$ref": "../Groups/g", "type": "direct"}],
        ENT: {"manager": {"value": "m", "displayName": "M"}},
        PLATFORM_USER: {"status": "ACTIVE", "mfaEnabled": False},
    }
    for dialect in (LENIENT, STRICT):
        assert read_resource(got, USERS, dialect) == {
            "schemas": [USER, ENT, PLATFORM_USER],
            "userName": "a",
            "active": True,
            **MAIL,
            ENT: {"manager": {"value": "m"}},
            PLATFORM_USER: {"status": "ACTIVE"},
        }
