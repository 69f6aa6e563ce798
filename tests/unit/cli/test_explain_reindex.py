"""`scim-bridge explain` and `scim-bridge reindex`, over the embedded platform and without a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Place, Run, done, one_line

from app.store.index_records import Sweep, View
from app.web.contexts import resolve
from app.web.services import Services

USERS = 3


async def view_of(services: Services) -> View:
    (connection,) = await services.store.connections.list()
    return await services.indexing.view(resolve(connection, "", None))


async def read_view(services: Services) -> tuple[View, int]:
    view = await view_of(services)
    return view, (await services.store.index.stats(view.id)).users


# --- explain ------------------------------------------------------------------------------------------------


def test_a_search_in_words(run: Run, place: Place) -> None:
    out = done(place, run("explain", 'userName eq "ada"'))
    lines = out.splitlines()
    assert lines[0].startswith('users  who has the userName "ada"')
    assert any(line.startswith("call") and f"/tenants/{place.tenant_id}/users" in line for line in lines)
    assert any(line.startswith("cost   1 or more") for line in lines)
    assert not any(line.startswith("ran") for line in lines)


def test_a_search_that_the_index_answers_after_a_reindex(run: Run, place: Place) -> None:
    filter = 'title sw "x" or name.familyName co "a"'
    before = json.loads(done(place, run("explain", filter, "--json")))
    assert before["plan"]["residual"] == filter
    assert "ran" not in before
    done(place, run("reindex"))
    after = json.loads(done(place, run("explain", filter, "--json", "--count", "7")))
    assert "residual" not in after["plan"]
    assert "index" in after["plan"]["source"]
    assert after["plan"]["most_calls"] == 7


def test_a_search_that_is_run(run: Run, place: Place) -> None:
    out = done(place, run("explain", "--run", "--count", "2"))
    assert f"ran    {USERS} in all, 2 on the page" in out
    assert out.count("GET /api/v1/tenants/") >= 3
    ran = json.loads(done(place, run("explain", "--run", "--json", "--count", "2")))["ran"]
    assert (ran["total"], ran["resources"]) == (USERS, 2)
    assert [call["status"] for call in ran["calls"]] == [200] * 3
    only = json.loads(done(place, run("explain", "--run", "--json", "--attributes", "id,active")))
    assert len(only["ran"]["calls"]) == only["plan"]["most_calls"] == 1


def test_order_and_window(run: Run, place: Place) -> None:
    done(place, run("reindex"))
    options = ["--sort-by", "userName", "--descending", "--start-index", "2", "--count", "1"]
    found = json.loads(done(place, run("explain", "--run", "--json", *options)))
    assert "descending" in found["plan"]["order"]
    assert (found["ran"]["total"], found["ran"]["resources"]) == (USERS, 1)
    assert len(found["ran"]["calls"]) == 1


def test_json_is_what_was_asked_for(run: Run, place: Place) -> None:
    """Not a terminal's idea of it: neither pictures for words between colons nor markup."""
    value = "[b]:smile:[/b]"
    found = json.loads(done(place, run("explain", f'title eq "{value}"', "--json")))
    assert found["plan"]["residual"] == f'title eq "{value}"'
    assert value in done(place, run("explain", f'title eq "{value}"'))


def test_a_patch(run: Run, place: Place, tmp_path: Path) -> None:
    listed = json.loads(done(place, run("explain", "--run", "--json", "--count", "1")))
    path = listed["ran"]["calls"][-1]["path"]
    user = path.rpartition("/")[2].partition("?")[0]
    body: dict[str, Any] = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {"op": "replace", "path": "title", "value": "Countess"},
            {"op": "replace", "path": "active", "value": False},
        ],
    }
    file = tmp_path / "patch.json"
    file.write_text(json.dumps(body))
    found = json.loads(done(place, run("explain", "--patch", str(file), "--user", user, "--json")))["plan"]
    assert [call["method"] for call in found["calls"]] == ["GET", "PATCH", "PUT"]
    assert found["least_calls"] == found["most_calls"] == 3
    assert "Countess" not in json.dumps(found)
    # Nothing was done.
    again = done(place, run("explain", "--patch", str(file), "--user", user))
    assert "PATCH" in again
    body["Operations"] = [{"op": "replace", "path": "active", "value": True}]
    file.write_text(json.dumps(body))
    out = done(place, run("explain", "--patch", str(file), "--user", user))
    assert "nothing differs" in out
    body["Operations"] = [{"op": "replace", "path": "userName", "value": "renamed"}]
    file.write_text(json.dumps(body))
    found = json.loads(done(place, run("explain", "--patch", str(file), "--user", user, "--json")))["plan"]
    assert any("search=renamed" in str(call) or "renamed" in str(call) for call in found["calls"])
    assert found["calls"][-1]["method"] == "PATCH"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["title"], ["filter"]),
        (["nobody pr"], ["nobody"]),
        (["", "--sort-by", "userName"], ["empty"]),
        (["--sort-by", "nobody"], ["nobody"]),
        (["--count", "x"], []),
        (["--connection", "nobody"], ["nobody"]),
        (["--patch", "p.json"], ["--user"]),
        (["--user", "usr_1"], ["--patch"]),
        (["--patch", "absent.json", "--user", "usr_1"], ["absent.json"]),
        (["--patch", "absent.json", "--user", "usr_1", "--run"], ["--run"]),
        (["title pr", "--patch", "absent.json", "--user", "usr_1"], ["filter"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_explained(run: Run, place: Place, arguments: list[str], parts: list[str]) -> None:
    result = run("explain", *arguments)
    if arguments[0] == "--count":
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
    else:
        one_line(result, *parts)


@pytest.mark.parametrize("user", ["usr_nobody", "../../other/users/x", "..", "a b", ""])
@pytest.mark.parametrize("body", ['{"Operations": [{"op": "remove", "path": "title"}]}', "{", "[]"])
def test_a_patch_that_cannot_be_explained(
    run: Run, place: Place, tmp_path: Path, user: str, body: str
) -> None:
    file = tmp_path / "patch.json"
    file.write_text(body)
    one_line(
        run("explain", "--patch", str(file), "--user", user), "does not exist" if body[:2] == '{"' else ""
    )


def test_which_connection(run: Run, place: Place) -> None:
    assert run("connection", "add", "other", "--tenant", place.tenant_id).returncode == 0
    one_line(run("explain"), "--connection", "demo", "other")
    done(place, run("explain", "--connection", "other"))


def test_without_a_platform(run: Run) -> None:
    for command in ("explain", "reindex"):
        one_line(run(command), "scim-bridge serve", "SCIM_BRIDGE_PLATFORM_URL")


# --- reindex ------------------------------------------------------------------------------------------------


def test_everybody_is_read(run: Run, place: Place) -> None:
    out = done(place, run("reindex"))
    assert f"{USERS}/{USERS}" in out
    view, users = place.do(read_view)
    assert users == USERS
    assert view.complete_since is not None
    assert view.sweep is None
    done(place, run("reindex", "demo", "--rate", "1000"))
    again, _ = place.do(read_view)
    assert again.id == view.id
    assert again.complete_since == view.complete_since
    assert again.refreshed_at is not None
    assert view.refreshed_at is not None
    assert again.refreshed_at > view.refreshed_at


def test_a_full_reading_is_not_what_is_left_of_another(run: Run, place: Place) -> None:
    done(place, run("reindex"))

    async def leave(services: Services) -> View:
        view = await view_of(services)
        assert view.swept_at is not None
        place = Sweep(number=view.sweeps + 1, full=False, started_at=view.swept_at, page=1)
        await services.store.index.save(view.id, sweep=place)
        return view

    before = place.do(leave)
    done(place, run("reindex"))
    view, _ = place.do(read_view)
    assert view.refreshed_at is not None
    assert before.refreshed_at is not None
    assert view.refreshed_at > before.refreshed_at
    # Nor is it in the way of emptying.
    place.do(leave)
    done(place, run("reindex", "--empty"))
    assert place.do(read_view)[0].id != view.id


def test_the_index_is_emptied_first(run: Run, place: Place) -> None:
    done(place, run("reindex"))
    view, _ = place.do(read_view)
    done(place, run("reindex", "--empty"))
    again, users = place.do(read_view)
    assert again.id != view.id
    assert users == USERS
    assert again.complete_since is not None


def test_an_emptied_index_that_is_being_filled_is_gone_on_with(run: Run, place: Place) -> None:
    async def begin(services: Services) -> View:
        view = await view_of(services)
        assert view.complete_since is None
        started_at = services.sweeper.now()
        await services.store.index.save(view.id, sweep=Sweep(number=1, full=True, started_at=started_at))
        return view

    view = place.do(begin)
    done(place, run("reindex", "--empty"))
    again, users = place.do(read_view)
    assert (again.id, users, again.sweeps) == (view.id, USERS, 1)


def test_a_tenant_that_is_being_swept(run: Run, place: Place) -> None:
    async def meanwhile(services: Services) -> None:
        view = await view_of(services)
        async with services.store.leases.try_hold(f"{view.tenant_id} sweep {view.id}", 60):
            one_line(await asyncio.to_thread(run, "reindex"), "sweeping")

    place.do(meanwhile)


@pytest.mark.parametrize(
    ("arguments", "part"), [(["nobody"], "nobody"), (["--rate", "0"], "SCIM_BRIDGE_INDEX_RATE")]
)
def test_what_cannot_be_read(run: Run, place: Place, arguments: list[str], part: str) -> None:
    result = run("reindex", *arguments)
    one_line(result, part)


def test_a_platform_that_fails(run: Run, place: Place) -> None:
    """What is not there refuses at once; the command says how to go on."""
    options = {
        "SCIM_BRIDGE_PLATFORM_URL": "http://127.0.0.1:9",
        "SCIM_BRIDGE_PLATFORM_CLIENT_ID": "x",
        "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET": "geheim-genug",
    }
    result = run("reindex", **options)
    one_line(result, "run the command again")
    assert "geheim-genug" not in result.stderr
    one_line(run("explain", "--run", **options), "the platform failed")
    done(place, run("explain", "title pr", **options))
