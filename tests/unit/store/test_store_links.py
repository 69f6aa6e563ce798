"""The link table: candidates for matching filters."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from app.store.errors import InvalidRecord
from app.store.links import LinkEntry, Links, stored_value
from app.store.store import Store


def ext(value, domain="default"):
    return LinkEntry(kind="externalId", value=value, domain=domain)


def name(value):
    return LinkEntry(kind="userName", value=value)


def email(value):
    return LinkEntry(kind="email", value=value)


@pytest.fixture
def links(store, clock):
    """Links with hints, also where a store would use none."""
    return Links(store.db, clock, hints=1000, monotonic=clock.monotonic)


async def test_a_user_is_found_by_each_value(links):
    await links.replace("t", "u1", [ext("E-1"), name("Ann@x.test"), email("ann@x.test"), email("a@y.test")])
    for fresh in (False, True):
        assert await links.find("t", "externalId", "E-1", "default", fresh=fresh) == ("u1",)
        assert await links.find("t", "userName", "Ann@x.test", fresh=fresh) == ("u1",)
        assert await links.find("t", "email", "a@y.test", fresh=fresh) == ("u1",)
        assert await links.find("t", "email", "b@y.test", fresh=fresh) == ()


async def test_case_counts_in_external_ids_only(links):
    await links.replace("t", "u1", [ext("Abc"), name("STRASSE"), email("Ünal@X.test")])
    assert await links.find("t", "externalId", "abc", "default") == ()
    assert await links.find("t", "userName", "straße") == ("u1",)
    assert await links.find("t", "email", "üNAL@x.TEST") == ("u1",)


async def test_tenants_are_apart(links):
    await links.replace("t1", "u1", [name("ann"), ext("E")])
    await links.replace("t2", "u1", [name("bob"), ext("E")])
    await links.replace("t2", "u2", [name("ann")])
    assert await links.find("t1", "userName", "ann") == ("u1",)
    assert await links.find("t2", "userName", "ann") == ("u2",)
    await links.forget("t1", "u1")
    assert await links.find("t1", "userName", "ann") == ()
    assert await links.find("t2", "userName", "bob") == ("u1",)
    assert await links.find("t2", "externalId", "E", "default") == ("u1",)


async def test_external_ids_belong_to_a_domain(links):
    await links.replace("t", "u1", [ext("E", "okta"), name("ann")], domain="okta")
    await links.replace("t", "u2", [ext("E", "entra"), name("bob")], domain="entra")
    await links.replace("t", "u1", [ext("F", "entra"), name("ann")], domain="entra")
    assert await links.find("t", "externalId", "E", "okta") == ("u1",)
    assert await links.find("t", "externalId", "E", "entra") == ("u2",)
    assert await links.find("t", "externalId", "F", "entra") == ("u1",)
    with pytest.raises(InvalidRecord):
        await links.replace("t", "u1", [ext("E", "okta")], domain="entra")
    assert await links.find("t", "externalId", "E", "okta") == ("u1",)
    # Without a domain the entries are all there is.
    await links.replace("t", "u1", [ext("G", "okta")])
    assert await links.find("t", "externalId", "F", "entra") == ()
    assert await links.find("t", "userName", "ann") == ()
    assert await links.find("t", "externalId", "G", "okta") == ("u1",)


@pytest.mark.parametrize(("kind", "domain"), [("externalId", ""), ("userName", "okta"), ("email", "okta")])
async def test_a_domain_where_none_belongs_is_refused(links, kind, domain):
    with pytest.raises(InvalidRecord):
        await links.find("t", kind, "x", domain)
    with pytest.raises(InvalidRecord):
        await links.replace("t", "u", [LinkEntry(kind=kind, value="x", domain=domain)])


async def test_several_users_are_answered_as_first_seen(links, clock):
    for user in ("u3", "u1", "u2"):
        await links.replace("t", user, [ext("same")])
        clock.advance(1)
    assert await links.find("t", "externalId", "same", "default") == ("u3", "u1", "u2")
    await links.replace("t", "u3", [ext("same"), name("ann")])
    assert await links.find("t", "externalId", "same", "default", fresh=True) == ("u3", "u1", "u2")


async def test_replace_writes_the_difference_only(store, links):
    entries = [ext("E"), name("ann"), email("a@x.test"), email("A@X.test")]
    assert await links.replace("t", "u1", entries) is True

    seen = []

    def record(_connection, _cursor, statement, parameters, _context, many):
        seen.append((statement.split()[0], len(parameters) if many else 1))

    event.listen(Engine, "before_cursor_execute", record)
    try:
        assert await links.replace("t", "u1", reversed(entries)) is False
        assert {verb for verb, _ in seen} == {"SELECT"}
        seen.clear()
        assert await links.replace("t", "u1", [ext("E"), name("bob"), email("a@x.test")]) is True
    finally:
        event.remove(Engine, "before_cursor_execute", record)
    written = {verb: rows for verb, rows in seen if verb in ("DELETE", "INSERT")}
    assert written == {"DELETE": 1, "INSERT": 1}
    assert await links.find("t", "userName", "ann") == ()
    assert await links.find("t", "userName", "bob") == ("u1",)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 400,
        "x" * 401,
        "x" * 100_000,
        "😀" * 400,
        "😀" * 401,
        "a\0b",
        "\ud800",
        "sha256:" + "0" * 64,
        'it\'s "quoted" %s :name ?; --',
        "e\u0301",
        " leading and trailing ",
        "",
    ],
    ids=lambda value: ascii(value)[:24],
)
async def test_any_value_is_stored_and_found(links, value):
    await links.replace("t", "u1", [ext(value), name(value)])
    await links.replace("t", "u2", [ext(value + "x"), name(value + "x")])
    for fresh in (True, False, False):
        assert await links.find("t", "externalId", value, "default", fresh=fresh) == ("u1",)
        assert await links.find("t", "userName", value, fresh=fresh) == ("u1",)
    assert len(stored_value("externalId", value)) <= 400


async def test_long_values_ignore_case_too(links):
    await links.replace("t", "u1", [name("A" * 500)])
    assert await links.find("t", "userName", "a" * 500) == ("u1",)


async def test_bulk_fill_adds_what_is_missing(links, clock):
    await links.replace("t", "u5", [name("user5"), email("kept@x.test")])
    clock.advance(60)
    many = [(f"u{i}", name(f"user{i}")) for i in range(2500)]
    await links.add_missing("t", (pair for pair in [*many, *many[:10]]))
    await links.add_missing("t", many)
    await links.add_missing("t", [("u9", name("USER5"))])
    assert await links.find("t", "userName", "user2499") == ("u2499",)
    assert await links.find("t", "userName", "user5") == ("u5", "u9")
    assert await links.find("t", "email", "kept@x.test") == ("u5",)
    await links.add_missing("t", [])


async def test_links_outlive_the_process(url):
    store = await Store.open(url)
    await store.links.replace("t", "u1", [name("ann")])
    await store.close()
    store = await Store.open(url)
    assert await store.links.find("t", "userName", "ann") == ("u1",)
    await store.close()


async def test_hints_follow_the_writes_of_their_process(links):
    assert await links.find("t", "userName", "ann") == ()
    await links.replace("t", "u1", [name("ann")])
    assert await links.find("t", "userName", "ann") == ("u1",)
    await links.replace("t", "u2", [name("ann")])
    assert await links.find("t", "userName", "ann") == ("u1", "u2")
    await links.replace("t", "u1", [name("bob")])
    assert await links.find("t", "userName", "ann") == ("u2",)
    await links.add_missing("t", [("u3", name("bob"))])
    assert await links.find("t", "userName", "bob") == ("u1", "u3")
    await links.forget("t", "u1")
    assert await links.find("t", "userName", "bob") == ("u3",)


async def test_a_write_elsewhere_is_seen_fresh_at_once_and_otherwise_soon(store, links, clock):
    elsewhere = Links(store.db, clock)
    await links.replace("t", "u1", [name("ann")])
    assert await links.find("t", "userName", "ann") == ("u1",)
    await elsewhere.replace("t", "u2", [name("ann")])
    assert await links.find("t", "userName", "ann") == ("u1",)
    assert await links.find("t", "userName", "ann", fresh=True) == ("u1", "u2")
    await elsewhere.replace("t", "u3", [name("ann")])
    clock.advance(10)
    assert await links.find("t", "userName", "ann") == ("u1", "u2", "u3")


async def test_absence_is_never_a_hint(store, links, clock):
    assert await links.find("t", "userName", "ann") == ()
    await Links(store.db, clock).replace("t", "u1", [name("ann")])
    assert await links.find("t", "userName", "ann") == ("u1",)


async def test_hints_are_bounded(store, clock):
    links = Links(store.db, clock, hints=2, monotonic=clock.monotonic)
    await links.add_missing("t", [(f"u{i}", name(f"n{i}")) for i in range(3)])
    for i in range(3):
        await links.find("t", "userName", f"n{i}")
    clock.advance(1)
    await Links(store.db, clock).add_missing("t", [("later", name(f"n{i}")) for i in range(3)])
    assert await links.find("t", "userName", "n2") == ("u2",)
    assert await links.find("t", "userName", "n0") == ("u0", "later")


async def test_a_slow_read_does_not_bring_back_what_a_write_has_changed(store, links):
    await links.replace("t", "u1", [name("ann")])
    await asyncio.gather(
        *(links.find("t", "userName", "ann", fresh=True) for _ in range(8)),
        links.replace("t", "u1", [name("bob")]),
        *(links.find("t", "userName", "ann", fresh=True) for _ in range(8)),
    )
    assert await links.find("t", "userName", "ann") == ()


async def test_state(links, clock):
    assert await links.state("t", "okta") is None
    since = clock.now - timedelta(minutes=5)
    recorded = await links.set_state("t", "okta", complete_since=since, scanned_users=10)
    assert await links.state("t", "okta") == recorded
    assert recorded.updated_at == clock.now
    clock.advance(30)
    await links.set_state("t", "okta", complete_since=clock.now, scanned_users=12)
    state = await links.state("t", "okta")
    assert (state.complete_since, state.scanned_users, state.updated_at) == (clock.now, 12, clock.now)
    assert await links.state("t", "entra") is None
    assert await links.state("t2", "okta") is None


async def test_invalidate_concerns_one_tenant_in_all_domains(links, clock):
    for tenant in ("t1", "t2"):
        for domain in ("okta", "entra"):
            await links.set_state(tenant, domain, complete_since=clock.now, scanned_users=3)
        await links.replace(tenant, "u1", [name("ann")])
    await links.invalidate("t1")
    for domain in ("okta", "entra"):
        assert (await links.state("t1", domain)).complete_since is None
        assert (await links.state("t2", domain)).complete_since == clock.now
    assert await links.find("t1", "userName", "ann") == ("u1",)
