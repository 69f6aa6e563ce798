"""What lines of the log hold, whoever writes them: no tokens, and nothing that names a person."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable

import pytest
import structlog
from log_rig import Lines

from app.cli.log_text import harmless

NAME = "Wilhelmina"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_has_places_and_types_but_no_values(
    configure: Callable[..., io.StringIO], style: str
) -> None:
    stream = configure(log_format=style)
    token = "scb_" + "x" * 40
    try:
        try:
            int(NAME)
        except ValueError as exc:
            raise RuntimeError(f"PATCH /users/1?confirm_email={NAME}%40example.com: Bearer {token}") from exc
    except RuntimeError:
        structlog.get_logger("app.test").exception("failed")
    text = stream.getvalue()
    assert NAME not in text
    assert token not in text
    assert "RuntimeError: PATCH /users/1?*** Bearer ***" in text
    assert "ValueError" in text
    assert "test_log_texts.py" in text


def test_other_libraries_are_heard_from_warning_on(lines: Lines) -> None:
    other = logging.getLogger("some.driver")
    other.debug("executing SELECT with %r", (NAME,))
    other.info("GET https://platform.test/users?search=%s", NAME)
    other.warning("GET https://platform.test/users?search=%s took long", NAME)
    try:
        {"Ann": 1}[NAME]
    except KeyError:
        other.exception("failed")
    first, second = lines()
    assert first["event"] == "GET https://platform.test/users?*** took long"
    assert (second["event"], NAME in json.dumps(second)) == ("failed", False)
    assert second["exception"].endswith("KeyError")


def test_levels_are_those_of_the_setting(configure: Callable[..., io.StringIO]) -> None:
    stream = configure(log_format="json", log_level="error")
    log = structlog.get_logger("app.test")
    log.warning("degraded")
    logging.getLogger("some.driver").warning("slow")
    log.error("broken")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["broken"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic ***'}"),
        ("the token scb_0123456789abcdef is not known", "the token *** is not known"),
        ("GET /users?search=ann&page=1 failed", "GET /users?*** failed"),
        ("lease of ann.o'neill+x@mail.example.co.uk", "lease of ***"),
        ("is this right? yes", "is this right? yes"),
        ("GET /api/v1/tenants/tnt_1/users/usr_1: no answer (ReadTimeout)",) * 2,
    ],
)
def test_texts_lose_tokens_queries_and_addresses(text: str, shown: str) -> None:
    assert harmless(text) == shown
