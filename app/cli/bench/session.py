"""Sends the requests of a run: so many at a time, so many a second, again after a 429."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import httpx
import msgspec
from aiolimiter import AsyncLimiter

from app.cli.bench.figures import Tally
from app.cli.bench.messages import Answer, Refused, Request, Steps
from app.platform.answers import retry_after_s

TRIES = 10
"""Requests in all where every answer is 429; Okta gives up after as many."""

_FIRST_WAIT_S = 1.0
_MAX_WAIT_S = 60.0
"""Waits where a 429 has no `Retry-After`: doubled each time."""
_LONGEST_WAIT_S = 300.0
"""A 429 that asks for more ends its request: only an operator ends what stands behind such a one."""
_TIMEOUT_S = 60.0
"""Okta's."""
_MAX_DETAIL = 300


class Stopped(Exception):
    """The run was asked to stop before the request was sent."""


class Session:
    """A client of one SCIM server. Redirections are not followed: the token goes nowhere else."""

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        transport: httpx.AsyncBaseTransport,
        tally: Tally,
        guard: Callable[[Request], None],
        *,
        rate: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`headers` hold the token; `guard` raises where a request must not be sent; `clock` in seconds."""
        self._base_url = base_url
        self._headers = headers
        self._http = httpx.AsyncClient(transport=transport)
        self._tally = tally
        self._guard = guard
        self._limiter = AsyncLimiter(1, 1 / rate) if rate else None
        self._sleep = sleep
        self._clock = clock
        self._stop = asyncio.Event()
        self._resume_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def stop(self) -> None:
        """Send nothing more; requests on their way are waited for."""
        self._stop.set()

    def go_on(self) -> None:
        """Send again, after `stop`."""
        self._stop.clear()

    async def play(self, jobs: Iterable[Steps], at_once: int, done: Callable[[], None]) -> bool:
        """Work on so many jobs at a time; `done` is called after each. False where it was stopped."""
        waiting = iter(jobs)

        async def work() -> None:
            for steps in waiting:
                try:
                    await self._play(steps)
                except Stopped:
                    return
                done()

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
        return not self._stop.is_set()

    async def ask(self, request: Request) -> Answer:
        """Send a request, again after a 429; raises `Refused`, `Stopped`."""
        self._guard(request)
        attempt = 1
        while True:
            response, seconds = await self._send(request)
            status = None if isinstance(response, str) else response.status_code
            self._tally.answered(request.kind, status, seconds)
            if isinstance(response, str):
                raise self._refused(request, None, "", response)
            if response.status_code != 429:
                return self._answer(request, response)
            self._tally.throttled += 1
            asked_s = retry_after_s(response.headers)
            if attempt == TRIES or (asked_s or 0.0) > _LONGEST_WAIT_S:
                return self._answer(request, response)
            self._pause(attempt, asked_s)
            self._tally.repeated += 1
            attempt += 1

    async def _play(self, steps: Steps) -> None:
        try:
            request = next(steps)
            while True:
                try:
                    answer = await self.ask(request)
                except Refused as exc:
                    request = steps.throw(exc)
                else:
                    request = steps.send(answer)
        except (StopIteration, Refused):
            return
        finally:
            steps.close()

    async def _send(self, request: Request) -> tuple[httpx.Response | str, float]:
        """The response, or why there is none, and the seconds that it took."""
        await self._turn()
        content = None if request.body is None else msgspec.json.encode(request.body)
        # A `Request` of one's own: httpx adds no headers that the client would not send.
        message = httpx.Request(
            request.method,
            self._base_url + request.target,
            headers=self._headers,
            content=content,
            extensions={"timeout": httpx.Timeout(_TIMEOUT_S).as_dict()},
        )
        begun = self._clock()
        try:
            response = await self._http.send(message)
        except httpx.HTTPError as exc:
            return f"{type(exc).__name__}: {exc}", self._clock() - begun
        return response, self._clock() - begun

    def _pause(self, attempt: int, asked_s: float | None) -> None:
        """Let all requests wait: a 429 is meant for the client, not for one of its connections."""
        wait_s = min(_FIRST_WAIT_S * 2 ** (attempt - 1), _MAX_WAIT_S) if asked_s is None else asked_s
        now = self._clock()
        until = max(self._resume_at, now + wait_s)
        self._tally.waited_s += until - max(self._resume_at, now)
        self._resume_at = until

    async def _turn(self) -> None:
        """Wait until a request may be sent."""
        limited = self._limiter is not None
        while not self._stop.is_set():
            wait_s = self._resume_at - self._clock()
            if wait_s > 0:
                await self._wait(wait_s)
            elif limited and self._limiter is not None:
                await self._limiter.acquire()
                limited = False
            else:
                return
        raise Stopped

    async def _wait(self, seconds: float) -> None:
        """Sleep, or until the run is stopped."""
        tasks = [asyncio.ensure_future(each) for each in (self._stop.wait(), self._sleep(seconds))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _answer(self, request: Request, response: httpx.Response) -> Answer:
        body = _object(response.content)
        if response.status_code not in request.expect:
            detail, scim_type = (body or {}).get("detail"), (body or {}).get("scimType")
            text = (
                detail
                if isinstance(detail, str)
                else response.content[:_MAX_DETAIL].decode("utf-8", "replace")
            )
            scim_type = scim_type if isinstance(scim_type, str) else ""
            raise self._refused(request, response.status_code, scim_type, text)
        if body is None:
            raise self._refused(request, response.status_code, "", "the body is not a JSON object")
        return Answer(status=response.status_code, body=body)

    def _refused(self, request: Request, status: int | None, scim_type: str, detail: str) -> Refused:
        detail, scim_type = _plain(detail), _plain(scim_type)
        self._tally.failed(request.kind, status, scim_type, detail, f"{request.method} {request.target}")
        return Refused(request, status, detail)


def _object(content: bytes) -> dict[str, object] | None:
    if not content.strip():
        return {}
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _plain(text: str) -> str:
    """What a terminal may be given of a server's text."""
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_DETAIL]
