"""Values taken out of texts that were written for people: the details of errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from app.mapping.sensitivity import MASK

_LONGEST = 1000
_QUOTED = re.compile(
    r"""(?<!\w)'(?P<one>(?:[^'\\]|\\.|'(?=\w))*)'(?!\w)|"(?P<two>(?:[^"\\]|\\.)*)(?:"|$)|“(?P<three>[^”]*)(?:”|$)""",
    re.DOTALL,
)
_ADDRESS = re.compile(r"[^\s\"'<>(),;:]+@[^\s\"'<>(),;:]+")
SECRETS = re.compile(r"\b(?:sc[abs]_[A-Za-z0-9_-]{20,}|(?:Bearer|Basic)\s+[^\s;,)]+)", re.IGNORECASE)
"""What the bridge gives out as tokens and secrets, and what is written like one."""
_NUMBER = re.compile(r"\+?\d[\d ()./-]{5,}\d")
_WORD = re.compile(r"\w+")
_SHORTEST = 3
_CUT = 12
"""Characters from which on a word counts also where it is only a part of a hidden one: texts are cut off."""


def mask_detail(text: str, hidden: Iterable[str], *, personal: bool, may_stay: Callable[[str], bool]) -> str:
    """The detail of an error without values: those in `hidden`, word by word, whatever is quoted, addresses
    and long numbers.

    `personal`: only what is in `hidden` has to go. `may_stay` says of something in quotes that it is no
    value, but the name of an attribute, say.
    """
    # Longer ones are looked at as far as they are shown, and a little beyond: nothing is cut in its middle.
    text = SECRETS.sub(MASK, text[: 2 * _LONGEST])
    if not personal:

        def quoted(found: re.Match[str]) -> str:
            inner = found["one"] or found["two"] or found["three"] or ""
            return found[0] if may_stay(inner) else f'"{MASK}"'

        text = _NUMBER.sub(MASK, _ADDRESS.sub(MASK, _QUOTED.sub(quoted, text)))
    hidden = [value for value in hidden if value.strip()]
    if hidden:
        text = _without(text, hidden)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def mask_agent(text: str, *, personal: bool) -> str:
    """A User-Agent without tokens; and without addresses, unless they may be held (`personal`)."""
    text = SECRETS.sub(MASK, text)
    return text if personal else _ADDRESS.sub(MASK, text)


def _without(text: str, hidden: list[str]) -> str:
    folded_text = text.casefold()
    found = {v for v in hidden if _SHORTEST <= len(v) <= len(text) and v.casefold() in folded_text}
    if found:
        longest_first = sorted(found, key=lambda v: (-len(v), v))
        text = re.sub("|".join(map(re.escape, longest_first)), MASK, text, flags=re.IGNORECASE)
    together = "\n".join(hidden).casefold()
    words = {w for w in _WORD.findall(together) if len(w) >= _SHORTEST}

    def word(met: re.Match[str]) -> str:
        folded = met[0].casefold()
        cut_off = len(folded) >= _CUT and folded in together
        return MASK if folded in words or cut_off else met[0]

    return _WORD.sub(word, text)
