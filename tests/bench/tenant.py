"""The embedded platform's tenant that the benchmarks work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from cases import KnownUser

from app.embedded import Directory


async def seed(data_dir: Path, tenant_id: str, count: int) -> None:
    """Make users in the embedded platform's file, past its API."""
    async with Directory(data_dir / "platform.db") as directory:
        await directory.seed_users(tenant_id, count)


def platform_token(port: int, client_id: str, secret: str) -> str:
    """A token of the platform's own."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/platform/oauth/token",
        data={"grant_type": "client_credentials", "scope": "admin:read admin:write"},
        auth=(client_id, secret),
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def known_users(port: int, token: str, tenant_id: str) -> list[KnownUser]:
    """All users of the tenant, with the names by which SCIM knows them."""
    users: list[KnownUser] = []
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}/api/v1/tenants/{tenant_id}/users",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    ) as client:
        page, pages = 1, 1
        while page <= pages:
            found: dict[str, Any] = client.get("", params={"page": page, "per_page": 100}).json()
            pages = found["pagination"]["total_pages"]
            page += 1
            for row in found["data"]:
                user = client.get(f"/{row['id']}").json()["data"]
                users.append(KnownUser(id=user["id"], user_name=user["username"] or user["email"]))
    return users
