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

MAX_MEMORY = 1024 * 1024 * 1024
"""Bytes of address space beyond what the process starts with."""


def main() -> None:
    """Serve until standard input ends."""
    source = msgspec.json.decode(sys.stdin.buffer.readline(), type=Source)
    _limit_memory()
    try:
        with time_limit(source.max_seconds):
            template = ChatTemplate(source.template, source.control_tokens, source.bos, source.eos)
            template.try_out()
    except MinikinError as error:
        _send(Reply(0, fault=error.message))
        return
    _send(Reply(0))
    while line := sys.stdin.buffer.readline():
        asked = msgspec.json.decode(line, type=Conversation)
        _send(_answer(template, asked, source.max_seconds))


def _answer(template: ChatTemplate, asked: Conversation, max_seconds: float) -> Reply:
    try:
        with time_limit(max_seconds):
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
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TemplateError in the block after `seconds` of CPU time.

    Of CPU time, so that a busy machine fails no template that is merely waiting. The system ends
    the process a second later: one call into C can be longer than any patience.
    """
    last = int(time.process_time() + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (last, resource.RLIM_INFINITY))

    def on_time_up(*_: object) -> None:
        raise TemplateError(f"it ran over {seconds} s.")

    signal.signal(signal.SIGPROF, on_time_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


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
