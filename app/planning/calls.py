"""The platform calls that carry a plan out, told without making any."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from app.mapping.model import Capabilities
from app.planning.pages import pages_for, pinned
from app.planning.plan import ById, IndexQuery, Listing, Match, Nothing, Plan, Source, Union
from app.planning.pushdown import SEARCH
from app.wire.users import USERS_PATH

USER_ID = "{user_id}"
"""What stands in a path for an id that is only known when the plan is carried out."""

EACH_PAGE = "{page}"
"""What stands for the number of a page where every page is read."""


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of platform call."""

    method: str
    path: str
    """Complete, without query."""
    query: dict[str, str] = {}
    body: tuple[str, ...] | None = None
    """The keys of the body that is sent, never their values; None for no body."""
    times: str
    """How often it is made: `1`, `0..1`, `0..n`, `100 at most`."""
    why: str


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A call and its times as numbers."""

    call: Call
    least: int
    most: int | None
    """None where it depends on what is found."""


class Calls:
    """The calls for the users of one tenant."""

    def __init__(self, tenant_id: str, platform: Capabilities) -> None:
        self._platform = platform
        self._users = USERS_PATH.format(tenant_id=quote(tenant_id, safe=""))

    def of_list_window(self, plan: Plan, offset: int, count: int, *, from_rows: bool) -> Iterator[Counted]:
        """The pages of the list that cover the window, and the users behind the rows unless rows do."""
        assert isinstance(plan.source, Listing)  # noqa: S101 - what `window` says, for the type checker
        query = dict(plan.source.query)
        if plan.order is not None and plan.order.sort_by is not None:
            query |= {"sort_by": plan.order.sort_by, "sort_order": "desc" if plan.order.descending else "asc"}
        size, pages = pages_for(offset, max(count, 1), self._platform.per_page_max)
        for page in pages:
            first = page == pages[0]
            why = ("the page and the total" if count else "the total") if first else "where there are as many"
            yield self._list({**query, "page": str(page), "per_page": str(size)}, int(first), 1, why)
        if count and not from_rows:
            yield self._get(0, count, "each user on the page, as the list's rows are abbreviated")

    def of_index_window(self, count: int) -> Iterator[Counted]:
        """The users of one page of the index."""
        if count:
            yield self._get(0, count, "each user on the page, confirmed at the platform")

    def of_all(self, source: Source) -> Iterator[Counted]:
        """Every user of a source."""
        match source:
            case Nothing():
                return
            case ById():
                yield self._get(1, 1, "the user", source.id)
            case Match():
                yield from self._of_match(source)
            case Union():
                for each in source.sources:
                    yield from self.of_all(each)
            case Listing():
                yield self._whole_list(dict(source.query), 1, "every page of the list")
                yield self._get(0, None, "each user of the list")
            case IndexQuery():
                yield self._get(0, None, "each user that the index finds")

    def _of_match(self, match: Match) -> Iterator[Counted]:
        one = match.kind == "userName"
        yield self._get(0, 1 if one else None, "whom the link table names, confirmed at the platform")
        if match.search is not None:
            why = "where the table names nobody" if one else "for an address that the table does not know"
            yield self._whole_list({SEARCH: match.search}, 0, why)
            yield self._get(
                0, None, "whom the search finds, until one is confirmed" if one else "those found"
            )

    def _whole_list(self, query: dict[str, str], least: int, why: str) -> Counted:
        paged = {**query, "page": EACH_PAGE, "per_page": str(self._platform.per_page_max)}
        return self._list(paged, least, None, why)

    def _list(self, query: dict[str, str], least: int, most: int | None, why: str) -> Counted:
        asked = pinned(query, self._platform)
        return _counted(Call(method="GET", path=self._users, query=asked, times="", why=why), least, most)

    def _get(self, least: int, most: int | None, why: str, user_id: str = USER_ID) -> Counted:
        path = f"{self._users}/{user_id}"
        return _counted(Call(method="GET", path=path, times="", why=why), least, most)


def _counted(call: Call, least: int, most: int | None) -> Counted:
    if most is None:
        times = f"{least}..n"
    elif least == most:
        times = str(most)
    else:
        times = f"{least}..{most}" if least or most == 1 else f"{most} at most"
    return Counted(call=msgspec.structs.replace(call, times=times), least=least, most=most)
