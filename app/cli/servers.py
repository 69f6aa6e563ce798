"""`scim-bridge serve` and `scim-bridge platform`."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console

from app import __version__
from app.asgi import LateApp, open_bridge
from app.cli.logs import configure_logs
from app.cli.quickstart import (
    DATABASE,
    WEBHOOK_ORIGIN,
    PlatformCredentials,
    Quickstart,
    console_url,
    listening_url,
    prepare_platform,
    prepare_quickstart,
    scim_url,
    with_credentials,
)
from app.cli.serving import run_server
from app.config import Settings, SettingsError, load_settings
from app.embedded import Directory, PlatformSettings, create_platform
from app.platform.transport import in_process_transport
from app.web.health import Health

_log = structlog.get_logger(__name__)

HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen at.")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port to listen at; 0 takes a free one.")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Directory of the SQLite files.")]
DemoOption = Annotated[
    bool, typer.Option("--demo", help="Allow the embedded platform on an address that others can reach.")
]
WebhookOption = Annotated[
    str | None,
    typer.Option(
        "--webhook-url",
        help="Send every change to this address, signed with SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET.",
    ),
]


def serve_command(
    host: HostOption = None, port: PortOption = None, data_dir: DataOption = None, demo: DemoOption = False
) -> None:
    """Serve SCIM. Without settings: over an embedded platform, with a demo tenant and a token."""
    settings = load_settings(
        os.environ, host=host, port=port, data_dir=None if data_dir is None else str(data_dir)
    )
    for address in (settings.host, settings.admin_host):
        if settings.embedded and not demo and not is_loopback(address):
            raise SettingsError(
                f"the embedded platform is for trying out: it listens at {address}, where others can reach "
                "it, only with --demo. Set SCIM_BRIDGE_PLATFORM_URL to serve a real platform"
            )
    configure_logs(settings)
    listener = _listen(settings.host, settings.port)
    _run(_serve(settings, listener, _listen_for_admins(settings)))


def platform_command(
    host: HostOption = None,
    port: PortOption = None,
    data_dir: DataOption = None,
    demo: DemoOption = False,
    webhook_url: WebhookOption = None,
) -> None:
    """Run the embedded platform alone, as an identity platform to point a bridge at."""
    settings = load_settings(
        os.environ,
        host=host,
        port=8081 if port is None else port,
        data_dir=None if data_dir is None else str(data_dir),
    )
    if not demo and not is_loopback(settings.host):
        raise SettingsError("the embedded platform listens beyond this machine only with --demo")
    if webhook_url is not None and not settings.webhook_secrets():
        raise SettingsError(
            "--webhook-url needs a secret: set SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET, or …_FILE"
        )
    configure_logs(settings)
    listener = _listen(settings.host, settings.port)
    _run(_serve_platform(settings, listener, webhook_url))


async def _serve(settings: Settings, listener: socket.socket, admins: socket.socket | None) -> None:
    port = listener.getsockname()[1]
    health = Health()
    console = None if admins is None else console_url(settings.admin_host, admins.getsockname()[1])
    admin = LateApp()
    beside = None if admins is None else (admin, admins)
    if not settings.embedded:
        async with open_bridge(settings, health=health, admin=admin) as app:
            _show_bridge(settings, scim_url(settings, settings.host, port), console)
            await _serve_bridge(app, listener, settings, health, beside)
        return
    data_dir = _data_dir(settings)
    credentials = await prepare_platform(data_dir, listening_url(settings.host, port))
    quickstart = await prepare_quickstart(
        settings, credentials, scim_url(settings, settings.host, port), console
    )
    front = LateApp()
    platform = create_platform(
        data_dir / DATABASE, webhook_transports={WEBHOOK_ORIGIN: in_process_transport(front)}
    )
    settings = with_credentials(settings, credentials)
    async with open_bridge(settings, embedded=platform, health=health, admin=admin) as app:
        front.app = app
        _show_quickstart(quickstart, data_dir)
        await _serve_bridge(app, listener, settings, health, beside)


async def _serve_bridge(
    app: Any,
    listener: socket.socket,
    settings: Settings,
    health: Health,
    beside: tuple[Any, socket.socket] | None,
) -> None:
    host, port = listener.getsockname()[:2]
    _log.info("serving", version=__version__, host=host, port=port)
    await run_server(app, listener, settings, on_stop=health.stop, beside=beside)
    _log.info("stopped serving")


async def _serve_platform(settings: Settings, listener: socket.socket, webhook_url: str | None) -> None:
    data_dir = _data_dir(settings)
    url = listening_url(settings.host, listener.getsockname()[1])
    credentials = await prepare_platform(data_dir, url)
    if webhook_url is not None:
        await _add_webhook(data_dir, webhook_url, settings.webhook_secrets()[0])
    platform = create_platform(data_dir / DATABASE, PlatformSettings())
    async with platform.lifespan():
        _show_platform(credentials)
        await run_server(platform, listener, settings, bounded=False)


async def _add_webhook(data_dir: Path, url: str, secret: str) -> None:
    async with Directory(data_dir / DATABASE) as directory:
        try:
            await directory.add_webhook(url, secret)
        except ValueError as exc:
            raise SettingsError(f"--webhook-url: {exc}") from exc


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _data_dir(settings: Settings) -> Path:
    path = Path(settings.data_dir)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        raise SettingsError(f"the data directory {path} cannot be made: {exc.strerror}") from exc
    return path


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        raise SettingsError(f"cannot listen at {host} port {port}: {exc.strerror or exc}") from exc
    listener.setblocking(False)
    return listener


def _listen_for_admins(settings: Settings) -> socket.socket | None:
    port = settings.admin_listens_at
    if port is None:
        return None
    try:
        return _listen(settings.admin_host, port)
    except SettingsError as exc:
        raise SettingsError(
            f"{exc}, for operators: SCIM_BRIDGE_ADMIN_PORT names another port, 0 does without"
        ) from exc


def _run(main: Any) -> None:
    """Run until a signal; Ctrl-C and SIGTERM end it cleanly, with exit code 0."""
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main)


def _loop_factory() -> Any:
    """uvloop where it exists, which is not on Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _show_quickstart(quickstart: Quickstart, data_dir: Path) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print("SCIM Bridge over its embedded platform, for trying out", style="bold")
    out.print(f"  SCIM base URL  {quickstart.base_url}")
    out.print(f"  Bearer token   {quickstart.token}")
    out.print(f"  Platform API   {quickstart.platform_url}/openapi.json")
    if quickstart.console_url:
        out.print(f"  Console        {quickstart.console_url}")
        out.print(f"  Admin token    {quickstart.admin_token}")
    out.print(f"  All of this    {data_dir / 'quickstart.json'}")
    out.print("Try it:")
    out.print(
        f'  curl -H "Authorization: Bearer {quickstart.token}" {quickstart.base_url}/Users', markup=False
    )
    out.print("Ctrl-C ends it; the data stays.")


def _show_bridge(settings: Settings, base_url: str, console: str | None) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print(f"SCIM Bridge for {settings.platform_url}", style="bold")
    out.print(f"  SCIM base URL  {base_url}")
    if console is not None:
        out.print(f"  Console        {console}")
    out.print("Connections and tokens: scim-bridge connection list, scim-bridge token list")


def _show_platform(credentials: PlatformCredentials) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print("Embedded platform, for trying out", style="bold")
    out.print("Point a bridge at it:")
    out.print(f"  export SCIM_BRIDGE_PLATFORM_URL={credentials.platform_url}")
    out.print(f"  export SCIM_BRIDGE_PLATFORM_CLIENT_ID={credentials.client_id}")
    out.print(f"  export SCIM_BRIDGE_PLATFORM_CLIENT_SECRET={credentials.client_secret}")
    out.print(f"  scim-bridge connection add demo --tenant {credentials.tenant_id}")
    out.print("Ctrl-C ends it; the data stays.")
