"""Tokens: how they are had, what they carry, and which are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from platform_server import READ_WRITE, RunningPlatform, Tenant, running

from app.embedded import AppCredentials, PlatformSettings

PLATFORM_TOKEN = "/api/v1/platform/oauth/token"
JWKS = "/api/v1/platform/.well-known/jwks.json"


@pytest.fixture
def anyone(platform: RunningPlatform) -> Any:
    with platform.client(None) as client:
        yield client


@pytest.fixture
def app(platform: RunningPlatform) -> AppCredentials:
    return platform.call(platform.directory.create_app, None, READ_WRITE, "spans tenants")


def form(app: AppCredentials, **more: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        **more,
    }


def tenant_path(tenant: Tenant) -> str:
    return f"/api/v1/auth/tenants/{tenant.slug}/oauth/token"


def test_a_token_by_form_verifies_against_the_published_keys(
    anyone: httpx.Client, app: AppCredentials
) -> None:
    answer = anyone.post(PLATFORM_TOKEN, data=form(app))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    token = body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": 3600, "scope": "admin:read admin:write"}
    keys = jwt.PyJWKSet.from_dict(anyone.get(JWKS).json())
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "RS256"
    settings = PlatformSettings()
    claims = jwt.decode(
        token, keys[header["kid"]], algorithms=["RS256"], audience=settings.audience, issuer=settings.issuer
    )
    assert set(claims) == {"iss", "aud", "sub", "scope", "tenant_id", "exp", "iat", "jti"}
    assert (claims["sub"], claims["tenant_id"]) == (app.client_id, None)
    assert claims["exp"] - claims["iat"] == 3600
    assert "d" not in anyone.get(JWKS).json()["keys"][0]


def test_a_token_by_http_basic_works_at_once(anyone: httpx.Client, tenant: Tenant) -> None:
    credentials = tenant.credentials
    answer = anyone.post(
        tenant_path(tenant),
        data={"grant_type": "client_credentials", "scope": "admin:read"},
        auth=(credentials.client_id, credentials.client_secret),
    )
    assert answer.status_code == 200
    assert answer.json()["scope"] == "admin:read"
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert anyone.get(tenant.users, headers=headers).status_code == 200
    assert anyone.post(tenant.users, headers=headers, json={"email": "a@example.com"}).status_code == 403


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "app_unknown"}, 401, "invalid_client"),
        ({"scope": "admin:read root"}, 400, "invalid_scope"),
    ],
)
def test_refusals_have_the_shape_of_rfc6749(
    anyone: httpx.Client, app: AppCredentials, change: dict[str, str], status: int, error: str
) -> None:
    answer = anyone.post(PLATFORM_TOKEN, data=form(app, **change))
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"


def test_wrong_basic_credentials_are_challenged(anyone: httpx.Client, app: AppCredentials) -> None:
    for authorization in ("Basic !!!", "Basic bm9jb2xvbg==", "Bearer x"):
        headers = {"authorization": authorization}
        answer = anyone.post(PLATFORM_TOKEN, data={"grant_type": "client_credentials"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    both = anyone.post(PLATFORM_TOKEN, data=form(app), auth=(app.client_id, app.client_secret))
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


def test_a_request_that_is_no_form_is_refused(anyone: httpx.Client, app: AppCredentials) -> None:
    assert anyone.post(PLATFORM_TOKEN, json=form(app)).json()["error"] == "invalid_request"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    repeated = anyone.post(PLATFORM_TOKEN, content="grant_type=a&grant_type=b", headers=headers)
    assert (repeated.status_code, repeated.json()["error"]) == (400, "invalid_request")


def test_an_app_gets_tokens_at_its_own_endpoint_only(
    anyone: httpx.Client, app: AppCredentials, new_tenant: Callable[[], Tenant]
) -> None:
    one, two = new_tenant(), new_tenant()
    for path, credentials in (
        (tenant_path(two), one.credentials),
        (PLATFORM_TOKEN, one.credentials),
        (tenant_path(one), app),
        ("/api/v1/auth/tenants/unknown/oauth/token", one.credentials),
    ):
        answer = anyone.post(path, data=form(credentials))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), path


def signed(claims: dict[str, Any], key: Any = None, algorithm: str = "RS256", kid: str = "x") -> str:
    return jwt.encode(
        claims, key or generate_private_key(65537, 2048), algorithm=algorithm, headers={"kid": kid}
    )


def good_claims(tenant: Tenant) -> dict[str, Any]:
    now, settings = int(time.time()), PlatformSettings()
    return {
        "iss": settings.issuer,
        "aud": settings.audience,
        "sub": tenant.credentials.client_id,
        "scope": "admin:read admin:write",
        "tenant_id": tenant.id,
        "iat": now,
        "exp": now + 600,
    }


def test_bad_tokens_are_refused(platform: RunningPlatform, anyone: httpx.Client, tenant: Tenant) -> None:
    kid = jwt.get_unverified_header(tenant.token)["kid"]
    header, payload, signature = tenant.token.split(".")
    claims = good_claims(tenant)
    widened = signed({**claims, "tenant_id": None}, "a shared secret of thirty-two bytes", "HS256", kid)
    for bad in (
        None,
        "",
        "Bearer",
        f"Basic {tenant.token}",
        f"Bearer {tenant.token}x",
        "Bearer not.a.token",
        f"Bearer {header}.{widened.split('.')[1]}.{signature}",
        f"Bearer {header}.{payload}.{'A' * len(signature)}",
        f"Bearer {jwt.encode(claims, None, algorithm='none', headers={'kid': kid})}",
        f"Bearer {signed(claims, kid=kid)}",
        f"Bearer {signed(claims)}",
        f"Bearer {widened}",
        f"Bearer {platform.token(tenant.id, ttl_s=-1)}",
    ):
        headers = {} if bad is None else {"authorization": bad}
        for path in (tenant.users, "/api/v1/admin/users/", tenant.groups):
            answer = anyone.get(path, headers=headers)
            assert answer.status_code == 401, bad
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert set(answer.json()) == {"detail"}


def test_a_token_is_refused_once_it_has_expired_though_it_was_good(
    platform: RunningPlatform, anyone: httpx.Client, tenant: Tenant
) -> None:
    headers = {"authorization": f"Bearer {platform.token(tenant.id, ttl_s=2)}"}
    assert anyone.get(tenant.users, headers=headers).status_code == 200
    deadline = time.monotonic() + 5
    while (
        answer := anyone.get(tenant.users, headers=headers)
    ).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


@pytest.mark.parametrize(
    "other", [PlatformSettings(audience="another-api"), PlatformSettings(issuer="urn:other")]
)
def test_a_token_for_another_audience_or_issuer_is_refused(tmp_path: Path, other: PlatformSettings) -> None:
    database = tmp_path / "platform.db"
    with running(database, other) as issuing:
        tenant = issuing.new_tenant()
        assert tenant.http.get(tenant.users).status_code == 200
        tenant.http.close()
    with running(database, PlatformSettings()) as checking, checking.client(tenant.token) as client:
        assert client.get(tenant.users).status_code == 401


def test_keys_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "platform.db"
    with running(database, PlatformSettings(token_ttl_s=120)) as first:
        tenant = first.new_tenant()
        tenant.create("kept@example.com")
        tenant.http.close()
        with first.client(None) as client:
            answer = client.post(tenant_path(tenant), data=form(tenant.credentials))
            assert answer.json()["expires_in"] == 120
            keys = client.get(JWKS).json()
    with running(database, PlatformSettings()) as second, second.client(tenant.token) as client:
        assert client.get(JWKS).json() == keys
        assert [user["email"] for user in client.get(tenant.users).json()["data"]] == ["kept@example.com"]


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"), [(("admin:read",), 200, 403), (("admin:write",), 403, 201), ((), 403, 403)]
)
def test_scopes_decide_what_a_token_may(
    platform: RunningPlatform, tenant: Tenant, scopes: tuple[str, ...], reads: int, writes: int
) -> None:
    user = tenant.create("a@example.com")
    with platform.client(platform.token(tenant.id, scopes)) as client:
        for path in (tenant.users, f"{tenant.users}/{user['id']}", "/api/v1/admin/users/", tenant.groups):
            assert client.get(path).status_code == reads, path
        assert client.post(tenant.users, json={"email": "b@example.com"}).status_code == writes
        assert client.post(tenant.groups, json={"name": "b"}).status_code == writes
        mismatches = client.get("/api/v1/admin/users/identity-source/mismatches", params={"fix": "true"})
        assert mismatches.status_code == 403, "fixing needs both scopes"
        if writes == 403:
            path, admin = f"{tenant.users}/{user['id']}", f"/api/v1/admin/users/{user['id']}"
            for method, url in (
                ("PATCH", path),
                ("DELETE", path),
                ("PUT", path + "/status"),
                ("POST", path + "/password/reset"),
                ("POST", "/api/v1/admin/users/"),
                ("PATCH", admin),
                ("DELETE", admin),
                ("POST", admin + "/mfa/disable"),
                ("POST", admin + "/reset-password"),
                ("POST", admin + "/unlock"),
                ("DELETE", f"{tenant.groups}/grp_x"),
            ):
                answer = client.request(method, url, json={})
                assert (answer.status_code, set(answer.json())) == (403, {"detail"}), (method, url)
    assert tenant.get(user["id"]) == user


def test_secrets_and_tokens_are_not_in_the_database(platform: RunningPlatform, tenant: Tenant) -> None:
    for file in platform.database.parent.glob(platform.database.name + "*"):
        content = file.read_bytes()
        assert tenant.credentials.client_secret.encode() not in content
        assert tenant.token.encode() not in content
    assert platform.database.stat().st_mode & 0o077 == 0
