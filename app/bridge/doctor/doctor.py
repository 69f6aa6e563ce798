"""The examination of one tenant's platform, check after check."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from app.bridge.context import Context
from app.bridge.doctor.details import check_details
from app.bridge.doctor.findings import Finding
from app.bridge.doctor.lists import check_lists
from app.bridge.doctor.probe import Probe
from app.bridge.doctor.writes import check_writes
from app.platform.client import PlatformClient
from app.platform.errors import Denied, PlatformError, Unauthenticated
from app.platform.groups import GroupClient


class Doctor:
    """Compares what a mapping declares with what its platform does."""

    def __init__(self, platform: PlatformClient, groups: GroupClient) -> None:
        self._platform = platform
        self._groups = groups

    async def examine(self, context: Context, *, write: bool) -> AsyncIterator[Finding]:
        """The findings, one by one; nothing is written unless `write`, and what is made then is removed.

        A call that fails unexpectedly ends its part with a finding; nothing is raised for the platform.
        """
        probe = Probe(self._platform, self._groups, context)
        reached = await _reached(probe)
        yield reached
        if reached.state == "failed":
            return
        parts = [("lists", check_lists), ("details", check_details)]
        if write:
            parts.append(("writes", check_writes))
        for name, check in parts:
            try:
                async for finding in check(probe):
                    yield finding
            except PlatformError as error:
                yield Finding(name=name, state="failed", found=f"the rest was not tried: {error}")


async def _reached(probe: Probe) -> Finding:
    name = "platform"
    begun = time.perf_counter()
    try:
        total = (await probe.page({"per_page": 1})).pagination.total_items
    except Unauthenticated as error:
        settings = "SCIM_BRIDGE_PLATFORM_CLIENT_ID, …_SECRET, …_SCOPE and …_TOKEN_PATH"
        found = f"no token, check {settings} ({error.detail})"
        return Finding(name=name, state="failed", found=found)
    except Denied as error:
        found = f"the bridge's client may not read the users of this tenant ({error.detail})"
        return Finding(name=name, state="failed", found=found)
    except PlatformError as error:
        return Finding(name=name, state="failed", found=str(error))
    ms = (time.perf_counter() - begun) * 1000
    return Finding(name=name, state="ok", found=f"{total} users, answered within {ms:.0f} ms")
