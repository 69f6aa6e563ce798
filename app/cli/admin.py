"""`scim-bridge admin token …`: who may sign in at the console."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.connections import read_expiry
from app.cli.servers import DataOption
from app.cli.stored import settings_for, with_store
from app.store.admin_tokens import AdminToken
from app.store.store import Store

admin_app = typer.Typer(help="Operators of the console.", no_args_is_help=True)
admin_token_app = typer.Typer(help="Tokens with which operators sign in.", no_args_is_help=True)
admin_app.add_typer(admin_token_app, name="token")


class _Role(StrEnum):
    viewer = "viewer"
    admin = "admin"


@admin_token_app.command("create")
def create_admin_token(
    role: Annotated[_Role, typer.Option("--role", help="viewer only reads, admin also changes.")],
    label: Annotated[str, typer.Option("--label", help="Whose it is.")] = "",
    expires: Annotated[
        str | None, typer.Option("--expires", help="When it ends: 90d, 12h, or a date such as 2027-01-31.")
    ] = None,
    data_dir: DataOption = None,
) -> None:
    """Make a token for signing in at the console; it is shown once."""
    expires_at = None if expires is None else read_expiry(expires, datetime.now(UTC))

    async def create(store: Store) -> tuple[AdminToken, str]:
        return await store.admin_tokens.create(
            "admin" if role is _Role.admin else "viewer", label, expires_at
        )

    token, secret = with_store(settings_for(data_dir), create)
    until = "" if token.expires_at is None else f", until {_shown(token.expires_at)}"
    _out(stderr=True).print(f"admin token {token.id} ({token.role}){until}; it is shown only now:")
    typer.echo(secret)


@admin_token_app.command("list")
def list_admin_tokens(data_dir: DataOption = None) -> None:
    """List the tokens of operators, without their secrets."""

    async def read(store: Store) -> list[AdminToken]:
        return list(await store.admin_tokens.list())

    now = datetime.now(UTC)
    table = Table("id", "role", "label", "state", "made", "expires", "last sign-in")
    for t in with_store(settings_for(data_dir), read):
        state = "valid" if t.alive_at(now) else "revoked" if t.revoked_at else "expired"
        table.add_row(
            t.id, t.role, t.label, state, *(_shown(d) for d in (t.created_at, t.expires_at, t.last_used_at))
        )
    _out().print(table)


@admin_token_app.command("revoke")
def revoke_admin_token(
    token: Annotated[str, typer.Argument(help="The token's id, adm_…")], data_dir: DataOption = None
) -> None:
    """Revoke a token; whoever is signed in with it is out at once."""

    async def revoke(store: Store) -> AdminToken:
        return await store.admin_tokens.revoke(token)

    _out().print(f"revoked {with_store(settings_for(data_dir), revoke).id}")


def _out(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
