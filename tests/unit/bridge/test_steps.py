"""What of a step is left, and what takes it back: told from the user alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bridge.steps import ResetPassword, SetFields, SetMembership, SetStatus, UserPlan
from app.mapping.users import UserChange
from app.wire.users import GroupMembership, PlatformUser


def user(**fields: Any) -> PlatformUser:
    start = {"id": "u", "email": "a@x", "status": "ACTIVE", "created_at": "2026-01-01T00:00:00Z"}
    return PlatformUser(**{**start, **fields})


def step(before: PlatformUser, custom: dict[str, Any] | None = None, **fields: Any) -> SetFields:
    return SetFields.of(UserChange(fields=fields, custom_attributes=custom), before)


def applied(now: PlatformUser, done: SetFields | None, *, merges: bool = False) -> PlatformUser:
    """The user after a PATCH."""
    if done is None:
        return now
    body = done.body(now, merges=merges)
    values = {n: getattr(body, n) for n in done.fields}
    if done.custom:
        sent = dict(body.custom_attributes)  # type: ignore[arg-type]
        whole = {**(now.custom_attributes or {}), **sent} if merges else sent
        values["custom_attributes"] = {k: v for k, v in whole.items() if v is not None}
    state = {n: getattr(now, n) for n in PlatformUser.__struct_fields__}
    return PlatformUser(**{**state, **values})


NAMES = st.sampled_from(["Ada", "ada", "Bea", None])
CUSTOM = st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, "x", "X", {"y": 1}]))
USERS = st.builds(user, first_name=NAMES, last_name=NAMES, custom_attributes=CUSTOM)


@given(before=USERS, after=USERS, merges=st.booleans())
def test_what_is_done_leaves_nothing_and_can_be_taken_back(
    before: PlatformUser, after: PlatformUser, merges: bool
) -> None:
    fields = {
        n: getattr(after, n) for n in ("first_name", "last_name") if getattr(after, n) != getattr(before, n)
    }
    made = step(before, after.custom_attributes, **fields)
    done = applied(before, made, merges=merges)
    assert (done.first_name, done.last_name, done.custom_attributes) == (
        after.first_name,
        after.last_name,
        after.custom_attributes,
    )
    assert made.left(done) is None
    assert made.left(before) == (made or None)
    assert made.back(before) is None
    assert applied(done, made.back(done), merges=merges) == before


@given(before=USERS, after=USERS, now=USERS)
def test_a_value_that_is_neither_is_nobodys_to_touch(
    before: PlatformUser, after: PlatformUser, now: PlatformUser
) -> None:
    fields = {
        n: getattr(after, n) for n in ("first_name", "last_name") if getattr(after, n) != getattr(before, n)
    }
    made = step(before, after.custom_attributes, **fields)
    for rest in (made.left(now), made.back(now)):
        touched = applied(now, rest)
        for name in fields:
            value = getattr(now, name)
            mine = {str(getattr(before, name)).lower(), str(getattr(after, name)).lower()}
            assert str(value).lower() in mine or getattr(touched, name) == value
        for key in now.custom_attributes or {}:
            if key not in made.custom:
                assert (touched.custom_attributes or {}).get(key) == (now.custom_attributes or {})[key]


def test_a_platform_may_change_the_case_of_an_address() -> None:
    made = step(user(email="old@x.example"), email="New@X.example")
    now = user(email="new@x.example")
    assert made.left(now) is None
    back = made.back(now)
    assert back is not None
    assert back.fields == {"email": "old@x.example"}


@pytest.mark.parametrize(("now", "left", "back"), [("ACTIVE", 1, 0), ("DISABLED", 0, 1), ("LOCKED", 0, 0)])
def test_a_status(now: str, left: int, back: int) -> None:
    made = SetStatus(to="DISABLED", was="ACTIVE", terminate_sessions=True)
    assert (made.left(user(status=now)) is not None) == left
    reverse = made.back(user(status=now))
    assert (reverse is not None) == back
    if reverse is not None:
        assert (reverse.to, reverse.terminate_sessions) == ("ACTIVE", False)


@pytest.mark.parametrize(("kind", "is_member"), [("DIRECT", True), ("INHERITED", False), (None, False)])
@pytest.mark.parametrize("member", [True, False])
def test_a_membership(kind: str | None, is_member: bool, member: bool) -> None:
    groups = () if kind is None else (GroupMembership(group_id="g", name="G", membership_type=kind),)
    now, made = user(groups=groups), SetMembership(group_id="g", member=member)
    if member is is_member:
        assert made.left(now) is None
        assert made.back(now) == SetMembership(group_id="g", member=not member)
    else:
        assert (made.left(now), made.back(now)) == (made, None)


def test_a_plan_comes_back_from_its_text() -> None:
    plan = UserPlan(
        steps=(
            step(user(custom_attributes={"a": 1}), {"b": [None, "ü"]}, phone=None),
            SetStatus(to="DISABLED", was="LOCKED", reason="left"),
            SetMembership(group_id="g", member=False),
            ResetPassword(),
        ),
        undo=True,
    )
    assert UserPlan.from_json(plan.to_json()) == plan
