"""Client tolerances by name: where the bridge takes more than the RFCs say, for whom, and against which rule.

A `Dialect` is the set of tolerances of one connection. Readers of bodies ask it with `allows`, so that every
step away from the RFCs is switched in one place and can be listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Tolerance(StrEnum):
    """One deliberate departure from the RFCs; the value is its name in settings and logs."""

    accepts: str
    """What is taken, in one line for administrators."""
    clients: str
    """Who needs it."""
    departs_from: str
    """The rule of the RFC that says otherwise, or says nothing."""

    def __new__(cls, name: str, accepts: str, clients: str, departs_from: str) -> Tolerance:
        member = str.__new__(cls, name)
        member._value_ = name
        member.accepts = accepts
        member.clients = clients
        member.departs_from = departs_from
        return member

    BOOLEAN_WORDS = (
        "boolean-words",
        'The words "true" and "false" in any case where a boolean belongs, in values and in path filters.',
        "Microsoft Entra ID, OneLogin",
        "RFC 7643 §2.3.2: a boolean is true or false, not a string",
    )
    NUMBER_FOR_STRING = (
        "number-for-string",
        "A JSON number where a string belongs; its digits are kept as text.",
        "Okta (custom attributes)",
        "RFC 7643 §2.3.1: a string is a JSON string",
    )
    EMPTY_IS_UNASSIGNED = (
        "empty-is-unassigned",
        'The empty string means unassigned, as null and [] do; an empty "path" means none.',
        "Microsoft Entra ID",
        'RFC 7643 §2.5: only null and [] are unassigned, "" is a value',
    )
    HOLLOW_ELEMENTS = (
        "hollow-elements",
        "An element of a multi-valued attribute that says only its type or that it is primary is left out.",
        "Microsoft Entra ID",
        "RFC 7643 §2.2: a required sub-attribute must be there",
    )
    MANAGER_FORMS = (
        "manager-forms",
        "A complex value as a bare string or in an array of one; it is stored as an object.",
        "Microsoft Entra ID (manager)",
        "RFC 7643 §2.3.8: a complex value is a JSON object",
    )
    MEMBER_FORMS = (
        "member-forms",
        "Bare strings as elements of a complex multi-valued attribute, such as members.",
        "Microsoft Entra ID (Postman collection)",
        "RFC 7643 §2.4: its elements are objects",
    )
    SINGLE_FOR_MULTI = (
        "single-for-multi",
        "One value without its array where an array belongs.",
        "OneLogin (emails), Microsoft Entra ID",
        "RFC 7643 §2.4: a multi-valued attribute is a JSON array",
    )
    JSON_IN_STRING = (
        "json-in-string",
        "A role whose value is a string of JSON with value and displayName; it is unpacked.",
        "Microsoft Entra ID (app role assignments)",
        "RFC 7643 §4.1.2: the value of a role is a plain string",
    )
    MISSING_SCHEMAS = (
        "missing-schemas",
        "`schemas` may be absent or lack the URN of the resource type or message.",
        "authentik, OneLogin",
        "RFC 7643 §3: schemas is required and not empty; RFC 7644 §3.5.2: PatchOp names its URN",
    )
    UNKNOWN_SCHEMAS = (
        "unknown-schemas",
        "`schemas` may list URNs that are not served here, or one twice.",
        "Microsoft Entra ID (its own group URN), OneLogin (urn:scim:schemas:core:1.0)",
        "RFC 7643 §3: schemas lists the URNs of the attributes present, each once",
    )
    UNLISTED_EXTENSIONS = (
        "unlisted-extensions",
        "Extension attributes may come without their URN in `schemas`.",
        "Microsoft Entra ID",
        "RFC 7643 §3: schemas lists the URN of every extension in use",
    )
    UNKNOWN_ATTRIBUTES_IGNORED = (
        "unknown-attributes-ignored",
        "Attributes that the schemas do not know are left out; without this they are `invalidSyntax`.",
        "Okta (urn:okta:… custom attributes), Microsoft Entra ID (Postman collection)",
        "RFC 7644 §3.12: a body that does not follow the schema is invalidSyntax",
    )
    UNQUALIFIED_EXTENSION_ATTRIBUTES = (
        "unqualified-extension-attributes",
        "Enterprise attributes without their URN, such as `manager` at the top.",
        "Microsoft Entra ID",
        "RFC 7643 §3.3: attributes of an extension are under its URN",
    )
    FLAT_KEYS = (
        "flat-keys",
        "Paths as keys of a body: `name.givenName`, `urn:…:User:department`, `emails[…].value`.",
        "Microsoft Entra ID with aadOptscim062020",
        "RFC 7644 §3.5.2.1: the value holds attributes in the form of a resource",
    )
    OP_CASE = (
        "op-case",
        "`op` in any case, such as Add and Replace.",
        "Microsoft Entra ID",
        "RFC 7644 §3.5.2: op is one of add, remove and replace",
    )
    MESSAGE_KEY_CASE = (
        "message-key-case",
        "The members of a message, such as `Operations`, `op`, `path` and `value` of a PATCH, in any case.",
        "Microsoft Entra ID (Postman collection)",
        "RFC 7644 §3.4.3, §3.5.2: the members as spelled there",
    )
    STRAY_OP_KEYS = (
        "stray-op-keys",
        "Further members inside a PATCH or bulk message and its operations are left out.",
        "Microsoft Entra ID (Postman collection)",
        "RFC 7644 §3.5.2: an operation has op, path and value",
    )
    EMPTY_OPERATIONS = (
        "empty-operations",
        "`Operations: []` changes nothing and succeeds.",
        "Microsoft Entra ID (validator)",
        "RFC 7644 §3.5.2: one or more operations",
    )
    OWN_ID_IN_REPLACE = (
        "own-id-in-replace",
        "The resource's own `id` inside a path-less value; another id is still refused.",
        "Okta, authentik",
        "RFC 7644 §3.5.2: id is readOnly and cannot be the target",
    )
    READ_ONLY_IN_VALUE = (
        "read-only-in-value",
        "`meta`, `groups` and other readOnly attributes inside a path-less value are left out.",
        "authentik, Okta",
        "RFC 7644 §3.5.2: a readOnly target is a mutability error",
    )
    UNMATCHED_ADD_CREATES = (
        "unmatched-add-creates",
        "add and replace on a value filter that matches nothing create the element, type included.",
        "Microsoft Entra ID",
        "RFC 7644 §3.5.2.3: noTarget when the filter matches nothing (erratum 8097 for add)",
    )
    UNMATCHED_REMOVE_SUCCEEDS = (
        "unmatched-remove-succeeds",
        "remove on a value filter that matches nothing changes nothing and succeeds.",
        "Okta, Microsoft Entra ID with aadOptscim062020",
        "RFC 7644 §3.12: noTarget when a path selects nothing",
    )
    REMOVE_WITH_VALUE_ARRAY = (
        "remove-with-value-array",
        "remove with a list of values removes those only; without this it is `invalidValue`.",
        "Microsoft Entra ID, JumpCloud, authentik",
        "RFC 7644 §3.5.2.2: what to remove is named by the path alone",
    )
    VALUE_PATH_COMPARED = (
        "value-path-compared",
        'A filter that goes on behind the brackets: `emails[type eq "work"].value eq "x"`.',
        "Microsoft Entra ID",
        "RFC 7644 §3.4.2.2: a filter ends at the bracket, the comparison stands within",
    )
    PUT_KEEPS_MEMBERS = (
        "put-keeps-members",
        "A PUT of a group without `members` leaves them; without this it removes all.",
        "Clients that read groups with excludedAttributes=members",
        "RFC 7644 §3.5.1: what a PUT omits may be cleared",
    )
    UNKNOWN_MEMBERS_SKIPPED = (
        "unknown-members-skipped",
        "Members that do not exist are passed over where another one of the request does.",
        "Okta (one unknown member would lose a whole push)",
        "RFC 7644 §3.12: a value that cannot be used is invalidValue",
    )
    PARAMETER_FORMS = (
        "parameter-forms",
        "startIndex, count, sortBy and sortOrder may be empty or padded, sortOrder in any case.",
        "Clients that fill in templates of URLs, such as PingFederate",
        "RFC 7644 §3.4.2.3, §3.4.2.4: ascending or descending, an integer",
    )
    ANY_ACCEPT = (
        "any-accept",
        "An `Accept` that takes no JSON is answered with application/scim+json; without this it is 406.",
        "Test tools and clients on HTTP libraries that send a default of their own",
        "RFC 7644 §3.8: the client names the format; RFC 9110 §15.5.7",
    )
    ANSWER_AS_SENT = (
        "answer-as-sent",
        "A body sent as application/json is answered so where `Accept` leaves the choice.",
        "Google Workspace, OneLogin",
        "RFC 7644 §3.8: application/scim+json unless another format is asked for",
    )
    MISSING_CONTENT_TYPE = (
        "missing-content-type",
        "A body without `Content-Type` is read as JSON.",
        "Scripts and home-grown clients",
        "RFC 7644 §3.1, §3.8: the body is declared as application/scim+json or application/json",
    )
    OTHER_CHARSET = (
        "other-charset",
        "A `charset` other than UTF-8 is not looked at; the body must be UTF-8 all the same.",
        "Java clients, whose library declares ISO-8859-1 by default",
        "RFC 7644 §3.8: JSON in UTF-8",
    )


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """The tolerances that are on for one connection."""

    tolerances: frozenset[Tolerance]

    def allows(self, tolerance: Tolerance) -> bool:
        """Whether this departure from the RFCs is taken."""
        return tolerance in self.tolerances

    @classmethod
    def of(cls, mode: str = "lenient", off: Iterable[str] = (), on: Iterable[str] = ()) -> Dialect:
        """Start from `lenient` (all) or `strict` (none), then switch single tolerances by name.

        A name in both lists is on. ValueError for an unknown mode or name; it lists the valid ones.
        """
        if mode not in ("lenient", "strict"):
            raise ValueError(f"unknown dialect {mode!r}; valid are lenient and strict")
        start = LENIENT if mode == "lenient" else STRICT
        return cls(tolerances=start.tolerances - _named(off) | _named(on))


def _named(names: Iterable[str]) -> frozenset[Tolerance]:
    wanted = tuple(names)
    unknown = sorted(set(wanted) - set(Tolerance))
    if unknown:
        raise ValueError(f"unknown tolerance {', '.join(unknown)}; valid are {', '.join(sorted(Tolerance))}")
    return frozenset(tolerance for tolerance in Tolerance if tolerance in wanted)


LENIENT = Dialect(tolerances=frozenset(Tolerance))
"""Every tolerance: the default, since identity providers need most of them."""

STRICT = Dialect(tolerances=frozenset())
"""The RFCs to the letter."""
