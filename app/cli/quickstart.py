"""What a start without settings sets up once: demo tenant, connection, token."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

from app.config import Settings
from app.embedded import AppCredentials, Directory
from app.store.connections import Policies
from app.store.store import Store
from app.web.paths import BASE_PATH

DATABASE = "platform.db"
CREDENTIALS = "platform.json"
QUICKSTART = "quickstart.json"

WEBHOOK_ORIGIN = "http://scim-bridge.internal"
"""Where the embedded platform sends its events within the process; no name that is ever looked up."""

_Form = TypeVar("_Form", bound=msgspec.Struct)
_SCOPES = ("admin:read", "admin:write")
_PLATFORM_TOKEN_TTL_S = 30 * 24 * 3600


class PlatformCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """`platform.json`: how a client gets tokens at the embedded platform."""

    platform_url: str
    client_id: str
    client_secret: str
    tenant_id: str
    person_id: str = ""
    """Client id of the token that quickstart.json shows: what the bridge does itself, it need not be told."""
    webhook_secret: str = ""
    """Signs the events that the bridge in the same process is sent."""


class Quickstart(msgspec.Struct, frozen=True, kw_only=True):
    """`quickstart.json`: what a newcomer needs to send requests to both sides."""

    base_url: str
    """The SCIM base URL."""
    token: str
    """Bearer token for SCIM."""
    tenant_id: str
    platform_url: str
    platform_token: str
    """Bearer token for the embedded platform's own API; made anew at every start."""
    console_url: str = ""
    """Where operators sign in; empty where there is no listener for them."""
    admin_token: str = ""
    """With which they do."""


async def prepare_platform(data_dir: Path, platform_url: str | None) -> PlatformCredentials:
    """The demo tenant and the app that the bridge signs in with; made once, then read from the file.

    `platform_url` is where the platform listens now; None leaves what the file says.
    """
    async with Directory(data_dir / DATABASE) as directory:
        tenant_id = await directory.ensure_tenant("demo", "Demo")
        kept = _read(data_dir / CREDENTIALS, PlatformCredentials)
        if kept is not None and kept.tenant_id == tenant_id:
            credentials = msgspec.structs.replace(
                kept,
                platform_url=platform_url or kept.platform_url,
                person_id=kept.person_id or (await _app(directory, "Quickstart")).client_id,
                webhook_secret=kept.webhook_secret or secrets.token_urlsafe(32),
            )
        else:
            made = await _app(directory, "SCIM Bridge")
            credentials = PlatformCredentials(
                platform_url=platform_url or "",
                client_id=made.client_id,
                client_secret=made.client_secret,
                tenant_id=tenant_id,
                person_id=(await _app(directory, "Quickstart")).client_id,
                webhook_secret=secrets.token_urlsafe(32),
            )
    write_private(data_dir / CREDENTIALS, credentials)
    return credentials


async def _app(directory: Directory, name: str) -> AppCredentials:
    return await directory.create_app(None, _SCOPES, name)


async def prepare_quickstart(
    settings: Settings, credentials: PlatformCredentials, base_url: str, console: str | None = None
) -> Quickstart:
    """A connection to the demo tenant with a token, and one for the console at the URL `console`.

    The tokens are those of the last start while they are valid.
    """
    data_dir = Path(settings.data_dir)
    async with Directory(data_dir / DATABASE) as directory:
        platform_token = await directory.issue_token(credentials.person_id, _PLATFORM_TOKEN_TTL_S)
        # The bridge in this process hears of what others change at the platform.
        await directory.add_webhook(f"{WEBHOOK_ORIGIN}/webhooks/platform", credentials.webhook_secret)
    store = await Store.open(settings.bridge_database_url)
    try:
        kept = _read(data_dir / QUICKSTART, Quickstart)
        token = None if kept is None else kept.token
        found = None if token is None else await store.tokens.authenticate(token)
        if token is None or found is None or found.connection.tenant_id != credentials.tenant_id:
            mine = [c for c in await store.connections.list() if c.tenant_id == credentials.tenant_id]
            # Where the embedded platform was thrown away, `demo` may belong to a tenant that is no more.
            free = (
                "demo" if await store.connections.by_name("demo") is None else f"demo {credentials.tenant_id}"
            )
            connection = (
                mine[0]
                if mine
                else await store.connections.add(
                    name=free,
                    tenant_id=credentials.tenant_id,
                    # Whoever tries things out makes and deletes users by the hundred.
                    policies=Policies(guard_limit=0),
                )
            )
            _, token = await store.tokens.create(connection.id, "quickstart", None)
        admin_token = "" if kept is None else kept.admin_token
        if await store.admin_tokens.authenticate(admin_token) is None:
            _, admin_token = await store.admin_tokens.create("admin", "quickstart")
    finally:
        await store.close()
    quickstart = Quickstart(
        base_url=base_url,
        token=token,
        tenant_id=credentials.tenant_id,
        platform_url=credentials.platform_url,
        platform_token=platform_token,
        console_url=console or "",
        admin_token=admin_token,
    )
    write_private(data_dir / QUICKSTART, quickstart)
    return quickstart


def with_credentials(settings: Settings, credentials: PlatformCredentials) -> Settings:
    """The settings with which the bridge signs in at the embedded platform."""
    return msgspec.structs.replace(
        settings,
        platform_client_id=credentials.client_id,
        platform_client_secret=credentials.client_secret,
        platform_webhook_secret=", ".join(
            filter(None, (credentials.webhook_secret, settings.platform_webhook_secret))
        ),
    )


def scim_url(settings: Settings, host: str, port: int) -> str:
    """The SCIM base URL to show: as configured, else where the server listens."""
    return settings.scim_url or f"{listening_url(host, port)}{BASE_PATH}"


def console_url(host: str, port: int) -> str:
    """The console's URL at an address of its listener."""
    return f"{listening_url(host, port)}/console"


def listening_url(host: str, port: int) -> str:
    """The URL of an address as one would type it; a bind to all addresses is reachable at the loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    if ":" in shown and not shown.startswith("["):
        shown = f"[{shown}]"
    return f"http://{shown}:{port}"


def write_private(path: Path, content: msgspec.Struct) -> None:
    """Write JSON that only the owner may read, in one step: never half a file, never open in between."""
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    text = msgspec.json.format(msgspec.json.encode(content)) + b"\n"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    temporary.replace(path)


def _read(path: Path, form: type[_Form]) -> _Form | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except (OSError, msgspec.DecodeError):
        return None
