"""The examination of a platform: each thing that can differ is told, with the line that sets it right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.asgi import open_services
from app.bridge.context import Context
from app.bridge.doctor.findings import Finding
from app.config import Settings
from app.embedded import Directory, PlatformSettings, create_platform
from app.platform.transport import in_process_transport
from app.web.contexts import resolve
from app.web.services import Services
from app.wire.users import UserCreate, UserUpdate

DEFAULT = Path(__file__).parents[3] / "mappings" / "default.toml"
PEOPLE = ("Amelia", "Bertil", "Chandra", "Dimitri")

Answer = Callable[[httpx.Request, httpx.Response], httpx.Response]


class Changed(httpx.AsyncBaseTransport):
    """The embedded platform, with some of its answers changed."""

    def __init__(self, platform: Any, change: Answer) -> None:
        self._inner = in_process_transport(platform)
        self._change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        return self._change(request, answer)


def as_it_is(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    return answer


@asynccontextmanager
async def examined(
    place: Path,
    *,
    settings: PlatformSettings = PlatformSettings(),  # noqa: B008 - frozen
    mapping: tuple[str, str] = ("", ""),
    change: Answer = as_it_is,
    scopes: tuple[str, ...] = ("admin:read", "admin:write"),
    people: tuple[str, ...] = PEOPLE,
) -> AsyncIterator[tuple[Services, Context]]:
    """Services over a platform with a few people and a group, under a mapping with one text replaced."""
    old, new = mapping
    text = DEFAULT.read_text()
    assert old in text
    file = place / "mapping.toml"
    file.write_text(text.replace(old, new))
    async with Directory(place / "platform.db", settings) as directory:
        tenant_id = await directory.ensure_tenant("t", "T")
        app = await directory.create_app(None, scopes, "bridge")
        if people:
            await _settle(place, settings, directory, tenant_id, people)
    platform = create_platform(place / "platform.db", settings)
    configured = Settings(
        data_dir=str(place),
        platform_client_id=app.client_id,
        platform_client_secret=app.client_secret,
        platform_scope=" ".join(scopes),
    )
    transport = Changed(platform, change)
    async with open_services(configured, embedded=platform, transport=transport) as services:
        made = await services.store.connections.add(name="c", tenant_id=tenant_id, mapping=str(file))
        yield services, resolve(made, "", None)


async def _settle(
    place: Path, settings: PlatformSettings, directory: Directory, tenant_id: str, people: tuple[str, ...]
) -> None:
    app = await directory.create_app(None, ("admin:read", "admin:write"), "setup")
    platform = create_platform(place / "platform.db", settings)
    configured = Settings(
        data_dir=str(place / "setup"),
        platform_client_id=app.client_id,
        platform_client_secret=app.client_secret,
    )
    async with open_services(configured, embedded=platform) as services:
        client, groups = services.doctor._platform, services.doctor._groups
        ids = []
        for number, name in enumerate(people):
            email = f"{name.lower()}@example.com"
            user = UserCreate(
                email=email, username=email, first_name=name, last_name="Lindqvist", display_name=f"{name}son"
            )
            made = await client.create_user(tenant_id, user)
            ids.append(made.id)
            if number == 0:
                await client.update_user(tenant_id, made.id, UserUpdate(phone="+46 8 123"))
        group = await groups.create(tenant_id, "Engineering")
        await groups.add(tenant_id, group.id, tuple(ids[:1]))


async def findings(services: Services, context: Context, *, write: bool = False) -> dict[str, Finding]:
    return {f.name: f async for f in services.doctor.examine(context, write=write)}


async def users_and_groups(services: Services, context: Context) -> tuple[set[str], int]:
    rows = await services.doctor._platform.list_users(context.tenant_id, {"page": 1, "per_page": 50})
    groups = await services.doctor._groups.list(context.tenant_id, {"page": 1, "per_page": 50})
    return {row.email for row in rows.data}, groups.pagination.total_items


async def test_a_platform_that_is_as_declared_is_well(tmp_path: Path) -> None:
    async with examined(tmp_path) as (services, context):
        before = await users_and_groups(services, context)
        found = await findings(services, context, write=True)
        assert {f.name: f for f in found.values() if f.state in ("differs", "failed")} == {}
        told = {"platform", "per_page_max", "default_sort", "list_fields", "sort meta.created", "search"}
        told |= {"unknown id", "groups", "group_search", "groups of a user", "creation", "duplicate", "PATCH"}
        told |= {"merges_custom_attributes", "status", "members", "group name", "deletion"}
        assert {name for name in told if found[name].state != "ok"} == set()
        assert await users_and_groups(services, context) == before


async def test_nothing_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    methods: set[str] = set()

    def note(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if "token" not in request.url.path:
            methods.add(request.method)
        return answer

    async with examined(tmp_path, change=note) as (services, context):
        await findings(services, context)
    assert methods == {"GET"}


@pytest.mark.parametrize(
    ("settings", "name", "state", "line"),
    [
        (PlatformSettings(per_page_max=50), "per_page_max", "differs", "per_page_max = 50"),
        (PlatformSettings(per_page_max=500), "per_page_max", "hint", "per_page_max = 500"),
        (
            PlatformSettings(groups_need_include=True),
            "groups of a user",
            "differs",
            "SCIM_BRIDGE_PLATFORM_USER_INCLUDE=groups",
        ),
        (
            PlatformSettings(merge_custom_attributes=True),
            "merges_custom_attributes",
            "hint",
            "merges_custom_attributes = true",
        ),
        (PlatformSettings(direct_reset_method="SET"), "password_reset_method", "differs", None),
        (PlatformSettings(keep_deleted_names_taken=True), "deletion", "hint", None),
    ],
    ids=["smaller pages", "larger pages", "include", "merging", "reset method", "names kept"],
)
async def test_another_platform_is_told_apart(
    tmp_path: Path, settings: PlatformSettings, name: str, state: str, line: str | None
) -> None:
    async with examined(tmp_path, settings=settings) as (services, context):
        found = (await findings(services, context, write=True))[name]
    assert found.state == state
    assert [told.text for told in found.lines] == ([] if line is None else [line])


@pytest.mark.parametrize(
    ("mapping", "name", "state", "line"),
    [
        (
            ('"meta.created" = "created_at"', '"meta.created" = "created_at"\n"userName" = "rank"'),
            "sort userName",
            "differs",
            '# without "userName"',
        ),
        (
            ('"meta.created" = "created_at"', '"meta.created" = "created_at"\n"title" = "created_at"'),
            "sort title",
            "ok",
            None,
        ),
        (
            ("[platform.narrows]", '[platform.narrows]\n"name.givenName" = "ou_id"'),
            "filter name.givenName",
            "differs",
            '# without "name.givenName"',
        ),
        (
            ("group_search = true", "group_search = false"),
            "group_search",
            "hint",
            "group_search = true",
        ),
        (('"mfa_enabled", "last_login_at"]', '"mfa_enabled"]'), "list_fields", "hint", None),
        (
            ('search = ["email", "username",', 'search = ["email", "phone", "username",'),
            "search",
            "unknown",
            None,
        ),
    ],
    ids=["no such order", "all alike", "filter", "group search", "row fields", "search"],
)
async def test_a_mapping_that_says_something_else_is_told(
    tmp_path: Path, mapping: tuple[str, str], name: str, state: str, line: str | None
) -> None:
    async with examined(tmp_path, mapping=mapping) as (services, context):
        found = (await findings(services, context))[name]
    if name == "search":
        # The phone number begins with a sign that is not searched for: nobody tells.
        assert found.state == "ok"
        assert "phone" in found.found
        return
    assert found.state == state
    if line is not None:
        assert [told.text for told in found.lines] == [line]


async def test_an_order_that_is_not_that_of_scim_is_told(tmp_path: Path) -> None:
    mapping = ('"meta.created" = "created_at"', '"name.givenName" = "created_at"')
    async with examined(tmp_path, mapping=mapping, people=("Zoe", "Adam")) as (services, context):
        assert (await findings(services, context))["sort name.givenName"].state == "differs"


async def test_rows_that_say_less_than_declared_are_told(tmp_path: Path) -> None:
    def without_status(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith("/users") or answer.status_code != 200:
            return answer
        body = answer.json()
        for row in body["data"]:
            row["ou_path"] = "/elsewhere"
        return httpx.Response(answer.status_code, json=body)

    async with examined(tmp_path, change=without_status) as (services, context):
        found = (await findings(services, context))["list_fields"]
    assert found.state == "differs"
    assert "ou_path" not in found.lines[0].text


async def test_a_page_that_is_cut_short_in_silence_is_told(tmp_path: Path) -> None:
    def at_most_two(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith("/users") or answer.status_code != 200:
            return answer
        body = answer.json()
        body["data"] = body["data"][:2]
        return httpx.Response(answer.status_code, json=body)

    async with examined(tmp_path, change=at_most_two) as (services, context):
        assert (await findings(services, context))["per_page_max"].state == "failed"


async def test_a_404_of_another_form_is_told(tmp_path: Path) -> None:
    def of_a_proxy(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(404, text="<h1>404</h1>") if answer.status_code == 404 else answer

    async with examined(tmp_path, change=of_a_proxy) as (services, context):
        assert (await findings(services, context))["unknown id"].state == "failed"


async def test_a_platform_without_groups_is_told(tmp_path: Path) -> None:
    def no_groups(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(404, text="nothing here") if "/groups" in request.url.path else answer

    async with examined(tmp_path, change=no_groups) as (services, context):
        found = (await findings(services, context))["groups"]
    assert found.state == "failed"
    assert any("--local-groups" in line.text for line in found.lines)


async def test_a_client_that_may_only_read_is_told_when_it_is_to_write(tmp_path: Path) -> None:
    async with examined(tmp_path, scopes=("admin:read",)) as (services, context):
        found = await findings(services, context, write=True)
    assert found["writes"].state == "failed"
    assert found["platform"].state == "ok"


async def test_what_was_made_is_removed_also_where_a_check_fails(tmp_path: Path) -> None:
    failing = False

    def fails(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(403, json={"detail": "no"}) if failing and request.method == "PUT" else answer

    async with examined(tmp_path, change=fails) as (services, context):
        before = await users_and_groups(services, context)
        failing = True
        assert (await findings(services, context, write=True))["writes"].state == "failed"
        assert await users_and_groups(services, context) == before


async def test_a_tenant_with_nobody_leaves_questions_open(tmp_path: Path) -> None:
    async with examined(tmp_path, people=()) as (services, context):
        found = await findings(services, context)
    assert {"search", "list_fields", "groups of a user"} <= {
        n for n, f in found.items() if f.state == "unknown"
    }
    assert not [f for f in found.values() if f.state == "failed"]
