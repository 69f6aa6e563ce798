"""`scim-bridge federation …`: whose signed assertions authenticate the client of a connection."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from app.cli.servers import DataOption
from app.cli.stored import connection_named, connection_names, out, settings_for, shown, with_store
from app.store.federation import Trust
from app.store.store import Store

federation_app = typer.Typer(
    help="Workload identity federation: access tokens for assertions of another issuer.",
    no_args_is_help=True,
)


@federation_app.command("add")
def add_trust(
    connection: Annotated[str, typer.Argument(help="Name or id of the connection.")],
    issuer: Annotated[str, typer.Option(help="The assertion's iss, an https URL.")],
    subject: Annotated[str, typer.Option(help="The assertion's sub.")],
    audience: Annotated[str, typer.Option(help="The assertion's aud.")],
    jwks_url: Annotated[
        str | None, typer.Option(help="Where the issuer's keys are, where its discovery does not tell.")
    ] = None,
    data_dir: DataOption = None,
) -> None:
    """Trust what an issuer signs for one subject and one audience; all three are compared exactly."""

    async def add(store: Store) -> Trust:
        found = await connection_named(store, connection)
        return await store.federations.add(
            found.id, issuer=issuer, subject=subject, audience=audience, jwks_url=jwks_url
        )

    out().print(f"added {with_store(settings_for(data_dir), add).id}")


@federation_app.command("list")
def list_trusts(
    connection: Annotated[str | None, typer.Argument(help="Name or id; all when left out.")] = None,
    data_dir: DataOption = None,
) -> None:
    """List federation trusts."""

    async def read(store: Store) -> list[tuple[str, Trust]]:
        names, wanted = await connection_names(store, connection)
        return [(names.get(t.connection_id, "?"), t) for t in await store.federations.list(wanted)]

    table = Table("id", "connection", "issuer", "subject", "audience", "keys", "last used")
    for name, t in with_store(settings_for(data_dir), read):
        keys = t.jwks_url or "by discovery"
        table.add_row(t.id, name, t.issuer, t.subject, t.audience, keys, shown(t.last_used_at))
    out().print(table)


@federation_app.command("remove")
def remove_trust(
    trust: Annotated[str, typer.Argument(help="The trust's id, fed_…")], data_dir: DataOption = None
) -> None:
    """Remove a trust with the access tokens got by it; servers that run notice within seconds."""

    async def remove(store: Store) -> None:
        await store.federations.remove(trust)

    with_store(settings_for(data_dir), remove)
    out().print(f"removed {trust}; the access tokens got by it no longer work")
