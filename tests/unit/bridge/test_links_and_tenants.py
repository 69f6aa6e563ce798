"""Lookups find everybody, whoever made them, and nobody of another tenant."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bridge_rig import Rig, open_rig, person, values

from app.embedded.seeding import SeedPlan

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def found(rig: Rig, filter: str, **options: Any) -> list[str]:
    answer = await rig.scim("GET", "/Users", params={"filter": filter}, **options)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["totalResults"] == len(body["Resources"])
    return sorted(r["userName"] for r in body["Resources"])


async def test_external_ids_of_users_made_elsewhere(rig: Rig) -> None:
    await rig.create_at_platform(
        "grace@example.com", username="grace", custom_attributes={"scim_external_ids": {"default": "x-1"}}
    )
    assert await found(rig, 'externalId eq "x-1"') == ["grace"]
    assert await found(rig, 'externalId eq "X-1"') == []


async def test_an_external_id_is_not_unique(rig: Rig) -> None:
    await rig.make(externalId="x-1", userName="one", emails=[{"value": "one@x.org"}])
    await rig.make(externalId="x-1", userName="two", emails=[{"value": "two@x.org"}])
    assert await found(rig, 'externalId eq "x-1"') == ["one", "two"]


async def test_everything_is_found_after_the_database_was_lost(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path) as rig:
        await rig.make(externalId="x-1", emails=[{"value": "a@x.org"}, {"value": "b@x.org"}])
    for file in tmp_path.glob("bridge.db*"):  # noqa: ASYNC240 - a few files of a test
        file.unlink()
    async with open_rig(made_once, tmp_path) as rig:
        for filter in ('externalId eq "x-1"', 'userName eq "ada@example.com"', 'emails.value eq "b@x.org"'):
            assert await found(rig, filter) == ["ada@example.com"]


@pytest.mark.parametrize(
    ("email", "username", "asked"),
    [
        ("grace@example.com", "grace", "grace"),
        ("grace@example.com", "Grace", "gRACE"),
        ("grace@example.com", None, "Grace@Example.com"),
        ("o'brien+x@example.com", 'O\'Brien & "Söhne" 100%', 'o\'brien & "söhne" 100%'),
        ("straße@example.com", "Straße", "STRASSE"),
        ("grace@example.com", "back\\slash_%", "BACK\\slash_%"),
        ("grace@example.com", " padded ", " padded "),
        ("grace@example.com", "İstanbul", "İSTANBUL"),
    ],
)
async def test_names_of_users_made_elsewhere(rig: Rig, email: str, username: str | None, asked: str) -> None:
    await rig.create_at_platform(email, username=username)
    text = asked.replace("\\", "\\\\").replace('"', '\\"')
    assert len(await found(rig, f'userName eq "{text}"')) == 1


async def test_users_made_elsewhere_after_the_first_lookup(rig: Rig) -> None:
    assert await found(rig, 'userName eq "grace"') == []
    assert await found(rig, 'emails.value eq "grace@example.com"') == []
    await rig.create_at_platform("grace@example.com", username="grace")
    assert await found(rig, 'userName eq "grace"') == ["grace"]
    assert await found(rig, 'emails[type eq "work" and value eq "GRACE@example.com"]') == ["grace"]
    assert await found(rig, 'emails[type eq "work"].value eq "grace@example.com"') == ["grace"]


async def test_users_renamed_elsewhere(rig: Rig) -> None:
    user = await rig.make()
    await rig.change_at_platform(user["id"], username="lady", email="lady@example.com")
    assert await found(rig, 'userName eq "ada@example.com"') == []
    assert await found(rig, 'emails.value eq "ada@example.com"') == []
    assert await found(rig, 'userName eq "lady"') == ["lady"]
    assert await found(rig, 'emails.value eq "lady@example.com"') == ["lady"]
    again = await rig.make()
    assert await found(rig, 'userName eq "ada@example.com"') == [again["userName"]]


async def test_users_deleted_elsewhere(rig: Rig) -> None:
    user = await rig.make(externalId="x-1")
    await rig.platform.delete(
        f"/api/v1/tenants/{rig.tenant_id}/users/{user['id']}", params={"confirm_email": "ada@example.com"}
    )
    for filter in (
        'userName eq "ada@example.com"',
        'externalId eq "x-1"',
        'emails.value eq "ada@example.com"',
    ):
        assert await found(rig, filter) == []
    assert (await rig.scim("GET", f"/Users/{user['id']}")).status_code == 404


async def test_disabled_users_are_found(rig: Rig) -> None:
    await rig.make(active=False, externalId="x-1")
    assert await found(rig, 'userName eq "ada@example.com"') == ["ada@example.com"]
    assert await found(rig, 'externalId eq "x-1" and active eq false') == ["ada@example.com"]
    assert await found(rig, "active eq false") == ["ada@example.com"]
    assert await found(rig, "active eq true") == []


async def test_a_new_external_id_takes_the_place_of_the_old(rig: Rig) -> None:
    user = await rig.make(externalId="x-1")
    assert await found(rig, 'externalId eq "x-1"') == ["ada@example.com"]
    await rig.patch(user["id"], {"op": "replace", "path": "externalId", "value": "x-2"})
    assert await found(rig, 'externalId eq "x-1"') == []
    assert await found(rig, 'externalId eq "x-2"') == ["ada@example.com"]


async def test_many_lookups_share_the_first_reading(rig: Rig) -> None:
    for n in range(10):
        await rig.create_at_platform(
            f"u{n}@x.org", custom_attributes={"scim_external_ids": {"default": f"x-{n}"}}
        )
    rig.wire.reset()
    names = await asyncio.gather(*(found(rig, f'externalId eq "x-{n}"') for n in range(10)))
    assert names == [[f"u{n}@x.org"] for n in range(10)]
    # Two passes: the second shows that nobody slipped through between two pages of the first.
    assert rig.wire.seen().count("GET users") == 2


async def test_a_large_tenant_asks_for_patience_and_goes_on(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, link_wait_s=0.000001) as rig:
        await rig.directory.seed_users(rig.tenant_id, 30, SeedPlan())
        answer = await rig.scim("GET", '/Users?filter=externalId eq "x"')
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        for _ in range(200):
            answer = await rig.scim("GET", '/Users?filter=externalId eq "x"')
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.05)
        assert answer.json()["totalResults"] == 0


async def test_domains_of_one_tenant(rig: Rig, shared: Rig) -> None:
    name = rig.tenant_id
    okta = await rig.connection(f"{name}-okta", domain="okta")
    entra = await rig.connection(f"{name}-entra", domain="entra")
    made = await rig.scim("POST", "/Users", person(externalId="o-1"), token=okta)
    read = (await rig.scim("GET", f"/Users/{made.json()['id']}", token=entra)).json()
    assert "externalId" not in read
    await rig.scim("PUT", f"/Users/{read['id']}", {**read, "externalId": "e-1"}, token=entra)
    assert await found(rig, 'externalId eq "o-1"', token=okta) == ["ada@example.com"]
    assert await found(rig, 'externalId eq "o-1"', token=entra) == []
    assert await found(rig, 'externalId eq "e-1"', token=entra) == ["ada@example.com"]
    assert await found(rig, 'externalId eq "e-1"', token=okta) == []
    removed = await rig.patch(read["id"], {"op": "remove", "path": "externalId"}, token=okta)
    assert "externalId" not in removed.json()
    assert await found(rig, 'externalId eq "e-1"', token=entra) == ["ada@example.com"]


# --- tenants ---------------------------------------------------------------------------------------------


async def test_tenants_never_see_each_other(rig: Rig, shared: Rig) -> None:
    theirs = await shared.alone()
    user = await theirs.make(externalId="x-1", title="Secret")
    assert (await rig.scim("GET", f"/Users/{user['id']}")).status_code == 404
    for method, body in [
        ("PUT", {**user, "title": "Mine"}),
        ("PATCH", {"Operations": [{"op": "replace", "path": "title", "value": "Mine"}]}),
        ("DELETE", None),
    ]:
        answer = await rig.scim(method, f"/Users/{user['id']}", body)
        assert answer.status_code == 404
        assert "ada" not in answer.text
    for filter in (
        f'id eq "{user["id"]}"',
        'userName eq "ada@example.com"',
        'externalId eq "x-1"',
        'emails.value eq "ada@example.com"',
        'title eq "Secret"',
        'userName pr or externalId eq "x-1"',
        f'id eq "{user["id"]}" or userName eq "ada@example.com"',
        'not (userName eq "x")',
    ):
        assert await found(rig, filter) == []
    assert list(values(await rig.scim("GET", "/Users"))) == []
    mine = await rig.make(externalId="x-1")
    assert mine["id"] != user["id"]
    assert await found(theirs, 'externalId eq "x-1"') == ["ada@example.com"]
    assert (await theirs.scim("GET", f"/Users/{user['id']}")).json()["title"] == "Secret"


@pytest.mark.parametrize(
    "template",
    ["../{t}/users/{u}", "..%2F{t}%2Fusers%2F{u}", "%2e%2e/{t}/users/{u}", "{u}/../{u}", "{u}%00", "{u}/"],
)
async def test_hostile_ids_reach_no_other_tenant(rig: Rig, shared: Rig, template: str) -> None:
    theirs = await shared.alone()
    user = await theirs.make()
    path = template.format(t=theirs.tenant_id, u=user["id"])
    for method in ("GET", "DELETE"):
        answer = await rig.scim(method, f"/Users/{path}")
        assert answer.status_code in (404, 405)
    for text in (path, f"../../{theirs.tenant_id}/users/{user['id']}"):
        assert await found(rig, f'id eq "{text}"') == []
    assert await theirs.at_platform(user["id"]) is not None
