"""PATCH as identity providers send it, in the lenient and the strict dialect."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from app.scim.dialect import LENIENT, STRICT, Dialect
from app.scim.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    PayloadTooLarge,
    ScimError,
)
from app.scim.messages import PATCH_OP
from app.scim.patch import Operation, apply_patch, read_patch
from app.scim.replace import completed
from app.scim.schema import ENTERPRISE_USER as ENT
from app.scim.schema import (
    GROUP,
    PLATFORM_USER,
    USER,
    Attribute,
    Resource,
    ResourceModel,
    Schema,
    group_model,
    user_model,
)

USERS, GROUPS = user_model(), group_model()
WORK = {"type": "work", "value": "w@x", "primary": True}
HOME = {"type": "home", "value": "h@x"}
BOSS = {"value": "b1", "$ref": "../Users/b1", "displayName": "Boss"}
PLAIN: Resource = {
    "schemas": [USER, ENT, PLATFORM_USER],
    "id": "u1",
    "meta": {"resourceType": "User"},
    "userName": "ann",
    "name": {"givenName": "Ann", "familyName": "Archer"},
    "active": True,
    "emails": [WORK, HOME],
    "groups": [{"value": "g1"}],
    ENT: {"department": "Dev", "manager": BOSS},
    PLATFORM_USER: {"status": "ACTIVE", "mfaEnabled": False},
}
TEAM: Resource = {
    "schemas": [GROUP],
    "id": "g1",
    "displayName": "Team",
    "externalId": "ext",
    "members": [
        {"value": "u1", "display": "One", "type": "User", "$ref": "https://x/Users/u1"},
        {"value": "u2", "type": "User"},
        {"value": "u3"},
    ],
}


def op(kind: str, path: object = None, value: Any = ..., /, **stray: Any) -> dict[str, Any]:
    given = {"op": kind, "path": path, "value": value, **stray}
    return {k: v for k, v in given.items() if v is not ... and not (k == "path" and v is None)}


def message(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def run(resource: Resource, model: ResourceModel, body: object, dialect: Dialect) -> Any:
    """What the PATCH changes: attribute → new value, None where it is gone; or the class of the error."""
    before = copy.deepcopy((resource, body))
    try:
        after = apply_patch(resource, read_patch(body, dialect), model, dialect)
    except ScimError as error:
        return type(error)
    finally:
        assert (resource, body) == before, "an argument was changed"
    names = dict.fromkeys([*resource, *after])
    return {n: after.get(n) for n in names if n != "schemas" and after.get(n) != resource.get(n)}


def ent(**attributes: Any) -> dict[str, Any]:
    return {ENT: {**PLAIN[ENT], **attributes}}


MOBILE = 'phoneNumbers[type eq "mobile"].value'
SAME = "same"
"""In the strict column: as in the lenient one."""

USER_CASES: list[tuple[str, list[dict[str, Any]], Any, Any]] = [
    # --- Entra, default dialect
    ("Entra: Replace active False", [op("Replace", "active", "False")], {"active": False}, InvalidSyntax),
    ("Entra: word for a boolean", [op("replace", "active", "False")], {"active": False}, InvalidValue),
    ("Entra: Add for active", [op("add", "active", False)], {"active": False}, SAME),
    (
        "Entra: Add on an unmatched value path",
        [op("add", MOBILE, "+1 425 555 0100")],
        {"phoneNumbers": [{"type": "mobile", "value": "+1 425 555 0100"}]},
        NoTarget,
    ),
    (
        "Entra: Replace on an unmatched value path",
        [op("replace", MOBILE, "1")],
        {"phoneNumbers": [{"type": "mobile", "value": "1"}]},
        NoTarget,
    ),
    (
        "Entra: an address built part by part",
        [
            op("Add", 'addresses[type eq "work"].formatted', "1 Main St"),
            op("Add", 'addresses[type eq "work"].Locality', "Oslo"),
        ],
        {"addresses": [{"type": "work", "formatted": "1 Main St", "locality": "Oslo"}]},
        InvalidSyntax,
    ),
    (
        "Entra: a label before its value",
        [
            op("add", 'emails[type eq "other"].display', "O"),
            op("add", 'emails[type eq "other"].Value', "o@x"),
        ],
        {"emails": [WORK, HOME, {"type": "other", "display": "O", "value": "o@x"}]},
        NoTarget,
    ),
    ("Entra: a label without a value", [op("add", 'emails[type eq "other"].display', "O")], {}, NoTarget),
    (
        "Entra: matched value path",
        [op("replace", 'emails[type eq "work"].value', "n@x")],
        {"emails": [{**WORK, "value": "n@x"}, HOME]},
        SAME,
    ),
    (
        "Entra classic: primary eq true",
        [op("replace", "emails[primary eq true].value", "n@x")],
        {"emails": [{**WORK, "value": "n@x"}, HOME]},
        SAME,
    ),
    (
        "Entra: roles by primary as a word",
        [op("add", 'roles[primary eq "True"].value', "admin")],
        {"roles": [{"primary": True, "value": "admin"}]},
        InvalidFilter,
    ),
    (
        "Entra: several constraints",
        [op("add", 'ims[type eq "xmpp" and primary eq true].value', "a")],
        {"ims": [{"type": "xmpp", "primary": True, "value": "a"}]},
        NoTarget,
    ),
    ("any: a filter that creates nothing", [op("add", 'ims[type ne "xmpp"].value', "a")], NoTarget, NoTarget),
    (
        "any: or creates nothing",
        [op("add", 'ims[type eq "a" or type eq "b"].value', "a")],
        NoTarget,
        NoTarget,
    ),
    (
        "Entra: app role as JSON in a string",
        [op("add", "roles", [{"value": json.dumps({"id": "1", "value": "adm", "displayName": "Adm"})}])],
        {"roles": [{"value": "adm", "display": "Adm"}]},
        {"roles": [{"value": json.dumps({"id": "1", "value": "adm", "displayName": "Adm"})}]},
    ),
    ("Entra: replace roles", [op("replace", "roles", [{"value": "r"}])], {"roles": [{"value": "r"}]}, SAME),
    ("Entra: department by URN", [op("replace", f"{ENT}:department", "S")], ent(department="S"), SAME),
    (
        "Entra: URN in other case",
        [op("replace", f"{ENT.upper()}:Department", "S")],
        ent(department="S"),
        SAME,
    ),
    (
        "Entra: manager as a string",
        [op("add", f"{ENT}:manager", "b2")],
        ent(manager={"value": "b2"}),
        InvalidValue,
    ),
    (
        "Entra: unqualified manager in an array",
        [op("add", "manager", [{"$ref": "../Users/b2", "value": "b2"}])],
        ent(manager={"value": "b2", "$ref": "../Users/b2"}),
        InvalidPath,
    ),
    (
        "Entra: manager.value",
        [op("replace", f"{ENT}:manager.value", "b2")],
        ent(manager={"value": "b2"}),
        SAME,
    ),
    ("Entra: the same manager", [op("add", f"{ENT}:manager", {"value": "b1"})], {}, SAME),
    (
        "Entra: manager cleared with ''",
        [op("replace", f"{ENT}:manager", "")],
        {ENT: {"department": "Dev"}},
        InvalidValue,
    ),
    (
        "Entra: manager cleared by Add of ''",
        [op("add", f"{ENT}:manager", "")],
        {ENT: {"department": "Dev"}},
        InvalidValue,
    ),
    (
        "Entra: manager cleared with null",
        [op("replace", f"{ENT}:manager", None)],
        {ENT: {"department": "Dev"}},
        SAME,
    ),
    ("Entra: manager removed", [op("remove", f"{ENT}:manager")], {ENT: {"department": "Dev"}}, SAME),
    (
        "Entra: cleared with ''",
        [op("replace", f"{ENT}:department", "")],
        {ENT: {"manager": BOSS}},
        ent(department=""),
    ),
    ("Entra: cleared with null", [op("replace", f"{ENT}:department", None)], {ENT: {"manager": BOSS}}, SAME),
    ("Entra: Remove", [op("remove", f"{ENT}:department")], {ENT: {"manager": BOSS}}, SAME),
    ("Entra: null update of what is not there", [op("replace", "title", "")], {}, {"title": ""}),
    (
        "Entra: value beside remove",
        [op("remove", f"{ENT}:department", "Dev")],
        {ENT: {"manager": BOSS}},
        SAME,
    ),
    (
        "Entra: an e-mail cleared with ''",
        [op("replace", 'emails[type eq "home"].value', "")],
        {"emails": [WORK]},
        {"emails": [WORK, {**HOME, "value": ""}]},
    ),
    (
        "Entra: an e-mail's value removed",
        [op("remove", 'emails[type eq "home"].value')],
        {"emails": [WORK]},
        SAME,
    ),
    ("Entra: unmatched and nothing to create", [op("replace", MOBILE, "")], {}, NoTarget),
    (
        "Entra Postman: stray keys",
        [op("replace", "active", False, name="x")],
        {"active": False},
        InvalidSyntax,
    ),
    (
        "Entra Postman: other case",
        [{"OP": "replace", "Path": "Active", "Value": False}],
        {"active": False},
        InvalidSyntax,
    ),
    ("Entra: empty path", [op("replace", "", {"active": False})], {"active": False}, InvalidPath),
    # --- Entra with aadOptscim062020
    (
        "Entra flag: flat keys",
        [op("replace", None, {"displayName": "x", "name.givenName": "y", f"{ENT}:employeeNumber": "7"})],
        {"displayName": "x", "name": {"givenName": "y", "familyName": "Archer"}, **ent(employeeNumber="7")},
        InvalidSyntax,
    ),
    (
        "any: value path as a key",
        [op("add", None, {'emails[type eq "work"].value': "n@x"})],
        {"emails": [{**WORK, "value": "n@x"}, HOME]},
        InvalidSyntax,
    ),
    (
        "Entra: nested URN object",
        [op("replace", None, {ENT: {"Department": "S", "costCenter": None}})],
        ent(department="S"),
        SAME,
    ),
    (
        "Entra: unqualified key",
        [op("replace", None, {"department": "S"})],
        ent(department="S"),
        InvalidSyntax,
    ),
    # --- Okta, JumpCloud, OneLogin
    ("Okta: path-less active", [op("replace", None, {"active": False})], {"active": False}, SAME),
    ("Okta: path-less password", [op("replace", None, {"password": "s3cret"})], {"password": "s3cret"}, SAME),
    ("Okta: number for a string", [op("replace", "title", 7)], {"title": "7"}, InvalidValue),
    (
        "JumpCloud: name.givenName",
        [op("replace", "name.givenName", "Eve")],
        {"name": {"givenName": "Eve", "familyName": "Archer"}},
        SAME,
    ),
    ("OneLogin: one object", [op("add", "roles", {"value": "r"})], {"roles": [{"value": "r"}]}, InvalidValue),
    # --- readOnly and own id
    ("Okta: own id", [op("replace", None, {"id": "u1", "title": "T"})], {"title": "T"}, Mutability),
    ("any: another id", [op("replace", None, {"id": "u2", "title": "T"})], Mutability, Mutability),
    ("OneLogin: id null", [op("replace", None, {"id": None, "title": "T"})], {"title": "T"}, SAME),
    (
        "authentik: schemas, meta and groups",
        [op("replace", None, {"schemas": ["x"], "meta": {}, "groups": [], "title": "T"})],
        {"title": "T"},
        Mutability,
    ),
    ("any: groups by path", [op("add", "groups", [{"value": "g2"}])], Mutability, Mutability),
    ("any: id by path", [op("replace", "id", "u2")], Mutability, Mutability),
    ("any: meta by path", [op("remove", "meta.version")], Mutability, Mutability),
    ("any: readOnly sub-attribute", [op("add", f"{ENT}:manager.displayName", "M")], Mutability, Mutability),
    ("any: schemas by path", [op("replace", "schemas", [USER])], {}, SAME),
    ("any: schemas removed", [op("remove", "schemas")], Mutability, Mutability),
    ("any: userName removed", [op("remove", "userName")], Mutability, Mutability),
    ("any: userName null", [op("replace", "userName", None)], Mutability, Mutability),
    ("any: userName ''", [op("replace", "userName", "")], Mutability, Mutability),
    ("any: last e-mail removed", [op("remove", "emails")], Mutability, Mutability),
    ("any: last e-mail filtered out", [op("remove", "emails[value pr]")], Mutability, Mutability),
    (
        "any: removed and given again",
        [op("remove", "emails"), op("add", "emails", [{"value": "n@x"}])],
        {"emails": [{"value": "n@x"}]},
        SAME,
    ),
    # --- add
    ("RFC: the element is there", [op("add", "emails", [{"value": "h@x", "type": "home"}])], {}, SAME),
    (
        "RFC: there, in other case",
        [op("add", "roles", [{"value": "r"}]), op("add", "roles", [{"value": "R"}])],
        {"roles": [{"value": "R"}]},
        SAME,
    ),
    (
        "any: the same value and type, more said",
        [op("add", "emails", [{**HOME, "display": "H"}])],
        {"emails": [WORK, {**HOME, "display": "H"}]},
        SAME,
    ),
    (
        "any: the same value, another type",
        [op("add", "emails", [{"value": "h@x", "type": "other"}])],
        {"emails": [WORK, HOME, {"value": "h@x", "type": "other"}]},
        SAME,
    ),
    ("any: the same value, no type", [op("add", "emails", [{"value": "h@x"}])], {}, SAME),
    (
        "any: the same value, typed beside untyped",
        [op("add", "roles", [{"value": "r"}]), op("add", "roles", [{"value": "r", "type": "t"}])],
        {"roles": [{"value": "r"}, {"value": "r", "type": "t"}]},
        SAME,
    ),
    (
        "any: equal addresses",
        [op("add", "addresses", [{"formatted": "a"}]), op("add", "addresses", [{"formatted": "a"}])],
        {"addresses": [{"formatted": "a"}]},
        SAME,
    ),
    ("any: add of nothing", [op("add", "emails", [])], {}, SAME),
    ("any: add of null to several", [op("add", "emails", None)], {}, SAME),
    ("any: add of an empty object", [op("add", "name", {})], {}, SAME),
    (
        "any: add to complex merges",
        [op("add", "name", {"middleName": "M"})],
        {"name": {"givenName": "Ann", "familyName": "Archer", "middleName": "M"}},
        SAME,
    ),
    (
        "any: a part sent as null",
        [op("replace", "name", {"givenName": None})],
        {"name": {"familyName": "Archer"}},
        SAME,
    ),
    (
        "any: add of an object to selected elements",
        [op("add", 'emails[type eq "home"]', {"display": "H"})],
        {"emails": [WORK, {**HOME, "display": "H"}]},
        SAME,
    ),
    (
        "any: replace selected elements",
        [op("replace", 'emails[type eq "work"]', {"value": "n@x"})],
        {"emails": [{"value": "n@x"}, HOME]},
        SAME,
    ),
    (
        "any: replace selected elements by a bare value",
        [op("replace", 'emails[type eq "work"]', "n@x")],
        {"emails": [{**WORK, "value": "n@x"}, HOME]},
        InvalidValue,
    ),
    (
        "any: a selected element in an array",
        [op("replace", 'emails[type eq "work"]', [{"value": "n@x", "type": "work"}])],
        {"emails": [{"value": "n@x", "type": "work"}, HOME]},
        InvalidValue,
    ),
    (
        "any: several values for selected elements",
        [op("replace", 'emails[type eq "work"]', [{"value": "a"}, {"value": "b"}])],
        InvalidValue,
        InvalidValue,
    ),
    (
        "any: unmatched, created from an object",
        [op("add", 'emails[type eq "other"]', {"value": "o@x"})],
        {"emails": [WORK, HOME, {"type": "other", "value": "o@x"}]},
        NoTarget,
    ),
    (
        "any: selected element set to null",
        [op("replace", 'emails[type eq "home"]', None)],
        {"emails": [WORK]},
        SAME,
    ),
    (
        "any: sub-attribute of all elements",
        [op("replace", "emails.display", "E")],
        {"emails": [{**WORK, "display": "E"}, {**HOME, "display": "E"}]},
        SAME,
    ),
    (
        "any: sub-attribute of no element",
        [op("add", "phoneNumbers.value", "1")],
        {"phoneNumbers": [{"value": "1"}]},
        SAME,
    ),
    # --- primary
    (
        "RFC: a new primary resets the other",
        [op("add", "emails", [{"value": "n@x", "primary": True}])],
        {"emails": [{**WORK, "primary": False}, HOME, {"value": "n@x", "primary": True}]},
        SAME,
    ),
    (
        "RFC: primary moved by path",
        [op("replace", 'emails[type eq "home"].primary', True)],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
        SAME,
    ),
    (
        "Entra: primary moved by path, as a word",
        [op("replace", 'emails[type eq "home"].primary', "true")],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
        InvalidValue,
    ),
    (
        "any: primary moved by an object that says no more",
        [op("replace", 'emails[type eq "home"]', {"primary": True})],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
        SAME,
    ),
    ("any: all primary", [op("replace", "emails.primary", True)], InvalidValue, InvalidValue),
    # --- remove
    ("RFC: absent attribute", [op("remove", "title")], {}, SAME),
    ("RFC: absent sub-attribute", [op("remove", "name.middleName")], {}, SAME),
    ("RFC: absent extension attribute", [op("remove", f"{ENT}:division")], {}, SAME),
    ("RFC: selected elements", [op("remove", 'emails[type eq "home"]')], {"emails": [WORK]}, SAME),
    ("any: nothing selected", [op("remove", 'emails[type eq "other"]')], {}, NoTarget),
    ("any: nothing selected, absent attribute", [op("remove", "roles.value")], {}, SAME),
    ("any: extension", [op("remove", ENT)], {ENT: None}, SAME),
    (
        "any: extension with readOnly attributes",
        [op("remove", PLATFORM_USER)],
        {PLATFORM_USER: {"mfaEnabled": False}},
        SAME,
    ),
    ("any: extension by path", [op("replace", ENT, {"department": "S"})], ent(department="S"), SAME),
    ("any: extension by path, null", [op("replace", ENT, None)], {ENT: None}, SAME),
    ("any: extension by path, a string", [op("replace", ENT, "x")], InvalidValue, InvalidValue),
    ("any: value array", [op("remove", "emails", [{"value": "H@x"}])], {"emails": [WORK]}, InvalidValue),
    (
        "any: value array by type",
        [op("remove", "emails", [{"type": "home"}])],
        {"emails": [WORK]},
        InvalidValue,
    ),
    (
        "any: value array, other type",
        [op("remove", "emails", [{"value": "h@x", "type": "work"}])],
        {},
        InvalidValue,
    ),
    # --- the message
    ("any: remove without path", [op("remove")], NoTarget, NoTarget),
    ("any: path-less string", [op("replace", None, "x")], InvalidValue, InvalidValue),
    ("any: path-less array", [op("add", None, [])], InvalidValue, InvalidValue),
    ("any: no value", [op("add", "title")], InvalidValue, InvalidValue),
    ("any: unknown op", [op("move", "title", "x")], InvalidSyntax, InvalidSyntax),
    ("any: op missing", [{"path": "title"}], InvalidSyntax, InvalidSyntax),
    ("any: op a number", [{"op": 1, "path": "title"}], InvalidSyntax, InvalidSyntax),
    ("any: path a number", [op("add", 5, "x")], InvalidSyntax, InvalidSyntax),
    ("any: unknown path", [op("add", "shoeSize", "x")], InvalidPath, InvalidPath),
    ("any: path with half a surrogate pair", [op("add", "\ud800", "x")], InvalidPath, InvalidPath),
    ("any: malformed filter", [op("remove", "emails[type eq]")], InvalidFilter, InvalidFilter),
    ("any: unknown key", [op("replace", None, {"shoeSize": 1, "title": "T"})], {"title": "T"}, InvalidSyntax),
    ("any: keys twice", [op("replace", None, {"title": "a", "Title": "b"})], InvalidSyntax, InvalidSyntax),
    ("Entra: no operations", [], {}, InvalidSyntax),
    ("any: wrong type", [op("replace", "name", "Ann")], InvalidValue, InvalidValue),
    (
        "platform: status",
        [op("replace", f"{PLATFORM_USER}:status", "LOCKED")],
        {PLATFORM_USER: {"status": "LOCKED", "mfaEnabled": False}},
        SAME,
    ),
    ("platform: no such status", [op("replace", f"{PLATFORM_USER}:status", "x")], InvalidValue, InvalidValue),
    (
        "atomic: the last of three fails",
        [op("replace", "title", "T"), op("replace", "active", False), op("replace", "active", [])],
        {"title": "T", "active": None},
        SAME,
    ),
]


@pytest.mark.parametrize(
    ("ops", "lenient", "strict"), [c[1:] for c in USER_CASES], ids=[c[0] for c in USER_CASES]
)
def test_users(ops: list[dict[str, Any]], lenient: Any, strict: Any) -> None:
    assert run(PLAIN, USERS, message(*ops), LENIENT) == lenient
    assert run(PLAIN, USERS, message(*ops), STRICT) == (lenient if strict == SAME else strict)


U1, U2, U3 = TEAM["members"]
NEW = {"value": "u9"}

GROUP_CASES: list[tuple[str, list[dict[str, Any]], Any, Any]] = [
    (
        "Entra: Add members",
        [op("Add", "members", [{"$ref": None, "value": "u9"}])],
        {"members": [U1, U2, U3, NEW]},
        InvalidSyntax,
    ),
    (
        "Entra Postman: bare member",
        [op("add", "members", ["u9"])],
        {"members": [U1, U2, U3, NEW]},
        InvalidValue,
    ),
    (
        "Entra Postman: one bare member",
        [op("add", "members", "u9")],
        {"members": [U1, U2, U3, NEW]},
        InvalidValue,
    ),
    ("Entra: add an existing member", [op("add", "members", [{"value": "u1"}])], {}, SAME),
    (
        "Okta: add an existing member with display, type and $ref",
        [op("add", "members", [{"value": "u1", "display": "X", "type": "User", "$ref": "../Users/u1"}])],
        {},
        SAME,
    ),
    (
        "any: a member is one person, typed or not",
        [op("add", "members", [{"value": "u3", "type": "User"}])],
        {"members": [U1, U2, {**U3, "type": "User"}]},
        SAME,
    ),
    (
        "any: members differ by case",
        [op("add", "members", [{"value": "U9"}, NEW])],
        {"members": [U1, U2, U3, {"value": "U9"}, NEW]},
        SAME,
    ),
    (
        "Entra: Remove with a value array removes those only",
        [op("remove", "members", [{"$ref": None, "value": "u1"}, {"value": "u3"}])],
        {"members": [U2]},
        InvalidValue,
    ),
    (
        "JumpCloud: Remove with a value array",
        [op("remove", "members", [{"value": "u2"}])],
        {"members": [U1, U3]},
        InvalidValue,
    ),
    (
        "authentik: one op per member",
        [op("remove", "members", [{"value": u}]) for u in ("u1", "u2")],
        {"members": [U3]},
        InvalidValue,
    ),
    ("any: remove bare members", [op("remove", "members", ["u1", "u2"])], {"members": [U3]}, InvalidValue),
    (
        "any: remove one member, no array",
        [op("remove", "members", {"value": "u1"})],
        {"members": [U2, U3]},
        InvalidValue,
    ),
    ("Okta: remove absent members", [op("remove", "members", [{"value": "u8"}])], {}, InvalidValue),
    ("any: remove no members", [op("remove", "members", [])], {}, InvalidValue),
    (
        "any: remove members that name none",
        [op("remove", "members", [{"display": "One"}, {}, None])],
        {},
        InvalidValue,
    ),
    ("Entra Postman: remove all members", [op("remove", "members")], {"members": None}, SAME),
    ("any: remove all members, value null", [op("remove", "members", None)], {"members": None}, SAME),
    (
        "Entra flag, Okta: filtered removal",
        [op("remove", 'members[value eq "u2"]')],
        {"members": [U1, U3]},
        SAME,
    ),
    ("Okta: filtered removal of an absent member", [op("remove", 'members[value eq "u8"]')], {}, NoTarget),
    (
        "FusionAuth's bug: several removals in one PATCH",
        [op("remove", 'members[value eq "u1"]'), op("remove", 'members[value eq "u2"]')],
        {"members": [U3]},
        SAME,
    ),
    (
        "Okta: removal and addition",
        [op("remove", 'members[value eq "u1"]'), op("add", "members", [{"value": "u9", "display": "x"}])],
        {"members": [U2, U3, NEW]},
        SAME,
    ),
    ("Okta: push now", [op("replace", "members", [NEW])], {"members": [NEW]}, SAME),
    ("Okta: push now, nobody", [op("replace", "members", [])], {"members": None}, SAME),
    ("Okta: path-less members", [op("replace", None, {"members": [NEW]})], {"members": [NEW]}, SAME),
    (
        "Okta: rename with own id leaves members alone",
        [op("replace", None, {"id": "g1", "displayName": "New"})],
        {"displayName": "New"},
        Mutability,
    ),
    (
        "authentik: the whole group without members",
        [op("replace", None, {"schemas": [GROUP], "id": "g1", "displayName": "New", "externalId": "e2"})],
        {"displayName": "New", "externalId": "e2"},
        Mutability,
    ),
    ("Entra: rename", [op("Replace", "displayName", "New")], {"displayName": "New"}, InvalidSyntax),
    ("any: member renamed", [op("replace", 'members[value eq "u1"].value', "u9")], Mutability, Mutability),
    ("any: member's id removed", [op("remove", 'members[value eq "u1"].value')], Mutability, Mutability),
    ("any: name removed", [op("remove", "displayName")], Mutability, Mutability),
]


@pytest.mark.parametrize(
    ("ops", "lenient", "strict"), [c[1:] for c in GROUP_CASES], ids=[c[0] for c in GROUP_CASES]
)
def test_groups(ops: list[dict[str, Any]], lenient: Any, strict: Any) -> None:
    assert run(TEAM, GROUPS, message(*ops), LENIENT) == lenient
    assert run(TEAM, GROUPS, message(*ops), STRICT) == (lenient if strict == SAME else strict)


OK = op("replace", "active", False)
MESSAGES: list[tuple[str, object, Any, Any]] = [
    ("authentik: no schemas", {"Operations": [OK]}, None, InvalidSyntax),
    (
        "OneLogin: another URN",
        {"schemas": ["urn:scim:schemas:core:2.0"], "Operations": [OK]},
        None,
        InvalidSyntax,
    ),
    ("Entra Postman: key in lower case", {"schemas": [PATCH_OP], "operations": [OK]}, None, InvalidSyntax),
    ("any: keys twice", {"operations": [OK], "Operations": [OK]}, InvalidSyntax, InvalidSyntax),
    ("any: a stray member", {"schemas": [PATCH_OP], "Operations": [OK], "x": 1}, None, InvalidSyntax),
    ("any: no operations", {"schemas": [PATCH_OP]}, InvalidSyntax, InvalidSyntax),
    (
        "any: one operation without array",
        {"schemas": [PATCH_OP], "Operations": OK},
        InvalidSyntax,
        InvalidSyntax,
    ),
    (
        "any: an operation that is none",
        {"schemas": [PATCH_OP], "Operations": ["x"]},
        InvalidSyntax,
        InvalidSyntax,
    ),
    ("any: an array", [OK], InvalidSyntax, InvalidSyntax),
    ("any: null", None, InvalidSyntax, InvalidSyntax),
]


@pytest.mark.parametrize(
    ("body", "lenient", "strict"), [c[1:] for c in MESSAGES], ids=[c[0] for c in MESSAGES]
)
def test_messages(body: object, lenient: Any, strict: Any) -> None:
    assert run(PLAIN, USERS, body, LENIENT) == (lenient or {"active": False})
    assert run(PLAIN, USERS, body, STRICT) == (strict or {"active": False})


def test_operations_as_read() -> None:
    read = read_patch(message(op("Add", "Title", None), op("REMOVE", "title")), LENIENT)
    assert read == (
        Operation(op="add", path="Title", value=None),
        Operation(op="remove", path="title", value=msgspec.UNSET),
    )


def test_too_many_operations() -> None:
    body = message(*[OK] * 4)
    assert len(read_patch(body, STRICT, max_operations=4)) == 4
    with pytest.raises(PayloadTooLarge, match="at most 3"):
        read_patch(body, STRICT, max_operations=3)


def test_a_required_attribute_may_be_supplied_elsewhere() -> None:
    read = read_patch(message(op("remove", "emails")), LENIENT)
    after = apply_patch(PLAIN, read, USERS, LENIENT, supplied_elsewhere=frozenset({"emails"}))
    assert "emails" not in after


def test_what_the_platform_never_had_does_not_keep_a_leaver_active() -> None:
    bare = {"schemas": [USER], "id": "u1", "userName": "ann", "active": True}
    assert run(bare, USERS, message(op("Replace", "active", "False")), LENIENT) == {"active": False}


def test_schemas_follow_the_extensions() -> None:
    bare = {"schemas": [USER], "userName": "ann", "emails": [HOME]}
    grown = apply_patch(bare, read_patch(message(op("add", f"{ENT}:division", "D")), STRICT), USERS, STRICT)
    assert grown["schemas"] == [USER, ENT]
    shrunk = apply_patch(grown, read_patch(message(op("remove", f"{ENT}:division")), STRICT), USERS, STRICT)
    assert shrunk == bare


def test_a_password_is_never_repeated_in_an_error() -> None:
    read = read_patch(message(op("replace", "password", ["hunter2"])), LENIENT)
    with pytest.raises(InvalidValue) as caught:
        apply_patch(PLAIN, read, USERS, LENIENT)
    assert "hunter2" not in caught.value.detail


BADGE = "urn:example:1.0:Badge"
BADGES = ResourceModel(
    name="Group",
    endpoint="/Groups",
    core=GROUPS.core,
    extensions=[
        Schema(
            id=BADGE,
            name="Badge",
            attributes=(
                Attribute(name="number", mutability="immutable"),
                Attribute(name="tags", multi_valued=True),
            ),
        )
    ],
)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (op("add", f"{BADGE}:number", "1"), {}),
        (op("add", f"{BADGE}:number", "2"), Mutability),
        (op("remove", f"{BADGE}:number"), Mutability),
        (op("remove", BADGE), Mutability),
        (op("add", f"{BADGE}:tags", ["B", "c"]), {BADGE: {"number": "1", "tags": ["a", "b", "c"]}}),
        (op("remove", f"{BADGE}:tags", ["b"]), {BADGE: {"number": "1", "tags": ["a"]}}),
        (op("remove", f'{BADGE}:tags[value eq "a"]'), {BADGE: {"number": "1", "tags": ["b"]}}),
        (op("replace", f'{BADGE}:tags[value eq "a"]', "x"), {BADGE: {"number": "1", "tags": ["x", "b"]}}),
        (op("replace", f'{BADGE}:tags[value eq "z"]', "x"), NoTarget),
        (op("replace", f"{BADGE}:tags", []), {BADGE: {"number": "1"}}),
    ],
)
def test_immutable_and_plain_multi_valued_attributes(operation: dict[str, Any], expected: Any) -> None:
    badge = {"schemas": [GROUP, BADGE], "displayName": "g", BADGE: {"number": "1", "tags": ["a", "b"]}}
    assert run(badge, BADGES, message(operation), LENIENT) == expected


def test_a_group_of_ten_thousand_takes_a_batch() -> None:
    members = [{"value": f"u{n}"} for n in range(10_000)]
    more = [{"value": f"u{n}"} for n in range(5_000, 15_000)]
    big = {"schemas": [GROUP], "displayName": "g", "members": members}
    after = apply_patch(big, read_patch(message(op("add", "members", more)), STRICT), GROUPS, STRICT)
    assert len(after["members"]) == 15_000
    less = apply_patch(after, read_patch(message(op("remove", "members", more)), LENIENT), GROUPS, LENIENT)
    assert less["members"] == members[:5_000]


def test_a_put_keeps_what_is_immutable() -> None:
    before = {"displayName": "g", BADGE: {"number": "1", "tags": ["a"]}}
    after = {"displayName": "h", BADGE: {"tags": ["b"]}}
    assert completed(before, after, BADGES) == {
        "displayName": "h",
        BADGE: {"tags": ["b"], "number": "1"},
    }
    assert completed(before, {"displayName": "h"}, BADGES) == {
        "displayName": "h",
        BADGE: {"number": "1"},
    }
    assert completed(before, before, BADGES) == before
    assert completed({}, {BADGE: {"number": "2"}}, BADGES) == {BADGE: {"number": "2"}}
    with pytest.raises(Mutability, match="number is immutable"):
        completed(before, {BADGE: {"number": "2"}}, BADGES)
