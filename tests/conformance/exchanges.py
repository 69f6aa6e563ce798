"""Client exchanges as JSON files, replayed over a socket; `data/exchanges/README.md` describes the form."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

DATA = Path(__file__).parents[1] / "data"

JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "bool": bool,
    "int": int,
    "list": list,
    "object": dict,
}
MATCHERS = frozenset(
    {"$type", "$absent", "$any", "$contains", "$lacks", "$unordered", "$not", "$length", "$min"}
)
STEP_KEYS = frozenset({"note", "covers", "method", "path", "headers", "body", "expect", "save", "platform"})
ABSENT = object()
"""Stands for a member that is not there."""

_VARIABLE = re.compile(r"\$\{(\w+)(?:\|(upper|lower))?\}")
_CLIENT = re.compile(r"\$\{(\w+)\}")


class Mismatch(AssertionError):
    """An answer that is not the expected one; the text names client, step, request and answer."""


def load(path: Path) -> dict[str, Any]:
    """One file, checked for misspelt keys."""
    exchange: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert {"client", "source", "steps"} <= exchange.keys(), path
    assert exchange.keys() <= {"client", "source", "notes", "covers", "headers", "variables", "steps"}, path
    for number, step in enumerate(exchange["steps"], 1):
        unknown = step.keys() - STEP_KEYS - {"mirrors"}
        assert not unknown, f"{path.name}, step {number}: {unknown}"
        assert {"note", "method", "path", "expect"} <= step.keys(), f"{path.name}, step {number}"
    return exchange


def covered(path: Path) -> set[str]:
    """The requirements that a file's steps name."""
    return {name for step in load(path)["steps"] for name in step.get("covers", ())}


def replay(exchange: dict[str, Any], base_url: str, token: str, platform: httpx.Client) -> dict[str, Any]:
    """Send every step in order and compare every answer; the variables at the end. Raises `Mismatch`."""
    variables: dict[str, Any] = {}
    for name, value in exchange.get("variables", {}).items():
        variables[name] = filled(value, variables)
    with httpx.Client(timeout=60) as http:
        for number, step in enumerate(exchange["steps"], 1):
            where = f"{exchange['client']}, step {number} ({step['note']})"
            answer = _send(http, base_url, token, exchange.get("headers", {}), step, variables)
            _compare(answer, step["expect"], variables, where)
            if step.get("save"):
                body = answer.json()
                for name, path in step["save"].items():
                    found = at(body, path)
                    if found is ABSENT:
                        raise Mismatch(f"{where}: there is no {path} to save in {answer.text}")
                    variables[name] = found
            for check in step.get("platform", ()):
                _check_platform(platform, check, variables, where)
    return variables


def filled(value: Any, variables: dict[str, Any]) -> Any:
    """The value with variables put in; a string that is one variable becomes what the variable holds."""
    if isinstance(value, dict):
        if set(value) == {"$merge"}:
            merged: Any = {}
            for part in value["$merge"]:
                merged = _merged(merged, filled(part, variables))
            return merged
        return {filled(k, variables): filled(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    whole = _CLIENT.fullmatch(value)
    if whole and whole[1] != "uuid":
        return variables[whole[1]]

    def put(found: re.Match[str]) -> str:
        text = str(uuid.uuid4()) if found[1] == "uuid" else str(variables[found[1]])
        return {"upper": text.upper(), "lower": text.lower()}.get(found[2], text)

    return _VARIABLE.sub(put, value)


def at(value: Any, path: str) -> Any:
    """What stands at a path such as `Resources[0].id`; the empty path is the whole.

    `ABSENT` where nothing is.
    """
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if part.startswith("["):
            index = int(part[1:-1])
            value = value[index] if isinstance(value, list) and index < len(value) else ABSENT
        else:
            value = value.get(part, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where a JSON value is not as expected, one line each; objects may have further members."""
    here = path or "the body"
    if isinstance(expected, dict) and expected.keys() & MATCHERS:
        yield from _matcher_differences(expected, found, here)
    elif found is ABSENT:
        yield f"{here} is missing"
    elif isinstance(expected, dict):
        if not isinstance(found, dict):
            yield f"{here} is {found!r}, not an object"
            return
        for key, inner in expected.items():
            yield from differences(inner, found.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            yield f"{here} is {found!r}, not {len(expected)} elements"
            return
        for index, inner in enumerate(expected):
            yield from differences(inner, found[index], f"{here}[{index}]")
    elif type(found) is not type(expected) or found != expected:
        yield f"{here} is {found!r}, not {expected!r}"


def _matcher_differences(expected: dict[str, Any], found: Any, here: str) -> Iterator[str]:
    for matcher, wanted in expected.items():
        match matcher:
            case "$absent":
                right = (found is ABSENT) is wanted
            case "$any":
                right = found is not ABSENT and found is not None and found not in ("", [], {})
            case "$type":
                right = isinstance(found, JSON_TYPES[wanted]) and not (wanted == "int" and found is True)
                right = right and not (wanted == "int" and found is False)
            case "$contains" if isinstance(found, str):
                right = wanted in found
            case "$contains":
                right = isinstance(found, list) and any(not [*differences(wanted, f)] for f in found)
            case "$lacks" if isinstance(found, str):
                right = wanted not in found
            case "$lacks":
                right = not isinstance(found, list) or all([*differences(wanted, f)] for f in found)
            case "$unordered":
                right = isinstance(found, list) and len(found) == len(wanted)
                right = right and all(any(not [*differences(w, f)] for f in found) for w in wanted)
            case "$not":
                right = found is not ABSENT and found != wanted
            case "$length":
                right = isinstance(found, list | str) and len(found) == wanted
            case "$min":
                right = isinstance(found, int) and found >= wanted
            case _:
                raise AssertionError(f"{here}: no matcher {matcher}")
        if not right:
            shown = "missing" if found is ABSENT else repr(found)
            yield f"{here} is {shown}, which is not {matcher} {wanted!r}"


def _send(
    http: httpx.Client,
    base_url: str,
    token: str,
    common: dict[str, Any],
    step: dict[str, Any],
    variables: dict[str, Any],
) -> httpx.Response:
    """One request with these headers and no others: httpx adds nothing of its own to a `Request`."""
    headers = {"Authorization": f"Bearer {token}", **common, **step.get("headers", {})}
    content = None
    if "body" in step:
        content = json.dumps(filled(step["body"], variables)).encode()
    request = httpx.Request(
        step["method"],
        base_url + filled(step["path"], variables),
        headers={k: filled(v, variables) for k, v in headers.items() if v is not None},
        content=content,
    )
    return http.send(request)


def _compare(answer: httpx.Response, expect: dict[str, Any], variables: dict[str, Any], where: str) -> None:
    statuses = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    wrong: list[str] = []
    if answer.status_code not in statuses:
        wrong.append(f"the status is {answer.status_code}, not {expect['status']}")
    taken_ms = answer.elapsed.total_seconds() * 1000
    if taken_ms > expect.get("within_ms", math.inf):
        wrong.append(f"it took {taken_ms:.0f} ms, more than {expect['within_ms']}")
    for name, wanted in filled(expect.get("headers", {}), variables).items():
        wrong += differences(wanted, answer.headers.get(name, ABSENT), f"header {name}")
    if "json" in expect and not wrong:
        wrong += differences(filled(expect["json"], variables), answer.json())
    if wrong:
        request = answer.request
        raise Mismatch(
            f"{where}:\n  "
            + "\n  ".join(wrong)
            + f"\n  {request.method} {request.url}\n  sent {request.content.decode()}\n  got {answer.text}"
        )


def _check_platform(
    platform: httpx.Client, check: dict[str, Any], variables: dict[str, Any], where: str
) -> None:
    answer = platform.get(filled(check["path"], variables))
    wanted = check.get("status", 200)
    wrong = [f"the status is {answer.status_code}, not {wanted}"] if answer.status_code != wanted else []
    if not wrong and "json" in check:
        wrong += differences(filled(check["json"], variables), answer.json()["data"])
    if wrong:
        raise Mismatch(
            f"{where}, at the platform {check['path']}:\n  " + "\n  ".join(wrong) + f"\n  {answer.text}"
        )


def _merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{k: _merged(base.get(k), v) if k in base else v for k, v in over.items()}}
