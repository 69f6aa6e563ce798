"""`POST /webhooks/platform`: signatures, freshness, rotation, events twice, events that are none."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from bridge_rig import Rig, hosted, open_rig

from app.config import Settings
from app.scim.errors import BadRequest
from app.store.errors import StoreUnavailable
from app.web.signatures import BadSignature, check_signature
from app.web.webhooks import Receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD, NEW = "whsec_old", "whsec_new"
URL = "http://bridge.test/webhooks/platform"


def sign(body: bytes, secret: str = NEW, at: float | None = None) -> str:
    """The value of `v1`."""
    stamp = str(int(time.time() if at is None else at)).encode()
    return hmac.new(secret.encode(), stamp + b"." + body, hashlib.sha256).hexdigest()


def signed(body: bytes, secret: str = NEW, ago: float = 0) -> str:
    at = time.time() - ago
    return f"t={int(at)},v1={sign(body, secret, at)}"


def event(rig: Rig, event_type: str, resource_id: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"evt_{uuid.uuid4().hex}",
        "event_type": event_type,
        "timestamp": "2026-03-01T12:00:00Z",
        "resource": {"type": event_type.partition(".")[0], "id": resource_id},
        "actor": {"id": "usr_admin", "type": "admin"},
        "tenant_id": rig.tenant_id,
        "partner_id": None,
        "data": {},
        **more,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hooked(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A bridge with two secrets, as while one replaces the other."""
    place = tmp_path_factory.mktemp("hooked")
    async for rig in hosted(open_rig(made_once, place, platform_webhook_secret=f"{OLD}, {NEW}")):
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(hooked: Rig) -> Rig:
    return await hooked.alone()


async def deliver(
    rig: Rig, body: Any, signature: str | None = None, method: str = "POST", url: str = URL
) -> httpx.Response:
    """Without token; every error is checked to be plain JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    if signature != "":
        headers["x-scaikey-signature"] = signature or signed(content)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(rig.app)) as client:
        answer = await client.request(method, url, content=content, headers=headers)
    if answer.status_code >= 400:
        assert answer.headers["content-type"].partition(";")[0] == "application/json"
        assert set(answer.json()) == {"detail"}
        assert not any(secret in answer.text for secret in (OLD, NEW))
    else:
        assert (answer.status_code, answer.content) == (204, b"")
    return answer


async def group(rig: Rig) -> str:
    answer = await rig.scim("POST", "/Groups", {"displayName": uuid.uuid4().hex})
    rig.wire.reset()
    return str(answer.json()["id"])


async def version(rig: Rig, group_id: str) -> int:
    return (await rig.store.group_records.versions(rig.tenant_id, [group_id]))[group_id]


# --- what an event does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", ["updated", "member_added", "member_removed", "of_a_later_release"])
async def test_an_event_about_a_group_gives_it_a_new_etag(rig: Rig, event_type: str) -> None:
    group_id = await group(rig)
    before = (await rig.scim("GET", f"/Groups/{group_id}")).headers["etag"]
    rig.wire.reset()
    body = event(rig, f"group.{event_type}", group_id, data={"user_id": "usr_1", "name": "not applied"})
    assert (await deliver(rig, body)).status_code == 204
    assert rig.wire.seen() == []
    after = await rig.scim("GET", f"/Groups/{group_id}")
    assert after.headers["etag"] != before
    assert after.json()["displayName"] != "not applied"


@pytest.mark.parametrize(
    "event_type", ["created", "updated", "deleted", "suspended", "activated", "password_changed"]
)
async def test_events_about_users_are_taken(rig: Rig, event_type: str) -> None:
    user = await rig.make()
    assert (await deliver(rig, event(rig, f"user.{event_type}", user["id"]))).status_code == 204
    assert rig.wire.seen() == []
    assert (await rig.scim("GET", f"/Users/{user['id']}")).json() == user


async def test_the_same_event_counts_once(rig: Rig) -> None:
    group_id = await group(rig)
    body = event(rig, "group.updated", group_id)
    start = await version(rig, group_id)
    for _ in range(3):
        assert (await deliver(rig, body)).status_code == 204
    assert await version(rig, group_id) == start + 1
    await deliver(rig, {**body, "event_id": "another"})
    assert await version(rig, group_id) == start + 2


async def test_tenants_are_kept_apart(rig: Rig) -> None:
    group_id = await group(rig)
    start = await version(rig, group_id)
    await deliver(rig, event(rig, "group.updated", group_id, tenant_id="tnt_other"))
    assert await version(rig, group_id) == start


@pytest.mark.parametrize(
    "event_type", ["tenant.updated", "user", "group", "usergroup.updated", "x", "users.a"]
)
async def test_other_events_are_passed_over(rig: Rig, event_type: str) -> None:
    body = {"event_id": uuid.uuid4().hex, "event_type": event_type}
    for more in ({}, {"resource": None}, {"resource": {"id": "x"}, "tenant_id": None, "data": [1]}):
        assert (await deliver(rig, {**body, **more})).status_code == 204


MALFORMED: dict[str, Any] = {
    "empty": b"",
    "cut": b"{",
    "bytes": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "surrogate": b'{"event_id": "\\ud800", "event_type": "user.updated"}',
    "list": [],
    "null": None,
    "string": "user.updated",
    "nothing": {},
    "no-id": {"event_id": None},
    "id-number": {"event_id": 7},
    "id-empty": {"event_id": ""},
    "id-long": {"event_id": "x" * 201},
    "type-list": {"event_type": ["user.updated"]},
    "type-empty": {"event_type": ""},
    "no-tenant": {"tenant_id": None},
    "tenant-path": {"tenant_id": "../other"},
    "tenant-number": {"tenant_id": 1},
    "no-resource": {"resource": None},
    "resource-text": {"resource": "usr_1"},
    "resource-list": {"resource": []},
    "resource-no-id": {"resource": {"type": "user"}},
    "resource-id-number": {"resource": {"type": "user", "id": 5}},
    "resource-id-path": {"resource": {"type": "user", "id": "../x"}},
    "resource-id-empty": {"resource": {"type": "user", "id": ""}},
    "resource-id-long": {"resource": {"type": "user", "id": "x" * 129}},
    "resource-type-number": {"resource": {"type": 1, "id": "usr_1"}},
    "resource-type-other": {"resource": {"type": "group", "id": "usr_1"}},
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_events(rig: Rig, name: str) -> None:
    body = MALFORMED[name]
    if isinstance(body, dict) and name != "nothing":
        body = {**event(rig, "user.updated", "usr_1"), **body}
    assert (await deliver(rig, body)).status_code == 400


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        5,
        {"user_id": None},
        {"user_id": "../x", "user_ids": [1, None, "a/b"]},
        {"user_ids": "u"},
    ],
)
async def test_odd_data_is_no_reason_to_refuse(rig: Rig, data: Any) -> None:
    group_id = await group(rig)
    start = await version(rig, group_id)
    assert (await deliver(rig, event(rig, "group.member_added", group_id, data=data))).status_code == 204
    assert await version(rig, group_id) == start + 1


async def test_types_in_any_case_or_absent(rig: Rig) -> None:
    for resource in ({"id": "usr_1"}, {"type": "USER", "id": "usr_1"}, {"type": None, "id": "usr_1"}):
        assert (await deliver(rig, event(rig, "user.updated", "x", resource=resource))).status_code == 204


# --- who sends it ----------------------------------------------------------------------------------------


async def test_either_secret_while_one_replaces_the_other(rig: Rig) -> None:
    body = json.dumps(event(rig, "user.updated", "usr_1")).encode()
    for secret in (OLD, NEW):
        assert (await deliver(rig, body, signed(body, secret))).status_code == 204
    now = int(time.time())
    both = f"t={now},v1={sign(body, 'unknown', now)},v1={sign(body, OLD, now)}"
    assert (await deliver(rig, body, both)).status_code == 204
    upper = f"t={now}, v0=abc, v1={sign(body, NEW, now).upper()}"
    assert (await deliver(rig, body, upper)).status_code == 204


async def test_bad_signatures_change_nothing(rig: Rig) -> None:
    group_id = await group(rig)
    start = await version(rig, group_id)
    body = json.dumps(event(rig, "group.updated", group_id)).encode()
    now = int(time.time())
    good = sign(body, NEW, now)
    for signature in (
        "",
        " ",
        "nonsense",
        f"v1={good}",
        f"t={now}",
        f"t={now},v1=",
        f"t={now},v1={good[:-1]}",
        f"t={now},v1={good}0",
        f"t={now},v2={good}",
        f"t={now + 1},v1={good}",
        f"t={now},t={now},v1={good}",
        f"t={now}.0,v1={good}",
        f"t=-{now},v1={good}",
        f"t={'9' * 5000},v1={good}",
        f"t={now},v1={sign(body, 'unknown', now)}",
        f"t={now},v1={sign(body, f'{OLD}, {NEW}', now)}",
        f"t={now},v1={sign(body, '', now)}",
        f"t={now},v1={sign(body + b' ', NEW, now)}",
        f"t={now}," + ",".join(f"v1={good}" for _ in range(11)),
        signed(body, ago=400),
        signed(body, ago=-400),
    ):
        answer = await deliver(rig, body, signature)
        assert answer.status_code == 401, signature
        assert "Bearer" not in answer.headers["www-authenticate"]
    assert await version(rig, group_id) == start
    assert (await deliver(rig, body + b" ", signed(body))).status_code == 401
    for ago in (200, -200, 0):
        assert (await deliver(rig, body, signed(body, ago=ago))).status_code == 204
    assert await version(rig, group_id) == start + 1


async def test_a_signature_of_odd_bytes(rig: Rig) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(rig.app)) as client:
        for value in (b"\xff\xfe", "t=٣,v1=é".encode()):
            answer = await client.post(URL, content=b"{}", headers=[(b"x-scaikey-signature", value)])
            assert answer.status_code == 401


async def test_a_bearer_token_does_not_help(rig: Rig) -> None:
    async with rig.client() as client:
        assert (await client.post(URL, json=event(rig, "user.updated", "usr_1"))).status_code == 401


async def test_large_bodies_and_other_methods(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, platform_webhook_secret=NEW, max_body_bytes=300) as rig:
        assert (await deliver(rig, b" " * 301)).status_code == 413
        assert (await deliver(rig, b"{}", method="GET")).status_code == 405
        assert (await deliver(rig, b"{}", url=URL + "/more")).status_code == 404


async def test_without_a_secret_there_is_no_endpoint(shared: Rig) -> None:
    assert (await deliver(shared, b"{}", signed(b"{}", ""))).status_code == 404


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("", ()),
        (" , ", ()),
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        ("a b\nc", ("a", "b", "c")),
        (" a, b ", ("a", "b")),
    ],
)
async def test_secrets(text: str, secrets: tuple[str, ...]) -> None:
    assert Settings(platform_webhook_secret=text).webhook_secrets() == secrets


async def test_freshness_to_the_second() -> None:
    header = f"t=1000,v1={sign(b'{}', NEW, 1000)}"
    for now in (700, 1000, 1300):
        check_signature(header, b"{}", [NEW], now=now, tolerance_s=300)
    for now in (699, 1301):
        with pytest.raises(BadSignature):
            check_signature(header, b"{}", [NEW], now=now, tolerance_s=300)
    with pytest.raises(BadSignature):
        check_signature(header, b"{}", [], now=1000, tolerance_s=300)


class Failing:
    """Takes events, but not before the database is there again."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[tuple[Any, ...]] = []
        self.moments: list[datetime | None] = []

    async def apply(self, *event: Any, actor_id: str | None, at: datetime | None) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        self.taken.append((*event, actor_id))
        self.moments.append(at)


def raw(event_id: str, **more: Any) -> bytes:
    body = {"event_id": event_id, "event_type": "group.member_added", "tenant_id": "tnt_1"}
    return json.dumps({**body, "resource": {"type": "group", "id": "grp_1"}, **more}).encode()


async def test_what_failed_counts_when_it_is_sent_again() -> None:
    events = Failing(failures=1)
    receiver = Receiver(Settings(), events)
    with pytest.raises(StoreUnavailable):
        await receiver.take(raw("e"))
    await receiver.take(raw("e"))
    await receiver.take(raw("e"))
    assert events.taken == [("tnt_1", "group", "grp_1", None)]


async def test_who_has_done_it_is_handed_on() -> None:
    events = Failing()
    receiver = Receiver(Settings(), events)
    for number, actor in enumerate(({"id": "app_1", "type": "api"}, {"type": "system"}, None)):
        await receiver.take(raw(str(number), actor=actor))
    assert [event[-1] for event in events.taken] == ["app_1", None, None]


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T13:00:00.250000+01:00", datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("yesterday", None),
        (1772366400, None),
        (20260301, None),
        (None, None),
    ],
)
async def test_when_it_was_done_is_handed_on(timestamp: Any, moment: datetime | None) -> None:
    events = Failing()
    await Receiver(Settings(), events).take(raw("e", timestamp=timestamp))
    assert events.moments == [moment]


async def test_old_event_ids_are_forgotten_in_their_order() -> None:
    events = Failing()
    receiver = Receiver(Settings(), events)
    for number in range(10_001):
        await receiver.take(raw(str(number)))
    assert len(events.taken) == 10_001
    await receiver.take(raw("1"))
    assert len(events.taken) == 10_001
    await receiver.take(raw("0"))
    assert len(events.taken) == 10_002


async def test_a_malformed_event_is_not_remembered() -> None:
    receiver = Receiver(Settings(), Failing())
    for _ in range(2):
        with pytest.raises(BadRequest):
            await receiver.take(raw("e", tenant_id=None))
