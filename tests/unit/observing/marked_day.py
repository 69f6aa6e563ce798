"""A day at a bridge in which every value that must not be told, and every secret, carries a mark."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
from bridge_rig import CORE, ENT, PATCH_OP, Rig, answers, loses_reply
from marks import Marks

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Day:
    """Requests of one connection; what the bridge answers is not looked at, only what it tells others."""

    def __init__(self, rig: Rig, app: Any, marks: Marks, name: str, webhook_secret: str) -> None:
        """`name` is part of every mark's name, so that two days are told apart."""
        self.rig = rig
        self._app = app
        self._marks = marks
        self._name = name
        self._webhook_secret = webhook_secret
        self.statuses: set[int] = set()
        self.user_ids: list[str] = []

    def mark(self, what: str) -> str:
        return self._marks.personal(f"{self._name} {what}")

    def secret(self, what: str, text: str | None = None) -> str:
        return self._marks.secret(f"{self._name} secret: {what}", text)

    def person(self, what: str) -> dict[str, Any]:
        """A user, of whom every value is marked; and a password."""
        mark = self.mark
        email = f"{mark(f'{what} userName')}@example.com"
        return {
            "schemas": [CORE, ENT],
            "userName": email,
            "externalId": mark(f"{what} externalId"),
            "name": {"givenName": mark(f"{what} given"), "familyName": f"O'{mark(f'{what} family')} <é>"},
            "displayName": f'"{mark(f"{what} display")}"',
            "nickName": mark(f"{what} nick"),
            "profileUrl": f"https://example.com/{mark(f'{what} profile')}",
            "title": mark(f"{what} title"),
            "emails": [{"value": email, "type": "work", "primary": True, "display": mark(f"{what} mail")}],
            "phoneNumbers": [{"value": f"+49 {self._marks.number(f'{self._name} {what} phone')}"}],
            "addresses": [{"streetAddress": mark(f"{what} street"), "locality": mark(f"{what} town")}],
            ENT: {"employeeNumber": mark(f"{what} number"), "manager": {"displayName": mark(f"{what} boss")}},
            "password": self.secret(f"{what} password"),
        }

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request; `path` is encoded already."""
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app), base_url="http://bridge.test"
        ) as client:
            answer = await client.request(
                method,
                path if path.startswith(("/oauth", "/webhooks", "/health")) else f"/scim/v2{path}",
                content=raw,
                headers={
                    "authorization": f"Bearer {self.rig.token}",
                    "content-type": "application/scim+json",
                    **headers,
                },
            )
        self.statuses.add(answer.status_code)
        return answer

    async def patch(self, path: str, *operations: Any, **headers: str) -> httpx.Response:
        return await self.ask("PATCH", path, {"schemas": [PATCH_OP], "Operations": operations}, **headers)

    async def play(self) -> None:
        """All of it."""
        await self._users()
        await self._searches()
        await self._mistakes()
        await self._groups()
        await self._platform_troubles()
        await self._unfinished_writes()
        await self._database_troubles()
        await self._credentials()
        await self._webhooks()

    async def _users(self) -> None:
        made = await self.ask("POST", "/Users", self.person("first"))
        assert made.status_code == 201, made.text
        user_id = made.json()["id"]
        self.user_ids.append(user_id)
        agent = f"probe/1 ({self.mark('agent')}@example.com; Bearer {self.secret('agent')})"
        assert (await self.ask("GET", f"/Users/{user_id}", **{"user-agent": agent})).status_code == 200
        put = await self.ask("PUT", f"/Users/{user_id}", self.person("put"))
        assert put.status_code == 200, put.text
        patched = await self.patch(
            f"/Users/{user_id}",
            {"op": "replace", "path": "title", "value": self.mark("patched title")},
            {"op": "add", "value": {"nickName": self.mark("patched nick"), "password": self.secret("patch")}},
            {
                "op": "replace",
                "path": f"emails[value eq {json.dumps(self.mark('path'))}].display",
                "value": 1,
            },
        )
        assert patched.status_code in (200, 400), patched.text
        dry = {"scim-bridge-dry-run": "true"}
        assert (await self.ask("POST", "/Users", self.person("dry"), **dry)).status_code == 201
        bulk = [
            {"method": "POST", "path": "/Users", "bulkId": "b1", "data": self.person("bulk")},
            {
                "method": "PATCH",
                "path": f"/Users/{quote(self.mark('bulk path') + '@example.com')}",
                "data": {},
            },
            {"method": "POST", "path": "/Users", "bulkId": self.mark("bulkId"), "data": {"userName": {}}},
        ]
        told = await self.ask("POST", "/Bulk", {"schemas": [BULK], "Operations": bulk})
        assert told.json()["Operations"][0]["status"] == "201", told.text
        self.user_ids.append(told.json()["Operations"][0]["location"].rpartition("/")[2])
        await self._me()

    async def _me(self) -> None:
        found = await self.rig.store.tokens.authenticate(self.rig.token)
        assert found is not None
        _, text = await self.rig.store.tokens.create(found.connection.id, "me", user_id=self.user_ids[1])
        mine = {"authorization": f"Bearer {self.secret('token of a user', text)}"}
        change = {"op": "add", "value": {"title": self.mark("me title"), "password": self.secret("me")}}
        assert (await self.patch("/Me", change, **mine)).status_code == 200

    async def _searches(self) -> None:
        def filters(how: str) -> list[str]:
            value = json.dumps(self.mark(f"{how} filter"))
            return [
                f"name.familyName co {value} or title eq {value}",
                f'userName eq "{self.mark(f"{how} name")}@example.com"',
                f"externalId eq {json.dumps(self.mark(f'{how} external id'))}",
                f"nickName eq {self.mark(f'{how} bare word')}",
                f'title eq "{self.mark(f"{how} open literal")}',
                f"password eq {json.dumps(self.secret(f'{how} filter'))}",
                f"title zz {json.dumps(self.mark(f'{how} no operator'))}",
            ]

        for text in filters("get"):
            await self.ask("GET", "/Users?" + urlencode({"filter": text}))
        for text in filters("explain"):
            await self.ask("GET", "/Users?" + urlencode({"filter": text}), **{"scim-bridge-explain": "run"})
        for text in filters("post"):
            await self.ask("POST", "/Users/.search", {"schemas": [SEARCH], "filter": text})
        await self.ask(
            "POST", "/.search", {"schemas": [SEARCH], "filter": f'userName eq "{self.mark("root")}"'}
        )
        for name in ("cursor", "sortBy", "attributes", "count", "anything"):
            value = f"{self.mark(f'parameter {name}')}@example.com"
            await self.ask("GET", "/Users?" + urlencode({name: value}))
        await self.ask("GET", f"/Users?token={self.secret('query')}&access_token={self.rig.token}")

    async def _mistakes(self) -> None:
        for number, body in enumerate(
            (
                f'{{"userName": "{self.mark("open JSON")}'.encode(),
                b'{"userName": "\xff' + self.mark("no UTF-8").encode() + b'"}',
                json.dumps([self.mark("a list")]).encode(),
                json.dumps(self.mark("a text")).encode(),
                json.dumps({"schemas": [CORE], "userName": [self.mark("wrong type")]}).encode(),
                json.dumps({"schemas": [CORE], "userName": "x", "active": self.mark("no boolean")}).encode(),
                json.dumps({"schemas": [CORE], "userName": "x", f"{self.mark('name')}@a.b": 1}).encode(),
                json.dumps({"schemas": [self.mark("schema") + " @"], "userName": "x"}).encode(),
                json.dumps(
                    {"schemas": [CORE], "userName": "x", "unknown": self.mark("no attribute")}
                ).encode(),
                json.dumps({"schemas": [CORE], "userName": "x", "meta": self.mark("meta")}).encode(),
                json.dumps({"schemas": [CORE], "emails": self.mark("emails")}).encode(),
                json.dumps({"userName": self.mark("half") + "\ud800"}).encode(),
                json.dumps({"password": [self.secret("wrong type")], "userName": 1}).encode(),
            )
        ):
            answer = await self.ask("POST", "/Users", body)
            assert 400 <= answer.status_code < 500, (number, answer.text)
            await self.ask("PUT", f"/Users/{self.user_ids[0]}", body)
        for operation in (
            {"op": self.mark("op"), "path": "title", "value": self.mark("value of no op")},
            {"op": "replace", "path": f'title["{self.mark("bad path")}"', "value": "x"},
            {
                "op": "replace",
                "path": f"{self.mark('unknown path')}@example.com",
                "value": self.mark("unknown"),
            },
            {"op": "replace", "path": "active", "value": self.mark("patched boolean")},
            {"op": "replace", "path": "password", "value": {"x": self.secret("patched object")}},
            self.mark("no operation"),
        ):
            await self.patch(f"/Users/{self.user_ids[0]}", operation)
        for path in (f"/Users/{self.mark('id')}%40example.com", f"/{self.mark('no route')}%40example.com/x"):
            for method in ("GET", "DELETE", "POST", "TRACE"):
                await self.ask(method, path)
        await self.ask("PATCH", f"/Users/{self.mark('id in words')}%20and%20more", b"{}")
        await self.ask(
            "GET", f"/Users/{self.user_ids[0]}", **{"x-correlation-id": f"{self.mark('correlation')} @"}
        )

    async def _groups(self) -> None:
        made = await self.ask(
            "POST",
            "/Groups",
            {"schemas": [GROUP], "displayName": "crew", "members": [{"value": self.user_ids[0]}]},
        )
        assert made.status_code == 201, made.text
        group = f"/Groups/{made.json()['id']}"
        member = {"value": f"{self.mark('member')}@example.com", "display": self.mark("member's display")}
        plain = {"value": self.mark("member of no address").replace("q", "Q ", 1)}
        known = {"value": self.user_ids[1]}
        for members in ([member], [member, plain, known]):
            await self.patch(group, {"op": "add", "path": "members", "value": members})
        await self.ask("PUT", group, {"schemas": [GROUP], "displayName": "crew", "members": [member, known]})
        removal = f"members[value eq {json.dumps(self.mark('removed') + '@example.com')}]"
        await self.patch(group, {"op": "remove", "path": removal})
        await self.ask("POST", "/Groups", {"schemas": [GROUP], "displayName": {"x": self.mark("no name")}})

    async def _platform_troubles(self) -> None:
        wire, user = self.rig.wire, f"/Users/{self.user_ids[0]}"
        for status in (400, 401, 403, 404, 409, 422, 429, 500, 503, 418):
            mark = self.mark(f"platform {status}")
            secret = self.secret(f"platform {status}")
            text = f"user {mark} has 'x{mark}' and {mark}@example.com"
            person = self.person(f"platform {status}")
            person["title"], person["password"] = mark, secret
            for call, asked in (
                ("POST users", ("POST", "/Users", person)),
                ("PATCH user", ("PUT", user, person)),
                ("GET user", ("GET", user, None)),
                ("GET user", ("DELETE", user, None)),
                ("GET users", ("GET", "/Users?" + urlencode({"filter": f'title eq "{mark}"'}), None)),
            ):
                # What was sent is sent back, as some do.
                said = f"{text}, password {secret} refused" if asked[0] in ("POST", "PUT") else text
                detail: Any = [{"loc": ["body", "email"], "msg": said}] if status == 422 else said
                wire.always(call, answers(status, {"detail": detail}))
                await self.ask(*asked)
                self.rig.clock.now += 3600
            wire.reset()
        for kind in (
            httpx.ConnectError,
            httpx.ReadTimeout,
            ValueError,
            KeyError,
            UnicodeError,
            msgspec.ValidationError,
        ):
            text = f"{self.mark(f'lost {kind.__name__}')} at ?search={self.mark(f'sought {kind.__name__}')}"
            for call, asked in (
                ("POST users", ("POST", "/Users", self.person(f"lost {kind.__name__}"))),
                ("GET user", ("GET", user, None)),
            ):
                wire.always(call, _raises(kind(text)))
                await self.ask(*asked)
                self.rig.clock.now += 3600
        for number, raw in enumerate(
            (
                f'{{"data": {{"id": 7, "email": "{self.mark("no user")}"}}}}'.encode(),
                f"<html>{self.mark('html')}".encode(),
                f'{{"data": {{"id": "usr_1", "email": "", "status": "{self.mark("status")}"}}}}'.encode(),
            )
        ):
            for call, method in (("GET user", "GET"), ("PATCH user", "PUT")):
                wire.always(call, answers(200, raw=raw))
                body = None if method == "GET" else self.person(f"garbled {number}")
                await self.ask(method, user, body)
                self.rig.clock.now += 3600
        wire.reset()

    async def _unfinished_writes(self) -> None:
        """A write that is begun; the rest is refused with the value, also when it is tried again."""
        wire, user = self.rig.wire, f"/Users/{self.user_ids[0]}"
        change = {"title": self.mark("unfinished title"), "active": False}
        mark = self.mark("unfinished")
        wire.always("PUT status", answers(500))
        answer = await self.patch(user, {"op": "replace", "value": change})
        assert answer.status_code == 503, answer.text
        refusal = {"detail": f"{mark} and '{mark}' and {mark}@example.com are refused"}
        for call in ("PUT status", "PATCH user", "GET user"):
            wire.always(call, answers(422, refusal))
            await self._recover()
        lost, refused = loses_reply(httpx.ReadError), answers(400, refusal)
        wire.reset()
        wire.fault = lambda _number, name: lost if name == "POST users" else refused
        answer = await self.ask("POST", "/Users", {**self.person("half made"), "active": False})
        assert answer.status_code >= 400, answer.text
        await self._recover()
        wire.reset()

    async def _recover(self) -> None:
        for entry in await self.rig.store.journal.list():
            await self.rig.store.journal.retry(entry.id)
            await self.rig.app.state.services.recovery.run(entry.id)

    async def _database_troubles(self) -> None:
        for table in ("links", "journal", "index_values", "index_users", "connections", "audit_keys"):
            with self._without(table):
                await self.ask("POST", "/Users", self.person(f"without {table}"))
                name = f"{self.mark(f'sought without {table}')}@example.com"
                await self.ask("GET", "/Users?" + urlencode({"filter": f'userName eq "{name}"'}))
                await self.ask("GET", "/health/ready")

    @contextmanager
    def _without(self, table: str) -> Iterator[None]:
        """The database refuses every statement that needs this table."""
        with closing(sqlite3.connect(Path(self.rig.settings.data_dir) / "bridge.db", timeout=30)) as db:
            db.execute("PRAGMA legacy_alter_table=ON")
            db.execute(f"ALTER TABLE {table} RENAME TO away")
            db.commit()
            try:
                yield
            finally:
                db.execute(f"ALTER TABLE away RENAME TO {table}")
                db.commit()

    async def _credentials(self) -> None:
        found = await self.rig.store.tokens.authenticate(self.rig.token)
        assert found is not None
        client = await self.rig.store.clients.add(found.connection.id, "marked")
        _, good = await self.rig.store.clients.add_secret(client.id)
        self.secret("client secret", good)
        form = {"content-type": "application/x-www-form-urlencoded", "authorization": ""}

        async def token(headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
            asked = {"grant_type": "client_credentials", **fields}
            sent = {**form, **(headers or {})}
            if not sent["authorization"]:
                del sent["authorization"]
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app), base_url="http://bridge.test"
            ) as asking:
                return await asking.post("/oauth/token", content=urlencode(asked), headers=sent)

        issued = await token(client_id=client.id, client_secret=good)
        assert issued.status_code == 200, issued.text
        access = self.secret("access token", issued.json()["access_token"])
        assert (await self.ask("GET", "/Users?count=1", authorization=f"Bearer {access}")).status_code == 200
        for where in ("client_id", "client_secret", "scope", "grant_type", "client_assertion"):
            await token(**{"client_id": client.id, "client_secret": good, where: self.secret(f"as {where}")})
        basic = base64.b64encode(f"{client.id}:{self.secret('basic')}".encode()).decode()
        await token({"authorization": f"Basic {basic}"})
        await token({"authorization": f"Digest {self.secret('digest')}"})
        claims = {
            "iss": f"https://{self.mark('issuer')}.test",
            "sub": self.mark("subject"),
            "aud": "a",
            "exp": 1,
        }
        parts = [
            base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=")
            for p in ({"alg": "x"}, claims)
        ]
        assertion = ".".join([*parts, self.secret("signature of an assertion")])
        await token(client_assertion_type=JWT, client_assertion=assertion)
        await token(client_assertion_type=JWT, client_assertion=self.secret("assertion"))
        for scheme in ("Bearer", "Basic", "Token", "SSWS", "bearer  ", ""):
            await self.ask("GET", "/Users", authorization=f"{scheme} {self.secret(f'scheme {scheme}')}")
        self.secret("access token that is wrong", wrong := "scb_" + "w7" * 21 + "x")
        await self.ask("POST", "/Users", {"userName": wrong}, authorization=f"Bearer {wrong}")
        for what in (good, access, self.rig.token):
            await self.ask("GET", f"/Users/{what}%20")
            await self.ask("GET", f"/{what}")
            await self.ask("GET", "/Users?" + urlencode({"filter": f'id eq "{what}"'}))

    async def _webhooks(self) -> None:
        event = {
            "event_id": f"evt_{self._name}",
            "event_type": "user.updated",
            "tenant_id": self.rig.tenant_id,
            "resource": {"type": "user", "id": self.user_ids[0]},
            "actor": {"id": self.mark("actor")},
            "data": {"email": f"{self.mark('event')}@example.com"},
        }
        bad = {
            **event,
            "event_id": "evt_bad",
            "resource": {"type": "user", "id": f"{self.mark('event id')} @"},
        }
        for number, document in enumerate((event, bad, [self.mark("no event")])):
            body = json.dumps(document).encode()
            at = int(time.time())
            signature = hmac.new(
                self._webhook_secret.encode(), f"{at}.".encode() + body, hashlib.sha256
            ).hexdigest()
            self.secret(f"signature {number}", signature)
            for signed in (
                f"t={at},v1={signature}",
                f"t={self.secret(f'time {number}')},v1={signature[:-1]}",
            ):
                await self.ask("POST", "/webhooks/platform", body, **{"x-scaikey-signature": signed})


def _raises(error: Exception) -> Any:
    async def fault(_request: Any, _send: Any) -> httpx.Response:
        raise error

    return fault
