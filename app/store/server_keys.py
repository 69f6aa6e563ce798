"""Secret keys that the bridge makes for itself, once, and shares with its replicas and its later starts.

Nothing but what they sealed is lost with them: a cursor, which a client can do without.
"""

from __future__ import annotations

import secrets

from sqlalchemy import bindparam, select

from app.store.session import Database
from app.store.sources import Clock, SecretBytes, utc_now
from app.store.tables import server_keys

KEY_BYTES = 64

_BY_NAME = select(server_keys.c.secret).where(server_keys.c.name == bindparam("name"))


class ServerKeys:
    """Keys by what they are for; each is read from the database once in the life of a process."""

    def __init__(
        self, db: Database, clock: Clock = utc_now, secret_bytes: SecretBytes = secrets.token_bytes
    ) -> None:
        self._db = db
        self._clock = clock
        self._secret_bytes = secret_bytes
        self._known: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes:
        """Answer the key of this name, `KEY_BYTES` long; the first to ask makes it."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = await self._read(name) or await self._made(name)
        return known

    async def _read(self, name: str) -> bytes | None:
        async with self._db.read() as db:
            found: bytes | None = await db.scalar(_BY_NAME, {"name": name})
        return found

    async def _made(self, name: str) -> bytes:
        """Make the key, unless another replica was quicker: then its key counts."""
        row = {"name": name, "secret": self._secret_bytes(KEY_BYTES), "created_at": self._clock()}
        async with self._db.write() as db:
            await db.execute(self._db.insert(server_keys).values(row).on_conflict_do_nothing())
            secret: bytes = (await db.execute(_BY_NAME, {"name": name})).scalar_one()
        return secret
