"""Every transform, both ways."""

from __future__ import annotations

from typing import Any

import pytest
from mapping_samples import created, shown, user, with_rule

from app.mapping.load import parse_mapping
from app.mapping.transforms import (
    BooleanWords,
    Constant,
    Date,
    Join,
    Lookup,
    Lower,
    Split,
    Template,
    Transform,
    Trim,
    Upper,
)
from app.scim.errors import InvalidValue

LOOKUP = Lookup(table={"Employee": "EMP", "Contractor": "CON"})


@pytest.mark.parametrize(
    ("transform", "scim", "platform", "back"),
    [
        (Lower(), "AdaÉ", "adaé", "adaé"),
        (Upper(), "adaé", "ADAÉ", "ADAÉ"),
        (Trim(), " a b ", "a b", "a b"),
        (Join(), ["a", "b"], "a,b", ["a", "b"]),
        (Join(by="; "), ["a", "b"], "a; b", ["a", "b"]),
        (Split(), "a,b", ["a", "b"], "a,b"),
        (Template(text="CORP\\{value}"), "ada", "CORP\\ada", "ada"),
        (Template(text="{value}@x"), "ada", "ada@x", "ada"),
        (LOOKUP, "Employee", "EMP", "Employee"),
        (LOOKUP, "Guest", "Guest", "Guest"),
        (Date(), "2026-05-01T23:30:00-05:00", "2026-05-02", "2026-05-02T00:00:00Z"),
        (Date(form="%d.%m.%Y %H:%M"), "2026-05-01T10:30:00Z", "01.05.2026 10:30", "2026-05-01T10:30:00Z"),
        (Date(), "2026-05-01T10:30:00", "2026-05-01", "2026-05-01T00:00:00Z"),
        (BooleanWords(), True, "yes", True),
        (BooleanWords(true="J", false="N"), False, "N", False),
        (Constant(value="x"), "anything", "x", "x"),
        (Constant(value=True), "anything", True, True),
    ],
    ids=repr,
)
def test_both_ways(transform: Transform, scim: Any, platform: Any, back: Any) -> None:
    assert transform.to_platform(scim) == platform
    assert transform.to_scim(platform) == back


@pytest.mark.parametrize(
    ("transform", "value"),
    [
        (Join(), ["a,b"]),
        (Lookup(table={"a": "b"}, unknown="refuse"), "c"),
        (Date(), "tomorrow"),
        (Date(), 5),
        (Date(), "2026-02-30T00:00:00Z"),
    ],
)
def test_values_that_cannot_be_written(transform: Transform, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        transform.to_platform(value)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_out_of_reach_is_refused_not_raised(moment: str) -> None:
    mapping = with_rule('scim = "nickName"\ncustom = "day"\ntransform = [{ kind = "date" }]')
    with pytest.raises(InvalidValue, match="nickName"):
        created({"userName": "a@x", "nickName": moment}, mapping=mapping)


ODD: list[Any] = [None, True, 0, 1.5, "", "x", [], ["x"], {}, {"x": 1}, [None], "2026-99-99", "CORP\\"]
ALL: list[Transform] = [
    Lower(),
    Upper(),
    Trim(),
    Join(),
    Split(),
    Template(text="CORP\\{value}"),
    LOOKUP,
    Date(),
    BooleanWords(),
    Constant(value="x"),
]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_whatever_stands_on_the_platform_can_be_read(transform: Transform, value: Any) -> None:
    transform.to_scim(value)


@pytest.mark.parametrize(("form", "value"), [("{value}", "a"), ("a{value}a", "a")])
def test_a_text_shorter_than_the_template_is_left_as_it_is(form: str, value: str) -> None:
    assert Template(text=form).to_scim(value) == value


def test_several_are_undone_in_reverse() -> None:
    mapping = with_rule(
        'scim = "displayName"\nfield = "display_name"\n'
        'transform = [{ kind = "trim" }, { kind = "upper" }, { kind = "template", text = "<{value}>" }]'
    )
    made = created({"userName": "a@x", "displayName": " ada "}, mapping=mapping)
    assert made.display_name == "<ADA>"
    assert shown(made, mapping=mapping)["displayName"] == "ADA"


def test_an_error_names_the_attribute() -> None:
    mapping = with_rule(
        'scim = "userType"\ncustom = "type"\n'
        'transform = [{ kind = "lookup", table = { Employee = "EMP" }, unknown = "refuse" }]'
    )
    with pytest.raises(InvalidValue, match="userType: must be one of Employee"):
        created({"userName": "a@x", "userType": "Guest"}, mapping=mapping)


def test_a_list_behind_one_field() -> None:
    mapping = with_rule(
        'scim = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter"\ncustom = "cc"\n'
        'transform = [{ kind = "split", by = "-" }]'
    )
    ent = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    made = created({"userName": "a@x", ent: {"costCenter": "10-20"}}, mapping=mapping)
    assert (made.custom_attributes or {})["cc"] == ["10", "20"]
    assert shown(made, mapping=mapping)[ent] == {"costCenter": "10-20"}


def test_transforms_on_a_name() -> None:
    text = """
        format = 1
        name = "t"
        [[user]]
        scim = "userName"
        field = "username"
        transform = [{ kind = "lower" }]
        [[user]]
        scim = "emails"
        field = "email"
        element = { type = "work" }
    """
    mapping = parse_mapping(text, "t.toml")
    made = created({"userName": "ADA", "emails": [{"value": "a@x.org", "type": "work"}]}, mapping=mapping)
    assert made.username == "ada"
    assert shown(user(username="ada"), mapping=mapping)["userName"] == "ada"
