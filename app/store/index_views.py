"""The views of the index: the ways in which users of a tenant look, and how far each has been filled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Executable, bindparam, case, exists, select, update

from app.store.index_records import Sweep, View
from app.store.index_writes import delete_view_part
from app.store.keys import batches
from app.store.session import Database
from app.store.tables import index_users, index_views

_DROP_BATCH = 200
"""Users that a transaction of `drop` removes: other writers get their turn in between."""

_BATCH = 500
"""Ids a statement."""

_users, _views = index_users.c, index_views.c

_of_tenant = index_views.alias()
_HIDES = exists(
    select(1)
    .select_from(index_users.join(_of_tenant, _of_tenant.c.id == _users.view_id))
    .where(_of_tenant.c.tenant_id == _views.tenant_id, _users.state == "hidden")
    .correlate(index_views)
)
_HIDDEN = (
    select(_users.user_id)
    .select_from(index_users.join(index_views, _views.id == _users.view_id))
    .where(_views.tenant_id == bindparam("of_tenant"), _users.state == "hidden")
)
_VIEW = select(index_views, _HIDES.label("hides"))


class IndexViews:
    """The views of all tenants."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def view(self, tenant_id: str, domain: str, mapping: str) -> View:
        """Find a view, or make it."""
        statement = _VIEW.where(
            _views.tenant_id == tenant_id, _views.domain == domain, _views.mapping == mapping
        )
        values = {"tenant_id": tenant_id, "domain": domain, "mapping": mapping, "sweeps": 0}
        while (row := await self._db.read_unit(lambda db: db.execute(statement).first())) is None:
            await self._execute(self._db.insert(index_views).on_conflict_do_nothing(), values)
        return _view(row)

    async def views(self, tenant_id: str | None = None) -> Sequence[View]:
        """Answer the views of a tenant, or all there are, the oldest first."""
        statement = _VIEW.order_by(_views.id)
        if tenant_id is not None:
            statement = statement.where(_views.tenant_id == tenant_id)
        return [_view(row) for row in await self._db.read_unit(lambda db: db.execute(statement).all())]

    async def hidden(self, tenant_id: str, ids: Iterable[str]) -> frozenset[str]:
        """Which of these users are hidden, as far as any view of the tenant knows."""
        asked = _HIDDEN.where(_users.user_id.in_(bindparam("ids", expanding=True)))

        def read(db: Connection) -> frozenset[str]:
            if db.execute(_HIDDEN.limit(1), {"of_tenant": tenant_id}).first() is None:
                return frozenset()
            found: set[str] = set()
            for batch in batches(ids, _BATCH):
                found.update(db.scalars(asked, {"of_tenant": tenant_id, "ids": batch}))
            return frozenset(found)

        return await self._db.read_unit(read)

    async def save(
        self,
        view_id: int,
        *,
        sweep: Sweep | None,
        complete_since: datetime | UnsetType | None = UNSET,
        swept_at: datetime | UnsetType | None = UNSET,
        refreshed_at: datetime | UnsetType | None = UNSET,
    ) -> None:
        """Record how far a view has come; UNSET leaves a time as it is."""
        times = {"complete_since": complete_since, "swept_at": swept_at, "refreshed_at": refreshed_at}
        values: dict[str, Any] = {name: at for name, at in times.items() if at is not UNSET}
        values["sweep"] = None
        if sweep is not None:
            values["sweep"] = msgspec.json.encode(sweep).decode()
            values["sweeps"] = case((_views.sweeps > sweep.number, _views.sweeps), else_=sweep.number)
        statement = update(index_views).where(_views.id == view_id).values(values)
        await self._execute(statement)

    async def drop(self, view_id: int) -> None:
        """Remove a view and what is in it, a part at a time; who still writes to it writes nothing."""
        while await self._db.write_unit(lambda db: delete_view_part(db, view_id, _DROP_BATCH)):
            pass

    async def _execute(self, statement: Executable, values: Any = None) -> int:
        """Run one statement in a transaction; how many rows it changed."""
        return await self._db.write_unit(lambda db: db.execute(statement, values).rowcount)


def _view(row: Any) -> View:
    values = dict(row._mapping)
    if values["sweep"] is not None:
        values["sweep"] = msgspec.json.decode(values["sweep"], type=Sweep)
    return View(**{**values, "hides": bool(values["hides"])})
