"""The audit trail's records, what is asked of them, and what they come to by the hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec

Actor: TypeAlias = Literal["client", "recovery"]
"""Who acted: a SCIM client, or the bridge itself, which finishes or undoes what was left half-way."""

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the buckets of a histogram, in seconds; there is one more for what takes longer."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_US = 1024
"""Ids within one microsecond."""
_LARGEST = 2**63 - 1


class AuditCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One platform call of a request, or one attempt at it."""

    method: str
    path: str
    """With the ids; the values of query parameters are masked."""
    template: str
    """With `{tenant_id}`, `{user_id}` and the like in place of the ids; without query."""
    status: int | None = None
    """None where no answer came."""
    failure: str | None = None
    """Why no answer came, where none did."""
    duration_s: float
    attempt: int = 1
    """From 1; above where the same call had failed before."""
    planned: bool = False
    """A dry run would have made it; it was not made, and has neither status nor duration."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One SCIM request, one operation of a bulk request, or one write that recovery finished.

    Values of attributes are masked (`***`) as the mapping and the connection's policy `audit_values` say.
    """

    id: str = ""
    """16 hexadecimal digits; ids of records that were recorded later are greater, as text too."""
    at: datetime
    """When the request began, UTC."""
    duration_s: float
    actor: Actor = "client"
    connection_id: str = ""
    """Empty where the request was refused before its connection was known."""
    connection: str = ""
    """The connection's name at that time."""
    token_id: str = ""
    """Of the bearer token, or of the access token that was given out."""
    credential_id: str = ""
    """By what an access token was got: the OAuth client's secret (`sec_…`) or the trust (`fed_…`)."""
    user_agent: str = ""
    address: str = ""
    """The client's address, behind trusted proxies."""
    correlation_id: str
    method: str
    route: str
    """`/Users`, `/Users/{id}`, `/Groups/.search` and the like."""
    resource_type: str = ""
    """`User`, `Group`, `Role`, `Entitlement`, `Bulk` for a request with many operations, `Client` for one for
    an access token; empty where it concerns none, or several."""
    resource_id: str | None = None
    """Of a created resource, too, and of the only one that a search found."""
    names: dict[str, str] = {}
    """`userName`, `externalId` and `displayName` of a group, as far as the request tells; masked or kept."""
    filter: str | None = None
    plan: str | None = None
    """How a search was answered: the plan that `scim-bridge explain` shows."""
    found: int | None = None
    """`totalResults` of a search."""
    status: int
    """Of the answer; 0 where none was sent because the client had gone."""
    scim_type: str | None = None
    detail: str | None = None
    """What the error said."""
    cause: str = ""
    """Empty: no failure. Else one of `CAUSES`."""
    changed: tuple[str, ...] = ()
    """Names of the attributes that a write changed, or was to change."""
    dry_run: bool = False
    """Nothing was changed: the client has asked what would be."""
    calls: tuple[AuditCall, ...] = ()
    """The first platform calls, then those that a dry run would have made; `call_count` tells how many."""
    call_count: int = 0
    platform_s: float = 0.0
    """Time of all platform calls together; some may have run side by side."""
    body: Any = None
    """The request's body with values masked; None where there was none that could be read."""


CAUSES = (
    *("unauthenticated", "forbidden", "policy", "stopped", "not-found", "conflict", "precondition"),
    "throttled",
    *("invalid-value", "invalid-filter", "invalid-request", "platform-throttled", "platform-unavailable"),
    *("platform-error", "busy", "bridge-error", "no-answer"),
)
"""Why requests fail, coarse enough to count: see examples/operations.md, "Audit"."""


class Facet(msgspec.Struct, frozen=True, gc=False):
    """What records are counted and filtered by."""

    connection_id: str
    method: str
    resource_type: str
    status: int
    cause: str
    actor: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request as it is handed to `Audit.append`."""

    facet: Facet
    ended_at: datetime
    duration_s: float
    call_s: Sequence[float] = ()
    """Seconds that each platform call took."""
    failed_calls: int = 0
    resource_id: str | None = None
    correlation_id: str = ""
    text: str | None
    """The record as JSON; None: it is only counted."""
    counts: bool = True
    """Whether it is among what requests came to: what only was a dry run did not fail anybody."""
    keys: tuple[bytes, ...] = ()
    """Keys of `Audit.key_of` under which a history finds it, beside the resource's id."""


def text_of(record: AuditRecord) -> str:
    """The record as JSON, without id. Raises UnicodeEncodeError for what is no text."""
    return _encode(record).decode()


def record_of(number: int, text: str) -> AuditRecord:
    """The record of a number."""
    return msgspec.structs.replace(_decode(text), id=id_of(number))


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What records are asked for; None asks for nothing in particular."""

    connection_id: str | None = None
    """Empty: those refused before their connection was known."""
    failures: bool = False
    """Only requests that failed."""
    status: int | None = None
    status_class: int | None = None
    """2, 3, 4 or 5."""
    method: str | None = None
    resource_type: str | None = None
    cause: str | None = None
    actor: str | None = None
    text: str | None = None
    """An id of a resource, a correlation id, a userName (in any case) or an externalId, in full.

    By a name also those records are found which know only the id of a resource that had this name.
    """
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive. Both are of the time at which a request was answered."""

    def takes(self, facet: Facet) -> bool:
        """Whether records of a facet can be among those asked for."""
        return (
            (self.connection_id is None or self.connection_id == facet.connection_id)
            and (not self.failures or facet.cause != "")
            and self.status in (None, facet.status)
            and self.status_class in (None, facet.status // 100)
            and self.method in (None, facet.method)
            and self.resource_type in (None, facet.resource_type)
            and self.cause in (None, facet.cause)
            and self.actor in (None, facet.actor)
        )


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Records, the latest first."""

    records: tuple[AuditRecord, ...]
    next: str | None
    """For `before`, to have the following page; None on the last one."""


class AuditHour(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests of one facet came to in one hour."""

    hour: datetime
    """Its beginning, UTC."""
    facet: Facet
    requests: int
    duration_s: float
    """Of all requests together."""
    calls: int
    """Platform calls."""
    failed_calls: int
    call_s: float
    """Of all platform calls together."""
    longest_call_s: float
    request_buckets: tuple[int, ...]
    """Requests by duration: up to each of `BUCKETS_S`, but not up to the one before; then the longer ones."""
    call_buckets: tuple[int, ...]
    """Platform calls, the same way."""


class FailureShare(msgspec.Struct, frozen=True, kw_only=True):
    """How near a client is to giving up on a connection."""

    requests: int
    failures: int

    @property
    def share(self) -> float:
        """Failures among the requests, 0 to 1."""
        return self.failures / self.requests if self.requests else 0.0

    @property
    def quarantined(self) -> bool:
        """Whether Microsoft Entra ID would quarantine its job: over 40 % from 5,000 on, or 40,000."""
        return self.failures >= 40_000 or (self.failures >= 5_000 and self.share > 0.4)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditRecord).decode


def record_time(number: int) -> datetime:
    """When the record of this number was recorded."""
    return _EPOCH + (number // _PER_US) * _MICROSECOND


def number_at(at: datetime) -> int:
    """The least number that a record of this time can have."""
    return min(max(0, (at - _EPOCH) // _MICROSECOND * _PER_US), _LARGEST)


def id_of(number: int) -> str:
    """A record's number as its id."""
    return f"{number:016x}"


def number_of(record_id: str) -> int | None:
    """The number of an id; None for a text that is no id."""
    try:
        number = int(record_id, 16)
    except ValueError:
        return None
    return number if 0 <= number <= _LARGEST and record_id == id_of(number) else None
