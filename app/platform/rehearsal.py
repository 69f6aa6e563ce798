"""A platform that only thinks: writes are noted and answered, never sent.

Reads go to the real platform and show what the writes before would have made of it, so that a rehearsal may
have many steps. One serves one request, or one batch of them, of one tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from app.platform.errors import Missing, Rejected, Taken, Unreadable
from app.platform.recording import CallPlanned, recording
from app.wire.users import USERS_PATH

Ask: TypeAlias = Callable[[str, str | None], Awaitable[bytes]]
"""A GET at the real platform: path with query, and the id of the resource that a 404 means."""

Json: TypeAlias = dict[str, Any]

MADE_UP = "dry-run-"
"""How the ids of what does not exist begin."""

_DEFAULTS = {"locale": "en", "timezone": "UTC"}
"""What a user has who was given none, as the API's description says."""
_NOT_KEPT = ("password", "send_welcome_email")
_SEEN = 2000
"""Resources that are remembered as they were read."""

_encode = msgspec.json.Encoder().encode


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be known of a platform to think its part."""

    new_status: str
    """Of a user that was just created."""
    merges_custom_attributes: bool
    searches_email: bool
    per_page: int


class _Envelope(msgspec.Struct):
    data: Json


class _Page(msgspec.Struct):
    data: list[Json]
    pagination: Json


class Rehearsal:
    """Answers in place of the platform. Raises the errors that the platform's refusals are read as."""

    def __init__(
        self,
        tenant_id: str,
        behaviour: Behaviour,
        *,
        groups_path: str,
        user_include: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`groups_path` and `user_include` are those of the clients."""
        self.calls: list[CallPlanned] = []
        """All that would have been sent, in order."""
        tenant = quote(tenant_id, safe="")
        self._users_path = USERS_PATH.format(tenant_id=tenant)
        self._groups_path = groups_path.replace("{tenant_id}", tenant)
        self._include = f"?include={quote(user_include)}" if user_include else ""
        self._is = behaviour
        self._now = now
        self._users: dict[str, Json | None] = {}
        self._groups: dict[str, Json | None] = {}
        self._members: dict[tuple[str, str], bool] = {}
        """By group and user, whether the user would be a member now; only what would be different."""
        self._seen: dict[str, bytes] = {}

    async def answer(
        self, ask: Ask, method: str, path: str, content: bytes | None, resource_id: str | None
    ) -> bytes:
        """The body of the platform's answer to a call that goes well."""
        place, _, query = path.partition("?")
        body = None if content is None else msgspec.json.decode(content)
        kind, parts = self._parts(place)
        if method == "GET":
            return await self._read(ask, path, resource_id, kind, parts, dict(parse_qsl(query)))
        await self._note(ask, method, path, body, kind, parts)
        call = f"{method} {place}"
        if kind == "users":
            return await self._write_user(ask, call, method, parts, body or {})
        return await self._write_group(ask, call, method, parts, body or {})

    def _parts(self, place: str) -> tuple[str, list[str]]:
        """`users` or `groups`, and what follows in the path."""
        for kind, root in (("users", self._users_path), ("groups", self._groups_path)):
            if place == root or place.startswith(f"{root}/"):
                return kind, [unquote(p) for p in place[len(root) :].split("/")[1:]]
        return "", []

    async def _note(self, ask: Ask, method: str, path: str, body: Any, kind: str, parts: list[str]) -> None:
        kept: frozenset[str] = frozenset()
        if method == "PATCH" and kind == "users" and isinstance(body.get("custom_attributes"), dict):
            present = (await self._user(ask, parts[0])).get("custom_attributes") or {}
            sent = body["custom_attributes"]
            kept = frozenset(k for k, v in sent.items() if k in present and present[k] == v)
        call = CallPlanned(method=method, path=path, body=body, kept=kept)
        self.calls.append(call)
        if (noted := recording()) is not None:
            noted.planned.append(call)

    # --- reading --------------------------------------------------------------------------------------------

    async def _read(
        self,
        ask: Ask,
        path: str,
        resource_id: str | None,
        kind: str,
        parts: list[str],
        query: Mapping[str, str],
    ) -> bytes:
        match kind, parts:
            case "users", [user_id]:
                return _encode({"data": self._with_groups(await self._user(ask, user_id))})
            case "groups", []:
                return self._group_rows(await ask(path, resource_id))
            case "groups", [group_id]:
                return _encode({"data": await self._group(ask, group_id)})
            case "groups", [group_id, "members"]:
                return await self._member_page(ask, path, group_id, query)
            case _:
                return await ask(path, resource_id)

    async def _user(self, ask: Ask, user_id: str) -> Json:
        """The user as it would be, but for its groups."""
        if user_id not in self._users:
            path = f"{self._users_path}/{quote(user_id, safe='')}"
            return await self._one(ask, path + self._include, user_id)
        found = self._users[user_id]
        if found is None:
            raise Missing(f"GET {self._users_path}/{user_id}", "the user would be gone")
        return found

    async def _group(self, ask: Ask, group_id: str) -> Json:
        path = f"{self._groups_path}/{quote(group_id, safe='')}"
        if group_id not in self._groups:
            return await self._one(ask, path, group_id)
        found = self._groups[group_id]
        if found is None:
            raise Missing(f"GET {path}", "the group would be gone")
        return found

    async def _one(self, ask: Ask, path: str, resource_id: str) -> Json:
        if resource_id.startswith(MADE_UP):
            raise Missing(f"GET {path.partition('?')[0]}", "it was never made")
        body = self._seen.get(path)
        if body is None:
            body = await ask(path, resource_id)
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            self._seen[path] = body
        found: Json = _decoded(body, _Envelope, path).data
        return found

    def _with_groups(self, user: Json) -> Json:
        if not self._members and not self._groups:
            return user
        user_id, found = user["id"], []
        for row in user.get("groups") or ():
            group = self._groups.get(row["group_id"], row)
            is_direct = row.get("membership_type", "DIRECT") == "DIRECT"
            left = is_direct and self._members.get((row["group_id"], user_id)) is False
            if group is not None and not left:
                found.append({**row, "name": group["name"]})
        for (group_id, member_id), joined in self._members.items():
            group = self._groups.get(group_id)
            if joined and member_id == user_id and group is not None:
                row = {"group_id": group_id, "name": group["name"], "membership_type": "DIRECT"}
                found = [r for r in found if r["group_id"] != group_id] + [row]
        return {**user, "groups": found}

    def _group_rows(self, body: bytes) -> bytes:
        """A page of groups as they would be named; what would be gone keeps its row, and nobody finds it."""
        if not self._groups:
            return body
        page = _decoded(body, _Page, self._groups_path)
        rows = [self._groups.get(row["id"], row) or {**row, "name": ""} for row in page.data]
        return _encode({"data": rows, "pagination": page.pagination})

    async def _member_page(self, ask: Ask, path: str, group_id: str, query: Mapping[str, str]) -> bytes:
        changed = {user: now for (group, user), now in self._members.items() if group == group_id}
        gone = {user for user, found in self._users.items() if found is None}
        if group_id not in self._groups and not changed and not gone:
            return await ask(path, group_id)
        await self._group(ask, group_id)
        size, number = int(query["per_page"]), int(query["page"])
        rows: dict[str, Json] = {}
        if not group_id.startswith(MADE_UP):
            rows = await self._all_members(ask, path.partition("?")[0], group_id, size)
        for user_id, joined in changed.items():
            rows.pop(user_id, None)
            if joined and user_id not in gone:
                name = (await self._user(ask, user_id)).get("display_name")
                rows[user_id] = {"user_id": user_id, "display_name": name, "membership_type": "DIRECT"}
        ordered = [rows[user_id] for user_id in sorted(rows.keys() - gone)]
        total = len(ordered)
        return _encode(
            {
                "data": ordered[(number - 1) * size : number * size],
                "pagination": {
                    "page": number,
                    "per_page": size,
                    "total_items": total,
                    "total_pages": -(-total // size),
                },
            }
        )

    async def _all_members(self, ask: Ask, place: str, group_id: str, size: int) -> dict[str, Json]:
        rows: dict[str, Json] = {}
        number = 1
        while True:
            path = f"{place}?{urlencode({'page': number, 'per_page': size})}"
            page = _decoded(await ask(path, group_id), _Page, place)
            rows |= {row["user_id"]: row for row in page.data}
            if not page.data or number * size >= page.pagination["total_items"]:
                return rows
            number += 1

    # --- writing --------------------------------------------------------------------------------------------

    async def _write_user(self, ask: Ask, call: str, method: str, parts: list[str], body: Json) -> bytes:
        now = self._now().isoformat()
        if not parts:
            await self._check_free(ask, call, body, None)
            user_id = f"{MADE_UP}user-{sum(i.startswith(MADE_UP) for i in self._users) + 1}"
            kept = {name: value for name, value in body.items() if name not in _NOT_KEPT}
            user = {"status": self._is.new_status, "created_at": now, **_DEFAULTS, **kept, "id": user_id}
            self._users[user_id] = user
            return _encode({"data": user})
        user_id, *rest = parts
        user = await self._user(ask, user_id)
        match method, rest:
            case "PATCH", []:
                await self._check_free(ask, call, body, user)
                user = {**user, **self._changes(user, body), "updated_at": now}
            case "PUT", ["status"]:
                user = {**user, "status": body["status"], "updated_at": now}
            case "POST", ["password", "reset"]:
                user = {**user, "password_changed_at": now}
            case "DELETE", []:
                self._users[user_id] = None
                return b""
            case _:
                raise NotImplementedError(call)
        self._users[user_id] = user
        return _encode({"data": self._with_groups(user)})

    def _changes(self, user: Json, body: Json) -> Json:
        changes = {n: _DEFAULTS.get(n) if v is None else v for n, v in body.items()}
        custom = body.get("custom_attributes")
        if custom is not None and self._is.merges_custom_attributes:
            merged = {**(user.get("custom_attributes") or {}), **custom}
            changes["custom_attributes"] = {k: v for k, v in merged.items() if v is not None}
        if "email" in body and str(body["email"]).casefold() != str(user["email"]).casefold():
            changes["email_verified"] = False
        return changes

    async def _check_free(self, ask: Ask, call: str, body: Json, user: Json | None) -> None:
        """Raise `Taken` for an address or username that another user has; the platform would say so."""
        own = None if user is None else user["id"]
        for field in ("email", "username"):
            value = body.get(field)
            if not isinstance(value, str) or (user is not None and _same(user.get(field), value)):
                continue
            others = (u for u in self._users.values() if u is not None and u["id"] != own)
            if any(_same(other.get(field), value) for other in others):
                raise Taken(call, f"{field} would be in use")
        email = body.get("email")
        if not isinstance(email, str) or not self._is.searches_email:
            return
        if user is not None and _same(user["email"], email):
            return
        query = urlencode({"search": email, "page": 1, "per_page": self._is.per_page})
        page = _decoded(await ask(f"{self._users_path}?{query}", None), _Page, self._users_path)
        # Whoever was written to before has been looked at above.
        rows = (row for row in page.data if row["id"] not in self._users and row["id"] != own)
        if any(_same(row["email"], email) for row in rows):
            raise Taken(call, "email is in use")

    async def _write_group(self, ask: Ask, call: str, method: str, parts: list[str], body: Json) -> bytes:
        now = self._now().isoformat()
        if not parts:
            self._check_name(call, body["name"], None)
            group_id = f"{MADE_UP}group-{sum(i.startswith(MADE_UP) for i in self._groups) + 1}"
            group = self._groups[group_id] = {"id": group_id, "name": body["name"], "created_at": now}
            return _encode({"data": group})
        group_id, *rest = parts
        group = await self._group(ask, group_id)
        match method, rest:
            case "PATCH", []:
                self._check_name(call, body["name"], group_id)
                group = self._groups[group_id] = {**group, "name": body["name"], "updated_at": now}
                return _encode({"data": group})
            case "DELETE", []:
                self._groups[group_id] = None
                return b""
            case "POST", ["members"]:
                await self._join(ask, call, group, body["user_ids"])
                return b"{}"
            case "DELETE", ["members", user_id]:
                await self._leave(ask, call, group_id, user_id)
                return b""
            case _:
                raise NotImplementedError(call)

    def _check_name(self, call: str, name: str, own: str | None) -> None:
        others = (g for g in self._groups.values() if g is not None and g["id"] != own)
        if any(_same(group["name"], name) for group in others):
            raise Taken(call, "a group would have this name")

    async def _join(self, ask: Ask, call: str, group: Json, user_ids: list[str]) -> None:
        found = await asyncio.gather(*(self._user(ask, i) for i in user_ids), return_exceptions=True)
        for each in found:
            if isinstance(each, Missing):
                raise Rejected(call, "user_ids: unknown user")
            if isinstance(each, BaseException):
                raise each
        self._groups.setdefault(group["id"], group)
        self._members.update(((group["id"], user_id), True) for user_id in user_ids)

    async def _leave(self, ask: Ask, call: str, group_id: str, user_id: str) -> None:
        is_member = self._members.get((group_id, user_id))
        if is_member is None:
            rows = (await self._user(ask, user_id)).get("groups") or ()
            is_member = any(
                r["group_id"] == group_id and r.get("membership_type", "DIRECT") == "DIRECT" for r in rows
            )
        if not is_member:
            raise Missing(call, "the user is not a member of this group")
        self._members[group_id, user_id] = False


def _decoded(body: bytes, kind: Any, place: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        detail = f"the answer is not of the platform's form: {exc}"
        raise Unreadable(f"GET {place.partition('?')[0]}", detail) from exc


def _same(value: object, other: str) -> bool:
    return isinstance(value, str) and value.casefold() == other.casefold()
