"""Versions are the same on every replica, and headers are compared weakly (RFC 7644 §3.14)."""

from __future__ import annotations

import re

import pytest

from app.scim.etag import matches, version_of

USER = {"id": "1", "name": {"givenName": "G", "familyName": "F"}, "meta": {"location": "https://x/1"}}


def test_a_version_is_a_weak_entity_tag() -> None:
    assert re.fullmatch(r'W/"[0-9a-f]{20}"', version_of(USER))


def test_key_order_does_not_matter() -> None:
    turned = {
        "meta": {"location": "https://x/1"},
        "name": {"familyName": "F", "givenName": "G"},
        "id": "1",
    }
    assert version_of(turned) == version_of(USER)


def test_the_version_within_does_not_matter() -> None:
    assert version_of({**USER, "meta": {"location": "https://x/1", "version": 'W/"a"'}}) == version_of(USER)
    assert version_of({"id": "1", "meta": {"version": 'W/"a"'}}) == version_of({"id": "1"})


def test_the_host_of_the_request_does_not_matter() -> None:
    group = {"value": "g1", "type": "direct"}
    here, there = (
        {
            **USER,
            "groups": [{**group, "$ref": f"https://{host}/Groups/g1"}],
            "meta": {"created": "c", "location": f"https://{host}/1"},
        }
        for host in ("x", "y")
    )
    assert version_of(here) == version_of(there)
    assert version_of(here) != version_of({**here, "groups": []})


def test_any_other_change_matters() -> None:
    versions = {
        version_of(USER),
        version_of({**USER, "id": "2"}),
        version_of({**USER, "active": True}),
        version_of({**USER, "active": "true"}),
        version_of({**USER, "meta": {"lastModified": "2026-01-01T00:00:00Z"}}),
    }
    assert len(versions) == 5


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('W/"abc"', True),
        ('"abc"', True),
        ("*", True),
        (" * ", True),
        ('W/"x", W/"abc"', True),
        ('"x","abc"', True),
        ('"x", "y"', False),
        ('W/"ABC"', False),
        ('"a,b", "c"', False),
        ("abc", False),
        ("", False),
    ],
)
def test_headers(header: str, expected: bool) -> None:
    assert matches(header, 'W/"abc"') is expected


def test_a_comma_inside_a_tag_is_part_of_it() -> None:
    assert matches('"a,b"', 'W/"a,b"')
