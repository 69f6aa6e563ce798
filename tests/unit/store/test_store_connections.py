"""Connections are kept as given, under unique names."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from app.store.connections import DialectSettings, Policies
from app.store.errors import ConnectionNotFound, InvalidRecord, NameTaken, UnreadableRow


async def test_what_was_added_is_found(store, clock):
    added = await store.connections.add(
        name="Okta (Zürich)",
        tenant_id="ten_1",
        mapping="mappings/hr.toml",
        domain="okta",
        dialect=DialectSettings(mode="strict", on=("entra-bool-strings",), off=("a", "b")),
        policies=Policies(password="set", terminate_sessions=False, groups="local", group_patch="resource"),
    )
    assert re.fullmatch(r"con_[a-z0-9]{20}", added.id)
    assert added.created_at == clock.now
    assert await store.connections.get(added.id) == added
    assert await store.connections.by_name("Okta (Zürich)") == added
    assert await store.connections.by_name("okta (zürich)") is None
    assert await store.connections.get("con_other") is None


async def test_defaults(store):
    connection = await store.connections.add(name="a", tenant_id="t")
    assert (connection.mapping, connection.domain) == ("default", "default")
    assert connection.dialect == DialectSettings(mode="lenient", off=(), on=())
    assert connection.policies == Policies(
        password="ignore",
        send_welcome_email=False,
        activate_locked=False,
        activate_pending_email=False,
        activate_pending_approval=False,
        terminate_sessions=True,
        groups="platform",
        group_patch="no-content",
    )


async def test_list_is_oldest_first(store, clock):
    for name in ("c", "a", "b"):
        await store.connections.add(name=name, tenant_id="t")
        clock.advance(1)
    assert [connection.name for connection in await store.connections.list()] == ["c", "a", "b"]


async def test_a_name_is_taken_once(store):
    await store.connections.add(name="entra", tenant_id="t1")
    with pytest.raises(NameTaken, match="entra"):
        await store.connections.add(name="entra", tenant_id="t2")


async def test_removal_takes_the_tokens_along(store):
    first = await store.connections.add(name="first", tenant_id="t")
    second = await store.connections.add(name="second", tenant_id="t")
    _, gone = await store.tokens.create(first.id, "x", None)
    _, kept = await store.tokens.create(second.id, "x", None)
    assert await store.connections.remove("first") == first.id
    assert await store.tokens.authenticate(gone) is None
    assert [token.connection_id for token in await store.tokens.list()] == [second.id]
    assert (await store.tokens.authenticate(kept)).connection == second
    await store.connections.remove(second.id)
    assert list(await store.connections.list()) == []
    with pytest.raises(ConnectionNotFound):
        await store.connections.remove("first")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"name": "con_abcdefghij0123456789"},
        {"tenant_id": ""},
        {"tenant_id": "../t"},
        {"domain": ""},
        {"domain": "a b"},
        {"domain": "x" * 65},
        {"mapping": ""},
    ],
)
async def test_fields_outside_their_form_are_refused(store, fields):
    with pytest.raises(InvalidRecord):
        await store.connections.add(**{"name": "ok", "tenant_id": "t", **fields})


async def test_settings_of_an_older_release_are_completed(store):
    connection = await store.connections.add(name="a", tenant_id="t", policies=Policies(groups="local"))
    async with store.db.write() as db:
        await db.execute(text("""UPDATE connections SET policies = '{"password":"set"}'"""))
    assert (await store.connections.get(connection.id)).policies == Policies(
        password="set", groups="platform", group_patch="no-content"
    )


async def test_settings_of_a_newer_release_are_passed_over(store):
    connection = await store.connections.add(name="a", tenant_id="t")
    async with store.db.write() as db:
        await db.execute(
            text("UPDATE connections SET dialect = :dialect, policies = :policies"),
            {
                "dialect": '{"mode":"strict","since":[1,{"x":null}]}',
                "policies": '{"password":"set","invented_later":true}',
            },
        )
    found = await store.connections.get(connection.id)
    assert found.dialect == DialectSettings(mode="strict")
    assert found.policies == Policies(password="set")


async def test_an_update_changes_all_but_name_and_tenant(store, clock):
    added = await store.connections.add(name="a", tenant_id="t", policies=Policies(password="set"))
    other = await store.connections.add(name="b", tenant_id="t")
    clock.advance(60)
    changed = await store.connections.update(
        added.id,
        mapping="hr",
        domain="okta",
        dialect=DialectSettings(mode="strict", on=("flat-keys",)),
        policies=Policies(terminate_sessions=False),
    )
    assert await store.connections.get(added.id) == changed
    assert (changed.name, changed.tenant_id, changed.created_at) == ("a", "t", added.created_at)
    assert (changed.mapping, changed.domain) == ("hr", "okta")
    assert changed.dialect == DialectSettings(mode="strict", on=("flat-keys",))
    assert changed.policies == Policies(password="ignore", terminate_sessions=False)
    assert await store.connections.get(other.id) == other


async def test_an_update_keeps_what_a_newer_release_stored(store):
    connection = await store.connections.add(name="a", tenant_id="t")
    async with store.db.write() as db:
        await db.execute(
            text("UPDATE connections SET dialect = :dialect, policies = :policies"),
            {
                "dialect": '{"mode":"strict","since":[1.50,{"x":null}]}',
                "policies": '{"later":12345678901234567890,"password":"set"}',
            },
        )
    await store.connections.update(
        connection.id,
        mapping="default",
        domain="default",
        dialect=DialectSettings(),
        policies=Policies(groups="local"),
    )
    async with store.db.read() as db:
        dialect, policies = (await db.execute(text("SELECT dialect, policies FROM connections"))).one()
    assert dialect == '{"since":[1.50,{"x":null}]}'
    assert policies == '{"groups":"local","later":12345678901234567890}'


async def test_updates_that_are_refused(store):
    connection = await store.connections.add(name="a", tenant_id="t")
    given = {"mapping": "default", "dialect": DialectSettings(), "policies": Policies()}
    with pytest.raises(InvalidRecord, match="domain"):
        await store.connections.update(connection.id, domain="a b", **given)
    with pytest.raises(ConnectionNotFound, match="con_other"):
        await store.connections.update("con_other", domain="default", **given)
    assert await store.connections.get(connection.id) == connection


async def test_several_changes_are_one_transaction(store):
    kept = await store.connections.add(name="kept", tenant_id="t")
    token, secret = await store.tokens.create(kept.id, "x")
    given = {"mapping": "hr", "domain": "d", "dialect": DialectSettings(), "policies": Policies()}
    with pytest.raises(NameTaken):
        async with store.db.write() as db:
            await store.connections.add(name="new", tenant_id="t", within=db)
            await store.connections.update(kept.id, **given, within=db)
            await store.tokens.revoke(token.id, within=db)
            await store.connections.remove("kept", within=db)
            assert [c.name for c in await store.connections.list(within=db)] == ["new"]
            await store.connections.add(name="new", tenant_id="t", within=db)
    assert list(await store.connections.list()) == [kept]
    assert (await store.tokens.authenticate(secret)).connection == kept


@pytest.mark.parametrize("dialect", ["{", '{"mode":"future"}', "[]"])
async def test_settings_that_cannot_be_read_name_the_connection(store, dialect):
    connection = await store.connections.add(name="a", tenant_id="t")
    async with store.db.write() as db:
        await db.execute(text("UPDATE connections SET dialect = :dialect"), {"dialect": dialect})
    with pytest.raises(UnreadableRow, match=connection.id):
        await store.connections.get(connection.id)
