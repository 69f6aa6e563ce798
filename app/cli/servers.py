"""`scim-bridge serve` and `scim-bridge platform`."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
import uvicorn
from rich.console import Console

from app.asgi import open_bridge
from app.cli.logs import configure_logs
from app.cli.quickstart import (
    DATABASE,
    PlatformCredentials,
    Quickstart,
    listening_url,
    prepare_platform,
    prepare_quickstart,
    scim_url,
)
from app.config import Settings, SettingsError, load_settings
from app.embedded import PlatformSettings, create_platform

HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen at.")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port to listen at; 0 takes a free one.")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Directory of the SQLite files.")]
DemoOption = Annotated[
    bool, typer.Option("--demo", help="Allow the embedded platform on an address that others can reach.")
]


def serve_command(
    host: HostOption = None, port: PortOption = None, data_dir: DataOption = None, demo: DemoOption = False
) -> None:
    """Serve SCIM. Without settings: over an embedded platform, with a demo tenant and a token."""
    settings = load_settings(
        os.environ, host=host, port=port, data_dir=None if data_dir is None else str(data_dir)
    )
    if settings.embedded and not demo and not is_loopback(settings.host):
        raise SettingsError(
            f"the embedded platform is for trying out: it listens at {settings.host}, where others can reach "
            "it, only with --demo. Set SCIM_BRIDGE_PLATFORM_URL to serve a real platform"
        )
    configure_logs(settings)
    listener = _listen(settings.host, settings.port)
    _run(_serve(settings, listener))


def platform_command(
    host: HostOption = None, port: PortOption = None, data_dir: DataOption = None, demo: DemoOption = False
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
    configure_logs(settings)
    listener = _listen(settings.host, settings.port)
    _run(_serve_platform(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    if not settings.embedded:
        async with open_bridge(settings) as app:
            _show_bridge(settings, scim_url(settings, settings.host, port))
            await _run_server(app, listener)
        return
    data_dir = _data_dir(settings)
    credentials = await prepare_platform(data_dir, listening_url(settings.host, port))
    quickstart = await prepare_quickstart(settings, credentials, scim_url(settings, settings.host, port))
    platform = create_platform(data_dir / DATABASE, PlatformSettings())
    async with open_bridge(with_credentials(settings, credentials), embedded=platform) as app:
        _show_quickstart(quickstart, data_dir)
        await _run_server(app, listener)


async def _serve_platform(settings: Settings, listener: socket.socket) -> None:
    data_dir = _data_dir(settings)
    url = listening_url(settings.host, listener.getsockname()[1])
    credentials = await prepare_platform(data_dir, url)
    platform = create_platform(data_dir / DATABASE, PlatformSettings())
    async with platform.lifespan():
        _show_platform(credentials)
        await _run_server(platform, listener)


def with_credentials(settings: Settings, credentials: PlatformCredentials) -> Settings:
    """The settings with which the bridge signs in at the embedded platform."""
    return msgspec.structs.replace(
        settings,
        platform_client_id=credentials.client_id,
        platform_client_secret=credentials.client_secret,
    )


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


async def _run_server(app: Any, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    server = uvicorn.Server(config)

    def stop(_signal: int, _frame: object) -> None:
        server.should_exit = True

    # For a signal that comes before uvicorn listens for it, and for the one that uvicorn raises again once it
    # has shut down, when nothing must be interrupted any more.
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    await server.serve(sockets=[listener])


def _show_quickstart(quickstart: Quickstart, data_dir: Path) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print("SCIM Bridge over its embedded platform, for trying out", style="bold")
    out.print(f"  SCIM base URL  {quickstart.base_url}")
    out.print(f"  Bearer token   {quickstart.token}")
    out.print(f"  Platform API   {quickstart.platform_url}/openapi.json")
    out.print(f"  All of this    {data_dir / 'quickstart.json'}")
    out.print("Try it:")
    out.print(
        f'  curl -H "Authorization: Bearer {quickstart.token}" {quickstart.base_url}/Users', markup=False
    )
    out.print("Ctrl-C ends it; the data stays.")


def _show_bridge(settings: Settings, base_url: str) -> None:
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print(f"SCIM Bridge for {settings.platform_url}", style="bold")
    out.print(f"  SCIM base URL  {base_url}")
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
