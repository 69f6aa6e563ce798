"""Platforms that answer as each test says, and every call of the client by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from simulated import now

from app.platform.auth import StaticToken
from app.platform.client import PlatformClient
from app.platform.retry import RetryPolicy
from app.wire.users import UserCreate, UserPasswordReset, UserStatusUpdate, UserUpdate

USER = {"id": "usr_1", "email": "a@x.org", "status": "ACTIVE", "created_at": "2026-01-01T00:00:00Z"}
PAGE = {"data": [], "pagination": {"page": 1, "per_page": 1, "total_items": 0, "total_pages": 0}}

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | Exception


def response(answer: Answer) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    status, body, headers = (*answer, {})[:3]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers=headers)


class Script(httpx.AsyncBaseTransport):
    """Answers in turn; the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return response(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


class Server(httpx.AsyncBaseTransport):
    """Takes a while for every answer, in the loop's time; what it answers can change."""

    def __init__(self, answer: Answer, takes_s: float = 1.0) -> None:
        self.answer: Answer | Callable[[int], Answer] = answer
        """Also by the number of the request, from 0."""
        self.takes_s = takes_s
        self.began: list[float] = []
        """When each request came."""
        self.running = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number = len(self.began)
        self.began.append(now())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.running -= 1
        return response(self.answer(number) if callable(self.answer) else self.answer)


class Clock:
    """Time that passes only by what is slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client(transport: httpx.AsyncBaseTransport, clock: Clock | None = None, **options: Any) -> PlatformClient:
    """A client whose waits are noted instead of slept."""
    clock = clock or Clock()
    options.setdefault("tokens", StaticToken("t"))
    options.setdefault("retry", RetryPolicy(sleep=clock.sleep, clock=clock))
    return PlatformClient(transport, base_url="http://platform.test/", **options)


def timed(transport: httpx.AsyncBaseTransport, *, attempts: int = 1, **options: Any) -> PlatformClient:
    """A client in the time of the running loop."""
    policy = RetryPolicy(clock=asyncio.get_running_loop().time, attempts=attempts)
    return client(transport, retry=policy, **options)


CALLS: dict[str, Callable[[PlatformClient], Awaitable[Any]]] = {
    "get": lambda c: c.get_user("tnt_1", "usr_1"),
    "list": lambda c: c.list_users("tnt_1", {"page": 1, "per_page": 1}),
    "create": lambda c: c.create_user("tnt_1", UserCreate(email="a@x.org")),
    "update": lambda c: c.update_user("tnt_1", "usr_1", UserUpdate(phone=None)),
    "status": lambda c: c.set_status("tnt_1", "usr_1", UserStatusUpdate(status="LOCKED")),
    "password": lambda c: c.reset_password(
        "tnt_1", "usr_1", UserPasswordReset(method="DIRECT", new_password="p")
    ),
    "delete": lambda c: c.delete_user("tnt_1", "usr_1", "a@x.org"),
}
GOOD: dict[str, Answer] = {
    "get": (200, {"data": USER}),
    "list": (200, PAGE),
    "create": (201, {"data": USER}),
    "update": (200, {"data": USER}),
    "status": (200, {"data": USER}),
    "password": (200, {}),
    "delete": (204, b""),
}
READS = {"get", "list"}
REPEATED = {"get", "list", "update", "status", "delete"}
