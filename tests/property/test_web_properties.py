"""Whatever is sent, the answer is no 5xx, and every error is a SCIM error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.asgi import open_bridge
from app.config import Settings
from app.embedded import Directory, create_platform
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER
from app.store.store import Store

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
unhurried = settings(deadline=None, max_examples=60)

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Send one request to a bridge with one user, whose id stands for `{id}` in a path."""
    place = tmp_path_factory.mktemp("web")
    with asyncio.Runner() as runner:
        requests: asyncio.Queue[Any] = runner.run(_queue())
        serving = runner.get_loop().create_task(_serve(place, requests))

        def send(method: str, path: str, content: bytes = b"", headers: Any = ()) -> httpx.Response:
            async def one() -> httpx.Response:
                answer: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
                await requests.put((method, path, content, headers, answer))
                await asyncio.wait({answer, serving}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
                return await answer

            return runner.run(one())

        yield send
        runner.run(_finish(requests, serving))


async def _queue() -> asyncio.Queue[Any]:
    return asyncio.Queue()


async def _finish(
    requests: asyncio.Queue[Any], serving: Coroutine[Any, Any, None] | asyncio.Task[None]
) -> None:
    await requests.put(None)
    await serving


async def _serve(place: Path, requests: asyncio.Queue[Any]) -> None:
    async with Directory(place / "platform.db") as directory:
        tenant_id = await directory.ensure_tenant("main", "Main")
        app = await directory.create_app(None, ("admin:read", "admin:write"), "bridge")
    chosen = Settings(
        data_dir=str(place),
        platform_client_id=app.client_id,
        platform_client_secret=app.client_secret,
        requests_per_second=0,
        auth_failures_per_minute=0,
    )
    store = await Store.open(chosen.bridge_database_url)
    connection = await store.connections.add(name="main", tenant_id=tenant_id)
    _, token = await store.tokens.create(connection.id, "", None)
    await store.close()
    async with (
        open_bridge(chosen, embedded=create_platform(place / "platform.db")) as bridge,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(bridge, raise_app_exceptions=False),
            base_url="http://bridge.test",
            headers={"authorization": f"Bearer {token}"},
        ) as client,
    ):
        made = await client.post("/scim/v2/Users", json={"userName": "a@x.org", "title": "T"})
        user_id = made.json()["id"]
        while (request := await requests.get()) is not None:
            method, path, content, headers, answer = request
            url = "/scim/v2" + path.replace("{id}", user_id)
            try:
                answer.set_result(await client.request(method, url, content=content, headers=headers))
            except Exception as exc:  # noqa: BLE001 - handed to the test
                answer.set_exception(exc)


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        body = answer.json()
        assert body["schemas"] == [ERROR]
        assert body["status"] == str(answer.status_code)
        assert body["detail"]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["", "work", "a@x.org", "True", "\0", "ACTIVE", '{"value": "x"}', "x" * 3000])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    *("userName", "USERNAME", "name", "name.givenName", "emails", "phoneNumbers", "active", "password", "id"),
    *(
        "meta",
        "groups",
        "schemas",
        "externalId",
        "locale",
        "timezone",
        "addresses",
        "roles",
        "x509Certificates",
    ),
    *("photos", "profileUrl", "displayName", "title", "unheard.of", ENTERPRISE_USER, PLATFORM_USER),
    *(
        f"{ENTERPRISE_USER}:manager",
        f"{PLATFORM_USER}:status",
        "manager",
        "emails.value",
        'emails[type eq "x"].value',
    ),
]
SUBS = [
    "value",
    "type",
    "primary",
    "display",
    "givenName",
    "formatted",
    "status",
    "manager",
    "department",
    "$ref",
]
values = (
    scalars
    | st.dictionaries(st.sampled_from(SUBS), scalars, max_size=4)
    | st.lists(scalars | st.dictionaries(st.sampled_from(SUBS), scalars, max_size=4), max_size=3)
)
users = st.dictionaries(st.sampled_from(NAMES), values | anything, max_size=7).map(
    lambda body: {"userName": "b@x.org", **body}
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "REMOVE", "move", None])},
    optional={
        "path": st.sampled_from([*NAMES, "emails[", "a.b.c", "", None]) | st.text(max_size=8),
        "value": values | anything,
    },
)
patches = st.fixed_dictionaries({"Operations": st.lists(operations, max_size=4) | anything})


def encoded(body: Any) -> bytes:
    try:
        return json.dumps(body).encode()
    except UnicodeEncodeError:
        return msgspec.json.encode(None)


@unhurried
@given(body=users, method=st.sampled_from(["POST", "PUT"]))
def test_any_user(ask: Ask, body: Any, method: str) -> None:
    path = "/Users" if method == "POST" else "/Users/{id}"
    answer = ask(method, path, encoded(body), {"content-type": "application/json"})
    check(answer)
    if answer.status_code == 201:
        ask("DELETE", f"/Users/{answer.json()['id']}")


@unhurried
@given(body=patches)
def test_any_patch(ask: Ask, body: Any) -> None:
    check(ask("PATCH", "/Users/{id}", encoded(body), {"content-type": "application/scim+json"}))
    check(ask("GET", "/Users/{id}"))


references = st.sampled_from(["bulkId:a", "bulkId:b", "bulkId:", "bulkId:a/b", "../Users/bulkId:b", "\0"])
of_bulk = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET", None]) | scalars,
        "path": st.sampled_from(
            ["/Users", "/Groups", "/Users/bulkId:a", "/Groups/bulkId:b", "/Users/x", "/Me"]
        )
        | scalars,
        "bulkId": st.sampled_from(["a", "b", "a/b", ""]) | scalars,
        "version": scalars,
        "data": users
        | patches
        | anything
        | st.fixed_dictionaries(
            {"userName": st.just("c@x.org"), "displayName": st.just("team")},
            optional={"manager": references, "members": st.lists(references, max_size=2)},
        ),
    },
)
bulks = st.fixed_dictionaries(
    {"Operations": st.lists(of_bulk | anything, max_size=5) | anything},
    optional={"failOnErrors": st.integers(-1, 3) | scalars, "schemas": anything},
)


@unhurried
@given(body=bulks)
def test_any_bulk(ask: Ask, body: Any) -> None:
    answer = ask("POST", "/Bulk", encoded(body), {"content-type": "application/json"})
    check(answer)
    if answer.status_code >= 400:
        return
    for result in answer.json()["Operations"]:
        assert int(result["status"]) < 500, result
        if result["status"] == "201":
            ask("DELETE", result["location"].removeprefix("http://bridge.test/scim/v2"))


@unhurried
@given(body=st.binary(max_size=60) | anything.map(encoded), method=st.sampled_from(["POST", "PUT", "PATCH"]))
def test_any_bytes(ask: Ask, body: bytes, method: str) -> None:
    check(
        ask(
            method,
            "/Users/{id}" if method != "POST" else "/Users",
            body,
            {"content-type": "application/json"},
        )
    )


SCRAPS = st.sampled_from(
    [
        *(
            "userName",
            "eq",
            '"a@x.org"',
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
            "pr",
            "co",
        ),
        *(
            "true",
            "null",
            "1",
            "externalId",
            "active",
            "id",
            "title",
            ".",
            "\\",
            '"',
            '"\\ud800"',
            '"\\u0000"',
        ),
        *(
            f"{PLATFORM_USER}:status",
            '"LOCKED"',
            "groups.value",
            "meta.created",
            "gt",
            '"2026-01-01T00:00:00Z"',
        ),
    ]
)
filters = st.lists(SCRAPS, max_size=9).map(" ".join) | st.text(max_size=12)
parameters = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("filter", "sortBy", "sortOrder", "startIndex", "count", "cursor"),
                *("attributes", "excludedAttributes", "x"),
            ]
        ),
        filters | st.integers().map(str) | st.sampled_from([*NAMES, "ascending", "descending"]),
    ),
    max_size=4,
)


@unhurried
@given(query=parameters)
def test_any_query(ask: Ask, query: list[tuple[str, str]]) -> None:
    clean = [(k, v.encode("utf-8", "replace").decode()) for k, v in query]
    for path in ("/Users", ""):
        check(ask("GET", f"{path}?{httpx.QueryParams(clean)}"))


searches = st.dictionaries(
    st.sampled_from(["schemas", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor", "CURSOR"])
    | st.sampled_from(["attributes", "excludedAttributes", "x"]),
    filters | anything | st.lists(st.sampled_from(NAMES), max_size=3),
    max_size=5,
)


@unhurried
@given(body=searches | anything)
def test_any_search(ask: Ask, body: Any) -> None:
    for path in ("/Users", "/Groups", ""):
        check(ask("POST", f"{path}/.search", encoded(body), {"content-type": "application/json"}))


@unhurried
@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=30))
def test_any_query_text(ask: Ask, query: str) -> None:
    check(ask("GET", f"/Users?{query}"))


@unhurried
@given(
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?\\"), max_size=20),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
)
def test_any_path(ask: Ask, path: str, method: str) -> None:
    for start in ("/Users/", "/", "/Schemas/", "/ResourceTypes/"):
        answer = ask(method, start + path)
        if answer.request.url.path.startswith("/scim/v2/"):
            check(answer)


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)


@unhurried
@given(
    name=st.sampled_from(
        [
            "accept",
            "content-type",
            "if-match",
            "if-none-match",
            "host",
            "x-forwarded-host",
            "x-forwarded-proto",
            "cookie",
        ]
    ),
    value=HEADER,
    authorization=st.none() | HEADER,
)
def test_any_header(ask: Ask, name: str, value: str, authorization: str | None) -> None:
    headers = [(name.encode(), value.strip().encode("latin-1"))]
    if authorization is not None:
        headers.append((b"authorization", b"Bearer " + authorization.strip().encode("latin-1")))
    check(ask("GET", "/Users/{id}", b"", headers))
    check(ask("PATCH", "/Users/{id}", b'{"Operations":[]}', headers))
