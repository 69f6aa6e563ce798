"""The mapping's try-out and the explainer, as pages and as parts of one."""

from __future__ import annotations

import html
import json
from typing import Any

import httpx
import pytest
from bridge_rig import PATCH_OP, answers, person
from console_rig import ConsoleRig

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTMX = {"hx-request": "true"}
HOSTILE = "</textarea><script>alert(1)</script>"


def shown(answer: httpx.Response) -> str:
    """What a person reads."""
    return html.unescape(answer.text)


async def tried(console: ConsoleRig, direction: str, document: Any, **headers: str) -> httpx.Response:
    connection = await console.connection()
    browser = await console.signed_in()
    browser.headers.update(headers)
    text = document if isinstance(document, str) else json.dumps(document)
    return await browser.send_form(
        f"/console/mapping/{connection.id}/try", direction=direction, document=text
    )


async def test_the_mapping_is_a_table(console: ConsoleRig) -> None:
    connection = await console.connection()
    browser = await console.signed_in()
    page = shown(await browser.get(f"/console/mapping/{connection.id}"))
    for part in (
        "userName",
        "username",
        "email where it is null",
        "disable_to",
        '"DISABLED"',
        "per_page_max",
    ):
        assert part in page


async def test_a_scim_user_is_shown_as_the_platform_has_it(console: ConsoleRig) -> None:
    answer = await tried(console, "scim", person(title="Countess", active=False, password="Geheim-99"))
    page = shown(answer)
    assert answer.status_code == 200
    for part in ('"first_name": "Ada"', '"title": "Countess"', "POST the user", "PUT the status"):
        assert part in page
    assert '"status": "DISABLED"' in page
    # The form is filled with what was pasted; the result does not repeat the password.
    assert page.count("Geheim-99") == 1


async def test_a_round_trip_that_changes_nothing_says_so(console: ConsoleRig) -> None:
    document = person(active=True, displayName="Ada L")
    document["name"]["formatted"] = "Ada Lovelace"
    answer = await tried(console, "scim", document, **HTMX)
    assert answer.status_code == 200
    assert "What comes back is what you pasted" in answer.text
    assert "<html" not in answer.text


async def test_a_platform_user_is_shown_as_scim_has_it(console: ConsoleRig) -> None:
    user = {
        "id": "usr_1",
        "email": "ada@example.com",
        "first_name": "Ada",
        "status": "LOCKED",
        "created_at": "2026-01-01T00:00:00",
        "avatar_url": "https://x.test/a.png",
        "custom_attributes": {"title": "Countess", "foreign": 1},
    }
    for document in (user, {"data": user}):
        page = shown(await tried(console, "platform", document, **HTMX))
        for part in (
            '"givenName": "Ada"',
            '"userName": "ada@example.com"',
            '"active": true',
            "changes nothing",
        ):
            assert part in page
        # Nothing of SCIM holds it, so a new user would not have it.
        assert "custom_attributes.foreign" in page


@pytest.mark.parametrize(
    ("direction", "document", "part"),
    [
        ("scim", "", "nothing to read"),
        ("scim", "{", "not JSON"),
        ("scim", "[]", "object"),
        ("scim", '{"userName": 7, "userName": 8}', ""),
        ("scim", '{"emails": [{"value": "x"}]}', "userName"),
        ("scim", '{"userName": "nobody"}', "emails"),
        ("scim", "[" * 5000, "deep"),
        ("scim", '{"userName":"a@b.c","x":' + '{"x":' * 3000 + "1" + "}" * 3001, ""),
        ("platform", "{}", "not a user of the platform"),
        ("platform", '{"id": 1}', "not a user of the platform"),
        ("platform", "null", "not a user of the platform"),
    ],
)
async def test_what_cannot_be_translated_says_why(
    console: ConsoleRig, direction: str, document: str, part: str
) -> None:
    for headers in (HTMX, {}):
        answer = await tried(console, direction, document, **headers)
        assert answer.status_code == 422, answer.text
        assert part in shown(answer)
        assert 'class="notice bad"' in answer.text


async def test_what_was_pasted_is_text(console: ConsoleRig) -> None:
    for direction, document in (
        ("scim", person(displayName=HOSTILE)),
        ("scim", HOSTILE),
        ("platform", {"id": "u", "email": HOSTILE, "status": HOSTILE, "created_at": HOSTILE}),
    ):
        answer = await tried(console, direction, document)
        assert "<script>alert" not in answer.text
        assert HOSTILE in html.unescape(shown(answer)).replace("\\/", "/")


async def test_an_unknown_direction_is_refused(console: ConsoleRig) -> None:
    assert (await tried(console, "sideways", {})).status_code == 422


async def explained(console: ConsoleRig, what: str, **fields: str) -> httpx.Response:
    connection = await console.connection()
    browser = await console.signed_in()
    return await browser.send_form(f"/console/explain/{what}", connection=connection.id, **fields)


async def test_a_search_is_explained_and_run(console: ConsoleRig) -> None:
    made = await console.rig.make()
    answer = await explained(
        console, "search", filter='userName eq "ada@example.com"', count="10", start_index="1", run="on"
    )
    page = shown(answer)
    assert answer.status_code == 200
    assert "by the link table" in page
    assert "1 in all, 1 on the page" in page
    assert made["id"] in page
    assert 'userName eq "ada@example.com"' in page


async def test_a_search_that_is_only_explained_reads_nobody(console: ConsoleRig) -> None:
    await console.rig.make()
    page = shown(await explained(console, "search", filter='title eq "x"', sort_by="title", descending="on"))
    assert "title descending" in page
    assert "What it came to" not in page
    assert [call for call in console.rig.wire.seen() if call == "GET user"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"filter": "userName eq"},
        {"filter": f'nobody{HOSTILE} eq "x"'},
        {"filter": "", "count": "many"},
        {"filter": "", "start_index": "1.5"},
        {"filter": "", "sort_by": "nobody"},
        {"filter": "(" * 5000},
    ],
)
async def test_a_search_that_cannot_be_read_says_why(console: ConsoleRig, fields: dict[str, str]) -> None:
    answer = await explained(console, "search", **fields)
    assert answer.status_code == 422
    assert 'class="notice bad"' in answer.text
    assert "<script>alert" not in answer.text


async def test_a_patch_is_explained_and_not_made(console: ConsoleRig) -> None:
    made = await console.rig.make()
    body = {
        "schemas": [PATCH_OP],
        "Operations": [
            {"op": "replace", "path": "title", "value": "Countess"},
            {"op": "replace", "path": "active", "value": False},
        ],
    }
    page = shown(await explained(console, "patch", user=made["id"], patch=json.dumps(body)))
    assert "PATCH" in page
    assert "status: DISABLED" in page
    assert console.rig.wire.seen() == ["GET user"]
    assert "Countess" in page


@pytest.mark.parametrize(
    ("user", "patch"),
    [("usr_nobody", "{}"), ("usr_nobody", "{"), ("../x", '{"Operations": []}'), ("", "null")],
)
async def test_a_patch_that_cannot_be_says_why(console: ConsoleRig, user: str, patch: str) -> None:
    answer = await explained(console, "patch", user=user, patch=patch)
    assert answer.status_code == 422
    assert 'class="notice bad"' in answer.text


async def test_trouble_at_the_platform_is_told(console: ConsoleRig) -> None:
    made = await console.rig.make()
    body = {"schemas": [PATCH_OP], "Operations": [{"op": "remove", "path": "title"}]}
    console.rig.wire.always("GET user", answers(500))
    try:
        answer = await explained(console, "patch", user=made["id"], patch=json.dumps(body))
    finally:
        console.rig.wire.reset()
    assert answer.status_code == 502
    assert "The platform failed" in answer.text


async def test_a_connection_that_is_gone_is_no_choice(console: ConsoleRig) -> None:
    browser = await console.signed_in()
    answer = await browser.send_form("/console/explain/search", connection="con_nobody")
    assert answer.status_code == 404
    part = await browser.post(
        "/console/explain/search",
        data={"csrf": "wrong"},
        headers=HTMX,
    )
    assert part.status_code == 403
    assert "<html" not in part.text
