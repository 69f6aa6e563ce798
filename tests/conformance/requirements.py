"""What clients need, and where servers get the RFCs wrong: a name and a sentence each.

Every name is held by a step of an exchange (`covers`) or by a test whose name is `test_` and that name, with
underscores for hyphens.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from exchanges import DATA, covered

TOLERANCES = {
    "op-in-any-case": "`op` in any case.",
    "attribute-names-in-any-case": "Attribute names, in bodies, paths and filters, in any case.",
    "urns-in-any-case": "Schema URNs in any case.",
    "filter-operators-in-any-case": "Filter operators in any case.",
    "active-by-add": "`Add` for `active`, which others replace.",
    "boolean-words": '"True", "False", "true" and "false" for booleans, stored and answered as booleans.',
    "flat-keys": "Dotted and URN keys in a path-less value.",
    "nested-urn-objects": "Extension objects under their URN in a path-less value.",
    "unmatched-path-creates": '`add` and `replace` on an unmatched `attr[type eq "x"].sub` create it.',
    "primary-filters": '`roles[primary eq "True"]` and `emails[primary eq true]` as paths.',
    "manager-forms": 'Manager as string, object, array of one, "" and null; answered as an object.',
    "all-ways-to-clear": '"", null, [] and `remove` leave an attribute unassigned.',
    "value-beside-remove": "A value next to `remove` of a single value is ignored.",
    "unknown-schemas": "URNs in `schemas` that are not served here.",
    "unlisted-extensions": "Extension attributes whose URN `schemas` does not list.",
    "server-attributes-in-bodies": "`id`, `meta` and `groups` in bodies.",
    "own-id-in-replace": "The resource's own `id` in a path-less replace.",
    "unknown-query-parameters": "Query parameters that mean nothing here.",
    "trailing-ampersand-and-question-mark": "A trailing `&` or `?`.",
    "plus-as-space": "`+` in a query is a space, `%2B` a plus.",
    "missing-user-agent": "No User-Agent, or an empty one.",
    "missing-accept": "No Accept, or `*/*`.",
    "plain-json": "application/json in, and out where it is asked for.",
    "value-path-with-sub-attribute": '`emails[type eq "work"].value eq "x"` in filters.',
    "placeholder-password": "A password that no policy would take.",
    "put-of-what-get-gave": "PUT of what GET gave changes nothing.",
    "empty-operations": "`Operations: []` is no server error.",
}

RFC_POINTS = {
    "filter-miss-is-200": "A filter without a match is 200 with totalResults 0.",
    "bad-filter-is-400": "A filter that cannot be read or answered is 400 `invalidFilter`, never ignored.",
    "user-name-without-case": "userName compares without case, and is unique so.",
    "external-id-and-id-with-case": "externalId and id compare with case.",
    "external-id-not-unique": "Two users may have one externalId.",
    "created-answer": "201 has the whole resource, and Location is meta.location.",
    "duplicate-is-409": "409 has scimType `uniqueness`; `status` is a string.",
    "unknown-id-is-404": "An unknown id of any shape is 404.",
    "unauthorized-answer": "401 has WWW-Authenticate and an Error body.",
    "paging-bounds": "startIndex below 1 is 1, count below 0 is 0, 0 gives the total, large ones are capped.",
    "total-before-paging": "totalResults counts all matches.",
    "attributes-and-excluded-attributes": "Both work, and `id` stays.",
    "patch-with-attributes": "PATCH with `attributes` answers 200 and those attributes.",
    "patch-is-atomic": "All operations or none, in their order.",
    "remove-without-path": "400 `noTarget`.",
    "complex-replace-keeps-the-rest": "Replacing a complex attribute by path keeps sub-attributes not named.",
    "one-primary": "A new primary value ends the other's being primary.",
    "add-makes-no-duplicates": "Adding what is there changes nothing.",
    "put-never-creates": "PUT of an unknown id is 404.",
    "read-only-is-ignored": "readOnly attributes in a body change nothing.",
    "groups-on-a-user": "`groups: []` on a user ends no membership.",
    "delete-then-404": "DELETE is 204, then 404, and the userName is free again.",
    "password-never-returned": "In no answer.",
    "active-is-a-boolean": "Always present, always a JSON boolean.",
    "discovery-documents": "ListResponses, with every member that RFC 7643 requires and canonicalValues.",
    "service-provider-configs": "Erratum 4978: also under `/ServiceProviderConfigs`.",
    "values-in-filters": "Escaped quotes, `&`, `+` and Unicode in filter values.",
    "and-binds-before-or": "Erratum 4670: `and` before `or`.",
    "not-with-space": "Erratum 7319: `not (` and `not(`.",
    "leavers-stay-findable": "Inactive users are found, with active: false.",
    "cursors-lead-through-the-whole-list": "RFC 9865: every resource once, nextCursor absent at the end.",
    "cursors-are-good-for-one-query-of-one-client": "RFC 9865: any other use is 400 `invalidCursor`.",
    "unmatched-filter": "Erratum 8097: where the dialect creates nothing, 400 `noTarget`.",
    "second-creation-of-a-leaver": "POST of a user who is inactive is 409, and a filter finds that user.",
    "index-is-the-default-way-of-paging": "RFC 9865: a client that knows no cursors sees none.",
    "search-by-post-answers-as-get": "`POST …/.search` gives what GET gives.",
    "root-search-covers-all-types": "The base URL searches users and groups in one list.",
}

GROUP_TOLERANCES = {
    "microsoft-group-urn": "Microsoft's own group URN in `schemas`.",
    "unknown-group-schemas": "`schemas` of SCIM 1.0.",
    "group-without-schemas": "A group without `schemas`, members with nothing but a value.",
    "patch-without-schemas": "A PATCH without `schemas`.",
    "group-attribute-names-in-any-case": "Attribute names and operators in any case.",
    "member-forms": "Members as bare strings, with `$ref: null`, display and type.",
    "stray-keys-in-operations": "Keys in operations and members that mean nothing.",
    "slash-before-the-query": "`/Groups/?filter=`.",
    "remove-with-value-array": "`remove members` with a value array removes those and nobody else.",
    "remove-members-without-value": "`remove members` without a value removes all.",
    "filtered-removal": '`remove members[value eq "id"]` removes that one and nobody else.',
    "several-removals-in-one-patch": "Several removals in one PATCH remove the right ones.",
    "several-operations-on-members": "Operations on members count in their order.",
    "add-existing-remove-absent": "Adding who is there and removing who is not succeed and change nothing.",
    "no-duplicate-members": "Nobody is a member twice.",
    "path-less-members": "`members` in a path-less add or replace.",
    "push-now": "`replace members` makes these the members and no others.",
    "replace-with-empty-list": "`[]` and null for members empty the group.",
    "own-id-in-group-replace": "The group's own `id`, and `schemas`, in a path-less replace.",
    "server-attributes-in-group-bodies": "`id`, `meta` and members' display and `$ref` in bodies.",
    "group-put-of-what-get-gave": "PUT of what GET gave changes nothing.",
    "unknown-members-in-a-push": "Unknown members are skipped, the known ones kept.",
    "only-unknown-members-change-nothing": "Where no member is known: 400, and nothing changes.",
    "replace-leaves-members-alone": "A change of another attribute leaves the members alone.",
    "put-without-members-leaves-them": "A PUT without `members` leaves them alone.",
    "inactive-members-stay": "Who is disabled stays a member.",
    "groups-listed-without-count": "All groups in a list without `count`.",
    "empty-group-operations": "`Operations: []` is no server error.",
    "bad-group-request-is-400": "What cannot be done is 400, never a 5xx that is tried again for ever.",
}

GROUP_POINTS = {
    "group-filter-miss-is-200": "A filter without a match is 200 with totalResults 0.",
    "group-bad-filter-is-400": "A filter that cannot be read or answered is 400 `invalidFilter`.",
    "group-name-without-case": "displayName compares without case, and is unique so.",
    "group-external-id": "externalId is found, compared with case, and belongs to the provisioning domain.",
    "group-created-answer": "201 has the whole resource, and Location is meta.location.",
    "group-duplicate-is-409": "409 has scimType `uniqueness`, on creation and on renaming.",
    "group-unknown-id-is-404": "An unknown id of any shape is 404, whatever is asked of it.",
    "group-put-never-creates": "PUT of an unknown id is 404.",
    "group-paging": "startIndex, count and totalResults, also for groups.",
    "group-attributes": "attributes and excludedAttributes work, and `id` stays.",
    "group-patch-with-attributes": "PATCH with `attributes` answers 200 and those attributes.",
    "group-patch-is-atomic": "All operations or none.",
    "group-remove-without-path": "400 `noTarget`, and nobody is removed.",
    "group-delete-then-404": "DELETE is 204, then 404; the members stay, the name is free again.",
    "group-get-has-members": "GET has the members, with value, `$ref` and type.",
    "member-display": "Erratum 6011: members.display is answered.",
    "group-display-name-required": "Erratum 5368: displayName is required.",
    "group-filter-members": "Filters by members, in every form that clients send.",
    "values-in-group-filters": "Quotes, `&` and `+` in names.",
    "user-groups-are-read-only": "User.groups shows direct and indirect groups; writing it changes nothing.",
    "deleted-user-leaves-groups": "Deleting a user ends its memberships.",
    "group-discovery": "ResourceTypes, Schemas and the configuration know groups.",
    "nested-groups": "A group in a group where the bridge keeps them, else a clear 400; cycles are refused.",
    "parallel-members-are-all-kept": "Parallel additions to one group are all kept, none is refused.",
    "parallel-puts-end-in-one-of-them": "Of parallel PUTs of one group none is refused; one stands.",
    "members-are-written-as-deltas": "A change of members keeps those who joined elsewhere meanwhile.",
    "parallel-creations-make-one-group": "Of parallel creations of one name, one succeeds.",
}

REQUIREMENTS = TOLERANCES | RFC_POINTS | GROUP_TOLERANCES | GROUP_POINTS

BUGS: dict[str, tuple[str, ...]] = {
    "Budibase: the manager came back as a string, which Entra cannot read": ("manager-forms",),
    'Rancher: refused "False", then `Add` for active, so that leavers stayed active': (
        "boolean-words",
        "active-by-add",
    ),
    "Octopus Deploy: no filter by externalId": ("external-id-and-id-with-case", "group-external-id"),
    "WSO2 charon: `Remove members` with a value array emptied the group": ("remove-with-value-array",),
    "SCIMReferenceCode: filtered removal emptied the group": ("filtered-removal",),
    "SCIMReferenceCode: duplicate members": ("no-duplicate-members",),
    "SCIMMY, Fleet, FusionAuth, LiteLLM: of parallel PATCHes of members the last won": (
        "parallel-members-are-all-kept",
    ),
    "Fleet: wrote members from a stale read": ("members-are-written-as-deltas",),
    "Teleport: 429 on parallel PUTs of members": ("parallel-puts-end-in-one-of-them",),
    "SimpleIdServer, WSO2: re-adding a member was 409 or 500": ("add-existing-remove-absent",),
    "FusionAuth: several removals in one PATCH hit the wrong member": ("several-removals-in-one-patch",),
    "Snipe-IT: active was 1 or 0, or missing": ("active-is-a-boolean",),
    "Sentry: active was always true, so that disabling never ended": (
        "active-is-a-boolean",
        "leavers-stay-findable",
    ),
    "kortix: a missing User-Agent was 403": ("missing-user-agent",),
    "kortix: invited users were answered as inactive": ("active-is-a-boolean",),
    "Zitadel: a placeholder password failed the policy": ("placeholder-password",),
    "Zitadel: the filter by userName minded the case": ("user-name-without-case",),
    "Fleet: one unknown member refused the push": ("unknown-members-in-a-push",),
    "keycloak-scim-server: path-less members refused": ("path-less-members",),
    "keycloak-scim-server: replace with an unknown id wiped the group": (
        "only-unknown-members-change-nothing",
    ),
    "SCIM-SDK: replace of members with an empty list refused": ("replace-with-empty-list",),
    "better-auth: second POST of an inactive user": ("second-creation-of-a-leaver",),
    "better-auth: ServiceProviderConfig lacked members": ("discovery-documents",),
    "Lightdash: 500 for a bad request, repeated for ever": ("bad-group-request-is-400", "bad-filter-is-400"),
    "Sourcegraph: 400 for an odd id": ("unknown-id-is-404", "group-unknown-id-is-404"),
    "Infisical: members' display and schemas were required": (
        "group-without-schemas",
        "patch-without-schemas",
    ),
    "Infisical: no ServiceProviderConfig": ("discovery-documents",),
    "langwatch: replace of another attribute emptied members": ("replace-leaves-members-alone",),
    "Appsmith: + in a filter read as a space": ("plus-as-space", "values-in-group-filters"),
    "scimitar: 406 on application/json": ("plain-json",),
}
"""What broke in servers with real clients, and the requirements that keep it from breaking here."""

_HERE = Path(__file__).parent
_TEST_FILES = sorted(_HERE.parent.glob("con[fc]*/test_*.py"))
_EXCHANGES = sorted((DATA / "exchanges").glob("**/*.json"))


def holders(name: str) -> list[str]:
    """The tests that hold a requirement, as pytest calls them, from the repository's root.

    Raises KeyError for what is no requirement.
    """
    return tests_named(name) + [node for path in exchanges_with(name) for node in _replays(path)]


def tests_named(name: str) -> list[str]:
    """The tests of that name, beside this file and among those of concurrency."""
    return _by_name()[0][name]


def exchanges_with(name: str) -> list[Path]:
    """The exchanges of which a step covers it."""
    return _by_name()[1][name]


def covered_by_steps() -> set[str]:
    """All names that steps of exchanges bear."""
    return {name for path in _EXCHANGES for name in covered(path)}


@cache
def _by_name() -> tuple[dict[str, list[str]], dict[str, list[Path]]]:
    tests: dict[str, list[str]] = {name: [] for name in REQUIREMENTS}
    exchanges: dict[str, list[Path]] = {name: [] for name in REQUIREMENTS}
    for path in _TEST_FILES:
        for function in re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.M):
            name = function.removeprefix("test_").replace("_", "-")
            if name in tests:
                tests[name].append(f"tests/{path.parent.name}/{path.name}::{function}")
    for path in _EXCHANGES:
        for name in covered(path) & exchanges.keys():
            exchanges[name].append(path)
    return tests, exchanges


def _replays(path: Path) -> list[str]:
    """The tests that replay an exchange: those about groups do so on both places that keep groups."""
    test = "tests/conformance/test_exchanges.py::test_the_client_gets_what_it_needs"
    if path.parent.name != "groups":
        return [f"{test}[{path.stem}]"]
    return [f"{test}_of_groups[{side}-{path.stem}]" for side in ("platform", "local")]
