"""The platform that only thinks: what it answers after writes that were never sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from app.platform.errors import Missing, PlatformError, Rejected, Taken, Unreadable
from app.platform.rehearsal import Behaviour, Rehearsal

USERS = "/api/v1/tenants/t1/users"
GROUPS = "/api/v1/tenants/t1/groups"
BEHAVIOUR = Behaviour(new_status="ACTIVE", merges_custom_attributes=False, searches_email=True, per_page=2)

ADA = {
    "id": "ada",
    "email": "ada@example.com",
    "email_verified": True,
    "display_name": "Ada",
    "status": "ACTIVE",
    "locale": "de",
    "custom_attributes": {"a": 1, "b": 2},
    "groups": [
        {"group_id": "g1", "name": "One", "membership_type": "DIRECT"},
        {"group_id": "g9", "name": "Nine", "membership_type": "INHERITED"},
    ],
}
BOB = {
    "id": "bob",
    "email": "bob@example.com",
    "status": "ACTIVE",
    "groups": [{"group_id": "g1", "name": "One"}],
}
CID = {"id": "cid", "email": "cid@example.com", "status": "ACTIVE", "groups": []}


class Real:
    """The real platform, which is only ever asked."""

    def __init__(self, **rehearsal: Any) -> None:
        self.asked: list[str] = []
        self.users = {u["id"]: u for u in (ADA, BOB, CID)}
        self.groups = {"g1": {"id": "g1", "name": "One", "created_at": "then"}}
        self.members = {"g1": ["ada", "bob", "cid"]}
        behaviour = msgspec.structs.replace(BEHAVIOUR, **rehearsal)
        path = "/api/v1/tenants/{tenant_id}/groups"
        self.rehearsal = Rehearsal(
            "t1", behaviour, groups_path=path, now=lambda: datetime(2026, 1, 1, tzinfo=UTC)
        )

    async def ask(self, path: str, resource_id: str | None) -> bytes:
        self.asked.append(path)
        place, _, query = path.partition("?")
        parts = place.removeprefix("/api/v1/tenants/t1/").split("/")
        asked = dict(each.split("=") for each in query.split("&")) if query else {}
        page, size = int(asked.get("page", 1)), int(asked.get("per_page", 2))
        match parts:
            case ["users"]:
                text = asked.get("search", "").replace("%40", "@").lower()
                rows = [u for u in self.users.values() if text in u["email"]]
            case ["groups"]:
                rows = list(self.groups.values())
            case ["users", user_id] if user_id in self.users:
                return msgspec.json.encode({"data": self.users[user_id]})
            case ["groups", group_id] if group_id in self.groups:
                return msgspec.json.encode({"data": self.groups[group_id]})
            case ["groups", group_id, "members"] if group_id in self.members:
                rows = [{"user_id": i, "display_name": None} for i in self.members[group_id]]
            case _:
                raise Missing(f"GET {place}", "no such resource")
        shown = rows[(page - 1) * size : page * size]
        pagination = {"page": page, "per_page": size, "total_items": len(rows), "total_pages": 9}
        return msgspec.json.encode({"data": shown, "pagination": pagination})

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else msgspec.json.encode(body)
        answer = await self.rehearsal.answer(self.ask, method, path, content, None)
        return msgspec.json.decode(answer) if answer else None

    async def get(self, path: str) -> Any:
        return await self.send("GET", path)

    async def members_of(self, group_id: str) -> list[list[str]]:
        """The ids on each page, as long as there are pages."""
        pages: list[list[str]] = []
        while True:
            page = await self.get(f"{GROUPS}/{group_id}/members?page={len(pages) + 1}&per_page=2")
            pages.append([row["user_id"] for row in page["data"]])
            if len(pages) * 2 >= page["pagination"]["total_items"]:
                return pages


async def test_what_was_not_written_to_is_as_it_is() -> None:
    real = Real()
    for path in (f"{USERS}/ada", f"{GROUPS}/g1", f"{USERS}?page=1&per_page=2", f"{GROUPS}?page=1&per_page=2"):
        assert await real.get(path) == msgspec.json.decode(await real.ask(path, None))
    assert await real.members_of("g1") == [["ada", "bob"], ["cid"]]
    assert real.rehearsal.calls == []


async def test_a_user_is_created_changed_and_deleted() -> None:
    real = Real()
    made = (await real.send("POST", USERS, {"email": "eve@example.com", "password": "x"}))["data"]
    assert made == {
        "id": "dry-run-user-1",
        "email": "eve@example.com",
        "status": "ACTIVE",
        "locale": "en",
        "timezone": "UTC",
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    place = f"{USERS}/{made['id']}"
    await real.send("PATCH", place, {"first_name": "Eve", "locale": None})
    await real.send("PUT", f"{place}/status", {"status": "DISABLED"})
    await real.send("POST", f"{place}/password/reset", {"method": "DIRECT", "new_password": "y"})
    found = (await real.get(place))["data"]
    assert (found["first_name"], found["locale"], found["status"]) == ("Eve", "en", "DISABLED")
    assert {"password", "new_password"}.isdisjoint(found)
    await real.send("DELETE", f"{place}?confirm_email=eve%40example.com")
    with pytest.raises(Missing):
        await real.get(place)
    again = (await real.send("POST", USERS, {"email": "eve@example.com"}))["data"]
    assert again["id"] == "dry-run-user-2"
    assert [(c.method, c.path) for c in real.rehearsal.calls] == [
        ("POST", USERS),
        ("PATCH", place),
        ("PUT", f"{place}/status"),
        ("POST", f"{place}/password/reset"),
        ("DELETE", f"{place}?confirm_email=eve%40example.com"),
        ("POST", USERS),
    ]
    # Nobody asks the real platform for what is made up.
    assert not any("dry-run" in path for path in real.asked)


@pytest.mark.parametrize("merges", [False, True])
async def test_custom_attributes(merges: bool) -> None:
    real = Real(merges_custom_attributes=merges)
    found = await real.send("PATCH", f"{USERS}/ada", {"custom_attributes": {"a": 1, "b": None, "c": 3}})
    whole = {"a": 1, "c": 3} if merges else {"a": 1, "b": None, "c": 3}
    assert found["data"]["custom_attributes"] == whole
    assert real.rehearsal.calls[0].kept == {"a"}


async def test_an_address_is_verified_until_it_changes() -> None:
    real = Real()
    for email, verified in (("ADA@example.com", True), ("ada.l@example.com", False)):
        found = await real.send("PATCH", f"{USERS}/ada", {"email": email})
        assert found["data"]["email_verified"] is verified


@pytest.mark.parametrize("searches", [True, False])
async def test_names_are_taken_by_what_is_there_and_by_what_would_be(searches: bool) -> None:
    real = Real(searches_email=searches)
    if searches:
        with pytest.raises(Taken, match="email"):
            await real.send("POST", USERS, {"email": "Bob@example.com"})
        with pytest.raises(Taken, match="email"):
            await real.send("PATCH", f"{USERS}/ada", {"email": "bob@example.com"})
    await real.send("PATCH", f"{USERS}/bob", {"email": "robert@example.com", "username": "rob"})
    await real.send("PATCH", f"{USERS}/bob", {"email": "robert@example.com", "username": "rob"})
    for body in ({"email": "robert@example.com"}, {"email": "x@example.com", "username": "ROB"}):
        with pytest.raises(Taken):
            await real.send("POST", USERS, body)
    # It is free again.
    await real.send("PATCH", f"{USERS}/ada", {"email": "bob@example.com"})
    await real.send("POST", GROUPS, {"name": "New"})
    for method, path in (("POST", GROUPS), ("PATCH", f"{GROUPS}/g1")):
        with pytest.raises(Taken):
            await real.send(method, path, {"name": "NEW"})


async def test_membership() -> None:
    real = Real()
    made = (await real.send("POST", GROUPS, {"name": "New"}))["data"]["id"]
    assert await real.members_of(made) == [[]]
    await real.send("POST", f"{GROUPS}/{made}/members", {"user_ids": ["ada", "bob", "cid"]})
    await real.send("DELETE", f"{GROUPS}/g1/members/bob")
    assert await real.members_of(made) == [["ada", "bob"], ["cid"]]
    assert await real.members_of("g1") == [["ada", "cid"]]
    assert await groups_of(real, "ada") == [("g1", "One"), ("g9", "Nine"), (made, "New")]
    assert await groups_of(real, "bob") == [(made, "New")]
    with pytest.raises(Missing):
        await real.send("DELETE", f"{GROUPS}/g1/members/bob")
    # What a user is through other groups ends with those alone.
    with pytest.raises(Missing):
        await real.send("DELETE", f"{GROUPS}/g9/members/ada")
    await real.send("DELETE", f"{GROUPS}/{made}/members/bob")
    await real.send("POST", f"{GROUPS}/g1/members", {"user_ids": ["bob"]})
    await real.send("PATCH", f"{GROUPS}/g1", {"name": "Uno"})
    assert await groups_of(real, "bob") == [("g1", "Uno")]
    assert await groups_of(real, "ada") == [("g1", "Uno"), ("g9", "Nine"), (made, "New")]
    listed = (await real.get(f"{GROUPS}?page=1&per_page=2"))["data"]
    assert [g["name"] for g in listed] == ["Uno"]
    await real.send("DELETE", f"{USERS}/bob?confirm_email=bob%40example.com")
    other = Real()
    await other.send("DELETE", f"{USERS}/cid?confirm_email=cid%40example.com")
    assert await other.members_of("g1") == [["ada", "bob"]]
    assert await real.members_of("g1") == [["ada", "cid"]]
    await real.send("DELETE", f"{GROUPS}/g1")
    assert await groups_of(real, "ada") == [("g9", "Nine"), (made, "New")]
    assert [g["name"] for g in (await real.get(f"{GROUPS}?page=1&per_page=2"))["data"]] == [""]
    for path in (f"{GROUPS}/g1", f"{GROUPS}/g1/members?page=1&per_page=2"):
        with pytest.raises(Missing):
            await real.get(path)
    with pytest.raises(Missing):
        await real.send("POST", f"{GROUPS}/g1/members", {"user_ids": ["ada"]})


async def groups_of(real: Real, user_id: str) -> list[tuple[str, str]]:
    return [(g["group_id"], g["name"]) for g in (await real.get(f"{USERS}/{user_id}"))["data"]["groups"]]


async def test_unknown_members_are_refused_with_all_others() -> None:
    real = Real()
    with pytest.raises(Rejected):
        await real.send("POST", f"{GROUPS}/g1/members", {"user_ids": ["ada", "nobody"]})
    assert await real.members_of("g1") == [["ada", "bob"], ["cid"]]
    assert len(real.rehearsal.calls) == 1


async def test_what_cannot_be_read() -> None:
    real = Real()

    async def broken(_path: str, _resource_id: str | None) -> bytes:
        return b"<html>"

    with pytest.raises(Unreadable) as caught:
        await real.rehearsal.answer(broken, "DELETE", f"{USERS}/ada", None, "ada")
    assert isinstance(caught.value, PlatformError)
    assert not caught.value.outcome_unknown
