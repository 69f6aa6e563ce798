"""The media type of answers and of bodies: what Accept and Content-Type say, in both dialects."""

from __future__ import annotations

import json

import pytest
from bridge_rig import Rig, assert_scim_error, person

from app.store.connections import DialectSettings
from app.web.negotiation import JSON, SCIM_JSON, preferred

EITHER, NEITHER = "either", "neither"


@pytest.mark.parametrize(
    ("accept", "wish"),
    [
        ("", EITHER),
        (" , ", EITHER),
        ("*/*", EITHER),
        ("application/*", EITHER),
        ("application/*;q=0.2, text/html", EITHER),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", EITHER),
        (SCIM_JSON, SCIM_JSON),
        ("Application/SCIM+JSON; charset=utf-8", SCIM_JSON),
        (JSON, JSON),
        ("application/json;charset=UTF-8", JSON),
        ("application/json, text/plain, */*", JSON),
        (f"{JSON}, {SCIM_JSON}", SCIM_JSON),
        (f"{SCIM_JSON};q=0.8, {JSON}", JSON),
        (f"{SCIM_JSON};q=0.8, {JSON};q=0.9", JSON),
        (f"{SCIM_JSON};q=0.9, {JSON};q=0.8", SCIM_JSON),
        (f"{JSON};q=0.5, */*", SCIM_JSON),
        (f"{JSON};q=0, */*", SCIM_JSON),
        (f"{SCIM_JSON};q=0, */*", JSON),
        (f"{SCIM_JSON};q=0, {JSON}", JSON),
        ("*/*;q=0.1, application/*;q=0", NEITHER),
        ("application/json;q=x", JSON),
        ("application/json;q=7", JSON),
        ("application/json;q=nan", JSON),
        ("text/html", NEITHER),
        ("text/html, application/xml", NEITHER),
        ("application/json;q=0", NEITHER),
        ("*/*;q=0", NEITHER),
        ("application/json-patch+json", NEITHER),
        ("é\xff;;;==,,;q", NEITHER),
        ("text/html, " * 1000, NEITHER),
        ("text/html, " * 1000 + JSON, JSON),
    ],
)
def test_what_accept_asks_for(accept: str, wish: str) -> None:
    assert preferred(accept.encode("latin-1")) == wish


@pytest.mark.asyncio(loop_scope="module")
class TestOverHttp:
    async def test_answers_and_errors_are_negotiated_alike(self, rig: Rig) -> None:
        for path in ("/Users", "/Users/nobody", "/Nobody", "/Schemas", "http://bridge.test/scim/v1"):
            for accept, answered in ((SCIM_JSON, SCIM_JSON), (JSON, JSON), ("text/html", SCIM_JSON)):
                answer = await rig.scim("GET", path, headers={"accept": accept})
                assert answer.headers["content-type"] == answered
                assert answer.headers["vary"] == "Accept"
                assert answer.headers["cache-control"] == "no-store"

    async def test_several_accept_fields_are_one_list(self, rig: Rig) -> None:
        fields = [("accept", "text/html"), ("accept", JSON)]
        async with rig.client() as client:
            del client.headers["accept"]
            assert (await client.get("/Users", headers=fields)).headers["content-type"] == JSON

    @pytest.mark.parametrize(
        ("accept", "sent", "lenient", "strict"),
        [
            (None, JSON, JSON, SCIM_JSON),
            ("*/*", JSON, JSON, SCIM_JSON),
            ("*/*", f"{JSON}; charset=utf-8", JSON, SCIM_JSON),
            ("*/*", SCIM_JSON, SCIM_JSON, SCIM_JSON),
            (SCIM_JSON, JSON, SCIM_JSON, SCIM_JSON),
            (JSON, SCIM_JSON, JSON, JSON),
        ],
    )
    async def test_a_body_of_plain_json_is_answered_so(
        self, shared: Rig, accept: str | None, sent: str, lenient: str, strict: str
    ) -> None:
        for mode, answered in (("lenient", lenient), ("strict", strict)):
            rig = await shared.alone(dialect=DialectSettings(mode=mode))
            for body, status in ((person(), 201), ({}, 400)):
                async with rig.client(**{"content-type": sent}) as client:
                    del client.headers["accept"]
                    headers = {} if accept is None else {"accept": accept}
                    answer = await client.post("/Users", content=json.dumps(body), headers=headers)
                assert (answer.status_code, answer.headers["content-type"]) == (status, answered)

    async def test_406_in_strict_mode_only(self, shared: Rig) -> None:
        for settings, status in (
            (DialectSettings(), 200),
            (DialectSettings(mode="strict"), 406),
            (DialectSettings(mode="strict", on=("any-accept",)), 200),
            (DialectSettings(off=("any-accept",)), 406),
        ):
            rig = await shared.alone(dialect=settings)
            for path in ("/Users", "/Schemas", "/ServiceProviderConfig"):
                answer = await rig.scim("GET", path, headers={"accept": "text/html"})
                assert answer.status_code == status
                assert answer.headers["content-type"] == SCIM_JSON
                assert (await rig.scim("GET", path, headers={"accept": "*/*"})).status_code == 200

    @pytest.mark.parametrize(
        ("sent", "lenient", "strict", "tolerance"),
        [
            (SCIM_JSON, 201, 201, None),
            (JSON, 201, 201, None),
            ('application/scim+json; charset="UTF-8"', 201, 201, None),
            ("application/json; charset=us-ascii", 201, 201, None),
            ("application/json; profile=x", 201, 201, None),
            ("application/json; charset=ISO-8859-1", 201, 415, "other-charset"),
            ("application/json; charset=utf-16", 201, 415, "other-charset"),
            ("", 201, 415, "missing-content-type"),
            ("; charset=utf-8", 201, 415, "missing-content-type"),
            ("text/json", 415, 415, None),
            ("application/*", 415, 415, None),
        ],
    )
    async def test_media_types_of_bodies(
        self, shared: Rig, sent: str, lenient: int, strict: int, tolerance: str | None
    ) -> None:
        cases = [(DialectSettings(), lenient), (DialectSettings(mode="strict"), strict)]
        if tolerance is not None:
            cases += [
                (DialectSettings(mode="strict", on=(tolerance,)), lenient),
                (DialectSettings(off=(tolerance,)), strict),
            ]
        for settings, status in cases:
            rig = await shared.alone(dialect=settings)
            async with rig.client(**({"content-type": sent} if sent else {})) as client:
                answer = await client.post("/Users", content=json.dumps(person()))
                assert answer.status_code == status
                if status == 415:
                    assert (
                        "application/scim+json" in assert_scim_error(answer)["detail"]
                        or "UTF-8" in answer.text
                    )
                search = json.dumps({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]})
                answer = await client.post("/Users/.search", content=search)
                assert answer.status_code == (415 if status == 415 else 200)
