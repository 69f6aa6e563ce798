"""The console's places, in the order of the navigation."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the navigation."""

    label: str
    path: str

    def holds(self, path: str) -> bool:
        """Whether a page belongs here."""
        return path == self.path or (self.path != "/console" and path.startswith(f"{self.path}/"))


PLACES = (
    Place(label="Overview", path="/console"),
    Place(label="Requests", path="/console/requests"),
    Place(label="Users", path="/console/users"),
    Place(label="Connections", path="/console/connections"),
    Place(label="Mapping", path="/console/mapping"),
    Place(label="Explain", path="/console/explain"),
    Place(label="Dry run", path="/console/dry-run"),
    Place(label="Journal", path="/console/journal"),
    Place(label="Changes", path="/console/changes"),
)
