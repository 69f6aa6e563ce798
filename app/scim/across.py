"""Filters of a query over several resource types (RFC 7644 §3.4.2.1): what is left of one for each type.

There an attribute that a type does not have counts as one without a value, instead of making the filter
invalid. What that decides, and what `meta.resourceType` decides, is worked out here, so that a type of
which nothing can match is not even read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.scim.errors import InvalidFilter
from app.scim.evaluate import bind, predicate
from app.scim.expression import And, AttrName, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.filter import all_of, any_of, print_name
from app.scim.schema import ResourceModel


def check_known(f: Filter, models: Sequence[ResourceModel], *, anywhere: bool = True) -> None:
    """Raise InvalidFilter for an attribute that none of the types has: a slip, not a question."""
    for path in _names(f):
        if not any(_is_known(path, model, anywhere) for model in models):
            names = " or ".join(model.name for model in models)
            raise InvalidFilter(f"{print_name(path)} is not an attribute of {names}")


def narrow(
    f: Filter, model: ResourceModel, *, boolean_words: bool = True, anywhere: bool = True
) -> Filter | bool:
    """The filter bound to one type (`evaluate.bind`), True where all of the type match, False where none can.

    An unknown attribute differs from every value, so that `ne` holds for it. Raises InvalidFilter for a
    comparison that makes no sense with an attribute which the type has.
    """

    def fold(term: Filter) -> Filter | bool:
        match term:
            case And(terms=terms):
                return _joined([fold(t) for t in terms], neutral=True)
            case Or(terms=terms):
                return _joined([fold(t) for t in terms], neutral=False)
            case Not(term=inner):
                folded = fold(inner)
                return not folded if isinstance(folded, bool) else Not(term=folded)
            case _:
                return leaf(term)

    def leaf(term: Compare | Present | ValuePath) -> Filter | bool:
        if not _is_known(term.path, model, anywhere):
            if not isinstance(term, Compare) or term.op not in ("eq", "ne"):
                return False
            return (term.op == "eq") is (term.value is None)
        bound = bind(term, model, boolean_words=boolean_words, anywhere=anywhere)
        if _is_type(term.path, model):
            return predicate(bound, model)({"meta": {"resourceType": model.name}})
        return bound

    return fold(f)


def _joined(terms: Iterable[Filter | bool], *, neutral: bool) -> Filter | bool:
    """A conjunction (`neutral` True) or a disjunction without its constant terms."""
    left: list[Filter] = []
    for term in terms:
        if not isinstance(term, bool):
            left.append(term)
        elif term is not neutral:
            return term
    if not left:
        return neutral
    return all_of(left) if neutral else any_of(left)


def _names(f: Filter) -> Iterator[AttrName]:
    match f:
        case And(terms=terms) | Or(terms=terms):
            for term in terms:
                yield from _names(term)
        case Not(term=term):
            yield from _names(term)
        case _:
            yield f.path


def _is_known(path: AttrName, model: ResourceModel, anywhere: bool) -> bool:
    if model.resolve(path.name, path.sub, urn=path.urn, anywhere=anywhere) is not None:
        return True
    # `urn:…:2.0:User pr`: the text alone does not tell a bare URN from a qualified name.
    return path.urn is not None and model.extension(print_name(path)) is not None


def _is_type(path: AttrName, model: ResourceModel) -> bool:
    ref = model.resolve(path.name, path.sub, urn=path.urn)
    return ref is not None and ref.text == "meta.resourceType"
