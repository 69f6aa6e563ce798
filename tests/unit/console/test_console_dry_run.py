"""The page for dry runs: a batch as a preview, which changes nothing; and the story of one in the trail."""

from __future__ import annotations

import asyncio
import html
import json
from typing import Any

import httpx
import pytest
from bridge_rig import PATCH_OP, person
from console_rig import ConsoleRig
from rehearsing import HEADER, still, writes

from app.store.audit_records import AuditFilter
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFF = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "active", "value": False}]}


def shown(answer: httpx.Response) -> str:
    """What a person reads."""
    return html.unescape(answer.text)


async def previewed(console: ConsoleRig, requests: Any, **headers: str) -> httpx.Response:
    connection = await console.connection()
    browser = await console.signed_in("viewer")
    browser.headers.update(headers)
    text = requests if isinstance(requests, str) else "\n".join(map(json.dumps, requests))
    console.rig.wire.reset()
    answer = await browser.send_form("/console/dry-run", connection=connection.id, requests=text)
    assert writes(console.rig.wire.requests) == []
    return answer


async def test_a_batch_is_previewed(console: ConsoleRig) -> None:
    user = await console.rig.make()
    answer = await previewed(
        console,
        [
            {"method": "PATCH", "path": f"/Users/{user['id']}", "data": OFF},
            {"method": "POST", "path": "/Users", "data": person()},
            {"method": "POST", "path": "/Users", "bulkId": "eve", "data": person(userName="e", emails=None)},
            {"method": "PATCH", "path": "/Users/bulkId:eve", "data": OFF},
            {"method": "DELETE", "path": "/Users/usr_nobody"},
            {"method": "PUT", "path": f"/scim/v2/Users/{user['id']}", "data": person(active=False)},
        ],
    )
    page = shown(answer)
    assert answer.status_code == 200
    for part in (
        "<dt>Would change something</dt><dd>1</dd>",
        "<dt>Would change nothing</dt><dd>1</dd>",
        "<dt>Would be refused</dt><dd>4</dd>",
        f"/users/{user['id']}/status",
        '"status": "DISABLED"',
        "<strong>conflict:</strong>",
        "The name belongs to another user or group",
        "/Users/bulkId:eve",
        "usr_nobody",
    ):
        assert part in page, part
    assert (await console.rig.at_platform(user["id"]) or {})["status"] == "ACTIVE"


async def test_a_part_of_the_page_and_secrets(console: ConsoleRig) -> None:
    requests = [{"method": "POST", "path": "/Users", "data": person(password="Geheim-Geheim-99")}]
    answer = await previewed(console, requests, **{"hx-request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert "Previewed: 0 of 1 would be refused." in answer.text
    assert "Geheim" not in answer.text


@pytest.mark.parametrize(
    ("requests", "part"),
    [
        ("", "There is no request"),
        ("nonsense", "This is not JSON"),
        ('{"method": "DELETE", "path": "/Users/a"}\nnonsense', "Line 2 is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "Operations must be an array"),
        ("7", "Operations[0] must be"),
    ],
)
async def test_what_is_no_batch_is_refused(console: ConsoleRig, requests: str, part: str) -> None:
    answer = await previewed(console, requests)
    assert part in shown(answer), answer.text
    assert answer.status_code == (200 if part.startswith("Operations[0]") else 422)


async def test_the_page_of_a_request_that_was_a_dry_run(console: ConsoleRig) -> None:
    rig = await still(console.rig, Policies(dry_run=True))
    answer = await rig.scim("POST", "/Users", person(active=False), headers=HEADER)
    found = AuditFilter(text=answer.headers["x-correlation-id"])
    for _ in range(1000):
        records = (await rig.store.audit.page(found)).records
        if records:
            break
        await asyncio.sleep(0.01)
    browser = await console.signed_in()
    page = shown(await browser.get(f"/console/requests/{records[0].id}"))
    assert "Nothing was changed" in page
    assert "Calls that were not made" in page
    assert "/users/dry-run-user-1/status" in page
    assert "To be changed" in page
