"""What is counted of stories and of platform calls, and under which labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.bridge.story import Story
from app.observing.counting import Counting
from app.observing.routes import CallRoutes
from app.platform.recording import CallMade
from app.scim.errors import Uniqueness

GROUPS = "/api/v1/tenants/{tenant_id}/groups"
USER = "/api/v1/tenants/tnt_1/users/usr_1"

Value = Callable[..., float | None]


@pytest.fixture
def counting() -> Counting:
    return Counting(CallRoutes(GROUPS))


@pytest.fixture
def value(counting: Counting) -> Value:
    """What Prometheus would read: by name and labels, None where there is no such series."""
    registry = CollectorRegistry()
    registry.register(counting)

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"scim_bridge_{name}", labels)

    return read


def telling(method: str, path: str, **told: Any) -> Story:
    made = Story(method, path, "a-request")
    made.connection = "okta"
    for name, what in told.items():
        setattr(made, name, what)
    return made


def call(method: str = "GET", path: str = USER, status: int | None = 200, ms: float = 30.0) -> CallMade:
    return CallMade(method=method, path=path, status=status, ms=ms)


def test_requests_count_by_connection_route_and_cause(counting: Counting, value: Value) -> None:
    counting.take(telling("GET", "/Users/usr_1").ended(200))
    counting.take(telling("GET", "/Users/usr_2").ended(200))
    refused = telling("POST", "/Users")
    refused.failed(Uniqueness("userName is taken"))
    counting.take(refused.ended(409))
    counting.take(telling("POST", "/Users", dry_run=True).ended(409))
    of = {"connection": "okta", "method": "GET", "route": "/Users/{id}", "status": "200", "cause": ""}
    assert value("requests_total", **of) == 2
    of = {"connection": "okta", "method": "POST", "route": "/Users", "status": "409", "cause": "conflict"}
    assert value("requests_total", **of) == 1


def test_what_clients_make_up_is_no_label(counting: Counting, value: Value) -> None:
    for number in range(50):
        counting.take(telling(f"BREW{number}", f"/pot{number}/{number}", connection="").ended(404))
    of = {"connection": "", "method": "other", "route": "/?", "status": "404", "cause": "not-found"}
    assert value("requests_total", **of) == 50
    assert value("request_duration_seconds_count", method="other", route="/?") == 50


def test_calls_of_a_request_are_spread_by_their_number(counting: Counting, value: Value) -> None:
    for count in (0, 1, 2, 7, 500):
        story = telling("GET", "/Users")
        story.recording.calls += [call()] * count
        counting.take(story.ended(200))
    place = {"method": "GET", "route": "/Users"}
    found = [value("request_platform_calls_bucket", le=le, **place) for le in ("0.0", "1.0", "2.0", "10.0")]
    assert found == [1, 2, 3, 4]
    assert value("request_platform_calls_bucket", le="+Inf", **place) == 5
    assert value("request_platform_calls_sum", **place) == 510


def test_times_fall_into_the_bucket_that_ends_with_them(counting: Counting, value: Value) -> None:
    for ms in (5.0, 5.1, 31_000.0):
        counting.heard(call(ms=ms))
    place = {"method": "GET", "route": "/api/v1/tenants/{tenant_id}/users/{user_id}"}
    name = "platform_call_duration_seconds_bucket"
    assert [value(name, le=le, **place) for le in ("0.005", "0.01", "30.0", "+Inf")] == [1, 2, 2, 3]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (404, "not-found"),
        (409, "refused"),
        (422, "refused"),
        (429, "throttled"),
        (503, "failed"),
        (None, "no-answer"),
    ],
)
def test_calls_count_by_what_came_of_them(
    status: int | None, outcome: str, counting: Counting, value: Value
) -> None:
    counting.heard(call(status=status))
    of = {"method": "GET", "route": "/api/v1/tenants/{tenant_id}/users/{user_id}", "outcome": outcome}
    assert value("platform_calls_total", **of) == 1


def test_recovery_is_no_request(counting: Counting, value: Value) -> None:
    counting.take(telling("POST", "/Users", actor="recovery").ended(200))
    counting.take(telling("POST", "/Users", actor="recovery", cause="platform-error").ended(502))
    assert value("recovered_writes_total", connection="okta", outcome="done") == 1
    assert value("recovered_writes_total", connection="okta", outcome="failed") == 1
    assert value("request_duration_seconds_count", method="POST", route="/Users") is None


@pytest.mark.parametrize(
    ("groups", "path", "route"),
    [
        (GROUPS, "/api/v1/tenants/t/users?search=ann%40example.com", "/api/v1/tenants/{tenant_id}/users"),
        (GROUPS, f"{USER}/password/reset", "/api/v1/tenants/{tenant_id}/users/{user_id}/password/reset"),
        (GROUPS, "/api/v1/tenants/t/groups", GROUPS),
        (GROUPS, "/api/v1/tenants/t/groups/g/members/u", f"{GROUPS}/{{group_id}}/members/{{user_id}}"),
        ("/dir/{tenant_id}/teams", "/dir/t/teams?page=1", "/dir/{tenant_id}/teams"),
        ("/dir/{tenant_id}/teams", "/dir/t/teams/g", "/dir/{tenant_id}/teams/{group_id}"),
        ("/dir/{tenant_id}/teams", "/dir/t/teams/g/members", "/dir/{tenant_id}/teams/{group_id}/members"),
        (
            "/dir/{tenant_id}/teams",
            "/dir/t/teams/g/members/u",
            "/dir/{tenant_id}/teams/{group_id}/members/{user_id}",
        ),
    ],
)
def test_routes_hold_no_id_wherever_groups_are(groups: str, path: str, route: str) -> None:
    assert CallRoutes(groups).of(path) == route
