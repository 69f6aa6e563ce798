"""`scim-bridge connection apply` and `scim-bridge token generate`: connections kept in a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from app.cli.changes import ConnectionChange, FieldChange, Stored, plan
from app.cli.client_apply import client_lines, trust_line, write_client, write_trust
from app.cli.client_changes import StoredClients
from app.cli.declared import DeclarationError, DeclaredConnection, read_declared
from app.cli.secret_changes import TokenChange
from app.cli.servers import DataOption
from app.config import Settings, load_settings
from app.mapping.errors import MappingError
from app.store.connections import CHANGES, Connection
from app.store.session import Transaction
from app.store.store import Store
from app.store.tokens import new_secret
from app.web.contexts import resolve

_WORDS = {
    "added": "+ {name}: added",
    "changed": "~ {name}: changed",
    "unchanged": "= {name}: unchanged",
    "removed": "- {name}: removed, with {tokens}",
    "undeclared": "! {name}: not declared, goes on working with {tokens}; --prune would remove it",
}
_TOKEN_WORDS = {
    "added": "+ token {label}",
    "relabelled": "~ token {former} is now {label}",
    "replaced": "- token {label} with the former secret is revoked ({id})",
    "revoked": "- token {label} is revoked ({id})",
    "undeclared": "! token {label} is not declared, goes on working ({id}); --prune would revoke it",
}


def apply_command(
    file: Annotated[Path, typer.Argument(help="The .toml (or .json) file of connections.")],
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove what is not declared: connections, tokens, clients, trusts."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    data_dir: DataOption = None,
) -> None:
    """Make connections, tokens, clients and trusts what a file declares, in one transaction; show it."""
    settings = load_settings(os.environ, data_dir=None if data_dir is None else str(data_dir))
    declared = read_declared(file, os.environ)
    mappings = Path(settings.mappings_dir) if settings.mappings_dir else None
    for each in declared:
        _check_usable(file, each, mappings)
    changes = asyncio.run(apply(settings, file, declared, prune=prune, dry_run=dry_run))
    out = Console(highlight=False, soft_wrap=True, markup=False)
    for line in shown(changes, dry_run=dry_run):
        out.print(line)


def generate_command() -> None:
    """Print a new secret for a file of connections to refer to; nothing is stored."""
    typer.echo(new_secret())


async def apply(
    settings: Settings, file: Path, declared: Sequence[DeclaredConnection], *, prune: bool, dry_run: bool
) -> tuple[ConnectionChange, ...]:
    """Compare and write in one transaction; answer what was, or on a dry run would be, changed."""
    store = await Store.open(settings.bridge_database_url)
    try:
        async with store.db.write() as db:
            # Two of these at once, from two replicas' start, shall not both find a connection missing.
            await store.db.take_turn(db, CHANGES)
            digests = [token.digest for each in declared for token in each.tokens]
            stored = Stored(
                connections=await store.connections.list(within=db),
                tokens=await store.tokens.list(within=db),
                by_digest=await store.tokens.by_digest(digests, within=db),
                clients=await _stored_clients(store, declared, db),
            )
            changes = plan(file, declared, stored, prune=prune, now=datetime.now(UTC))
            if not dry_run:
                await _write(store, changes, db)
        return changes
    finally:
        await store.close()


async def _stored_clients(
    store: Store, declared: Sequence[DeclaredConnection], db: Transaction
) -> StoredClients:
    secrets = [secret for each in declared for client in each.clients for secret in client.secrets]
    return StoredClients(
        clients=await store.clients.list(within=db),
        secrets=await store.clients.secrets(within=db),
        by_digest=await store.clients.secrets_by_digest([secret.digest for secret in secrets], within=db),
        trusts=await store.federations.list(within=db),
    )


async def _write(store: Store, changes: Sequence[ConnectionChange], db: Transaction) -> None:
    # Removals first: an added connection may take a removed one's secrets over.
    for change in changes:
        if change.kind == "removed":
            await store.connections.remove(change.connection_id, within=db)
    for change in changes:
        if change.declared is None:
            continue
        connection_id = await _write_connection(store, change, change.declared, db)
        for token in change.tokens:
            await _write_token(store, connection_id, token, db)
        for client in change.clients:
            await write_client(store, connection_id, client, db)
        for trust in change.trusts:
            await write_trust(store, connection_id, trust, db)


async def _write_connection(
    store: Store, change: ConnectionChange, declared: DeclaredConnection, db: Transaction
) -> str:
    if change.kind == "added":
        added = await store.connections.add(
            name=declared.name,
            tenant_id=declared.tenant_id,
            mapping=declared.mapping,
            domain=declared.domain,
            dialect=declared.dialect,
            policies=declared.policies,
            within=db,
        )
        return added.id
    if change.fields:
        await store.connections.update(
            change.connection_id,
            mapping=declared.mapping,
            domain=declared.domain,
            dialect=declared.dialect,
            policies=declared.policies,
            within=db,
        )
    return change.connection_id


async def _write_token(store: Store, connection_id: str, change: TokenChange, db: Transaction) -> None:
    if change.kind == "added":
        await store.tokens.register(connection_id, change.label, change.digest, within=db)
    elif change.kind == "relabelled":
        await store.tokens.relabel(change.token_id, change.label, within=db)
    elif change.kind in ("replaced", "revoked"):
        await store.tokens.revoke(change.token_id, within=db)


def _check_usable(file: Path, declared: DeclaredConnection, mappings: Path | None) -> None:
    """Refuse a mapping or a tolerance with which no server could start."""
    connection = Connection(
        id="",
        name=declared.name,
        tenant_id=declared.tenant_id,
        mapping=declared.mapping,
        domain=declared.domain,
        dialect=declared.dialect,
        policies=declared.policies,
        created_at=datetime.now(UTC),
    )
    try:
        resolve(connection, "", mappings)
    except MappingError as exc:
        raise DeclarationError(file, f"{declared.key}.mapping", str(exc)) from exc
    except ValueError as exc:
        raise DeclarationError(file, f"{declared.key}.dialect", str(exc)) from exc


def shown(changes: Sequence[ConnectionChange], *, dry_run: bool) -> Iterator[str]:
    """The changes as lines: `+` added, `~` changed, `=` unchanged, `-` ended, `!` left alone."""
    for change in changes:
        tokens = f"{change.living} live token{'' if change.living == 1 else 's'}"
        yield _WORDS[change.kind].format(name=change.name, tokens=tokens)
        for field in change.fields:
            yield f"    {_shown_field(field, new=change.kind == 'added')}"
        for token in change.tokens:
            words = _TOKEN_WORDS[token.kind]
            yield "    " + words.format(label=token.label, former=token.former, id=token.token_id)
        for client in change.clients:
            yield from (f"    {line}" for line in client_lines(client))
        for trust in change.trusts:
            yield f"    {trust_line(trust)}"
    counted = [
        f"{number} {kind.replace('undeclared', 'not declared')}"
        for kind in _WORDS
        if (number := sum(change.kind == kind for change in changes))
    ]
    yield f"connections: {', '.join(counted)}"
    if all(change.kind in ("unchanged", "undeclared") for change in changes):
        yield "nothing to change"
    elif dry_run:
        yield "nothing was written: --dry-run"


def _shown_field(field: FieldChange, *, new: bool) -> str:
    before, after = (msgspec.json.encode(value).decode() for value in (field.before, field.after))
    return f"{field.name} = {after}" if new else f"{field.name}: {before} -> {after}"
