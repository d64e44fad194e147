"""The Jinja environment that chat templates run in.

A template is part of the model file and untrusted like the rest of it. Jinja's immutable sandbox
blocks access to Python's internals. Its process (`template_process.py`) limits time and memory. The
filters and globals are those that model authors expect (transformers, `chat_template_utils.py`).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class TemplateRefusalError(Exception):
    """The template called `raise_exception` to reject this conversation."""


class Generation(jinja2.ext.Extension):
    """`{% generation %}`: transformers trains on the text inside. For a prompt, it has no effect.

    As in transformers (`AssistantTracker`), variables that are set inside do not leave it.
    """

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> nodes.Node:
        """The statements up to `{% endgeneration %}`, in a scope of their own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class Sandbox(ImmutableSandboxedEnvironment):
    """Renders chat templates, with the limits of Jinja's sandbox."""

    def __init__(self) -> None:
        extensions = [jinja2.ext.loopcontrols, Generation]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.filters["tojson"] = _to_json
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as in the training data: without HTML escapes, unlike Jinja's own `tojson`."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> None:
    raise TemplateRefusalError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)
