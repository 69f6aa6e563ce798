"""Forms: `application/x-www-form-urlencoded` and nothing else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from app.console.errors import Unusable

_MAX_FIELDS = 200


class Form:
    """The fields of a form; one that was not sent is empty."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str) -> str:
        """A field, without white space around it."""
        return next((value.strip() for key, value in self._pairs if key == name), "")

    def day(self, label: str, name: str) -> datetime | None:
        """A day to come, as its beginning in UTC; None where none is given. Raises `Unusable`."""
        text = self.text(name)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError as exc:
            raise Unusable(f"{label}: a date such as 2027-01-31 is needed.") from exc
        if moment <= datetime.now(UTC):
            raise Unusable(f"{label}: the date must lie in the future.")
        return moment

    def checked(self, name: str) -> bool:
        """Whether a box was ticked."""
        return any(key == name for key, _ in self._pairs)


async def read_form(request: Request[Any, Any, Any], timeout_s: float) -> Form:
    """The form of a request; raises `Unusable`, and Litestar's exception for one that is too large."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Unusable("A form is needed.")
    try:
        async with asyncio.timeout(timeout_s):
            body = await request.body()
    except TimeoutError as exc:
        raise Unusable("The form did not arrive in time.") from exc
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError as exc:
        raise Unusable("The form cannot be read.") from exc
    return Form(pairs)


def form_of(request: Request[Any, Any, Any]) -> Form:
    """The form that was read before the handler was called."""
    form: Form = request.scope["state"]["form"]
    return form
