"""`SCIM-Bridge-Explain`: who may ask, and what is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from bridge_rig import SECRETS, Rig, open_rig

from app.embedded.seeding import SeedPlan
from app.scim.messages import LIST_RESPONSE, SEARCH_REQUEST
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADER = "SCIM-Bridge-Explain"


@pytest_asyncio.fixture(loop_scope="module")
async def asking(shared: Rig) -> Rig:
    """A tenant of its own, by a connection that may ask."""
    return await shared.alone(policies=Policies(explain=True))


async def explained(rig: Rig, path: str, how: str = "plan", method: str = "GET", **members: Any) -> Any:
    body = {"schemas": [SEARCH_REQUEST], **members} if method == "POST" else None
    answer = await rig.scim(method, path, body, headers={HEADER: how})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    for secret in (*SECRETS, rig.token):
        assert secret not in answer.text
    return answer.json()


async def test_a_plan_makes_no_call(asking: Rig) -> None:
    await asking.make()
    found = await explained(asking, '/Users?filter=userName eq "ada"&count=3')
    assert asking.wire.seen() == []
    assert "ran" not in found
    assert "link table" in found["plan"]["source"]
    assert found["plan"]["least_calls"] == 1
    assert all(asking.tenant_id in call["path"] for call in found["plan"]["calls"])


async def test_a_run_tells_its_calls(asking: Rig) -> None:
    await asking.directory.seed_users(asking.tenant_id, 5, SeedPlan())
    asking.wire.reset()
    found = await explained(asking, "/Users?startIndex=2&count=3", "run")
    assert asking.wire.calls == ["GET users", *["GET user"] * 3]
    ran = found["ran"]
    assert (ran["total"], ran["resources"]) == (5, 3)
    assert sorted((c["method"], c["path"], c["status"]) for c in ran["calls"]) == sorted(
        ("GET", r.url.raw_path.decode(), 200) for r in asking.wire.requests
    )
    assert ran["ms"] >= max(call["ms"] for call in ran["calls"]) >= 0
    assert len(ran["calls"]) == found["plan"]["most_calls"]


@pytest.mark.parametrize("how", ["plan", "PLAN", " Run "])
async def test_a_search_request_is_explained_alike(asking: Rig, how: str) -> None:
    await asking.make(title="Countess")
    query: dict[str, Any] = {"filter": 'title eq "x"', "count": 2, "sortBy": "userName"}
    by_get = await explained(asking, "/Users?" + str(httpx.QueryParams(query)), how)
    by_post = await explained(asking, "/Users/.search", how, "POST", **query)
    assert by_get["plan"] == by_post["plan"]
    assert ("ran" in by_get) is ("ran" in by_post) is (how == " Run ")


async def test_pages_by_cursor(asking: Rig) -> None:
    """A run is the run of the page that the cursor stands for."""
    await asking.directory.seed_users(asking.tenant_id, 5, SeedPlan())
    first = (await asking.scim("GET", "/Users?cursor&count=3")).json()
    query = f"/Users?cursor={first['nextCursor']}&count=3"
    assert (await explained(asking, query, "run"))["ran"]["resources"] == 2
    refused = await asking.scim("GET", "/Users?cursor=nonsense", headers={HEADER: "plan"})
    assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidCursor")


@pytest.mark.parametrize("how", ["plan", "run", "nonsense"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_not_everybody_may_ask(rig: Rig, method: str, how: str) -> None:
    await rig.make()
    path = "/Users" if method == "GET" else "/Users/.search"
    body = {"schemas": [SEARCH_REQUEST]} if method == "POST" else None
    answer = await rig.scim(method, path, body, headers={HEADER: how})
    assert answer.status_code == 403
    assert "explain" in answer.json()["detail"]
    assert rig.wire.seen() == []
    # Without the header, or with an empty one, they are answered.
    for headers in ({}, {HEADER: ""}):
        assert (await rig.scim(method, path, body, headers=headers)).json()["totalResults"] == 1


@pytest.mark.parametrize(
    ("how", "query", "kind"),
    [
        ("nonsense", "", "invalidValue"),
        ("plan, run", "", "invalidValue"),
        ("1", "", "invalidValue"),
        ("plan", "?filter=title", "invalidFilter"),
        ("run", "?filter=nobody pr", "invalidFilter"),
        ("plan", "?sortBy=nobody", "invalidPath"),
        ("plan", "?count=x", "invalidValue"),
    ],
)
async def test_what_is_not_explained(asking: Rig, how: str, query: str, kind: str) -> None:
    answer = await asking.scim("GET", f"/Users{query}", headers={HEADER: how})
    assert (answer.status_code, answer.json()["scimType"]) == (400, kind)
    assert asking.wire.seen() == []


async def test_who_is_not_known_is_not_told(asking: Rig) -> None:
    answer = await asking.scim("GET", "/Users", token="scb_" + "x" * 43, headers={HEADER: "plan"})
    assert answer.status_code == 401


async def test_the_same_without_the_header(asking: Rig) -> None:
    user = await asking.make()
    answer = await asking.scim("GET", "/Users")
    assert answer.json()["schemas"] == [LIST_RESPONSE]
    assert [r["id"] for r in answer.json()["Resources"]] == [user["id"]]


async def test_a_run_that_fails_is_an_error(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, policies=Policies(explain=True), scan_limit=2) as rig:
        for name in ("a", "b", "c"):
            await rig.make(userName=name, emails=[{"value": f"{name}@example.com"}])
        path = '/Users?filter=groups.display eq "x"'
        assert (await explained(rig, path))["plan"]["residual"]
        answer = await rig.scim("GET", path, headers={HEADER: "run"})
        assert (answer.status_code, answer.json()["scimType"]) == (400, "tooMany")
