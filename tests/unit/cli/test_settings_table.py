"""Settings from the environment: what is taken, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.config import Settings, SettingsError, load_settings

PLATFORM = {
    "SCIM_BRIDGE_PLATFORM_URL": "https://platform.test",
    "SCIM_BRIDGE_PLATFORM_CLIENT_ID": "id",
    "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET": "secret",
}


def test_nothing_set_is_enough() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({"PATH": "/bin", "SCIM_BRIDGE_PORT": ""}).embedded


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({"SCIM_BRIDGE_PORT": "9000"}, "port", 9000),
        ({"SCIM_BRIDGE_PLATFORM_TIMEOUT_S": "2.5"}, "platform_timeout_s", 2.5),
        ({"SCIM_BRIDGE_LOG_LEVEL": "debug"}, "log_level", "debug"),
        ({"SCIM_BRIDGE_PUBLIC_URL": "https://x.test/scim/v2/"}, "scim_url", "https://x.test/scim/v2"),
        ({"SCIM_BRIDGE_DATA_DIR": "/d"}, "bridge_database_url", "sqlite+aiosqlite:////d/bridge.db"),
        (
            {"SCIM_BRIDGE_DATABASE_URL": "postgresql+asyncpg://h/d"},
            "bridge_database_url",
            "postgresql+asyncpg://h/d",
        ),
        (PLATFORM, "embedded", False),
    ],
)
def test_values(environ: dict[str, str], name: str, value: Any) -> None:
    assert getattr(load_settings(environ), name) == value


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SCIM_BRIDGE_PROT": "1"}, "SCIM_BRIDGE_PROT"),
        ({"SCIM_BRIDGE_PROT_FILE": "/x"}, "SCIM_BRIDGE_PROT_FILE"),
        ({"SCIM_BRIDGE_PORT": "x"}, "SCIM_BRIDGE_PORT"),
        ({"SCIM_BRIDGE_PORT": "-1"}, "SCIM_BRIDGE_PORT"),
        ({"SCIM_BRIDGE_PORT": "65536"}, "SCIM_BRIDGE_PORT"),
        ({"SCIM_BRIDGE_PORT": "80.5"}, "SCIM_BRIDGE_PORT"),
        ({"SCIM_BRIDGE_PLATFORM_TIMEOUT_S": "0"}, "SCIM_BRIDGE_PLATFORM_TIMEOUT_S"),
        ({"SCIM_BRIDGE_PLATFORM_TIMEOUT_S": "nan"}, "SCIM_BRIDGE_PLATFORM_TIMEOUT_S"),
        ({"SCIM_BRIDGE_PLATFORM_TIMEOUT_S": "soon"}, "SCIM_BRIDGE_PLATFORM_TIMEOUT_S"),
        ({"SCIM_BRIDGE_PAGE_SIZE": "0"}, "SCIM_BRIDGE_PAGE_SIZE"),
        ({"SCIM_BRIDGE_CURSOR_TIMEOUT_S": "0"}, "SCIM_BRIDGE_CURSOR_TIMEOUT_S"),
        ({"SCIM_BRIDGE_WEBHOOK_TOLERANCE_S": "-1"}, "SCIM_BRIDGE_WEBHOOK_TOLERANCE_S"),
        ({"SCIM_BRIDGE_REQUESTS_PER_SECOND": "-1"}, "SCIM_BRIDGE_REQUESTS_PER_SECOND"),
        ({"SCIM_BRIDGE_MAX_REQUESTS_IN_PROGRESS": "0"}, "SCIM_BRIDGE_MAX_REQUESTS_IN_PROGRESS"),
        ({"SCIM_BRIDGE_LOG_LEVEL": "loud"}, "SCIM_BRIDGE_LOG_LEVEL"),
        ({"SCIM_BRIDGE_PUBLIC_URL": "scim.example.com"}, "SCIM_BRIDGE_PUBLIC_URL"),
        ({"SCIM_BRIDGE_PUBLIC_URL": "ftp://x"}, "SCIM_BRIDGE_PUBLIC_URL"),
        ({"SCIM_BRIDGE_PUBLIC_URL": "https://x/?a=b"}, "SCIM_BRIDGE_PUBLIC_URL"),
        ({"SCIM_BRIDGE_PUBLIC_URL": "http://[::1"}, "SCIM_BRIDGE_PUBLIC_URL"),
        ({**PLATFORM, "SCIM_BRIDGE_PLATFORM_URL": "http://[bad]"}, "SCIM_BRIDGE_PLATFORM_URL"),
        ({**PLATFORM, "SCIM_BRIDGE_PLATFORM_URL": "platform.test"}, "SCIM_BRIDGE_PLATFORM_URL"),
        ({"SCIM_BRIDGE_PLATFORM_URL": "https://p.test"}, "SCIM_BRIDGE_PLATFORM_CLIENT_ID"),
        ({k: v for k, v in PLATFORM.items() if "SECRET" not in k}, "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET"),
        ({"SCIM_BRIDGE_PAGE_SIZE": "300"}, "SCIM_BRIDGE_PAGE_SIZE"),
        ({"SCIM_BRIDGE_TRUSTED_PROXIES": "10.0.0.0/8, proxy"}, "SCIM_BRIDGE_TRUSTED_PROXIES"),
        ({"SCIM_BRIDGE_TRUSTED_PROXIES": "10.0.0.0/40"}, "SCIM_BRIDGE_TRUSTED_PROXIES"),
        ({"SCIM_BRIDGE_DATABASE_URL_FILE": "/nobody/here"}, "SCIM_BRIDGE_DATABASE_URL_FILE"),
    ],
)
def test_bad_values_name_the_variable(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_secret_is_not_repeated(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe-secret")
    with pytest.raises(SettingsError) as caught:
        load_settings({"SCIM_BRIDGE_PLATFORM_CLIENT_SECRET_FILE": str(secret)})
    assert "-secret" not in str(caught.value).replace(str(secret), "")


def test_values_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "s"
    secret.write_text("  geheim\n")
    environ = {k: v for k, v in PLATFORM.items() if "SECRET" not in k}
    found = load_settings({**environ, "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET_FILE": str(secret)})
    assert found.platform_client_secret == "geheim"


def test_a_setting_and_its_file_at_once_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text("file")
    with pytest.raises(SettingsError, match="SCIM_BRIDGE_PLATFORM_CLIENT_SECRET"):
        load_settings({**PLATFORM, "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET_FILE": str(file)})


def test_options_win_over_the_environment() -> None:
    found = load_settings({"SCIM_BRIDGE_PORT": "1", "SCIM_BRIDGE_HOST": "::1"}, port=2, host=None)
    assert (found.port, found.host) == (2, "::1")


def test_networks() -> None:
    found = load_settings({"SCIM_BRIDGE_TRUSTED_PROXIES": " 10.1.2.3/8 ,, ::1"}).networks()
    assert [str(n) for n in found] == ["10.0.0.0/8", "::1/128"]
