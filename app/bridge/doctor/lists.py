"""What the mapping declares of the platform's user lists: sizes, orders, filters, search, row fields."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from app.bridge.doctor.findings import Finding, Line, toml
from app.bridge.doctor.probe import SAMPLE, Probe
from app.platform.errors import Rejected
from app.scim.evaluate import sort_resources
from app.scim.path import parse_attribute_path
from app.scim.schema import AttributeRef, Resource
from app.wire.users import LISTED_FIELDS, PlatformUser

_SIZES = (1000, 500, 250, 200, 100, 50, 25, 20, 10)
_SEARCHABLE = ("email", "username", "first_name", "last_name", "display_name", "phone")
_PART = 3
"""Characters at least of a text that is searched for: shorter ones are in everybody."""
_PAGES = 5
"""Pages of a list in which somebody is looked for."""


async def check_lists(probe: Probe) -> AsyncIterator[Finding]:
    """Everything that can be seen by reading; raises `PlatformError` where a call fails in another way."""
    yield await _page_size(probe)
    yield await _default_order(probe)
    yield await _row_fields(probe)
    for attribute, sort_by in sorted(probe.capabilities.sort.items()):
        yield await _order(probe, attribute, sort_by)
    for attribute, parameter in sorted(probe.capabilities.filters.items()):
        yield await _filter(probe, attribute, parameter, exact=True)
    for attribute, parameter in sorted(probe.capabilities.narrows.items()):
        yield await _filter(probe, attribute, parameter, exact=False)
    async for finding in _search(probe):
        yield finding


async def _page_size(probe: Probe) -> Finding:
    declared = probe.capabilities.per_page_max
    name, shown = "per_page_max", str(declared)
    largest = await _first_served(probe, [size for size in _SIZES if size > declared])
    if await _serves(probe, declared):
        if largest is None:
            return Finding(name=name, state="ok", declared=shown, found="accepted, and nothing larger")
        line = Line(place="[platform]", text=f"per_page_max = {largest}")
        found = f"{largest} is accepted too: fewer calls a list"
        return Finding(name=name, state="hint", declared=shown, found=found, lines=(line,))
    smaller = await _first_served(probe, [size for size in _SIZES if size < declared])
    if smaller is None:
        return Finding(name=name, state="failed", declared=shown, found="no page size is accepted")
    line = Line(place="[platform]", text=f"per_page_max = {smaller}")
    found = f"refused or cut short; {smaller} is accepted"
    return Finding(name=name, state="differs", declared=shown, found=found, lines=(line,))


async def _first_served(probe: Probe, sizes: list[int]) -> int | None:
    for size in sizes:
        if await _serves(probe, size):
            return size
    return None


async def _serves(probe: Probe, size: int) -> bool:
    """Whether a page of this size is a page of this size, also where nobody complains."""
    try:
        page = await probe.page({"per_page": size})
    except Rejected:
        return False
    total = page.pagination.total_items
    return page.pagination.per_page == size and len(page.data) == min(size, total)


async def _default_order(probe: Probe) -> Finding:
    name, sort_by = "default_sort", probe.capabilities.default_sort
    order: dict[str, str | int] = {"sort_by": sort_by, "sort_order": "asc"}
    try:
        first = await probe.page(order)
    except Rejected as refused:
        return Finding(name=name, state="failed", declared=sort_by, found=f"refused: {refused.detail}")
    if [r.id for r in first.data] != [r.id for r in (await probe.page(order)).data]:
        return Finding(
            name=name, state="failed", declared=sort_by, found="the same page twice is not the same"
        )
    if first.pagination.total_items < 2:
        return Finding(name=name, state="unknown", declared=sort_by, found="fewer than two users")
    last = await probe.page({"sort_by": sort_by, "sort_order": "desc", "per_page": 1})
    if last.data and last.data[0].id == first.data[0].id:
        return Finding(name=name, state="failed", declared=sort_by, found="sort_order makes no difference")
    return Finding(name=name, state="ok", declared=sort_by, found="pages hold still, in both directions")


async def _row_fields(probe: Probe) -> Finding:
    declared = probe.capabilities.list_fields
    name, shown = "list_fields", ", ".join(declared)
    rows = await probe.raw_rows()
    if not rows:
        return Finding(name=name, state="unknown", declared=shown, found="no users")
    full = {user.id: user for user in await probe.sample()}
    there = [f for f in sorted(LISTED_FIELDS) if all(f in row for row in rows)]
    unlike = {f for row in rows for f in there if row["id"] in full and row[f] != getattr(full[row["id"]], f)}
    right = [f for f in there if f not in unlike]
    line = (Line(place="[platform]", text=f"list_fields = {toml(right)}"),)
    if wrong := [f for f in declared if f not in right]:
        found = f"not in the rows, or unlike the user: {', '.join(wrong)}"
        return Finding(name=name, state="differs", declared=shown, found=found, lines=line)
    if further := [f for f in right if f not in declared]:
        found = f"rows have {', '.join(further)} too"
        return Finding(name=name, state="hint", declared=shown, found=found, lines=line)
    return Finding(name=name, state="ok", declared=shown, found="in every row, and like the user")


async def _order(probe: Probe, attribute: str, sort_by: str) -> Finding:
    name, section = f"sort {attribute}", "[platform.sort]"
    ref = _ref(probe, attribute)
    try:
        rows = (await probe.page({"sort_by": sort_by, "sort_order": "asc", "per_page": SAMPLE})).data
    except Rejected as refused:
        gone = Line(place=section, text=f"# without {toml(attribute)}")
        found = f"refused: {refused.detail}"
        return Finding(name=name, state="differs", declared=sort_by, found=found, lines=(gone,))
    users = [_resource(probe, await probe.platform.get_user(probe.tenant_id, row.id)) for row in rows]
    if len(users) < 2:
        return Finding(name=name, state="unknown", declared=sort_by, found="fewer than two users")
    if [r["id"] for r in sort_resources(users, ref, descending=False)] != [r["id"] for r in users]:
        gone = Line(place=section, text=f"# without {toml(attribute)}")
        found = "another order than SCIM's"
        return Finding(name=name, state="differs", declared=sort_by, found=found, lines=(gone,))
    return Finding(name=name, state="ok", declared=sort_by, found=f"SCIM's order over {len(users)} users")


async def _filter(probe: Probe, attribute: str, parameter: str, *, exact: bool) -> Finding:
    name, section = f"filter {attribute}", "[platform.filters]" if exact else "[platform.narrows]"
    gone = (Line(place=section, text=f"# without {toml(attribute)}"),)
    ref = _ref(probe, attribute)
    resources = {user.id: _resource(probe, user) for user in await probe.sample()}
    texts = {i: {_text(v) for v in _values(r, ref)} for i, r in resources.items()}
    known = sorted({text for each in texts.values() for text in each})[:3]
    if not known:
        return Finding(
            name=name, state="unknown", declared=parameter, found="no user of the sample has a value"
        )
    for text in known:
        have = {i for i, each in texts.items() if text in each}
        try:
            listed = await _listed(probe, {parameter: text}, have)
        except Rejected as refused:
            found = f"refused: {refused.detail}"
            return Finding(name=name, state="differs", declared=parameter, found=found, lines=gone)
        if listed is None:
            found = "users with the value are not in the list"
            return Finding(name=name, state="differs", declared=parameter, found=found, lines=gone)
        if exact and any(i in texts and text not in texts[i] for i in listed):
            found = "users without the value are in the list"
            line = Line(place="[platform.narrows]", text=f"{toml(attribute)} = {toml(parameter)}")
            return Finding(name=name, state="differs", declared=parameter, found=found, lines=(*gone, line))
    return Finding(name=name, state="ok", declared=parameter, found=f"right for {len(known)} values")


async def _search(probe: Probe) -> AsyncIterator[Finding]:
    covered: list[str] = []
    wrong: list[str] = []
    unknown: list[str] = []
    for field in dict.fromkeys((*probe.capabilities.search, *_SEARCHABLE)):
        users = [u for u in await probe.sample() if len(_part(u, field)) >= _PART]
        if not users:
            unknown.append(field)
            continue
        found = await _listed(probe, {"search": _part(users[0], field).swapcase()}, {users[0].id})
        (wrong if found is None else covered).append(field)
    declared = probe.capabilities.search
    name, shown = "search", ", ".join(declared)
    lost = [f for f in declared if f in wrong]
    right = [f for f in declared if f not in wrong]
    if lost:
        line = Line(place="[platform]", text=f"search = {toml(right)}")
        yield Finding(
            name=name,
            state="differs",
            declared=shown,
            found=f"does not find {', '.join(lost)}",
            lines=(line,),
        )
    elif further := [f for f in covered if f not in declared]:
        line = Line(place="[platform]", text=f"search = {toml([*declared, *further])}")
        yield Finding(
            name=name, state="hint", declared=shown, found=f"finds {', '.join(further)} too", lines=(line,)
        )
    elif all(f in unknown for f in declared):
        yield Finding(name=name, state="unknown", declared=shown, found="nobody to search for")
    else:
        untold = [f for f in declared if f in unknown]
        rest = f"; nobody has {', '.join(untold)}" if untold else ""
        yield Finding(name=name, state="ok", declared=shown, found=f"a part, in other case, is found{rest}")


async def _listed(probe: Probe, query: dict[str, str | int], wanted: set[str]) -> list[str] | None:
    """The ids on the first pages of a list; None where it ends without somebody who is wanted."""
    ids: list[str] = []
    for number in range(1, _PAGES + 1):
        page = await probe.page({**query, "page": number})
        ids += [row.id for row in page.data]
        if wanted <= set(ids):
            return ids
        if number >= page.pagination.total_pages:
            return None
    # A list too long to be looked through: its total is all there is to go by.
    return ids


def _part(user: PlatformUser, field: str) -> str:
    """A part from within a field's text, with nothing that lists read in a way of their own."""
    value = getattr(user, field)
    text = value.partition("@")[0][1:] if isinstance(value, str) else ""
    return text if text.isascii() and text.isalnum() else ""


def _ref(probe: Probe, attribute: str) -> AttributeRef:
    model = probe.context.mapping.model
    ref = parse_attribute_path(attribute, model)
    assert isinstance(ref, AttributeRef)  # noqa: S101 - checked when the mapping was loaded
    return ref


def _resource(probe: Probe, user: PlatformUser) -> Resource:
    return probe.context.mapping.to_scim(user, domain=probe.context.domain, base_url="")


def _values(resource: Resource, ref: AttributeRef) -> list[Any]:
    holder: Any = resource if ref.urn is None else resource.get(ref.urn, {})
    value = holder.get(ref.attribute.name)
    elements = value if isinstance(value, list) else [] if value is None else [value]
    if ref.sub is None:
        return list(elements)
    return [e[ref.sub.name] for e in elements if isinstance(e, dict) and ref.sub.name in e]


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
