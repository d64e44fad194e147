"""Arguments of tool calls as elements, such as `<parameter=NAME>`, a value and `</parameter>`.

Qwen3-Coder, Qwen3.5, Seed-OSS, GLM-4.5, MiniMax and MiniCPM5 write them, with texts of their own
around name and value (`marks.Elements`). The value of a parameter that is a string is written as it
is, every other value as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from minikin.chat.argument_reader import ArgumentReader
from minikin.marks import CDATA, CDATA_END, Elements


def written(arguments: Mapping[str, Any], marks: Elements, hide: Callable[[str], str]) -> str:
    """The arguments as a model writes them. `hide` is applied to names and values."""
    return "".join(
        f"{marks.begin}{hide(name)}{marks.name_end}{_value(value, marks, hide)}{marks.value_end}"
        for name, value in arguments.items()
    )


def _value(value: Any, marks: Elements, hide: Callable[[str], str]) -> str:
    if not isinstance(value, str):
        return hide(json.dumps(value, ensure_ascii=False))
    if marks.has_cdata and any(sign in value for sign in "<&\n"):
        return f"{CDATA}{hide(value)}{CDATA_END}"
    return hide(value)


def has_begun(arguments: str, marks: Elements, end: str) -> bool | None:
    """Whether the first parameter has its name, or there is none. None: that is not known yet.

    `end` is the text after the arguments.
    """
    first = end[: end.index(">") + 1]
    if arguments.startswith(first) or (
        arguments.startswith(marks.begin) and marks.name_end in arguments
    ):
        return True
    starts = (marks.begin, first)
    return None if any(s.startswith(arguments[: len(s)]) for s in starts) else False


class ElementReader(ArgumentReader):
    """Turns the elements of one call into a JSON object, as they arrive."""

    def __init__(self, marks: Elements, texts: Container[str]) -> None:
        """`texts` are the parameters whose values are text."""
        super().__init__()
        self._marks = marks
        self._texts = texts
        self._text_end = marks.value_end

    def _between(self) -> Iterator[str]:
        begin = self._marks.begin
        if not self.rest.startswith(begin):
            if not begin.startswith(self.rest):
                yield self._ended()
            return
        name, end, rest = self.rest[len(begin) :].partition(self._marks.name_end)
        if end:
            is_text = name in self._texts
            self.rest, self._state = rest, self._before_text if is_text else self._in_value
            yield self._named(name)
            yield '"' * is_text

    def _before_text(self) -> Iterator[str]:
        self._text_end = self._marks.value_end
        if self._marks.has_cdata and CDATA.startswith(self.rest[: len(CDATA)]):
            if len(self.rest) < len(CDATA):
                return
            self.rest = self.rest.removeprefix(CDATA)
            self._text_end = CDATA_END + self._text_end
        self._state = self._in_text
        yield ""

    def _in_text(self) -> Iterator[str]:
        value_end = self._text_end
        text, end, rest = self.rest.partition(value_end)
        if not end:
            places = range(max(0, len(text) - len(value_end)), len(text))
            at = next((i for i in places if value_end.startswith(text[i:])), len(text))
            text, rest = text[:at], text[at:]  # the rest can become the end
        self.rest, self._state = rest, self._between if end else self._in_text
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield '"' * bool(end)

    def _in_value(self) -> Iterator[str]:
        text, end, rest = self.rest.partition(self._marks.value_end)
        if end:
            self.rest, self._state = rest, self._between
            try:
                json.loads(text)
            except ValueError:
                text = json.dumps(text, ensure_ascii=False)
            yield text
