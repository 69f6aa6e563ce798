"""Signatures of the platform's webhooks: `X-ScaiKey-Signature: t=<unix seconds>,v1=<hex>`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

_TIME_DIGITS = 12
_MAX_SIGNATURES = 10


class BadSignature(Exception):
    """The signature is missing, malformed, too old, or not one of ours; the text is for the log."""


def check_signature(
    header: str, body: bytes, secrets: Sequence[str], *, now: float, tolerance_s: float
) -> None:
    """Raise `BadSignature` unless one `v1` is the HMAC-SHA256 of `{t}.{body}` under one of the secrets.

    Several `v1` and several secrets are what a change of the secret looks like from either side. `now` is
    Unix time, from which `t` may differ by `tolerance_s`.
    """
    time, signatures = _parts(header)
    expected = [
        hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
        for secret in secrets
    ]
    # Every pair is compared, so that the time taken tells nothing of which one fits.
    matches = [hmac.compare_digest(e, s) for e in expected for s in signatures]
    if not any(matches):
        raise BadSignature("no signature fits")
    if abs(now - int(time)) > tolerance_s:
        raise BadSignature("signed too long ago, or by a clock that is ahead")


def _parts(header: str) -> tuple[str, list[bytes]]:
    times: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            times.append(value)
        elif name == "v1":
            signatures.append(value.lower().encode("utf-8", "replace"))
    if len(times) != 1 or not signatures or len(signatures) > _MAX_SIGNATURES:
        raise BadSignature("the header is missing or malformed")
    time = times[0]
    if not (time.isascii() and time.isdigit() and len(time) <= _TIME_DIGITS):
        raise BadSignature("the header's time is malformed")
    return time, signatures
