"""Which media type an answer has: what `Accept` asks for (RFC 7644 §3.8, RFC 9110 §12.5.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, TypeAlias

from litestar.types import Scope

from app.bridge.context import Context
from app.scim.dialect import Tolerance
from app.web.headers import header, joined

SCIM_JSON: Final = "application/scim+json"
JSON: Final = "application/json"

Wish: TypeAlias = Literal["application/scim+json", "application/json", "either", "neither"]
"""`either`: nothing was said, or wildcards only; `neither`: everything that is served was ruled out."""

_NOTHING = (0.0, -1)
"""Quality and exactness of a type that no range takes."""


def media_type(scope: Scope) -> str:
    """The media type of the answer to this request, whatever the answer is.

    SCIM's own unless the client prefers application/json, or sent that itself and does not mind. What takes
    neither gets SCIM's own too: whether that is allowed is for `acceptable` to say.
    """
    wish = preferred(joined(scope, b"accept"))
    if wish == JSON:
        return JSON
    if wish == "either" and header(scope, b"content-type")[:16].lower() == b"application/json":
        context: Context | None = scope.get("state", {}).get("context")
        if context is None or context.dialect.allows(Tolerance.ANSWER_AS_SENT):
            return JSON
    return SCIM_JSON


def acceptable(scope: Scope) -> bool:
    """Whether `Accept` takes anything that is served."""
    return preferred(joined(scope, b"accept")) != "neither"


def preferred(accept: bytes) -> Wish:
    """What an `Accept` header asks for; ranges that cannot be read are passed over."""
    return _preferred_cached(accept) if len(accept) <= _CACHED_LENGTH else _preferred(accept)


_CACHED_LENGTH: Final = 200


def _preferred(accept: bytes) -> Wish:
    text = accept.decode("latin-1").lower()
    if not text.strip(" \t,"):
        return "either"
    scim = plain = _NOTHING
    for each in text.split(","):
        kind, _, parameters = each.partition(";")
        kind, quality = kind.strip(), _quality(parameters)
        kind = "*/*" if kind == "*" else kind  # as Java's HttpURLConnection writes it
        # The most exact range decides (RFC 9110 §12.5.1); of equal ones the first.
        if kind in (SCIM_JSON, "application/*", "*/*") and _exactness(kind) > scim[1]:
            scim = (quality, _exactness(kind))
        if kind in (JSON, "application/*", "*/*") and _exactness(kind) > plain[1]:
            plain = (quality, _exactness(kind))
    if not scim[0] and not plain[0]:
        return "neither"
    if scim[0] == plain[0] and scim[1] == plain[1] < 2:
        return "either"
    return JSON if plain > scim else SCIM_JSON


_preferred_cached = lru_cache(maxsize=256)(_preferred)


def _exactness(kind: str) -> int:
    return 0 if kind == "*/*" else 1 if kind == "application/*" else 2


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value.strip())
            except ValueError:
                return 1.0
            return quality if 0 <= quality <= 1 else 1.0
    return 1.0
