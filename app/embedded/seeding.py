"""Many users at once, for tests, demonstrations and benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import insert

from app.embedded.database import Database
from app.embedded.identifiers import Clock, new_id
from app.embedded.schemas import UserStatus
from app.embedded.tables import memberships, users
from app.embedded.user_writes import name_columns

_BATCH = 5_000
_FIRST_NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Grace", "Hiroshi", "İpek", "João")
_LAST_NAMES = (
    "Andersson",
    "Bauer",
    "Çelik",
    "Dubois",
    "Evans",
    "Ferrari",
    "García",
    "Hansen",
    "Ivanova",
    "Jansen",
    "Weiß",
)


class SeedPlan(Struct, frozen=True, kw_only=True):
    """What the seeded users are like; the n-th is the same in every run but for its id and moment."""

    first: int = 1
    """Number of the first user; the names of a second seeding must begin beyond the first."""
    prefix: str = "user"
    """What usernames and the local part of addresses begin with."""
    domain: str = "example.com"
    disabled_every: int = 0
    """Every so many users one is DISABLED; 0 is none."""
    mfa_every: int = 0
    """Every so many users one has a second factor; 0 is none."""
    last_names: tuple[str, ...] = _LAST_NAMES
    """Given out in turn."""
    departments: tuple[str, ...] = ()
    """Given out in turn, under `department` in custom_attributes; none where empty."""
    ou_id: str | None = None
    group_ids: tuple[str, ...] = ()


async def insert_users(database: Database, clock: Clock, tenant_id: str, count: int, plan: SeedPlan) -> None:
    """Insert `count` users in transactions of a few thousand, so that other writers are not kept out."""
    for start in range(plan.first, plan.first + count, _BATCH):
        numbers = range(start, min(start + _BATCH, plan.first + count))
        rows = [_row(tenant_id, number, clock.now(), plan) for number in numbers]
        async with database.write() as connection:
            await connection.execute(insert(users), rows)
            if plan.group_ids:
                await connection.execute(insert(memberships), _membership_rows(rows, plan.group_ids))


def _row(tenant_id: str, number: int, now: str, plan: SeedPlan) -> dict[str, str | int | bool | None]:
    first_name = _FIRST_NAMES[number % len(_FIRST_NAMES)]
    last_name = plan.last_names[number % len(plan.last_names)]
    username = f"{plan.prefix}{number:06d}"
    custom = {"employee_number": f"{number:06d}"}
    if plan.departments:
        custom["department"] = plan.departments[number % len(plan.departments)]
    disabled = plan.disabled_every and number % plan.disabled_every == 0
    return {
        "id": new_id("usr"),
        "tenant_id": tenant_id,
        "phone": f"+1 555 {number % 10_000_000:07d}",
        "locale": "en",
        "timezone": "UTC",
        "ou_id": plan.ou_id,
        "status": (UserStatus.DISABLED if disabled else UserStatus.ACTIVE).value,
        "identity_source": "LOCAL",
        "mfa_enabled": bool(plan.mfa_every and number % plan.mfa_every == 0),
        "custom_attributes": json.dumps(custom, ensure_ascii=False, separators=(",", ":")),
        "created_at": now,
        **name_columns(
            f"{username}@{plan.domain}", username, first_name, last_name, f"{first_name} {last_name} {number}"
        ),
    }


def _membership_rows(
    rows: Sequence[dict[str, str | int | bool | None]], group_ids: Sequence[str]
) -> list[dict[str, str | int | bool | None]]:
    return [
        {"group_id": group_id, "user_id": row["id"], "created_at": row["created_at"]}
        for row in rows
        for group_id in group_ids
    ]
