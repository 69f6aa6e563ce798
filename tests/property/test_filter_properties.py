"""What holds of every filter, every text and every resource."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.scim.errors import InvalidFilter, InvalidPath
from app.scim.evaluate import bind, predicate, sort_resources
from app.scim.expression import And, AttrName, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.filter import all_of, any_of, parse_filter, print_filter
from app.scim.path import parse_patch_path
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER, AttributeRef, user_model

MODEL = user_model()
OPS = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"])
WORDS = frozenset(
    ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr", "and", "or", "not", "true", "false", "null"]
)
unhurried = settings(deadline=None)
"""Machines that run tests are busy: what counts here is the answer."""

names = st.from_regex(r"[A-Za-z$_][A-Za-z0-9_$-]{0,8}", fullmatch=True).filter(
    lambda n: n.lower() not in WORDS
)
urns = st.from_regex(r"urn:[a-z0-9._-]{1,8}(:[A-Za-z0-9._-]{1,6}){1,3}", fullmatch=True)
strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
values = st.one_of(
    strings,
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
paths = st.builds(AttrName, urn=st.none() | urns, name=names, sub=st.none() | names)
bare = st.builds(AttrName, name=names)


def trees(leaves: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Filters in normal form, a few levels deep."""
    return st.recursive(
        leaves,
        lambda terms: st.one_of(
            st.lists(terms, min_size=2, max_size=4).map(all_of),
            st.lists(terms, min_size=2, max_size=4).map(any_of),
            st.builds(Not, term=terms),
        ),
        max_leaves=12,
    )


def leaves(path: st.SearchStrategy[AttrName]) -> st.SearchStrategy[Filter]:
    return st.one_of(st.builds(Compare, path=path, op=OPS, value=values), st.builds(Present, path=path))


unqualified = st.builds(AttrName, urn=st.none() | urns, name=names)
selections = st.builds(ValuePath, path=unqualified, filter=trees(leaves(bare)))
filters = trees(st.one_of(leaves(paths), selections))


@unhurried
@given(filters)
def test_parsing_undoes_printing(f: Filter) -> None:
    text = print_filter(f)
    again = parse_filter(text)
    assert again == f
    assert repr(again) == repr(f)  # True is not 1


SCRAPS = st.sampled_from(
    [
        *WORDS,
        *(
            "(",
            ")",
            "[",
            "]",
            " ",
            ".",
            '"',
            "\\",
            "'",
            "-",
            "1",
            "1e9",
            "e",
            ":",
            "urn:a:2.0:b",
            "$ref",
            "\t",
        ),
        *(
            "not(",
            "emails[",
            "].value",
            '"x"',
            "userName",
            "a.b",
            "é",
            "\ud800",
            "\x00",
            "\n",
            "TRUE",
            "nullx",
        ),
    ]
)


@unhurried
@given(st.one_of(st.text(), st.lists(SCRAPS, max_size=25).map("".join), st.lists(SCRAPS).map(" ".join)))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        found = parse_filter(text)
    except InvalidFilter as error:
        assert error.detail
    else:
        assert parse_filter(print_filter(found)) == found
        try:
            predicate(bind(found, MODEL), MODEL)({})
        except InvalidFilter as error:
            assert error.detail


@unhurried
@given(st.one_of(st.text(), st.lists(SCRAPS, max_size=15).map("".join)))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    for path in (text, f"emails{text}", f"emails[{text}].value"):
        try:
            found = parse_patch_path(path, MODEL)
        except (InvalidPath, InvalidFilter) as error:
            assert error.detail
        else:
            assert (found.ref is None) is (found.extension is not None)


# --- filters that the model knows, over resources of any content --------------------------------------------

LETTERS = "aAbBßéÉ"
texts = st.text(LETTERS, max_size=3)
moments = st.datetimes().map(lambda d: d.isoformat() + "Z")


def _refs() -> list[AttributeRef]:
    found = []
    for urn, attributes in (
        (None, MODEL.attributes),
        *((e.id, e.attributes) for e in MODEL.extensions),
    ):
        for attribute in attributes:
            subs = (None, *attribute.sub_attributes)
            found += [AttributeRef(urn=urn, attribute=attribute, sub=sub) for sub in subs]
    return [r for r in found if "never" not in (r.attribute.returned, r.leaf.returned)]


REFS = _refs()
SIMPLE = [r for r in REFS if r.leaf.type != "complex"]


def _comparison(ref: AttributeRef) -> st.SearchStrategy[Filter]:
    path = AttrName(urn=ref.urn, name=ref.attribute.name, sub=ref.sub.name if ref.sub else None)
    match ref.leaf.type:
        case "boolean":
            ops, values = ["eq", "ne"], st.booleans() | st.sampled_from(["True", "false"])
        case "dateTime":
            ops, values = ["eq", "ne", "gt", "ge", "lt", "le"], moments
        case "binary":
            ops, values = ["eq", "ne", "co"], texts
        case _:
            ops, values = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"], texts
    return st.one_of(
        st.builds(Compare, path=st.just(path), op=st.sampled_from(ops), value=values),
        st.builds(Compare, path=st.just(path), op=st.sampled_from(["eq", "ne"]), value=st.none()),
    )


known = st.one_of(
    st.sampled_from(SIMPLE).flatmap(_comparison),
    st.sampled_from(REFS).map(
        lambda r: Present(path=AttrName(urn=r.urn, name=r.attribute.name, sub=r.sub.name if r.sub else None))
    ),
    st.builds(
        ValuePath,
        path=st.sampled_from(["emails", "roles", "phoneNumbers"]).map(lambda n: AttrName(name=n)),
        filter=trees(
            st.one_of(
                st.builds(
                    Compare,
                    path=st.sampled_from(["value", "type", "display"]).map(lambda n: AttrName(name=n)),
                    op=OPS,
                    value=texts,
                ),
                st.builds(
                    Compare,
                    path=st.just(AttrName(name="primary")),
                    op=st.sampled_from(["eq", "ne"]),
                    value=st.booleans(),
                ),
                st.builds(
                    Present, path=st.sampled_from(["value", "primary"]).map(lambda n: AttrName(name=n))
                ),
            )
        ),
    ),
)
known_filters = trees(known)

scalars = st.one_of(st.none(), st.booleans(), st.integers(), texts, moments, st.floats(allow_nan=False))
elements = st.dictionaries(st.sampled_from(["value", "type", "display", "primary", "$ref"]), scalars)
anything: st.SearchStrategy[Any] = st.one_of(
    scalars, elements, st.lists(st.one_of(scalars, elements), max_size=3)
)
top = [a.name for a in MODEL.attributes]
resources = st.dictionaries(st.sampled_from(top), anything).flatmap(
    lambda core: st.fixed_dictionaries(
        {},
        optional={
            ENTERPRISE_USER: st.one_of(
                scalars, st.dictionaries(st.sampled_from(["department", "manager"]), anything)
            ),
            PLATFORM_USER: st.dictionaries(
                st.sampled_from(["status", "mfaEnabled", "lastLoginAt"]), anything
            ),
        },
    ).map(lambda extra: {**core, **extra})
)


def holds(f: Filter, resource: dict[str, Any]) -> bool:
    return predicate(bind(f, MODEL), MODEL)(resource)


@unhurried
@given(known_filters, resources)
def test_known_filters_always_answer(f: Filter, resource: dict[str, Any]) -> None:
    bound = bind(f, MODEL)
    answer = predicate(bound, MODEL)(resource)
    assert isinstance(answer, bool)
    assert bind(bound, MODEL) == bound
    assert bind(parse_filter(print_filter(bound)), MODEL) == bound
    assert holds(Not(term=f), resource) is not answer


@unhurried
@given(st.lists(known_filters, min_size=2, max_size=3), resources)
def test_de_morgan(terms: list[Filter], resource: dict[str, Any]) -> None:
    negated = [Not(term=term) for term in terms]
    assert holds(Not(term=And(terms=tuple(terms))), resource) is holds(Or(terms=tuple(negated)), resource)
    assert holds(Not(term=Or(terms=tuple(terms))), resource) is holds(And(terms=tuple(negated)), resource)


def _other_case(f: Filter) -> str:
    """The filter as text with every name and operator in capitals, and the values as they were."""
    parts = print_filter(f).split('"')
    return '"'.join(part if i % 2 else part.upper() for i, part in enumerate(parts))


@unhurried
@given(known_filters, resources)
def test_case_of_names_and_operators_is_nothing(f: Filter, resource: dict[str, Any]) -> None:
    assert holds(parse_filter(_other_case(f)), resource) is holds(f, resource)


@unhurried
@given(texts, texts, OPS)
def test_case_of_user_names_is_nothing(have: str, wanted: str, op: Any) -> None:
    path = AttrName(name="userName")
    answers = {
        holds(Compare(path=path, op=op, value=w), {"userName": h})
        for w in (wanted, wanted.swapcase())
        for h in (have, have.swapcase())
    }
    assert len(answers) == 1


@unhurried
@given(st.sampled_from(SIMPLE), st.lists(resources, max_size=6))
def test_sorting_keeps_everything(ref: AttributeRef, people: list[dict[str, Any]]) -> None:
    up = sort_resources(people, ref, False)
    down = sort_resources(people, ref, True)
    assert sorted(map(id, up)) == sorted(map(id, people)) == sorted(map(id, down))
    assert list(map(id, sort_resources(up, ref, False))) == list(map(id, up))
