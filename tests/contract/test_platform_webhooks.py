"""How events are delivered: over real sockets, with receivers that fail, and over restarts."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hooked import QUICK, events_of, settle, subscribe, undelivered, wait_until
from platform_server import RunningPlatform, Tenant, running
from webhook_receiver import SECRET, Receiver, receiving

from app.embedded import PlatformSettings


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "platform.db"


@pytest.fixture
def platform(database: Path) -> Iterator[RunningPlatform]:
    with running(database, QUICK) as started:
        yield started


def failing_first(times: int, status: int) -> Callable[[dict[str, Any]], int]:
    """Refuses each event so many times."""
    seen: Counter[str] = Counter()

    def answer(event: dict[str, Any]) -> int:
        seen[event["event_id"]] += 1
        return status if seen[event["event_id"]] <= times else 200

    return answer


@pytest.mark.parametrize("status", [500, 503, 429, 404, 401, 302])
def test_what_is_refused_is_sent_again_as_it_was(
    platform: RunningPlatform, tenant: Tenant, receiver: Receiver, status: int
) -> None:
    receiver.answer = failing_first(2, status)
    subscribe(platform, receiver)
    tenant.create("ada@example.com")
    settle(platform)
    assert [one.status for one in receiver.all] == [status, status, 200]
    assert len({one.body for one in receiver.all}) == 1
    assert all(one.is_signed(SECRET) for one in receiver.all)


def test_nobody_listens_for_a_while(platform: RunningPlatform, tenant: Tenant, receiver: Receiver) -> None:
    receiver.stop()
    subscribe(platform, receiver)
    user = tenant.create("ada@example.com")["id"]
    tenant.patch(user, first_name="Ada")
    assert undelivered(platform.database) == ["user.created", "user.updated"]
    receiver.start()
    settle(platform)
    assert [one.type for one in receiver.all] == ["user.created", "user.updated"]


def test_an_answer_that_does_not_come_is_not_waited_for(database: Path, receiver: Receiver) -> None:
    hold, hung = threading.Event(), threading.Event()

    def answer(_event: dict[str, Any]) -> int:
        if not hung.is_set():
            hung.set()
            hold.wait(30)
        return 200

    receiver.answer = answer
    settings = msgspec.structs.replace(QUICK, webhook_timeout_s=1.0)
    with running(database, settings) as platform:
        subscribe(platform, receiver)
        tenant = platform.new_tenant()
        tenant.create("ada@example.com")
        receiver.wait_until(lambda r: len(r.all) == 1)
        settle(platform)
        hold.set()
        tenant.http.close()


def test_one_resource_is_told_of_in_order_and_holds_up_no_other(
    platform: RunningPlatform, tenant: Tenant, receiver: Receiver
) -> None:
    seen: Counter[str] = Counter()
    sick: list[str] = []

    def answer(event: dict[str, Any]) -> int:
        if event["resource"]["id"] in sick:
            return 500
        seen[event["event_id"]] += 1
        return 500 if seen[event["event_id"]] == 1 and len(seen) % 3 == 0 else 200

    receiver.answer = answer
    users = [tenant.create(f"u{n}@example.com")["id"] for n in range(4)]
    sick.append(users[0])
    subscribe(platform, receiver)
    for n in range(30):
        for user in users:
            tenant.patch(user, first_name=f"{n}")
    receiver.wait_until(lambda r: len(r.taken) == 90)
    for user in users[1:]:
        mine = [one.event for one in receiver.taken if one.event["resource"]["id"] == user]
        assert len(mine) == 30
        assert [e["timestamp"] for e in mine] == sorted(e["timestamp"] for e in mine)
    assert len(undelivered(platform.database)) >= 30
    first = {one.event["event_id"] for one in receiver.all if one.event["resource"]["id"] == users[0]}
    assert len(first) == 1  # its second event is not tried before its first has arrived
    sick.clear()
    settle(platform)
    mine = [one.event["timestamp"] for one in receiver.taken if one.event["resource"]["id"] == users[0]]
    assert len(mine) == 30
    assert mine == sorted(mine)


def test_so_many_are_under_way_at_a_time(database: Path, receiver: Receiver) -> None:
    """The receiver answers three at once or none, and counts."""
    three, lock = threading.Barrier(3), threading.Lock()
    now, most = 0, 0

    def answer(_event: dict[str, Any]) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        three.wait(20)
        with lock:
            now -= 1
        return 200

    receiver.answer = answer
    with running(database, msgspec.structs.replace(QUICK, webhook_concurrency=3)) as platform:
        tenant = platform.new_tenant()
        group = tenant.create_group("All")["id"]
        users = [tenant.create(f"u{n}@example.com")["id"] for n in range(30)]
        subscribe(platform, receiver)
        for user in users:
            tenant.patch(user, first_name="A")
        settle(platform)
        tenant.http.close()
    assert most == 3
    assert len(receiver.taken) == 30
    assert group not in {one.event["resource"]["id"] for one in receiver.taken}


def test_more_resources_than_can_wait_at_once(database: Path, receiver: Receiver) -> None:
    """A receiver that was away for long gets all, without a resource falling between two looks."""
    receiver.stop()
    with running(database, msgspec.structs.replace(QUICK, webhook_retry_max_s=1.0)) as platform:
        subscribe(platform, receiver)
        tenant = platform.new_tenant()
        group = tenant.create_group("All")["id"]
        users = [tenant.create(f"u{n}@example.com")["id"] for n in range(250)]
        for start in range(0, 250, 100):
            body = {"user_ids": users[start : start + 100]}
            assert tenant.http.post(f"{tenant.groups}/{group}/members", json=body).status_code == 200
        for user in users[:20]:
            tenant.patch(user, first_name="A")
        receiver.start()
        settle(platform)
        tenant.http.close()
    kinds = Counter(one.type for one in receiver.taken)
    assert kinds == {"group.created": 1, "user.created": 250, "group.member_added": 250, "user.updated": 20}
    joined = [one.event["data"]["user_id"] for one in receiver.taken if one.type == "group.member_added"]
    assert joined == users


def test_a_restart_loses_nothing_and_repeats_nothing(database: Path, receiver: Receiver) -> None:
    receiver.stop()
    with running(database, QUICK) as platform:
        subscribe(platform, receiver)
        tenant = platform.new_tenant()
        user = tenant.create("ada@example.com")["id"]
        tenant.patch(user, first_name="Ada")
        tenant.http.close()
    assert undelivered(database) == ["user.created", "user.updated"]
    receiver.start()
    with running(database, QUICK) as platform:
        settle(platform)
    assert [one.type for one in receiver.all] == ["user.created", "user.updated"]
    with running(database, QUICK) as platform:
        other = platform.new_tenant()
        other.create("bob@example.com")
        settle(platform)
        other.http.close()
    assert [one.event["tenant_id"] for one in receiver.all] == [tenant.id, tenant.id, other.id]


def test_an_event_that_is_too_old_is_given_up(
    database: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda event: 500 if event["event_type"] == "user.created" else 200
    with running(database, msgspec.structs.replace(QUICK, webhook_max_age_s=0)) as platform:
        subscribe(platform, receiver)
        tenant = platform.new_tenant()
        user = tenant.create("ada@example.com")["id"]
        tenant.patch(user, first_name="Ada")
        settle(platform)
        tenant.http.close()
    assert [one.type for one in receiver.all] == ["user.created", "user.updated"]
    (said,) = [record.getMessage() for record in caplog.records if "gave up" in record.getMessage()]
    assert "user.created" in said
    assert "status 500" in said
    assert "ada@example.com" not in caplog.text


def test_nothing_is_written_before_somebody_subscribes(
    platform: RunningPlatform, tenant: Tenant, new_tenant: Callable[[], Tenant], receiver: Receiver
) -> None:
    other = new_tenant()
    tenant.create("ada@example.com")
    subscribe(platform, receiver, other)
    tenant.create("bob@example.com")
    with closing(sqlite3.connect(platform.database)) as connection:
        # A number is given to every event ever written.
        numbered = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'webhook_outbox'")
        assert numbered.fetchone() is None
    other.create("carl@example.com")
    settle(platform)
    assert [one.event["data"]["email"] for one in receiver.all] == ["carl@example.com"]


def test_several_receivers(
    platform: RunningPlatform, tenant: Tenant, new_tenant: Callable[[], Tenant], receiver: Receiver
) -> None:
    other = new_tenant()
    with receiving() as one, receiving(lambda _event: 500) as sick:
        subscribe(platform, receiver)
        subscribe(platform, one, other, "another secret")
        subscribe(platform, sick)
        tenant.create("ada@example.com")
        other.create("bob@example.com")
        receiver.wait_until(lambda r: len(r.taken) == 2)
        one.wait_until(lambda r: len(r.taken) == 1)
        sick.wait_until(lambda r: len(r.all) > 2)
        assert [received.event["data"]["email"] for received in one.all] == ["bob@example.com"]
        assert one.all[0].is_signed("another secret")
        assert not one.all[0].is_signed(SECRET)
        assert platform.call(platform.directory.remove_webhook, sick.url)
        settle(platform)
        assert not platform.call(platform.directory.remove_webhook, sick.url)
    assert len(events_of(receiver, tenant)) == 1


def test_a_webhook_is_made_once_and_takes_new_secrets(
    platform: RunningPlatform, tenant: Tenant, new_tenant: Callable[[], Tenant], receiver: Receiver
) -> None:
    first = subscribe(platform, receiver)
    user = tenant.create("ada@example.com")["id"]
    settle(platform)
    assert subscribe(platform, receiver, tenant, "a new secret") == first
    (known,) = platform.call(platform.directory.webhooks)
    assert (known.url, known.secret, known.tenant_id) == (receiver.url, "a new secret", tenant.id)
    new_tenant().create("bob@example.com")
    tenant.patch(user, first_name="Ada")
    settle(platform)
    assert [one.type for one in receiver.all] == ["user.created", "user.updated"]
    assert receiver.all[0].is_signed(SECRET)
    assert receiver.all[1].is_signed("a new secret")


@pytest.mark.parametrize(
    ("url", "secret", "tenant_id", "error"),
    [
        ("ftp://127.0.0.1/", SECRET, None, ValueError),
        ("127.0.0.1:80", SECRET, None, ValueError),
        ("http://", SECRET, None, ValueError),
        ("http://user:word@127.0.0.1/", SECRET, None, ValueError),
        ("http://127.0.0.1:port/", SECRET, None, ValueError),
        ("http://127.0.0.1/", "", None, ValueError),
        ("http://127.0.0.1/", SECRET, "tnt_nobody", LookupError),
    ],
)
def test_webhooks_that_cannot_be(
    platform: RunningPlatform, url: str, secret: str, tenant_id: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        platform.call(platform.directory.add_webhook, url, secret, tenant_id)
    assert "word" not in str(caught.value)
    assert platform.call(platform.directory.webhooks) == []


def test_no_change_without_its_event(
    platform: RunningPlatform, tenant: Tenant, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe(platform, receiver)
    settle(platform)
    with closing(sqlite3.connect(platform.database)) as connection:
        connection.execute("ALTER TABLE webhook_outbox RENAME TO elsewhere")
    assert tenant.http.post(tenant.users, json={"email": "ada@example.com"}).status_code == 500
    assert tenant.emails() == []
    assert "ada@example.com" not in caplog.text
    wait_until(lambda: "webhook events cannot be read" in caplog.text)
    with closing(sqlite3.connect(platform.database)) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO webhook_outbox")
    tenant.create("ada@example.com")
    settle(platform)
    assert [one.event["data"]["email"] for one in receiver.all] == ["ada@example.com"]


def test_a_platform_of_defaults_gives_up_after_a_day() -> None:
    assert PlatformSettings().webhook_max_age_s == 24 * 3600
