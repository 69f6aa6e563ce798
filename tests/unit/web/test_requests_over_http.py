"""What comes in over HTTP: media types, bodies, methods, parameters, headers. Every answer is SCIM's."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from bridge_rig import CORE, Rig, assert_scim_error, open_rig, person

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = json.dumps(person()).encode()


async def send(rig: Rig, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
    async with rig.client(**{k.replace("_", "-"): v for k, v in headers.items()}) as client:
        return await client.request(method, path, content=content)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/scim+json", 201),
        ("application/json", 201),
        ("Application/SCIM+JSON; charset=utf-8", 201),
        ("", 201),
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("nonsense", 415),
        ("é", 415),
    ],
)
async def test_content_types(rig: Rig, content_type: str, status: int) -> None:
    async with rig.client() as client:
        answer = await client.post("/Users", content=GOOD, headers={b"content-type": content_type.encode()})
    assert answer.status_code == status
    if status == 415:
        assert_scim_error(answer)


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("application/scim+json", "application/scim+json"),
        ("application/json", "application/json"),
        ("*/*", "application/scim+json"),
        ("", "application/scim+json"),
        ("application/json, application/scim+json", "application/scim+json"),
        ("text/html", "application/scim+json"),
        ("é\xff", "application/scim+json"),
    ],
)
async def test_answers_are_what_was_asked_for(rig: Rig, accept: str, answered: str) -> None:
    async with rig.client() as client:
        for path in ("/Users", "/Users/nobody", "/Nobody"):
            answer = await client.get(path, headers={b"accept": accept.encode("latin-1")})
            assert answer.headers["content-type"].partition(";")[0] == answered


BAD_BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  ",
    "cut": b'{"userName": "a',
    "two": b"{} {}",
    "single-quotes": b"{'userName': 'a'}",
    "nan": b'{"userName": NaN}',
    "infinity": b'{"userName": Infinity}',
    "huge-number": b'{"userName": 1e999}',
    "invalid-utf8": b'{"userName": "\xff"}',
    "invalid-utf8-key": b'{"\xff": 1}',
    "utf16": json.dumps(person()).encode("utf-16"),
    "lone-surrogate": b'{"userName": "\\ud800"}',
    "deep-lists": b"[" * 100_000,
    "deep-closed": b"[" * 50_000 + b"]" * 50_000,
    "deep-objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep-known": b'{"userName":"a","name":' + b'{"name":' * 5_000 + b"1" + b"}" * 5_001,
    "deep-schemas": b'{"schemas":' + b"[" * 900 + b"]" * 900 + b"}",
    "deep-emails": b'{"userName":"a","emails":' + b"[" * 900 + b"]" * 900 + b"}",
    "list": b"[]",
    "string": b'"x"',
    "number": b"7",
    "null": b"null",
    "true": b"true",
    "no-name": b"{}",
    "name-number": b'{"userName": [7]}',
    "name-null": b'{"userName": null}',
    "name-object": b'{"userName": {"a": 1}}',
    "emails-boolean": b'{"userName": "a", "emails": true}',
    "emails-nested": b'{"userName": "a", "emails": [[{"value": "a@x"}]]}',
    "active-word": b'{"userName": "a@x", "active": "perhaps"}',
    "active-number": b'{"userName": "a@x", "active": 1}',
    "extension-list": b'{"userName": "a@x", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":1}',
    "two-primary": b'{"userName":"a","emails":[{"value":"a","primary":true},{"value":"b","primary":true}]}',
    "nul": b'{"userName": "a\\u0000b@x"}',
    "big-int-name": b'{"userName": ' + b"9" * 4000 + b"}",
    "key-case-twice": b'{"userName": "a@x", "USERNAME": "b@x"}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_bad_bodies(rig: Rig, method: str, name: str) -> None:
    user = await rig.make() if method != "POST" else {"id": ""}
    answer = await send(
        rig,
        method,
        f"/Users/{user['id']}".rstrip("/"),
        BAD_BODIES[name],
        content_type="application/scim+json",
    )
    assert answer.status_code == 400, answer.text
    assert assert_scim_error(answer)["scimType"] in ("invalidSyntax", "invalidValue")
    assert "POST users" not in rig.wire.calls
    assert "PATCH user" not in rig.wire.calls


async def test_a_body_of_the_same_key_twice_is_no_5xx(rig: Rig) -> None:
    answer = await send(
        rig, "POST", "/Users", b'{"userName":"a@x.org","userName":"b@x.org"}', content_type="application/json"
    )
    assert answer.status_code in (201, 400)


async def test_a_body_too_large(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, max_body_bytes=500) as rig:
        for method, path in (("POST", "/Users"), ("PUT", "/Users/usr_1"), ("PATCH", "/Users/usr_1")):
            answer = await send(rig, method, path, b" " * 501, content_type="application/json")
            assert answer.status_code == 413
            assert_scim_error(answer)

            async def chunks() -> Any:
                for _ in range(10):
                    yield b" " * 100

            async with rig.client() as client:
                answer = await client.request(method, path, content=chunks())
            assert answer.status_code == 413
            assert_scim_error(answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nobody", 404),
        ("POST", "/Nobody", 404),
        ("GET", "/Users/a/b", 404),
        ("GET", "/../Nobody", 404),
        ("GET", "/users", 404),
        ("GET", "/User", 404),
        ("GET", "http://bridge.test/", 404),
        ("GET", "http://bridge.test/Users", 404),
        ("GET", "http://bridge.test/scimitar/Users", 404),
        ("DELETE", "http://bridge.test/scim/v2", 405),
        ("GET", "/.search", 405),
        ("GET", "/Users/.search", 405),
        ("PUT", "/Groups/.search", 405),
        ("DELETE", "/Users", 405),
        ("PUT", "/Users", 405),
        ("PATCH", "/Users", 405),
        ("POST", "/Users/usr_1", 405),
        ("POST", "/Schemas", 405),
        ("DELETE", "/ServiceProviderConfig", 405),
        ("PROPFIND", "/Users", 405),
        ("TRACE", "/Users", 405),
        ("GET", "/Schemas/urn:nobody", 404),
        ("GET", "/ResourceTypes/Nobody", 404),
    ],
)
async def test_routes_that_are_none(rig: Rig, method: str, path: str, status: int) -> None:
    answer = await send(rig, method, path)
    assert answer.status_code == status
    assert_scim_error(answer)
    if status == 405:
        allowed = {each.strip() for each in answer.headers["allow"].split(",")}
        assert allowed & {"GET", "PUT", "POST"}
        assert method not in allowed


@pytest.mark.parametrize(
    "path", ["/Users", "/Users/usr_1", "/ServiceProviderConfig", "/Nobody", "http://bridge.test/health/live"]
)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_head_and_options_are_no_failures(rig: Rig, method: str, path: str) -> None:
    assert (await send(rig, method, path)).status_code < 500


@pytest.mark.parametrize(
    ("query", "status", "scim_type"),
    [
        ("startIndex=0", 200, None),
        ("startIndex=-5", 200, None),
        ("count=-1", 200, None),
        ("count=100000", 200, None),
        ("startIndex=99999999999999999999", 200, None),
        ("startIndex=&count=", 200, None),
        ("STARTINDEX=1&Count=2", 200, None),
        ("unknown=1&aadOptscim062020", 200, None),
        ("attributes=nobody", 200, None),
        ('filter=userName+eq+"x"&', 200, None),
        ("startIndex=x", 400, "invalidValue"),
        ("count=1.5", 400, "invalidValue"),
        ("count=1_0", 400, "invalidValue"),
        ("count=%D9%A1", 400, "invalidValue"),
        ("count=1&count=2", 400, "invalidValue"),
        ("attributes=userName&excludedAttributes=emails", 400, "invalidValue"),
        ("sortOrder=up", 400, "invalidValue"),
        ("sortBy=nobody", 400, "invalidPath"),
        ("sortBy=password", 400, "invalidPath"),
        ("sortBy=name", 400, "invalidPath"),
        ("filter=", 400, "invalidFilter"),
        ("filter=userName", 400, "invalidFilter"),
        ("filter=nobody eq 1", 400, "invalidFilter"),
        ('filter=password eq "x"', 400, "invalidFilter"),
        ('filter=userName eq "a" and', 400, "invalidFilter"),
        ("filter=" + "(" * 3000, 400, "invalidFilter"),
        ('filter=userName eq "\\ud800"', None, None),
        ('filter=userName eq "\\u0000"', None, None),
        ('filter=externalId eq "\\ud800"', None, None),
        ('filter=emails eq "\\ud800"', None, None),
        (f'filter=userName eq "{"x" * 5000}"', None, None),
        ("filter=%FF", 400, None),
        ("&".join(f"a{n}=1" for n in range(200)), 400, "invalidValue"),
    ],
)
async def test_query_parameters(rig: Rig, query: str, status: int | None, scim_type: str | None) -> None:
    answer = await send(rig, "GET", f"/Users?{query}")
    assert answer.status_code == status or (status is None and answer.status_code in (200, 400)), answer.text
    if answer.status_code == 400:
        body = assert_scim_error(answer)
        assert scim_type in (None, body["scimType"])


async def test_window_parameters_are_clamped(rig: Rig) -> None:
    await rig.make()
    for query, index, count in (("startIndex=0", 1, 1), ("count=-1", 1, 0), ("startIndex=5", 5, 0)):
        body = (await send(rig, "GET", f"/Users?{query}")).json()
        assert (body["totalResults"], body["startIndex"], body["itemsPerPage"]) == (1, index, count)


async def test_versions(rig: Rig) -> None:
    user = await rig.make()
    path, version = f"/Users/{user['id']}", user["meta"]["version"]
    first = await send(rig, "GET", path)
    assert first.headers["etag"] == version
    for known in (version, f'"x", {version}', "*", version.removeprefix("W/")):
        answer = await send(rig, "GET", path, if_none_match=known)
        assert (answer.status_code, answer.content) == (304, b"")
    assert (await send(rig, "GET", path, if_none_match='W/"other"')).status_code == 200
    for method, body in (
        ("PUT", json.dumps({**user, "title": "x"}).encode()),
        ("PATCH", b'{"Operations":[{"op":"add","path":"title","value":"x"}]}'),
        ("DELETE", b""),
    ):
        for stale in ('W/"other"', "nonsense", '""', ""):
            if stale == "":
                continue
            answer = await send(rig, method, path, body, if_match=stale, content_type="application/json")
            assert answer.status_code == 412
            assert_scim_error(answer)
    ok = await send(
        rig, "PATCH", path, b'{"Operations":[{"op":"add","path":"title","value":"x"}]}', if_match=version
    )
    assert ok.status_code == 200
    assert ok.headers["etag"] != version
    assert (await send(rig, "DELETE", path, if_match="*")).status_code == 204


async def test_a_list_and_a_read_tell_the_same_version(rig: Rig) -> None:
    user = await rig.make()
    listed = (await send(rig, "GET", "/Users")).json()["Resources"][0]
    assert listed == user


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic YTpi",
        b"scb_" + b"a" * 43,
        b"Bearer scb_" + b"a" * 43,
        b"Bearer scb_" + b"a" * 5000,
        b"Bearer \xff\xfe",
        b"Bearer a b c",
        b"\xff",
        b"Bearer " + "é".encode(),
        b"Token scb_x",
    ],
)
@pytest.mark.parametrize("path", ["/Users", "/Users/usr_1", "/Schemas", "/ServiceProviderConfig"])
async def test_requests_without_a_good_token(rig: Rig, path: str, authorization: bytes | None) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization)]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(rig.app), base_url="http://bridge.test/scim/v2"
    ) as client:
        answer = await client.get(path, headers=headers)
    assert answer.status_code == 401
    body = assert_scim_error(answer)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "scimType" not in body
    assert rig.wire.seen() == []


async def test_the_scheme_is_read_in_any_case(rig: Rig) -> None:
    async with rig.client() as client:
        for scheme in ("bearer", "BEARER"):
            answer = await client.get("/Users", headers={"authorization": f"{scheme} {rig.token}"})
            assert answer.status_code == 200


async def test_revoked_and_expired_tokens_and_removed_connections(rig: Rig) -> None:
    async def status(token: str) -> int:
        rig.store.token_cache.clear()
        return (await rig.scim("GET", "/Schemas", token=token)).status_code

    made = await rig.store.connections.add(name=f"gone-{rig.tenant_id}", tenant_id=rig.tenant_id)
    soon = datetime.now(UTC) - timedelta(seconds=1)
    _, expired = await rig.store.tokens.create(made.id, "", soon + timedelta(seconds=2))
    token, revoked = await rig.store.tokens.create(made.id, "", None)
    _, kept = await rig.store.tokens.create(made.id, "", None)
    assert await status(revoked) == 200
    await rig.store.tokens.revoke(token.id)
    assert await status(revoked) == 401
    assert await status(kept) == 200
    await asyncio.sleep(1.1)
    assert await status(expired) == 401
    await rig.store.connections.remove(made.id)
    assert await status(kept) == 401


# --- the base URL ----------------------------------------------------------------------------------------


async def location(rig: Rig, **headers: str) -> str:
    answer = await send(rig, "GET", "/ServiceProviderConfig", **headers)
    assert answer.status_code == 200
    return answer.json()["meta"]["location"].removesuffix("/ServiceProviderConfig")


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("scim.example.com", "http://scim.example.com/scim/v2"),
        ("scim.example.com:8443", "http://scim.example.com:8443/scim/v2"),
        ("[::1]:8080", "http://[::1]:8080/scim/v2"),
        ("evil.test/x?", None),
        ("evil.test#", None),
        ("user@evil.test", None),
        ("evil test", None),
        ("<script>", None),
        ("a:b:c", None),
        ("", None),
    ],
)
async def test_host_headers(rig: Rig, host: str, base: str | None) -> None:
    answer = await send(rig, "GET", "/ServiceProviderConfig", host=host)
    if base is None:
        assert answer.status_code in (200, 400)
        assert "evil" not in answer.text
        assert "<script" not in answer.text
    else:
        assert answer.json()["meta"]["location"] == f"{base}/ServiceProviderConfig"


async def test_forwarded_headers_of_anybody_are_not_believed(rig: Rig) -> None:
    found = await location(rig, x_forwarded_host="evil.test", x_forwarded_proto="https")
    assert found == "http://bridge.test/scim/v2"


@pytest.mark.parametrize(
    ("proxies", "client", "headers", "base"),
    [
        (
            "10.0.0.0/8",
            "10.1.2.3",
            {"x_forwarded_host": "scim.example.com", "x_forwarded_proto": "https"},
            "https://scim.example.com/scim/v2",
        ),
        (
            "10.0.0.0/8",
            "10.1.2.3",
            {"x_forwarded_host": "a.example, b.example", "x_forwarded_proto": "https, http"},
            "https://a.example/scim/v2",
        ),
        ("10.0.0.0/8", "10.1.2.3", {"x_forwarded_proto": "javascript"}, "http://bridge.test/scim/v2"),
        ("10.0.0.0/8", "10.1.2.3", {"x_forwarded_host": "evil/x"}, "http://bridge.test/scim/v2"),
        (
            "10.0.0.0/8",
            "11.1.2.3",
            {"x_forwarded_host": "evil.test", "x_forwarded_proto": "https"},
            "http://bridge.test/scim/v2",
        ),
        ("10.0.0.1, ::1", "::1", {"x_forwarded_host": "scim.example.com"}, "http://scim.example.com/scim/v2"),
        ("10.0.0.1", "nonsense", {"x_forwarded_host": "evil.test"}, "http://bridge.test/scim/v2"),
    ],
)
async def test_trusted_proxies(
    made_once: Path, tmp_path: Path, proxies: str, client: str, headers: dict[str, str], base: str
) -> None:
    async with open_rig(made_once, tmp_path, trusted_proxies=proxies) as rig:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(rig.app, client=(client, 1234)),
            base_url="http://bridge.test/scim/v2",
            headers={
                "authorization": f"Bearer {rig.token}",
                **{k.replace("_", "-"): v for k, v in headers.items()},
            },
        ) as http:
            answer = await http.get("/ServiceProviderConfig")
        assert answer.json()["meta"]["location"] == f"{base}/ServiceProviderConfig"


async def test_the_public_url_sets_every_location(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(
        made_once, tmp_path, public_url="https://idm.example.com/x/scim/v2/", trusted_proxies="0.0.0.0/0"
    ) as rig:
        async with rig.client(host="evil.test", **{"x-forwarded-host": "evil.test"}) as client:
            made = await client.post("/Users", json=person())
            texts = [made.text, made.headers["location"]]
            for path in (
                "/Users",
                f"/Users/{made.json()['id']}",
                "/Schemas",
                "/ResourceTypes",
                "/ServiceProviderConfig",
            ):
                texts.append((await client.get(path)).text)
        assert made.headers["location"] == f"https://idm.example.com/x/scim/v2/Users/{made.json()['id']}"
        assert not any("evil" in t or "bridge.test" in t for t in texts)


async def test_health_needs_no_token(rig: Rig) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(rig.app), base_url="http://bridge.test"
    ) as client:
        for path in ("/health/live", "/health/ready"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_discovery_takes_no_filter(rig: Rig) -> None:
    for path in ("/Schemas", "/ResourceTypes"):
        answer = await send(rig, "GET", f'{path}?filter=id eq "x"')
        assert answer.status_code == 403
        assert_scim_error(answer)
        assert (await send(rig, "GET", f"{path}?count=0&startIndex=x")).status_code == 200


async def test_emails_are_published_as_required(rig: Rig) -> None:
    schema = (await send(rig, "GET", f"/Schemas/{CORE}")).json()
    emails = next(a for a in schema["attributes"] if a["name"] == "emails")
    assert emails["required"] is True
    assert next(s for s in emails["subAttributes"] if s["name"] == "value")["required"] is True
