"""What the fuzz runs are sent to: a bridge in this process, with both databases open to look at."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from bridge_rig import SECRETS, Rig, open_rig, person
from fuzz_requests import Request

from app.bridge.context import Context
from app.bridge.indexing import links_of, plain_resource
from app.store.connections import DialectSettings, Policies
from app.web.services import Services
from app.wire.users import PlatformUser

WEBHOOK_SECRET = "whsec_never_to_be_shown"
LIMITS = {"max_body_bytes": 60_000, "max_values": 3_000, "max_operations": 50}
_MOST = {"Users": 8, "Groups": 5}

_CONNECTIONS: dict[str, dict[str, Any]] = {
    "plain": {"policies": Policies(explain=True)},
    "local": {
        "policies": Policies(groups="local", group_patch="resource", password="set", activate_locked=True)
    },
    "strict": {"policies": Policies(search="live"), "dialect": DialectSettings(mode="strict")},
}
_AT_PLATFORM = ("users", "groups", "memberships")
_AT_BRIDGE = ("group_external_ids", "group_versions", "local_groups", "local_group_members", "connections")


@dataclass(frozen=True)
class Answer:
    """One answer, to the byte."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The only field of this name, empty where there is none."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) < 2, found
        return found[0] if found else ""


@dataclass
class Side:
    """A connection to a tenant of its own."""

    tenant_id: str
    token: str
    context: Context


class Target:
    """A bridge, and what may be seen of it."""

    def __init__(self, rig: Rig, sides: dict[str, Side]) -> None:
        self._rig = rig
        self._sides = sides
        self._services: Services = rig.app.state.services
        place = Path(rig.settings.data_dir)
        self._platform = sqlite3.connect(place / "platform.db")
        self._bridge = sqlite3.connect(place / "bridge.db")
        self._kept: tuple[tuple[int, int], str] | None = None
        self.secrets = (*SECRETS, WEBHOOK_SECRET)

    def close(self) -> None:
        """Close the databases."""
        self._platform.close()
        self._bridge.close()

    # --- requests -------------------------------------------------------------------------------------------

    async def send(self, request: Request) -> Answer:
        """Send it, with everything in its place."""
        side = self._sides[request.connection]
        known = self._known(side)
        if any(b"{etag}" in value for _, value in request.headers):
            path = request.path.partition(b"?")[0]
            found = await self._ask("GET", self._filled(path, known), side)
            known[b"{etag}"] = found.header("etag").encode()
        body = self._filled(request.body, known)
        headers = [(name, self._filled(value, known)) for name, value in request.headers]
        if request.signature is not None:
            good = request.signature == "good"
            value = _signed(body) if good else request.signature
            headers.append((b"x-scaikey-signature", value.encode("utf-8")))
        path, query = self._filled(request.path, known), self._filled(request.query, known)
        return await self._call(request.method, path, query, headers, body, request.client)

    async def get(self, connection: str, path: str) -> Answer:
        """A plain GET of a SCIM path."""
        return await self._ask("GET", f"/scim/v2{path}".encode(), self._sides[connection])

    async def tidy(self, connection: str) -> None:
        """Few users and groups, and some at least."""
        side = self._sides[connection]
        for endpoint, most in _MOST.items():
            ids = await self._ids(side, endpoint)
            for number in range(len(ids), 3):
                body = person(userName=f"seed{number}-{time.time_ns()}@x.org", emails=None)
                if endpoint == "Groups":
                    body = {
                        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                        "displayName": f"S{time.time_ns()}",
                    }
                made = await self._ask(
                    "POST", f"/scim/v2/{endpoint}".encode(), side, json.dumps(body).encode()
                )
                assert made.status == 201, made
            for old in ids[:-most] if len(ids) > most else ():
                gone = await self._ask("DELETE", f"/scim/v2/{endpoint}/{old}".encode(), side)
                assert gone.status == 204, gone

    async def _ask(self, method: str, path: bytes, side: Side, body: bytes = b"") -> Answer:
        headers = [
            (b"host", b"bridge.test"),
            (b"authorization", b"Bearer " + side.token.encode()),
            (b"content-type", b"application/scim+json"),
        ]
        return await self._call(method, path, b"", headers, body, "127.0.0.1")

    async def _call(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        client: str,
    ) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            # As uvicorn makes the one from the other.
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "client": (client, 50_000),
            "server": ("127.0.0.1", 8080),
            "root_path": "",
        }
        sent: list[Any] = []
        taken = False

        async def receive() -> Any:
            nonlocal taken
            if taken:
                return {"type": "http.disconnect"}
            taken = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._rig.app(scope, receive, send)
        self._rig.wire.reset()
        assert [m["type"] for m in sent].count("http.response.start") == 1, sent
        start, *rest = sent
        return Answer(
            start["status"],
            tuple((k.decode("ascii"), v.decode("latin-1")) for k, v in start["headers"]),
            b"".join(m.get("body", b"") for m in rest),
        )

    def _known(self, side: Side) -> dict[bytes, bytes]:
        known = {b"{token}": side.token.encode(), b"{tenant}": side.tenant_id.encode()}
        groups = self._rows_of("groups", side.tenant_id) or [
            row[0]
            for row in self._bridge.execute(
                "SELECT id FROM local_groups WHERE tenant_id = ?", (side.tenant_id,)
            )
        ]
        for name, ids in (("user", self._rows_of("users", side.tenant_id)), ("group", groups)):
            for number in range(3):
                key = f"{{{name}{number or ''}}}".encode()
                known[key] = (ids[number % len(ids)] if ids else "none").encode()
        return known

    def _rows_of(self, table: str, tenant_id: str) -> list[str]:
        # A table's name of this file, no text from elsewhere.
        text = f"SELECT id FROM {table} WHERE tenant_id = ? AND deleted_at IS NULL ORDER BY created_at, id"  # noqa: S608
        return [row[0] for row in self._platform.execute(text, (tenant_id,))]

    async def _ids(self, side: Side, endpoint: str) -> list[str]:
        if endpoint == "Users":
            return self._rows_of("users", side.tenant_id)
        found = await self._ask("GET", b"/scim/v2/Groups", side)
        assert found.status == 200, found
        return [group["id"] for group in json.loads(found.body)["Resources"]]

    @staticmethod
    def _filled(text: bytes, known: dict[bytes, bytes]) -> bytes:
        if b"{" in text:
            for name, value in known.items():
                text = text.replace(name, value)
        return text

    # --- what is kept ---------------------------------------------------------------------------------------

    def kept(self) -> str:
        """Everything that a client could have written, as one digest."""
        stamp = self.stamp()
        if self._kept is None or self._kept[0] != stamp:
            text = repr(self.rows()).encode("utf-8", "surrogatepass")
            self._kept = (stamp, hashlib.sha256(text).hexdigest())
        return self._kept[1]

    def rows(self) -> dict[str, list[Any]]:
        """The same as rows by table; the platform's as they count, without those deleted."""
        found = {}
        for database, tables in ((self._platform, _AT_PLATFORM), (self._bridge, _AT_BRIDGE)):
            for table in tables:
                live = " WHERE deleted_at IS NULL" if table in ("users", "groups") else ""
                found[table] = database.execute(f"SELECT * FROM {table}{live} ORDER BY 1, 2, 3").fetchall()  # noqa: S608 - as above
        return found

    def stamp(self) -> tuple[int, int]:
        """Changes when anything is committed to either database, and costs nothing to ask."""
        platform, bridge = (
            d.execute("PRAGMA data_version").fetchone()[0] for d in (self._platform, self._bridge)
        )
        return platform, bridge

    async def check_user(self, connection: str, user_id: str) -> None:
        """The user's links and what the index has of it are those of the live user."""
        side = self._sides[connection]
        answer = await self._rig.platform.get(f"/api/v1/tenants/{side.tenant_id}/users/{user_id}")
        assert answer.status_code == 200, answer.text
        user = msgspec.convert(answer.json()["data"], type=PlatformUser)
        resource = plain_resource(side.context, user)
        query = "SELECT count(*) FROM links WHERE tenant_id = ? AND resource_id = ?"
        [(links,)] = self._bridge.execute(query, (side.tenant_id, user_id)).fetchall()
        entries = {
            (e.kind, e.value.casefold() if e.kind != "externalId" else e.value)
            for e in links_of(resource, side.context.domain)
        }
        assert links == len(entries), (resource, links)
        indexing = self._services.indexing
        await indexing.catch_up(side.context)
        revisions = await indexing.revisions(side.context, [user_id])
        assert not await indexing.confirm(side.context, {user_id: resource}, revisions), resource

    def check_rows(self) -> None:
        """No link, value or membership of anybody who is not there."""
        live = {row[0] for row in self._platform.execute("SELECT id FROM users WHERE deleted_at IS NULL")}
        linked = {row[0] for row in self._bridge.execute("SELECT resource_id FROM links")}
        assert linked <= live, linked - live
        indexed = "SELECT user_id FROM index_users WHERE seq IN (SELECT user_seq FROM index_values)"
        valued = {row[0] for row in self._bridge.execute(indexed)}
        assert valued <= live, valued - live
        members = "SELECT member_id FROM local_group_members WHERE member_type = 'User'"
        inside = {row[0] for row in self._bridge.execute(members)}
        assert inside <= live, inside - live
        assert self._bridge.execute("PRAGMA foreign_key_check").fetchall() == []


def _signed(body: bytes) -> str:
    stamp = str(int(time.time()))
    digest = hmac.new(WEBHOOK_SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256)
    return f"t={stamp},v1={digest.hexdigest()}"


@asynccontextmanager
async def open_target(made_from: Path, place: Path) -> AsyncIterator[Target]:
    """A bridge with three connections: groups at the platform, local ones, and without tolerances."""
    settings = {"platform_webhook_secret": WEBHOOK_SECRET, "trusted_proxies": "127.0.0.1,::1", **LIMITS}
    async with open_rig(made_from, place, **settings) as rig:
        services: Services = rig.app.state.services
        sides = {}
        for name, options in _CONNECTIONS.items():
            tenant_id = await rig.directory.ensure_tenant(f"fuzz-{name}", name)
            made = await rig.store.connections.add(name=f"fuzz-{name}", tenant_id=tenant_id, **options)
            _, token = await rig.store.tokens.create(made.id, "test", None)
            SECRETS.append(token)
            sides[name] = Side(tenant_id, token, services.contexts.of(made, "http://bridge.test/scim/v2"))
        target = Target(rig, sides)
        with closing(target):
            for name in _CONNECTIONS:
                await target.tidy(name)
            yield target
