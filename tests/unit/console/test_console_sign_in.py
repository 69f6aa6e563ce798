"""Signing in and out, and how sessions end; over SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bridge_rig import Rig
from console_rig import ORIGIN, ConsoleRig, csrf_in
from sqlalchemy import text

from app.config import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

COOKIE = "scim_bridge_console"


@pytest.fixture(autouse=True)
def present(either: ConsoleRig) -> None:
    """The clock of every test begins with the present."""
    either.clock.ahead = timedelta()


async def is_in(browser) -> bool:
    answer = await browser.get("/console")
    assert answer.status_code in (200, 303)
    return answer.status_code == 200


async def test_a_token_opens_a_session(either: ConsoleRig) -> None:
    token, secret = await either.token("viewer", label="Grace")
    browser = either.browser()
    asked = await browser.get("/console/journal")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/console/sign-in?next=/console/journal"
    form = await browser.get(asked.headers["location"])
    assert 'name="next" value="/console/journal"' in form.text
    answer = await browser.post("/console/sign-in", data={"token": f" {secret} ", "next": "/console/journal"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/journal"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/console" in cookie
    assert "Secure" not in cookie
    assert secret not in cookie
    page = await browser.get("/console")
    assert "Grace" in page.text
    assert secret not in page.text
    used = {t.id: t.last_used_at for t in await either.store.admin_tokens.list()}
    assert used[token.id] is not None
    async with either.store.db.read() as db:
        rows = (await db.execute(text("SELECT * FROM admin_sessions"))).all()
    assert browser.cookies[COOKIE] not in str(rows)


@pytest.mark.parametrize("secret", ["", "sca_x", "sca_" + "A" * 43, "scb_" + "A" * 43, "ä" * 47, "\x00"])
async def test_another_token_opens_none(either: ConsoleRig, secret: str) -> None:
    browser = either.browser()
    answer = await browser.post("/console/sign-in", data={"token": secret})
    assert answer.status_code == 401
    assert "not valid" in answer.text
    assert "set-cookie" not in answer.headers
    assert not await is_in(browser)


async def test_a_token_of_a_connection_opens_none(either: ConsoleRig) -> None:
    answer = await either.browser().post("/console/sign-in", data={"token": either.rig.token})
    assert answer.status_code == 401


async def test_an_admin_token_is_none_for_scim(either: ConsoleRig) -> None:
    _, secret = await either.token("admin")
    assert (await either.rig.scim("GET", "/Users", token=secret)).status_code == 401


async def test_expired_and_revoked_tokens_open_none(either: ConsoleRig) -> None:
    _, expiring = await either.token("admin", expires_at=either.clock() + timedelta(hours=1))
    revoked, secret = await either.token("admin")
    await either.store.admin_tokens.revoke(revoked.id)
    either.clock.ahead = timedelta(hours=2)
    for each in (expiring, secret):
        answer = await either.browser().post("/console/sign-in", data={"token": each})
        assert answer.status_code == 401


async def test_a_session_ends_by_signing_out(either: ConsoleRig) -> None:
    browser = await either.signed_in()
    kept = browser.cookies[COOKIE]
    answer = await browser.send_form("/console/sign-out")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in"
    assert not await is_in(browser)
    # Not only here: the secret is worth nothing any more.
    browser.cookies.set(COOKIE, kept, domain="console.test", path="/console")
    assert not await is_in(browser)


async def test_a_session_ends_when_nothing_is_done(either: ConsoleRig) -> None:
    browser = await either.signed_in()
    idle = Settings().admin_idle_s
    for step in (0.9, 1.8, 2.7):
        either.clock.ahead = timedelta(seconds=step * idle)
        assert await is_in(browser), step
    either.clock.ahead = timedelta(seconds=3.8 * idle)
    assert not await is_in(browser)


async def test_what_a_page_asks_by_itself_keeps_no_session(either: ConsoleRig) -> None:
    browser = await either.signed_in()
    idle = Settings().admin_idle_s
    for step, part in ((0.5, "charts"), (0.7, "requests/news"), (0.9, "status")):
        either.clock.ahead = timedelta(seconds=step * idle)
        assert (await browser.get(f"/console/{part}", headers={"hx-request": "true"})).status_code == 200
    either.clock.ahead = timedelta(seconds=1.1 * idle)
    answer = await browser.get("/console/status", headers={"hx-request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/console/sign-in"


async def test_a_session_ends_at_last(either: ConsoleRig) -> None:
    browser = await either.signed_in()
    settings = Settings()
    ahead = 0.0
    while ahead < settings.admin_session_s:
        assert await is_in(browser)
        ahead += settings.admin_idle_s / 2
        either.clock.ahead = timedelta(seconds=ahead)
    assert not await is_in(browser)


async def test_a_session_ends_with_its_token(either: ConsoleRig) -> None:
    token, secret = await either.token("viewer")
    browser = either.browser()
    await browser.post("/console/sign-in", data={"token": secret})
    assert await is_in(browser)
    await either.store.admin_tokens.revoke(token.id)
    assert not await is_in(browser)


async def test_sessions_that_have_ended_are_removed(either: ConsoleRig) -> None:
    await either.signed_in()
    either.clock.ahead = timedelta(days=2)
    await either.signed_in()
    async with either.store.db.read() as db:
        left = (await db.execute(text("SELECT count(*) FROM admin_sessions"))).scalar_one()
    assert left == 1


async def test_by_https_the_cookie_is_secure_and_of_this_host_alone(rig: Rig) -> None:
    behind = ConsoleRig(rig)
    _, secret = await behind.token("viewer")
    browser = behind.browser()
    browser.base_url = "https://console.test"
    headers = {"origin": "https://console.test"}
    answer = await browser.post("/console/sign-in", data={"token": secret}, headers=headers)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    assert "Secure" in cookie
    assert "Path=/;" in cookie
    assert "Domain" not in cookie
    assert await is_in(browser)
    # The name without the prefix, which any page of the host could set, does not count there.
    plain = behind.browser()
    plain.base_url = "https://console.test"
    plain.cookies.set(COOKIE, browser.cookies[f"__Host-{COOKIE}"], domain="console.test", path="/")
    assert not await is_in(plain)


@pytest.mark.parametrize(("proxies", "secure"), [("127.0.0.0/8", True), ("10.0.0.0/8", False), ("", False)])
async def test_only_a_trusted_proxy_says_that_it_was_https(rig: Rig, proxies: str, secure: bool) -> None:
    console = ConsoleRig(rig, trusted_proxies=proxies)
    _, secret = await console.token("viewer")
    browser = console.browser(**{"x-forwarded-proto": "https"})
    answer = await browser.post("/console/sign-in", data={"token": secret})
    assert answer.headers["set-cookie"].startswith("__Host-") is secure
    assert ("Secure" in answer.headers["set-cookie"]) is secure


async def test_who_is_refused_too_often_has_to_wait(rig: Rig) -> None:
    console = ConsoleRig(rig, admin_failures_per_minute=3)
    _, secret = await console.token("viewer")
    browser = console.browser()
    for _ in range(3):
        assert (await browser.post("/console/sign-in", data={"token": "sca_no"})).status_code == 401
    for token in ("sca_no", secret):
        answer = await browser.post("/console/sign-in", data={"token": token})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "following",
    ["https://evil.test/", "//evil.test", "/scim/v2", "/console/../x", "/console\\@evil.test", ""],
)
async def test_a_link_does_not_choose_where_a_sign_in_leads(either: ConsoleRig, following: str) -> None:
    _, secret = await either.token("viewer")
    browser = either.browser()
    page = await browser.get("/console/sign-in", params={"next": following})
    assert "evil" not in page.text
    answer = await browser.post("/console/sign-in", data={"token": secret, "next": following})
    assert answer.headers["location"] == "/console"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test", "sec-fetch-site": ""},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
        {"origin": ORIGIN, "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": ""},
        {"origin": "", "sec-fetch-site": ""},
        {"origin": f"{ORIGIN}.evil.test", "sec-fetch-site": ""},
        {"origin": "http://console.test:99", "sec-fetch-site": ""},
        {"origin": "http://[", "sec-fetch-site": ""},
    ],
    ids=str,
)
async def test_forms_of_other_sites_are_refused(either: ConsoleRig, headers: dict[str, str]) -> None:
    browser = await either.signed_in("admin")
    csrf = csrf_in((await browser.get("/console")).text)
    _, secret = await either.token("viewer")
    for path, data in (
        ("/console/sign-in", {"token": secret}),
        ("/console/sign-out", {"csrf": csrf}),
    ):
        answer = await browser.post(path, data=data, headers=headers)
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers
    assert await is_in(browser)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "10.0.0.7", "localhost:9090", "LOCALHOST"),
        *("x.localhost", "console.test", "Console.Test:443", "console.test."),
    ],
)
async def test_the_console_answers_under_addresses_and_its_own_names(either: ConsoleRig, host: str) -> None:
    answer = await either.browser().get("/console/sign-in", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.test", "evil.test:9090", "127.0.0.1.evil.test", "localhost.evil.test", "notlocalhost"),
        *("", "console.test.evil.test", "[::1", "evil.test@127.0.0.1", "0x7f000001"),
    ],
)
async def test_under_other_names_nothing_is_shown(either: ConsoleRig, host: str) -> None:
    token, secret = await either.token("admin", label="Grace")
    browser = await either.signed_in("admin")
    for path in ("/console", "/console/sign-in", "/console/requests", "/console/static/console.css"):
        answer = await browser.get(path, headers={"host": host})
        assert answer.status_code == 421, path
        assert "SCIM_BRIDGE_ADMIN_HOSTS" in answer.text
        assert "Grace" not in answer.text
    form = {"token": secret}
    answer = await browser.post("/console/sign-in", data=form, headers={"host": host})
    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers
    used = {t.id: t.last_used_at for t in await either.store.admin_tokens.list()}
    assert used[token.id] is None


async def test_a_sign_in_leaves_no_session_that_was_there_before(either: ConsoleRig) -> None:
    browser = await either.signed_in("viewer")
    former = browser.cookies[COOKIE]
    _, secret = await either.token("admin")
    answer = await browser.post("/console/sign-in", data={"token": secret})
    assert answer.status_code == 303
    assert browser.cookies[COOKIE] != former
    other = either.browser()
    other.cookies.set(COOKIE, former, domain="console.test", path="/console")
    assert not await is_in(other)
    # One that somebody else has chosen does not become a session by signing in.
    fixed = either.browser()
    fixed.cookies.set(COOKIE, "chosen", domain="console.test", path="/console")
    answer = await fixed.post("/console/sign-in", data={"token": secret})
    assert "chosen" not in answer.headers["set-cookie"]
    thief = either.browser()
    thief.cookies.set(COOKIE, "chosen", domain="console.test", path="/console")
    assert not await is_in(thief)


async def test_a_browser_without_fetch_metadata_is_known_by_its_origin(either: ConsoleRig) -> None:
    browser = await either.signed_in(**{"sec-fetch-site": ""})
    assert await is_in(browser)
