"""What is written through the mapping is read back, whatever it is, and an echo changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.bridge.steps import SetFields
from app.mapping.load import load_mapping
from app.mapping.users import UserChange
from app.scim.dialect import LENIENT
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER, USER, Resource
from app.scim.validate import read_resource
from app.wire.users import PlatformUser

MAPPING = load_mapping("default")
BASE = "https://scim.test/scim/v2"
unhurried = settings(deadline=None, max_examples=150)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
addresses = st.sampled_from(["a@x.org", "A@x.org", "b@x.org", "c+d@x.org", "é@x.org"])
kinds = st.sampled_from(["work", "home", "other", "mobile"])


def elements(value: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.fixed_dictionaries({"value": value}, optional={"type": kinds, "display": texts})

    def marked(found: list[dict[str, Any]], primary: int | None) -> list[dict[str, Any]]:
        return [{**e, "primary": True} if i == primary else e for i, e in enumerate(found)]

    return st.builds(marked, st.lists(one, min_size=1, max_size=3), st.none() | st.integers(0, 2))


names = st.dictionaries(
    st.sampled_from(["givenName", "familyName", "formatted", "middleName", "honorificPrefix"]),
    texts,
    min_size=1,
)
some_bodies = st.fixed_dictionaries(
    {"schemas": st.just([USER]), "userName": st.one_of(addresses, texts)},
    optional={
        "name": names,
        "emails": elements(addresses),
        "phoneNumbers": elements(texts),
        "displayName": texts,
        "title": texts,
        "nickName": texts,
        "profileUrl": texts,
        "locale": st.sampled_from(["en", "de-DE", "fr"]),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
        "externalId": texts,
        "roles": elements(texts),
        "ims": elements(texts),
        "photos": elements(texts),
        "addresses": st.lists(
            st.dictionaries(st.sampled_from(["locality", "country", "formatted"]), texts, min_size=1),
            min_size=1,
            max_size=2,
        ),
        ENTERPRISE_USER: st.fixed_dictionaries(
            {},
            optional={
                "department": texts,
                "employeeNumber": texts,
                "manager": st.builds(lambda v: {"value": v}, texts),
            },
        ),
    },
)
OWN_ADDRESS = [{"value": "own@x.org", "display": "d"}]


def with_address(body: dict[str, Any]) -> dict[str, Any]:
    """Without any address there is no user, which other tests are about."""
    return body if body["userName"] in ("a@x.org", "b@x.org") else {"emails": OWN_ADDRESS, **body}


bodies = some_bodies.map(with_address)
whole_bodies = some_bodies.map(lambda b: {"emails": OWN_ADDRESS, "locale": "en", "timezone": "UTC", **b})

foreign = st.dictionaries(
    st.sampled_from(["badge", "x", "Title", "SCIM", "scim_", "a.b"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | texts,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)

MADE_BY_SERVER = ("id", "meta", "groups", "active", PLATFORM_USER)


def read(body: dict[str, Any]) -> Resource:
    return read_resource(body, MAPPING.model, LENIENT, supplied_elsewhere=frozenset({"emails"}))


def shown(user: PlatformUser, domain: str = "default") -> Resource:
    return MAPPING.to_scim(user, domain=domain, base_url=BASE)


def platform_user(values: dict[str, Any]) -> PlatformUser:
    start = {
        "id": "usr_1",
        "status": "ACTIVE",
        "locale": "en",
        "timezone": "UTC",
        "created_at": "2026-01-01T00:00:00Z",
    }
    return msgspec.convert({**start, **values}, PlatformUser)


def created(resource: Resource, domain: str = "default") -> PlatformUser:
    change = MAPPING.to_platform(resource, before=None, current=None, domain=domain)
    values = msgspec.to_builtins(change.as_create(password=None, send_welcome_email=False))
    del values["send_welcome_email"]
    return platform_user(values)


def change_to(user: PlatformUser, after: Resource, domain: str = "default") -> UserChange:
    return MAPPING.to_platform(after, before=shown(user, domain), current=user, domain=domain)


def updated(user: PlatformUser, after: Resource, domain: str = "default") -> PlatformUser:
    step = SetFields.of(change_to(user, after, domain), user)
    values = msgspec.to_builtins(step.body(user, merges=False))
    return msgspec.structs.replace(user, **values)


def written(resource: Resource) -> Resource:
    """What a reader must find again: all that was written."""
    return {k: v for k, v in resource.items() if k not in (*MADE_BY_SERVER, "schemas")}


def check(found: Resource, wanted: Resource) -> None:
    """All that was written, and beyond it only what the server makes itself."""
    for name, value in written(wanted).items():
        if name == "name":
            assert found["name"].items() >= value.items()
            assert found["name"].keys() - value.keys() <= {"formatted"}
        else:
            assert found[name] == value, name
    extra = found.keys() - wanted.keys() - set(MADE_BY_SERVER) - {"schemas"}
    assert extra <= {"emails", "locale", "timezone"}


@unhurried
@given(bodies)
def test_a_creation_is_read_back(body: dict[str, Any]) -> None:
    wanted = read(body)
    user = created(wanted)
    check(shown(user), wanted)
    assert not change_to(user, shown(user))
    assert "emails" in shown(user)


@unhurried
@given(bodies, bodies, foreign)
def test_an_update_is_read_back(
    first: dict[str, Any], second: dict[str, Any], theirs: dict[str, Any]
) -> None:
    start, wanted = read(first), read(second)
    user = created(start)
    user = msgspec.structs.replace(user, custom_attributes={**(user.custom_attributes or {}), **theirs})
    before = shown(user)
    after = {"emails": before["emails"], **wanted}
    # A derived text or address that is sent back with another name keeps following it.
    formatted = after.get("name", {}).get("formatted")
    assume(formatted is None or formatted != before.get("name", {}).get("formatted"))
    assume("emails" in start or after["emails"] != before["emails"])
    result = updated(user, after)
    check(shown(result), after)
    assert not {"locale", "timezone"} & (shown(result).keys() - after.keys())
    assert not change_to(result, shown(result))
    custom = result.custom_attributes or {}
    assert {k: custom.get(k) for k in theirs} == theirs


@unhurried
@given(whole_bodies, bodies.map(lambda b: {"emails": OWN_ADDRESS, **b}))
def test_there_and_back_leaves_nothing(first: dict[str, Any], second: dict[str, Any]) -> None:
    start, other = read(first), read(second)
    user = created(start)
    before = shown(user)
    back = updated(updated(user, other), before)
    assert shown(back) == before


@unhurried
@given(bodies, bodies)
def test_two_domains_share_all_but_the_external_id(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, two = read(first), read(second)
    user = created(one, "one")
    after = {**shown(user, "two"), "externalId": two.get("externalId", "x")}
    both = updated(user, after, "two")
    assert shown(both, "one") == shown(user, "one")
    assert shown(both, "two")["externalId"] == after["externalId"]


platform_users = st.builds(
    lambda values, custom: platform_user({**values, "custom_attributes": custom}),
    st.fixed_dictionaries(
        {"email": addresses},
        optional={
            "username": st.none() | texts | st.just(""),
            "first_name": st.none() | texts | st.just(""),
            "last_name": st.none() | texts,
            "display_name": st.none() | texts | st.just(""),
            "phone": st.none() | texts | st.just(""),
            "locale": st.none() | st.just("") | texts,
            "status": st.sampled_from(["ACTIVE", "DISABLED", "LOCKED", "UNHEARD_OF"]),
            "updated_at": st.none() | st.just("2026-01-02T00:00:00"),
        },
    ),
    st.none()
    | st.dictionaries(
        st.sampled_from(
            ["scim", "scim_external_ids", "title", "addresses", "manager", "department", "badge"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | texts | st.floats(),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(
                        ["default", "attributes", "held", "with", "value", "emails", "name", "roles"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ),
        max_size=4,
    ),
)


@unhurried
@given(platform_users)
def test_an_echo_of_any_user_changes_nothing(user: PlatformUser) -> None:
    seen = shown(user)
    assert seen["userName"]
    assert not change_to(user, seen)
