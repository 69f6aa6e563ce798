"""`scim-bridge admin token …`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from command_line import Run, one_line

from app.store.store import Store


def test_tokens_of_operators(run: Run, tmp_path: Path) -> None:
    made = run("admin", "token", "create", "--role", "viewer", "--label", "Grace", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("sca_")
    token_id = next(word for word in made.stderr.split() if word.startswith("adm_"))
    listed = run("admin", "token", "list").stdout
    assert all(text in listed for text in (token_id, "viewer", "Grace", "valid"))
    assert secret not in listed

    async def role() -> str | None:
        store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/data/bridge.db")
        found = await store.admin_tokens.authenticate(secret)
        await store.close()
        return None if found is None else found.role

    assert asyncio.run(role()) == "viewer"
    assert token_id in run("admin", "token", "revoke", token_id).stdout
    assert "revoked" in run("admin", "token", "list").stdout
    assert asyncio.run(role()) is None


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["revoke", "adm_nobody"], "adm_nobody"),
        (["create", "--role", "admin", "--expires", "yesterday"], "--expires"),
        (["create", "--role", "admin", "--label", "x" * 300], "200"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, arguments: list[str], part: str) -> None:
    one_line(run("admin", "token", *arguments), part)


def test_a_role_is_needed(run: Run) -> None:
    assert run("admin", "token", "create").returncode == 2
    assert run("admin", "token", "create", "--role", "root").returncode == 2
