"""What clients need about users, and where servers get the RFCs wrong: a name and a sentence each.

Every name is held by a step of an exchange (`covers`) or by a test whose name is `test_` and that name, with
underscores for hyphens.
"""

from __future__ import annotations

from pathlib import Path

TOLERANCES = {
    "op-in-any-case": "`op` in any case.",
    "attribute-names-in-any-case": "Attribute names, in bodies, paths and filters, in any case.",
    "urns-in-any-case": "Schema URNs in any case.",
    "filter-operators-in-any-case": "Filter operators in any case.",
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
}

REQUIREMENTS = TOLERANCES | RFC_POINTS

_TESTS = "".join(p.read_text("utf-8") for p in Path(__file__).parent.glob("test_*.py"))
IN_TESTS = {n for n in REQUIREMENTS if f"def test_{n.replace('-', '_')}(" in _TESTS}
"""Names that a test beside this file bears."""
