"""No secret, and nothing that the connection does not keep, is ever in a record."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bridge.context import Context
from app.bridge.redaction import Redaction
from app.bridge.rules import GroupRules, UserRules
from app.bridge.story import Story
from app.mapping.load import load_mapping
from app.platform.recording import CallMade
from app.scim.dialect import LENIENT
from app.scim.errors import InvalidFilter, InvalidValue
from app.scim.filter import parse_filter
from app.store.audit_records import AuditRecord

MAPPING = load_mapping("default")
NAMES = (
    *("userName", "displayName", "nickName", "title", "externalId", "password", "id.x", "unknownThing"),
    *("name", "emails", "phoneNumbers", "addresses", "photos", "roles", "x509Certificates"),
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
)
SUBS = ("value", "display", "givenName", "familyName", "formatted", "type", "$ref", "department", "manager")
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"

unhurried = settings(deadline=None)

# Told apart from everything that a record holds of itself.
marks = st.integers(0, 10**6).map(lambda n: f"Qz{n:07d}xK")
texts = st.builds(
    lambda before, mark, after: before + mark + after,
    st.sampled_from(["", "o'", 'say "', "Ann ", "\\", "ü", "+49 ", "a@"]),
    marks,
    st.sampled_from(["", "@example.com", "'s", '"', " Smith", "]", ")", "\n"]),
)
scalars = texts | st.lists(texts, max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SUBS), inner, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "remove", "drop"]) | texts},
    optional={
        "path": st.sampled_from(NAMES)
        | st.builds(lambda t: f"emails[value eq {json.dumps(t)}].value", texts)
        | st.builds(lambda t: f"emails[value eq {t}", texts)
        | texts.map(lambda t: f'"{t}"'),
        "value": values | bodies,
        "extra": values,
    },
)
filters = st.one_of(
    st.builds(lambda n, t: f"{n} eq {json.dumps(t)}", st.sampled_from(NAMES), texts),
    st.builds(
        lambda n, t: f"{n} eq {json.dumps(t)} and not (title co {json.dumps(t)})",
        st.sampled_from(NAMES),
        texts,
    ),
    st.builds(lambda n, t: f"{n} eq {t}", st.sampled_from(NAMES), marks),
    st.builds(lambda n, t: f'{n} eq "{t}', st.sampled_from(NAMES), marks),
    st.builds(lambda n, t: f"{n} {t} eq", st.sampled_from(NAMES), marks),
)  # fmt: skip
details = st.sampled_from(
    [
        "the value {} is taken",
        "'{}' is not an attribute of User",
        "cannot read {} at character 3",
        "the platform refuses emails: {} may not",
        "“{}” is too long",
        'the string "{}',
    ]
)


def context(*, personal: bool) -> Context:
    return Context(
        connection_id="con_1",
        connection="okta",
        tenant_id="tnt_1",
        domain="default",
        mapping=MAPPING,
        dialect=LENIENT,
        base_url="https://scim.example.com",
        sets_passwords=True,
        send_welcome_email=False,
        lift=frozenset(),
        terminate_sessions=True,
        groups="platform",
        indexed=True,
        explains=False,
        dry_runs=False,
        group_patch_answers=False,
        audits_personal=personal,
        deprovision="delete",
        guard=None,
        protected_users=UserRules(),
        protected_groups=GroupRules(),
        group_scope=None,
    )


def record(telling: Story, status: int = 400, *, personal: bool = False) -> tuple[AuditRecord, str]:
    telling.context = context(personal=personal)
    entry = Redaction(b"k" * 64).entry(telling.ended(status))
    assert entry.text is not None
    return msgspec.json.decode(entry.text, type=AuditRecord), entry.text


def marks_in(value: object) -> set[str]:
    """The marked parts of every text within."""
    found: set[str] = set()
    within = [value]
    while within:
        each = within.pop()
        if isinstance(each, dict):
            within += each.values()
        elif isinstance(each, list):
            within += each
        elif isinstance(each, str) and "Qz" in each:
            at = each.index("Qz")
            found.add(each[at : at + 11])
    return found


def assert_hidden(text: str, hidden: set[str]) -> None:
    for mark in hidden:
        assert mark.lower() not in text.lower()


@unhurried
@given(body=bodies, detail=details, pick=st.integers(0, 5))
def test_no_value_of_a_user_is_in_its_record(body: dict[str, Any], detail: str, pick: int) -> None:
    telling = Story("POST", "/Users", "req-1")
    telling.body = {"schemas": [CORE], **body}
    hidden = sorted(marks_in(body))
    shown = hidden[pick % len(hidden)] if hidden else "nothing"
    telling.failed(InvalidValue(detail.format(shown)))
    found, text = record(telling)
    assert_hidden(text, set(hidden))
    # Names are told, known or not.
    assert set(found.body) == {"schemas", *body}


@unhurried
@given(found=st.lists(operations, min_size=1, max_size=4), detail=details)
def test_no_value_of_a_patch_is_in_its_record(found: list[dict[str, Any]], detail: str) -> None:
    telling = Story("PATCH", "/Users/usr_1", "req-1")
    telling.body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": found}
    hidden = marks_in(found)
    telling.failed(InvalidValue(detail.format(min(hidden, default="nothing"))))
    assert_hidden(record(telling)[1], hidden)


@unhurried
@given(text=filters, detail=details)
def test_no_value_of_a_filter_is_in_its_record(text: str, detail: str) -> None:
    telling = Story("GET", "/Users", "req-1")
    telling.filter = text
    (mark,) = marks_in(text)
    try:
        parse_filter(text)
    except InvalidFilter as exc:
        telling.failed(exc)
    else:
        telling.failed(InvalidValue(detail.format(mark)))
    found, whole = record(telling)
    assert_hidden(whole, {mark})
    assert found.filter is not None
    assert "***" in found.filter


@unhurried
@given(secret=texts, detail=details)
def test_no_password_is_in_a_record_of_personal_data(secret: str, detail: str) -> None:
    telling = Story("POST", "/Users", "req-1")
    telling.body = {"schemas": [CORE], "userName": "ann@example.com", "password": secret}
    telling.filter = f"password eq {json.dumps(secret)}"
    telling.failed(InvalidValue(detail.format(secret)))
    found, text = record(telling, personal=True)
    assert_hidden(text, marks_in(secret))
    assert found.body["userName"] == "ann@example.com"


@unhurried
@given(value=marks, status=st.sampled_from([200, 404, 503]))
def test_no_parameter_of_a_platform_call_is_in_a_record(value: str, status: int) -> None:
    telling = Story("GET", "/Users", "req-1")
    path = f"/api/v1/tenants/tnt_1/users?search={value}&page=1&confirm_email={value}&unheard_of={value}"
    telling.recording.calls.append(CallMade(method="GET", path=path, status=status, ms=1.0))
    found, text = record(telling, 200)
    assert_hidden(text, {value})
    assert found.calls[0].path.endswith("?search=***&page=1&confirm_email=***&unheard_of=***")
    assert found.calls[0].template == "/api/v1/tenants/{tenant_id}/users"


@unhurried
@given(value=texts)
def test_what_stands_for_an_id_is_kept_only_if_it_can_be_one(value: str) -> None:
    telling = Story("GET", f"/Users/{value}x@y", "req-1")
    telling.failed(InvalidValue(f"User {value[:128]!r} does not exist"))
    found, text = record(telling)
    assert found.resource_id is None
    assert_hidden(text, marks_in(value))
