"""Clients of the shared bridge, and users to work on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
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
