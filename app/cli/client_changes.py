"""What becomes of the OAuth clients and the federation trusts of a connection; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from app.cli.declared import (
    DeclarationError,
    DeclaredClient,
    DeclaredConnection,
    DeclaredToken,
    DeclaredTrust,
)
from app.cli.secret_changes import TokenChange, secret_changes
from app.store.clients import MAX_SECRETS, Client, ClientSecret
from app.store.federation import Trust


class ClientChange(msgspec.Struct, frozen=True, kw_only=True):
    """A client that differs from what is declared."""

    kind: Literal["added", "changed", "unchanged", "removed", "undeclared"]
    """`undeclared`: left alone without prune; `unchanged`: only secrets of it are."""
    client_id: str
    label: str = ""
    relabelled: bool = False
    secrets: tuple[TokenChange, ...] = ()


class TrustChange(msgspec.Struct, frozen=True, kw_only=True):
    """A trust that differs from what is declared."""

    kind: Literal["added", "changed", "removed", "undeclared"]
    """`changed`: its keys are elsewhere; it is made anew."""
    issuer: str
    subject: str
    declared: DeclaredTrust | None = None
    trust_id: str = ""
    """Of the trust that is stored; empty for an added one."""


class StoredClients(msgspec.Struct, frozen=True, kw_only=True):
    """What the database holds of all connections."""

    clients: Sequence[Client] = ()
    secrets: Sequence[ClientSecret] = ()
    """With those no longer alive."""
    by_digest: Mapping[bytes, ClientSecret] = {}
    """The secrets that are declared."""
    trusts: Sequence[Trust] = ()


class ClientPlanner:
    """Plans for one connection after the other."""

    def __init__(
        self,
        file: Path,
        stored: StoredClients,
        *,
        gone: Collection[str],
        names: Mapping[str, str],
        prune: bool,
        now: datetime,
    ) -> None:
        """`gone` are the ids of connections that will have been removed, `names` those of all by id."""
        self._file = file
        self._stored = stored
        self._gone = gone
        self._names = names
        self._prune = prune
        self._now = now

    def clients(self, declared: DeclaredConnection, connection_id: str) -> Iterator[ClientChange]:
        """What becomes of a connection's clients. DeclarationError for a change that cannot be made."""
        stored = {each.id: each for each in self._stored.clients if each.connection_id not in self._gone}
        for each in declared.clients:
            found = stored.get(each.id)
            if found is not None and found.connection_id != connection_id:
                raise self._taken(f"{each.key}.id", "it is a client", found.connection_id)
            change = self._client(each, found)
            if change is not None:
                yield change
        wanted = {each.id for each in declared.clients}
        for client in stored.values():
            if client.connection_id == connection_id and client.id not in wanted:
                kind: Literal["removed", "undeclared"] = "removed" if self._prune else "undeclared"
                yield ClientChange(kind=kind, client_id=client.id, label=client.label)

    def trusts(self, declared: DeclaredConnection, connection_id: str) -> Iterator[TrustChange]:
        """What becomes of a connection's trusts. DeclarationError for a change that cannot be made."""
        stored = {
            (each.issuer, each.subject, each.audience): each
            for each in self._stored.trusts
            if each.connection_id not in self._gone
        }
        for each in declared.trusts:
            found = stored.get(each.name)
            if found is None:
                yield _trust("added", each)
            elif found.connection_id != connection_id:
                raise self._taken(each.key, "it is a trust", found.connection_id)
            elif found.jwks_url != each.jwks_url:
                yield _trust("changed", each, found.id)
        wanted = {each.name for each in declared.trusts}
        for name, trust in stored.items():
            if trust.connection_id == connection_id and name not in wanted:
                kind: Literal["removed", "undeclared"] = "removed" if self._prune else "undeclared"
                yield TrustChange(kind=kind, issuer=trust.issuer, subject=trust.subject, trust_id=trust.id)

    def _client(self, declared: DeclaredClient, stored: Client | None) -> ClientChange | None:
        living = [
            each
            for each in self._stored.secrets
            if stored is not None and each.client_id == stored.id and each.alive_at(self._now)
        ]

        def holder(secret: DeclaredToken) -> ClientSecret | None:
            return self._holder(secret, stored)

        changes = tuple(secret_changes(declared.secrets, living, holder, prune=self._prune))
        left = [each.label for each in changes if each.kind == "undeclared"]
        if len(declared.secrets) + len(left) > MAX_SECRETS:
            raise DeclarationError(
                self._file,
                f"{declared.key}.secrets",
                f"the client has a live secret that is not declared ({', '.join(map(repr, left))}), and "
                f"there can be {MAX_SECRETS} in all: declare it, remove it, or use --prune",
            )
        relabelled = stored is not None and stored.label != declared.label
        if stored is not None and not relabelled and not changes:
            return None
        kind: Literal["added", "changed", "unchanged"] = "added" if stored is None else "changed"
        if stored is not None and not relabelled and all(c.kind == "undeclared" for c in changes):
            kind = "unchanged"
        return ClientChange(
            kind=kind,
            client_id=declared.id,
            label=declared.label,
            relabelled=relabelled,
            secrets=changes,
        )

    def _holder(self, declared: DeclaredToken, client: Client | None) -> ClientSecret | None:
        """The client's secret that is the declared one."""
        found = self._stored.by_digest.get(declared.digest)
        holders = {each.id: each.connection_id for each in self._stored.clients}
        if found is None or holders.get(found.client_id) in self._gone:
            return None
        if not found.alive_at(self._now):
            how = "was removed" if found.revoked_at else "has expired"
            raise DeclarationError(
                self._file, declared.key, f"it {how} ({found.id}) and is not taken again: make a new one"
            )
        if client is None or found.client_id != client.id:
            raise DeclarationError(
                self._file, declared.key, f"it is that of client {found.client_id} ({found.id})"
            )
        return found

    def _taken(self, key: str, what: str, connection_id: str) -> DeclarationError:
        holder = self._names.get(connection_id, connection_id)
        return DeclarationError(self._file, key, f"{what} of connection {holder} already")


def _trust(kind: Literal["added", "changed"], declared: DeclaredTrust, trust_id: str = "") -> TrustChange:
    return TrustChange(
        kind=kind, issuer=declared.issuer, subject=declared.subject, declared=declared, trust_id=trust_id
    )
