"""The whole HTTP surface under requests of any kind: no 5xx, every error in its form, nothing half done.

The long form sends more than 50,000 of them: `pytest -m long tests/faults/test_fuzz.py -s`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bridge_rig import ERROR, LEAKS, hosted
from fuzz_bodies import PASSWORD
from fuzz_requests import AREAS, Request, requests
from fuzz_target import Answer, Target, open_target
from hypothesis import HealthCheck, given, settings

WRITES = ("POST", "PUT", "PATCH", "DELETE")
MAY_5XX = (501,)
SCIM = ("application/scim+json", "application/json")

Run = Callable[[str, Request], None]

SHARES = {"users": 5, "groups": 4, "searches": 5, "elsewhere": 2, "webhooks": 1}
"""How many of the requests go to each area."""


@pytest.fixture(scope="module")
def counts(request: pytest.FixtureRequest) -> Iterator[Counter[int]]:
    """Answers by status, shown at the end."""
    found: Counter[int] = Counter()
    yield found
    text = ", ".join(f"{status}: {count}" for status, count in sorted(found.items()))
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        request.config.get_terminal_writer().line(f"\n{found.total()} requests: {text}")


@pytest.fixture(scope="module")
def run(made_once: Path, tmp_path_factory: pytest.TempPathFactory, counts: Counter[int]) -> Iterator[Run]:
    """Send a request and look at everything that has to hold."""
    place = tmp_path_factory.mktemp("fuzz")
    with asyncio.Runner() as runner:
        opened = hosted(open_target(made_once, place))
        target: Any = runner.run(anext(opened))

        failed: dict[str, str] = {}

        def one(area: str, request: Request) -> None:
            try:
                status = runner.run(_one(target, request))
            except AssertionError as exc:
                # What is broken may stay so, and Hypothesis ends with any request: the first has done it.
                first = failed.setdefault(area, repr(request))
                exc.add_note(f"the first request that failed: {first}")
                raise
            counts[status] += 1

        yield one
        runner.run(anext(opened, None))


def _fuzz(area: str, count: int, *, new: bool = False) -> Callable[[Run], None]:
    """Send so many; `new` ones in every run."""

    @settings(
        derandomize=not new,
        deadline=None,
        max_examples=count,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(request=requests(area))
    def sending(run: Run, request: Request) -> None:
        run(area, request)

    return sending


@pytest.mark.parametrize("area", AREAS)
def test_requests_of_any_kind(run: Run, area: str) -> None:
    _fuzz(area, 170 * SHARES[area])(run)


@pytest.mark.long
@pytest.mark.parametrize("area", AREAS)
def test_very_many_requests_of_any_kind(run: Run, area: str) -> None:
    _fuzz(area, 3_100 * SHARES[area], new=True)(run)


async def _one(target: Target, request: Request) -> int:
    stamp, before = target.stamp(), target.kept()
    answer = await target.send(request)
    _check_form(target, request, answer)
    is_write = request.method in WRITES and not request.path.endswith(b".search")
    if target.stamp() != stamp:
        if request.signature is None and (answer.status >= 400 or not is_write):
            assert target.kept() == before, (request, answer)
        target.check_rows()
    if is_write and answer.status in (200, 201) and request.path.startswith(b"/scim/v2/"):
        await _check_written(target, request, answer)
    if is_write and answer.status < 300:
        await target.tidy(request.connection)
    return answer.status


async def _check_written(target: Target, request: Request, answer: Answer) -> None:
    """What was answered can be read again, and the index has it."""
    location = answer.header("location") or answer.header("content-location")
    path = location.partition("/scim/v2")[2]
    again = await target.get(request.connection, path)
    assert again.status == 200, (request, answer, again)
    if path.startswith("/Users/"):
        await target.check_user(request.connection, path.removeprefix("/Users/"))
    said, kept = json.loads(answer.body), json.loads(again.body)
    for resource in (said, kept):
        # The host of the one request is not that of the other.
        resource.get("meta", {}).pop("location", None)
        for reference in (*resource.get("groups", ()), *resource.get("members", ())):
            reference.pop("$ref", None)
    if not request.query:
        assert said == kept


def _check_form(target: Target, request: Request, answer: Answer) -> None:
    """What holds of every answer."""
    shown = (request, answer)
    status, body = answer.status, answer.body
    assert status < 500 or status in MAY_5XX, shown
    text = body.decode()
    whole = text + repr(answer.headers)
    for secret in target.secrets:
        assert secret not in whole, shown
    if request.body.count(PASSWORD.encode()) <= 1 and not _moved(request.body):
        assert PASSWORD not in whole, shown
    for name, value in answer.headers:
        assert "\r" not in value, shown
        assert "\n" not in value, shown
        assert "\0" not in name + value, shown
    # To HEAD it is the length that GET would have (RFC 9110 §9.3.2).
    if (length := answer.header("content-length")) and request.method != "HEAD":
        assert int(length) == len(body), shown
    if status in (204, 304):
        assert body == b"", shown
        return
    if request.method == "HEAD" and not body:
        return
    kind = answer.header("content-type").partition(";")[0]
    assert kind in SCIM, shown
    said = json.loads(text, parse_constant=_not_json)
    if status < 400:
        return
    for leak in LEAKS:
        assert leak not in text, shown
    if request.path.startswith(b"/webhooks/"):
        assert set(said) == {"detail"}, shown
    else:
        assert said["schemas"] == [ERROR], shown
        assert said["status"] == str(status), shown
        assert set(said) <= {"schemas", "status", "detail", "scimType"}, shown
    assert isinstance(said["detail"], str), shown
    assert 0 < len(said["detail"]) < 2000, shown
    if status == 401:
        assert answer.header("www-authenticate"), shown
    if status == 405:
        assert answer.header("allow"), shown


def _not_json(text: str) -> float:
    raise AssertionError(f"{text} is no JSON")


def _moved(body: bytes) -> bool:
    """Whether the password stands where none belongs, and may be shown as what it is there."""
    at = body.find(PASSWORD.encode())
    return at >= 0 and body[at - 13 : at] != b'"password": "' and b'"path": "password"' not in body
