"""What a running embedded platform consists of: its database, keys, tokens, passwords and settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

from sqlalchemy import select

from app.embedded.changes import Changes
from app.embedded.database import Database, DatabaseError
from app.embedded.events import Actor
from app.embedded.identifiers import Clock
from app.embedded.keys import load_signing_keys
from app.embedded.passwords import Passwords
from app.embedded.settings import PlatformSettings
from app.embedded.tables import tenants
from app.embedded.tokens import Tokens


class Platform:
    """The parts behind the HTTP app and behind `Directory`; opened before use, closed after."""

    def __init__(self, database: Path, settings: PlatformSettings) -> None:
        self.settings = settings
        self.database = Database(database, readers=settings.readers, busy_timeout_s=settings.busy_timeout_s)
        self.passwords = Passwords(min_length=settings.password_min_length)
        self.clock = Clock()
        self.new_events = asyncio.Event()
        """Set when this process has written events; those of others have to be looked for."""
        self._tokens: Tokens | None = None
        self._known_tenants: set[str] = set()

    @property
    def tokens(self) -> Tokens:
        """Issues and verifies access tokens."""
        if self._tokens is None:
            raise DatabaseError("the platform is not open: run the app's lifespan first")
        return self._tokens

    async def open(self) -> None:
        """Open the database and load the signing keys; both are made at first run."""
        await self.database.open()
        self.new_events = asyncio.Event()
        settings = self.settings
        self._tokens = Tokens(
            await load_signing_keys(self.database),
            issuer=settings.issuer,
            audience=settings.audience,
            ttl_s=settings.token_ttl_s,
            cache_size=settings.token_cache_size,
        )

    async def close(self) -> None:
        """Close the database."""
        self._tokens = None
        await self.database.close()

    async def __aenter__(self) -> Platform:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def write(self, actor: Actor) -> AsyncIterator[Changes]:
        """A transaction, as `Database.write`; the events that it collects are written with it."""
        async with self.database.write() as connection:
            changes = Changes(connection, actor, self.clock)
            yield changes
            told = await changes.record()
        if told:
            self.new_events.set()

    async def has_tenant(self, tenant_id: str) -> bool:
        """Whether there is such a tenant; remembered once seen, since tenants are never removed."""
        if tenant_id in self._known_tenants:
            return True
        async with self.database.read() as connection:
            found = (await connection.execute(select(tenants.c.id).where(tenants.c.id == tenant_id))).first()
        if found is None:
            return False
        self._known_tenants.add(tenant_id)
        return True
