"""Ids of any shape are 404, and reach nothing: neither another route of the platform nor another tenant."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from wire import send

from app.embedded import Directory

if TYPE_CHECKING:
    from conftest import Serve, Served

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class Target(NamedTuple):
    """A bridge bound to one tenant of a platform that has another one."""

    served: Served
    own: str
    other_tenant: str
    victim: str

    def everything(self) -> Any:
        """All users of both tenants, with all that the platform knows of them."""
        found = []
        with self.served.platform() as platform:
            for tenant in (self.served.tenant_id, self.other_tenant):
                base = f"{self.served.platform_url}/api/v1/tenants/{tenant}/users"
                listed = platform.get(base, params={"per_page": 100}).json()["data"]
                found += [platform.get(f"{base}/{u['id']}").json()["data"] for u in listed]
        assert len(found) >= 2
        return found


@pytest.fixture(scope="module")
def target(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    data_dir: Path = tmp_path_factory.mktemp("hostile")

    async def second_tenant() -> str:
        async with Directory(data_dir / "platform.db") as directory:
            return await directory.ensure_tenant("other", "Other")

    other = asyncio.run(second_tenant())
    served = serve(data_dir)
    with served.platform() as platform, served.scim() as scim:
        made = platform.post(
            f"{served.platform_url}/api/v1/tenants/{other}/users",
            json={"email": "victim@example.com", "username": "victim", "send_welcome_email": False},
        )
        made.raise_for_status()
        own = scim.post("/Users", json={"schemas": [USER], "userName": "own@example.com"})
        own.raise_for_status()
    yield Target(served, own.json()["id"], other, made.json()["data"]["id"])


IDS = {
    "two dots": "..",
    "one dot": ".",
    "two dots, escaped": "%2e%2e",
    "two dots, escaped twice": "%252e%252e",
    "a slash, escaped": "%2F",
    "two slashes, escaped": "%2f%2f",
    "a backslash": "%5C..%5C",
    "dots and slashes, escaped": "..%2f..%2f..",
    "dots and slashes": "../../Users",
    "to the other tenant": "..%2F..%2F{other}%2Fusers%2F{victim}",
    "to the other tenant, raw": "../../{other}/users/{victim}",
    "to the other tenant, escaped twice": "..%252F..%252F{other}%252Fusers%252F{victim}",
    "to the other tenant, dots escaped": "%2e%2e%2f%2e%2e%2f{other}%2fusers%2f{victim}",
    "the other tenant's user": "{victim}",
    "to the status of the own user": "{own}%2Fstatus",
    "to the password of the own user": "{own}%2Fpassword%2Freset",
    "own user and a slash, escaped": "{own}%2F",
    "own user and dots": "{own}%2F..%2F{own}",
    "own user and a query": "{own}%3Fconfirm_email=own@example.com",
    "own user and a fragment": "{own}%23",
    "own user and a semicolon": "{own};v=1",
    "own user and a space": "{own}%20",
    "a space and the own user": "%20{own}",
    "own user and a NUL": "{own}%00",
    "own user and a line end": "{own}%0d%0aX-Header:%201",
    "a semicolon": ";",
    "a space": "%20",
    "a question mark": "%3F",
    "a percent sign": "%25",
    "a NUL": "%00",
    "an asterisk": "*",
    "a quote": "%22",
    "an apostrophe": "'",
    "braces": "%7Bid%7D",
    "Unicode": "%C3%BCser",
    "Unicode dots": "%E2%80%A5",
    "full-width slash": "%EF%BC%8F",
    "not UTF-8": "%FF%FE",
    "half an escape": "%2",
    "digits": "00919288221112222",
    "a GUID": "7b1f5c1e-52a6-4a51-b8a9-3f6a2f0c2f5d",
    "SQL": "1%27%20OR%20%271%27=%271",
    "very long": "a" * 5000,
    "long, right letters": "usr_" + "a" * 4000,
    "a reserved word": "me",
    "minus one": "-1",
}


@pytest.mark.parametrize("shape", IDS.values(), ids=IDS.keys())
def test_unknown_id_is_404(target: Target, shape: str) -> None:
    path = "/Users/" + shape.format(other=target.other_tenant, victim=target.victim, own=target.own)
    before = target.everything()
    name = f"u-{uuid.uuid4()}@example.com"
    bodies: dict[str, object] = {
        "GET": None,
        "PUT": {"schemas": [USER], "userName": name, "active": False, "title": "changed"},
        "PATCH": {"Operations": [{"op": "replace", "value": {"active": False, "title": "changed"}}]},
        "DELETE": None,
    }
    for method, body in bodies.items():
        answer = send(target.served.base_url, target.served.token, method, path, body)
        assert answer.status == 404, (method, answer)
        assert answer.json["schemas"] == [ERROR], (method, answer)
        assert answer.json["status"] == "404"
        assert answer.json["detail"]
    assert target.everything() == before


@pytest.mark.parametrize("path", ["/Schemas/", "/ResourceTypes/"])
@pytest.mark.parametrize("shape", IDS.values(), ids=IDS.keys())
def test_unknown_names_in_discovery_are_404(target: Target, path: str, shape: str) -> None:
    filled = shape.format(other=target.other_tenant, victim=target.victim, own=target.own)
    answer = send(target.served.base_url, target.served.token, "GET", path + filled)
    assert answer.status == 404, answer
    assert answer.json["status"] == "404"


VALUES = (
    "..",
    "../../{other}/users/{victim}",
    "..%2F..%2F{other}%2Fusers%2F{victim}",
    "{victim}",
    "{own}/status",
    "{own} ",
    "{own}?",
    "{own};",
    "",
    "ü",
    "a" * 3000,
)


@pytest.mark.parametrize("value", VALUES)
def test_hostile_ids_in_filters_match_nothing(target: Target, value: str) -> None:
    filled = value.format(other=target.other_tenant, victim=target.victim, own=target.own)
    with target.served.scim() as scim:
        for attribute in ("id", "userName", "externalId", "manager", "groups.value"):
            text = f'id eq "{filled}"' if attribute == "id" else f'{attribute} eq "{filled}" and id pr'
            answer = scim.get("/Users", params={"filter": text})
            assert answer.status_code == 200, (text, answer.text)
            assert answer.json()["totalResults"] == 0, text
        own = scim.get("/Users", params={"filter": f'id eq "{filled}" or id eq "{target.own}"'}).json()
        assert [r["id"] for r in own["Resources"]] == [target.own]


def test_a_nul_in_a_filter_is_refused(target: Target) -> None:
    with target.served.scim() as scim:
        answer = scim.get("/Users", params={"filter": 'id eq "\\u0000"'})
    assert answer.status_code == 400
    assert answer.json()["scimType"] == "invalidFilter"


def test_the_own_user_is_there_all_the_same(target: Target) -> None:
    answer = send(target.served.base_url, target.served.token, "GET", f"/Users/{target.own}")
    assert answer.status == 200
    assert answer.json["userName"] == "own@example.com"


def test_the_platform_would_have_answered(target: Target) -> None:
    """The other tenant's user exists, and the bridge's credentials could read it: the bridge is the guard."""
    with target.served.platform() as platform:
        url = f"{target.served.platform_url}/api/v1/tenants/{target.other_tenant}/users/{target.victim}"
        answer = platform.get(httpx.URL(url))
        assert answer.json()["data"]["username"] == "victim"
