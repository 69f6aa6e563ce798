"""`scim-bridge connection …` and `scim-bridge token …`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from rich.table import Table

from app.cli.servers import DataOption
from app.cli.stored import connection_named, connection_names, out, settings_for, shown, with_store
from app.config import SettingsError
from app.scim.dialect import Dialect
from app.store.connections import Connection, DialectSettings, Policies
from app.store.deprovisionings import Stopped
from app.store.store import Store
from app.store.tokens import Token
from app.web.contexts import resolve

connection_app = typer.Typer(help="Connections: one SCIM client bound to one tenant.", no_args_is_help=True)
token_app = typer.Typer(help="Bearer tokens of a connection.", no_args_is_help=True)

ExpiresOption = Annotated[
    str | None, typer.Option("--expires", help="When it ends: 90d, 12h, or a date such as 2027-01-31.")
]

Deprovision: TypeAlias = Literal["delete", "disable", "refuse"]

_SPAN = re.compile(r"([0-9]{1,6})([dh])")


@connection_app.command("add")
def add_connection(
    name: Annotated[str, typer.Argument(help="A name of your choice, unique.")],
    tenant: Annotated[str, typer.Option(help="The platform's tenant id.")],
    mapping: Annotated[str, typer.Option(help="Name or path of the mapping.")] = "default",
    domain: Annotated[str, typer.Option(help="Provisioning domain of externalId.")] = "default",
    strict: Annotated[bool, typer.Option("--strict", help="The letter of the RFCs, no tolerances.")] = False,
    allow: Annotated[list[str] | None, typer.Option(help="A tolerance to add; repeatable.")] = None,
    refuse: Annotated[list[str] | None, typer.Option(help="A tolerance to take away; repeatable.")] = None,
    set_passwords: Annotated[
        bool, typer.Option("--set-passwords", help="Pass passwords on instead of dropping them.")
    ] = False,
    welcome_email: Annotated[
        bool, typer.Option("--welcome-email", help="Let the platform greet new users by mail.")
    ] = False,
    unlock: Annotated[bool, typer.Option("--unlock", help="active: true unlocks a locked user.")] = False,
    activate_pending_email: Annotated[
        bool, typer.Option("--activate-pending-email", help="active: true skips the address check.")
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="active: true approves a user who waits for approval.")
    ] = False,
    keep_sessions: Annotated[
        bool, typer.Option("--keep-sessions", help="Disabling a user leaves its sessions open.")
    ] = False,
    local_groups: Annotated[
        bool, typer.Option("--local-groups", help="Keep groups in the bridge's database.")
    ] = False,
    group_patch_answers: Annotated[
        bool, typer.Option("--group-patch-answers", help="PATCH on a group answers 200 with the resource.")
    ] = False,
    live_search: Annotated[
        bool,
        typer.Option("--live-search", help="Search only by the platform's own lists, without the index."),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Let the client ask how a search is answered.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--allow-dry-run", help="Let the client ask what a write would do.")
    ] = False,
    deprovision: Annotated[
        Deprovision, typer.Option(help="What DELETE of a user does; disable: hidden from SCIM, not gone.")
    ] = "delete",
    guard_limit: Annotated[
        int | None,
        typer.Option(min=0, help="Users that may be deactivated and deleted a day; 0: any number."),
    ] = None,
    requests_per_second: Annotated[
        float | None, typer.Option(min=0, help="Rate limit in place of the setting's; 0: none.")
    ] = None,
    request_burst: Annotated[int | None, typer.Option(min=1, help="Burst in place of the setting's.")] = None,
    audit_personal: Annotated[
        bool, typer.Option("--audit-personal", help="Keep personal data in the audit trail.")
    ] = False,
    data_dir: DataOption = None,
) -> None:
    """Add a connection; make a token for it next."""
    settings = settings_for(data_dir)
    dialect = DialectSettings(
        mode="strict" if strict else "lenient", on=tuple(allow or ()), off=tuple(refuse or ())
    )
    try:
        Dialect.of(dialect.mode, off=dialect.off, on=dialect.on)
    except ValueError as exc:
        raise SettingsError(str(exc)) from exc
    policies = Policies(
        password="set" if set_passwords else "ignore",
        send_welcome_email=welcome_email,
        activate_locked=unlock,
        activate_pending_email=activate_pending_email,
        activate_pending_approval=approve,
        terminate_sessions=not keep_sessions,
        groups="local" if local_groups else "platform",
        group_patch="resource" if group_patch_answers else "no-content",
        search="live" if live_search else "indexed",
        explain=explain,
        dry_run=dry_run,
        requests_per_second=requests_per_second,
        request_burst=request_burst,
        deprovision=deprovision,
        guard_limit=guard_limit,
        audit_values="personal" if audit_personal else "none",
    )
    path = str(Path(mapping).resolve()) if mapping.endswith(".toml") else mapping

    async def add(store: Store) -> Connection:
        connection = Connection(
            id="",
            name=name,
            tenant_id=tenant,
            mapping=path,
            domain=domain,
            dialect=dialect,
            policies=policies,
            created_at=datetime.now(UTC),
        )
        resolve(connection, "", Path(settings.mappings_dir) if settings.mappings_dir else None)
        return await store.connections.add(
            name=name, tenant_id=tenant, mapping=path, domain=domain, dialect=dialect, policies=policies
        )

    connection = with_store(settings, add)
    out().print(f"added {connection.name} ({connection.id}); now: scim-bridge token create {connection.name}")


@connection_app.command("list")
def list_connections(data_dir: DataOption = None) -> None:
    """List the connections."""

    async def read(store: Store) -> tuple[Sequence[Connection], Mapping[str, Stopped]]:
        return await store.connections.list(), await store.deprovisionings.stopped()

    found, stopped = with_store(settings_for(data_dir), read)
    table = Table("name", "id", "tenant", "mapping", "domain", "dialect", "made", "stopped by its guard")
    for c in found:
        dialect = " ".join(
            [c.dialect.mode, *(f"+{t}" for t in c.dialect.on), *(f"-{t}" for t in c.dialect.off)]
        )
        stop = shown(stopped[c.id].at) if c.id in stopped else ""
        table.add_row(c.name, c.id, c.tenant_id, c.mapping, c.domain, dialect, shown(c.created_at), stop)
    out().print(table)


@connection_app.command("remove")
def remove_connection(
    connection: Annotated[str, typer.Argument(help="Name or id.")], data_dir: DataOption = None
) -> None:
    """Remove a connection with its tokens and clients; users stay as they are."""

    async def remove(store: Store) -> str:
        return await store.connections.remove(connection)

    out().print(f"removed {with_store(settings_for(data_dir), remove)}; its tokens no longer work")


@connection_app.command("release")
def release_connection(
    connection: Annotated[str, typer.Argument(help="Name or id.")], data_dir: DataOption = None
) -> None:
    """Let a connection go on that its guard has stopped; the count starts anew."""

    async def release(store: Store) -> int:
        return await store.deprovisionings.release(connection)

    counted = with_store(settings_for(data_dir), release)
    out().print(f"released {connection}; {counted} users were counted, and now none is")


@token_app.command("create")
def create_token(
    connection: Annotated[str, typer.Argument(help="Name or id of the connection.")],
    label: Annotated[str, typer.Option(help="What the token is for.")] = "",
    expires: ExpiresOption = None,
    user: Annotated[
        str | None, typer.Option(help="Bind it to the user with this id: it is good for /Me alone.")
    ] = None,
    data_dir: DataOption = None,
) -> None:
    """Make a bearer token; it is shown once. Others of the connection go on working."""
    expires_at = None if expires is None else read_expiry(expires, datetime.now(UTC))

    async def create(store: Store) -> tuple[Token, str]:
        found = await connection_named(store, connection)
        return await store.tokens.create(found.id, label, expires_at, user_id=user)

    token, secret = with_store(settings_for(data_dir), create)
    until = "" if token.expires_at is None else f", until {shown(token.expires_at)}"
    out(stderr=True).print(f"token {token.id}{until}; it is shown only now:")
    typer.echo(secret)


@token_app.command("list")
def list_tokens(
    connection: Annotated[str | None, typer.Argument(help="Name or id; all when left out.")] = None,
    data_dir: DataOption = None,
) -> None:
    """List tokens, without their secrets."""

    async def read(store: Store) -> list[tuple[str, Token]]:
        names, wanted = await connection_names(store, connection)
        return [(names.get(t.connection_id, "?"), t) for t in await store.tokens.list(wanted)]

    now = datetime.now(UTC)
    table = Table("id", "connection", "label", "state", "made", "expires", "last used", "user")
    for name, t in with_store(settings_for(data_dir), read):
        state = "valid" if t.alive_at(now) else "revoked" if t.revoked_at else "expired"
        dates = [shown(d) for d in (t.created_at, t.expires_at, t.last_used_at)]
        table.add_row(t.id, name, t.label, state, *dates, t.user_id or "")
    out().print(table)


@token_app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="The token's id, tok_…")], data_dir: DataOption = None
) -> None:
    """Revoke a token; servers that run notice within seconds."""

    async def revoke(store: Store) -> Token:
        return await store.tokens.revoke(token)

    out().print(f"revoked {with_store(settings_for(data_dir), revoke).id}")


def read_expiry(text: str, now: datetime) -> datetime:
    """`90d`, `12h` or an ISO date or time, in UTC where it names no zone; must be in the future."""
    if span := _SPAN.fullmatch(text):
        amount = int(span[1])
        try:
            moment = now + (timedelta(days=amount) if span[2] == "d" else timedelta(hours=amount))
        except OverflowError as exc:
            raise SettingsError(f"--expires {text}: that is too far away") from exc
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as exc:
            raise SettingsError(f"--expires {text}: 90d, 12h or a date such as 2027-01-31") from exc
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise SettingsError(f"--expires {text}: that is in the past")
    return moment
