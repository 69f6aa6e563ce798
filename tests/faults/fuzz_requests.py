"""Requests for the fuzz runs: every route and method, with odd fields, query strings and bodies."""

from __future__ import annotations

from dataclasses import dataclass

from bridge_rig import CORE, ENT
from fuzz_bodies import EVENTS, GROUP_PATCHES, GROUPS, SEARCHES, USER_PATCHES, USERS, bodies
from fuzz_fields import Field, headers, mostly, queries
from hypothesis import strategies as st

CONNECTIONS = ("plain", "local", "strict")
"""Names of the connections that requests are sent over; see `Target` in test_fuzz."""


@dataclass(frozen=True)
class Request:
    """One request, to the byte.

    `{user}`, `{user1}`, `{group}`, `{tenant}`, `{token}` and `{etag}` stand for what is known only when
    it is sent.
    """

    connection: str
    method: str
    path: bytes
    query: bytes
    headers: tuple[Field, ...]
    body: bytes
    client: str
    signature: str | None = None
    """How a webhook is signed: `good`, or the header's value."""


# --- requests -----------------------------------------------------------------------------------------------

_ODD_IDS = st.sampled_from(
    [
        *(
            b"..",
            b"%2e%2e",
            b"%2F",
            b"..%2F..",
            b"%00",
            b"%ff",
            b"{user}%20",
            b"{user}/status",
            b"{user}%2fstatus",
            b"me",
        ),
        *(
            b"{user};x",
            b"%F0%9F%98%80",
            b"a" * 128,
            b"a" * 129,
            b"a" * 5000,
            b"%",
            b".search",
            b"{group}",
            b"usr_0",
        ),
    ]
)
_USER_IDS = mostly(st.sampled_from([b"{user}", b"{user1}", b"{user2}"]), _ODD_IDS, times=6)
_GROUP_IDS = mostly(st.sampled_from([b"{group}", b"{group1}"]), _ODD_IDS | st.just(b"{user}"), times=6)
_METHODS = st.sampled_from(
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "X"]
)


@st.composite
def _request(
    draw: st.DrawFn,
    method: str,
    path: st.SearchStrategy[bytes],
    body: st.SearchStrategy[bytes] | None = None,
    query: st.SearchStrategy[bytes] | None = None,
    signature: st.SearchStrategy[str] | None = None,
) -> Request:
    given = draw(st.sampled_from([method] * 19 + [""])) or draw(_METHODS)
    return Request(
        connection=draw(st.sampled_from(CONNECTIONS)),
        method=given,
        path=draw(path),
        query=draw(queries() if query is None else query),
        headers=draw(headers()),
        body=b"" if body is None else draw(body),
        client=draw(st.sampled_from(["127.0.0.1", "127.0.0.1", "203.0.113.9", "::1", "unix"])),
        signature=None if signature is None else draw(signature),
    )


def _at(start: bytes, ids: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return ids.map(lambda name: start + name)


_USERS, _GROUPS = st.just(b"/scim/v2/Users"), st.just(b"/scim/v2/Groups")
_USER, _GROUP = _at(b"/scim/v2/Users/", _USER_IDS), _at(b"/scim/v2/Groups/", _GROUP_IDS)
_SEARCH = st.sampled_from([b"/scim/v2/Users/.search", b"/scim/v2/Groups/.search", b"/scim/v2/.search"])
_LISTS = st.sampled_from([b"/scim/v2/Users", b"/scim/v2/Groups", b"/scim/v2", b"/scim/v2/"])
_NONE = st.just(b"")
_QUERIES = queries()
_FEW_QUERIES = mostly(_NONE, _QUERIES, times=4)
_NOWHERE = st.sampled_from(
    [
        *(
            b"/",
            b"//",
            b"/scim",
            b"/scim/v2/Me",
            b"/scim/v2/Bulk",
            b"/scim/v2/users",
            b"/scim/v2/Users/",
            b"/scim/v1/Users",
        ),
        *(
            b"/scim/v2/Users/{user}/",
            b"/scim/v2//Users",
            b"/scim/v2/../v2/Users",
            b"/scim/v2/Users/{user}/emails",
            b"*",
        ),
        *(
            b"/webhooks",
            b"/webhooks/",
            b"/webhooks/x",
            b"/health",
            b"/health/x",
            b"/api/v1/x",
            b"/metrics",
            b"/%ff",
            b"/\xff",
        ),
        *(
            b"/schema",
            b"/openapi.json",
            b"/docs",
            b"/scim/v2/Schemas/",
            b"/" + b"x" * 5000,
            b"/scim/v2%2FUsers",
            b"/%00",
        ),
        *(
            b"/scim/v2/Users/.search/",
            b"/scim/v2/.search/x",
            b"/health/live/",
            b"/webhooks/platform/",
            b"/Users",
        ),
    ]
)
_KNOWN = st.sampled_from(
    [
        *(
            b"/ServiceProviderConfig",
            b"/ServiceProviderConfigs",
            b"/ResourceTypes",
            b"/ResourceTypes/User",
            b"/Schemas",
        ),
        *(
            b"/ResourceTypes/Nothing",
            b"/ResourceTypes/%ff",
            b"/Schemas/" + CORE.encode(),
            b"/Schemas/" + ENT.encode(),
        ),
        *(
            b"/Schemas/urn:x",
            b"/Schemas/%00",
            b"/Schemas/..",
            b"/Schemas/" + b"x" * 5000,
            b"/ServiceProviderConfig/x",
        ),
    ]
).map(lambda path: b"/scim/v2" + path)

AREAS: dict[str, st.SearchStrategy[Request]] = {
    "users": st.one_of(
        _request("POST", _USERS, bodies(USERS), _FEW_QUERIES),
        _request("PUT", _USER, bodies(USERS), _FEW_QUERIES),
        *(_request("PATCH", _USER, bodies(USER_PATCHES), _FEW_QUERIES) for _ in range(2)),
        _request("GET", _USER),
        _request("DELETE", _USER, _NONE, _FEW_QUERIES),
    ),
    "groups": st.one_of(
        _request("POST", _GROUPS, bodies(GROUPS), _FEW_QUERIES),
        _request("PUT", _GROUP, bodies(GROUPS), _FEW_QUERIES),
        *(_request("PATCH", _GROUP, bodies(GROUP_PATCHES), _FEW_QUERIES) for _ in range(2)),
        _request("GET", _GROUP),
        _request("DELETE", _GROUP, _NONE, _FEW_QUERIES),
    ),
    "searches": st.one_of(
        *(_request("GET", _LISTS) for _ in range(2)),
        _request("POST", _SEARCH, bodies(SEARCHES), _FEW_QUERIES),
    ),
    "elsewhere": st.one_of(
        _request("GET", _KNOWN, bodies(SEARCHES)),
        _request("GET", st.sampled_from([b"/health/live", b"/health/ready"]), bodies(SEARCHES)),
        _request("GET", _NOWHERE),
        *(_request(method, _NOWHERE, bodies(USERS)) for method in ("POST", "PUT", "PATCH", "DELETE")),
    ),
    "webhooks": _request(
        "POST",
        st.just(b"/webhooks/platform"),
        bodies(EVENTS),
        _FEW_QUERIES,
        mostly(
            st.just("good"),
            st.sampled_from(
                [
                    "",
                    "t=1,v1=00",
                    "t=,v1=",
                    "t=" + "9" * 40 + ",v1=a",
                    "t=1,t=1,v1=a",
                    "v1=é",
                    "t=\u0661,v1=a",
                ]
            ),
        ),
    ),
}
"""Requests by the part of the surface that they go to, each with any method now and then."""


@st.composite
def requests(draw: st.DrawFn, area: str) -> Request:
    """Requests of an area; a strategy whose own name is short, because Hypothesis writes it out."""
    return draw(AREAS[area])
