"""Many writers of groups: tasks and replicas at one database lose no member and build no cycle."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

from app.store.errors import MembershipCycle, NameTaken
from app.store.local_groups import ChangeResult, LocalMember
from app.store.store import Store


@pytest.fixture
async def replicas(url):
    stores = [await Store.open(url) for _ in range(2)]
    yield [store.local_groups for store in stores]
    for store in stores:
        await store.close()


def user(number):
    return LocalMember(id=f"u{number}")


def inner(group):
    return LocalMember(id=group.id, type="Group")


async def ids_of(groups, group):
    return {member.id for member in await groups.members("t", group.id, limit=10_000)}


async def test_twenty_additions_leave_twenty_members(replicas):
    group = await replicas[0].create("t", "g")
    results = await asyncio.gather(*(replicas[n % 2].change("t", group.id, add=[user(n)]) for n in range(20)))
    assert results == [ChangeResult(existed=True, added=1)] * 20
    assert await ids_of(replicas[0], group) == {f"u{n}" for n in range(20)}
    results = await asyncio.gather(
        *(replicas[n % 2].change("t", group.id, remove=[f"u{n % 10}"]) for n in range(20))
    )
    assert sum(result.removed for result in results) == 10
    assert await ids_of(replicas[1], group) == {f"u{n}" for n in range(10, 20)}


async def test_additions_and_removals_mixed(replicas):
    group = await replicas[0].create("t", "g", [user(n) for n in range(20)])
    counted = 20

    async def work(number):
        nonlocal counted
        groups = replicas[number % 2]
        chance = random.Random(number)  # noqa: S311 - which members, the same in every run
        for _ in range(10):
            result = await groups.change(
                "t",
                group.id,
                add=[user(chance.randrange(30)) for _ in range(3)],
                remove=[f"u{chance.randrange(30)}" for _ in range(3)],
            )
            counted += result.added - result.removed
        # Its own member, which nobody else touches, is there at the end.
        await groups.change("t", group.id, add=[user(1000 + number)])
        counted += 1

    await asyncio.gather(*(work(number) for number in range(20)))
    present = await ids_of(replicas[0], group)
    assert {f"u{1000 + number}" for number in range(20)} <= present
    # What each was told adds up: the changes came one after the other.
    assert len(present) == counted


async def test_replacements_leave_one_of_the_lists(replicas):
    group = await replicas[0].create("t", "g", [user(n) for n in range(10)])
    lists = [[user(n) for n in range(start, start + 15)] for start in range(0, 200, 10)]
    await asyncio.gather(
        *(replicas[n % 2].change("t", group.id, only=members) for n, members in enumerate(lists))
    )
    assert await ids_of(replicas[0], group) in [{member.id for member in members} for members in lists]


async def test_no_cycle_is_built_by_many_at_once(replicas):
    made = [await replicas[0].create("t", f"g{n}") for n in range(4)]
    for step in range(15):
        # Each takes the next one in, the last the first: all together would be a cycle, all but one is none.
        size = 2 + step % 3
        ring = list(zip(made[:size], [*made[1:size], made[0]], strict=True))
        outcomes = await asyncio.gather(
            *(
                replicas[n % 2].change("t", outer.id, add=[inner(within)])
                for n, (outer, within) in enumerate(ring)
            ),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes if not isinstance(outcome, ChangeResult)] == [
            MembershipCycle
        ]
        await asyncio.gather(*(replicas[0].change("t", group.id, only=[]) for group in made))


async def test_a_group_deleted_while_it_is_taken_in_is_in_nothing(replicas):
    for _ in range(10):
        outer, within = [await replicas[0].create("t", name) for name in ("outer", "within")]
        await asyncio.gather(
            replicas[0].change("t", outer.id, add=[inner(within), user(1)]),
            replicas[1].delete("t", within.id),
        )
        assert await ids_of(replicas[0], outer) == {"u1"}
        await replicas[0].delete("t", outer.id)


async def test_deletions_and_departures_do_not_lock_each_other_out(replicas):
    made = [await replicas[0].create("t", f"g{n}", [user(n) for n in range(5)]) for n in range(5)]
    for outer, within in pairwise(made):
        await replicas[0].change("t", outer.id, add=[inner(within)])
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(
            *(replicas[n % 2].forget_member("t", f"u{n}") for n in range(5)),
            *(replicas[n % 2].change("t", group.id, remove=["u1", "u2"]) for n, group in enumerate(made)),
            *(replicas[n % 2].change("t", group.id, add=[user(9)]) for n, group in enumerate(made)),
            *(replicas[n % 2].delete("t", group.id) for n, group in enumerate(made[:3])),
            *(replicas[n % 2].delete("t", group.id) for n, group in enumerate(made[:3])),
        )
    assert sum(outcome is True for outcome in outcomes) == 3
    assert {group.id for group in await replicas[0].all("t")} == {made[3].id, made[4].id}
    assert await ids_of(replicas[0], made[3]) == {made[4].id, "u9"}
    assert await ids_of(replicas[0], made[4]) == {"u9"}


async def test_a_name_is_taken_once_among_many(replicas):
    outcomes = await asyncio.gather(
        *(groups.create("t", "Same", [user(1)]) for groups in replicas * 5), return_exceptions=True
    )
    assert sum(isinstance(outcome, NameTaken) for outcome in outcomes) == 9
    assert len(await replicas[0].all("t")) == 1
