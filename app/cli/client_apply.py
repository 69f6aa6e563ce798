"""Writes and shows what `connection apply` changes of clients and trusts."""

from __future__ import annotations

from collections.abc import Iterator

from app.cli.client_changes import ClientChange, TrustChange
from app.store.session import Transaction
from app.store.store import Store

_CLIENT_WORDS = {
    "added": "+ client {id}",
    "changed": "~ client {id}",
    "unchanged": "= client {id}",
    "removed": "- client {id} is removed, with its secrets",
    "undeclared": "! client {id} is not declared, goes on working; --prune would remove it",
}
_SECRET_WORDS = {
    "added": "+ secret {label}",
    "relabelled": "~ secret {former} is now {label}",
    "replaced": "- secret {label} as it was is removed ({id})",
    "revoked": "- secret {label} is removed ({id})",
    "undeclared": "! secret {label} is not declared, goes on working ({id}); --prune would remove it",
}
_TRUST_WORDS = {
    "added": "+ trust in {issuer} for {subject}",
    "changed": "~ trust in {issuer} for {subject} takes its keys from elsewhere",
    "removed": "- trust in {issuer} for {subject} is removed ({id})",
    "undeclared": "! trust in {issuer} for {subject} is not declared, goes on working ({id}); "
    "--prune would remove it",
}


async def write_client(store: Store, connection_id: str, change: ClientChange, db: Transaction) -> None:
    """Carry out the change of a client; removals of secrets first, for there can be two."""
    clients, client_id = store.clients, change.client_id
    if change.kind == "removed":
        await clients.remove(client_id, within=db)
    elif change.kind == "added":
        await clients.add(connection_id, change.label, client_id=client_id, within=db)
    elif change.relabelled:
        await clients.relabel(client_id, change.label, within=db)
    for secret in change.secrets:
        if secret.kind in ("replaced", "revoked"):
            await clients.revoke_secret(secret.token_id, within=db)
        elif secret.kind == "relabelled":
            await clients.relabel_secret(secret.token_id, secret.label, within=db)
    for secret in change.secrets:
        if secret.kind == "added":
            await clients.register_secret(client_id, secret.label, secret.digest, within=db)


async def write_trust(store: Store, connection_id: str, change: TrustChange, db: Transaction) -> None:
    """Carry out the change of a trust."""
    if change.kind in ("removed", "changed"):
        await store.federations.remove(change.trust_id, within=db)
    if change.declared is not None:
        declared = change.declared
        await store.federations.add(
            connection_id,
            issuer=declared.issuer,
            subject=declared.subject,
            audience=declared.audience,
            jwks_url=declared.jwks_url,
            within=db,
        )


def client_lines(change: ClientChange) -> Iterator[str]:
    """The change of a client as lines."""
    yield _CLIENT_WORDS[change.kind].format(id=change.client_id)
    if change.relabelled:
        yield f"    ~ it is now {change.label}"
    for secret in change.secrets:
        words = _SECRET_WORDS[secret.kind]
        yield "    " + words.format(label=secret.label, former=secret.former, id=secret.token_id)


def trust_line(change: TrustChange) -> str:
    """The change of a trust as a line."""
    words = _TRUST_WORDS[change.kind]
    return words.format(issuer=change.issuer, subject=change.subject, id=change.trust_id)
