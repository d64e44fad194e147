"""The Jinja environment that chat templates run in.

A template comes with the model file and is as untrusted as the rest of it. Jinja's immutable
sandbox keeps it from Python's internals; the limits here keep one expression from making a string
of gigabytes, and a rendering from going on for ever. Filters and globals are those that model
authors write for (transformers, `chat_template_utils.py`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import jinja2.ext
import jinja2.filters
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_REPEATED = 65_536
"""The longest string or list that a template may make by repetition."""
MAX_INDENT = 64
_TIMED = "timed"
_PADDING = {"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map"}
"""String methods that make any amount of text from a number."""


_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""On the clock of this thread's CPU time."""


class TemplateTimeoutError(Exception):
    """The template ran longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Renderings in the block raise TemplateTimeoutError after `seconds` of CPU time.

    Of CPU time, so that a busy machine fails no template that is merely waiting.
    """
    token = _deadline.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _check_time() -> None:
    if time.thread_time() > _deadline.get():
        raise TemplateTimeoutError


class TemplateRefusalError(Exception):
    """The template called `raise_exception`: it won't render this conversation."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Renders chat templates; nothing in it grows without bound from a few characters."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
        for name in ("center", "format", "wordwrap", "filesizeformat", "pprint"):
            del self.filters[name]
        self.filters[_TIMED] = _timed
        self.filters["tojson"] = _to_json
        self.filters["indent"] = _indent
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Every loop looks at the clock; all else that repeats is a call, or bounded."""
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _TIMED, [], [], None, None)
        return tree

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Every call looks at the clock, so that recursion ends too."""
        _check_time()
        return super().call(*args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers work as usual; of strings and lists, only short repetitions."""
        sized = [side for side in (left, right) if isinstance(side, str | bytes | list | tuple)]
        if operator == "*" and sized:
            count = right if sized[0] is left else left
            if not isinstance(count, int) or len(sized[0]) * count > MAX_REPEATED:
                raise SecurityError("a template may not repeat text that often")
        elif operator == "%" and sized:
            raise SecurityError("a template may not use % on text")
        elif operator == "**" and (abs(left) > MAX_REPEATED or abs(right) > MAX_INDENT):
            raise SecurityError("a template may not raise to such powers")
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> None:
        """Jinja would hand out a `format` of its own; here `is_safe_attribute` refuses it."""
        return

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keeps padding methods of strings away, beside all that Jinja's sandbox does."""
        if isinstance(obj, str) and attr in _PADDING:
            return False
        return super().is_safe_attribute(obj, attr, value)


def _timed(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _check_time()
        yield item


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as models saw it in training: no HTML escapes, unlike Jinja's own `tojson`."""
    if indent is not None and indent > MAX_INDENT:
        raise SecurityError("a template may not indent that far")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _indent(text: str, width: int = 4, first: bool = False, blank: bool = False) -> str:
    if not isinstance(width, int) or width > MAX_INDENT:
        raise SecurityError("a template may not indent that far")
    return jinja2.filters.do_indent(text, width, first, blank)


def _raise_exception(message: str) -> None:
    raise TemplateRefusalError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)
