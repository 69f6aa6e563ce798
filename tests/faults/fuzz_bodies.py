"""Bodies for the fuzz runs: valid SCIM with a few changes, JSON at its edges, bytes that are no JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bridge_rig import CORE, ENT, PATCH_OP, PLATFORM
from hypothesis import strategies as st

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

PASSWORD = "Never-2-be-Shown!"
"""The only password that bodies hold where one belongs; no answer may have it."""


@dataclass(frozen=True)
class Raw:
    """Text that stands in a body as it is: what no JSON writer writes."""

    text: str


@dataclass
class Node:
    """An object of JSON as a list, so that keys can come twice."""

    pairs: list[tuple[str, Any]]


def tree(value: Any) -> Any:
    """A JSON value with its objects as nodes; nothing of the argument is shared."""
    match value:
        case dict():
            return Node([(k, tree(v)) for k, v in value.items()])
        case list():
            return [tree(v) for v in value]
        case _:
            return value


def text_of(value: Any) -> str:
    """The JSON text."""
    match value:
        case Raw():
            return value.text
        case Node():
            return "{" + ", ".join(f"{json.dumps(k)}: {text_of(v)}" for k, v in value.pairs) + "}"
        case list():
            return "[" + ", ".join(map(text_of, value)) + "]"
        case _:
            return json.dumps(value)


# --- valid bodies -------------------------------------------------------------------------------------------


def _user(n: int) -> dict[str, Any]:
    return {
        "schemas": [CORE, ENT],
        "userName": f"u{n}@example.com",
        "externalId": f"ext-{n}",
        "name": {"givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada of Lovelace"},
        "displayName": f"Ada {n}",
        "emails": [
            {"value": f"u{n}@example.com", "type": "work", "primary": True},
            {"value": f"home{n}@example.com", "type": "home"},
        ],
        "phoneNumbers": [{"value": "+1 201 555 0100", "type": "mobile"}],
        "addresses": [{"type": "work", "streetAddress": "1 Way", "country": "US", "primary": True}],
        "roles": [{"value": "admin", "type": "app"}],
        "x509Certificates": [{"value": "TUlJQw=="}],
        "active": n % 3 != 0,
        "password": PASSWORD,
        "locale": "en-US",
        "timezone": "Europe/Berlin",
        "title": "Countess",
        "profileUrl": "https://example.com/ada",
        ENT: {"department": "R&D", "manager": {"value": "{user}"}, "employeeNumber": "7"},
    }


_FEW = (
    {"userName": "few@example.com"},
    {"schemas": [CORE], "userName": "few", "emails": [{"value": "f@x.org"}]},
)
_STATUS = {"schemas": [CORE, PLATFORM], "userName": "s@x.org", PLATFORM: {"status": "LOCKED"}}
USERS: tuple[Any, ...] = (*map(_user, range(6)), *_FEW, _STATUS)

GROUPS: tuple[Any, ...] = (
    {"schemas": [GROUP], "displayName": "Team 1", "externalId": "g-1", "members": [{"value": "{user}"}]},
    {"schemas": [GROUP], "displayName": "Team 2", "members": [{"value": "{user}"}, {"value": "{user1}"}]},
    {"displayName": "Team 3", "members": []},
    {"displayName": "Team 4", "members": [{"value": "{group}", "type": "Group"}]},
    {"displayName": "Team 5"},
)


def _patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


USER_PATCHES: tuple[Any, ...] = (
    _patch({"op": "replace", "value": {"active": False}}),
    _patch({"op": "Replace", "path": "active", "value": "True"}),
    _patch({"op": "replace", "path": "userName", "value": "renamed@example.com"}),
    _patch({"op": "add", "path": 'emails[type eq "work"].value', "value": "w@example.com"}),
    _patch({"op": "add", "path": "emails", "value": [{"value": "n@example.com", "primary": True}]}),
    _patch({"op": "remove", "path": 'emails[value co "home"]'}),
    _patch({"op": "remove", "path": "title"}, {"op": "add", "path": "nickName", "value": "A"}),
    _patch({"op": "replace", "path": f"{ENT}:manager", "value": {"value": "{user1}"}}),
    _patch({"op": "replace", "value": {"name.givenName": "B", f"{ENT}:department": "X", "title": None}}),
    _patch({"op": "replace", "path": f"{PLATFORM}:status", "value": "DISABLED"}),
    _patch({"op": "replace", "path": "externalId", "value": "ext-9"}),
    _patch({"op": "replace", "path": "password", "value": PASSWORD}),
    _patch({"op": "add", "value": {"roles": [{"value": '{"id": "1", "value": "r"}', "primary": "true"}]}}),
)

GROUP_PATCHES: tuple[Any, ...] = (
    _patch({"op": "add", "path": "members", "value": [{"value": "{user}"}, {"value": "{user1}"}]}),
    _patch({"op": "remove", "path": 'members[value eq "{user}"]'}),
    _patch({"op": "remove", "path": "members", "value": [{"value": "{user1}"}]}),
    _patch({"op": "remove", "path": "members"}),
    _patch({"op": "replace", "path": "members", "value": [{"value": "{user2}"}]}),
    _patch({"op": "replace", "value": {"displayName": "Renamed", "externalId": "g-9"}}),
    _patch({"op": "replace", "path": "displayName", "value": "Other"}),
    _patch({"op": "add", "path": "members", "value": [{"value": "{group}", "type": "Group"}]}),
    _patch({"op": "remove", "path": 'members[display co "Ada" or value sw "usr_"]'}),
)

SEARCHES: tuple[Any, ...] = (
    {"schemas": [SEARCH], "filter": 'userName eq "u1@example.com"', "startIndex": 1, "count": 10},
    {"schemas": [SEARCH], "filter": 'emails[type eq "work"].value co "u"', "sortBy": "name.familyName"},
    {"schemas": [SEARCH], "attributes": ["userName", "emails.value"], "sortOrder": "descending"},
    {"schemas": [SEARCH], "excludedAttributes": ["members", "groups"], "cursor": "", "count": 2},
    {"schemas": [SEARCH], "filter": 'members.value eq "{user}" or displayName pr', "count": 0},
    {"schemas": [SEARCH], "filter": 'meta.lastModified gt "2020-01-01T00:00:00Z" and active eq true'},
)

EVENTS: tuple[Any, ...] = tuple(
    {
        "event_id": "evt_1",
        "event_type": kind,
        "timestamp": "2026-03-01T12:00:00Z",
        "resource": {"type": kind.partition(".")[0], "id": name},
        "actor": {"id": "usr_admin", "type": "admin"},
        "tenant_id": "{tenant}",
        "partner_id": None,
        "data": {"user_id": "{user}"},
    }
    for kind, name in (("user.updated", "{user}"), ("group.member_added", "{group}"), ("tenant.x", "x"))
)

# --- what is put into them ----------------------------------------------------------------------------------

NUMBERS = ("1e400", "-1e400", "-0.0", "-0", "NaN", "Infinity", "1E-400", "0.1", "9" * 5000, "-" + "9" * 400)
_DEEP = (
    "[" * 49 + "]" * 49,
    "[" * 60 + "]" * 60,
    '{"a":' * 60 + "1" + "}" * 60,
    "[" * 5000 + "]" * 5000,
    "[" * 200,
)
_EDGES = (
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "1e2",
    "2147483648",
    "01",
    "+1",
)

odd_texts = st.sampled_from(
    [
        *("", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u2028", "\ufeff", "e\u0301", "\u00e9", "İ", "ß"),
        *("x" * 257, "x" * 5000, "é" * 400, "😀" * 200, "../..", "%00", "{user}", "{group}", "true", "False"),
        *("null", "work", "a@b", "@", "A@B.C", "u1@example.com", "U1@EXAMPLE.COM ", "Team 1", "LOCKED", "de"),
        *(
            "' OR 1=1 --",
            '"',
            "\\",
            "[",
            "members[",
            'emails[type eq "x"',
            "a.b.c",
            "urn:x:y",
            "\r\n",
            "\x7f",
        ),
        *(
            "2026-02-30T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "9999-12-31T23:59:60Z",
            "0001-01-01",
            "Europe/Berlin",
        ),
        *("members", "emails", "userName", "id", "meta", "schemas", "groups", "password", "scim", "$ref"),
        *(f"{ENT}:manager", f"{PLATFORM}:status", ENT, CORE, GROUP, PATCH_OP, '{"value": 1}', "data:,x"),
    ]
)
odd_scalars = (
    st.sampled_from([None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 1.5])
    | st.sampled_from([*NUMBERS, *_EDGES]).map(Raw)
    | odd_texts
    | st.text(max_size=12)
)
odd_keys = odd_texts | st.sampled_from(
    [
        *(
            "value",
            "type",
            "primary",
            "display",
            "$ref",
            "op",
            "path",
            "Operations",
            "operations",
            "OP",
            "VALUE",
        ),
        *(
            "userName",
            "USERNAME",
            "active",
            "emails",
            "name",
            "members",
            "Members",
            "displayName",
            "externalId",
        ),
        *("name.givenName", "emails.value", 'emails[type eq "work"].value', "filter", "count", "attributes"),
        *("addresses", "photos", "entitlements", "title", "status", "statusReason", "manager", "event_id"),
    ]
)
odd_values = st.recursive(
    odd_scalars | st.sampled_from(_DEEP).map(Raw),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(odd_keys, inner), max_size=3).map(Node),
    max_leaves=5,
)

# --- changes ------------------------------------------------------------------------------------------------

_Place = tuple[Any, Any]
"""What holds a value, and where in it."""


def _places(root: list[Any]) -> list[_Place]:
    """Where the values of a body stand; the first is the body itself."""
    found: list[_Place] = []
    waiting: list[Any] = [root]
    while waiting:
        holder = waiting.pop(0)
        values = [v for _, v in holder.pairs] if isinstance(holder, Node) else holder
        for position, value in enumerate(values):
            found.append((holder, position))
            if isinstance(value, Node | list):
                waiting.append(value)
    return found


def _get(place: _Place) -> Any:
    holder, position = place
    return holder.pairs[position][1] if isinstance(holder, Node) else holder[position]


def _set(place: _Place, value: Any) -> None:
    holder, position = place
    if isinstance(holder, Node):
        holder.pairs[position] = (holder.pairs[position][0], value)
    else:
        holder[position] = value


changes = st.tuples(
    st.integers(min_value=0, max_value=60),
    st.sampled_from(
        [
            "replace",
            "replace",
            "replace",
            "delete",
            "rename",
            "again",
            "fold",
            "wrap",
            "unwrap",
            "into",
            "many",
            "add",
        ]
    ),
    odd_keys,
    odd_values,
)


def _change(root: list[Any], number: int, how: str, key: str, value: Any) -> None:
    places = _places(root)
    if not places:
        return
    place = places[number % len(places)]
    holder, position = place
    now = _get(place)
    match how, holder, now:
        case "delete", Node(), _:
            del holder.pairs[position]
        case "delete", list(), _:
            del holder[position]
        case "rename", Node(), _:
            holder.pairs[position] = (key, now)
        case "again", Node(), _:
            holder.pairs.append((holder.pairs[position][0], value))
        case "fold", Node(), _:
            holder.pairs.append((holder.pairs[position][0].swapcase(), value))
        case "wrap", _, _:
            _set(place, [now])
        case "unwrap", _, [first, *_]:
            _set(place, first)
        case "into", _, _:
            _set(place, Node([(key, now)]))
        case "many", list(), _:
            holder.extend([now] * (number * 40))
        case "add", _, Node():
            now.pairs.append((key, value))
        case _:
            _set(place, value)


@st.composite
def changed(draw: st.DrawFn, valid: tuple[Any, ...]) -> bytes:
    """One of the valid bodies with up to four changes; without any, one time in five."""
    root = [tree(draw(st.sampled_from(valid)))]
    for change in draw(st.lists(changes, max_size=4)):
        _change(root, *change)
    return "".join(map(text_of, root)).encode()


@st.composite
def damaged(draw: st.DrawFn, valid: tuple[Any, ...]) -> bytes:
    """A valid body with damage to its bytes."""
    text = text_of(tree(draw(st.sampled_from(valid)))).encode()
    at = draw(st.integers(min_value=0, max_value=len(text)))
    match draw(
        st.sampled_from(["cut", "insert", "overwrite", "bom", "utf-16", "utf-32", "twice", "latin-1"])
    ):
        case "cut":
            return text[:at]
        case "insert":
            return text[:at] + draw(st.binary(min_size=1, max_size=4)) + text[at:]
        case "overwrite":
            put = draw(st.binary(min_size=1, max_size=4))
            return text[:at] + put + text[at + len(put) :]
        case "bom":
            return b"\xef\xbb\xbf" + text
        case "twice":
            return text + text
        case "latin-1":
            return text.replace(b"Ada", b"\xc4da")
        case encoding:
            return text.decode().encode(encoding)


@st.composite
def bodies(draw: st.DrawFn, valid: tuple[Any, ...]) -> bytes:
    """Mostly valid bodies with changes; some damaged, some of any JSON, some of bytes."""
    match draw(st.sampled_from(["changed"] * 7 + ["damaged", "json", "bytes"])):
        case "changed":
            return draw(changed(valid))
        case "damaged":
            return draw(damaged(valid))
        case "json":
            return text_of(draw(odd_values)).encode()
        case _:
            return draw(st.binary(max_size=80))
