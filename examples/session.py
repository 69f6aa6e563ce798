"""What the example sessions share: sending requests, showing them, comparing the answers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

WIDTH = 110


class Unexpected(Exception):
    """The server answered otherwise than the client needs."""


class Session:
    """A SCIM client that tells what it does."""

    def __init__(self, base_url: str, token: str, headers: dict[str, str]) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", **headers}
        self._http = httpx.Client(timeout=30)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def says(self, text: str) -> None:
        """What happens on the client's side."""
        print(f"\n{text}")

    def check(self, holds: object, what: str) -> None:
        """Go on where it holds; raise `Unexpected` where not."""
        if not holds:
            raise Unexpected(f"this does not hold: {what}")
        print(f"    ok: {what}")

    def get(self, path: str, **options: Any) -> dict[str, Any]:
        """Read; the JSON of the answer."""
        return self._send("GET", path, **options)

    def post(self, path: str, *, status: int = 201, **options: Any) -> dict[str, Any]:
        """Create; the JSON of the answer."""
        return self._send("POST", path, status=status, **options)

    def put(self, path: str, **options: Any) -> dict[str, Any]:
        """Replace; the JSON of the answer."""
        return self._send("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> dict[str, Any]:
        """Change; the JSON of the answer, empty for 204."""
        return self._send("PATCH", path, or_status=204, **options)

    def delete(self, path: str) -> None:
        """Delete."""
        self._send("DELETE", path, status=204)

    def _send(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        or_status: int | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        json: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        url = httpx.URL(self._base_url + path, params=params)
        shown = path if params is None else path + "?" + "&".join(f"{k}={v}" for k, v in params.items())
        print(f"  > {short(f'{method} {shown}')}")
        if json is not None:
            print(f"    {short(told(json))}")
        content = None if json is None else compact(json).encode()
        try:
            # A `Request` of one's own: httpx adds no headers that the client would not send.
            answer = self._http.send(
                httpx.Request(method, url, headers={**self._headers, **(headers or {})}, content=content)
            )
        except httpx.HTTPError as exc:
            raise Unexpected(f"{self._base_url} does not answer: {exc}") from exc
        try:
            body: dict[str, Any] = answer.json() if answer.content else {}
        except ValueError as exc:
            raise Unexpected(
                f"{method} {path} answered {answer.status_code} with what is not JSON: {short(answer.text)}"
            ) from exc
        print(f"  < {answer.status_code} {short(told(body))}".rstrip())
        if answer.status_code not in (status, or_status):
            raise Unexpected(f"{method} {path} answered {answer.status_code}, not {status}: {answer.text}")
        return body


def arguments(description: str) -> tuple[str, str]:
    """Base URL and token from the command line, or from the file that `scim-bridge serve` writes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", help="the SCIM base URL")
    parser.add_argument("--token", help="a bearer token")
    parser.add_argument("--quickstart", type=Path, default=Path("data/quickstart.json"), metavar="FILE")
    given = parser.parse_args()
    if given.base_url and given.token:
        return given.base_url, given.token
    if given.base_url or given.token:
        parser.error("--base-url and --token go together")
    try:
        quickstart = json.loads(given.quickstart.read_text("utf-8"))
        return quickstart["base_url"], quickstart["token"]
    except (OSError, ValueError, KeyError) as exc:
        print(
            f"{given.quickstart} cannot be read ({exc}): start `scim-bridge serve` here first, "
            "or give --base-url and --token"
        )
        sys.exit(1)


def compact(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def told(body: dict[str, Any]) -> str:
    """The part of a message that tells a reader something."""
    if not body:
        return ""
    if "Resources" in body:
        names = [str(r.get("userName", r.get("name", r["id"]))) for r in body["Resources"]]
        return f"{body['totalResults']} in all, {len(names)} here: {', '.join(names)}".removesuffix(": ")
    if "detail" in body:
        return ": ".join(str(body[k]) for k in ("scimType", "detail") if k in body)
    return compact(body.get("Operations") or {k: v for k, v in body.items() if k not in ("schemas", "meta")})


def short(text: str) -> str:
    """As much as fits a line."""
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
