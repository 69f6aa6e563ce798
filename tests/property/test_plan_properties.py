"""Carrying out any plan is filtering everything, whatever the directory, the filter and the mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from plan_cases import is_known, is_sortable

from app.embedded.folding import search_term, search_text
from app.mapping.load import load_mapping
from app.planning.plan import ById, IndexQuery, Listing, Match, Nothing, Plan, Source, Union
from app.planning.planner import plan_users
from app.planning.printer import print_plan
from app.planning.pushdown import exact_needle, part_needle
from app.scim.evaluate import bind, predicate, sort_resources
from app.scim.expression import Filter
from app.scim.filter import parse_filter
from app.scim.path import parse_attribute_path
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER, AttributeRef, Resource
from app.wire.users import GroupMembership, PlatformUser

MAPPING = load_mapping("default")
unhurried = settings(deadline=None, max_examples=400)

# --- directories ------------------------------------------------------------------------------------------

SCRAPS = [
    "a",
    "A",
    "e",
    "1",
    "ss",
    "ß",
    "é",
    "e\u0301",
    "\u0323",
    "ǰ",
    "\u03b9",
    "ᾳ\u0301",
    "K",
    " ",
    "\\",
    "\ufffd",
]
anything = st.lists(st.sampled_from(SCRAPS), min_size=1, max_size=4).map("".join)
# Few, so that filters meet values: with an accent on its own, one that is folded into two letters.
texts = st.sampled_from(["Ada", "ADA L", "Rene\u0301", "Ren\u00e9", "Gro\u00df", "a\\b1"]) | anything
needles = st.sampled_from(["Ada", "da", "ren", "rene", "ss", "gros", "b1", "L", "\\"]) | texts
logins = st.sampled_from(["ada", "Ada", "ADA", "bob", "a@x.org", "CORP\\ada", "Strasse"])
addresses = st.sampled_from(["a@x.org", "A@X.org", "b@x.org", "ada@x.org"])
titles = st.sampled_from(["", "T", "t", "Boss"])
statuses = st.sampled_from(["ACTIVE", "DISABLED", "LOCKED", "PENDING_APPROVAL", "NEWLY_INVENTED"])
groups = st.sampled_from([[], ["grp_1"], ["grp_2"], ["grp_1", "grp_2"], ["grp_2", "grp_1", "grp_3"]])
records = st.fixed_dictionaries(
    {},
    optional={
        "title": titles,
        "department": texts,
        "scim_external_ids": st.sampled_from(["x1", "X1", "x2"]).map(lambda v: {"default": v}),
        "scim": st.fixed_dictionaries(
            {},
            optional={
                # Written under another mapping, or by somebody else.
                "attributes": st.fixed_dictionaries(
                    {},
                    optional={
                        "displayName": texts,
                        "name": texts.map(lambda v: {"familyName": v, "middleName": v}),
                        PLATFORM_USER: st.just({"ouId": "ou_1"}),
                    },
                ),
            },
        ),
    },
)


def _user(number: int, values: dict[str, Any]) -> PlatformUser:
    found = {
        **values,
        "groups": tuple(
            GroupMembership(group_id=g, name=g, membership_type="DIRECT" if n else "INDIRECT")
            for n, g in enumerate(values["groups"])
        ),
    }
    return PlatformUser(id=f"usr_{number}", created_at=f"2026-01-0{number % 4 + 1}T00:00:00Z", **found)


users = st.fixed_dictionaries(
    {
        "email": addresses,
        "username": st.none() | logins | texts,
        "first_name": st.none() | texts,
        "last_name": st.none() | texts,
        "display_name": st.none() | texts,
        "status": statuses,
        "ou_id": st.sampled_from([None, "ou_1", "ou_2"]),
        "mfa_enabled": st.booleans(),
        "groups": groups,
        "custom_attributes": st.none() | records,
    }
)
directories = st.lists(users, max_size=8).map(lambda found: [_user(n, v) for n, v in enumerate(found)])

# --- filters ----------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\") + '"'


def compared(names: list[str], ops: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda n, o, v: f"{n} {o} {quoted(v)}", st.sampled_from(names), st.sampled_from(ops), values
    )


TEXTUAL = ["eq", "co", "sw", "ew", "ne"]
terms = st.one_of(
    compared(["name.givenName", "name.familyName", "displayName", "name.formatted"], TEXTUAL, needles),
    compared(["userName"], TEXTUAL, logins | needles | st.just("")),
    compared(["emails", "emails.value"], TEXTUAL, addresses),
    compared(["externalId"], ["eq", "ne", "sw"], st.sampled_from(["x1", "X1", "x2", "x"])),
    compared(["title", f"{ENTERPRISE_USER}:department", "name.middleName"], TEXTUAL, titles | needles),
    compared(["id"], ["eq", "ne"], st.sampled_from(["usr_0", "usr_1", "USR_1", "../usr_1", ""])),
    compared([f"{PLATFORM_USER}:status"], ["eq", "ne"], statuses | st.sampled_from(["locked", "NONE"])),
    compared([f"{PLATFORM_USER}:ouId"], ["eq", "ne"], st.sampled_from(["ou_1", "OU_1", "../ou_1"])),
    compared(["groups", "groups.value", "groups.display"], ["eq", "ne", "sw"], groups.map("".join)),
    st.builds(
        lambda v, t: f"emails[type eq {quoted(t)} and value eq {quoted(v)}]",
        addresses,
        st.sampled_from(["work", "home"]),
    ),
    st.builds(lambda v: f"emails[value eq {quoted(v)}]", addresses),
    st.builds(lambda v: f'groups[value eq {quoted(v)} and type eq "direct"]', st.sampled_from(["grp_1"])),
    st.builds(lambda v: f"groups[value eq {quoted(v)}]", st.sampled_from(["grp_1", "grp_2"])),
    st.sampled_from(
        [
            "active eq true",
            "active eq false",
            "active ne true",
            "title pr",
            "displayName pr",
            f"{PLATFORM_USER}:mfaEnabled eq true",
            f"{PLATFORM_USER}:mfaEnabled eq false",
            "groups pr",
            'meta.created gt "2026-01-02T00:00:00Z"',
            'meta.location ew "1"',
        ]
    ),
)
filters = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda t: " and ".join(f"({x})" for x in t)),
        st.lists(inner, min_size=2, max_size=3).map(lambda t: " or ".join(f"({x})" for x in t)),
        inner.map(lambda t: f"not ({t})"),
    ),
    max_leaves=6,
)
orders = st.sampled_from([None, "meta.created", "userName", "title", "groups.display", "meta.location"])

# --- execution --------------------------------------------------------------------------------------------


class Directory:
    """A platform with a few users, and an index that knows all of them."""

    def __init__(self, users: list[PlatformUser]) -> None:
        self.users = users
        self.resources = {u.id: MAPPING.to_scim(u, domain="default", base_url="http://x") for u in users}

    def matching(self, f: Filter | None) -> list[str]:
        if f is None:
            return list(self.resources)
        test = predicate(f, MAPPING.model)
        return [i for i, r in self.resources.items() if test(r)]

    def yielded(self, source: Source) -> Iterable[str]:
        """What a source yields by its definition."""
        match source:
            case Nothing():
                return []
            case ById():
                return {source.id} & self.resources.keys()
            case Match():
                return self._matched(source)
            case Listing():
                return [u.id for u in self.users if all(listed(u, *each) for each in source.query)]
            case IndexQuery():
                return self.matching(source.filter)
            case Union():
                return {i for each in source.sources for i in self.yielded(each)}

    def _matched(self, source: Match) -> list[str]:
        name = {"email": "emails.value"}.get(source.kind, source.kind)
        asked = bind(parse_filter(f"{name} eq {quoted(source.value)}"), MAPPING.model)
        return self.matching(asked)

    def answer(self, plan: Plan) -> list[Resource]:
        """The plan carried out."""
        ids = set(self.yielded(plan.source))
        found = [r for i, r in self.resources.items() if i in ids]
        if plan.residual is not None:
            test = predicate(plan.residual, MAPPING.model)
            found = [r for r in found if test(r)]
        if plan.order is not None:
            found = sort_resources(found, plan.order.ref, plan.order.descending)
        return found


def listed(user: PlatformUser, parameter: str, value: str) -> bool:
    """Whether the platform's list has the user, with one parameter."""
    match parameter:
        case "search":
            covered = [getattr(user, field) for field in MAPPING.platform.search]
            return search_term(value) in search_text(*covered)
        case "status":
            return user.status == value
        case "ou_id":
            return user.ou_id == value
        case "mfa_enabled":
            return str(user.mfa_enabled).lower() == value
        case "group_id":
            return any(g.group_id == value for g in user.groups)
    raise AssertionError(parameter)


@unhurried
@given(directories, st.none() | filters, orders, st.booleans(), st.booleans(), st.booleans())
def test_carrying_out_a_plan_equals_filtering_everything(
    users: list[PlatformUser],
    text: str | None,
    sort: str | None,
    descending: bool,
    index: bool,
    groups_at_platform: bool,
) -> None:
    directory = Directory(users)
    check(directory, text, sort, descending, index=index, groups_at_platform=groups_at_platform)


narrowed = st.lists(
    st.one_of(
        compared(["displayName", "name.familyName", "userName"], ["eq", "co", "sw", "ew"], needles),
        compared([f"{PLATFORM_USER}:ouId"], ["eq"], st.sampled_from(["ou_1", "OU_1"])),
        compared(["groups.value"], ["eq"], st.sampled_from(["grp_1", "grp_2"])),
        st.sampled_from(
            [
                "active eq false",
                f"{PLATFORM_USER}:mfaEnabled eq true",
                'groups[value eq "grp_1" and type eq "indirect"]',
            ]
        ),
    ),
    min_size=1,
    max_size=3,
).map(" and ".join)


@unhurried
@given(directories, narrowed)
def test_no_list_that_is_narrowed_loses_a_user(users: list[PlatformUser], text: str) -> None:
    check(Directory(users), text, None, False, index=False, groups_at_platform=True)


def check(
    directory: Directory,
    text: str | None,
    sort: str | None,
    descending: bool,
    *,
    index: bool,
    groups_at_platform: bool,
) -> None:
    asked = None if text is None else bind(parse_filter(text), MAPPING.model)
    ref = None if sort is None else parse_attribute_path(sort, MAPPING.model)
    assert ref is None or isinstance(ref, AttributeRef)
    plan = plan_users(
        asked,
        MAPPING,
        sort=ref,
        descending=descending,
        groups_at_platform=groups_at_platform,
        index=index,
        can_index=is_known,
        can_sort=is_sortable,
    )
    wanted = [directory.resources[i] for i in directory.matching(asked)]
    if ref is not None:
        wanted = sort_resources(wanted, ref, descending)
    assert directory.answer(plan) == wanted, print_plan(plan)
    if plan.window is not None:
        # Totals and pages are taken from there, so it may hold nobody else.
        assert set(directory.yielded(plan.source)) == {r["id"] for r in wanted}


@unhurried
@given(directories, filters, st.booleans())
def test_every_lookup_with_a_search_is_found_by_it(users: list[PlatformUser], text: str, index: bool) -> None:
    """Where the link table knows nothing, the search is all there is."""
    directory = Directory(users)
    asked = bind(parse_filter(text), MAPPING.model)
    source = plan_users(asked, MAPPING, index=index, can_index=is_known).source
    for each in source.sources if isinstance(source, Union) else (source,):
        if isinstance(each, Match) and each.kind == "userName" and each.search is not None:
            found = {u.id for u in users if listed(u, "search", each.search)}
            assert found >= set(directory.yielded(each))


scraps = st.lists(
    st.sampled_from(
        [*SCRAPS, "ŉ", "ﬁ", "İ", "ẖ", "ᾳ", "\u0345", "\u1100", "\u1161", "가", "Σ", "ς", "=", "\u0338"]
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=600)
@given(scraps.map("".join), scraps.map("".join), scraps.map("".join))
def test_needles_are_found_by_platforms_that_compose_and_by_those_that_do_not(
    before: str, text: str, behind: str
) -> None:
    for value, needle in (
        (before + text + behind, part_needle(text)),
        (before + text, part_needle(text, at_end=True)),
        (text, exact_needle(text)),
    ):
        if needle is not None:
            for form in (value, value.upper(), value.casefold()):
                if text.casefold() in form.casefold():
                    assert needle.casefold() in form.casefold()
                    assert search_term(needle) in search_term(form)
