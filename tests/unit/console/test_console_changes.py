"""What administrators change: policies, tokens, the journal; and that every change is noted."""

from __future__ import annotations

import asyncio
import html
import re

import pytest
from console_rig import ConsoleRig, csrf_in, hidden_in
from sqlalchemy import text
from test_console_pages import stuck_entry

from app.console.policies import FIELDS, MEANINGS
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = re.compile(r"scb_[A-Za-z0-9_-]{43}")


GUARDED = {
    "deprovision": "delete",
    "guard_limit": "",
    "guard_share": "0.2",
    "guard_window_s": "86400",
    "audit_values": "none",
}
"""Fields as they are unless set."""


async def own_connection(either: ConsoleRig, **policies: object) -> str:
    """A connection of this test alone."""
    name = f"c-{len(await either.store.connections.list())}"
    made = await either.store.connections.add(
        name=name, tenant_id=either.rig.tenant_id, policies=Policies(**policies)
    )
    return made.id


async def noted(
    either: ConsoleRig, subject_id: str
) -> list[tuple[str, str, dict[str, tuple[object, object]]]]:
    """The changes of a subject, newest first: who, what, values."""
    changes = await either.store.admin_changes.list(limit=50, subject_id=subject_id)
    return [(c.admin_label, c.action, {v.name: (v.before, v.after) for v in c.values}) for c in changes]


async def test_policies_are_reviewed_then_changed(either: ConsoleRig) -> None:
    connection_id = await own_connection(either, explain=True, send_welcome_email=True, request_burst=7)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}/policies"
    form = await browser.get(path)
    wanted = {
        "password": "set",
        "explain": "on",
        "terminate_sessions": "on",
        "groups": "local",
        "group_patch": "no-content",
        "search": "indexed",
        "requests_per_second": "2.5",
        "request_burst": "",
        **GUARDED,
        "protected_users": "userName:admin*\r\n\r\n custom:team=security",
    }
    review = await browser.post(f"{path}/review", data={**hidden_in(form.text), **wanted})
    assert review.status_code == 200
    for name in ("password", "send_welcome_email", "groups", "requests_per_second", "request_burst"):
        assert f"policies.{name}" in review.text
    assert "policies.explain" not in review.text
    before = await either.store.connections.get(connection_id)
    assert before is not None
    assert before.policies == Policies(explain=True, send_welcome_email=True, request_burst=7)
    answer = await browser.post(path, data=hidden_in(review.text))
    assert answer.status_code == 303
    after = await either.store.connections.get(connection_id)
    assert after is not None
    assert after.policies == Policies(
        password="set",
        explain=True,
        groups="local",
        requests_per_second=2.5,
        protected_users=("userName:admin*", "custom:team=security"),
    )
    assert await noted(either, connection_id) == [
        (
            "a admin",
            "connection.policies",
            {
                "policies.password": ("ignore", "set"),
                "policies.send_welcome_email": (True, False),
                "policies.groups": ("platform", "local"),
                "policies.requests_per_second": (None, 2.5),
                "policies.protected_users": ([], ["userName:admin*", "custom:team=security"]),
                "policies.request_burst": (7, None),
            },
        )
    ]
    assert "policies.groups" in (await browser.get("/console/changes")).text


async def test_a_review_without_a_difference_offers_no_change(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}/policies"
    fields = {"password": "ignore", "terminate_sessions": "on", "groups": "platform"}
    fields |= {"group_patch": "no-content", "search": "indexed", **GUARDED}
    form = await browser.get(path)
    review = await browser.post(f"{path}/review", data={**hidden_in(form.text), **fields})
    assert "Nothing differs" in review.text
    assert "Change these policies" not in review.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "maybe"),
        ("search", ""),
        ("requests_per_second", "-1"),
        ("requests_per_second", "nan"),
        ("requests_per_second", "inf"),
        ("requests_per_second", "many"),
        ("request_burst", "0"),
        ("request_burst", "1.5"),
        ("seen", "{"),
        ("seen", '{"password":7}'),
        ("guard_limit", "-1"),
        ("guard_limit", "1.5"),
        ("guard_limit", "many"),
        ("guard_share", "2"),
        ("protected_users", "admin"),
        ("group_scope", "own\nuserName:x"),
    ],
)
async def test_policies_that_cannot_be_are_refused(either: ConsoleRig, field: str, value: str) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}/policies"
    form = await browser.get(path)
    fields = {"password": "ignore", "groups": "platform", "group_patch": "no-content", "search": "indexed"}
    fields |= GUARDED
    answer = await browser.post(f"{path}/review", data={**hidden_in(form.text), **fields, field: value})
    assert answer.status_code == 422
    assert "Traceback" not in answer.text


async def test_the_step_after_the_review_checks_too(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    for wanted in ('{"requests_per_second":-1}', '{"password":"x"}', "no", ""):
        answer = await browser.send_form(
            f"/console/connections/{connection_id}/policies", seen="{}", wanted=wanted
        )
        assert answer.status_code == 422, wanted
    assert await noted(either, connection_id) == []


async def test_no_guard_the_usual_one_and_a_number_are_three_things(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}"
    fields = {"password": "ignore", "terminate_sessions": "on", "groups": "platform"}
    fields |= {"group_patch": "no-content", "search": "indexed", **GUARDED}
    shown = []
    for said, limit in (("0", 0), ("7", 7), ("", None)):
        form = await browser.get(f"{path}/policies")
        review = await browser.post(
            f"{path}/policies/review", data={**hidden_in(form.text), **fields, "guard_limit": said}
        )
        assert (await browser.post(f"{path}/policies", data=hidden_in(review.text))).status_code == 303
        found = await either.store.connections.get(connection_id)
        assert found is not None
        assert found.policies == Policies(guard_limit=limit)
        page = html.unescape((await browser.get(path)).text)
        row = re.search(r'<th scope="row">Guard limit</th><td>(.*?)</td>', page)
        assert row is not None
        shown.append(re.sub("<[^>]+>", "", row[1]))
        guard = either.services.contexts.of(found, "").guard
        assert (guard is None) is (limit == 0)
        if guard is not None:
            assert (guard.number, guard.least_size) == ((100, 500) if limit is None else (limit, 0))
    assert shown == ["0", "7", "not set: 100 from 500 users on"]


async def test_whoever_was_slower_changes_nothing(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}/policies"
    assert (await browser.send_form(path, seen="{}", wanted='{"explain":true}')).status_code == 303
    answer = await browser.send_form(path, seen="{}", wanted='{"groups":"local"}')
    assert answer.status_code == 409
    found = await either.store.connections.get(connection_id)
    assert found is not None
    assert found.policies == Policies(explain=True)
    assert len(await noted(either, connection_id)) == 1
    gone = await browser.send_form("/console/connections/con_nobody/policies", seen="{}", wanted="{}")
    assert gone.status_code == 404


async def test_of_two_changes_at_once_one_is_made(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    first, second = await either.signed_in("admin"), await either.signed_in("admin")
    path = f"/console/connections/{connection_id}/policies"
    answers = await asyncio.gather(
        first.send_form(path, seen="{}", wanted='{"explain":true}'),
        second.send_form(path, seen="{}", wanted='{"groups":"local"}'),
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert len(await noted(either, connection_id)) == 1


async def test_every_policy_can_be_edited_and_says_what_it_means(either: ConsoleRig) -> None:
    assert [field.name for field in FIELDS if not field.meaning or field.kind == "fixed"] == []
    assert set(MEANINGS) == set(Policies.__struct_fields__)
    connection_id = await own_connection(either)
    page = await (await either.signed_in()).get(f"/console/connections/{connection_id}")
    for field in FIELDS:
        assert field.meaning in html.unescape(page.text)


async def test_a_token_is_shown_once_and_works(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}"
    made = await browser.send_form(f"{path}/tokens", label="Okta <b>", expires="2999-01-01")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    secret = SECRET.search(made.text)
    assert secret is not None
    assert (await either.rig.scim("GET", "/Users", token=secret[0])).status_code == 200
    for other in (path, "/console/connections", "/console/changes"):
        shown = (await browser.get(other)).text
        assert SECRET.search(shown) is None
        assert "<b>" not in shown
    (token,) = await either.store.tokens.list(connection_id)
    assert (token.label, token.expires_at and token.expires_at.isoformat()) == (
        "Okta <b>",
        "2999-01-01T00:00:00+00:00",
    )
    who, what, values = (await noted(either, token.id))[0]
    assert (who, what) == ("a admin", "token.create")
    assert "scb_" not in str(values)


@pytest.mark.parametrize(
    "fields", [{"expires": "2001-01-01"}, {"expires": "soon"}, {"label": "x" * 300}, {"label": "a\tb"}]
)
async def test_a_token_that_cannot_be_is_not_made(either: ConsoleRig, fields: dict[str, str]) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    answer = await browser.send_form(f"/console/connections/{connection_id}/tokens", **fields)
    assert answer.status_code == 422
    assert await either.store.tokens.list(connection_id) == []


async def test_rotation_leaves_the_former_token_until_it_is_revoked(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    former, _ = await either.store.tokens.create(connection_id, "Okta", None)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}/tokens/{former.id}"
    assert "goes on working" in (await browser.get(f"{path}/rotate")).text
    rotated = await browser.send_form(f"{path}/rotate")
    assert rotated.status_code == 200
    assert SECRET.search(rotated.text) is not None
    assert f"{path}/revoke" in rotated.text
    labels = [(t.label, t.revoked_at is None) for t in await either.store.tokens.list(connection_id)]
    assert labels == [("Okta", True), ("Okta", True)]
    asked = await browser.get(f"{path}/revoke")
    assert "1 other token" in asked.text
    assert (await browser.post(f"{path}/revoke", data=hidden_in(asked.text))).status_code == 303
    (old,) = [t for t in await either.store.tokens.list(connection_id) if t.id == former.id]
    assert old.revoked_at is not None
    assert [(who, what) for who, what, _ in await noted(either, former.id)] == [("a admin", "token.revoke")]
    assert (await browser.get(f"{path}/revoke")).status_code == 422
    (new,) = [t for t in await either.store.tokens.list(connection_id) if t.id != former.id]
    last = await browser.get(f"/console/connections/{connection_id}/tokens/{new.id}/revoke")
    assert "only valid token" in last.text


async def test_a_token_belongs_to_its_connection(either: ConsoleRig) -> None:
    mine, other = await own_connection(either), await own_connection(either)
    token, _ = await either.store.tokens.create(other, "x", None)
    browser = await either.signed_in("admin")
    answer = await browser.send_form(f"/console/connections/{mine}/tokens/{token.id}/revoke")
    assert answer.status_code == 404
    (kept,) = await either.store.tokens.list(other)
    assert kept.revoked_at is None


async def test_an_unfinished_write_is_retried_and_abandoned(either: ConsoleRig) -> None:
    entry_id = await stuck_entry(either.rig)
    browser = await either.signed_in("admin")
    path = f"/console/journal/{entry_id}"
    page = await browser.get(path)
    for part in ("stuck", "set the status from ACTIVE to DISABLED", "Denied: no", "in doubt"):
        assert part in page.text
    assert (await browser.post(f"{path}/retry", data=hidden_in(page.text))).status_code == 303
    entry = await either.store.journal.get(entry_id)
    assert entry is not None
    assert (entry.state, entry.attempts) == ("open", 0)
    asked = await browser.get(f"{path}/abandon")
    assert "stays done" in asked.text
    answer = await browser.post(f"{path}/abandon", data={"csrf": csrf_in(asked.text)})
    assert answer.headers["location"] == "/console/journal"
    assert await either.store.journal.get(entry_id) is None
    assert [what for _, what, _ in await noted(either, entry_id)] == ["journal.abandon", "journal.retry"]
    assert (await browser.get(path)).status_code == 404
    assert (await browser.send_form(f"{path}/retry")).status_code == 404


async def test_what_somebody_works_on_is_not_retried(either: ConsoleRig) -> None:
    journal = either.rig.store.journal
    entry_id = await stuck_entry(either.rig)
    await journal.retry(entry_id)
    assert await journal.claim(entry_id, "own_2", 600) is not None
    browser = await either.signed_in("admin")
    answer = await browser.send_form(f"/console/journal/{entry_id}/retry")
    assert answer.status_code == 409
    assert await noted(either, entry_id) == []
    await journal.end([entry_id])


async def test_steps_of_another_release_are_no_error(either: ConsoleRig) -> None:
    entry_id = await stuck_entry(either.rig)
    async with either.store.db.write() as db:
        await db.execute(
            text("UPDATE journal SET plan = :plan WHERE id = :id"),
            {"plan": '{"steps":[{"type":"x"}]}', "id": entry_id},
        )
    browser = await either.signed_in()
    answer = await browser.get(f"/console/journal/{entry_id}")
    assert answer.status_code == 200
    assert "another release" in answer.text
    await either.rig.store.journal.end([entry_id])
