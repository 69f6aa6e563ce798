"""What a file of connections changes in the database, worked out before anything is written; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from app.cli.client_changes import ClientChange, ClientPlanner, StoredClients, TrustChange
from app.cli.declared import DeclarationError, DeclaredConnection, DeclaredToken
from app.cli.secret_changes import TokenChange, secret_changes
from app.store.connections import Connection, DialectSettings, Policies
from app.store.tokens import Token

_LEFT_ALONE = ("undeclared", "unchanged")


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that differs."""

    name: str
    """`mapping`, `policies.password`, …"""
    before: Any
    after: Any


class ConnectionChange(msgspec.Struct, frozen=True, kw_only=True):
    """A connection of the file or of the database, and what becomes of it."""

    kind: Literal["added", "changed", "unchanged", "removed", "undeclared"]
    """`undeclared`: not in the file, left alone without prune."""
    name: str
    connection_id: str = ""
    """Empty for an added one."""
    declared: DeclaredConnection | None = None
    """None for those that are not in the file."""
    fields: tuple[FieldChange, ...] = ()
    """For an added one: what is not as by default."""
    tokens: tuple[TokenChange, ...] = ()
    clients: tuple[ClientChange, ...] = ()
    trusts: tuple[TrustChange, ...] = ()
    living: int = 0
    """Live tokens of a connection that is not in the file."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the database holds."""

    connections: Sequence[Connection]
    tokens: Sequence[Token]
    """Of all connections, with those no longer alive."""
    by_digest: Mapping[bytes, Token]
    """The tokens that have a declared secret."""
    clients: StoredClients = StoredClients()


def plan(
    file: Path, declared: Sequence[DeclaredConnection], stored: Stored, *, prune: bool, now: datetime
) -> tuple[ConnectionChange, ...]:
    """Answer what becomes of every connection, those of the file first, in its order.

    Without `prune`, nothing that the file does not name stops working. DeclarationError for a change that
    cannot be made: another tenant, and a secret that is revoked, expired or another connection's.
    """
    return _Planner(file, declared, stored, prune, now).plan()


class _Planner:
    def __init__(
        self,
        file: Path,
        declared: Sequence[DeclaredConnection],
        stored: Stored,
        prune: bool,
        now: datetime,
    ) -> None:
        self._file = file
        self._declared = declared
        self._stored = stored
        self._prune = prune
        self._now = now
        self._names = {each.id: each.name for each in stored.connections}
        wanted = {each.name for each in declared}
        self._undeclared = [each for each in stored.connections if each.name not in wanted]
        self._clients = ClientPlanner(
            file,
            stored.clients,
            gone={each.id for each in self._undeclared} if prune else (),
            names=self._names,
            prune=prune,
            now=now,
        )

    def plan(self) -> tuple[ConnectionChange, ...]:
        by_name = {each.name: each for each in self._stored.connections}
        return (
            *(self._wanted(each, by_name.get(each.name)) for each in self._declared),
            *(
                ConnectionChange(
                    kind="removed" if self._prune else "undeclared",
                    name=each.name,
                    connection_id=each.id,
                    living=len(self._living(each.id)),
                )
                for each in self._undeclared
            ),
        )

    def _wanted(self, declared: DeclaredConnection, stored: Connection | None) -> ConnectionChange:
        if stored is not None and stored.tenant_id != declared.tenant_id:
            raise DeclarationError(
                self._file,
                f"{declared.key}.tenant_id",
                f"the connection is bound to tenant {stored.tenant_id}, for good: for {declared.tenant_id} "
                "declare another one, with a name of its own",
            )
        connection_id = "" if stored is None else stored.id
        tokens = tuple(self._tokens(declared.tokens, connection_id))
        clients = tuple(self._clients.clients(declared, connection_id))
        trusts = tuple(self._clients.trusts(declared, connection_id))
        fields = tuple(_fields(declared, stored))
        changes: tuple[TokenChange | ClientChange | TrustChange, ...] = (*tokens, *clients, *trusts)
        if stored is None:
            kind: Literal["added", "changed", "unchanged"] = "added"
        else:
            kind = "changed" if fields or any(c.kind not in _LEFT_ALONE for c in changes) else "unchanged"
        return ConnectionChange(
            kind=kind,
            name=declared.name,
            connection_id=connection_id,
            declared=declared,
            fields=fields,
            tokens=tokens,
            clients=clients,
            trusts=trusts,
        )

    def _tokens(self, declared: Sequence[DeclaredToken], connection_id: str) -> Iterator[TokenChange]:
        def holder(token: DeclaredToken) -> Token | None:
            return self._holder(token, connection_id)

        return secret_changes(declared, self._living(connection_id), holder, prune=self._prune)

    def _holder(self, declared: DeclaredToken, connection_id: str) -> Token | None:
        """The connection's token that has the declared secret."""
        found = self._stored.by_digest.get(declared.digest)
        if found is None:
            return None
        if not found.alive_at(self._now):
            # Somebody revoked it for a reason, which a file that still names it must not undo.
            how = "was revoked" if found.revoked_at else "has expired"
            raise DeclarationError(
                self._file,
                declared.key,
                f"its secret {how} ({found.id}) and is not taken again: make a new one",
            )
        if found.connection_id == connection_id:
            return found
        if self._prune and any(each.id == found.connection_id for each in self._undeclared):
            return None
        holder = self._names.get(found.connection_id, found.connection_id)
        raise DeclarationError(
            self._file, declared.key, f"its secret is that of a token of connection {holder} ({found.id})"
        )

    def _living(self, connection_id: str) -> list[Token]:
        return [
            token
            for token in self._stored.tokens
            if token.connection_id == connection_id and token.alive_at(self._now)
        ]


def _fields(declared: DeclaredConnection, stored: Connection | None) -> Iterator[FieldChange]:
    if stored is None:
        yield FieldChange(name="tenant_id", before=None, after=declared.tenant_id)
        before = _flat("default", "default", DialectSettings(), Policies())
    else:
        before = _flat(stored.mapping, stored.domain, stored.dialect, stored.policies)
    after = _flat(declared.mapping, declared.domain, declared.dialect, declared.policies)
    for name, value in after.items():
        if value != before[name]:
            yield FieldChange(name=name, before=before[name], after=value)


def _flat(mapping: str, domain: str, dialect: DialectSettings, policies: Policies) -> dict[str, Any]:
    return {
        "mapping": mapping,
        "domain": domain,
        **{f"dialect.{name}": value for name, value in msgspec.structs.asdict(dialect).items()},
        **{f"policies.{name}": value for name, value in msgspec.structs.asdict(policies).items()},
    }
