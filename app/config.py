"""Settings, read from the environment: `SCIM_BRIDGE_` and the field's name in capitals.

A value can also come from a file: `SCIM_BRIDGE_PLATFORM_CLIENT_SECRET_FILE=/run/secrets/client`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

PREFIX = "SCIM_BRIDGE_"

_ADMIN_PORT = 9090
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")

Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
NotNegativeFloat = Annotated[float, msgspec.Meta(ge=0)]


class SettingsError(Exception):
    """A setting that cannot be used; the text names the variable."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings; every one has a default, and with none set the embedded platform is used."""

    host: str = "127.0.0.1"
    """Address to listen at."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    """Port to listen at; 0 takes a free one."""
    admin_host: str = "127.0.0.1"
    """Address of the listener for operators, which has the console at `/console`, and `/metrics`."""
    admin_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    """Port of that listener; empty: 9090, or a free one where `port` is 0. 0: no such listener."""
    admin_hosts: str = ""
    """Names, by commas, by which browsers reach the console; addresses and localhost they may always use."""
    admin_idle_s: PositiveFloat = 1800.0
    """Seconds after which a session of the console ends in which nothing was done."""
    admin_session_s: PositiveFloat = 28_800.0
    """Seconds after which a session of the console ends whatever was done."""
    admin_failures_per_minute: NotNegativeFloat = 10.0
    """Refused sign-ins a minute from one client address; beyond: 429. 0: no limit."""
    data_dir: str = "data"
    """Directory of the SQLite files and of quickstart.json."""
    database_url: str = ""
    """The bridge's database (`postgresql+asyncpg://…`); empty: SQLite, bridge.db in the data directory."""
    mappings_dir: str = ""
    """Directory of one's own mapping files, looked through before the shipped ones."""
    public_url: str = ""
    """The SCIM base URL that clients use (`https://scim.example.com/scim/v2`), root of every `location`."""
    trusted_proxies: str = ""
    """Addresses or networks, by commas, whose X-Forwarded-For, -Proto and -Host are believed."""
    platform_url: str = ""
    """Base URL of the identity platform; empty: the embedded platform in this process."""
    platform_client_id: str = ""
    """Client id at the platform's token endpoint."""
    platform_client_secret: str = ""
    """Client secret at the platform's token endpoint."""
    platform_scope: str = "admin:read admin:write"
    """Scopes that are asked for at the platform's token endpoint."""
    platform_token_path: str = "/api/v1/platform/oauth/token"  # noqa: S105 - a path, not a secret
    """Path of the platform's token endpoint, below platform_url."""
    platform_groups_path: str = "/api/v1/tenants/{tenant_id}/groups"
    """Path of a tenant's groups at the platform, for connections that keep groups there."""
    platform_connect_timeout_s: PositiveFloat = 5.0
    """Seconds that opening a connection to the platform may take."""
    platform_read_timeout_s: PositiveFloat = 15.0
    """Seconds of silence that end an attempt; with the connect time-out, the limit for all of an attempt."""
    platform_timeout_s: PositiveFloat = 30.0
    """Seconds that one platform call may take in all, with every wait and every repetition."""
    platform_max_answer_bytes: Positive = 4_194_304
    """Bytes of an answer of the platform at most; larger ones cannot be read (502)."""
    platform_breaker_failures: Positive = 20
    """Failures in a row (5xx, time-outs, lost connections) that stop the calls for a while; then 503."""
    platform_breaker_reset_s: PositiveFloat = 10.0
    """Seconds for which they are stopped; then one call at a time tries whether the platform is back."""
    platform_concurrency: Positive = 64
    """Platform calls under way at a time."""
    platform_user_include: str = ""
    """`include` parameter of user reads, for a platform that fills `groups` only when asked (`groups`)."""
    platform_webhook_secret: str = ""
    """Secret of the platform's webhooks; while it changes, new and old by a comma. Empty: no endpoint."""
    webhook_tolerance_s: Positive = 300
    """Seconds by which the time of a webhook may differ from the bridge's own."""
    scan_limit: Positive = 2000
    """Users that one query may read one by one when nothing narrows it; beyond: `tooMany`."""
    group_list_limit: Positive = 20000
    """Groups that one query may look through when nothing narrows it; beyond: `tooMany`."""
    link_wait_s: PositiveFloat = 20.0
    """Seconds that a lookup waits for a tenant's users to be read for the first time; then 503."""
    index_sweep_s: Annotated[float, msgspec.Meta(ge=0)] = 900.0
    """Seconds between two sweeps over a tenant's users, which keep the index true; 0: only when needed."""
    index_refresh_s: PositiveFloat = 86_400.0
    """Seconds between two sweeps that read every user in full, not only those whose row has changed."""
    index_rate: PositiveFloat = 100.0
    """Platform calls a second that sweeps make at most."""
    journal_settle_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Seconds until a call is over for sure, though its bridge has died; empty: platform_timeout_s."""
    journal_tick_s: PositiveFloat = 2.0
    """Seconds between two looks for unfinished writes that can be finished or undone."""
    journal_attempts: Positive = 10
    """Refusals after which an unfinished write is left to the operator (`scim-bridge journal`)."""
    journal_keep_s: PositiveFloat = 86_400.0
    """Seconds for which a creation that its client does not know of is still completed by a repeated POST."""
    correlation_header: str = "X-Correlation-ID"
    """Header by which a request's correlation id comes, is made where it does not, and goes back."""
    platform_correlation_header: str = "X-Correlation-ID"
    """Header by which it goes on to the platform with every call; empty: it does not."""
    audit_reads: Literal["all", "failures", "none"] = "all"
    """Which reads the audit trail holds; writes are always held, and all are counted."""
    audit_keep_s: PositiveFloat = 7_776_000.0
    """Seconds for which the audit trail is kept (90 days)."""
    audit_max_rows: Annotated[int, msgspec.Meta(ge=0)] = 1_000_000
    """Records that the audit trail keeps at most, the latest; 0: no limit."""
    audit_queue: Positive = 10_000
    """Reads that may wait to be recorded; beyond, they are not, and readiness says so."""
    page_size: Positive = 100
    """Resources in an answer when the client names no `count`."""
    max_page_size: Positive = 200
    """Resources in an answer at most; a larger `count` is capped."""
    cursor_timeout_s: Positive = 3600
    """Seconds for which a `nextCursor` stays good."""
    max_body_bytes: Positive = 1_048_576
    """Bytes of a request body at most, but for bulk; larger ones answer 413."""
    max_values: Positive = 100_000
    """Values in a request body at most, at all levels together; more answer 413."""
    max_operations: Positive = 1000
    """Operations of one PATCH at most; more answer 413."""
    bulk_max_operations: Positive = 1000
    """Operations of one bulk request at most; more answer 413."""
    bulk_max_payload_bytes: Positive = 1_048_576
    """Bytes of a bulk request at most, in the place of max_body_bytes; larger ones answer 413."""
    bulk_concurrency: Positive = 8
    """Operations of one bulk request that are carried out side by side."""
    max_url_bytes: Positive = 16_384
    """Bytes of a request target, path and query, at most; longer ones answer 414."""
    max_header_bytes: Positive = 32_768
    """Bytes of the request line and all header fields at most; more answer 431."""
    max_headers: Positive = 100
    """Header fields of a request at most; more answer 431."""
    requests_per_second: NotNegativeFloat = 100.0
    """Requests a second that one connection may keep up at this process; beyond: 429. 0: no limit."""
    request_burst: Positive = 200
    """Requests that a connection may send at once before that limit holds."""
    auth_failures_per_minute: NotNegativeFloat = 60.0
    """Refused tokens a minute from one client address; beyond: 429, but for tokens in use. 0: no limit."""
    max_requests_in_progress: Positive = 256
    """Requests handled at a time; as many more wait up to two seconds, then 503."""
    request_timeout_s: PositiveFloat = 30.0
    """Seconds in which a request's header, and then its body, has to arrive; then 408."""
    handling_timeout_s: PositiveFloat = 55.0
    """Seconds until a request is answered 503 (Okta waits for 60); a write goes on and is finished."""
    keep_alive_s: Positive = 75
    """Seconds that an idle connection is kept; longer than the proxy in front keeps it."""
    shutdown_delay_s: NotNegativeFloat = 0.0
    """Seconds from SIGTERM, when readiness turns 503, until no new connections are taken."""
    shutdown_timeout_s: Positive = 30
    """Seconds that requests under way then have to finish."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`json` for machines, `console` for people; `auto` takes console on a terminal."""
    log_requests: bool = False
    """Whether every request is worth a line of the log, at level `info`; the audit trail has them anyway."""
    otel_traces: bool = False
    """Whether requests are traced, for which `OTEL_*` variables say more; needs `scim-bridge[otel]`."""

    @property
    def embedded(self) -> bool:
        """Whether the embedded platform is used."""
        return not self.platform_url

    @property
    def admin_listens_at(self) -> int | None:
        """The port for operators with its default filled in; 0: a free one, None: no listener."""
        if self.admin_port is None:
            return _ADMIN_PORT if self.port else 0
        return self.admin_port or None

    @property
    def settle_s(self) -> float:
        """`journal_settle_s` with its default filled in."""
        return self.platform_timeout_s if self.journal_settle_s is None else self.journal_settle_s

    @property
    def bridge_database_url(self) -> str:
        """The URL of the bridge's database, with the default filled in."""
        return self.database_url or f"sqlite+aiosqlite:///{Path(self.data_dir) / 'bridge.db'}"

    @property
    def scim_url(self) -> str | None:
        """`public_url` without trailing slash, None where it is not set."""
        return self.public_url.rstrip("/") or None

    def webhook_secrets(self) -> tuple[str, ...]:
        """`platform_webhook_secret` one by one."""
        return tuple(self.platform_webhook_secret.replace(",", " ").split())

    def admin_names(self) -> frozenset[str]:
        """`admin_hosts` and `admin_host` one by one, in lower case."""
        return frozenset(name.strip().lower() for name in f"{self.admin_hosts},{self.admin_host}".split(","))

    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`trusted_proxies` as networks."""
        parts = [p.strip() for p in self.trusted_proxies.split(",")]
        return tuple(ipaddress.ip_network(p, strict=False) for p in parts if p)


def load_settings(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings of an environment; `overrides` that are not None win.

    Raises `SettingsError` for an unknown `SCIM_BRIDGE_` variable, a bad value or a combination that cannot
    work. Empty values count as not set.
    """
    fields = set(Settings.__struct_fields__)
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or not text:
            continue
        name = variable.removeprefix(PREFIX).lower()
        plain = name.removesuffix("_file")
        if name not in fields and plain not in fields:
            raise SettingsError(f"{variable} is not a setting; see the list in examples/configuration.md")
        key = name if name in fields else plain
        if key in values:
            raise SettingsError(f"{PREFIX}{key.upper()} and {PREFIX}{key.upper()}_FILE: set one of them")
        values[key] = text if name in fields else _from_file(variable, text)
    values.update({k: v for k, v in overrides.items() if v is not None})
    try:
        settings = msgspec.convert(values, type=Settings, strict=False)
    except msgspec.ValidationError as exc:
        reason, _, where = str(exc).partition(" - at ")
        variable = PREFIX + where.strip("`").removeprefix("$.").upper()
        raise SettingsError(f"{variable}: {reason}") from exc
    _check(settings)
    return settings


def _from_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{variable}: {path} cannot be read") from exc


def _check(settings: Settings) -> None:
    for name in ("public_url", "platform_url"):
        url = getattr(settings, name)
        try:
            parts = urlsplit(url)
        except ValueError as exc:
            raise SettingsError(f"{PREFIX}{name.upper()}: {exc}") from exc
        if url and (
            parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment
        ):
            raise SettingsError(f"{PREFIX}{name.upper()}: an http or https URL without query is needed")
    if settings.platform_url and not (settings.platform_client_id and settings.platform_client_secret):
        raise SettingsError(
            f"{PREFIX}PLATFORM_CLIENT_ID and {PREFIX}PLATFORM_CLIENT_SECRET are needed with a platform URL"
        )
    for name in ("correlation_header", "platform_correlation_header"):
        header = getattr(settings, name)
        if _HEADER.fullmatch(header) is None and (header or name == "correlation_header"):
            raise SettingsError(f"{PREFIX}{name.upper()}: the name of a header is needed")
    if settings.page_size > settings.max_page_size:
        raise SettingsError(f"{PREFIX}PAGE_SIZE is larger than {PREFIX}MAX_PAGE_SIZE")
    try:
        settings.networks()
    except ValueError as exc:
        raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {exc}") from exc
