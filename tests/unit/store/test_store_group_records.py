"""External ids and versions of groups, wherever the groups live."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event

from app.store.group_records import GroupRecord, RecordChange
from app.store.store import Store


@pytest.fixture
def records(store):
    return store.group_records


async def link(records, tenant_id, domain, group_id, value):
    await records.settle(tenant_id, group_id, RecordChange(domain=domain, external_id=value))


async def test_an_external_id_is_set_changed_and_forgotten(records):
    await link(records, "t", "okta", "g1", "E-1")
    assert await records.external_ids("t", "okta", ["g1", "g2"]) == {"g1": "E-1"}
    await link(records, "t", "okta", "g1", "E-2")
    assert await records.external_ids("t", "okta", ["g1"]) == {"g1": "E-2"}
    assert await records.find_by_external_id("t", "okta", "E-1") == ()
    await link(records, "t", "okta", "g1", None)
    await link(records, "t", "okta", "g1", None)
    assert await records.external_ids("t", "okta", ["g1"]) == {}
    assert await records.find_by_external_id("t", "okta", "E-2") == ()


async def test_several_groups_may_have_one_and_case_counts(records):
    for group in ("g3", "g1", "g2"):
        await link(records, "t", "okta", group, "Same")
    await link(records, "t", "okta", "g4", "same")
    assert await records.find_by_external_id("t", "okta", "Same") == ("g1", "g2", "g3")
    assert await records.find_by_external_id("t", "okta", "same") == ("g4",)
    assert await records.find_by_external_id("t", "okta", "SAME") == ()


async def test_tenants_and_domains_are_apart(records):
    for tenant in ("t1", "t2"):
        for domain in ("okta", "entra"):
            await link(records, tenant, domain, "g", f"{tenant} {domain}")
            await records.raise_version(tenant, "g")
    await records.raise_version("t1", "g")
    assert await records.external_ids("t1", "entra", ["g"]) == {"g": "t1 entra"}
    assert await records.find_by_external_id("t2", "okta", "t2 okta") == ("g",)
    assert await records.find_by_external_id("t2", "okta", "t1 okta") == ()
    assert await records.find_by_external_id("t1", "okta", "t1 entra") == ()
    await records.forget("t1", "g")
    for domain in ("okta", "entra"):
        assert await records.records("t1", domain, ["g"]) == {"g": GroupRecord()}
        assert await records.records("t2", domain, ["g"]) == {
            "g": GroupRecord(external_id=f"t2 {domain}", version=4)
        }


@pytest.mark.parametrize(
    "value",
    [
        "",
        " e ",
        "x" * 400,
        "x" * 401,
        "x" * 100_000,
        "😀" * 401,
        "a\0b",
        "\ud800",
        "sha256:" + "0" * 64,
        "'%s:n",
    ],
    ids=lambda value: ascii(value)[:24],
)
async def test_any_value_comes_back_as_it_was(records, value):
    await link(records, "t", "d", "g1", value)
    await link(records, "t", "d", "g2", value + "x")
    assert await records.external_ids("t", "d", ["g1", "g2"]) == {"g1": value, "g2": value + "x"}
    assert (await records.records("t", "d", ["g1"]))["g1"].external_id == value
    assert await records.find_by_external_id("t", "d", value) == ("g1",)


async def test_a_version_counts(records):
    assert await records.versions("t", ["g", "h"]) == {"g": 0, "h": 0}
    assert [await records.raise_version("t", "g") for _ in range(3)] == [1, 2, 3]
    assert await records.versions("t", ["h", "g"]) == {"h": 0, "g": 3}
    await records.raise_versions("t", ["h", "g", "h"])
    await records.raise_versions("t", [])
    assert await records.versions("t", ["h", "g"]) == {"h": 1, "g": 4}
    assert await records.versions("t", []) == {}


async def test_a_page_of_records_is_one_round_trip(store, records):
    ids = [f"g{i}" for i in range(500)]
    await records.raise_versions("t", ids[:300])
    for group in ids[290:310]:
        await link(records, "t", "d", group, group.upper())
    statements = []
    event.listen(
        store.db._reader.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    found = await records.records("t", "d", ids)
    assert len(statements) == 1
    assert list(found) == ids
    assert found["g0"] == GroupRecord(version=1)
    assert found["g295"] == GroupRecord(external_id="G295", version=2)
    assert found["g305"] == GroupRecord(external_id="G305", version=1)
    assert found["g400"] == GroupRecord()


async def test_more_ids_than_a_statement_takes(records):
    ids = [f"g{i}" for i in range(40_000)]
    await records.raise_version("t", "g39999")
    await link(records, "t", "d", "g20000", "E")
    found = await records.records("t", "d", ids)
    assert len(found) == 40_000
    assert (found["g20000"].external_id, found["g39999"].version) == ("E", 1)
    assert await records.external_ids("t", "d", ids) == {"g20000": "E"}
    assert sum((await records.versions("t", ids)).values()) == 2


async def test_no_version_is_given_twice(url):
    stores = [await Store.open(url) for _ in range(2)]
    versions = await asyncio.gather(
        *(store.group_records.raise_version("t", "g") for store in stores for _ in range(20)),
    )
    assert sorted(versions) == list(range(1, 41))
    await asyncio.gather(
        *(
            store.group_records.raise_versions("t", ids)
            for store in stores
            for ids in (["a", "b", "c"], ["c", "b", "a"]) * 5
        )
    )
    assert await stores[0].group_records.versions("t", ["a", "b", "c"]) == {"a": 20, "b": 20, "c": 20}
    for store in stores:
        await store.close()
