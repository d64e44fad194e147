"""The process that a model's chat template runs in; a template that goes too far ends it.

Reads JSON lines from standard input: a Source, then Conversations. Answers the first with a Reply
to whether the template can be used, each other with its rendering.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from minikin.chat.template import ChatTemplate
from minikin.chat.template_process import Conversation, Reply, Source
from minikin.errors import InvalidRequest, MinikinError, TemplateError

MAX_SECONDS = 1.0
"""CPU time of one rendering: many times what four megabytes of messages take."""
MAX_MEMORY = 1024 * 1024 * 1024
"""Bytes of address space beyond what the process starts with."""


def main() -> None:
    """Serve until standard input ends."""
    source = msgspec.json.decode(sys.stdin.buffer.readline(), type=Source)
    _limit_memory()
    try:
        with time_limit():
            template = ChatTemplate(source.template, source.control_tokens, source.bos, source.eos)
            template.try_out()
    except MinikinError as error:
        _send(Reply(0, fault=error.message))
        return
    _send(Reply(0))
    while line := sys.stdin.buffer.readline():
        _send(_answer(template, msgspec.json.decode(line, type=Conversation)))


def _answer(template: ChatTemplate, asked: Conversation) -> Reply:
    try:
        with time_limit():
            pieces = template.render(
                asked.messages,
                tools=asked.tools,
                must_call=asked.must_call,
                variables=asked.variables,
            )
        return Reply(asked.number, pieces)
    except InvalidRequest as error:
        return Reply(asked.number, refusal=error.message)
    except TemplateError as error:
        return Reply(asked.number, fault=error.reason)


@contextmanager
def time_limit() -> Iterator[None]:
    """Raises TemplateError in the block after MAX_SECONDS of CPU time.

    Of CPU time, so that a busy machine fails no template that is merely waiting. The system ends
    the process a second later: one call into C can be longer than any patience.
    """
    last = int(time.process_time() + MAX_SECONDS) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (last, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _on_time_up)
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _on_time_up(*_: object) -> None:
    raise TemplateError(f"it ran over {MAX_SECONDS} s.")


def _limit_memory() -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        limit = int(statm.read_text().split()[0]) * resource.getpagesize() + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _send(reply: Reply) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    os.nice(3)  # running answers come first
    main()
