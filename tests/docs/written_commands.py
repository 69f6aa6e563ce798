"""The commands of the README and the guides: found in their blocks, and run as a reader would type them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from elsewhere import PROGRAMS, check
from reference import ROOT
from reference_commands import commands as all_commands

from app.cli.main import main
from app.config import PREFIX, load_settings
from app.store.tokens import new_secret

SHELLS = ("sh", "bash", "console")
NO_COMMANDS = ("", "toml", "json", "yaml", "text")
"""Languages of blocks in which nothing is typed."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


class Written(NamedTuple):
    """A command as it stands in a document, and the lines that are shown after it."""

    text: str
    shown: list[str]


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return [(m[1], m[2]) for m in _BLOCK.finditer(text)]


def chapters(text: str) -> list[str]:
    """A document from one heading to the next."""
    fences = {m.start(): m.end() for m in _BLOCK.finditer(text)}
    heads = [m.start() for m in re.finditer(r"^#+ ", text, re.M)]
    heads = [h for h in heads if not any(begin < h < end for begin, end in fences.items())]
    return [text[begin:end] for begin, end in zip([0, *heads], [*heads, None], strict=True)]


def commands(text: str) -> list[Written]:
    """Every command of a document, in order."""
    found: list[Written] = []
    for language, block in blocks(text):
        if language == "console":
            for line in block.replace("\\\n", "").splitlines():
                if line.startswith("$ "):
                    found.append(Written(line[2:], []))
                else:
                    found[-1].shown.append(line)
        elif language in SHELLS:
            lines = block.replace("\\\n", "").splitlines()
            found += [Written(line, []) for line in lines if line.strip() and not line.startswith("#")]
    return found


def matches(shown: str, said: str) -> bool:
    """Whether a text is as shown, `…` standing for anything."""
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("…")), said, re.S) is not None


class Shell:
    """Runs commands one after the other: variables, the directory and what was printed last stay.

    A command of the product alone runs in this process, everything else in bash. What is not on a test
    machine (`elsewhere.py`) has its arguments checked and does nothing.
    """

    def __init__(self, place: Path, data_dir: Path, says: dict[str, str]) -> None:
        """`says` has what the placeholders of the documents stand for; those of tokens are added."""
        self._says = dict(says)
        for name in ("mappings", "examples"):
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("screenshots"))
        shutil.copy(ROOT / "Containerfile", place)
        (place / "data").symlink_to(data_dir)
        self._kept = place / "environment"
        binaries = place / "bin"
        binaries.mkdir()
        (binaries / "python").symlink_to(sys.executable)
        scripts = {
            "scim-bridge": f'exec "{sys.executable}" -m app.cli "$@"',
            # Where a secret is made in a container, one is needed; all else is checked before.
            **{name: f'case "$*" in *"token generate") echo {new_secret()};; esac' for name in PROGRAMS},
        }
        for name, body in scripts.items():
            (binaries / name).write_text(f"#!/bin/sh\n{body}\n")
            (binaries / name).chmod(0o755)
        own = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        packages = os.pathsep.join(p for p in sys.path if "site-packages" in p)
        self._environment = {
            **own,
            "PATH": f"{binaries}{os.pathsep}{own['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}",
            "SCIM_BRIDGE_DATA_DIR": str(data_dir),
            "COLUMNS": "200",
            "HOME": str(place),
            "PWD": str(place),
        }

    def begin(self) -> None:
        """Back to where the reader starts; each chapter begins there."""
        self._environment["PWD"] = str(self._kept.parent)

    def run(self, written: Written) -> None:
        """Run a command and compare what it prints with what is shown. Raises AssertionError."""
        text = self._filled(written.text)
        # In an answer `…` stands for anything, also for a token that was not known before.
        shown = [self._filled(line, but="…") for line in written.shown]
        assert "…" not in text, f"nothing is known to put in: {written.text}"
        words = shlex.split(text, comments=True)
        given = ""
        if words[0] == "cat":
            given, shown = self._file(words, [self._filled(line) for line in written.shown])
        if words[:2] in (["scim-bridge", "serve"], ["scim-bridge", "platform"]):
            self._check_start(words)
            return
        for own in simple_commands(text):
            if own[0] in PROGRAMS:
                check(own, self._directory)
                shown = []
        alone = words[0] == "scim-bridge" and not re.search(r"[|<>&;]|\$\(", text)
        said = self._in_process(text) if alone else self._in_bash(text, given)
        self._remember(written.text, said)
        assert len(shown) <= len(said.splitlines()), f"{text}\n{said}"
        for expected, line in zip(shown, said.splitlines(), strict=False):
            assert matches(expected, line), f"{text}\n{line}"

    @property
    def _directory(self) -> Path:
        return Path(self._environment["PWD"])

    def _filled(self, text: str, but: str | None = None) -> str:
        for placeholder, value in self._says.items():
            if but is None or but not in placeholder:
                text = text.replace(placeholder, value)
        return text

    def _file(self, words: list[str], shown: list[str]) -> tuple[str, list[str]]:
        """`cat FILE` shows what the reader puts there, and `cat > FILE` takes it."""
        content = "\n".join(shown).replace("…", "secret") + "\n"
        if words[1] == ">":
            return content, []
        if words[1] != "<<<" and not (self._directory / words[1]).exists():
            (self._directory / words[1]).write_text(content)
        return "", []

    def _check_start(self, words: list[str]) -> None:
        """That a server would start: its options and its settings are good."""
        (command,) = (c for path, c in all_commands() if path == " ".join(words[:2]))
        command.make_context(words[1], words[2:])
        load_settings(self._environment)

    def _in_process(self, text: str) -> str:
        line = string.Template(text).safe_substitute(self._environment)
        words = shlex.split(line, comments=True)
        before, argv, code = dict(os.environ), sys.argv, 0
        out, err = io.StringIO(), io.StringIO()
        os.environ.clear()
        os.environ.update(self._environment)
        sys.argv = words
        try:
            with (
                contextlib.chdir(self._directory),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                main()
        except SystemExit as exc:
            code = int(str(exc.code or 0))
        finally:
            sys.argv = argv
            os.environ.clear()
            os.environ.update(before)
        assert code == 0, f"{text}\n{out.getvalue()}{err.getvalue()}"
        if made := re.search(r"^token (tok_\w+)", err.getvalue(), re.M):
            self._says["tok_…"] = made[1]
        return out.getvalue()

    def _in_bash(self, text: str, given: str) -> str:
        done = subprocess.run(
            ["bash", "-c", f"set -e -o pipefail\n{text}\nenv -0 > '{self._kept}'"],
            cwd=self._directory,
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        kept = self._kept.read_text().split("\0")[:-1]
        self._environment = dict(each.split("=", 1) for each in kept)
        exported = re.findall(r" ([A-Z_]+)=", text) if text.startswith("export ") else []
        assert all(self._environment[name] for name in exported), text
        return done.stdout

    def _remember(self, written: str, said: str) -> None:
        """What was printed for the reader to use further on."""
        if "token create" in written and said.startswith("scb_"):
            self._says["scb_…"] = said.strip()
        for name, value in re.findall(r"^(client_id|client_secret)=(\S+)$", said, re.M):
            self._environment[name] = value
            self._says["cli_…" if name == "client_id" else "scs_…"] = value


def simple_commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a line, without redirections."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;"):
            yield words
            words = []
        elif set(word) <= set("<>"):
            next(lexer)
        else:
            words.append(word)
    if words:
        yield words
