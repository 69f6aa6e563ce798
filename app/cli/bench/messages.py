"""Requests and answers as the steps of a client see them."""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from app.scim.schema import Resource


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a client."""

    kind: str
    """What it is for, as the report counts it: `match user`, `create user`, …"""
    method: str
    target: str
    """Path below the base URL with its query, both encoded."""
    body: Resource | None = None
    expect: tuple[int, ...] = (200,)
    """Statuses that are a success."""

    @property
    def path(self) -> str:
        """The path without its query."""
        return self.target.partition("?")[0]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: an expected status, and a body that is a JSON object; empty where there is none."""

    status: int
    body: Resource


class Refused(Exception):
    """The answer is not what the request expects, or there was none. It has been counted already."""

    def __init__(self, request: Request, status: int | None, detail: str) -> None:
        """`status` is None where no answer came: then nobody knows whether a write was done."""
        super().__init__(f"{request.kind}: {status or 'no answer'}: {detail}")
        self.status = status
        self.detail = detail


Steps = Generator[Request, Answer, None]
"""Yields requests and is sent their answers; `Refused` is thrown in where one is not as expected."""
