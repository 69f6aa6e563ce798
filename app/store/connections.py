"""Connections: one SCIM client bound to one tenant, with its mapping, tolerances and policies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.store.errors import ConnectionNotFound, InvalidRecord, NameTaken, UnreadableRow
from app.store.session import Database, Transaction
from app.store.sources import Clock, Ids, new_id, utc_now
from app.store.tables import connections

MAX_NAME_LENGTH = 100

CHANGES = "connection apply"
"""The turn (`Database.take_turn`) of whoever compares stored connections before changing them."""

_ID = re.compile(r"con_[a-z0-9]{20}")
_DOMAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TENANT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_Setting = TypeVar("_Setting", bound=msgspec.Struct)

UserRule: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(id:.+|userName:.+|custom:[^=]+=.*)$")]
"""`id:usr_1`, `userName:admin*` (`*`, `?` and `[…]`, without case) or `custom:role=admin`, a value in the
platform's custom_attributes; dots in its key go into objects."""

GroupRule: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(id|displayName):.+$")]
"""`id:grp_1` or `displayName:Admin*` (`*`, `?` and `[…]`, without case)."""

GroupScopeRule: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(own|(id|displayName):.+)$")]
"""`own`, for the groups that the connection itself has made, or as for `GroupRule`."""


class DialectSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which departures from the RFCs a connection's client is allowed."""

    mode: Literal["lenient", "strict"] = "lenient"
    """`lenient` starts from all known tolerances, `strict` from none."""
    off: tuple[str, ...] = ()
    """Names of tolerances taken away."""
    on: tuple[str, ...] = ()
    """Names of tolerances added."""


class Policies(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a connection's client may cause, and how it is answered."""

    password: Literal["ignore", "set"] = "ignore"  # noqa: S105 - the name of a policy
    """Whether a `password` sent by the client is dropped or becomes the user's."""
    send_welcome_email: bool = False
    """Whether the platform greets a created user by mail."""
    activate_locked: bool = False
    """Whether `active: true` unlocks a LOCKED user."""
    activate_pending_email: bool = False
    """Whether `active: true` activates a user whose address is not verified yet."""
    activate_pending_approval: bool = False
    """Whether `active: true` approves a user who waits for approval."""
    terminate_sessions: bool = True
    """Whether disabling a user ends the sessions that are open."""
    groups: Literal["platform", "local"] = "platform"
    """Where groups live: on the platform, or in the bridge's own database where the platform has no place."""
    group_patch: Literal["no-content", "resource"] = "no-content"
    """Whether a PATCH of a group answers 204, or 200 with the resource."""
    search: Literal["indexed", "live"] = "indexed"
    """Whether searches use the bridge's index, or only the platform's own lists, read within bounds."""
    explain: bool = False
    """Whether the client may ask how a search would be answered (`SCIM-Bridge-Explain`)."""
    dry_run: bool = False
    """Whether the client may have a write rehearsed in place of carried out (`SCIM-Bridge-Dry-Run`)."""
    requests_per_second: float | None = None
    """The rate limit in place of the setting's; 0: none."""
    request_burst: int | None = None
    """The burst in place of the setting's."""
    deprovision: Literal["delete", "disable", "refuse"] = "delete"
    """What a DELETE of a user does: delete it, disable it at the platform and hide it from SCIM, or 403."""
    guard_limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Users that may go within the window, whatever the share; 0: no guard. Unset: 100 from 500 users on."""
    guard_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2
    """The share of the tenant's users that may be, whatever the number; 0: the number alone counts."""
    guard_window_s: Annotated[int, msgspec.Meta(ge=1)] = 86_400
    """The window in which deactivations and deletions are counted, in seconds."""
    protected_users: tuple[UserRule, ...] = ()
    """Users that the client can read and not change, memberships included."""
    protected_groups: tuple[GroupRule, ...] = ()
    """Groups that the client can read and not change."""
    group_scope: tuple[GroupScopeRule, ...] = ()
    """Groups that the client may change; it reads all of them. Empty: all."""
    audit_values: Literal["none", "personal"] = "none"
    """Whether the audit trail holds personal data, or only ids, names of attributes and harmless values."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One SCIM client bound to one tenant."""

    id: str
    """`con_` and 20 characters of [a-z0-9]."""
    name: str
    """Unique, shown to humans, up to 100 characters."""
    tenant_id: str
    """The platform's id of the tenant."""
    mapping: str = "default"
    """Name or path of the mapping file."""
    domain: str = "default"
    """Provisioning domain, the scope of `externalId` (RFC 7643 §3.1): `[A-Za-z0-9_.-]{1,64}`."""
    dialect: DialectSettings = DialectSettings()
    policies: Policies = Policies()
    created_at: datetime


class Connections:
    """The connections of all tenants; they belong to the operator, so listing them takes no tenant.

    `within` is a transaction under way, for several changes to be one.
    """

    def __init__(self, db: Database, clock: Clock = utc_now, ids: Ids = new_id) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids

    async def add(
        self,
        *,
        name: str,
        tenant_id: str,
        mapping: str = "default",
        domain: str = "default",
        dialect: DialectSettings | None = None,
        policies: Policies | None = None,
        within: Transaction | None = None,
    ) -> Connection:
        """Store a new connection.

        Raises NameTaken, or InvalidRecord for a field outside its form.
        """
        check_connection(name=name, tenant_id=tenant_id, mapping=mapping, domain=domain)
        connection = Connection(
            id=self._ids("con"),
            name=name,
            tenant_id=tenant_id,
            mapping=mapping,
            domain=domain,
            dialect=dialect or DialectSettings(),
            policies=policies or Policies(),
            created_at=self._clock(),
        )
        row = {
            **{field: getattr(connection, field) for field in connection.__struct_fields__},
            "dialect": _encode(connection.dialect),
            "policies": _encode(connection.policies),
        }
        try:
            async with self._db.write(within) as db:
                await db.execute(insert(connections).values(row))
        except IntegrityError as error:
            raise NameTaken(f"there is a connection named {name!r} already") from error
        return connection

    async def update(
        self,
        connection_id: str,
        *,
        mapping: str,
        domain: str,
        dialect: DialectSettings,
        policies: Policies,
        within: Transaction | None = None,
    ) -> Connection:
        """Change what may be changed of a connection; its name and its tenant stay.

        Keys of the stored settings that this release does not know stay too. A server that runs goes on with
        the former settings until its `TokenCache` reads the connection anew. Raises ConnectionNotFound, or
        InvalidRecord for a field outside its form.
        """
        async with self._db.write(within) as db:
            # FOR UPDATE, because the stored settings are read, changed and written back.
            found = select(connections).where(connections.c.id == connection_id).with_for_update()
            row = (await db.execute(found)).first()
            if row is None:
                raise ConnectionNotFound(f"no connection has the id {connection_id!r}")
            stored = decode_connection(row)
            check_connection(name=stored.name, tenant_id=stored.tenant_id, mapping=mapping, domain=domain)
            values = {
                "mapping": mapping,
                "domain": domain,
                "dialect": _encode(dialect, keep=row.dialect),
                "policies": _encode(policies, keep=row.policies),
            }
            await db.execute(update(connections).where(connections.c.id == connection_id).values(values))
        return msgspec.structs.replace(
            stored, mapping=mapping, domain=domain, dialect=dialect, policies=policies
        )

    async def get(self, connection_id: str, *, within: Transaction | None = None) -> Connection | None:
        """Find a connection by id."""
        async with self._db.read(within) as db:
            row = (await db.execute(select(connections).where(connections.c.id == connection_id))).first()
        return None if row is None else decode_connection(row)

    async def by_name(self, name: str) -> Connection | None:
        """Find a connection by its exact name."""
        async with self._db.read() as db:
            row = (await db.execute(select(connections).where(connections.c.name == name))).first()
        return None if row is None else decode_connection(row)

    async def list(self, *, within: Transaction | None = None) -> Sequence[Connection]:
        """Answer all connections, oldest first."""
        async with self._db.read(within) as db:
            rows = await db.execute(select(connections).order_by(connections.c.created_at, connections.c.id))
        return [decode_connection(row) for row in rows]

    async def remove(self, id_or_name: str, *, within: Transaction | None = None) -> str:
        """Remove a connection together with its tokens; answer its id.

        What the connection's client wrote stays, as do links: they are the tenant's. Raises
        ConnectionNotFound.
        """
        this = or_(connections.c.id == id_or_name, connections.c.name == id_or_name)
        async with self._db.write(within) as db:
            connection_id = await db.scalar(select(connections.c.id).where(this))
            if connection_id is None:
                raise ConnectionNotFound(f"no connection has the id or name {id_or_name!r}")
            # The tokens go by ON DELETE CASCADE.
            await db.execute(delete(connections).where(connections.c.id == connection_id))
        return str(connection_id)


def decode_connection(row: Sequence[Any]) -> Connection:
    """Build a connection from a row that begins with the columns of `connections`, in their order."""
    connection_id, name, tenant_id, mapping, domain, dialect, policies, created_at = row[: len(connections.c)]
    return Connection(
        id=connection_id,
        name=name,
        tenant_id=tenant_id,
        mapping=mapping,
        domain=domain,
        dialect=_decode(connection_id, dialect, DialectSettings),
        policies=_decode(connection_id, policies, Policies),
        created_at=created_at,
    )


def check_connection(*, name: str, tenant_id: str, mapping: str, domain: str) -> None:
    """Raise InvalidRecord for a field outside its form."""
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidRecord(f"a connection's name has 1 to {MAX_NAME_LENGTH} printable characters")
    if _ID.fullmatch(name):
        raise InvalidRecord("a connection's name must not look like a connection's id")
    if not _TENANT_ID.fullmatch(tenant_id):
        raise InvalidRecord(f"tenant id {tenant_id!r} does not match {_TENANT_ID.pattern}")
    if not mapping.strip() or not mapping.isprintable():
        raise InvalidRecord("a mapping is the name or the path of a mapping file")
    if not _DOMAIN.fullmatch(domain):
        raise InvalidRecord(f"provisioning domain {domain!r} does not match {_DOMAIN.pattern}")


def _encode(setting: msgspec.Struct, keep: str = "{}") -> str:
    # What `keep`, the stored form so far, has beyond this release is a newer one's.
    stored = msgspec.json.decode(keep, type=dict[str, msgspec.Raw])
    known = {field.encode_name for field in msgspec.structs.fields(setting)}
    own = msgspec.json.decode(msgspec.json.encode(setting), type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**own, **{k: v for k, v in stored.items() if k not in known}}).decode()


def _decode(connection_id: str, text: str, form: type[_Setting]) -> _Setting:
    # Keys of a newer release are passed over: two releases share the database during an upgrade.
    try:
        return msgspec.json.decode(text, type=form)
    except msgspec.DecodeError as error:
        raise UnreadableRow(f"connection {connection_id}: {form.__name__} cannot be read: {error}") from error
