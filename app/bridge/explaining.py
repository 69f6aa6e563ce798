"""What the bridge would do, and why: a search's plan, a PATCH's calls; and what a search then came to."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import msgspec

from app.bridge.changes import patched
from app.bridge.context import Context
from app.bridge.query import Query
from app.bridge.resources import Resources
from app.bridge.search import Search
from app.bridge.steps import FieldStep, ResetPassword, SetFields, SetStatus
from app.bridge.writing import plan_write
from app.mapping.deleted import is_deleted
from app.planning.calls import Call
from app.planning.explain import Explanation, explain
from app.planning.lookups import PLATFORM_ID, match_for
from app.planning.plan import Plan
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.platform.recording import CallMade, recorded
from app.scim.errors import NotFound
from app.scim.patch import read_patch
from app.wire.users import USERS_PATH, PlatformUser


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a search came to when it was run."""

    ms: float
    """From the plan to the last user."""
    total: int
    """`totalResults`."""
    resources: int
    """Users on the page."""
    calls: tuple[CallMade, ...]
    """The platform calls that were made, in the order of their answers."""


class Explained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to "how?"."""

    plan: Explanation
    ran: Ran | None = None
    """Where it was asked for."""


class Explainer:
    """Explains searches and changes of users; writes nothing."""

    def __init__(self, platform: PlatformClient, resources: Resources, search: Search) -> None:
        self._platform = platform
        self._resources = resources
        self._search = search

    async def search(self, context: Context, query: Query, *, run: bool) -> Explained:
        """How a search for users is answered as things are now; with `run`, also what it came to."""
        plan = explain(
            await self._search.plan(context, query),
            context.mapping,
            tenant_id=context.tenant_id,
            start_index=query.start_index,
            count=query.count,
            projection=query.projection,
        )
        if not run:
            return Explained(plan=plan)
        begun = time.perf_counter()
        with recorded() as calls:
            found = await self._search.run(context, query)
        ran = Ran(
            ms=(time.perf_counter() - begun) * 1000,
            total=found.total,
            resources=len(found.resources),
            calls=tuple(calls),
        )
        return Explained(plan=plan, ran=ran)

    async def patch(self, context: Context, user_id: str, body: object) -> Explained:
        """The calls that a PATCH of a user would make; reads the user. Raises `ScimError`."""
        operations = read_patch(body, context.dialect)
        if PLATFORM_ID.fullmatch(user_id) is None:
            raise _not_found(user_id)
        try:
            current = await self._platform.get_user(context.tenant_id, user_id)
        except Missing as exc:
            raise _not_found(user_id) from exc
        before = await self._resources.one(context, current)
        if is_deleted(before):
            raise _not_found(user_id)
        after = patched(context, before, operations)
        write = plan_write(context, current, after, before=before)
        user = f"{USERS_PATH.format(tenant_id=quote(context.tenant_id, safe=''))}/{quote(user_id, safe='')}"
        calls = [_call("GET", user, None, "the live user, to compare with")]
        name = str(after["userName"])
        if name.casefold() != str(before["userName"]).casefold():
            lookup = match_for("userName", name, context.mapping)
            found = Plan(source=lookup, residual=None)
            calls += explain(found, context.mapping, tenant_id=context.tenant_id).calls
        writes = [_write_call(context, current, user, step) for step in write.steps]
        calls += writes
        count = len(writes)
        return Explained(
            plan=Explanation(
                source=f"a PATCH of the user with the id {user_id}",
                calls=tuple(calls),
                least_calls=1 + count,
                most_calls=1 + count if len(calls) == 1 + count else None,
                cost="nothing differs: only the user is read"
                if not writes
                else f"one read, {count} to write",
            )
        )


def as_json(explained: Explained) -> Any:
    """As JSON values."""
    return msgspec.to_builtins(explained)


def _write_call(context: Context, current: PlatformUser, path: str, step: FieldStep) -> Call:
    match step:
        case SetFields():
            body = step.body(current, merges=context.mapping.platform.merges_custom_attributes)
            return _call("PATCH", path, tuple(sorted(msgspec.to_builtins(body))), "fields that differ")
        case SetStatus():
            return _call("PUT", f"{path}/status", (f"status: {step.to}",), "the status differs")
        case ResetPassword():
            return _call("POST", f"{path}/password/reset", ("new_password",), "a password is set")


def _not_found(user_id: str) -> NotFound:
    return NotFound(f"User {user_id[:128]!r} does not exist")


def _call(method: str, path: str, body: tuple[str, ...] | None, why: str) -> Call:
    return Call(method=method, path=path, body=body, times="1", why=why)
