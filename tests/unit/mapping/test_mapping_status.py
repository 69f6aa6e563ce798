"""The status table, both directions, with earlier statuses, policies and contradictions."""

from __future__ import annotations

from typing import Any

import pytest
from mapping_samples import MAPPING, shown, user, with_rule

from app.bridge.steps import SetFields
from app.mapping.model import StatusRules
from app.mapping.status import StatusChange, plan_status
from app.mapping.users import UserChange
from app.scim.errors import InvalidValue

RULES = StatusRules()
ALL = ["ACTIVE", "DISABLED", "LOCKED", "PENDING_EMAIL_VERIFICATION", "PENDING_APPROVAL"]
OTHERS = ALL[2:]


def plan(present: str, **options: Any) -> StatusChange | None:
    settled: dict[str, Any] = {
        "rules": RULES,
        "lift": frozenset(),
        "prior": None,
        "active": None,
        "status": None,
        **options,
    }
    return plan_status(present=present, **settled)


@pytest.mark.parametrize(("status", "active"), [(s, s != "DISABLED") for s in ALL])
def test_active_as_read(status: str, active: bool) -> None:
    assert shown(user(status=status))["active"] is active


def test_a_status_of_the_future_is_not_a_deprovisioning() -> None:
    assert shown(user(status="ON_LEAVE"))["active"] is True


@pytest.mark.parametrize(
    ("present", "active", "change"),
    [
        ("ACTIVE", False, ("DISABLED", True, None)),
        ("DISABLED", False, None),
        *((s, False, ("DISABLED", True, s)) for s in OTHERS),
        ("ACTIVE", True, None),
        ("DISABLED", True, ("ACTIVE", False, None)),
        *((s, True, None) for s in OTHERS),
        *((s, None, None) for s in ALL),
    ],
)
def test_active_as_written(
    present: str, active: bool | None, change: tuple[str, bool, str | None] | None
) -> None:
    found = plan(present, active=active)
    assert (None if found is None else (found.status, found.disables, found.prior)) == change


@pytest.mark.parametrize("prior", OTHERS)
def test_reactivation_restores_the_earlier_status(prior: str) -> None:
    found = plan("DISABLED", active=True, prior=prior)
    assert found is not None
    assert (found.status, found.prior) == (prior, None)


@pytest.mark.parametrize("prior", ["DISABLED", ""])
def test_an_earlier_status_that_is_none_is_not_restored(prior: str) -> None:
    found = plan("DISABLED", active=True, prior=prior)
    assert found is not None
    assert found.status == "ACTIVE"


@pytest.mark.parametrize("present", OTHERS)
def test_lifting_is_by_policy_only(present: str) -> None:
    found = plan(present, active=True, lift=frozenset({present}))
    assert found is not None
    assert found.status == "ACTIVE"
    assert plan(present, active=True, lift=frozenset(set(OTHERS) - {present})) is None
    by_file = plan(present, active=True, rules=StatusRules(lift=(present,)))
    assert by_file is not None
    assert by_file.status == "ACTIVE"


@pytest.mark.parametrize("present", ALL)
@pytest.mark.parametrize("wanted", ALL)
def test_the_exact_status_is_writable(present: str, wanted: str) -> None:
    found = plan(present, status=wanted)
    assert (None if found is None else found.status) == (None if present == wanted else wanted)
    if found is not None and wanted == "DISABLED":
        assert found.prior == (None if present == "ACTIVE" else present)


@pytest.mark.parametrize(
    ("present", "active", "status", "result"),
    [
        # The one that equals what is there counts as not written.
        ("ACTIVE", True, "DISABLED", "DISABLED"),
        ("ACTIVE", False, "ACTIVE", "DISABLED"),
        ("DISABLED", False, "ACTIVE", "ACTIVE"),
        ("DISABLED", True, "DISABLED", "ACTIVE"),
        ("DISABLED", True, "LOCKED", "LOCKED"),
        ("LOCKED", True, "ACTIVE", "ACTIVE"),
        ("LOCKED", False, "LOCKED", "DISABLED"),
        ("LOCKED", False, "DISABLED", "DISABLED"),
        ("ACTIVE", True, "ACTIVE", None),
        ("LOCKED", True, "LOCKED", None),
        ("DISABLED", False, "DISABLED", None),
        # Both change and disagree.
        ("ACTIVE", False, "LOCKED", InvalidValue),
        ("LOCKED", False, "ACTIVE", InvalidValue),
        ("PENDING_APPROVAL", False, "LOCKED", InvalidValue),
    ],
)
def test_active_and_status_together(present: str, active: bool, status: str, result: Any) -> None:
    if result is InvalidValue:
        with pytest.raises(InvalidValue, match="active"):
            plan(present, active=active, status=status)
        return
    found = plan(present, active=active, status=status)
    assert (None if found is None else found.status) == result


def test_all_of_it_can_be_set_in_the_file() -> None:
    rules = StatusRules(inactive=("LOCKED", "DISABLED"), disable_to="LOCKED", enable_to="PENDING_APPROVAL")
    assert not shown(
        user(status="LOCKED"), mapping=with_rule(head='[status]\ninactive = ["LOCKED", "DISABLED"]')
    )["active"]
    off, on = plan("ACTIVE", active=False, rules=rules), plan("DISABLED", active=True, rules=rules)
    assert off is not None
    assert on is not None
    assert (off.status, off.prior, on.status) == ("LOCKED", "ACTIVE", "PENDING_APPROVAL")
    assert plan("LOCKED", active=False, rules=rules) is None


# --- the record of the earlier status ----------------------------------------------------------------------

NOTHING = UserChange(fields={}, custom_attributes=None)
RECORD = {"attributes": {"roles": [{"value": "admin"}]}, "held": {"x": {"with": 1, "value": 2}}}


def test_the_earlier_status_is_recorded_beside_everything_else() -> None:
    current = user(custom_attributes={"badge": 7, "scim": RECORD})
    change = MAPPING.with_prior_status(NOTHING, current, "LOCKED")
    assert change.custom_attributes == {"badge": 7, "scim": {**RECORD, "prior_status": "LOCKED"}}
    assert current.custom_attributes == {"badge": 7, "scim": RECORD}


def test_the_record_is_dropped() -> None:
    current = user(custom_attributes={"badge": 7, "scim": {"prior_status": "LOCKED"}})
    assert MAPPING.with_prior_status(NOTHING, current, None).custom_attributes == {"badge": 7}
    assert not MAPPING.with_prior_status(NOTHING, user(), None)


MERGING = with_rule('scim = "title"\ncustom = "title"', head="[platform]\nmerges_custom_attributes = true")


def merged(current: dict[str, Any], change: UserChange) -> dict[str, Any]:
    """What a platform that merges by key has afterwards."""
    before = user(custom_attributes=current)
    sent = SetFields.of(change, before).body(before, merges=True).custom_attributes
    after = {**current, **(sent or {})}
    return {k: v for k, v in after.items() if v is not None}


@pytest.mark.parametrize("also", [{}, {"title": "Countess"}])
def test_recording_keeps_the_rest_where_the_platform_merges(also: dict[str, Any]) -> None:
    custom = {"badge": 7, "scim": RECORD}
    change = MERGING.with_prior_status(
        UserChange(fields={}, custom_attributes={**custom, **also} if also else None),
        user(custom_attributes=custom),
        "LOCKED",
    )
    assert merged(custom, change) == {**custom, **also, "scim": {**RECORD, "prior_status": "LOCKED"}}


@pytest.mark.parametrize("record", [{}, RECORD])
@pytest.mark.parametrize("also", [{}, {"title": "Countess"}])
def test_dropping_the_record_where_the_platform_merges(also: dict[str, Any], record: dict[str, Any]) -> None:
    custom = {"badge": 7, "scim": {**record, "prior_status": "LOCKED"}}
    change = MERGING.with_prior_status(
        UserChange(fields={}, custom_attributes={**custom, **also} if also else None),
        user(custom_attributes=custom),
        None,
    )
    assert merged(custom, change) == {"badge": 7, **also, **({"scim": record} if record else {})}
