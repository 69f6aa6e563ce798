"""What a path names, or `NotThere`."""

from __future__ import annotations

from datetime import UTC, datetime

from app.bridge.context import Context
from app.console.errors import NotThere, Unusable
from app.console.services import ConsoleServices
from app.mapping.errors import MappingError
from app.store.clients import Client, ClientSecret
from app.store.connections import Connection
from app.store.journal_records import Entry
from app.store.tokens import Token


async def connection_of(services: ConsoleServices, connection_id: str) -> Connection:
    """The connection of this id."""
    found = await services.store.connections.get(connection_id)
    if found is None:
        raise NotThere("There is no such connection (any more).")
    return found


def context_of(services: ConsoleServices, connection: Connection) -> Context:
    """The connection made ready for use; raises `Unusable` where it cannot be."""
    try:
        return services.context_of(connection)
    except (MappingError, ValueError) as exc:
        raise Unusable(f"The connection cannot be used: {exc}") from exc


async def live_token_of(services: ConsoleServices, connection: Connection, token_id: str) -> Token:
    """A token of the connection that is still valid."""
    for token in await services.store.tokens.list(connection.id):
        if token.id == token_id:
            if not token.alive_at(datetime.now(UTC)):
                raise Unusable("This token is not valid any more.")
            return token
    raise NotThere("There is no such token.")


async def client_of(services: ConsoleServices, connection: Connection, client_id: str) -> Client:
    """An OAuth client of the connection."""
    for client in await services.store.clients.list(connection.id):
        if client.id == client_id:
            return client
    raise NotThere("There is no such client (any more).")


async def live_secrets_of(services: ConsoleServices, client: Client) -> list[ClientSecret]:
    """The secrets of a client that are valid."""
    now = datetime.now(UTC)
    secrets = await services.store.clients.secrets()
    return [s for s in secrets if s.client_id == client.id and s.alive_at(now)]


async def entry_of(services: ConsoleServices, entry_id: str) -> Entry:
    """An entry of the journal."""
    found = await services.store.journal.get(entry_id)
    if found is None:
        raise NotThere("There is no such entry: the write is finished, or was abandoned.")
    return found
