"""The index answers what the predicates answer, in the order that sorting gives, whatever the users hold."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_filter_properties import trees

from app.scim.evaluate import bind, predicate, sort_resources
from app.scim.expression import AttrName, Compare, Filter, Not, Present, ValuePath
from app.scim.index import index_entries, is_indexed, is_kept, number_key, sort_is_indexed, value_key
from app.scim.schema import ENTERPRISE_USER, Attribute, AttributeRef, Schema, user_model
from app.store.index_records import IndexedUser, Position, View
from app.store.index_writes import created_key
from app.store.store import Store

CUSTOM = "urn:test:2.0:Custom"
MODEL = user_model(
    [
        Schema(
            id=CUSTOM,
            name="Custom",
            attributes=(
                Attribute(name="level", type="integer"),
                Attribute(name="score", type="decimal"),
                Attribute(name="since", type="dateTime"),
                Attribute(name="code", case_exact=True),
                Attribute(name="blob", type="binary"),
                Attribute(name="link", type="reference"),
                Attribute(name="tags", multi_valued=True),
                Attribute(name="marks", type="decimal", multi_valued=True),
                Attribute(
                    name="badges",
                    type="complex",
                    multi_valued=True,
                    sub_attributes=(
                        Attribute(name="value", case_exact=True),
                        Attribute(name="primary", type="boolean"),
                        Attribute(name="rank", type="integer"),
                        Attribute(name="until", type="dateTime"),
                    ),
                ),
            ),
        )
    ]
)
ORDINARY = settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(ORDINARY, max_examples=1000, derandomize=False)

# --- values: few and alike, so that they meet ---------------------------------------------------------------

ALIKE = "x" * 199
TEXTS = [
    *["a", "A", "", "aB", "ab", "b", "ß", "SS", "\u017f", "s", "É", "é", "%", "a%b", "\U0010ffff", "😀"],
    *["a\0b", "a\ufffdb", "\ud800", "\ud7ff", "\ue000", "i\u0307", "İ"],
    *[ALIKE, ALIKE + "x", ALIKE + "xx", ALIKE + "xa", ALIKE + "xA", ALIKE + "y", ALIKE + "\0" + "z" * 300],
]
DAYS = [
    "2024-05-13T04:42:34Z",
    "2024-05-13T04:42:34.5Z",
    "2024-05-13T04:42:34.50Z",
    "2024-05-13T04:42:34.500001Z",
    "2024-05-13T06:42:34+02:00",
    "2024-05-13T04:42:35",
    "2024-05-13",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
]
NUMBERS = [
    0,
    1,
    1.0,
    -0.0,
    -1,
    2,
    -2.5,
    0.1,
    1e300,
    -1e300,
    5e-324,
    2**53,
    2**53 + 1,
    2.0**53,
    2**1000,
    10**30,
]
POOLS: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": NUMBERS,
    "decimal": NUMBERS,
    "dateTime": DAYS,
}
STRANGE = [None, True, 7, "?", [], {}, [""], {"value": "a"}, {"unheard": "of"}, [{"value": "a"}, {}, "x"]]
texts = st.sampled_from(TEXTS) | st.text("aAß", max_size=3)
moments = st.sampled_from(DAYS)
numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(-(10**30), 10**30), st.floats(allow_nan=False))
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": numbers,
    "decimal": numbers,
    "dateTime": moments,
}
strange = st.sampled_from(STRANGE)


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    """Values of an attribute, now and then of another type or shape."""
    one: st.SearchStrategy[Any] = BY_TYPE.get(attribute.type, texts)
    if attribute.type == "complex":
        one = st.fixed_dictionaries({}, optional={s.name: values(s) for s in attribute.sub_attributes})
    else:
        one = st.one_of(one, one, one, strange)
    if attribute.multi_valued:
        return st.one_of(st.lists(one, max_size=3), st.lists(one | strange, max_size=3), one)
    return (
        one if attribute.type != "complex" else st.one_of(one, one, one, st.lists(one, max_size=2), strange)
    )


CORE = ["userName", "externalId", "name", "active", "emails", "schemas", "profileUrl"]
ATTRIBUTES: list[tuple[str | None, Attribute]] = [
    *((None, attribute) for attribute in MODEL.attributes if attribute.name in CORE),
    *((e.id, a) for e in MODEL.extensions for a in e.attributes if e.id == CUSTOM or a.name == "manager"),
]


def _held(urn: str | None) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={a.name: values(a) for u, a in ATTRIBUTES if u == urn})


people = st.lists(
    st.builds(
        lambda held, created, modified: {**held, "meta": {"created": created, "lastModified": modified}},
        st.builds(
            lambda core, manager, custom: {**core, ENTERPRISE_USER: manager, CUSTOM: custom},
            _held(None),
            _held(ENTERPRISE_USER),
            _held(CUSTOM) | strange,
        ),
        st.one_of(moments, moments, moments, st.just("?"), st.none()),
        moments,
    ),
    max_size=9,
).map(lambda found: [{"id": f"u-{'Aa_9'[i % 4]}{i}", **each} for i, each in enumerate(found)])


def _sample(attribute: Attribute, i: int) -> Any:
    """A value of an attribute: for one `i` after the other all of the pools, and several at once."""
    pool = POOLS.get(attribute.type, TEXTS)
    if attribute.type == "complex":
        subs = [sub for j, sub in enumerate(attribute.sub_attributes) if (i + j) % 4]
        if attribute.multi_valued:
            return [
                {
                    sub.name: _sample(msgspec.structs.replace(sub, multi_valued=False), i + 5 * n)
                    for sub in subs[n:]
                }
                for n in range(i % 4)
            ]
        return {sub.name: _sample(sub, i) for sub in subs}
    return (
        [pool[(i + n) % len(pool)] for n in range(i % 3)] if attribute.multi_valued else pool[i % len(pool)]
    )


def _population() -> list[dict[str, Any]]:
    """Users that hold every value of the pools in every attribute, and every strange one."""
    found: list[dict[str, Any]] = []
    for i in range(len(TEXTS) + len(STRANGE)):
        odd = i - len(TEXTS)
        resource: dict[str, Any] = {"id": f"u-{'Aa_9'[i % 4]}{i}"}
        for urn, attribute in ATTRIBUTES:
            place = resource if urn is None else resource.setdefault(urn, {})
            place[attribute.name] = _sample(attribute, i) if odd < 0 else STRANGE[odd]
        created = DAYS[i % 5] if i % 7 else "?"
        resource["meta"] = {"created": created, "lastModified": DAYS[i % len(DAYS)], "resourceType": "User"}
        found.append(resource)
    return [{"id": "u-nobody", "meta": {"created": None}}, *found]


# --- filters ------------------------------------------------------------------------------------------------


def _refs() -> list[AttributeRef]:
    own = [(None, MODEL.attribute("id")), (None, MODEL.attribute("meta")), *ATTRIBUTES]
    found = [
        AttributeRef(urn=urn, attribute=attribute, sub=sub)
        for urn, attribute in own
        if attribute is not None
        for sub in (None, *attribute.sub_attributes)
    ]
    return [ref for ref in found if is_kept(ref)]


POPULATION = _population()
REFS = _refs()
SIMPLE = [ref for ref in REFS if ref.leaf.type != "complex"]
MULTI = [ref for ref in REFS if ref.attribute.multi_valued and ref.sub is None]
OPS = {"boolean": ["eq", "ne"], "binary": ["eq", "ne", "co", "sw", "ew"]}
ORDERED = ["eq", "ne", "gt", "ge", "lt", "le"]
IDS = ["u-A0", "u-a1", "u-", "u", "U-A0", "u-_2", "v", "9", ""]
THOROUGHLY = {"userName", "externalId", f"{CUSTOM}:tags"}
"""Compared with every text; the others with a few."""


def _ops(ref: AttributeRef) -> list[Any]:
    kind = ref.leaf.type
    return OPS.get(kind, ORDERED if kind in POOLS else [*ORDERED, "co", "sw", "ew"])


def _terms(ref: AttributeRef, path: AttrName) -> st.SearchStrategy[Filter]:
    wanted = st.sampled_from(IDS) if ref.text == "id" else BY_TYPE.get(ref.leaf.type, texts)
    return st.one_of(
        st.builds(Compare, path=st.just(path), op=st.sampled_from(_ops(ref)), value=wanted),
        st.builds(Compare, path=st.just(path), op=st.sampled_from(["eq", "ne"]), value=st.none()),
        st.just(Present(path=path)),
    )


def _path(ref: AttributeRef) -> AttrName:
    return AttrName(urn=ref.urn, name=ref.attribute.name, sub=ref.sub.name if ref.sub else None)


def _brackets(ref: AttributeRef) -> st.SearchStrategy[Filter]:
    subs = ref.attribute.sub_attributes or (msgspec.structs.replace(ref.attribute, name="value"),)
    inner = st.sampled_from(
        [AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=sub) for sub in subs if sub.type != "complex"]
    ).flatmap(lambda each: _terms(each, AttrName(name=each.leaf.name)))
    return st.builds(ValuePath, path=st.just(_path(ref)), filter=trees(inner))


terms = st.one_of(
    st.sampled_from(SIMPLE).flatmap(lambda ref: _terms(ref, _path(ref))),
    st.sampled_from(REFS).map(lambda ref: Present(path=_path(ref))),
    st.sampled_from(MULTI).flatmap(_brackets),
)
searches = st.tuples(
    st.none() | trees(terms),
    st.none() | st.sampled_from(SIMPLE),
    st.booleans(),
    st.integers(1, 4),
)


def _each_comparison() -> Iterator[Filter]:
    """Every operator of every attribute, by itself and in brackets."""
    for ref in SIMPLE:
        pool = IDS if ref.text == "id" else POOLS.get(ref.leaf.type, TEXTS)
        if pool is TEXTS and ref.text not in THOROUGHLY:
            pool = TEXTS[:2]
        for op in _ops(ref):
            for value in pool:
                yield Compare(path=_path(ref), op=op, value=value)
                if ref.attribute.multi_valued and value in pool[:2]:
                    name = AttrName(name=ref.leaf.name if ref.sub else "value")
                    term: Filter = Compare(path=name, op=op, value=value)
                    yield ValuePath(path=AttrName(urn=ref.urn, name=ref.attribute.name), filter=term)
                    yield ValuePath(
                        path=AttrName(urn=ref.urn, name=ref.attribute.name), filter=Not(term=term)
                    )
    for ref in REFS:
        yield Present(path=_path(ref))
        if ref.attribute.multi_valued and ref.sub is not None:
            term = Present(path=AttrName(name=ref.leaf.name))
            yield ValuePath(path=AttrName(urn=ref.urn, name=ref.attribute.name), filter=term)
            yield ValuePath(path=AttrName(urn=ref.urn, name=ref.attribute.name), filter=Not(term=term))


# --- the searches -------------------------------------------------------------------------------------------


class Rig:
    """A store and a loop; every example gets a view of its own."""

    def __init__(self, runner: asyncio.Runner, store: Store, *, is_fast: bool) -> None:
        self.is_fast = is_fast
        self._runner = runner
        self._index = store.index
        self._numbers = itertools.count()

    def check(self, resources: list[dict[str, Any]], found: Iterable[Any], *, windows: bool = True) -> None:
        """Search in a view of these users."""
        self._runner.run(self._check(resources, found, windows))

    async def _check(self, resources: list[dict[str, Any]], found: Iterable[Any], windows: bool) -> None:
        view = await self._index.view("t", "default", f"m{next(self._numbers)}")
        many = [(_indexed(resource), (), 0) for resource in resources]
        assert await self._index.put_many(view, many) == len(resources)
        resources = sorted(resources, key=lambda r: (created_key(r["meta"]["created"] or ""), r["id"]))
        for f, sort, descending, step in found:
            await self._search(view, resources, f, sort, descending, step if windows else 0)

    async def _search(
        self,
        view: View,
        ordered: list[dict[str, Any]],
        f: Filter | None,
        sort: AttributeRef | None,
        descending: bool,
        step: int,
    ) -> None:
        bound = None if f is None else bind(f, MODEL)
        assert bound is None or is_indexed(bound, MODEL)
        assert sort is None or sort_is_indexed(sort)
        holds = (lambda _: True) if bound is None else predicate(bound, MODEL)
        if sort is not None:
            ordered = sort_resources(ordered, sort, descending)
        expected = [r["id"] for r in ordered if holds(r)]

        async def window(offset: int = 0, after: Position | None = None, limit: int = 100) -> list[Any]:
            page = await self._index.find(
                view.id,
                MODEL,
                bound,
                sort=sort,
                descending=descending,
                offset=offset,
                after=after,
                limit=limit,
            )
            assert page.total == len(expected), bound
            return list(page.rows)

        said = (bound, sort and sort.text, descending)
        assert [row.id for row in await window()] == expected, said
        if not step:
            return
        assert await window(limit=0) == []
        by_offset = [await window(offset=i, limit=step) for i in range(0, len(expected) + 1, step)]
        assert [row.id for rows in by_offset for row in rows] == expected, said
        by_position: list[str] = []
        after: Position | None = None
        while rows := await window(after=after, limit=step):
            by_position += [row.id for row in rows]
            after = msgspec.json.decode(msgspec.json.encode(rows[-1].position), type=Position)
        assert by_position == expected, said
        if len(expected) > 2:
            after = (await window(limit=1))[0].position
            assert [row.id for row in await window(after=after, offset=1)] == expected[2:], said


def _indexed(resource: dict[str, Any]) -> IndexedUser:
    created = resource["meta"]["created"] or ""
    return IndexedUser(id=resource["id"], created=created, entries=index_entries(resource, MODEL))


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Rig]:
    url = f"sqlite+aiosqlite:///{tmp_path}/bridge.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")()
    with asyncio.Runner() as runner:
        store = runner.run(Store.open(url))
        yield Rig(runner, store, is_fast=request.param == "sqlite")
        runner.run(store.close())


def test_every_comparison_finds_what_the_predicate_finds(rig: Rig) -> None:
    every = [(f, None, False, 0) for f in _each_comparison()]
    rig.check(POPULATION, every if rig.is_fast else every[::7], windows=False)


def test_every_order_is_that_of_sorting(rig: Rig) -> None:
    orders = [(None, ref, descending, 17) for ref in SIMPLE for descending in (False, True)]
    rig.check(POPULATION, orders if rig.is_fast else orders[::3])


def test_any_search_among_many(rig: Rig) -> None:
    def check(found: list[Any]) -> None:
        rig.check(POPULATION, found, windows=False)

    ORDINARY(given(st.lists(searches, min_size=8, max_size=12))(check))()


def _any(rig: Rig, how: settings) -> None:
    def check(resources: list[dict[str, Any]], found: list[Any]) -> None:
        rig.check(resources, found)

    how(given(people, st.lists(searches, min_size=1, max_size=3))(check))()


def test_any_search_among_any_users(rig: Rig) -> None:
    _any(rig, ORDINARY)


@pytest.mark.long
def test_any_search_at_length(rig: Rig) -> None:
    _any(rig, LONG)


# --- keys ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(numbers, numbers)
def test_number_keys_order_as_numbers(a: float, b: float) -> None:
    key_a, key_b = number_key(a), number_key(b)
    assert key_a is not None and key_b is not None
    assert (key_a < key_b, key_a == key_b) == (a < b, a == b)


@settings(deadline=None)
@given(st.sampled_from(SIMPLE), st.data())
def test_keys_are_storable(ref: AttributeRef, data: st.DataObject) -> None:
    key = value_key(ref.leaf, data.draw(values(ref.leaf)))
    assert key is None or "\0" not in key.encode().decode()
