"""Groups kept in the bridge's own database."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event, text

from app.store.errors import InvalidRecord, MembershipCycle, NameTaken
from app.store.local_groups import ChangeResult, LocalMember, LocalMembership
from app.store.store import Store


def users(*ids):
    return [LocalMember(id=each) for each in ids]


def nested(*groups):
    return [LocalMember(id=group.id, type="Group") for group in groups]


async def ids_of(groups, group, tenant="t"):
    return [member.id for member in await groups.members(tenant, group.id, limit=100_000)]


@pytest.fixture
def groups(store):
    return store.local_groups


@pytest.fixture
def statements(store):
    """The statements executed from now on, without those that begin and end transactions."""
    seen = []
    for engine in {store.db._reader, store.db._writer}:

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def record(_connection, _cursor, statement, parameters, _context, many):
            if not statement.startswith("BEGIN"):
                seen.append(" ".join(statement.split()))

    return seen


async def test_a_group_is_made_with_its_members(groups, clock):
    members = [
        LocalMember(id="u2", display="Bo"),
        LocalMember(id="u1"),
        LocalMember(id="u2", display="again"),
    ]
    group = await groups.create("t", "Tour Guides", members)
    assert re.fullmatch(r"grp_[a-z0-9]{26}", group.id)
    assert (group.name, group.created_at, group.updated_at) == ("Tour Guides", clock.now, clock.now)
    assert await groups.get("t", group.id) == group
    assert await groups.by_name("t", "TOUR guides") == group
    assert await groups.members("t", group.id, limit=10) == (
        LocalMember(id="u1", type="User", display=None),
        LocalMember(id="u2", type="User", display="Bo"),
    )


@pytest.mark.parametrize(
    ("name", "same"),
    [("Staff", "sTAFF"), ("Straße", "STRASSE"), ("Jos\u00e9", "JOSE\u0301"), ("x" * 500, "X" * 500)],
)
async def test_a_name_is_taken_without_case(groups, name, same):
    group = await groups.create("t", name, users("u1"))
    with pytest.raises(NameTaken):
        await groups.create("t", same, users("u2"))
    assert [each.name for each in await groups.all("t")] == [name]
    assert await groups.groups_of("t", ["u2"]) == {"u2": ()}
    other = await groups.create("t", name + "!")
    with pytest.raises(NameTaken):
        await groups.change("t", other.id, name=same, add=users("u3"))
    assert (await groups.get("t", other.id)).name == name + "!"
    assert await ids_of(groups, other) == []
    # Its own name in another case is a change of name, and a name is free in another tenant.
    assert (await groups.change("t", group.id, name=same)).renamed
    assert (await groups.by_name("t", name)).name == same
    await groups.create("t2", name)


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "\ud800"])
async def test_names_that_cannot_be(groups, name):
    group = await groups.create("t", "ok")
    with pytest.raises(InvalidRecord):
        await groups.create("t", name)
    with pytest.raises(InvalidRecord):
        await groups.change("t", group.id, name=name)
    assert await groups.by_name("t", name) is None


@pytest.mark.parametrize("member_id", ["", "../u", "a\0", "x" * 129, "ü"])
async def test_member_ids_outside_their_form(groups, member_id):
    group = await groups.create("t", "ok", users("u1"))
    for keyword in ("add", "only"):
        with pytest.raises(InvalidRecord):
            await groups.change("t", group.id, **{keyword: users("u2", member_id)})
    assert await groups.change("t", group.id, remove=[member_id]) == ChangeResult(existed=True)
    assert await groups.are_members("t", group.id, [member_id, "u1"]) == {"u1"}
    assert await groups.existing("t", [member_id, group.id]) == {group.id}
    assert await groups.get("t", member_id) is None
    assert await groups.delete("t", member_id) is False
    assert await groups.forget_member("t", member_id) == ()


async def test_windows_and_totals(groups, clock):
    made = []
    for number in range(5):
        made.append(await groups.create("t", f"Group {number}"))
        clock.advance(1)
    await groups.create("t2", "Group 1")
    assert await groups.list("t", offset=0, limit=2) == (tuple(made[:2]), 5)
    assert await groups.list("t", offset=3, limit=10) == (tuple(made[3:]), 5)
    assert await groups.list("t", offset=9, limit=10) == ((), 5)
    assert await groups.list("t", offset=0, limit=0) == ((), 5)
    assert await groups.list("t", offset=0, limit=9, name="GROUP 3") == ((made[3],), 1)
    assert await groups.list("t", offset=1, limit=9, name="GROUP 3") == ((), 1)
    assert await groups.list("t", offset=0, limit=9, name="GROUP 9") == ((), 0)
    assert await groups.all("t") == tuple(made)
    assert await groups.all("t3") == ()
    assert await groups.list("t3", offset=0, limit=9) == ((), 0)


async def test_groups_of_one_moment_have_an_order_too(groups):
    made = [await groups.create("t", f"{number}") for number in range(4)]
    pages = [(await groups.list("t", offset=offset, limit=1))[0][0] for offset in range(4)]
    assert pages == sorted(made, key=lambda group: group.id) == list(await groups.all("t"))


async def test_adding_what_is_there_and_removing_what_is_not(groups, clock):
    group = await groups.create("t", "g", [LocalMember(id="u1", display="One")])
    clock.advance(1)
    nothing = await groups.change(
        "t", group.id, name="g", add=[LocalMember(id="u1", display="Uno")], remove=["u9"]
    )
    assert nothing == ChangeResult(existed=True, added=0, removed=0, renamed=False)
    assert (await groups.get("t", group.id)).updated_at == group.updated_at
    assert (await groups.members("t", group.id, limit=9))[0].display == "One"
    result = await groups.change("t", group.id, add=users("u1", "u2", "u3", "u2"), remove=["u9", "u1", "u9"])
    assert result == ChangeResult(existed=True, added=2, removed=0)
    assert await ids_of(groups, group) == ["u1", "u2", "u3"]
    assert await groups.change("t", group.id, remove=["u3", "u9", "u1"]) == ChangeResult(
        existed=True, removed=2
    )
    assert (await groups.get("t", group.id)).updated_at == clock.now
    assert await groups.change("t", group.id) == ChangeResult(existed=True)


async def test_a_group_that_is_not_there(groups):
    group = await groups.create("t", "g")
    for tenant, group_id in (("t", "grp_unknown"), ("t2", group.id)):
        result = await groups.change(tenant, group_id, name="x", add=users("u1"), only=users("u2"))
        assert result == ChangeResult(existed=False)
        assert await groups.get(tenant, group_id) is None
        assert await groups.delete(tenant, group_id) is False
        assert await groups.members(tenant, group_id, limit=9) == ()
    assert await groups.get("t", group.id) == group


async def test_a_replacement_touches_the_difference_only(groups, clock, statements, store):
    group = await groups.create("t", "g", [LocalMember(id=f"u{n}", display="old") for n in range(5)])
    clock.advance(1)
    statements.clear()
    same = [LocalMember(id=f"u{n}", display="new") for n in range(5)]
    assert await groups.change("t", group.id, only=same) == ChangeResult(existed=True)
    assert {statement.split()[0] for statement in statements} == {"SELECT"}
    assert (await groups.get("t", group.id)).updated_at == group.updated_at
    result = await groups.change("t", group.id, only=same[2:] + users("u7", "u8"))
    assert result == ChangeResult(existed=True, added=2, removed=2)
    members = await groups.members("t", group.id, limit=9)
    assert [(member.id, member.display) for member in members] == [
        ("u2", "old"),
        ("u3", "old"),
        ("u4", "old"),
        ("u7", None),
        ("u8", None),
    ]
    assert await groups.change("t", group.id, only=[]) == ChangeResult(existed=True, removed=5)
    assert await ids_of(groups, group) == []


async def test_all_kinds_of_change_together(groups):
    group = await groups.create("t", "g", users("a", "b", "c"))
    result = await groups.change(
        "t", group.id, name="h", only=users("b", "c", "d", "e"), remove=["c", "d", "f"], add=users("f", "x")
    )
    assert result == ChangeResult(existed=True, added=3, removed=2, renamed=True)
    assert await ids_of(groups, group) == ["b", "e", "f", "x"]
    # Who is removed and added by one change ends as a member, and was one all along.
    assert await groups.change("t", group.id, remove=["b"], add=users("b")) == ChangeResult(existed=True)
    assert await ids_of(groups, group) == ["b", "e", "f", "x"]


async def test_a_change_costs_the_same_statements_whatever_the_size(groups, statements):
    small = await groups.create("t", "small", users("u0"))
    large = await groups.create("t", "large", users(*(f"u{n}" for n in range(5000))))
    seen = []
    for group in (small, large):
        statements.clear()
        assert (await groups.change("t", group.id, add=users("new"), remove=["u0"])).removed == 1
        seen.append(list(statements))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4
    assert not any("count(" in statement.lower() for statement in seen[1])
    assert [statement.split()[0] for statement in seen[1]] == ["SELECT", "DELETE", "INSERT", "UPDATE"]
    assert "local_group_members" not in seen[1][0]


async def test_no_question_of_one_member_or_group_goes_through_all(tmp_path):
    store = await Store.open(f"sqlite:///{tmp_path}/bridge.db")
    asked = []
    for engine in (store.db._reader, store.db._writer):

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def record(_connection, _cursor, statement, parameters, _context, many):
            if " local_group" in statement and not many:
                asked.append((statement, parameters))

    groups = store.local_groups
    outer, within, _ = [await groups.create("t", name, users("u1")) for name in ("outer", "within", "last")]
    await groups.change("t", outer.id, name="new", add=[*nested(within), *users("u2")], remove=["u1"])
    await groups.get("t", outer.id)
    await groups.by_name("t", "outer")
    await groups.members("t", outer.id, after="u0", limit=10)
    await groups.are_members("t", outer.id, ["u1", "u2"])
    await groups.groups_of("t", ["u1", "u2"])
    await groups.would_cycle("t", within.id, [outer.id])
    await groups.existing("t", [outer.id])
    await groups.forget_member("t", "u1")
    await groups.delete("t", within.id)
    plans = []
    async with store.db.write() as db:
        for statement, parameters in tuple(asked):
            rows = await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [row[3] for row in rows]
    await store.close()
    assert any("member_id_member_type" in plan for plan in plans)
    through_all = re.compile(r"SCAN local_|local_group\S* USING .*\(tenant_id=\?\)")
    assert [plan for plan in plans if through_all.search(plan)] == []


async def test_many_at_once(groups):
    many = [f"u{n:05}" for n in range(12_345)]
    group = await groups.create("t", "g", users(*many))
    assert await ids_of(groups, group) == many
    assert await groups.are_members("t", group.id, [*many, "x"]) == frozenset(many)
    assert (await groups.change("t", group.id, add=users(*many, "x"))).added == 1
    assert (await groups.change("t", group.id, only=users(*many[::2]))).removed == len(many) // 2 + 1
    assert (await groups.change("t", group.id, remove=many)).removed == len(many[::2])
    assert await ids_of(groups, group) == []


async def test_pages_hold_when_members_come_and_go(groups):
    group = await groups.create("t", "g", users(*(f"u{n}" for n in range(10, 20))))
    first = await groups.members("t", group.id, limit=4)
    assert [member.id for member in first] == ["u10", "u11", "u12", "u13"]
    await groups.change("t", group.id, remove=["u11", "u13", "u15"], add=users("u00", "u99"))
    second = await groups.members("t", group.id, after="u13", limit=4)
    assert [member.id for member in second] == ["u14", "u16", "u17", "u18"]
    third = await groups.members("t", group.id, after="u18", limit=4)
    assert [member.id for member in third] == ["u19", "u99"]
    assert await groups.members("t", group.id, after="u99", limit=4) == ()


async def test_any_case_of_id_is_paged_once(groups):
    ids = ["a", "A", "b", "B", "_", "-", "0", "aB", "Ab", "a-b", "a_b"]
    group = await groups.create("t", "g", users(*ids))
    seen, after = [], None
    while page := await groups.members("t", group.id, after=after, limit=2):
        seen += [member.id for member in page]
        after = page[-1].id
    assert sorted(seen) == sorted(ids)


async def test_direct_and_indirect_groups(groups, clock):
    made = {}
    for name in ("a", "b", "c", "d", "e"):
        made[name] = await groups.create("t", name)
        clock.advance(1)
    a, b, c, d, e = made.values()
    # e ⊃ d ⊃ c ⊃ u1; d ⊃ b ⊃ u1, u2; d ⊃ u1 directly; a ⊃ u2
    await groups.change("t", e.id, add=nested(d))
    await groups.change("t", d.id, add=[*nested(c, b), *users("u1")])
    await groups.change("t", c.id, add=users("u1"))
    await groups.change("t", b.id, add=users("u1", "u2"))
    await groups.change("t", a.id, add=users("u2"))
    found = await groups.groups_of("t", ["u1", "u2", "u3", c.id])

    def shown(member):
        return [(each.name, each.direct) for each in found[member]]

    assert shown("u1") == [("b", True), ("c", True), ("d", True), ("e", False)]
    assert shown("u2") == [("a", True), ("b", True), ("d", False), ("e", False)]
    assert found["u3"] == ()
    assert found[c.id] == (
        LocalMembership(group_id=d.id, name="d", direct=True),
        LocalMembership(group_id=e.id, name="e", direct=False),
    )
    assert await groups.groups_of("t2", ["u1"]) == {"u1": ()}
    assert await groups.groups_of("t", []) == {}


async def test_cycles_are_refused(groups):
    a, b, c = [await groups.create("t", name) for name in "abc"]
    await groups.change("t", a.id, add=nested(b))
    await groups.change("t", b.id, add=nested(c))
    for group, members in ((a, [a]), (b, [a]), (c, [a]), (c, [b]), (c, [c])):
        assert await groups.would_cycle("t", group.id, [each.id for each in members]) is True
        for keyword in ("add", "only"):
            with pytest.raises(MembershipCycle):
                await groups.change("t", group.id, name="new", **{keyword: [*users("u1"), *nested(*members)]})
    assert await groups.would_cycle("t", a.id, [c.id]) is False
    assert await groups.would_cycle("t", a.id, []) is False
    assert await groups.would_cycle("t2", c.id, [a.id]) is False
    assert [group.name for group in await groups.all("t")] == [
        group.name for group in sorted((a, b, c), key=lambda group: group.id)
    ]
    assert await groups.groups_of("t", ["u1"]) == {"u1": ()}
    # Two ways down are no cycle, and a way that is gone does not count.
    await groups.change("t", a.id, add=nested(c))
    await groups.change("t", a.id, remove=[b.id])
    await groups.change("t", b.id, add=nested(a))


async def test_groups_that_do_not_exist_are_left_out(groups):
    real = await groups.create("t", "real")
    foreign = await groups.create("t2", "foreign")
    lost = [LocalMember(id="grp_gone", type="Group"), *nested(foreign)]
    group = await groups.create("t", "g", [*lost, *nested(real), *users("u1")])
    assert set(await ids_of(groups, group)) == {real.id, "u1"}
    result = await groups.change("t", group.id, add=[*lost, *users("u2")])
    assert result == ChangeResult(existed=True, added=1)
    assert await groups.existing("t", [real.id, foreign.id, "grp_gone"]) == {real.id}


async def test_a_deleted_group_leaves_nothing_behind(groups, store, clock):
    inner = await groups.create("t", "inner", users("u1", "u2"))
    outer = await groups.create("t", "outer", [*nested(inner), *users("u3")])
    other = await groups.create("t", "other", users("u3"))
    clock.advance(1)
    assert await groups.delete("t", inner.id) is True
    assert await groups.delete("t", inner.id) is False
    assert await groups.get("t", inner.id) is None
    assert await ids_of(groups, outer) == ["u3"]
    assert (await groups.get("t", outer.id)).updated_at == clock.now
    assert await groups.get("t", other.id) == other
    assert (await groups.groups_of("t", ["u1"]))["u1"] == ()
    async with store.db.read() as db:
        assert await db.scalar(text("SELECT count(*) FROM local_group_members")) == 2
    await groups.create("t", "inner")


async def test_somebody_who_is_gone_leaves_all_groups(groups, clock):
    made = [await groups.create("t", f"g{n}", users("u1", "u2")) for n in range(3)]
    without = await groups.create("t", "without", users("u2"))
    foreign = await groups.create("t2", "foreign", users("u1"))
    clock.advance(1)
    assert await groups.forget_member("t", "u1") == tuple(sorted(group.id for group in made))
    assert await groups.forget_member("t", "u1") == ()
    for group in made:
        assert await ids_of(groups, group) == ["u2"]
        assert (await groups.get("t", group.id)).updated_at == clock.now
    assert await groups.get("t", without.id) == without
    assert await ids_of(groups, foreign, "t2") == ["u1"]


async def test_tenants_are_apart(groups):
    one, two = [await groups.create(tenant, "same", users("u1")) for tenant in ("t1", "t2")]
    assert await groups.get("t1", two.id) is None
    assert await groups.are_members("t1", two.id, ["u1"]) == frozenset()
    assert (await groups.groups_of("t1", ["u1"]))["u1"][0].group_id == one.id
    await groups.forget_member("t1", "u1")
    assert await ids_of(groups, two, "t2") == ["u1"]
