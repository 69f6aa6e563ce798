"""Filter text to the typed tree of `expression`, and back (RFC 7644 §3.4.2.2).

The grammar is that of scim2-filter-parser, and this module is its only importer. Around it stand a lexer of
our own (JSON strings and numbers, whole attribute paths, keywords in any case) and one pass over the tokens
that checks the bounds and puts `and` groups into parentheses, because the grammar gives `and` and `or` one
precedence. Any text gives a tree or `InvalidFilter`, in time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec
from scim2_filter_parser import ast  # type: ignore[import-untyped]  # the library ships no types
from scim2_filter_parser.lexer import SCIMLexer  # type: ignore[import-untyped]
from scim2_filter_parser.parser import SCIMParser, SCIMParserError  # type: ignore[import-untyped]

from app.scim.errors import InvalidFilter
from app.scim.expression import And, AttrName, Compare, CompareValue, Filter, Not, Or, Present, ValuePath


class FilterLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a filter may be; checked before anything recursive sees it."""

    max_length: int = 8000
    """Characters of text."""
    max_depth: int = 20
    """Parentheses and brackets within one another."""
    max_terms: int = 200
    """Comparisons, `pr` included."""


DEFAULT_LIMITS: Final = FilterLimits()

_CACHED_LENGTH: Final = 512
"""Longer texts are parsed each time, so that the cache stays within some tens of MB whatever is sent."""


def parse_filter(text: str, limits: FilterLimits = DEFAULT_LIMITS, *, compared_paths: bool = True) -> Filter:
    """Read a filter. Names stay as written, values as JSON means them.

    Raises InvalidFilter, whose detail names the place by its character, counted from 1. With
    `compared_paths`, one form outside the grammar is read as well, because Entra sends it:
    `attr[filter].sub op value`.
    """
    parse = _parse_cached if len(text) <= _CACHED_LENGTH else _parse
    return parse(text, limits, compared_paths)


def print_filter(f: Filter) -> str:
    """The canonical text of a filter: `parse_filter(print_filter(f)) == f`."""
    match f:
        case Compare(path=path, op=op, value=value):
            return f"{print_name(path)} {op} {msgspec.json.encode(value).decode()}"
        case Present(path=path):
            return f"{print_name(path)} pr"
        case Not(term=term):
            return f"not ({print_filter(term)})"
        case ValuePath(path=path, filter=inner):
            return f"{print_name(path)}[{print_filter(inner)}]"
        case Or(terms=terms):
            return " or ".join(print_filter(term) for term in terms)
        case And(terms=terms):
            return " and ".join(
                f"({print_filter(term)})" if isinstance(term, Or) else print_filter(term) for term in terms
            )


def print_name(path: AttrName) -> str:
    """A name as it stands in a filter: `urn:…:User:manager.value`."""
    name = path.name if path.sub is None else f"{path.name}.{path.sub}"
    return name if path.urn is None else f"{path.urn}:{name}"


def all_of(terms: Iterable[Filter]) -> Filter:
    """The conjunction of one or more terms in normal form: no And within an And, no And of one."""
    flat: list[Filter] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, And) else (term,))
    return flat[0] if len(flat) == 1 else And(terms=tuple(flat))


def any_of(terms: Iterable[Filter]) -> Filter:
    """The disjunction of one or more terms in normal form."""
    flat: list[Filter] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Or) else (term,))
    return flat[0] if len(flat) == 1 else Or(terms=tuple(flat))


_NAME = re.compile(r"([A-Za-z_$][A-Za-z0-9_$-]*)(?:\.([A-Za-z_$][A-Za-z0-9_$-]*))?")
_AFTER_URN = re.compile(r"([A-Za-z0-9_$][A-Za-z0-9_$-]*)(?:\.([A-Za-z0-9_$][A-Za-z0-9_$-]*))?")
"""A bare URN ends in anything, `2.0` included; `evaluate.bind` puts the two halves together again."""
_WORD_END = r"(?![\w$:./%-])"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\ud800-\udfff]")
_LEXEME = re.compile(r'"[^"]{0,20}"?|[^\s()\[\]"]{1,30}|\S')
_MAX_NUMBER_LENGTH: Final = 40
"""Digits and signs of one number; far beyond what any attribute holds."""


def _pattern(regex: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a lexer method with the expression it is for; what the library's own `_` does."""

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        method.pattern = regex  # type: ignore[attr-defined]  # where the lexer's metaclass looks for it
        return method

    return mark


class _Lexer(SCIMLexer):  # type: ignore[misc]  # untyped base
    """The library's lexer with tokens that carry their meaning: AttrName, str, int, float, bool, None."""

    tokens = SCIMLexer.tokens

    @_pattern("(?i:false)" + _WORD_END)
    def FALSE(self, token: Any) -> Any:
        token.value = False
        return token

    @_pattern("(?i:true)" + _WORD_END)
    def TRUE(self, token: Any) -> Any:
        token.value = True
        return token

    @_pattern("(?i:null)" + _WORD_END)
    def NULL(self, token: Any) -> Any:
        token.value = None
        return token

    @_pattern(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w$:.+-])")
    def NUMBER(self, token: Any) -> Any:
        token.value = _number(token.value, token.index)
        return token

    @_pattern(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#@!$&'*+,;=%-]+")
    def SCHEMA_URI(self, token: Any) -> Any:
        urn, _, name = token.value.rpartition(":")
        token.value = _name(_AFTER_URN, name, urn, token)
        token.type = "ATTRNAME"
        return token

    @_pattern(r"[A-Za-z_$][A-Za-z0-9_$.-]*")
    def ATTRNAME(self, token: Any) -> Any:
        token.value = _name(_NAME, token.value, None, token)
        return token

    @_pattern(r'"[^"\\]*(?:\\.[^"\\]*)*"')
    def COMP_VALUE(self, token: Any) -> Any:
        token.value = _string(token.value, token.index)
        return token

    def error(self, token: Any) -> Any:
        rest = token.value
        if rest[0] == '"':
            raise InvalidFilter(f"the string that begins at character {token.index + 1} has no closing quote")
        hint = "; strings stand in double quotes" if rest[0] in "'`\u2018\u2019\u201c\u201d" else ""
        raise InvalidFilter(f"cannot read {_lexeme(rest, 0)} at character {token.index + 1}{hint}")


def _name(pattern: re.Pattern[str], text: str, urn: str | None, token: Any) -> AttrName:
    found = pattern.fullmatch(text)
    if found is None:
        raise InvalidFilter(
            f"{text[:60]!r} at character {token.index + 1} is not an attribute name: "
            "write attribute, attribute.subAttribute or urn:…:attribute"
        )
    return AttrName(urn=urn, name=found[1], sub=found[2])


def _number(text: str, index: int) -> int | float:
    if len(text) > _MAX_NUMBER_LENGTH:
        raise InvalidFilter(f"the number at character {index + 1} is too long")
    if text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidFilter(f"the number at character {index + 1} is too large")
    return value


def _string(text: str, index: int) -> str:
    try:
        value = msgspec.json.decode(text, type=str)
    except msgspec.DecodeError as error:
        raise InvalidFilter(
            f"the string at character {index + 1} is not a JSON string: "
            'a backslash is followed by " \\ / b f n r t or uXXXX, and a tab is written \\t'
        ) from error
    if "\0" in value:
        # PostgreSQL holds no such text, so nothing can match; refused here rather than failing there.
        raise InvalidFilter(f"the string at character {index + 1} holds the character U+0000")
    return value


def _lexeme(text: str, index: int) -> str:
    found = _LEXEME.match(text, index)
    return repr(found[0]) if found else "nothing"


_COMPARE: Final = frozenset({"EQ", "NE", "CO", "SW", "EW", "GT", "GE", "LT", "LE"})
_TERM: Final = _COMPARE | {"PR"}
_CLOSED_BY: Final = {"LPAREN": "RPAREN", "LBRACKET": "RBRACKET"}


class _Level(msgspec.Struct):
    """One pair of parentheses or brackets while the tokens pass by."""

    opener: Any
    start: int
    """Where, in the tokens put out, the present `or` branch begins."""
    has_and: bool = False
    has_or: bool = False


def _arrange(tokens: list[Any], text: str, limits: FilterLimits) -> list[Any]:
    """The tokens with each `and` group beside an `or` in parentheses; refuses what goes beyond the bounds."""
    out: list[Any] = []
    levels = [_Level(None, 0)]
    terms = 0
    previous: Any = None
    for token in tokens:
        kind = token.type
        level = levels[-1]
        if kind in _TERM:
            terms += 1
            if terms > limits.max_terms:
                raise InvalidFilter(f"the filter has more than {limits.max_terms} comparisons")
        if kind in _CLOSED_BY:
            if len(levels) > limits.max_depth:
                raise InvalidFilter(f"the filter nests deeper than {limits.max_depth} levels")
            if kind == "LBRACKET":
                _check_bracket(token, previous, levels, text)
            out.append(token)
            levels.append(_Level(token, len(out)))
        elif kind in ("RPAREN", "RBRACKET"):
            if level.opener is None or _CLOSED_BY[level.opener.type] != kind:
                raise _unexpected(text, token, previous)
            _close_group(out, level, token.index)
            out.append(token)
            levels.pop()
        elif kind == "OR":
            _close_group(out, level, token.index, before_or=True)
            out.append(token)
            level.start, level.has_and, level.has_or = len(out), False, True
        else:
            if kind == "AND":
                level.has_and = True
            else:
                in_place = previous is not None and previous.type == "RBRACKET"
                if (kind == "SUBATTR") != in_place or (in_place and token.index != previous.end):
                    raise _unexpected(text, token, previous)
            out.append(token)
        previous = token
    if len(levels) > 1:
        opener = levels[-1].opener
        raise InvalidFilter(f"{opener.value!r} at character {opener.index + 1} is never closed")
    _close_group(out, levels[0], len(text))
    return out


def _close_group(out: list[Any], level: _Level, index: int, *, before_or: bool = False) -> None:
    if level.has_and and (before_or or level.has_or):
        first = out[level.start].index if level.start < len(out) else index
        out.insert(level.start, _Parenthesis("LPAREN", "(", first, first))
        out.append(_Parenthesis("RPAREN", ")", index, index))


class _Parenthesis(msgspec.Struct):
    """A token of our own making, in the shape of the library's."""

    type: str
    value: str
    index: int
    end: int
    lineno: int = 1


def _check_bracket(token: Any, previous: Any, levels: list[_Level], text: str) -> None:
    if previous is None or previous.type != "ATTRNAME":
        raise _unexpected(text, token, previous)
    where = f"at character {token.index + 1}"
    if previous.value.sub is not None:
        raise InvalidFilter(f"'[' {where} follows a sub-attribute; write attribute[filter].subAttribute")
    if any(level.opener is not None and level.opener.type == "LBRACKET" for level in levels):
        raise InvalidFilter(
            f"'[' {where} stands within other brackets; sub-attributes have none of their own"
        )


def _parse(text: str, limits: FilterLimits, compared_paths: bool) -> Filter:
    if len(text) > limits.max_length:
        raise InvalidFilter(f"the filter is longer than {limits.max_length} characters")
    if bad := _CONTROL.search(text):
        raise InvalidFilter(f"the filter holds a control character at character {bad.start() + 1}")
    tokens = list(_Lexer().tokenize(text))
    if not tokens:
        raise InvalidFilter("the filter is empty")
    if not compared_paths and (beyond := next((t for t in tokens if t.type == "SUBATTR"), None)) is not None:
        raise InvalidFilter(
            f"a filter ends at the bracket before character {beyond.index + 1}: "
            'write attribute[filter and subAttribute eq "x"]'
        )
    arranged = _arrange(tokens, text, limits)
    delivered: list[Any] = [None, None]

    def feed() -> Iterator[Any]:
        for token in arranged:
            delivered[:] = delivered[1], token
            yield token
        delivered[:] = delivered[1], None

    try:
        tree = SCIMParser().parse(feed())
    except SCIMParserError as error:
        # The parser stops at the token it was given last.
        raise _unexpected(text, delivered[1], delivered[0]) from error
    return _convert(tree)


_parse_cached = lru_cache(maxsize=4096)(_parse)


def _unexpected(text: str, token: Any, previous: Any) -> InvalidFilter:
    index = len(text) if token is None else token.index
    what = f"unexpected {_lexeme(text, index)} at character {index + 1}"
    if index >= len(text.rstrip()):
        what = "the filter ends too early"
    kind = "" if previous is None else previous.type
    if kind in _COMPARE:
        hint = "a value is a string in double quotes, a number, true, false or null"
    elif kind in ("ATTRNAME", "SUBATTR"):
        hint = "an attribute is followed by eq, ne, co, sw, ew, gt, ge, lt, le or pr"
    elif kind == "NOT":
        hint = "not is followed by a filter in parentheses"
    elif kind == "RBRACKET":
        hint = "after the brackets comes .subAttribute with its operator, and, or, or the end"
    elif kind in ("PR", "RPAREN", "COMP_VALUE", "NUMBER", "TRUE", "FALSE", "NULL"):
        hint = "a comparison is followed by and, or, or the end"
    else:
        hint = 'a comparison such as userName eq "bjensen" belongs here'
    return InvalidFilter(f"{what}: {hint}")


def _convert(node: Any) -> Filter:
    node = _unwrap(node)
    if isinstance(node, ast.Filter):
        if node.negated:
            return Not(term=_convert(node.expr))
        return ValuePath(path=node.namespace.attr_name, filter=_convert(node.expr))
    if isinstance(node, ast.LogExpr):
        return _convert_chain(node)
    op, path = node.value.lower(), node.attr_path.attr_name
    value = None if op == "pr" else node.comp_value.value
    if isinstance(path, AttrName):
        return _term(path, op, value)
    # attr[filter].sub: the library moves the sub-attribute to the name before the brackets.
    selected = path.namespace
    inner = _term(AttrName(name=selected.sub_attr.value), op, value)
    return ValuePath(path=selected.attr_name, filter=all_of((_convert(path.expr), inner)))


def _unwrap(node: Any) -> Any:
    while isinstance(node, ast.Filter) and not node.negated and node.namespace is None:
        node = node.expr
    return node


def _convert_chain(node: Any) -> Filter:
    """`a and b and c` is a tree that leans to the left; walked here without recursion."""
    op = node.op.lower()
    terms = []
    while isinstance(node, ast.LogExpr) and node.op.lower() == op:
        terms.append(_convert(node.expr2))
        node = _unwrap(node.expr1)
    terms.append(_convert(node))
    terms.reverse()
    return all_of(terms) if op == "and" else any_of(terms)


def _term(path: AttrName, op: Any, value: CompareValue) -> Filter:
    return Present(path=path) if op == "pr" else Compare(path=path, op=op, value=value)
