"""The audit trail in the database: recorded, found in every way, counted by the hour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from app.store.audit_records import (
    BUCKETS_S,
    AuditCall,
    AuditEntry,
    AuditFilter,
    AuditRecord,
    Facet,
    FailureShare,
    id_of,
    number_at,
    number_of,
    record_time,
    text_of,
)
from app.store.store import Store

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def record(**given: object) -> AuditRecord:
    values: dict[str, object] = {
        "at": NOON,
        "duration_s": 0.02,
        "connection_id": "con_a",
        "method": "GET",
        "route": "/Users/{id}",
        "resource_type": "User",
        "resource_id": "usr_1",
        "correlation_id": "req-1",
        "status": 200,
    }
    return AuditRecord(**(values | given))  # type: ignore[arg-type]


def entry(found: AuditRecord, **given: object) -> AuditEntry:
    facet = Facet(
        found.connection_id, found.method, found.resource_type, found.status, found.cause, found.actor
    )
    values: dict[str, object] = {
        "facet": facet,
        "ended_at": found.at + timedelta(seconds=found.duration_s),
        "duration_s": found.duration_s,
        "resource_id": found.resource_id,
        "correlation_id": found.correlation_id,
        "text": text_of(found),
    }
    return AuditEntry(**(values | given))  # type: ignore[arg-type]


async def ids(store: Store, wanted: AuditFilter) -> list[str]:
    return [found.correlation_id for found in (await store.audit.page(wanted)).records]


@pytest.fixture
async def trail(store: Store) -> AsyncIterator[Store]:
    """Six requests, the earliest first."""
    ann = await store.audit.key_of("userName", "Ann@Example.com")
    external = await store.audit.key_of("externalId", "E-1")
    await store.audit.append(
        [
            entry(
                record(
                    correlation_id="failed",
                    method="POST",
                    status=409,
                    cause="conflict",
                    resource_id=None,
                    route="/Users",
                ),
                keys=(ann,),
            ),
            entry(
                record(correlation_id="made", method="POST", status=201, route="/Users"), keys=(ann, external)
            ),
        ]
    )
    await store.audit.append(
        [
            entry(record(correlation_id="read")),
            entry(record(correlation_id="other", resource_id="usr_2", connection_id="con_b")),
            entry(
                record(
                    correlation_id="group",
                    resource_id="grp_1",
                    resource_type="Group",
                    method="PATCH",
                    status=503,
                    cause="platform-unavailable",
                )
            ),
            entry(
                record(
                    correlation_id="refused",
                    resource_id=None,
                    resource_type="",
                    connection_id="",
                    status=401,
                    cause="unauthenticated",
                )
            ),
        ]
    )
    yield store


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditFilter(), ["refused", "group", "other", "read", "made", "failed"]),
        (AuditFilter(connection_id="con_b"), ["other"]),
        (AuditFilter(connection_id=""), ["refused"]),
        (AuditFilter(connection_id="con_c"), []),
        (AuditFilter(failures=True), ["refused", "group", "failed"]),
        (AuditFilter(failures=True, connection_id="con_a"), ["group", "failed"]),
        (AuditFilter(status_class=2), ["other", "read", "made"]),
        (AuditFilter(status=201), ["made"]),
        (AuditFilter(method="POST"), ["made", "failed"]),
        (AuditFilter(method="POST", status_class=5), []),
        (AuditFilter(resource_type="Group"), ["group"]),
        (AuditFilter(cause="conflict"), ["failed"]),
        (AuditFilter(actor="recovery"), []),
        (AuditFilter(text="usr_1"), ["read", "made"]),
        (AuditFilter(text="usr_2"), ["other"]),
        (AuditFilter(text="group"), ["group"]),
        (AuditFilter(text="ann@example.COM"), ["read", "made", "failed"]),
        (AuditFilter(text="E-1"), ["read", "made"]),
        (AuditFilter(text="e-1"), []),
        (AuditFilter(text="ann@example.com", failures=True), ["failed"]),
        (AuditFilter(text="ann@example.com", method="GET"), ["read"]),
        (AuditFilter(until=NOON), []),
        (AuditFilter(since=datetime(2100, 1, 1, tzinfo=UTC)), []),
        (AuditFilter(since=NOON - timedelta(days=365), method="PATCH"), ["group"]),
    ],
)  # fmt: skip
async def test_filters(trail: Store, wanted: AuditFilter, expected: list[str]) -> None:
    assert await ids(trail, wanted) == expected


async def test_a_history_is_the_same_under_every_name(trail: Store) -> None:
    by_id = await trail.audit.history("usr_1")
    by_external_id = await trail.audit.history("E-1")
    by_name = await trail.audit.history("ann@example.com")
    assert by_id == by_external_id
    assert [r for r in by_name.records if r.resource_id] == list(by_id.records)


@pytest.mark.parametrize(
    "wanted",
    [
        AuditFilter(),
        AuditFilter(connection_id="con_a"),
        AuditFilter(text="ann@example.com"),
        AuditFilter(failures=True),
    ],
)
async def test_pages_follow_one_another(trail: Store, wanted: AuditFilter) -> None:
    expected, found, before = await ids(trail, wanted), [], None
    while True:
        page = await trail.audit.page(wanted, before=before, limit=1)
        found += [r.correlation_id for r in page.records]
        before = page.next
        if before is None:
            break
    assert found == expected


async def test_a_page_that_nobody_has_given_out_is_empty(trail: Store) -> None:
    assert (await trail.audit.page(AuditFilter(), before="no id")).records == ()


async def test_a_record_is_read_back_as_it_was(store: Store) -> None:
    whole = record(
        names={"userName": "***"},
        filter='userName eq "***"',
        plan="match userName=***",
        found=1,
        scim_type="uniqueness",
        detail="taken",
        cause="conflict",
        changed=("userName", "emails"),
        dry_run=True,
        calls=(
            AuditCall(
                method="GET",
                path="/users?search=***",
                template="/users",
                failure="no connection",
                duration_s=0.5,
                attempt=2,
            ),
        ),
        call_count=7,
        platform_s=1.5,
        body={"userName": "***", "active": True},
        connection="okta",
        token_id="tok_1",
        user_agent="Okta",
        address="192.0.2.1",
        actor="recovery",
    )
    await store.audit.append([entry(whole)])
    (found,) = (await store.audit.page(AuditFilter())).records
    assert replace(found, id="") == whole
    assert await store.audit.get(found.id) == found
    assert await store.audit.get("f" * 16) is None
    assert await store.audit.get("../etc") is None


async def test_later_records_come_in_their_order(trail: Store) -> None:
    page = await trail.audit.page(AuditFilter(), limit=6)
    third = page.records[3].id
    later = await trail.audit.after(third, AuditFilter())
    assert [r.correlation_id for r in later] == ["other", "group", "refused"]
    assert [r.correlation_id for r in await trail.audit.after(third, AuditFilter(), limit=1)] == ["other"]
    assert [r.correlation_id for r in await trail.audit.after("", AuditFilter(text="usr_1"))] == [
        "made",
        "read",
    ]


async def test_what_is_not_kept_is_counted(store: Store) -> None:
    await store.audit.append([replace(entry(record()), text=None), entry(record())])
    assert len(await ids(store, AuditFilter())) == 1
    (hour,) = await store.audit.hours(AuditFilter())
    assert hour.requests == 2


async def test_hours_add_up(store: Store) -> None:
    ok, bad = record(), record(status=409, cause="conflict")
    late = replace(ok, at=NOON + timedelta(hours=1))
    await store.audit.append([entry(ok, call_s=(0.004, 2.0), failed_calls=1)])
    await store.audit.append([entry(ok, call_s=(0.04,)), entry(bad, duration_s=60.0), entry(late)])
    first, failed, second = sorted(
        await store.audit.hours(AuditFilter()), key=lambda h: (h.hour, h.facet.cause)
    )
    assert (first.hour, first.requests, first.calls, first.failed_calls) == (NOON, 2, 3, 1)
    assert first.call_s == pytest.approx(2.044)
    assert first.longest_call_s == pytest.approx(2.0)
    assert first.duration_s == pytest.approx(0.04)
    assert first.request_buckets == (0, 2, 0, 0, 0, 0, 0, 0)
    assert first.call_buckets == (1, 0, 1, 0, 0, 0, 1, 0)
    assert (failed.facet.cause, failed.request_buckets[len(BUCKETS_S)]) == ("conflict", 1)
    assert (second.hour, second.requests) == (NOON + timedelta(hours=1), 1)

    share = await store.audit.failure_share(AuditFilter(connection_id="con_a", failures=True))
    assert (share.requests, share.failures) == (4, 1)
    assert len(await store.audit.hours(AuditFilter(until=NOON + timedelta(hours=1)))) == 2
    assert len(await store.audit.hours(AuditFilter(since=NOON + timedelta(hours=1)))) == 1
    assert len(await store.audit.hours(AuditFilter(failures=True))) == 1
    assert await store.audit.hours(AuditFilter(connection_id="con_x")) == ()
    by_day = await store.audit.hours(AuditFilter(), step_h=24)
    assert [(h.hour, h.facet.cause, h.requests) for h in by_day] == [
        (NOON - timedelta(hours=12), cause, count) for cause, count in (("", 3), ("conflict", 1))
    ]
    assert by_day[0].longest_call_s == pytest.approx(2.0)
    assert by_day[0].call_buckets == (1, 0, 1, 0, 0, 0, 1, 0)


async def test_old_hours_are_added_up_to_days(store: Store) -> None:
    """Of two days that are long over, and of the present one, which stays as it is."""
    now = datetime.now(UTC).replace(minute=30)
    ok, bad = record(), record(status=409, cause="conflict")
    for at in (NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=13), now):
        found, failed = replace(ok, at=at), replace(bad, at=at)
        await store.audit.append([entry(found, call_s=(0.004, 2.0), failed_calls=1), entry(failed)])

    async def counted() -> list[tuple[object, ...]]:
        return [
            (h.hour, h.facet, h.requests, h.calls, h.failed_calls, h.request_buckets, h.call_buckets)
            for h in await store.audit.hours(AuditFilter(), step_h=24)
        ]

    before, share = await counted(), await store.audit.failure_share(AuditFilter())
    longest = [h.longest_call_s for h in await store.audit.hours(AuditFilter(), step_h=24)]
    assert len(await store.audit.hours(AuditFilter())) == 8
    assert await store.audit.prune(older_than=None, max_records=None) == 0
    hours = await store.audit.hours(AuditFilter())
    day = NOON - timedelta(hours=12)
    present = now.replace(minute=0, second=0, microsecond=0)
    assert [h.hour for h in hours] == [
        each for each in (day, day + timedelta(days=1), present) for _ in range(2)
    ]
    assert await counted() == before
    assert [h.longest_call_s for h in await store.audit.hours(AuditFilter(), step_h=24)] == longest
    assert await store.audit.failure_share(AuditFilter()) == share
    # What comes late is added to its day.
    await store.audit.append([entry(replace(ok, at=NOON + timedelta(hours=2)))])
    await store.audit.prune(older_than=None, max_records=None)
    assert [h.hour for h in await store.audit.hours(AuditFilter())] == [h.hour for h in hours]
    assert (await store.audit.hours(AuditFilter(cause="")))[0].requests == 3


@pytest.mark.parametrize(
    ("requests", "failures", "quarantined"),
    [
        (0, 0, False),
        (4_999, 4_999, False),
        (12_500, 5_000, False),
        (12_499, 5_000, True),
        (1_000_000, 39_999, False),
        (1_000_000, 40_000, True),
    ],
)
def test_the_share_of_failures_that_a_client_bears(requests: int, failures: int, quarantined: bool) -> None:
    assert FailureShare(requests=requests, failures=failures).quarantined is quarantined


def test_ids_are_times() -> None:
    number = number_at(NOON)
    assert record_time(number + 1023) == NOON
    assert number_of(id_of(number)) == number
    assert id_of(number) < id_of(number_at(NOON + timedelta(microseconds=1)))
    for text in ("", "12", "-000000000000001", "8" + "0" * 15, "G" * 16, id_of(number).upper() + "0"):
        assert number_of(text) is None


async def test_two_replicas_number_apart(store: Store, url: str) -> None:
    other = await Store.open(url)
    try:
        for _ in range(20):
            await store.audit.append([entry(record())])
            await other.audit.append([entry(record())])
    finally:
        await other.close()
    page = await store.audit.page(AuditFilter(), limit=100)
    assert len({r.id for r in page.records}) == 40
    (hour,) = await store.audit.hours(AuditFilter())
    assert hour.requests == 40


async def test_a_number_that_is_taken_is_made_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.store.audit.time.time_ns", lambda: 1_700_000_000_000_000_000)
    await store.audit.append([entry(record())])
    # As another process that starts with the same salt.
    store.audit._last = 0
    await store.audit.append([entry(record())])
    assert len(await ids(store, AuditFilter())) == 2


async def test_the_oldest_records_are_removed_step_by_step(trail: Store) -> None:
    audit = trail.audit
    old = datetime(2020, 1, 1, tzinfo=UTC)
    assert await audit.prune(older_than=old, max_records=None) == 0
    assert await audit.prune(older_than=old, max_records=6) == 0
    assert await audit.prune(older_than=None, max_records=3, step=2) == 2
    assert await audit.prune(older_than=None, max_records=3, step=2) == 1
    assert await ids(trail, AuditFilter()) == ["refused", "group", "other"]
    assert await ids(trail, AuditFilter(text="ann@example.com")) == []
    assert len(await audit.hours(AuditFilter())) > 0

    assert await audit.prune(older_than=datetime.now(UTC) + timedelta(hours=2), max_records=None) == 3
    assert await ids(trail, AuditFilter()) == []
    assert await audit.hours(AuditFilter()) == ()
