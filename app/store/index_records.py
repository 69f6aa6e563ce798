"""What the index of users takes and answers."""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.scim.index import Entry


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """How far a walk through all users of a tenant has come; kept, so that another process can go on."""

    number: int
    """`View.sweeps` and one."""
    full: bool
    """Every user is read, also where its row in the list is as it was."""
    started_at: datetime
    passes: int = 0
    """How often the list was gone through."""
    page: int = 0
    """Pages done in this pass."""
    read: int = 0
    """Users read."""
    listed: int = 0
    """Rows seen in this pass."""
    total: int = 0
    """Rows that the platform says there are."""
    new: int = 0
    """Users of this pass that were not known."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which users of a tenant look as SCIM resources."""

    id: int
    tenant_id: str
    domain: str
    mapping: str
    """Fingerprint of the mapping."""
    complete_since: datetime | None = None
    """Since when every user of the tenant is in the index; None: not."""
    swept_at: datetime | None = None
    """When the last sweep began that has ended."""
    refreshed_at: datetime | None = None
    sweeps: int = 0
    """The number of the newest sweep."""
    sweep: Sweep | None = None
    """The sweep that has not ended."""
    hides: bool = False
    """Whether some users of the tenant are hidden, as far as any of its views knows."""


class IndexedUser(msgspec.Struct, frozen=True, kw_only=True):
    """What the index keeps of a user."""

    id: str
    created: str
    """`meta.created`."""
    entries: tuple[Entry, ...]
    """`index_entries` of the resource."""
    hidden: bool = False
    """The platform has the user and SCIM has not: no search finds it, only its links do."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the index knows about its own knowledge of a user."""

    revision: int
    """Changes with everything that is learnt of the user."""
    row_digest: bytes | None
    read_at: datetime | None
    """When the user was last read, or found gone; None: never."""
    dirty: bool
    """It may have changed since."""
    gone: bool


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a user in an order, for going on after it; as JSON, it keeps."""

    key: str | None
    """What the order compares; None where the user has no value, or there is no sorting."""
    created: str
    """Key of `meta.created`."""
    id: str


class IndexRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user that was found."""

    id: str
    revision: int
    position: Position


class IndexPage(msgspec.Struct, frozen=True, kw_only=True):
    """A window of what was found, and how many there are, of one moment."""

    rows: tuple[IndexRow, ...]
    total: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How a view is doing."""

    users: int
    """Users that can be found."""
    dirty: int
    """Users to be read."""
    oldest_dirty_at: datetime | None
