"""Why a plan costs what it does, in sentences for administrators. They name attributes, never values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from app.mapping.users import UserMapping
from app.planning.pushdown import push
from app.planning.terms import conjuncts, outline
from app.scim.expression import Compare, Filter, Not, Or
from app.scim.schema import AttributeRef


def for_listing(
    f: Filter,
    mapping: UserMapping,
    filters: Mapping[str, str],
    can_index: Callable[[Filter], bool] | None,
) -> tuple[str, ...]:
    """Why the users of a list have to be read and checked; `can_index` is None without a complete index."""
    found: list[str] = []
    for term in conjuncts(f):
        pushes = push(term, mapping, filters)
        text = outline(term)
        if any(p.exact for p in pushes):
            continue
        if pushes:
            names = " and ".join(p.parameter for p in pushes)
            found.append(f"The list's {names} finds more users than {text} does, so each one is checked.")
        elif isinstance(term, Or):
            found.append(f"Not every branch of {text} names its users, so no list narrows it.")
        elif isinstance(term, Not) or (isinstance(term, Compare) and term.op == "ne"):
            found.append(f"The platform's list cannot leave users out, as {text} asks.")
        else:
            found.append(f"The platform's list has no filter for {text}.")
        if can_index is None:
            continue
        if can_index(term):
            found.append(f"The index knows {text}, but is likely to find more users than the list.")
        else:
            found += for_rest([term])
    if can_index is None:
        found.append("There is no complete index that could answer it.")
    return tuple(found)


def for_rest(terms: Sequence[Filter]) -> tuple[str, ...]:
    """Why the users that the index finds have to be read and checked."""
    return tuple(f"The index does not know all of {outline(term)}." for term in terms)


def for_order(ref: AttributeRef, index: bool) -> tuple[str, ...]:
    """Why users are put in order only when all of them are read."""
    why = "the index does not have it" if index else "there is no complete index that could"
    return (f"The platform's list is not in order by {ref.text}, and {why}: all users of the list are read.",)


FOR_HIDDEN = (
    "Some users of the platform are deleted as far as SCIM is concerned, so that its list cannot tell the "
    "total: all users of the list are read.",
)
"""Why a list is read whole although the platform could page it."""
