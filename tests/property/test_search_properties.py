"""Searches of users, end to end: whatever is asked of whatever directory, the bridge answers what filtering
every user in memory answers; in both modes, on both databases, and after changes that events tell of late.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_rig import MODES, SearchRig, Tenant, open_search_rig
from test_filter_properties import trees

from app.bridge.query import Query
from app.scim.evaluate import bind
from app.scim.expression import AttrName, Compare, Filter, Present, ValuePath
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER, AttributeRef, user_model

MODEL = user_model()
_EVERYTHING = list(HealthCheck)
ORDINARY = settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=_EVERYTHING)
LONG = settings(ORDINARY, max_examples=500, derandomize=False)

# --- directories: few values, so that filters meet them ---

words = st.sampled_from(["", "Ann", "ann", "ANNA", "Straße", "STRASSE", "Ωmega", 'o\'x "y" \\', "%_", "İpek"])
names = st.none() | words.filter(bool)
statuses = st.sampled_from(["ACTIVE", "DISABLED", "LOCKED", "PENDING_APPROVAL"])
departments = st.sampled_from(["Sales", "sales", "Legal", "Straße"])
emails = st.sampled_from([f"{n}@{d}" for n in ("ann", "bo", "cy", "dee") for d in ("x.org", "example.com")])
addresses = st.lists(
    st.fixed_dictionaries(
        {"value": emails}, optional={"type": st.sampled_from(["work", "home"]), "primary": st.booleans()}
    ),
    max_size=2,
)
custom = st.fixed_dictionaries(
    {},
    optional={
        "department": departments,
        "title": words,
        "scim_external_ids": st.fixed_dictionaries({"default": st.sampled_from(["e-1", "E-1", "e-2"])}),
        "scim": st.fixed_dictionaries(
            {"attributes": st.fixed_dictionaries({}, optional={"nickName": words, "ims": addresses})}
        ),
        "foreign": st.integers(),
    },
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "first_name": names,
        "last_name": names,
        "display_name": names,
        "phone": st.none() | st.just("+1 555"),
        "custom_attributes": custom,
    },
)
people = st.lists(
    st.tuples(emails, changes, statuses).map(lambda p: ({"email": p[0], **p[1]}, p[2])), max_size=6
)

# --- queries ---

STRINGS = (
    "userName",
    "name.givenName",
    "name.familyName",
    "name.formatted",
    "displayName",
    "emails.value",
    "emails.type",
    "phoneNumbers.value",
    "externalId",
    "title",
    "nickName",
    f"{ENTERPRISE_USER}:department",
    f"{PLATFORM_USER}:status",
)
BOOLEANS = ("active", "emails.primary", f"{PLATFORM_USER}:mfaEnabled")


def path_of(text: str) -> AttrName:
    urn, _, name = text.rpartition(":")
    name, _, sub = name.partition(".")
    return AttrName(urn=urn or None, name=name, sub=sub or None)


some_text = st.one_of(
    words, emails, departments, statuses, st.sampled_from(["a", "n", "e-1", "E-1", "ss", "work"])
)
textual = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "le"])
terms: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, path=st.sampled_from(STRINGS).map(path_of), op=textual, value=some_text),
    st.builds(
        Compare,
        path=st.sampled_from(BOOLEANS).map(path_of),
        op=st.sampled_from(["eq", "ne"]),
        value=st.booleans(),
    ),
    st.builds(Present, path=st.sampled_from([*STRINGS, "emails", "name", "groups"]).map(path_of)),
    st.builds(
        ValuePath,
        path=st.just(AttrName(name="emails")),
        filter=trees(
            st.one_of(
                st.builds(
                    Compare,
                    path=st.sampled_from(["value", "type"]).map(path_of),
                    op=textual,
                    value=some_text,
                ),
                st.builds(Present, path=st.just(AttrName(name="primary"))),
            )
        ),
    ),
    st.builds(
        Compare,
        path=st.just(AttrName(name="meta", sub="lastModified")),
        op=st.sampled_from(["gt", "le"]),
        value=st.sampled_from(["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"]),
    ),
)


def _ref(text: str) -> AttributeRef:
    path = path_of(text)
    found = MODEL.resolve(path.name, path.sub, urn=path.urn)
    assert found is not None
    return found


queries = st.builds(
    Query,
    filter=st.none() | trees(terms).map(lambda f: bind(f, MODEL)),
    sort=st.none() | st.sampled_from([*STRINGS, *BOOLEANS, "id"]).map(_ref),
    descending=st.booleans(),
    start_index=st.integers(1, 5),
    count=st.integers(0, 4) | st.just(100),
)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), emails, changes),
        st.tuples(st.just("update"), st.integers(0, 9), changes),
        st.tuples(st.just("status"), st.integers(0, 9), statuses),
        st.tuples(st.just("delete"), st.integers(0, 9)),
    ),
    max_size=6,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Any], None]]:
    """Runs a coroutine of a rig, which lives in a loop of its own."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")()
    loop = asyncio.new_event_loop()
    ready: Future[SearchRig] = Future()
    stop = asyncio.Event()

    async def live() -> None:
        try:
            async with open_search_rig(tmp_path, url) as rig:
                ready.set_result(rig)
                await stop.wait()
        except BaseException as exc:
            ready.done() or ready.set_exception(exc)
            raise

    thread = Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    rig = ready.result()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work(rig), loop).result()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def populate(rig: SearchRig, users: Any) -> Tenant:
    tenant = await rig.tenant()
    for fields, status in users:
        await tenant.create(fields)
        if tenant.ids and status != "ACTIVE":
            await tenant.set_status(len(tenant.ids) - 1, status)
    return tenant


async def agree(tenant: Tenant, asked: list[Query]) -> None:
    for query in asked:
        for mode in MODES:
            assert await tenant.found(mode, query) == await tenant.expected(mode, query), (mode, query)


def check_directory(on: Callable[[Any], None], users: Any, asked: list[Query]) -> None:
    async def work(rig: SearchRig) -> None:
        tenant = await populate(rig, users)
        await tenant.sweep()
        await agree(tenant, asked)

    on(work)


def check_events(on: Callable[[Any], None], users: Any, changed: Any, asked: list[Query], seed: int) -> None:
    """While events are on their way a search may lag; when all have come, in whatever order, it does not."""

    async def work(rig: SearchRig) -> None:
        tenant = await populate(rig, users)
        await tenant.sweep()
        await tenant.told()
        for kind, *what in changed:
            match kind:
                case "create":
                    await tenant.create({"email": what[0], **what[1]})
                case "update":
                    await tenant.update(*what)
                case "status":
                    await tenant.set_status(*what)
                case _:
                    await tenant.delete(*what)
        events = await tenant.told()
        chance = random.Random(seed)  # noqa: S311 - to be repeated
        order = chance.sample(events, len(events))
        early = chance.randint(0, len(order))
        doubled = [e for e in order if chance.random() < 0.5]
        await tenant.deliver(order[:early])
        # What is read and put into the index now must not outlive what the other events tell.
        for query in asked:
            for mode in MODES:
                await tenant.found(mode, query)
        await tenant.deliver([*order[early:], *doubled])
        await agree(tenant, asked)

    on(work)


asked_lists = st.lists(queries, min_size=1, max_size=4)


def test_a_search_is_a_filter_in_memory(on: Callable[[Any], None]) -> None:
    ORDINARY(given(people, asked_lists)(lambda users, asked: check_directory(on, users, asked)))()


@pytest.mark.long
def test_a_search_is_a_filter_in_memory_at_length(on: Callable[[Any], None]) -> None:
    LONG(given(people, asked_lists)(lambda users, asked: check_directory(on, users, asked)))()


def test_searches_converge_with_the_events(on: Callable[[Any], None]) -> None:
    ORDINARY(
        given(people, steps, asked_lists, st.integers(0))(
            lambda users, changed, asked, seed: check_events(on, users, changed, asked, seed)
        )
    )()


@pytest.mark.long
def test_searches_converge_with_the_events_at_length(on: Callable[[Any], None]) -> None:
    LONG(
        given(people, steps, asked_lists, st.integers(0))(
            lambda users, changed, asked, seed: check_events(on, users, changed, asked, seed)
        )
    )()
