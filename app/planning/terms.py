"""What planning asks of a filter's tree, whatever answers it later."""

from __future__ import annotations

import msgspec

from app.scim.expression import And, AttrName, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.filter import all_of, print_name


def conjuncts(f: Filter) -> tuple[Filter, ...]:
    """The terms that must all hold."""
    return f.terms if isinstance(f, And) else (f,)


def conjunction(terms: list[Filter]) -> Filter | None:
    """All of these terms; None where there are none."""
    return all_of(terms) if terms else None


def flattened(term: Filter) -> Filter:
    """`emails[value eq "x"]` as `emails.value eq "x"`, which says the same; any other term as it is.

    `ne` and `pr` differ outside the brackets: they ask about the attribute there, not about one value of it.
    """
    if isinstance(term, ValuePath) and isinstance(term.filter, Compare) and term.filter.op != "ne":
        path = AttrName(urn=term.path.urn, name=term.path.name, sub=term.filter.path.name)
        return msgspec.structs.replace(term.filter, path=path)
    return term


def is_selective(f: Filter) -> bool:
    """Whether the filter names a value that few users are likely to share; a guess, and only of cost."""
    match f:
        case Compare(op=op, value=value):
            return op in ("eq", "co", "sw", "ew") and not isinstance(value, bool)
        case And(terms=terms):
            return any(map(is_selective, terms))
        case Or(terms=terms):
            return all(map(is_selective, terms))
        case ValuePath(filter=inner):
            return is_selective(inner)
        case Present() | Not():
            return False


def outline(f: Filter) -> str:
    """The filter without its values, for notes and logs: `title eq …`."""
    match f:
        case Compare(path=path, op=op):
            return f"{print_name(path)} {op} …"
        case Present(path=path):
            return f"{print_name(path)} pr"
        case Not(term=term):
            return f"not ({outline(term)})"
        case ValuePath(path=path, filter=inner):
            return f"{print_name(path)}[{outline(inner)}]"
        case Or(terms=terms):
            return " or ".join(map(outline, terms))
        case And(terms=terms):
            return " and ".join(f"({outline(t)})" if isinstance(t, Or) else outline(t) for t in terms)
