"""Header fields and query strings for the fuzz runs: good, odd and broken ones."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes

from bridge_rig import CORE, ENT, PLATFORM
from fuzz_bodies import odd_texts
from hypothesis import strategies as st

Field = tuple[bytes, bytes]


def _odd_bytes(largest: int = 40) -> st.SearchStrategy[bytes]:
    """What may stand in a field's value: no line ends, no NUL, no blanks at its ends."""
    characters = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
    return st.text(characters, max_size=largest).map(lambda text: text.strip().encode("latin-1"))


@st.composite
def mostly(
    draw: st.DrawFn, usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], times: int = 8
) -> Any:
    """`usual` so many times as often as `odd`; `one_of` would count a strategy that comes twice once."""
    return draw(draw(st.sampled_from([usual] * times + [odd])))


# --- headers ------------------------------------------------------------------------------------------------

_AUTHORIZATIONS = mostly(
    st.just((b"Bearer {token}",)),
    st.one_of(
        st.sampled_from(
            [
                *((), (b"",), (b"Bearer",), (b"Bearer ",), (b"Basic e3Rva2VufTo=",), (b"{token}",)),
                *(
                    (b"bearer {token}",),
                    (b"Bearer  {token}",),
                    (b"Bearer {token} x",),
                    (b"Bearer {token}\xff",),
                ),
                *((b"Bearer " + b"x" * 20_000,), (b"Bearer scb_" + b"A" * 43,), (b"Bearer \xe9\xff",)),
                *((b"Bearer {token}", b"Bearer wrong"), (b"Bearer wrong", b"Bearer {token}")),
            ]
        ),
        _odd_bytes().map(lambda value: (b"Bearer " + value,)),
    ),
    times=12,
)
_CONTENT_TYPES = mostly(
    st.just((b"application/scim+json",)),
    st.sampled_from(
        [
            *((), (b"",), (b"application/json",), (b"application/json; charset=utf-8",), (b"text/plain",)),
            *((b"APPLICATION/SCIM+JSON;charset=UTF-16",), (b"application/json, text/html",), (b";",)),
            *((b"multipart/form-data; boundary=x",), (b"multipart/form-data",), (b"\xff\xfe",)),
            *((b"application/x-www-form-urlencoded",), (b"x" * 9000,), (b"text/html", b"application/json")),
            *((b"application/json;" + b"a=b;" * 500,), (b'application/json; charset="',)),
        ]
    )
    | _odd_bytes().map(lambda value: (value,)),
)
_OTHERS: dict[bytes, st.SearchStrategy[bytes]] = {
    b"accept": st.sampled_from(
        [
            *(
                b"application/json",
                b"application/scim+json",
                b"text/html",
                b"*/*;q=0",
                b"",
                b"\xff",
                b"x" * 9000,
            ),
            *(b"application/json;q=0.1, application/scim+json", b"application/scim+json, text/html", b",,;q"),
        ]
    ),
    b"if-match": st.sampled_from(
        [b"*", b"{etag}", b'W/"1"', b'"', b'W/"', b"", b'"a", "b"', b"x" * 9000, b'W/"\xff"', b",,,"]
    ),
    b"if-none-match": st.sampled_from([b"*", b"{etag}", b'W/"1"', b'"', b"\xff", b"", b'{etag}, "x"']),
    b"scim-bridge-explain": st.sampled_from([b"plan", b"run", b" RUN ", b"", b"all", b"\xff", b"plan,run"]),
    b"host": st.sampled_from(
        [b"", b"evil.example", b"a b", b"[::1]:80", b"x" * 9000, b"\xff", b"h:99999", b"a/b"]
    ),
    b"x-forwarded-host": st.sampled_from(
        [b"evil.example", b"a\tb", b"", b",", b"\xff", b"h/../x", b"x" * 400]
    ),
    b"x-forwarded-proto": st.sampled_from([b"https", b"http,https", b"javascript", b"", b"\xff"]),
    b"x-forwarded-for": st.sampled_from(
        [
            b"1.2.3.4",
            b"::1",
            b"127.0.0.1, 1.2.3.4",
            b"",
            b",,,",
            b"\xff",
            b"1.2.3.4:80",
            b"[::1]",
            b"1," * 3000,
        ]
    ),
    b"cookie": st.sampled_from([b"a=b", b"=", b";;;", b"\xff", b"a=" + b"x" * 5000]),
    b"accept-encoding": st.sampled_from([b"gzip", b"*;q=0", b"\xff"]),
    b"content-encoding": st.sampled_from([b"gzip", b"\xff"]),
    b"x-http-method-override": st.just(b"DELETE"),
    b"range": st.just(b"bytes=0-1"),
    b"origin": st.sampled_from([b"null", b"https://evil.example"]),
    b"access-control-request-method": st.just(b"PUT"),
}
_OTHER = st.one_of(
    *(st.tuples(st.just(name), mostly(values, _odd_bytes(), times=2)) for name, values in _OTHERS.items())
)


@st.composite
def headers(draw: st.DrawFn) -> tuple[Field, ...]:
    fields = [(b"authorization", value) for value in draw(_AUTHORIZATIONS)]
    fields += [(b"content-type", value) for value in draw(_CONTENT_TYPES)]
    fields += draw(st.lists(_OTHER, max_size=2))
    return ((b"host", b"bridge.test"), *fields)


# --- query strings ------------------------------------------------------------------------------------------

_SCRAPS = st.sampled_from(
    [
        *(
            "userName",
            "eq",
            '"u1@example.com"',
            "and",
            "or",
            "not",
            "(",
            ")",
            "[",
            "]",
            "emails",
            "type",
            "value",
        ),
        *(
            "pr",
            "co",
            "sw",
            "ew",
            "gt",
            "le",
            "ne",
            "true",
            "null",
            "1",
            "-1.5e3",
            "1e400",
            "externalId",
            "active",
        ),
        *(
            "id",
            "title",
            ".",
            "\\",
            '"',
            '"\\ud800"',
            '"\\u0000"',
            '"{user}"',
            f"{PLATFORM}:status",
            '"LOCKED"',
        ),
        *(
            "groups.value",
            "meta.created",
            '"2026-01-01T00:00:00Z"',
            "members",
            "members.value",
            "displayName",
        ),
        *(
            "meta.resourceType",
            '"User"',
            '"Group"',
            "password",
            "name.familyName",
            "manager",
            f"{ENT}:manager.value",
        ),
    ]
)
_FILTERS = st.one_of(
    st.sampled_from(
        [
            *('userName eq "u1@example.com"', 'externalId eq "ext-1"', 'id eq "{user}"', "active eq true"),
            *('emails[type eq "work" and value co "u"]', 'emails[type eq "work"].value eq "w@example.com"'),
            *(
                'displayName sw "T"',
                'members.value eq "{user}"',
                'members[value eq "{user}"] or externalId pr',
            ),
            *(
                'not (title pr) and name.givenName ne "x"',
                f'{ENT}:department eq "R&D"',
                f"{CORE}:userName pr",
            ),
            *('meta.lastModified gt "2020-01-01T00:00:00Z"', 'title eq "' + "x" * 3000 + '"'),
            *('meta.resourceType eq "Group" and displayName co "e"', f'{PLATFORM}:status eq "ACTIVE"'),
            *("(" * 60 + "title pr" + ")" * 60, " or ".join(["title pr"] * 200), "not (" * 300 + "title pr"),
            *(
                'userName gt "a" and userName lt "v"',
                "active gt true",
                "title eq 1",
                'meta eq "x"',
                "x509Certificates pr",
            ),
        ]
    ),
    st.lists(_SCRAPS, max_size=9).map(" ".join),
    odd_texts,
)
_NAMES = st.sampled_from(
    [
        *(
            "userName",
            "name",
            "name.givenName",
            "emails",
            "emails.value",
            "id",
            "meta",
            "schemas",
            "groups",
            "members",
        ),
        *(
            "displayName",
            "password",
            "addresses",
            "unheard.of",
            "",
            ".",
            f"{ENT}:manager",
            ENT,
            PLATFORM,
            CORE,
        ),
        *(
            "meta.created",
            "meta.lastModified",
            "active",
            "x509Certificates.value",
            "urn:x:y",
            'emails[type eq "a"]',
        ),
    ]
)
_COUNTS = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "-1",
        "10",
        "2147483647",
        "99999999999999999999",
        "9" * 5000,
        "1.5",
        "",
        " 1 ",
        "٣",
        "x",
        "+2",
        "-0",
    ]
)


def _escaped(text: str) -> bytes:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="{}").encode()


_PARAMETERS = st.one_of(
    st.tuples(st.sampled_from(["filter", "FILTER"]), _FILTERS),
    st.tuples(st.just("filter"), _FILTERS),
    st.tuples(st.sampled_from(["sortBy", "attributes", "excludedAttributes"]), _NAMES | odd_texts),
    st.tuples(st.sampled_from(["sortOrder"]), st.sampled_from(["ascending", "DESCENDING", "", "down", "\0"])),
    st.tuples(st.sampled_from(["startIndex", "count"]), _COUNTS),
    st.tuples(st.just("cursor"), st.sampled_from(["", "A", "AAAA", "=", "x" * 4000, "\0", "😀"])),
    st.tuples(odd_texts, odd_texts),
).map(lambda pair: _escaped(pair[0]) + b"=" + _escaped(pair[1]))
_NONE = st.just(b"")
_BROKEN = st.sampled_from(
    [
        *(
            b"%",
            b"%zz",
            b"filter=%ff%fe",
            b"filter=%",
            b"&&&=&",
            b"filter",
            b"count=%00",
            b"filter=%C0%80",
            b"\xff=\xfe",
        ),
        *(
            b"a=b&" * 200,
            b"filter=" + b"x" * 15_000,
            b"count=1;count=2",
            b"filter=%ED%A0%80",
            b"?" * 50,
            b"count=1&count=1",
        ),
    ]
)


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    parts = draw(st.sampled_from([_NONE, _PARAMETERS, _PARAMETERS, _PARAMETERS | _BROKEN]))
    return b"&".join(draw(st.lists(parts, max_size=4))) if parts is not _NONE else b""
