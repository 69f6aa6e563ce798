"""A bound filter as a condition on the entries of `index`, for a database to answer.

What a comparison means (several values, `ne`, `pr`, missing `primary`) is decided here; what is left is
whether entries with certain names and keys exist.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Literal, TypeAlias

import msgspec

from app.scim.expression import And, AttrName, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.index import COLUMNS, OTHER, defaults_to_false, is_kept, resolve, value_key
from app.scim.schema import AttributeRef, ResourceModel

KeyOp: TypeAlias = Literal["eq", "co", "sw", "ew", "gt", "ge", "lt", "le"]


class Has(msgspec.Struct, frozen=True, kw_only=True):
    """There is an entry of this name whose key compares so with one of `keys`.

    Within an `Element`, an entry of that element. Several keys go with `eq` only.
    """

    attribute: str
    op: KeyOp
    keys: tuple[str, ...]
    single: bool = False
    """A user has one such entry at most."""
    first: bool = False
    """Of element 0 only."""


class HasColumn(msgspec.Struct, frozen=True, kw_only=True):
    """The `id`, or the key of `meta.created` ("" where that cannot be read), compares so."""

    column: Literal["id", "created"]
    op: KeyOp
    key: str


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """One element satisfies the term; without a term, there is an element."""

    names: tuple[str, ...]
    """Entries of these names are the elements."""
    term: IndexTerm | None


class AllOf(msgspec.Struct, frozen=True, kw_only=True):
    """Every one of the terms holds; of no terms, always."""

    terms: tuple[IndexTerm, ...]


class AnyOf(msgspec.Struct, frozen=True, kw_only=True):
    """One of the terms holds; of no terms, none does."""

    terms: tuple[IndexTerm, ...]


class Without(msgspec.Struct, frozen=True, kw_only=True):
    """The term does not hold."""

    term: IndexTerm


IndexTerm: TypeAlias = Has | HasColumn | Element | AllOf | AnyOf | Without
NOTHING = AnyOf(terms=())
EVERYTHING = AllOf(terms=())


def index_term(f: Filter, model: ResourceModel) -> IndexTerm:
    """The condition that holds of `index_entries(r)` where `predicate(f)` holds of `r`.

    `f` is bound to `model`; ValueError where it names what is not indexed.
    """

    def leaf(term: Compare | Present | ValuePath) -> IndexTerm:
        ref = _indexed(term.path, model)
        if isinstance(term, ValuePath):
            return _element(ref, _element_term(term.filter, ref))
        return _present(ref) if isinstance(term, Present) else _comparison(ref, term)

    return _rebuild(f, leaf)


def negation(term: IndexTerm) -> IndexTerm:
    """The term that holds where this one does not, with `Without` as deep as it goes."""
    match term:
        case Without(term=inner):
            return inner
        case AllOf(terms=terms):
            return any_of(negation(each) for each in terms)
        case AnyOf(terms=terms):
            return all_of(negation(each) for each in terms)
        case _:
            return Without(term=term)


def names_of(term: IndexTerm) -> frozenset[str]:
    """The names of all entries that the term asks for."""
    match term:
        case Has(attribute=name):
            return frozenset({name})
        case HasColumn():
            return frozenset()
        case Element(names=names, term=inner):
            return frozenset(names) | (names_of(inner) if inner is not None else frozenset())
        case Without(term=inner):
            return names_of(inner)
        case AllOf(terms=terms) | AnyOf(terms=terms):
            return frozenset().union(*map(names_of, terms))


def pruned(term: IndexTerm, known: Container[str]) -> IndexTerm:
    """The same term where no entries have other names than these; EVERYTHING and NOTHING stand alone."""
    match term:
        case Has(attribute=name):
            return term if name in known else NOTHING
        case HasColumn():
            return term
        case Without(term=inner):
            return negation(pruned(inner, known))
        case AllOf(terms=terms):
            every = [pruned(each, known) for each in terms]
            return NOTHING if NOTHING in every else all_of(every)
        case AnyOf(terms=terms):
            some = [pruned(each, known) for each in terms]
            return EVERYTHING if EVERYTHING in some else any_of(some)
        case Element(names=names, term=inner):
            left = None if inner is None else pruned(inner, known)
            names = tuple(name for name in names if name in known)
            if isinstance(left, Has) or left == NOTHING or not names:
                return left if isinstance(left, Has) else NOTHING
            return Element(names=names, term=None if left == EVERYTHING else left)


def all_of(terms: Iterable[IndexTerm]) -> IndexTerm:
    """The conjunction."""
    flat: list[IndexTerm] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, AllOf) else (term,))
    unique = tuple(dict.fromkeys(flat))
    return unique[0] if len(unique) == 1 else AllOf(terms=unique)


def any_of(terms: Iterable[IndexTerm]) -> IndexTerm:
    """The disjunction; what compares for equality with one attribute becomes one term."""
    flat: list[IndexTerm] = []
    equal: dict[str, int] = {}
    for term in terms:
        for each in term.terms if isinstance(term, AnyOf) else (term,):
            if isinstance(each, Has) and each.op == "eq":
                place = equal.setdefault(each.attribute, len(flat))
                if place < len(flat):
                    known = flat[place]
                    assert isinstance(known, Has)  # noqa: S101 - `equal` says so
                    keys = dict.fromkeys((*known.keys, *each.keys))
                    flat[place] = msgspec.structs.replace(known, keys=tuple(keys))
                    continue
            flat.append(each)
    unique = tuple(dict.fromkeys(flat))
    return unique[0] if len(unique) == 1 else AnyOf(terms=unique)


def _rebuild(f: Filter, leaf: Callable[[Compare | Present | ValuePath], IndexTerm]) -> IndexTerm:
    match f:
        case And(terms=terms):
            return all_of(_rebuild(term, leaf) for term in terms)
        case Or(terms=terms):
            return any_of(_rebuild(term, leaf) for term in terms)
        case Not(term=term):
            return negation(_rebuild(term, leaf))
        case _:
            return leaf(f)


def _indexed(path: AttrName, model: ResourceModel) -> AttributeRef:
    ref = resolve(path, model)
    if ref is None or not is_kept(ref):
        raise ValueError(f"{path.name} is not in the index")
    return ref


def _column(ref: AttributeRef) -> Literal["id", "created"] | None:
    if ref.urn is not None or ref.text not in COLUMNS:
        return None
    return "id" if ref.text == "id" else "created"


def _comparison(ref: AttributeRef, term: Compare) -> IndexTerm:
    if ref.attribute.multi_valued and term.op == "ne":
        # Some value differs, or there is none.
        return any_of((Without(term=_element(ref, None)), _element(ref, _key_term(ref, term))))
    return _key_term(ref, term)


def _key_term(ref: AttributeRef, term: Compare) -> IndexTerm:
    key = value_key(ref.leaf, term.value)
    if key is None:
        raise ValueError(f"{ref.text} cannot be compared with {term.value!r}")
    if term.op == "ne":
        return Without(term=_key_term(ref, msgspec.structs.replace(term, op="eq")))
    column = _column(ref)
    if column is None:
        return Has(attribute=ref.text, op=term.op, keys=(key,), single=not ref.attribute.multi_valued)
    found = HasColumn(column=column, op=term.op, key=key)
    return found if column == "id" else all_of((found, HasColumn(column=column, op="gt", key="")))


def _present(ref: AttributeRef) -> IndexTerm:
    """Keys that are not empty are of present values."""
    column = _column(ref)
    single = not ref.attribute.multi_valued
    other = Has(attribute=ref.text + OTHER, op="gt", keys=("",), single=single)
    if column is not None:
        return any_of((HasColumn(column=column, op="gt", key=""), other))
    if ref.leaf.type == "complex" and ref.sub is None:
        whole = Has(attribute=ref.text, op="gt", keys=("",), single=single)
        if ref.attribute.multi_valued:
            return whole
        subs = (
            AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=sub)
            for sub in ref.attribute.sub_attributes
        )
        return any_of((*(_present(sub) for sub in subs if is_kept(sub)), whole))
    floor = "f" if defaults_to_false(ref) else ""
    return any_of((Has(attribute=ref.text, op="gt", keys=(floor,), single=single), other))


def _element_term(f: Filter, ref: AttributeRef) -> IndexTerm:
    """What stands in brackets after `ref`."""

    def leaf(term: Compare | Present | ValuePath) -> IndexTerm:
        sub = ref.attribute.sub(term.path.name)
        inner = ref if sub is None else AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=sub)
        if isinstance(term, ValuePath) or not is_kept(inner):
            raise ValueError(f"{inner.text} is not in the index")
        return _present(inner) if isinstance(term, Present) else _key_term(inner, term)

    return _rebuild(f, leaf)


def _element(ref: AttributeRef, term: IndexTerm | None) -> IndexTerm:
    match term:
        case Has():
            return term
        case AnyOf(terms=terms):
            return any_of(_element(ref, each) for each in terms)
        case _:
            name = AttributeRef(urn=ref.urn, attribute=ref.attribute).text
            names = (name,) if ref.attribute.type == "complex" else (name, name + OTHER)
            return Element(names=names, term=term)
