"""Arguments of tool calls as in a Python call: `a="x", b=[1, True]`.

LFM2 and OLMo 3 write them. JSON's words `true`, `false` and `null` are read too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

from minikin.chat.argument_reader import ArgumentReader, overlap

NAME = re.compile(r"[^\W\d]\w{0,63}")
"""A name that needs no quotes."""
_NAMED = re.compile(rf"({NAME.pattern}) ?=")
_MAYBE_NAMED = re.compile(rf"({NAME.pattern} ?)?")
_BETWEEN = re.compile(r"[\s,]*")
_MOST_WORD = 256
_MAYBE_QUOTE = ("'", '"', "''", '""')
"""What can become three quotes."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WORDS = {"True": "true", "False": "false", "None": "null"}
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(rf"\\(x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|[^xuU])", re.DOTALL)
_MAYBE_ESCAPE = re.compile(rf"\\(x{_HEX}?|u{_HEX}{{0,3}}|U{_HEX}{{0,7}})?")
_ESCAPED = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0",
    "\n": "", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip


def are_keywords(arguments: Any) -> bool:
    """Whether these arguments are an object whose names need no quotes."""
    return isinstance(arguments, dict) and all(map(NAME.fullmatch, arguments))


def written(arguments: Mapping[str, Any], hide: Callable[[str], str]) -> str:
    """The arguments as a model writes them. `hide` is applied to names and values."""
    return ", ".join(f"{hide(name)}={hide(_text(value))}" for name, value in arguments.items())


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def has_begun(arguments: str) -> bool | None:
    """Whether the first argument has its name, or there is none. None: that is not known yet."""
    if arguments.startswith(")") or _NAMED.match(arguments):
        return True
    return None if _MAYBE_NAMED.fullmatch(arguments) else False


class KeywordReader(ArgumentReader):
    """Reads arguments as in Python, up to the first text that is not as in Python."""

    def __init__(self) -> None:
        super().__init__()
        self._value = ValueReader()

    def _between(self) -> Iterator[str]:
        self.rest = _BETWEEN.sub("", self.rest, count=1)
        if named := _NAMED.match(self.rest):
            self.rest, self._state = self.rest[named.end() :], self._in_value
            self._value = ValueReader()
            yield self._named(named[1])
        elif not _MAYBE_NAMED.fullmatch(self.rest):
            yield self._ended()

    def _in_value(self) -> Iterator[str]:
        made, self.rest = self._value.feed(self.rest)
        if self._value.complete:
            self._state = self._between
        yield made


@cache
def _tokens(raw: str) -> re.Pattern[str]:
    """What values consist of. `raw` is a quote in addition to Python's, or empty."""
    first = re.escape(raw[:2])
    quote = f"{re.escape(raw)}|" if raw else ""
    plain = rf"(?!{first})" if raw else ""
    return re.compile(
        r"(?P<open>[\[{(])|(?P<close>[\]})])|(?P<mark>[,:])"
        rf"""|(?P<quote>{quote}'''|\"\"\"|['"])"""
        rf"""|(?P<word>(?:{plain}[^\s\[\]{{}}(),:'"]){{1,{_MOST_WORD}}}|[^\s])"""
    )


class ValueReader:
    """Turns one value into JSON, as it arrives. The text after it stays."""

    def __init__(self, raw: str = "") -> None:
        """`raw` is a quote in addition to Python's. A string in it has no escapes."""
        self._raw = raw
        self._tokens = _tokens(raw)
        self._open: list[Literal["[", "{"]] = []
        self._expects: Literal["value", "key", "colon", "next"] = "value"
        self._comma = ""
        """Not written yet: Python allows one before the end of a list."""
        self._quote = ""
        """The end of the string, while there is one."""
        self.complete = False
        self._reads: dict[str, Callable[[str, list[str]], bool]] = {
            "open": self._bracket,
            "close": self._close,
            "mark": self._mark,
            "quote": self._quoted,
            "word": self._word,
        }
        """By the group of `_tokens`. False: the value ends before this token."""

    @property
    def closed(self) -> bool:
        """Whether nothing can follow but the text after the value."""
        return self.complete or (self._expects == "next" and not (self._open or self._quote))

    def feed(self, text: str) -> tuple[str, str]:
        """More of the JSON, and the text that was not read yet."""
        made: list[str] = []
        at = 0
        while at < len(text) and not self.complete:
            size = self._in_string(text, at, made) if self._quote else self._token(text, at, made)
            if not size:
                break
            at += size
        return "".join(made), text[at:]

    def _token(self, text: str, at: int, made: list[str]) -> int:
        """Read one token. Returns its size. 0: it can be longer, or the value ended before it."""
        if text[at].isspace():
            return 1
        if len(text) - at < len(self._raw) and self._raw.startswith(text[at:]):
            return 0
        token = self._tokens.match(text, at)
        assert token is not None, "every other character begins a token"
        if token["word"] and token.end() == len(text) < at + _MOST_WORD:
            return 0
        if token["quote"] and text[at:] in _MAYBE_QUOTE:
            return 0
        read = self._reads[token.lastgroup or ""]
        return len(token[0]) if read(token[0], made) else 0

    def _mark(self, mark: str, made: list[str]) -> bool:
        if mark == ":" and self._expects == "colon":
            made.append(": ")
            self._expects = "value"
            return True
        if mark == ":" or not self._open:
            return self._end(made)
        is_object = self._open[-1] == "{"
        if self._expects != ("key" if is_object else "value"):  # there is an item before it
            self._fill(made)
            self._comma = ", "
        self._expects = "key" if is_object else "value"
        return True

    def _close(self, _: str, made: list[str]) -> bool:
        if not self._open:
            return self._end(made)
        self._fill(made)
        made.append("}" if self._open.pop() == "{" else "]")
        self._comma, self._expects = "", "next"
        return True

    def _fill(self, made: list[str]) -> None:
        """Write what an item lacks: the value of a name."""
        lacks_value = self._expects == "value" and (not self._open or self._open[-1] == "{")
        made.append(": null" if self._expects == "colon" else "null" if lacks_value else "")

    def _end(self, made: list[str]) -> bool:
        """End the value before this token, with all that is open. Returns False."""
        while self._open:
            self._close("", made)
        self._fill(made)
        self.complete = True
        return False

    def _begins(self, made: list[str]) -> bool:
        """Write what is between this item and the one before, if there can be another one."""
        if self._expects not in ("value", "key"):
            return self._end(made)
        made.append(self._comma)
        self._comma = ""
        self._expects = "next" if self._expects == "value" else "colon"
        return True

    def _bracket(self, bracket: str, made: list[str]) -> bool:
        if self._expects == "key" or not self._begins(made):
            return self._end(made)
        self._open.append("{" if bracket == "{" else "[")
        self._expects = "key" if bracket == "{" else "value"
        made.append(self._open[-1])
        return True

    def _quoted(self, quote: str, made: list[str]) -> bool:
        if not self._begins(made):
            return False
        self._quote = quote
        made.append('"')
        return True

    def _word(self, word: str, made: list[str]) -> bool:
        is_key = self._expects == "key"
        if not self._begins(made):
            return False
        plain = _WORDS.get(word, word)
        known = plain in _WORDS.values() or _NUMBER.fullmatch(plain)
        made.append(plain if known and not is_key else json.dumps(word, ensure_ascii=False))
        return True

    def _in_string(self, text: str, at: int, made: list[str]) -> int:
        """Read a piece of a string. Returns its size. 0: its end or an escape can be incomplete."""
        found = _end_of(self._quote, escapes=self._quote != self._raw).search(text, at)
        if found is None:
            kept = text[at : len(text) - overlap(text[at:], self._quote)]
            made.append(_inside(kept))
            return len(kept)
        made.append(_inside(text[at : found.start()]))
        if found.start() > at:
            return found.start() - at
        if found[0] != "\\":
            self._quote = ""
            made.append('"')
            return len(found[0])
        if escape := _ESCAPE.match(text, at):
            made.append(_unescaped(escape[1]))
            return len(escape[0])
        if _MAYBE_ESCAPE.fullmatch(text, at):
            return 0
        made.append(_inside("\\"))
        return 1


@cache
def _end_of(quote: str, *, escapes: bool) -> re.Pattern[str]:
    """The end of a string, or an escape in it."""
    return re.compile(re.escape(quote) + r"|\\" * escapes)


def _inside(text: str) -> str:
    """`text` as within a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _unescaped(escape: str) -> str:
    """What follows a backslash in Python, as within a JSON string. An unknown one stays."""
    if escape[0] not in "xuU" or len(escape) == 1:
        return _inside(_ESCAPED.get(escape, f"\\{escape}"))
    code = int(escape[1:], 16)
    if code > 0x10FFFF:
        return _inside(f"\\{escape}")
    return json.dumps(chr(code))[1:-1]  # half a surrogate pair stays an escape
