"""Arguments of tool calls as elements: `<parameter=NAME>`, a value and `</parameter>`, in lines.

Qwen3-Coder, Qwen3.5, Nemotron 3 and Step write them. They write the value of a parameter that is a
string as it is, every other value as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from minikin.marks import FUNCTION_END, PARAMETER
from minikin.marks import PARAMETER_NAME_END as NAME_END
from minikin.marks import PARAMETER_VALUE_END as VALUE_END


def written(arguments: Mapping[str, Any], hide: Callable[[str], str]) -> str:
    """The arguments as a model writes them. `hide` is applied to names and values."""
    return "".join(
        f"{PARAMETER}{hide(name)}{NAME_END}{hide(_text(value))}{VALUE_END}"
        for name, value in arguments.items()
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def has_begun(arguments: str) -> bool:
    """Whether the first parameter has its name, or there is none."""
    named = arguments.startswith(PARAMETER) and NAME_END in arguments
    return named or arguments.startswith(FUNCTION_END)


class ElementReader:
    """Turns the elements of one call into a JSON object, as they arrive."""

    def __init__(self, texts: Container[str]) -> None:
        """`texts` are the parameters whose values are text."""
        self._texts = texts
        self._state = self._between
        self._any = False
        self.rest = ""
        """The text that was not read yet: after the end, all that follows the arguments."""
        self.complete = False

    def feed(self, text: str) -> str:
        """Add text. Returns more of the JSON."""
        self.rest += text
        made = ""
        while not self.complete:
            state, size = self._state, len(self.rest)
            made += "".join(state())
            if self._state == state and len(self.rest) == size:
                break
        return made

    def _between(self) -> Iterator[str]:
        if not self.rest.startswith(PARAMETER):
            if not PARAMETER.startswith(self.rest):
                self.complete = True
                yield "}" if self._any else "{}"
            return
        name, end, rest = self.rest[len(PARAMETER) :].partition(NAME_END)
        if end:
            is_text = name in self._texts
            self.rest, self._state = rest, self._in_text if is_text else self._in_value
            yield f"{', ' if self._any else '{'}{json.dumps(name, ensure_ascii=False)}: "
            yield '"' * is_text
            self._any = True

    def _in_text(self) -> Iterator[str]:
        text, end, rest = self.rest.partition(VALUE_END)
        if not end:
            places = range(max(0, len(text) - len(VALUE_END)), len(text))
            at = next((i for i in places if VALUE_END.startswith(text[i:])), len(text))
            text, rest = text[:at], text[at:]  # the rest can become the end
        self.rest, self._state = rest, self._between if end else self._in_text
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield '"' * bool(end)

    def _in_value(self) -> Iterator[str]:
        text, end, rest = self.rest.partition(VALUE_END)
        if end:
            self.rest, self._state = rest, self._between
            try:
                json.loads(text)
            except ValueError:
                text = json.dumps(text, ensure_ascii=False)
            yield text
