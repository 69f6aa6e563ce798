"""scim-sanity, the conformance probe, in its strict mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

scim_sanity = pytest.importorskip("scim_sanity.probe.runner")

if TYPE_CHECKING:
    from conftest import Served

ACCEPTED: dict[str, str] = {}
"""Checks that may fail or warn, with the reason. There are none."""


def test_the_probe_finds_nothing(served: Served) -> None:
    report = scim_sanity.run_probe_api(served.base_url, token=served.token, strict=True)
    passed = [r["name"] for r in report["results"] if r["status"] == "pass"]
    skipped = {r["name"] for r in report["results"] if r["status"] == "skip"}
    complaints = [r for r in report["results"] if r["status"] not in ("pass", "skip")]
    assert [c for c in complaints if c["name"] not in ACCEPTED] == []
    assert ACCEPTED.keys() - {c["name"] for c in complaints} == set(), (
        "these pass now: take them off the list"
    )
    assert len(passed) >= 18
    # Agents are another draft's. Groups are skipped exactly as long as /ResourceTypes does not name them.
    with served.scim() as scim:
        types = {r["name"] for r in scim.get("/ResourceTypes").json()["Resources"]}
    assert ("Group CRUD Lifecycle" in skipped) == ("Group" not in types)
    assert {name for name in skipped if "Agent" not in name} <= {"Group CRUD Lifecycle"}


@pytest.mark.parametrize("profile", ["entra"])
def test_the_probe_with_a_client_profile_finds_nothing(served: Served, profile: str) -> None:
    report = scim_sanity.run_probe_api(
        served.base_url, token=served.token, profile=profile, user_domain="example.com"
    )
    assert [r for r in report["results"] if r["status"] not in ("pass", "skip")] == []
