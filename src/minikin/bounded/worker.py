"""The worker's side: become ready, then answer one task after the other within the limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import msgspec

from minikin import logs
from minikin.bounded.frames import framed, read_frame
from minikin.bounded.limits import Limits, leave_no_core, limit_memory, time_limit
from minikin.errors import MinikinError
from minikin.memory import FreeMemory

_Setup = TypeVar("_Setup")
_Task = TypeVar("_Task")


def serve(
    setup: type[_Setup], task: type[_Task], begin: Callable[[_Setup], Callable[[_Task], Any]]
) -> None:
    """Serve standard input until it ends: the program of a worker.

    The first two frames are the Limits and a `setup`. `begin` turns the setup into the function
    that answers each `task`. If `begin` raises MinikinError, its message is the reason why the
    worker cannot start. An error in an answer ends the process.

    The program's only argument is the log level.
    """
    logs.set_up_child(sys.argv[1], "worker")
    os.nice(3)  # running answers have priority
    leave_no_core()
    memory = FreeMemory()
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of a library must not mix with the answers
    limits = msgspec.json.decode(read_frame(source) or b"", type=Limits)
    first = msgspec.json.decode(read_frame(source) or b"", type=setup)
    limit_memory(limits.memory)
    try:
        with time_limit(limits.setup_seconds):
            answer = begin(first)
    except MinikinError as error:
        _send(sink, error.message)
        return
    limit_memory(limits.memory)
    _send(sink, None)
    decoder = msgspec.json.Decoder(task)
    while (frame := read_frame(source)) is not None:
        _send(sink, _answered(answer, decoder.decode(frame), limits.seconds))
        del frame
        memory.give_back()


def _answered(answer: Callable[[_Task], Any], task: _Task, seconds: float) -> Any:
    with time_limit(seconds):
        return answer(task)


def _send(sink: BinaryIO, message: Any) -> None:
    sink.write(framed(msgspec.json.encode(message)))
    sink.flush()
