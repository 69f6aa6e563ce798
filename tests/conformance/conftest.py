"""Clients of the shared bridge, and users to work on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import GroupSide, client, connect
from rfc import USER, Create

if TYPE_CHECKING:
    from conftest import Served


@pytest.fixture(scope="module")
def scim(served: Served) -> Iterator[httpx.Client]:
    with served.scim() as client:
        yield client


@pytest.fixture(scope="module")
def platform(served: Served) -> Iterator[httpx.Client]:
    with served.platform() as client:
        yield client


@pytest.fixture
def create(scim: httpx.Client) -> Create:
    """Create a user of an own name; keyword arguments are further attributes."""

    def made(**attributes: Any) -> dict[str, Any]:
        name = attributes.pop("userName", f"u-{uuid.uuid4()}@example.com")
        body = {"schemas": [USER], "userName": name, **attributes}
        answer = scim.post("/Users", json=body)
        assert answer.status_code == 201, answer.text
        user: dict[str, Any] = answer.json()
        return user

    return made


@pytest.fixture(scope="session")
def local_groups_token(served: Served) -> str:
    """A token of a connection whose groups are kept in the bridge's database."""
    return connect(served, "local-groups", "--local-groups")


@pytest.fixture(scope="session")
def answering_tokens(served: Served) -> dict[str, str]:
    """Tokens of connections whose PATCH on a group answers 200 with the group, by who keeps the groups."""
    policy = "--group-patch-answers"
    return {
        "platform": connect(served, "answering", policy),
        "local": connect(served, "answering-local", policy, "--local-groups"),
    }


@pytest.fixture(params=["platform", "local"])
def group_side(request: pytest.FixtureRequest, served: Served) -> GroupSide:
    """Both places that keep groups, one after the other."""
    if request.param == "platform":
        return GroupSide("platform", served.token)
    return GroupSide("local", request.getfixturevalue("local_groups_token"))


@pytest.fixture
def groups(group_side: GroupSide, served: Served) -> Iterator[httpx.Client]:
    """A SCIM client of the group side."""
    with client(served, group_side.token) as made:
        yield made
