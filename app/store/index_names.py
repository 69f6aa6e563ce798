"""The names of indexed attributes as small numbers; a name's number is never given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, select

from app.store.session import Database
from app.store.tables import index_attributes

_names = index_attributes.c
_FIND = select(_names.name, _names.id).where(_names.name.in_(bindparam("names", expanding=True)))


class AttributeNames:
    """All names, remembered in the process once they are committed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ids: dict[str, int] = {}

    async def ids(self, names: Iterable[str]) -> Mapping[str, int]:
        """Answer numbers for these names (and maybe more); new ones are committed at once, on their own."""
        missing = sorted({name for name in names if name not in self._ids})
        if missing and len(await self._db.read_unit(lambda db: self.known(db, missing))) < len(missing):
            statement = self._db.insert(index_attributes).on_conflict_do_nothing()
            rows = [{"name": name} for name in missing]
            await self._db.write_unit(lambda db: db.execute(statement, rows))
            await self._db.read_unit(lambda db: self.known(db, missing))
        return self._ids

    def known(self, db: Connection, names: Iterable[str]) -> dict[str, int]:
        """Answer the numbers of those names that have one; `db` sees what is committed and nothing else."""
        wanted = set(names)
        if missing := [name for name in wanted if name not in self._ids]:
            self._ids.update((row[0], row[1]) for row in db.execute(_FIND, {"names": missing}))
        return {name: self._ids[name] for name in wanted if name in self._ids}
