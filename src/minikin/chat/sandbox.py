"""The Jinja environment that chat templates run in.

A template comes with the model file and is as untrusted as the rest of it. Jinja's immutable
sandbox keeps it from Python's internals; the process that it runs in (`template_process.py`) bounds
its time and memory. Filters and globals are those that model authors write for (transformers,
`chat_template_utils.py`).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class TemplateRefusalError(Exception):
    """The template called `raise_exception`: it won't render this conversation."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Renders chat templates, but for what Jinja's sandbox refuses."""

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
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
    """JSON as models saw it in training: no HTML escapes, unlike Jinja's own `tojson`."""
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
