"""`SCIM-Bridge-Dry-Run: true` on a write: what it would do is answered, and nothing is done.

The answer has the status and body of the write, and beside it, under `DRY_RUN`, the platform calls that would
have been made. What would have no body (204) answers 200 with that alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from litestar.types import Scope

from app.bridge.bulk import Bulk
from app.bridge.composition import UseCases
from app.bridge.context import Context
from app.bridge.dry_runs import DryRuns
from app.bridge.groups import Groups
from app.bridge.planned_calls import shown_calls
from app.bridge.refusals import PolicyForbids
from app.bridge.telling import telling
from app.bridge.users import Users
from app.platform.recording import CallPlanned
from app.platform.rehearsal import MADE_UP
from app.scim.errors import InvalidValue
from app.scim.schema import Resource

DRY_RUN = "urn:scim-bridge:schemas:2.0:DryRun"
HEADER = "SCIM-Bridge-Dry-Run"
SAID = {HEADER: "true"}
"""The header of every answer to a dry run."""

_FIELD = HEADER.lower().encode()
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Writing(Protocol):
    """The use cases that write: the real ones, or those of a dry run."""

    @property
    def users(self) -> Users:
        """`/Users`."""
        ...

    @property
    def groups(self) -> Groups:
        """`/Groups`."""
        ...

    @property
    def bulk(self) -> Bulk:
        """`/Bulk`."""
        ...


def prepare(scope: Scope, context: Context, dry_runs: DryRuns) -> None:
    """Before a request is handled: where it asks for a dry run, `writing` gives nothing that writes.

    Raises `PolicyForbids` where the connection may not ask, and `InvalidValue` for what is neither true nor
    false: whoever asks for a dry run must not get a write.
    """
    method: str = scope["method"]  # type: ignore[typeddict-item]
    if method not in _WRITES or scope["path"].endswith("/.search"):
        return
    asked = {value.strip().lower() for name, value in scope["headers"] if name == _FIELD}
    if asked <= {b"false"}:
        return
    if not context.dry_runs:
        raise PolicyForbids(
            "this connection may not ask for dry runs (policy dry_run); nothing was done: leave the header "
            f"{HEADER} out to have the write carried out"
        )
    if asked != {b"true"}:
        raise InvalidValue(f"{HEADER} is true or false; nothing was done")
    scope["state"]["dry_run"] = dry_runs.begin(context)
    story = telling()
    if story is not None:
        story.dry_run = True


def writing(scope: Scope) -> Writing:
    """The use cases for the writes of a request."""
    found: UseCases | None = scope["state"].get("dry_run")
    real: Writing = scope["litestar_app"].state.services
    return real if found is None else found


def is_dry_run(scope: Scope) -> bool:
    """Whether nothing is to be written for this request."""
    return "dry_run" in scope.get("state", {})


def told(context: Context, status: int) -> dict[str, Any]:
    """What the request that is being answered would have come to."""
    story = telling()
    changed = () if story is None else story.changed
    calls = () if story is None else story.recording.planned
    return report_of(context, status, changed, calls)


def report_of(
    context: Context, status: int, changed: Sequence[str], calls: Sequence[CallPlanned]
) -> dict[str, Any]:
    """What a write would have come to: its status, the attributes it changes, and its calls in order."""
    return {
        "status": status,
        "changed": list(changed),
        "calls": msgspec.to_builtins(shown_calls(context, calls)),
    }


def would_be(resource: Resource) -> Resource:
    """The resource without what it has only when it is written: a version, and a place if it is new."""
    if "meta" not in resource:
        return resource
    unknown = {"version", "location"} if is_made_up(resource.get("id")) else {"version"}
    return {**resource, "meta": {k: v for k, v in resource["meta"].items() if k not in unknown}}


def is_made_up(resource_id: str | None) -> bool:
    """Whether an id is that of what does not exist."""
    return resource_id is not None and resource_id.startswith(MADE_UP)
