"""Programs of the guides that are not run here: which of their calls are known, and what they need."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml
from reference import ROOT
from reference_commands import commands

CALLS = {
    "docker": [
        "build -t NAME -f FILE DIRECTORY",
        "run --rm IMAGE PRODUCT",
        "tag IMAGE NAME",
        "push NAME",
        "compose up --detach",
        "compose build",
        "compose run --rm SERVICE PRODUCT",
        "compose exec SERVICE scim-bridge PRODUCT",
        "compose exec postgresql pg_dump --username=bridge --format=custom bridge",
        "compose exec -T postgresql pg_restore --username=bridge --dbname=bridge --clean --if-exists",
        "compose stop SERVICE",
    ],
    "kubectl": [
        "create namespace NAME",
        "apply -k KUSTOMIZATION",
        "-n NAME delete job OBJECT --ignore-not-found",
        "-n NAME logs job/OBJECT",
        "-n NAME exec deployment/OBJECT -- scim-bridge PRODUCT",
        "-n NAME port-forward deployment/OBJECT 9090:9090",
        "-n NAME rollout status deployment/OBJECT",
        "-n NAME rollout restart deployment/OBJECT",
        "-n NAME rollout undo deployment/OBJECT",
    ],
    "pip": ["install scim-bridge[EXTRA]"],
    "ssh": ["-N -L 9090:127.0.0.1:9090 NAME"],
    "systemctl": ["stop scim-bridge", "start scim-bridge"],
    "pg_dump": ["--format=custom --file=NAME URL"],
    "pg_restore": ["--clean --if-exists --single-transaction --dbname=URL NAME"],
}
"""Every call that a document may have; words in capitals stand for something, PRODUCT for all the rest."""

PROGRAMS = sorted(CALLS)


def check(words: list[str], directory: Path) -> None:
    """Raises AssertionError for a call that is not known, or of what is not there."""
    program, *given = words
    assert any(_fits(call.split(), given, directory) for call in CALLS[program]), words


def _fits(call: list[str], given: list[str], directory: Path) -> bool:
    for position, wanted in enumerate(call):
        if wanted == "PRODUCT":
            return is_command(given[position:])
        if position >= len(given) or not _is(wanted, given[position], directory):
            return False
    return len(call) == len(given)


def _is(wanted: str, word: str, directory: Path) -> bool:
    prefix, kind, suffix = re.fullmatch(r"(.*?)([A-Z]*)(\]?)", wanted).groups()  # type: ignore[union-attr]
    if kind not in _KINDS:
        return wanted == word
    inner = word.removeprefix(prefix).removesuffix(suffix)
    return word == prefix + inner + suffix and _KINDS[kind](inner, directory)


def _has_service(word: str, directory: Path) -> bool:
    return word in yaml.safe_load((directory / "compose.yaml").read_text("utf-8"))["services"]


def _has_object(word: str, directory: Path) -> bool:
    found = (yaml.safe_load_all(f.read_text("utf-8")) for f in sorted(directory.glob("*.yaml")))
    return any(m["metadata"]["name"] == word for documents in found for m in documents if "metadata" in m)


def is_command(words: list[str]) -> bool:
    """Whether these are the words of a command of the product, none of them the default one."""
    if not words:
        return True
    for path, command in commands():
        own = path.split()[1:]
        if words[: len(own)] == own:
            command.make_context(path, words[len(own) :])
            return True
    return False


def _has_extra(word: str, _: Path) -> bool:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return word in project["optional-dependencies"]


_KINDS: dict[str, Callable[[str, Path], bool]] = {
    "EXTRA": _has_extra,
    "NAME": lambda word, _: re.fullmatch(r"[\w./:@-]+", word) is not None,
    "URL": lambda word, _: word.startswith(("postgresql://", "$")),
    "IMAGE": lambda word, _: word == "scim-bridge",
    "FILE": lambda word, directory: (directory / word).is_file(),
    "DIRECTORY": lambda word, directory: (directory / word).is_dir(),
    "KUSTOMIZATION": lambda word, directory: (directory / word / "kustomization.yaml").is_file(),
    "SERVICE": _has_service,
    "OBJECT": _has_object,
}
