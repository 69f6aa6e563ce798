"""`scim-bridge client …`: OAuth clients of connections and their secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from app.cli.connections import ExpiresOption, read_expiry
from app.cli.servers import DataOption
from app.cli.stored import connection_named, connection_names, out, settings_for, shown, with_store
from app.store.clients import Client, ClientSecret
from app.store.store import Store
from app.store.tokens import CLIENT_SECRET, new_secret

client_app = typer.Typer(
    help="OAuth clients of a connection, which get access tokens at /oauth/token.", no_args_is_help=True
)
secret_app = typer.Typer(help="Secrets of a client; two may live side by side.", no_args_is_help=True)
client_app.add_typer(secret_app, name="secret")


@client_app.command("add")
def add_client(
    connection: Annotated[str, typer.Argument(help="Name or id of the connection.")],
    label: Annotated[str, typer.Option(help="What the client is.")] = "",
    expires: ExpiresOption = None,
    data_dir: DataOption = None,
) -> None:
    """Make a client with a secret, which is shown once; it may expire."""
    expires_at = None if expires is None else read_expiry(expires, datetime.now(UTC))

    async def add(store: Store) -> tuple[ClientSecret, str]:
        found = await connection_named(store, connection)
        async with store.db.write() as db:
            client = await store.clients.add(found.id, label, within=db)
            return await store.clients.add_secret(client.id, "", expires_at, within=db)

    secret, text = with_store(settings_for(data_dir), add)
    _announce(secret)
    typer.echo(f"client_id={secret.client_id}\nclient_secret={text}")


@client_app.command("list")
def list_clients(
    connection: Annotated[str | None, typer.Argument(help="Name or id; all when left out.")] = None,
    data_dir: DataOption = None,
) -> None:
    """List clients with their secrets, of which only ids and dates are known."""

    async def read(store: Store) -> list[tuple[str, Client, list[ClientSecret]]]:
        names, wanted = await connection_names(store, connection)
        secrets = await store.clients.secrets()
        return [
            (names.get(c.connection_id, "?"), c, [s for s in secrets if s.client_id == c.id])
            for c in await store.clients.list(wanted)
        ]

    now = datetime.now(UTC)
    table = Table(
        "client", "connection", "label", "secret", "its label", "state", "made", "expires", "last used"
    )
    for name, client, secrets in with_store(settings_for(data_dir), read):
        if not secrets:
            table.add_row(client.id, name, client.label)
        for s in secrets:
            state = "valid" if s.alive_at(now) else "removed" if s.revoked_at else "expired"
            dates = [shown(d) for d in (s.created_at, s.expires_at, s.last_used_at)]
            table.add_row(client.id, name, client.label, s.id, s.label, state, *dates)
    out().print(table)


@client_app.command("remove")
def remove_client(
    client: Annotated[str, typer.Argument(help="The client_id.")], data_dir: DataOption = None
) -> None:
    """Remove a client with its secrets and access tokens; servers that run notice within seconds."""

    async def remove(store: Store) -> None:
        await store.clients.remove(client)

    with_store(settings_for(data_dir), remove)
    out().print(f"removed {client}; its secrets and access tokens no longer work")


@secret_app.command("add")
def add_secret(
    client: Annotated[str, typer.Argument(help="The client_id.")],
    label: Annotated[str, typer.Option(help="What the secret is called.")] = "",
    expires: ExpiresOption = None,
    data_dir: DataOption = None,
) -> None:
    """Make another secret of a client; it is shown once. The other one goes on working."""
    expires_at = None if expires is None else read_expiry(expires, datetime.now(UTC))

    async def add(store: Store) -> tuple[ClientSecret, str]:
        return await store.clients.add_secret(client, label, expires_at)

    secret, text = with_store(settings_for(data_dir), add)
    _announce(secret)
    typer.echo(text)


@secret_app.command("remove")
def remove_secret(
    secret: Annotated[str, typer.Argument(help="The secret's id, sec_…")], data_dir: DataOption = None
) -> None:
    """Remove a secret with the access tokens got by it; servers that run notice within seconds."""

    async def remove(store: Store) -> ClientSecret:
        return await store.clients.revoke_secret(secret)

    out().print(f"removed {with_store(settings_for(data_dir), remove).id}")


@secret_app.command("generate")
def generate_secret() -> None:
    """Print a new secret for a file of connections to refer to; nothing is stored."""
    typer.echo(new_secret(kind=CLIENT_SECRET))


def _announce(secret: ClientSecret) -> None:
    until = "" if secret.expires_at is None else f", until {shown(secret.expires_at)}"
    out(stderr=True).print(f"secret {secret.id} of client {secret.client_id}{until}; it is shown only now:")
