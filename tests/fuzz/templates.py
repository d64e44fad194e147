"""The fuzzer's target for chat templates. A template opens nothing and starts nothing."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import jinja2.debug  # noqa: F401, so that a template that fails does not import it under the audit

from minikin.chat.template import ChatTemplate
from tests.engine.tiny_folders import CHAT_TEMPLATE, CONTROLS
from tests.fuzz.target import FuzzFault, Target, refusals

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello <|im_end|>"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "Bye"},
]
SECONDS = 2
"""The process of a template ends it after some time. The fuzzer continues with the next one."""
FORBIDDEN = ("open", "import", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "pty.")
"""Events of Python's audit that a template must not cause."""
_TEMPLATES = (
    CHAT_TEMPLATE,
    "{{ messages[0]['content'] | tojson }}{{ cycler.__init__.__globals__ }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(messages | map(attribute='role') | join) }}",
    "{% set ns = namespace(a=1) %}{% for m in messages %}{% set ns.a = ns.a + 1 %}"
    "{{ m.content | replace('a', 'b') | trim }}{% break %}{% endfor %}{{ ns.a }}",
    "{{ ''.__class__.__mro__ }}{{ strftime_now('%Y') }}{{ raise_exception('no') }}",
    "{% if tools is defined and tools %}{{ tools | length }}{% endif %}"
    "{{ '%s' % messages }}{{ 'x'.format(messages) }}{{ messages | attr('__len__') }}",
    "{% call(x) m() %}{{ x }}{% endcall %}{% filter upper %}a{% endfilter %}",
    "{% generation %}{{ messages | selectattr('role', 'eq', 'user') | list | last }}"
    "{% endgeneration %}{% include 'a' %}{% import 'a' as b %}{% extends 'c' %}",
)
_WORDS = (
    "{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", "__class__", "__globals__", "__init__",
    "__mro__", "__subclasses__()", "__builtins__", "gi_frame", "f_globals", "func_globals",
    "|attr(", "|map(", "|join", "|format", ".format(", ".format_map(", "|tojson", "|list", "|safe",
    "messages", "message.content", "loop.index0", "cycler", "joiner", "lipsum", "namespace(",
    "self", "range(", "dict(", "raise_exception(", "strftime_now(", "include", "import", "extends",
    "macro", "endmacro", "call", "endcall", "for", "endfor", "if", "endif", "set", "endset",
    "filter", "endfilter", "block", "endblock", "generation", "endgeneration", "break", "continue",
    "recursive", "caller(", "varargs", "kwargs", "is mapping", "is defined", "'", "[0]", "**", "//",
)  # fmt: skip


def template(data: bytes) -> None:
    """A chat template."""
    with refusals(), _seconds(SECONDS), _watched():
        made = ChatTemplate(data.decode(errors="replace"), CONTROLS)
        made.try_out()
        made.render(MESSAGES)


def _change(data: bytes, chance: random.Random) -> bytes:
    """Put a word, or a part of another template, anywhere."""
    at = chance.randint(0, len(data))
    other = chance.choice(_TEMPLATES)
    start = chance.randrange(len(other))
    piece = chance.choice((chance.choice(_WORDS), other[start : start + chance.randint(1, 60)]))
    return data[:at] + piece.encode() + data[at + chance.choice((0, 0, 1, len(piece))) :]


class _TooLong(BaseException):
    """A template took longer than its process allows."""


_watching = False


def _audit(event: str, given: tuple[object, ...]) -> None:
    if _watching and event.startswith(FORBIDDEN):
        raise FuzzFault(f"a template caused {event} {given!r}")


@contextmanager
def _watched() -> Iterator[None]:
    """A block that must not leave the sandbox."""
    global _watching
    _install_audit()
    _watching = True
    try:
        yield
    finally:
        _watching = False


@cache
def _install_audit() -> None:
    sys.addaudithook(_audit)


@contextmanager
def _seconds(most: int) -> Iterator[None]:
    """A block that ends after this time, or if it needs too much memory, as its process would."""

    def late(signum: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, most)
    try:
        yield
    except (_TooLong, MemoryError):
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


TEMPLATE = Target(
    template,
    lambda: [text.encode() for text in _TEMPLATES],
    most=1_024,
    change=_change,
    words=_WORDS,
)
