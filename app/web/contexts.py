"""Connections made ready for use, and the base URL under which a client reaches the bridge."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

import structlog
from litestar.types import Scope

from app.bridge.context import Context
from app.bridge.rules import GroupRules, UserRules
from app.config import Settings
from app.mapping.errors import MappingError
from app.mapping.load import load_mapping
from app.scim.dialect import Dialect
from app.store.connections import Connection, Policies
from app.store.deprovisionings import GUARD_LIMIT, GUARDED_SIZE, GuardLimits
from app.web.headers import header
from app.web.paths import BASE_PATH

_log = structlog.get_logger(__name__)

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_KEPT = 1000


class Contexts:
    """Resolves connections; a connection that has not changed is resolved once for each base URL."""

    def __init__(self, settings: Settings) -> None:
        self._public = settings.scim_url
        self._proxies = settings.networks()
        self.mappings_dir = Path(settings.mappings_dir) if settings.mappings_dir else None
        self._base_urls: dict[tuple[str, bytes], str] = {}
        self._ready: dict[tuple[str, str], tuple[Connection, Context]] = {}
        self._troubles: dict[str, str] = {}

    def of(self, connection: Connection, base_url: str) -> Context:
        """The context of a connection; raises `MappingError` where its mapping cannot be used."""
        key = (connection.id, base_url)
        ready = self._ready.get(key)
        if ready is not None and (ready[0] is connection or ready[0] == connection):
            return ready[1]
        context = resolve(connection, base_url, self.mappings_dir)
        if len(self._ready) >= _KEPT:
            self._ready.clear()
        self._ready[key] = (connection, context)
        return context

    def usable(self, connections: Iterable[Connection]) -> list[Context]:
        """The contexts of those whose mapping and tolerances can be used; what ails others is logged once."""
        found = []
        for connection in connections:
            try:
                found.append(self.of(connection, ""))
                self._troubles.pop(connection.id, None)
            except (MappingError, ValueError) as error:
                # Asked for again every few seconds.
                if self._troubles.get(connection.id) != str(error):
                    self._troubles[connection.id] = str(error)
                    _log.error("connection cannot be used", connection=connection.name, error=str(error))
        return found

    def base_url(self, scope: Scope) -> str:
        """The SCIM base URL: as configured, else as the client addressed it.

        X-Forwarded-Proto and X-Forwarded-Host count only from configured proxies. A Host header that is no
        host name is not repeated.
        """
        if self._public is not None:
            return self._public
        scheme = scope["scheme"]
        host = header(scope, b"host")
        if self._proxies and self._is_trusted(scope.get("client")):
            forwarded = header(scope, b"x-forwarded-proto").split(b",")[0].strip()
            scheme = forwarded.decode() if forwarded in (b"http", b"https") else scheme
            host = header(scope, b"x-forwarded-host").split(b",")[0].strip() or host
        known = self._base_urls.get((scheme, host))
        if known is not None:
            return known
        name = host.decode("latin-1")
        if _HOST.fullmatch(name) is None:
            server = scope.get("server") or ("localhost", None)
            name = server[0] if server[1] is None else f"{server[0]}:{server[1]}"
        base_url = f"{scheme}://{name}{BASE_PATH}"
        if len(self._base_urls) < _KEPT:
            self._base_urls[scheme, host] = base_url
        return base_url

    def is_https(self, scope: Scope) -> bool:
        """Whether the client came by https: to this process, or to a configured proxy that says so."""
        if scope["scheme"] == "https":
            return True
        forwarded = header(scope, b"x-forwarded-proto").split(b",")[0].strip()
        return forwarded == b"https" and self._is_trusted(scope.get("client"))

    def _is_trusted(self, client: tuple[str, int] | None) -> bool:
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def resolve(connection: Connection, base_url: str, mappings: Path | None) -> Context:
    """A connection with its mapping loaded and its tolerances named."""
    policies = connection.policies
    lifts = {
        "LOCKED": policies.activate_locked,
        "PENDING_EMAIL_VERIFICATION": policies.activate_pending_email,
        "PENDING_APPROVAL": policies.activate_pending_approval,
    }
    return Context(
        connection_id=connection.id,
        connection=connection.name,
        tenant_id=connection.tenant_id,
        domain=connection.domain,
        mapping=load_mapping(connection.mapping, mappings),
        dialect=Dialect.of(connection.dialect.mode, off=connection.dialect.off, on=connection.dialect.on),
        base_url=base_url,
        sets_passwords=policies.password == "set",  # noqa: S105 - a policy's name
        send_welcome_email=policies.send_welcome_email,
        lift=frozenset(status for status, lifted in lifts.items() if lifted),
        terminate_sessions=policies.terminate_sessions,
        groups=policies.groups,
        indexed=policies.search == "indexed",
        explains=policies.explain,
        dry_runs=policies.dry_run,
        group_patch_answers=policies.group_patch == "resource",
        audits_personal=policies.audit_values == "personal",
        deprovision=policies.deprovision,
        guard=_guard(policies),
        protected_users=UserRules.of(policies.protected_users),
        protected_groups=GroupRules.of(policies.protected_groups),
        group_scope=GroupRules.of(policies.group_scope) if policies.group_scope else None,
    )


def _guard(policies: Policies) -> GuardLimits | None:
    """Unless a limit is set, tenants that are small, or only tried out, are let alone."""
    if policies.guard_limit == 0:
        return None
    return GuardLimits(
        number=GUARD_LIMIT if policies.guard_limit is None else policies.guard_limit,
        share=policies.guard_share,
        window_s=policies.guard_window_s,
        least_size=GUARDED_SIZE if policies.guard_limit is None else 0,
    )
