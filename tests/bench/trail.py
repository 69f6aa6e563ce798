"""An audit trail as months of provisioning leave it, written past the bridge straight into its tables."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import msgspec
from sqlalchemy import insert

from app.store.audit import hash_key
from app.store.audit_hours import HOUR_COLUMNS, hour_rows
from app.store.audit_records import AuditCall, AuditEntry, AuditRecord, Facet, number_at, text_of
from app.store.connections import Connection
from app.store.store import Store
from app.store.tables import audit_facets, audit_hours, audit_keys, audit_records

DAYS = 90
BUSY_USER = "usr_busy"
"""Of whom there are as many records as `Filled.busy` says."""
RARE = "bridge-error"
"""A cause of which there are three records: the first one, one in the middle, and one among the last."""
_AT_ONCE_H = 24
_PATCH = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "***"},
        {"op": "replace", "path": "active", "value": True},
    ],
}
_USER = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "***",
    "externalId": "***",
    "name": {"givenName": "***", "familyName": "***"},
    "emails": [{"type": "work", "primary": True, "value": "***"}],
    "active": True,
}


class Kind(msgspec.Struct, frozen=True):
    """One sort of request: how often of a thousand, and what it is."""

    weight: int
    method: str
    route: str
    resource_type: str
    status: int
    cause: str = ""
    calls: tuple[str, ...] = ()
    body: object = None
    known: bool = True
    """Whether its connection was known."""


_GET, _SET = "GET {user}", "PATCH {user}"
KINDS = (
    Kind(340, "GET", "/Users", "User", 200, "", (_GET,)),
    Kind(160, "GET", "/Users/{id}", "User", 200, "", (_GET,)),
    Kind(310, "PATCH", "/Users/{id}", "User", 200, "", (_GET, _SET), _PATCH),
    Kind(60, "POST", "/Users", "User", 201, "", ("GET list", "POST users"), _USER),
    Kind(30, "PUT", "/Users/{id}", "User", 200, "", (_GET, _SET), _USER),
    Kind(40, "PATCH", "/Groups/{id}", "Group", 204, "", ("POST members",), _PATCH),
    Kind(10, "DELETE", "/Users/{id}", "User", 204, "", (_GET, "DELETE user")),
    Kind(18, "POST", "/Users", "User", 409, "conflict", ("GET list",), _USER),
    Kind(12, "GET", "/Users/{id}", "User", 404, "not-found", (_GET,)),
    Kind(7, "PATCH", "/Users/{id}", "User", 400, "invalid-value", (_GET,), _PATCH),
    Kind(6, "PATCH", "/Users/{id}", "User", 503, "platform-unavailable", (_GET, _GET, _GET), _PATCH),
    Kind(4, "DELETE", "/Users/{id}", "User", 429, "stopped", (_GET,)),
    Kind(3, "GET", "/Users", "User", 401, "unauthenticated", known=False),
)
_RARE_KIND = Kind(0, "PUT", "/Users/{id}", "User", 500, RARE, (_GET,), _USER)


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What is there to be asked for."""

    rows: int
    busy: int
    user_id: str
    """A user with some twenty records, and a userName."""
    user_name: str
    correlation_id: str
    """Of one request from the middle, whose record is `middle_id`."""
    failed_id: str
    """The record of a failure."""
    middle_id: str
    first_id: str
    second_id: str
    """The two oldest records, the oldest first."""


async def fill(store: Store, connections: Sequence[Connection], rows: int, now: datetime) -> Filled:
    """Write as many records, with their keys and hours, up to `now`; the tables are to be empty."""
    secret = await store.audit.secret()
    ids: dict[Facet, int] = {}
    made = _Maker(connections, rows, now, secret)
    keys: list[dict[str, object]] = []
    records: list[dict[str, object]] = []
    entries: list[AuditEntry] = []

    async def flush() -> None:
        async with store.db.write() as db:
            new = sorted({e.facet for e in entries} - ids.keys(), key=msgspec.structs.astuple)
            for facet in new:
                ids[facet] = len(ids) + 1
                await db.execute(insert(audit_facets), {"id": ids[facet], **msgspec.structs.asdict(facet)})
            for record, entry in zip(records, entries, strict=True):
                record["facet_id"] = ids[entry.facet]
            await db.execute(insert(audit_records), records)
            if keys:
                await db.execute(insert(audit_keys), keys)
            hours = [dict(zip(HOUR_COLUMNS, row, strict=True)) for row in hour_rows(entries, ids)]
            await db.execute(insert(audit_hours), hours)
        for each in (keys, records, entries):
            each.clear()

    for hour in range(DAYS * 24):
        for number, entry in made.hour(hour):
            entries.append(entry)
            records.append(
                {
                    "id": number,
                    "resource_id": entry.resource_id,
                    "correlation_id": entry.correlation_id,
                    "record": entry.text,
                }
            )
            keys += [{"key": key, "record_id": number} for key in entry.keys]
        # Whole hours: what they come to is written once.
        if entries and (hour + 1) % _AT_ONCE_H == 0:
            await flush()
    return made.filled()


class _Maker:
    """Draws requests; the same ones for the same number of rows."""

    def __init__(self, connections: Sequence[Connection], rows: int, now: datetime, secret: bytes) -> None:
        self._random = random.Random(rows)  # noqa: S311 - figures, not secrets
        self._connections = connections
        self._rows = rows
        self._secret = secret
        self._begin = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
        self._users = max(10, rows // 20)
        self._busy = max(60, min(10_000, rows // 20))
        self._rare = (0, rows // 2, rows - 2)
        self._count = 0
        self._at = 0
        self._numbers: list[int] = []
        self._correlation_id = self._failed_id = self._middle_id = ""

    def hour(self, hour: int) -> Iterator[tuple[int, AuditEntry]]:
        """The requests of one hour of all, each with the number of its record."""
        whole = DAYS * 24
        first, last = self._rows * hour // whole, self._rows * (hour + 1) // whole
        for n in range(first, last):
            begun = self._begin + timedelta(hours=hour, seconds=3590 * (n - first) / max(1, last - first))
            yield self._one(n, begun)

    def filled(self) -> Filled:
        """What was made."""
        return Filled(
            rows=self._rows,
            busy=self._busy,
            user_id=_user_id(1),
            user_name=_user_name(1),
            correlation_id=self._correlation_id,
            failed_id=self._failed_id,
            middle_id=self._middle_id,
            first_id=f"{self._numbers[0]:016x}",
            second_id=f"{self._numbers[1]:016x}",
        )

    def _one(self, n: int, begun: datetime) -> tuple[int, AuditEntry]:
        draw = self._random
        kind = _RARE_KIND if n in self._rare else draw.choices(KINDS, cum_weights=_WEIGHTS)[0]
        connection = draw.choices(self._connections, cum_weights=_shares(len(self._connections)))[0]
        busy = n % (self._rows // self._busy) == 0 and kind.known
        user = 0 if busy else draw.randrange(1, self._users)
        user_id = BUSY_USER if busy else _user_id(user)
        name = _user_name(user)
        call_s = [draw.lognormvariate(-3.3, 0.7) for _ in kind.calls]
        took_s = sum(call_s) + 0.004
        ended = begun + timedelta(seconds=took_s)
        correlation_id = f"{draw.getrandbits(112):028x}"
        concerns = kind.known and kind.status != 409
        record = AuditRecord(
            at=begun.astimezone(UTC),
            duration_s=round(took_s, 6),
            connection_id=connection.id if kind.known else "",
            connection=connection.name if kind.known else "",
            token_id="tok_bench" if kind.known else "",
            user_agent="Okta SCIM Client 1.0.0",
            address="203.0.113.7",
            correlation_id=correlation_id,
            method=kind.method,
            route=kind.route,
            resource_type=kind.resource_type,
            resource_id=user_id if concerns else None,
            names={"userName": "***"} if kind.route == "/Users" and kind.known else {},
            filter='userName eq "***"' if kind.method == "GET" and kind.route == "/Users" else None,
            plan="lookup by userName, 1 call" if kind.method == "GET" and kind.route == "/Users" else None,
            found=1 if kind.method == "GET" and kind.route == "/Users" and concerns else None,
            status=kind.status,
            detail="this did not work, and here is a sentence that says why" if kind.cause else None,
            cause=kind.cause,
            changed=("emails", "active") if kind.method == "PATCH" and not kind.cause else (),
            calls=tuple(_call(told, user_id, s) for told, s in zip(kind.calls, call_s, strict=True)),
            call_count=len(kind.calls),
            platform_s=round(sum(call_s), 6),
            body=kind.body,
        )
        named = kind.route == "/Users" and kind.known
        entry = AuditEntry(
            facet=Facet(
                record.connection_id, kind.method, kind.resource_type, kind.status, kind.cause, "client"
            ),
            ended_at=ended,
            duration_s=took_s,
            call_s=call_s,
            failed_calls=3 if kind.status == 503 else 0,
            resource_id=record.resource_id,
            correlation_id=correlation_id,
            text=text_of(record),
            keys=(hash_key(self._secret, "userName", name),) if named else (),
        )
        self._at = max(self._at + 1, number_at(ended))
        if len(self._numbers) < 2:
            self._numbers.append(self._at)
        if n >= self._rows // 2 and not self._correlation_id:
            self._correlation_id, self._middle_id = correlation_id, f"{self._at:016x}"
        if kind.cause:
            self._failed_id = f"{self._at:016x}"
        return self._at, entry


_WEIGHTS = tuple(accumulate(kind.weight for kind in KINDS))


def _shares(connections: int) -> tuple[int, ...]:
    """One connection has half of the requests, the next one a quarter, and so on."""
    return tuple(accumulate(2 ** (connections - n) for n in range(connections)))


def _call(told: str, user_id: str, duration_s: float) -> AuditCall:
    method, _, place = told.partition(" ")
    return AuditCall(
        method=method,
        path=f"/api/v1/tenants/tnt_bench/users/{user_id}"
        if place == "{user}"
        else f"/api/v1/tenants/tnt_bench/{place}",
        template="/api/v1/tenants/{tenant_id}/users/{user_id}",
        status=200,
        duration_s=round(duration_s, 6),
    )


def _user_id(number: int) -> str:
    return f"usr_{number:08d}"


def _user_name(number: int) -> str:
    return f"user{number:08d}@example.com" if number else "busy@example.com"
