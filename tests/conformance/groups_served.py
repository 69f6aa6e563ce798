"""Connections to the shared bridge, one for each place that keeps groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import httpx
from commands import scim_bridge

if TYPE_CHECKING:
    from conftest import Served


class GroupSide(NamedTuple):
    """A connection whose groups are kept by `backend`."""

    backend: str
    token: str


def connect(served: Served, name: str, *options: str) -> str:
    """Add a connection to the demo tenant while the bridge runs; a token of it."""
    place = ("--data-dir", str(served.data_dir))
    scim_bridge("connection", "add", name, "--tenant", served.tenant_id, *options, *place)
    return scim_bridge("token", "create", name, *place).strip()


def client(served: Served, token: str) -> httpx.Client:
    """A SCIM client with this token."""
    return served.scim(Authorization=f"Bearer {token}")
