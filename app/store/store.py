"""The bridge's own database as one object, opened with the application."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Self

from app.store.access_tokens import AccessTokens
from app.store.admin_changes import AdminChanges
from app.store.admin_sessions import AdminSessions
from app.store.admin_tokens import AdminTokens
from app.store.audit import Audit
from app.store.clients import Clients
from app.store.connections import Connections
from app.store.deprovisionings import Deprovisionings
from app.store.federation import Federations
from app.store.group_records import GroupRecords
from app.store.journal import Journal
from app.store.leases import Leases
from app.store.links import Links
from app.store.local_groups import LocalGroups
from app.store.server_keys import ServerKeys
from app.store.session import Database
from app.store.sources import Clock, Ids, SecretBytes, new_id, utc_now
from app.store.token_cache import TokenCache
from app.store.tokens import Tokens
from app.store.user_index import UserIndex


class Store:
    """What the layers above see of the database."""

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock = utc_now,
        ids: Ids = new_id,
        secret_bytes: SecretBytes = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.db = db
        self.connections = Connections(db, clock, ids)
        self.tokens = Tokens(db, clock, ids, secret_bytes)
        self.clients = Clients(db, clock, ids, secret_bytes)
        self.federations = Federations(db, clock, ids)
        self.access_tokens = AccessTokens(db, clock, ids, secret_bytes, monotonic)
        self.token_cache = TokenCache(self.tokens, self.access_tokens, clock=clock, monotonic=monotonic)
        # PostgreSQL is chosen to run several replicas, whose writes a hint would not know of.
        hints = 0 if db.dialect == "postgresql" else 20_000
        self.links = Links(db, clock, hints=hints, monotonic=monotonic)
        self.index = UserIndex(db, self.links, clock)
        self.group_records = GroupRecords(db)
        self.local_groups = LocalGroups(db, clock, ids)
        self.deprovisionings = Deprovisionings(db, clock)
        self.leases = Leases(db, ids)
        self.journal = Journal(db, ids)
        self.server_keys = ServerKeys(db, clock, secret_bytes)
        self.admin_tokens = AdminTokens(db, clock, ids, secret_bytes)
        self.admin_sessions = AdminSessions(db, self.admin_tokens, clock, secret_bytes)
        self.admin_changes = AdminChanges(db, clock, ids)
        self.audit = Audit(db, self.server_keys, secret_bytes)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Clock = utc_now,
        ids: Ids = new_id,
        secret_bytes: SecretBytes = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Open the database at `url`, bring its schema up to date and start the background work.

        Raises what `Database` and `Database.open` raise.
        """
        store = cls(Database(url), clock=clock, ids=ids, secret_bytes=secret_bytes, monotonic=monotonic)
        await store.db.open()
        await store.token_cache.open()
        return store

    async def close(self) -> None:
        """Write what is left to write and close the database; may be called twice."""
        await self.token_cache.close()
        await self.db.close()

    async def ping(self, timeout_s: float = 2.0) -> None:
        """Raise StoreUnavailable unless the database answers in time: the readiness check."""
        await self.db.ping(timeout_s)
