"""What operators change by hand, each change and its record in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.store.admin_changes import ValueChange
from app.store.admin_tokens import AdminToken
from app.store.clients import Client, ClientSecret
from app.store.connections import CHANGES, Connection, Policies
from app.store.errors import ConnectionNotFound
from app.store.journal_records import Entry
from app.store.store import Store
from app.store.tokens import Token, digest_of, new_secret


class Overtaken(Exception):
    """What was to be changed is not any more as whoever changes it has seen it."""


class Operating:
    """Changes to connections, tokens, clients and the journal; raises what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def set_policies(
        self, admin: AdminToken, connection_id: str, policies: Policies, *, seen: Policies
    ) -> Connection:
        """Give a connection other policies; raises `Overtaken` unless it still has those that were `seen`."""
        async with self._store.db.write() as db:
            await self._store.db.take_turn(db, CHANGES)
            found = await self._store.connections.get(connection_id, within=db)
            if found is None:
                raise ConnectionNotFound(f"no connection has the id {connection_id!r}")
            if found.policies != seen:
                raise Overtaken
            changed = await self._store.connections.update(
                connection_id,
                mapping=found.mapping,
                domain=found.domain,
                dialect=found.dialect,
                policies=policies,
                within=db,
            )
            await self._store.admin_changes.record(
                admin,
                "connection.policies",
                subject_id=found.id,
                subject_name=found.name,
                values=policy_changes(found.policies, policies),
                within=db,
            )
        return changed

    async def release(self, admin: AdminToken, connection: Connection) -> None:
        """Let a connection that its guard has stopped deactivate and delete users again."""
        async with self._store.db.write() as db:
            counted = await self._store.deprovisionings.release(connection.id, within=db)
            await self._store.admin_changes.record(
                admin,
                "connection.release",
                subject_id=connection.id,
                subject_name=connection.name,
                values=[ValueChange(name="counted", before=counted, after=0)],
                within=db,
            )

    async def create_token(
        self, admin: AdminToken, connection: Connection, label: str, expires_at: datetime | None
    ) -> tuple[Token, str]:
        """Make a token of a connection; it and its secret, which cannot be had again."""
        secret = new_secret()
        async with self._store.db.write() as db:
            token = await self._store.tokens.register(
                connection.id, label, digest_of(secret), expires_at, within=db
            )
            await self._store.admin_changes.record(
                admin,
                "token.create",
                subject_id=token.id,
                subject_name=label,
                values=_about(connection, expires=_iso(expires_at)),
                within=db,
            )
        return token, secret

    async def revoke_token(self, admin: AdminToken, connection: Connection, token: Token) -> Token:
        """Refuse a token from now on."""
        async with self._store.db.write() as db:
            revoked = await self._store.tokens.revoke(token.id, within=db)
            await self._store.admin_changes.record(
                admin,
                "token.revoke",
                subject_id=token.id,
                subject_name=token.label,
                values=_about(connection),
                within=db,
            )
        return revoked

    async def add_client(
        self, admin: AdminToken, connection: Connection, label: str, expires_at: datetime | None
    ) -> tuple[ClientSecret, str]:
        """Make an OAuth client of a connection with a secret, which may expire; the secret and its text."""
        async with self._store.db.write() as db:
            client = await self._store.clients.add(connection.id, label, within=db)
            secret, text = await self._store.clients.add_secret(client.id, "", expires_at, within=db)
            await self._store.admin_changes.record(
                admin,
                "client.create",
                subject_id=client.id,
                subject_name=label,
                values=_about(connection, secret=secret.id, expires=_iso(expires_at)),
                within=db,
            )
        return secret, text

    async def remove_client(self, admin: AdminToken, connection: Connection, client: Client) -> None:
        """Remove a client with its secrets and access tokens."""
        async with self._store.db.write() as db:
            await self._store.clients.remove(client.id, within=db)
            await self._store.admin_changes.record(
                admin,
                "client.remove",
                subject_id=client.id,
                subject_name=client.label,
                values=_about(connection),
                within=db,
            )

    async def add_secret(
        self,
        admin: AdminToken,
        connection: Connection,
        client: Client,
        label: str,
        expires_at: datetime | None,
    ) -> tuple[ClientSecret, str]:
        """Make another secret of a client; it and its text, which cannot be had again."""
        async with self._store.db.write() as db:
            secret, text = await self._store.clients.add_secret(client.id, label, expires_at, within=db)
            await self._store.admin_changes.record(
                admin,
                "client.secret.create",
                subject_id=secret.id,
                subject_name=label,
                values=_about(connection, client=client.id, expires=_iso(expires_at)),
                within=db,
            )
        return secret, text

    async def revoke_secret(self, admin: AdminToken, connection: Connection, secret: ClientSecret) -> None:
        """Refuse a secret, and the access tokens got by it, from now on."""
        async with self._store.db.write() as db:
            await self._store.clients.revoke_secret(secret.id, within=db)
            await self._store.admin_changes.record(
                admin,
                "client.secret.revoke",
                subject_id=secret.id,
                subject_name=secret.label,
                values=_about(connection, client=secret.client_id),
                within=db,
            )

    async def retry(self, admin: AdminToken, entry: Entry) -> bool:
        """Let an unfinished write be taken up at once; False where somebody is at it or nothing is left."""
        retried = await self._store.journal.retry(entry.id)
        if retried:
            await self._record_entry(admin, "journal.retry", entry)
        return retried

    async def abandon(self, admin: AdminToken, entry: Entry) -> None:
        """Forget an unfinished write; what is done at the platform stays."""
        # Noted first: what is forgotten must not be forgotten by the record too.
        await self._record_entry(admin, "journal.abandon", entry)
        await self._store.journal.end([entry.id])

    async def _record_entry(self, admin: AdminToken, action: str, entry: Entry) -> None:
        told = {"tenant": entry.tenant_id, "resource": entry.resource_id, "state": entry.state}
        await self._store.admin_changes.record(
            admin,
            action,
            subject_id=entry.id,
            subject_name=entry.kind,
            values=[ValueChange(name=name, before=value, after=None) for name, value in told.items()],
        )


def policy_changes(before: Policies, after: Policies) -> Sequence[ValueChange]:
    """The policies that differ."""
    return [
        ValueChange(name=f"policies.{name}", before=getattr(before, name), after=getattr(after, name))
        for name in Policies.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    ]


def _about(connection: Connection, **more: Any) -> Sequence[ValueChange]:
    told = {
        "connection": connection.name,
        **{name: value for name, value in more.items() if value is not None},
    }
    return [ValueChange(name=name, before=None, after=value) for name, value in told.items()]


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
