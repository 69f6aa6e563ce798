"""An issuer of signed assertions, with its keys at a socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SUBJECT, AUDIENCE = "11111111-2222-3333-4444-555555555555", "api://scim-bridge"
CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@cache
def private_key(name: str, alg: str = "RS256") -> Any:
    """A key; the same for the same name."""
    if alg in CURVES:
        return ec.generate_private_key(CURVES[alg]())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(name: str, alg: str = "RS256", **more: Any) -> dict[str, Any]:
    """The public half, with the name as its id."""
    kind = ECAlgorithm if alg in CURVES else RSAAlgorithm
    jwk = json.loads(kind.to_jwk(private_key(name, alg).public_key()))
    return {"use": "sig", **jwk, "kid": name, **more}


def claims(issuer: str, **other: Any) -> dict[str, Any]:
    """Those of an assertion as Microsoft Entra ID makes it; given as None they are left out."""
    now = int(time.time())
    made = {
        "iss": issuer,
        "sub": SUBJECT,
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        **other,
    }
    return {name: value for name, value in made.items() if value is not None}


def signed(said: dict[str, Any], name: str = "one", alg: str = "RS256", **header: Any) -> str:
    """An assertion, signed by the key of that name."""
    return jwt.encode(
        said, private_key(name, alg if alg in CURVES else "RS256"), alg, headers={"kid": name, **header}
    )


class Issuer:
    """What the server answers; change it as you like."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.keys: list[Any] = [public_jwk("one")]
        self.documents: dict[str, bytes] = {}
        """Answers by path, in place of those that are made."""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        """The `iss` whose discovery document leads to the keys."""
        return f"{self.origin}/tenant/v2.0"

    @property
    def key_fetches(self) -> int:
        return sum(path.endswith("/keys") for path in self.asked)

    def answer(self, path: str) -> bytes | None:
        self.asked.append(path)
        if path in self.documents:
            return self.documents[path]
        if path.endswith("/.well-known/openid-configuration"):
            issuer = self.origin + path.removesuffix("/.well-known/openid-configuration")
            return json.dumps({"issuer": issuer, "jwks_uri": f"{issuer}/keys", "x": []}).encode()
        return json.dumps({"keys": self.keys}).encode() if path.endswith("/keys") else None


@contextmanager
def serve_issuer() -> Iterator[Issuer]:
    """An issuer that listens at the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.may_answer.wait(30)
            body = issuer.answer(self.path)
            status = 404 if body is None else issuer.status
            self.send_response(status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
