"""A write twice: as a dry run, then for real; and what both had in common."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
from bridge_rig import Rig

from app.store.connections import Policies

HEADER = {"SCIM-Bridge-Dry-Run": "true"}
DRY_RUN = "urn:scim-bridge:schemas:2.0:DryRun"
MASK = "***"

_MADE_UP = re.compile(r"dry-run-(user|group)-\d+")
_UNTOLD = frozenset({"audit", "tokens"})
"""Beginnings of the names of tables in which every request leaves something: its record, its token's use."""
_OF_THE_WRITE = frozenset({"id", "location", "version", "created", "lastModified", "passwordChangedAt"})
"""Members of an answer that only a write has, or that tell the time."""

Call = tuple[str, str, Any]


def rows(rig: Rig) -> dict[str, list[Any]]:
    """Every row of the bridge's database, by table."""
    with closing(sqlite3.connect(Path(rig.settings.data_dir) / "bridge.db")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = sorted(name for name in names if name.partition("_")[0] not in _UNTOLD)
        return {name: db.execute(f'SELECT * FROM "{name}"').fetchall() for name in kept}  # noqa: S608


async def still(shared: Rig, policies: Policies) -> Rig:
    """A tenant of its own, at a bridge that does nothing by itself."""
    await shared.app.state.services.upkeep.aclose()
    return await shared.alone(policies=policies)


def writes(requests: Iterable[httpx.Request]) -> list[Call]:
    """The platform calls that are no reads: method, path with query, body."""
    return [
        (r.method, r.url.raw_path.decode(), msgspec.json.decode(r.content) if r.content else None)
        for r in requests
        if r.method != "GET"
    ]


async def rehearsed(rig: Rig, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """A dry run, of which neither the platform nor the database has noticed anything."""
    before = rows(rig)
    rig.wire.reset()
    answer = await rig.scim(method, path, body, headers={**headers, **HEADER})
    assert writes(rig.wire.requests) == []
    assert rows(rig) == before
    assert answer.headers["scim-bridge-dry-run"] == "true"
    assert not {"location", "content-location", "etag"} & answer.headers.keys()
    return answer


async def twice(
    rig: Rig, method: str, path: str, body: Any = None, **headers: str
) -> tuple[httpx.Response, httpx.Response, list[Call]]:
    """A dry run and the write, with the same answer and the same calls, which come last."""
    dry = await rehearsed(rig, method, path, body, **headers)
    rig.wire.reset()
    real = await rig.scim(method, path, body, headers=headers)
    made = writes(rig.wire.requests)
    rig.wire.reset()
    assert "scim-bridge-dry-run" not in real.headers
    told = dry.json()
    report = told.pop(DRY_RUN, {})
    if "Operations" in told:
        planned = [call for each in told["Operations"] for call in each[DRY_RUN]["calls"]]
        assert [each.pop(DRY_RUN)["status"] for each in told["Operations"]] == [
            int(each["status"]) for each in real.json()["Operations"]
        ]
        assert dry.status_code == real.status_code == 200
    else:
        planned = report["calls"]
        assert report["status"] == real.status_code, (real.text, report)
        assert dry.status_code == (200 if real.status_code == 204 else real.status_code)
    expected = real.json() if real.content else {"schemas": []}
    if DRY_RUN in told["schemas"]:
        told["schemas"].remove(DRY_RUN)
    new = _created(real)
    assert _plain(told, new) == _plain(expected, new)
    compare([(c["method"], c["path"], c["body"]) for c in planned], made, new)
    return dry, real, made


def compare(planned: list[Call], made: list[Call], new: dict[str, str]) -> None:
    """The calls are the same, in any order, but for ids and for what is masked."""
    assert len(planned) == len(made), (planned, made)
    left = [_named(call, new) for call in made]
    for call in [_named(call, new) for call in planned]:
        same = next((other for other in left if _covers(call, other)), None)
        assert same is not None, (call, left)
        left.remove(same)


def _created(answer: httpx.Response) -> dict[str, str]:
    """Ids that the write has made, and the kind of what they are of."""
    if answer.status_code == 201:
        kind = "group" if "/Groups/" in answer.headers["location"] else "user"
        return {answer.json()["id"]: kind}
    found = {}
    for each in answer.json().get("Operations", ()) if answer.content else ():
        if each["status"] == "201":
            place, _, made = each["location"].rpartition("/")
            found[made] = "group" if place.endswith("Groups") else "user"
    return found


def _named(value: Any, new: dict[str, str]) -> Any:
    """With the ids of what is new replaced by what it is, and the moments and the journal's ids left out."""
    if isinstance(value, str):
        text = _MADE_UP.sub(r"<new \1>", unquote(value))
        for made, kind in new.items():
            text = text.replace(made, f"<new {kind}>")
        return text
    if isinstance(value, list | tuple):
        return [_named(each, new) for each in value]
    if isinstance(value, dict):
        return {k: "<then>" if k in ("journal", "deleted") else _named(v, new) for k, v in value.items()}
    return value


def _plain(value: Any, new: dict[str, str]) -> Any:
    """An answer without what only a write has."""
    if isinstance(value, dict):
        return {k: _plain(v, new) for k, v in value.items() if k not in _OF_THE_WRITE}
    if isinstance(value, list):
        return [_plain(each, new) for each in value]
    return _named(value, new)


def _covers(told: Any, sent: Any) -> bool:
    """Whether they are the same but for what is masked."""
    if told == MASK:
        return True
    if isinstance(told, dict) and isinstance(sent, dict):
        return told.keys() == sent.keys() and all(_covers(v, sent[k]) for k, v in told.items())
    if isinstance(told, list) and isinstance(sent, list):
        return len(told) == len(sent) and all(map(_covers, told, sent))
    return bool(told == sent)
