"""A plan in words, with the platform calls that it costs, for administrators and for tests."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from app.mapping.users import UserMapping
from app.planning.calls import Call, Calls, Counted
from app.planning.plan import ById, IndexQuery, Listing, Match, Nothing, Plan, Source, Union
from app.scim.attributes import Projection
from app.scim.filter import print_filter


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request will do: for JSON by msgspec, for terminals by `as_text`."""

    source: str
    """Where the users come from, in words."""
    calls: tuple[Call, ...]
    """The platform calls, in their order."""
    residual: str | None = None
    """The filter that every user read is checked by."""
    order: str | None = None
    """The order and who makes it."""
    least_calls: int
    """Platform calls in all, at least."""
    most_calls: int | None = None
    """The same at most; None where it depends on what is found, as `cost` says."""
    cost: str
    """The number of calls in words."""
    notes: tuple[str, ...] = ()
    """Why it cannot be had for less."""


def explain(
    plan: Plan,
    mapping: UserMapping,
    *,
    tenant_id: str,
    start_index: int = 1,
    count: int = 100,
    projection: Projection | None = None,
) -> Explanation:
    """What a plan for users will do for one page; `start_index` is 1-based, `count` already bounded.

    Not counted: what keeps the link table and the index up to date, and repetitions after failures.
    """
    calls = Calls(tenant_id, mapping.platform)
    from_rows = projection is not None and mapping.answers_from_row(projection)
    if plan.window == "platform":
        found = tuple(calls.of_list_window(plan, start_index - 1, count, from_rows=from_rows))
    elif plan.window == "index":
        found = tuple(calls.of_index_window(count))
    else:
        found = tuple(calls.of_all(plan.source))
    return Explanation(
        source=_source(plan.source),
        calls=tuple(each.call for each in found),
        residual=None if plan.residual is None else print_filter(plan.residual),
        order=_order(plan),
        least_calls=sum(each.least for each in found) + _searches_on_a_miss(plan.source),
        most_calls=_most(found),
        cost=_cost(plan, mapping.platform.per_page_max, count, from_rows=from_rows),
        notes=plan.notes,
    )


def as_text(explanation: Explanation) -> str:
    """Lines for a terminal."""
    lines = [("users", explanation.source)]
    lines += [("call", f"{call.times:<13} {_request(call)}  ({call.why})") for call in explanation.calls]
    if explanation.residual is not None:
        lines.append(("check", explanation.residual))
    if explanation.order is not None:
        lines.append(("order", explanation.order))
    span = str(explanation.least_calls)
    if explanation.most_calls != explanation.least_calls:
        span += " or more" if explanation.most_calls is None else f" to {explanation.most_calls}"
    lines.append(("cost", f"{span}: {explanation.cost}"))
    lines += [("note", note) for note in explanation.notes]
    return "\n".join(f"{name:<7}{text}" for name, text in lines)


def _request(call: Call) -> str:
    text = f"{call.method} {call.path}"
    if call.query:
        text += f"?{urlencode(call.query, safe='{}')}"
    return text if call.body is None else f"{text} {{{', '.join(call.body)}}}"


def _searches_on_a_miss(source: Source) -> int:
    """Lookups that cost one call or another: a known user is read, an unknown one is searched for."""
    each = source.sources if isinstance(source, Union) else (source,)
    return sum(isinstance(s, Match) and s.kind == "userName" and s.search is not None for s in each)


def _most(calls: tuple[Counted, ...]) -> int | None:
    known = [each.most for each in calls if each.most is not None]
    return sum(known) if len(known) == len(calls) else None


def _cost(plan: Plan, per_page_max: int, count: int, *, from_rows: bool) -> str:
    if plan.window is None:
        return _cost_of_all(plan.source, per_page_max)
    if plan.window == "index":
        return "one call for each user on the page" if count else "no call"
    if count and from_rows:
        return "the list alone, as its rows tell all that is asked for"
    return "the list, and one call for each user on the page" if count else "the list alone"


def _cost_of_all(source: Source, per_page_max: int) -> str:
    match source:
        case Nothing():
            return "no call"
        case ById():
            return "one call"
        case Match(kind="userName", search=None):
            return "one call where the user exists"
        case Match(kind="userName"):
            return "one call where the user is known from before, else a search and one for each hit"
        case Match(search=None):
            return "one call for each user that has the value"
        case Match():
            return "one call for each user that has the value, and a search where that may not be all"
        case Union():
            return "each lookup in turn"
        case Listing():
            return f"one call for each {per_page_max} users of the list, and one for each user"
        case IndexQuery():
            return "one call for each user that the index finds"


def _source(source: Source) -> str:
    match source:
        case Nothing():
            return "nobody: no user can match"
        case ById():
            return f"the user with the id {source.id}"
        case Match():
            return (
                f"who has the {source.kind} {msgspec.json.encode(source.value).decode()}, by the link table"
            )
        case Union():
            return "; ".join(map(_source, source.sources))
        case Listing():
            query = ", ".join(f"{name}={value}" for name, value in source.query)
            return f"the platform's list with {query}" if query else "the platform's list of all users"
        case IndexQuery():
            found = "all users" if source.filter is None else print_filter(source.filter)
            return f"the bridge's index: {found}"


def _order(plan: Plan) -> str | None:
    order = plan.order
    if order is None:
        return None
    way = "descending" if order.descending else "ascending"
    by = {
        "platform": f"by the platform's {order.sort_by}",
        "index": "by the index",
        "memory": "in memory, when all are read",
    }
    return f"{order.ref.text} {way}, {by[order.made]}"
