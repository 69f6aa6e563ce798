"""Token requests and assertions as text: what is taken and what is refused, without a server."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from issuer import AUDIENCE, SUBJECT, claims, private_key, public_jwk, signed
from jwt.algorithms import RSAAlgorithm

from app.scim.errors import TooManyRequests
from app.web.oauth.assertions import BadAssertion, peek, verify
from app.web.oauth.errors import (
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    UnsupportedGrantType,
    oauth_body,
)
from app.web.oauth.keys import BadKeySet, read_key_set
from app.web.oauth.requests import (
    JWT_BEARER,
    AssertionCredentials,
    SecretCredentials,
    check_scope,
    read_request,
)

ISSUER = "https://login.example/tenant/v2.0"
GRANT = {"grant_type": "client_credentials"}


def basic(user: str, password: str) -> list[bytes]:
    return [b"Basic " + base64.b64encode(f"{user}:{password}".encode())]


def form(*pairs: tuple[str, str], **fields: str) -> bytes:
    return urlencode([*GRANT.items(), *fields.items(), *pairs]).encode()


@pytest.mark.parametrize(
    ("authorization", "body", "found"),
    [
        (basic("cli_1", "s"), form(), SecretCredentials(client_id="cli_1", secret="s")),
        ([b"basic   " + base64.b64encode(b"a:b:c")], form(), SecretCredentials(client_id="a", secret="b:c")),
        # RFC 6749 §2.3.1: both are form-encoded first.
        (
            basic(quote_plus("a:b c/ä"), quote_plus("x+y%:")),
            form(),
            SecretCredentials(client_id="a:b c/ä", secret="x+y%:"),
        ),
        (basic("a", "b"), form(client_id="a"), SecretCredentials(client_id="a", secret="b")),
        ([], form(client_id="a", client_secret="b"), SecretCredentials(client_id="a", secret="b")),
        (
            [],
            form(client_assertion_type=JWT_BEARER, client_assertion="x.y.z"),
            AssertionCredentials(assertion="x.y.z", client_id=None),
        ),
        # A parameter without a value counts as left out (RFC 6749 §3.2); unknown ones are passed over.
        (
            basic("a", "b"),
            form(client_secret="", client_assertion="", more="x"),
            SecretCredentials(client_id="a", secret="b"),
        ),
    ],
)
def test_ways_to_authenticate(authorization: list[bytes], body: bytes, found: object) -> None:
    assert read_request(authorization, body).credentials == found


@pytest.mark.parametrize(
    ("authorization", "body", "kind"),
    [
        ([], b"", InvalidRequest),
        (basic("a", "b"), b"", InvalidRequest),
        (basic("a", "b"), b"grant_type=", InvalidRequest),
        (basic("a", "b"), b"grant_type=password", UnsupportedGrantType),
        (basic("a", "b"), b"grant_type=Client_Credentials", UnsupportedGrantType),
        (
            basic("a", "b"),
            b"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x",
            UnsupportedGrantType,
        ),
        ([], form(), InvalidClient),
        ([], form(client_id="a"), InvalidClient),
        ([], form(client_secret="b"), InvalidRequest),
        (basic("a", "b"), form(("grant_type", "client_credentials")), InvalidRequest),
        (basic("a", "b"), form(("scope", ""), ("scope", "")), InvalidRequest),
        ([], form(("client_id", "a"), ("client_id", "a"), client_secret="b"), InvalidRequest),
        (basic("a", "b"), form(client_secret="b"), InvalidRequest),
        (
            basic("a", "b"),
            form(client_assertion_type=JWT_BEARER, client_assertion="x"),
            InvalidRequest,
        ),
        ([], form(client_id="a", client_secret="b", client_assertion="x"), InvalidRequest),
        ([*basic("a", "b"), *basic("a", "b")], form(), InvalidRequest),
        (basic("a", "b"), form(client_id="other"), InvalidRequest),
        ([], form(client_assertion="x.y.z"), InvalidRequest),
        ([], form(client_assertion_type=JWT_BEARER), InvalidRequest),
        ([], form(client_assertion_type="saml2-bearer", client_assertion="x"), InvalidClient),
        ([b"Bearer x"], form(), InvalidClient),
        ([b""], form(), InvalidClient),
        ([b"Basic"], form(), InvalidClient),
        ([b"Basic !!!"], form(), InvalidClient),
        ([b"Basic " + base64.b64encode(b"no-colon")], form(), InvalidClient),
        ([b"Basic " + base64.b64encode(b"\xff:\xfe")], form(), InvalidClient),
        (basic("%ff", "b"), form(), InvalidClient),
        ([b"Basic \xff\xff"], form(), InvalidClient),
        ([], b"\xff\xfe", InvalidRequest),
        ([], form() + b"&client_id=%ff&client_secret=b", InvalidRequest),
        ([], form(client_id="a\0", client_secret="b"), InvalidRequest),
        ([], form(client_id="a", client_secret="b\0"), InvalidRequest),
        ([], b"&".join(b"a%d=1" % n for n in range(60)), InvalidRequest),
        ([], b'{"grant_type": "client_credentials"}', InvalidRequest),
    ],
)
def test_requests_that_are_refused(authorization: list[bytes], body: bytes, kind: type[OAuthError]) -> None:
    with pytest.raises(OAuthError) as refused:
        read_request(authorization, body)
    assert type(refused.value) is kind


@pytest.mark.parametrize("scope", ["scim2", "scim admin", "", " scim", "SCIM", "\0"])
def test_scopes_there_are_not(scope: str) -> None:
    check_scope(None)
    check_scope("scim")
    check_scope("scim.readwrite")
    with pytest.raises(InvalidScope):
        check_scope(scope)


def test_descriptions_have_the_characters_of_the_rfc() -> None:
    body = oauth_body(InvalidRequest('a "b" \\ ä \n'))
    assert body == {"error": "invalid_request", "error_description": "a 'b' ' ? ?"}
    assert oauth_body(TooManyRequests("x"), "r1") == {
        "error": "temporarily_unavailable",
        "error_description": "x (reference r1)",
    }


# --- key sets -----------------------------------------------------------------------------------------------


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def rsa_jwk(bits: int) -> dict[str, Any]:
    made = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return {**json.loads(RSAAlgorithm.to_jwk(made)), "kid": "x"}


def test_keys_and_what_they_may_check() -> None:
    (plain, bound, curve) = read_key_set(
        key_set(public_jwk("one"), public_jwk("one", alg="PS256"), public_jwk("c", "ES384"))
    )
    assert plain.algorithms == ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    assert curve.algorithms == ("ES384",)
    (bound,) = read_key_set(key_set({**public_jwk("one"), "alg": "PS256"}))
    assert bound.algorithms == ("PS256",)


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "n": "AA", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "x": "A" * 43, "y": "A" * 43},
        {"kty": 5},
        {},
        None,
        [],
        "key",
    ],
)
def test_keys_that_are_passed_over(key: Any) -> None:
    assert [k.kid for k in read_key_set(key_set(key, public_jwk("one"), key))] == ["one"]


def test_more_keys_that_are_passed_over() -> None:
    for key in (
        rsa_jwk(1024),
        {**public_jwk("one"), "use": "enc"},
        {**public_jwk("one"), "alg": "HS256"},
        {**public_jwk("one"), "alg": "none"},
        {**public_jwk("one"), "alg": "RSA-OAEP"},
    ):
        assert list(read_key_set(key_set(key))) == []


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{}", b'{"keys": {}}', b"\xff", b"<html>", b"[" * 100_000, key_set(*[{}] * 101)],
)
def test_what_is_no_key_set(text: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(text)


# --- assertions ---------------------------------------------------------------------------------------------


def check(assertion: str, *, keys: Any = None, now: float | None = None) -> None:
    known = read_key_set(key_set(public_jwk("one")) if keys is None else keys)
    verify(
        assertion,
        known,
        issuer=ISSUER,
        subject=SUBJECT,
        audience=AUDIENCE,
        now=time.time() if now is None else now,
    )


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_a_good_assertion(alg: str) -> None:
    check(signed(claims(ISSUER), alg=alg))
    check(signed(claims(ISSUER, aud=["x", AUDIENCE]), alg=alg))


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_one_signed_on_a_curve(alg: str) -> None:
    check(signed(claims(ISSUER), f"c-{alg}", alg), keys=key_set(public_jwk(f"c-{alg}", alg)))


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hmac_under_the_public_key(form: PublicFormat, encoding: Encoding) -> str:
    public = private_key("one").public_key().public_bytes(encoding, form)
    # The library itself refuses to sign so.
    head = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(claims(ISSUER))}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{head}.{b64(mac.sign(head.encode(), public))}"


@pytest.mark.parametrize(
    ("form", "encoding"),
    [
        (PublicFormat.SubjectPublicKeyInfo, Encoding.PEM),
        (PublicFormat.PKCS1, Encoding.PEM),
        (PublicFormat.SubjectPublicKeyInfo, Encoding.DER),
    ],
)
def test_no_hmac_under_the_public_key(form: PublicFormat, encoding: Encoding) -> None:
    with pytest.raises(BadAssertion, match="signature"):
        check(hmac_under_the_public_key(form, encoding))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "ES256", "EdDSA", "RS256 ", "", "RS1"])
def test_algorithms_of_another_kind(alg: str) -> None:
    good = signed(claims(ISSUER))
    for signature in ("", good.rpartition(".")[2]):
        with pytest.raises(BadAssertion):
            check(f"{b64({'alg': alg, 'kid': 'one'})}.{b64(claims(ISSUER))}.{signature}")


def test_an_algorithm_that_the_key_is_not_for() -> None:
    keys = key_set({**public_jwk("one"), "alg": "RS256"})
    check(signed(claims(ISSUER)), keys=keys)
    with pytest.raises(BadAssertion):
        check(signed(claims(ISSUER), alg="PS256"), keys=keys)


@pytest.mark.parametrize(
    "other",
    [
        {"iss": ISSUER + "/"},
        {"iss": "https://evil.example"},
        {"sub": SUBJECT.replace("1", "2")},
        {"sub": ""},
        {"aud": AUDIENCE + "/"},
        {"aud": []},
        {"aud": ["x"]},
        {"aud": AUDIENCE.upper()},
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"exp": None},
        {"exp": "2099-01-01"},
        {"exp": True},
        {"exp": 10**30},
        {"exp": -1},
        {"exp": 10**400},
        {"iss": [ISSUER]},
        {"sub": 5},
        {"aud": {"a": 1}},
        {"aud": [AUDIENCE, 5]},
        {"aud": [AUDIENCE] * 11},
        {"iat": "now"},
        {"nbf": []},
    ],
)
def test_claims_that_are_refused(other: dict[str, Any]) -> None:
    said = {**claims(ISSUER), **other}
    said = {k: v for k, v in said.items() if v is not None}
    # Not by the library, which would refuse to write some of them.
    head = f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64(said)}"
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(head.encode(), private_key("one"))
    with pytest.raises(BadAssertion):
        check(f"{head}.{b64(signature)}")


def test_times() -> None:
    said = claims(ISSUER, iat=1000, nbf=1000, exp=4600)
    assertion = signed(said)
    for now in (940, 1000, 4600, 4659.9):
        check(assertion, now=now)
    for now, reason in ((939.9, "not good yet"), (4660, "expired"), (1e9, "expired")):
        with pytest.raises(BadAssertion, match=reason):
            check(assertion, now=now)
    with pytest.raises(BadAssertion, match="not good yet"):
        check(signed({**said, "nbf": 3000}), now=2000)
    check(signed(claims(ISSUER, iat=1000, nbf=None, exp=1000 + 86_400)), now=1000)
    with pytest.raises(BadAssertion, match="longer"):
        check(signed(claims(ISSUER, iat=1000, nbf=None, exp=1000 + 86_500)), now=50_000)
    with pytest.raises(BadAssertion, match="longer"):
        check(signed(claims(ISSUER, iat=None, nbf=None, exp=100_000)), now=1000)


def test_another_key_and_a_changed_claim() -> None:
    with pytest.raises(BadAssertion, match="signature"):
        check(signed(claims(ISSUER), "two", kid="one"))
    head, _, signature = signed(claims(ISSUER)).split(".")
    with pytest.raises(BadAssertion, match="signature"):
        check(f"{head}.{b64(claims(ISSUER, exp=int(time.time()) + 7200))}.{signature}")
    with pytest.raises(BadAssertion, match="no such key"):
        check(signed(claims(ISSUER)), keys=key_set())


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d",
        "\0.\0.\0",
        "ä.ö.ü",
        "\ud800.b.c",
        f"{b64([])}.{b64({})}.x",
        f"{b64({'alg': 5})}.{b64({})}.x",
        f"{b64({'alg': 'RS256', 'kid': 5})}.{b64(claims(ISSUER))}.x",
        f"{b64(b'[' * 50_000)}.{b64(b'[' * 50_000)}.x",
        f"{b64({'alg': 'RS256'})}.{b64(bytes([255]))}.x",
        "x" * 60_000,
    ],
)
def test_what_is_no_assertion(text: str) -> None:
    with pytest.raises(BadAssertion):
        check(text)
    with pytest.raises(BadAssertion):
        peek(text)


def test_an_extension_that_must_be_understood_is_refused() -> None:
    with pytest.raises(BadAssertion):
        check(signed(claims(ISSUER), crit=["exp"], exp=1))
