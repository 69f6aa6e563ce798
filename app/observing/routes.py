"""Routes of platform calls: paths with names in the place of ids, so that there are few of them."""

from __future__ import annotations

import re
from functools import lru_cache

from app.platform.recording import template_of

_GROUP_ID = "{group_id}"


class CallRoutes:
    """Knows where the groups are."""

    def __init__(self, groups_path: str) -> None:
        """`groups_path` is the collection's path with `{tenant_id}` in it."""
        self._groups = groups_path.rstrip("/")
        below = re.escape(self._groups).replace(re.escape("{tenant_id}"), "[^/]+")
        self._is_group = re.compile(f"{below}(?:/[^/]+(/.*)?)?")
        self.of = lru_cache(4096)(self._of)
        """The route of a path, whose query is left out."""

    def _of(self, path: str) -> str:
        place = path.partition("?")[0]
        found = self._is_group.fullmatch(place)
        if found is None:
            return template_of(place)
        if place.count("/") == self._groups.count("/"):
            return self._groups
        return f"{self._groups}/{_GROUP_ID}{template_of(found[1] or '')}"
