"""Twenty clients at once, each with a socket of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

CLIENTS = 20
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Call(NamedTuple):
    """One request."""

    method: str
    path: str
    body: Any = None
    if_match: str | None = None


class Place(NamedTuple):
    """The same bridge at one or more URLs."""

    urls: list[str]
    token: str

    def send(self, *calls: Call) -> list[httpx.Response]:
        """All at once, one client and socket each, the bridges in turn; the answers in order."""

        async def everything() -> list[httpx.Response]:
            start = asyncio.Barrier(len(calls))
            return await asyncio.gather(*(self._one(n, c, start) for n, c in enumerate(calls)))

        return asyncio.run(everything())

    async def _one(self, number: int, call: Call, start: asyncio.Barrier) -> httpx.Response:
        url = self.urls[number % len(self.urls)]
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            # The socket is open before the start.
            await client.get("/ServiceProviderConfig")
            await start.wait()
            condition = {} if call.if_match is None else {"If-Match": call.if_match}
            return await client.request(call.method, call.path, json=call.body, headers=condition)

    def one(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.send(Call(method, path, body))[0]

    def users(self, count: int) -> list[str]:
        """New users' ids."""
        made = self.send(
            *(
                Call("POST", "/Users", {"schemas": [USER], "userName": f"{uuid.uuid4()}@example.com"})
                for _ in range(count)
            )
        )
        assert {a.status_code for a in made} == {201}, [a.text for a in made if a.status_code != 201]
        return [a.json()["id"] for a in made]

    def group(self, members: Sequence[str] = ()) -> str:
        """A new group's id."""
        body = {
            "schemas": [GROUP],
            "displayName": str(uuid.uuid4()),
            "members": [{"value": m} for m in members],
        }
        answer = self.one("POST", "/Groups", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def members(self, group_id: str) -> set[str]:
        """Who is a member, by every bridge alike."""
        answers = self.send(*(Call("GET", f"/Groups/{group_id}") for _ in self.urls))
        lists = [[m["value"] for m in a.json().get("members", ())] for a in answers]
        assert all(len(found) == len(set(found)) for found in lists), "a member is listed twice"
        assert len({frozenset(found) for found in lists}) == 1, "the bridges differ"
        return set(lists[0])


def patch(group_id: str, *operations: dict[str, Any]) -> Call:
    return Call("PATCH", f"/Groups/{group_id}", {"schemas": [PATCH_OP], "Operations": list(operations)})


def operation(op: str, ids: Sequence[str]) -> dict[str, Any]:
    return {"op": op, "path": "members", "value": [{"value": i} for i in ids]}


def check(answers: Sequence[httpx.Response], *statuses: int) -> None:
    wrong = [f"{a.status_code} {a.text}" for a in answers if a.status_code not in statuses]
    assert not wrong, wrong
