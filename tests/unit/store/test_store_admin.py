"""Operators: their tokens, sessions and changes, over SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from app.store.admin_changes import ValueChange
from app.store.errors import InvalidRecord, TokenNotFound
from app.store.store import Store

if TYPE_CHECKING:
    from conftest import ManualClock


async def test_a_token_is_found_by_its_secret_until_it_ends(store: Store, clock: ManualClock) -> None:
    token, secret = await store.admin_tokens.create("admin", "Grace", clock() + timedelta(days=1))
    assert secret.startswith("sca_")
    assert await store.admin_tokens.authenticate(secret) == token
    for other in ("", "sca_", secret[:-1], f"{secret}x", secret.replace("sca_", "scb_"), "ä" * 47):
        assert await store.admin_tokens.authenticate(other) is None
    clock.advance(86_400)
    assert await store.admin_tokens.authenticate(secret) is None


async def test_only_the_hash_of_a_secret_is_kept(store: Store) -> None:
    token, secret = await store.admin_tokens.create("viewer")
    session = await store.admin_sessions.open(token, idle_s=60, lifetime_s=600)
    async with store.db.read() as db:
        tokens = (await db.execute(text("SELECT digest FROM admin_tokens"))).scalars().all()
        sessions = (await db.execute(text("SELECT digest FROM admin_sessions"))).scalars().all()
    assert [bytes(d) for d in tokens] == [hashlib.sha256(secret.encode()).digest()]
    assert [bytes(d) for d in sessions] == [hashlib.sha256(session.encode()).digest()]


async def test_tokens_are_listed_and_revoked(store: Store, clock: ManualClock) -> None:
    first, secret = await store.admin_tokens.create("viewer", "one")
    clock.advance(1)
    await store.admin_tokens.create("admin", "two")
    revoked = await store.admin_tokens.revoke(first.id)
    assert revoked.revoked_at == clock()
    assert await store.admin_tokens.authenticate(secret) is None
    listed = await store.admin_tokens.list()
    assert [(t.label, t.role, t.alive_at(clock())) for t in listed] == [
        ("one", "viewer", False),
        ("two", "admin", True),
    ]
    clock.advance(1)
    assert (await store.admin_tokens.revoke(first.id)).revoked_at == revoked.revoked_at
    with pytest.raises(TokenNotFound):
        await store.admin_tokens.revoke("adm_nobody")


@pytest.mark.parametrize("label", ["x" * 201, "a\nb"])
async def test_labels_outside_their_form_are_refused(store: Store, label: str) -> None:
    with pytest.raises(InvalidRecord):
        await store.admin_tokens.create("viewer", label)


async def test_an_expiry_in_the_past_is_refused(store: Store, clock: ManualClock) -> None:
    with pytest.raises(InvalidRecord):
        await store.admin_tokens.create("viewer", "", clock())


async def test_a_session_lives_while_it_is_used(store: Store, clock: ManualClock) -> None:
    token, _ = await store.admin_tokens.create("viewer")
    secret = await store.admin_sessions.open(token, idle_s=100, lifetime_s=500)
    for _ in range(6):
        clock.advance(80)
        found = await store.admin_sessions.find(secret, idle_s=100)
        assert found is not None
        assert found.token.id == token.id
    clock.advance(20)
    assert await store.admin_sessions.find(secret, idle_s=100) is None


async def test_a_session_that_is_only_asked_about_ends(store: Store, clock: ManualClock) -> None:
    token, _ = await store.admin_tokens.create("viewer")
    secret = await store.admin_sessions.open(token, idle_s=100, lifetime_s=500)
    clock.advance(99)
    assert await store.admin_sessions.find(secret, idle_s=100, uses=False) is not None
    clock.advance(1)
    assert await store.admin_sessions.find(secret, idle_s=100) is None


async def test_a_session_ends_with_its_token_and_when_it_is_closed(store: Store) -> None:
    one, _ = await store.admin_tokens.create("viewer")
    other, _ = await store.admin_tokens.create("viewer")
    first = await store.admin_sessions.open(one, idle_s=100, lifetime_s=500)
    second = await store.admin_sessions.open(other, idle_s=100, lifetime_s=500)
    await store.admin_tokens.revoke(one.id)
    assert await store.admin_sessions.find(first, idle_s=100) is None
    assert await store.admin_sessions.find(second, idle_s=100) is not None
    await store.admin_sessions.close(second)
    await store.admin_sessions.close(second)
    assert await store.admin_sessions.find(second, idle_s=100) is None


async def test_changes_are_kept_newest_first(store: Store, clock: ManualClock) -> None:
    admin, _ = await store.admin_tokens.create("admin", "Grace")
    for number in range(3):
        clock.advance(1)
        await store.admin_changes.record(
            admin,
            "connection.policies",
            subject_id=f"con_{number % 2}",
            subject_name="okta",
            values=[ValueChange(name="policies.explain", before=False, after=number)],
        )
    found = await store.admin_changes.list(limit=2)
    assert [c.values[0].after for c in found] == [2, 1]
    assert (found[0].admin_id, found[0].admin_label, found[0].at) == (admin.id, "Grace", clock())
    assert [c.values[0].after for c in await store.admin_changes.list(limit=9, subject_id="con_0")] == [2, 0]


async def test_a_change_that_is_not_made_is_not_noted(store: Store) -> None:
    admin, _ = await store.admin_tokens.create("admin")
    with pytest.raises(ZeroDivisionError):
        async with store.db.write() as db:
            await store.admin_changes.record(admin, "x", subject_id="y", subject_name="z", within=db)
            raise ZeroDivisionError
    assert await store.admin_changes.list(limit=9) == []
