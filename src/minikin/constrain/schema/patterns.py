"""Regular expressions of schemas, in the terms of the grammar library, which knows no assertions.

Schemas are written for ECMA 262, the library reads Rust's dialect, and values are compared here in
Python's. A look-ahead at the beginning can be said otherwise: as a second pattern. Other assertions
and back references can be left out: more texts match then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from minikin.constrain.schema.opposites import opposites

MAX_LENGTH = 10_000
"""Characters of a pattern that is written anew; back references to back references grow fast."""
MAX_GROUPS = 50
"""Levels of groups within groups."""

_TOKEN = re.compile(
    r"\\[pPu]\{[^}]*\}|\\k<\w+>|\\[1-9]\d?|\\c[A-Za-z]|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|\(\?(?:[:=!>]|<[=!]|P?<\w+>|P=\w+\)|[a-zA-Z-]+[:)])|.",
    re.DOTALL,
)
_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_NAMED = re.compile(r"\(\?P?<(\w+)>")
_REFERENCE = re.compile(r"\\([1-9]\d?)|\\k<(\w+)>|\(\?P=(\w+)\)")
_REPEAT = r"(?:[*+?]|\{\d+(?:,\d*)?\})"
_TWICE = re.compile(rf"{_REPEAT}\?{_REPEAT}|{_REPEAT}(?:[*+]|\{{\d+(?:,\d*)?\}})")
"""Two repetitions of one thing. ECMA 262 has no such pattern: Python reads a++ as a repetition that
gives nothing back, the library as a repetition of a repetition."""
_EMPTY = "(?:)"


@dataclass(frozen=True)
class Followed:
    """Patterns that all hold of a text, for one that the library can't read."""

    patterns: tuple[str, ...]
    exact: bool = True
    """Whether they allow no text that the original doesn't."""


@lru_cache(4096)
def follow(pattern: str) -> Followed:
    """What of `pattern` can be followed."""
    if _repeats_twice(pattern):
        return Followed((), exact=False)
    if _is_known(pattern):
        return Followed((pattern,))
    try:
        return _rewritten(pattern)
    except (ValueError, RecursionError):
        return Followed((), exact=False)


def looks_around(pattern: str) -> bool:
    """Whether it has a look-ahead or a look-behind."""
    return not {*_AROUND}.isdisjoint(_TOKEN.findall(pattern))


def _repeats_twice(pattern: str) -> bool:
    single = (token if len(token) == 1 else "x" for token in _TOKEN.findall(pattern))
    return _TWICE.search("".join(single)) is not None


def what_is_unknown(pattern: str) -> str:
    """Why `pattern`, which looks around nowhere, can't be followed, for its author."""
    tokens = set(_TOKEN.findall(pattern))
    if any(_REFERENCE.fullmatch(token) for token in tokens):
        return "back references are not supported"
    if _repeats_twice(pattern):
        return "a repetition cannot follow a repetition, as in a++"
    if tokens & {r"\b", r"\B"}:
        return "word boundaries are not supported"
    return "a part of this regular expression is not supported"


def compiled(pattern: str) -> re.Pattern[str]:
    """`pattern` for Python, whose dialect has no \\p{...}. Raises re.error."""
    spelt = re.sub(r"\\[pP]\{[^}]*\}", r"\\w", pattern)
    spelt = re.sub(r"\\u\{([0-9a-fA-F]{1,6})\}", lambda m: f"\\U{int(m[1], 16):08x}", spelt)
    spelt = re.sub(r"\(\?<(?=\w)", "(?P<", spelt)
    return re.compile(re.sub(r"\\k<(\w+)>", r"(?P=\1)", spelt))


@cache
def _bytes() -> LLTokenizer:
    return LLTokenizer("byte")


def _is_known(pattern: str) -> bool:
    """Whether the library and Python both can read it."""
    try:
        compiled(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    schema = {"json_schema": {"type": "string", "pattern": pattern}}
    limits = LLParserLimits(max_lexer_states=50_000, verbose_errors=False)
    grammar = json.dumps({"grammars": [schema]})
    return not LLMatcher(_bytes(), grammar, log_level=0, limits=limits).is_error()


@dataclass
class _Group:
    opening: str
    body: list[str | _Group] = field(default_factory=list)


def _rewritten(pattern: str) -> Followed:
    parsed = _Parsed(pattern)
    ahead, rest = parsed.leading()
    writer = _Writer(parsed)
    wanted: list[str] = []
    for group in ahead:
        if group.opening == "(?=":
            wanted.append(f"^(?:{writer.text(group.body)})")
        elif (other := opposites(_source(group.body))) is not None:
            wanted += other
        else:
            writer.lossy = True
    wanted.append(writer.text(rest))
    known = tuple(made for made in wanted if len(made) <= MAX_LENGTH and _is_known(made))
    return Followed(known, exact=not writer.lossy and len(known) == len(wanted))


class _Parsed:
    """A pattern as tokens and groups. Raises ValueError if its groups don't close."""

    def __init__(self, pattern: str) -> None:
        self.pieces: list[str | _Group] = []
        self.groups: dict[str, _Group] = {}
        """Those that references name, by number and by name."""
        open_groups = [self.pieces]
        count = 0
        for token in _TOKEN.findall(pattern):
            if token == ")":
                open_groups.pop()
            elif token == "(" or (token.startswith("(?") and token[-1] != ")"):
                group = _Group(token)
                open_groups[-1].append(group)
                open_groups.append(group.body)
                if token == "(" or _NAMED.fullmatch(token):
                    count += 1
                    self.groups[str(count)] = group
                if named := _NAMED.fullmatch(token):
                    self.groups[named[1]] = group
            else:
                open_groups[-1].append(token)
            if not 0 < len(open_groups) <= MAX_GROUPS:
                raise ValueError("groups don't close, or are too deep")
        if len(open_groups) > 1:
            raise ValueError("a group is not closed")

    def leading(self) -> tuple[list[_Group], list[str | _Group]]:
        """The look-aheads right after the beginning of the text, and all that is left."""
        ahead: list[_Group] = []
        rest = list(self.pieces)
        if rest[:1] == ["^"] and "|" not in rest:
            while len(rest) > 1 and isinstance(group := rest[1], _Group):
                if group.opening not in ("(?=", "(?!") or rest[2:3] in (["*"], ["+"], ["?"], ["{"]):
                    break
                ahead.append(group)
                del rest[1]
        return ahead, rest


class _Writer:
    """Writes patterns without what the library can't read."""

    def __init__(self, parsed: _Parsed) -> None:
        self._groups = parsed.groups
        self.lossy = False
        """Whether something was left out."""

    def text(self, pieces: list[str | _Group], within: frozenset[int] = frozenset()) -> str:
        """`within` holds the groups that are being written in place of a reference."""
        written = "".join(self._written(piece, within) for piece in pieces)
        if len(written) > MAX_LENGTH:
            raise ValueError("it grows too long")
        return written

    def _written(self, piece: str | _Group, within: frozenset[int]) -> str:
        if isinstance(piece, _Group):
            return self._group(piece, within)
        if reference := _REFERENCE.fullmatch(piece):
            self.lossy = True
            group = self._groups.get(reference[1] or reference[2] or reference[3])
            if group is None or id(group) in within:
                raise ValueError("it refers to no group")
            return f"(?:{self.text(group.body, within | {id(group)})})"
        if piece in (r"\b", r"\B"):
            self.lossy = True
            return _EMPTY
        if piece.startswith(r"\c") and len(piece) == 3:
            return f"\\x{ord(piece[2]) % 32:02x}"
        return {"[^]": r"[\s\S]", r"\0": r"\x00"}.get(piece, piece)

    def _group(self, group: _Group, within: frozenset[int]) -> str:
        if group.opening in _AROUND:
            self.lossy = True
            return _EMPTY
        self.lossy = self.lossy or group.opening == "(?>"
        flags = group.opening if group.opening[-1] == ":" else "(?:"
        return f"{flags}{self.text(group.body, within)})"


def _source(pieces: list[str | _Group]) -> str:
    return "".join(_sources(pieces))


def _sources(pieces: list[str | _Group]) -> Iterator[str]:
    for piece in pieces:
        if isinstance(piece, _Group):
            yield from (piece.opening, _source(piece.body), ")")
        else:
            yield piece
