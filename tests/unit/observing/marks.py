"""Marks: words that stand in values and are looked for wherever something is told, however it is written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

Level: TypeAlias = Literal["secret", "personal"]

_LETTERS = "bcdfghjkmnpqrstvwxz"
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_LEAST = 10
"""Characters of a secret that give it away."""


class Leak(NamedTuple):
    """What was found, and where."""

    place: str
    mark: str
    level: Level


class Marks:
    """All marks of a day; each is one word, by what it stands for."""

    def __init__(self) -> None:
        self.levels: dict[str, Level] = {}
        self._forms: dict[str, tuple[str, ...]] = {}
        """As they are looked for; those in base64 with their case, the others without."""

    def personal(self, name: str) -> str:
        """A word for a value that only `audit_values = personal` lets into the trail."""
        word = _word(name)
        self._add(name, "personal", [word])
        return word

    def number(self, name: str) -> str:
        """The same, of digits."""
        digits = str(int(hashlib.sha256(name.encode()).hexdigest(), 16))[:10]
        self._add(name, "personal", [digits])
        return digits

    def secret(self, name: str, text: str | None = None) -> str:
        """A secret: made up, or one that the bridge has made, of which each end gives it away."""
        text = _word(f"secret {name}") + _word(f"{name} secret") if text is None else text
        # Without the prefix that all of a kind have; what is random may have a line near its end, too.
        rest = text.partition("_")[2]
        middle = rest if len(rest) >= _LEAST else text
        self._add(name, "secret", [middle[:_LEAST], middle[-_LEAST:]])
        return text

    def leaks(self, told: Mapping[str, str], *levels: Level) -> list[Leak]:
        """All marks of these levels in texts, which are named by where they were found."""
        # Pages and records have most of their lines in common: each is looked through once.
        lines: dict[str, str] = {}
        for place, text in told.items():
            for line in text.splitlines():
                lines.setdefault(line, place)
        read = [(place, *_read(line)) for line, place in lines.items()]
        exact, folded = ("\n".join(each[n] for each in read) for n in (1, 2))
        found = []
        for name, forms in self._forms.items():
            for form in forms if self.levels[name] in levels else ():
                n = 2 if form == form.casefold() else 1
                if form in (exact, folded)[n - 1]:
                    found += [Leak(each[0], name, self.levels[name]) for each in read if form in each[n]]
        return found

    def _add(self, name: str, level: Level, words: Iterable[str]) -> None:
        assert self.levels.get(name, level) == level, name
        self.levels[name] = level
        self._forms[name] = tuple(form for word in words for form in _forms(word))


def _word(name: str) -> str:
    """A word of lower-case letters that stands nowhere else, and is the same in every run."""
    return "q" + "".join(_LETTERS[b % len(_LETTERS)] for b in hashlib.sha256(name.encode()).digest()[:11])


def _forms(word: str) -> Iterable[str]:
    """The word without case, in hexadecimal digits, and in base64 wherever it begins in what is encoded."""
    yield word.casefold()
    yield binascii.hexlify(word.encode()).decode()
    for shift in range(3):
        # Characters that hold bits of their neighbours are left out.
        encoded = base64.urlsafe_b64encode(b"\0" * shift + word.encode()).rstrip(b"=").decode()
        inner = encoded[(0, 2, 3)[shift] : -1 if (shift + len(word)) % 3 else None]
        yield inner
        yield inner.replace("-", "+").replace("_", "/")


def _read(text: str) -> tuple[str, str]:
    """The text, and what it says in every escaping, with case and without."""
    unescaped = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    whole = "\n".join(dict.fromkeys((text, unescaped, unquote_plus(unescaped), html.unescape(unescaped))))
    return whole, whole.casefold()
