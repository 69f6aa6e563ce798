"""The guides for Okta and Entra: every error text is one of the bridge's."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import client, connect
from rfc import PATCH, USER, patch
from written_commands import matches

from app.bridge.faults import scim_error
from app.config import Settings
from app.mapping.load import load_mapping
from app.platform.errors import Denied, PlatformError, Unauthenticated, Unavailable
from app.web.contexts import BASE_PATH

if TYPE_CHECKING:
    from conftest import Served

ROOT = Path(__file__).parents[2]
GUIDES = ["entra", "okta"]
LIMITED = "this connection sends more than 100 requests a second (at most "
FIRST_READ = "users are being read for the first time, to find them by externalId and e-mail"


def text_of(guide: str) -> str:
    return (ROOT / "examples" / f"{guide}.md").read_text("utf-8")


def quoted_errors(text: str) -> list[str]:
    """The first column of the table of failures."""
    table = text[text.index("| The bridge says |") :].partition("\n\n")[0]
    return [m[1] for line in table.splitlines()[2:] if (m := re.match(r"\| `([^`]+)` \|", line))]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_error_is_one_of_the_bridge(guide: str, served: Served) -> None:
    said = [*platform_errors(), *source_texts(), *answers(guide, served)]
    quoted = quoted_errors(text_of(guide))
    assert len(quoted) > 10
    assert [each for each in quoted if not any(matches(each, detail) for detail in said)] == []


def platform_errors() -> list[str]:
    """The texts for failures at the platform."""
    failures: list[PlatformError] = [
        Unavailable("GET", "", outcome_unknown=False),
        Unauthenticated("GET", ""),
        Denied("GET", ""),
    ]
    return [scim_error(failure, load_mapping("default")).detail for failure in failures]


def source_texts() -> list[str]:
    """Texts that take too long to bring about, as the modules have them."""
    limits = (ROOT / "app" / "web" / "limits" / "limits.py").read_text("utf-8")
    assert "this connection sends more than {per_s:g} requests a second (at most {burst} at once)" in limits
    upkeep = (ROOT / "app" / "bridge" / "upkeep.py").read_text("utf-8")
    assert FIRST_READ in upkeep
    return [LIMITED, FIRST_READ]


def answers(guide: str, served: Served) -> list[str]:
    """What the bridge answers to the requests behind the table."""
    place = ROOT / "tests" / "data" / "mappings" / "catalogs.toml"
    closed = place.read_text("utf-8").replace('closed = ["entitlements"]', 'closed = ["roles"]')
    mapping = served.data_dir / f"closed-{guide}.toml"
    mapping.write_text(closed)
    token = connect(served, f"guide-{guide}", "--mapping", str(mapping), "--domain", f"guide-{guide}")
    said: list[httpx.Response] = []
    with client(served, token) as scim:
        ada = {"schemas": [USER], "userName": "ada@example.com"}
        made = scim.post("/Users", json=ada).json()
        user = made.get("id") or scim.get("/Users").json()["Resources"][0]["id"]
        group = scim.post("/Groups", json={"displayName": f"g-{uuid.uuid4()}"}).json()["id"]
        no_name: dict[str, Any] = {"schemas": [USER], "emails": [{"value": "x@example.com"}]}
        said += [
            scim.get("/Users", headers={"Authorization": "Bearer wrong"}),
            httpx.get(served.base_url.removesuffix(BASE_PATH) + "/Users"),
            scim.post("/Users", json=ada),
            scim.post("/Users", json={"schemas": [USER], "userName": "no address"}),
            scim.post("/Users", json=no_name),
            scim.post("/Users", json={**ada, "userName": "r@example.com", "roles": [{"value": "nobody"}]}),
            patch(scim, user, {"op": "Remove", "path": "emails"}),
            patch(scim, user, {"op": "Replace", "path": "id", "value": "x"}),
            patch(scim, user, {"op": "Add", "path": "badgeNumber", "value": "x"}),
            scim.patch(
                f"/Groups/{group}",
                json={
                    "schemas": [PATCH],
                    "Operations": [{"op": "add", "path": "members", "value": [{"value": "usr_nobody"}]}],
                },
            ),
        ]
    assert all(answer.status_code >= 400 for answer in said)
    return [answer.json()["detail"] for answer in said]


def test_defaults_that_the_guides_quote() -> None:
    assert Settings().requests_per_second == 100
    assert {"okta", "entra"} <= {f.stem for f in (ROOT / "mappings").glob("*.toml")}


@pytest.mark.parametrize("guide", GUIDES)
def test_it_is_linked(guide: str) -> None:
    assert f"(examples/{guide}.md)" in (ROOT / "README.md").read_text("utf-8")
    assert f"({guide}.md)" in (ROOT / "examples" / "README.md").read_text("utf-8")
