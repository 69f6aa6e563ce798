"""scim2-tester, the checks behind `scim2 test`, over a socket."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import httpx2
import pytest
from groups_served import connect
from rfc import USER
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import Mutability, ResourceType, Schema, ScimProvider, ServiceProviderConfig
from scim2_tester import CheckResult, Status, check_server

if TYPE_CHECKING:
    from conftest import Serve, Served

PLATFORM_USER = "urn:scim-bridge:schemas:2.0:PlatformUser"
GOOD = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}

ACCEPTED: list[tuple[str, str, str]] = [
    (
        "check_remove_attribute",
        "did not remove attribute 'active'",
        "active is the account's status and always answered: Okta and Entra read an absent one as inactive. "
        "Published as required it would pass; but then a client that goes by /Schemas has to send it.",
    ),
    (
        "check_(add|replace)_attribute",
        f"unexpected value for '{PLATFORM_USER}'",
        "The whole extension is written and compared with what comes back, which has readOnly members too.",
    ),
    (
        "check_remove_attribute",
        f"did not remove attribute '{PLATFORM_USER}'",
        "Its readOnly members cannot be removed.",
    ),
]
"""Check, what its reason says, why it cannot pass."""

OF_THE_STATUS: list[tuple[str, str, str]] = [
    (
        "check_remove_attribute",
        f"did not remove attribute '{PLATFORM_USER}:status'",
        "An account is never without a status.",
    ),
    (
        ".*",
        "send one of them, or two that agree",
        "active and status are drawn at random, each for itself; where they disagree, the bridge refuses.",
    ),
]
"""The same, where the status of the bridge's own extension is written."""


@pytest.fixture(scope="module")
def alone(serve: Serve) -> Served:
    """A bridge that nobody else uses: the tester looks for what it made on the first page of all users."""
    return serve()


@pytest.fixture(scope="module")
def tokens(alone: Served) -> dict[str, str]:
    """A token for each group backend; PATCH on a group answers with the resource, as the tester wants it."""
    policy = "--group-patch-answers"
    return {
        "platform": connect(alone, "platform", policy),
        "local": connect(alone, "local", policy, "--local-groups"),
    }


@pytest.fixture(params=["platform", "local"])
def client(request: pytest.FixtureRequest, alone: Served, tokens: dict[str, str]) -> Iterator[SyncSCIMClient]:
    """A connection whose PATCH on a group answers with the group, which the tester reads."""
    headers = {"Authorization": f"Bearer {tokens[request.param]}"}
    with httpx2.Client(base_url=alone.base_url, headers=headers, timeout=60) as http:
        yield SyncSCIMClient(http)


def unexpected(results: list[CheckResult], accepted: list[tuple[str, str, str]]) -> list[str]:
    """The complaints that no entry of the list accounts for."""
    return [
        f"{r.status.name} {r.title}: {r.reason}\n{r.data}"
        for r in results
        if r.status not in GOOD
        and not any(
            re.fullmatch(check, r.title or "") and text in (r.reason or "") for check, text, _ in accepted
        )
    ]


class Written(NamedTuple):
    """The attributes that the tester may write, as it calls them."""

    all: set[str]
    optional: set[str]
    answered: set[str]


def describe(client: SyncSCIMClient, read_only: dict[str, set[str]]) -> Written:
    """Tell the tester of these attributes, by schema, that nobody writes them; what is left to write."""
    schemas = client.query(Schema).resources
    types = client.query(ResourceType).resources
    base = {found.schema_ for found in types}
    extensions = {e.schema_ for found in types for e in found.schema_extensions or ()}
    written = Written(set(), set(), set())
    for schema in schemas:
        for attribute in schema.attributes:
            if attribute.name in read_only.get(schema.id, ()):
                attribute.mutability = Mutability.read_only
            may_be_written = attribute.mutability in (Mutability.read_write, Mutability.write_only)
            if may_be_written and schema.id in base | extensions:
                name = attribute.name if schema.id in base else f"{schema.id}:{attribute.name}"
                written.all.add(name)
                if not attribute.required:
                    written.optional.add(name)
                if attribute.mutability == Mutability.read_write:
                    written.answered.add(name)
    config = client.query(ServiceProviderConfig)
    client.provider = ScimProvider.from_discovery(schemas, types, config, client.provider.policy)
    return written


def check_all(client: SyncSCIMClient, written: Written) -> list[CheckResult]:
    """Run all checks; none is passed over, and every attribute that can be written was written.

    The tester gives up a check of all attributes where it cannot make its resource, and says so once.
    """
    results = check_server(client)
    titles = {r.title for r in results if r.status in GOOD}
    assert titles >= {
        "object_creation",
        "object_query",
        "object_replacement",
        "object_deletion",
        "random_url",
    }
    assert titles >= {"search_with_attributes", "object_list_with_attributes", "object_query_with_attributes"}
    for check, expected in (
        ("check_add_attribute", written.optional),
        ("check_replace_attribute", written.all),
        ("check_remove_attribute", written.optional & written.answered),
    ):
        assert expected - {r.data["urn"] for r in results if r.title == check} == set(), check
    return results


def test_every_check_of_the_standard_schemas_passes(client: SyncSCIMClient) -> None:
    """With the bridge's own extension described as readOnly, so that nothing of it is written."""
    own = next(s for s in client.query(Schema).resources if s.id == PLATFORM_USER)
    written = describe(client, {PLATFORM_USER: {a.name for a in own.attributes}})
    results = check_all(client, written)
    assert unexpected(results, ACCEPTED) == []


def test_every_check_of_all_but_active_passes(client: SyncSCIMClient) -> None:
    """With `active` described as readOnly, so that it is never drawn at odds with the extension's status."""
    written = describe(client, {USER: {"active"}})
    results = check_all(client, written)
    assert unexpected(results, ACCEPTED[1:] + OF_THE_STATUS[:1]) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_every_check_of_all_that_is_published_passes(client: SyncSCIMClient, seed: int) -> None:
    """Where active and status are drawn at odds, the check ends: the two tests above make all of them."""
    state = random.getstate()
    random.seed(seed)  # the tester draws its values from the module's generator
    try:
        results = check_server(client)
    finally:
        random.setstate(state)
    assert unexpected(results, ACCEPTED + OF_THE_STATUS) == []
    assert sum(r.status in GOOD for r in results) >= 80


def test_the_tester_can_complain(served: Served) -> None:
    headers = {"Authorization": "Bearer wrong"}
    with httpx2.Client(base_url=served.base_url, headers=headers, timeout=60) as http:
        assert unexpected(check_server(SyncSCIMClient(http)), ACCEPTED)
