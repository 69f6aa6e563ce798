from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from platform_server import RunningPlatform, Tenant, running

from app.embedded import PlatformSettings


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """A platform with its default settings, shared: every test takes a tenant of its own."""
    with running(tmp_path_factory.mktemp("platform") / "platform.db", PlatformSettings()) as started:
        yield started


@pytest.fixture
def new_tenant(platform: RunningPlatform) -> Iterator[Callable[..., Tenant]]:
    made: list[Tenant] = []

    def make(partner_id: str | None = None) -> Tenant:
        made.append(platform.new_tenant(partner_id))
        return made[-1]

    yield make
    for tenant in made:
        tenant.http.close()


@pytest.fixture
def tenant(new_tenant: Callable[..., Tenant]) -> Tenant:
    return new_tenant()


@pytest.fixture
def tenant_with(tmp_path: Path) -> Iterator[Callable[[PlatformSettings], Tenant]]:
    """A tenant of a platform of its own, with the settings of the test."""
    with ExitStack() as stack:

        def make(settings: PlatformSettings) -> Tenant:
            started = stack.enter_context(running(tmp_path / "platform.db", settings))
            made = started.new_tenant()
            stack.callback(made.http.close)
            return made

        yield make
