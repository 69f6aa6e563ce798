"""What `bench sync` refuses before it sends anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run, one_line

URL = "http://127.0.0.1:9/scim/v2"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([URL, "--prefix", 'a" or "'], "--prefix"),
        ([URL, "--prefix", ""], "--prefix"),
        ([URL, "--rate", "0"], "--rate"),
        ([URL, "--users", "3", "--members", "4"], "--members 4"),
        (["ftp://127.0.0.1/"], "not an http"),
        (["127.0.0.1:9"], "not an http"),
        (["http://user:geheim@127.0.0.1:9/"], "neither user nor query"),
        ([f"{URL}?token=geheim"], "neither user nor query"),
        ([URL, "--token-file", "/nowhere"], "/nowhere"),
        ([URL], "the test of the connection failed: no answer"),
    ],
)
def test_wrong_options_are_one_line(run: Run, arguments: list[str], part: str) -> None:
    done = run("bench", "sync", *arguments, SCIM_BENCH_TOKEN="t")
    assert done.returncode == 1
    [line] = [each for each in done.stderr.splitlines() if each.strip()]
    assert line.startswith("error: ")
    assert part in line
    assert "geheim" not in line


@pytest.mark.parametrize("token", ["", " \n", "two\nlines", "gehe\u00efm"])
def test_a_token_that_no_header_holds(run: Run, token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token, "utf-8")
    one_line(run("bench", "sync", URL, "--token-file", str(file)), "token")
    if "\n" not in token:
        one_line(run("bench", "sync", URL, SCIM_BENCH_TOKEN=token), "token")


def test_there_is_no_option_for_the_token(run: Run) -> None:
    done = run("bench", "sync", URL, "--token", "t")
    assert done.returncode == 2
    assert "No such option" in done.stderr
