"""An engine's process without an engine: the first token of a prompt says what it does.

The model's file name says how it starts: `crash`, `refuse`, or anything else to load. `replaced` is
another model at each start. An engine for the model `endless` begins each answer and never ends it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from msgspec.structs import replace

from minikin.engine.host.channel import BlockingReader, Events, Loaded, LoadFailed, Submit, frame
from minikin.engine.messages import ChoiceUsage, Event, ModelInfo

ANSWER, DIE, HANG, ANSWER_LATE = range(4)
INFO = ModelInfo(context_length=64, vocab_size=8, fingerprint="fp_0123456789")


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # below nohup, it would be ignored
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        reader = BlockingReader(connection)
        name = reader.read().settings.model.name
        if name == "crash":
            os.abort()
        if name == "refuse":
            connection.sendall(frame(LoadFailed("It is broken.")))
            return
        info = replace(INFO, fingerprint=f"fp_{os.getpid()}") if name == "replaced" else INFO
        connection.sendall(frame(Loaded(info)))
        while command := reader.read():
            if isinstance(command, Submit):
                begin(command.request, connection) if name == "endless" else obey(
                    command.request, connection
                )


def begin(request, connection) -> None:
    connection.sendall(frame(Events([Event(id=request.id, index=0, text="a", token_ends=(1,))])))


def obey(request, connection) -> None:
    kind = request.prompt[0]
    if kind == DIE:
        time.sleep(0.1)
        os.abort()
    if kind == HANG:
        time.sleep(3600)
    for _ in range(45 if kind == ANSWER_LATE else 0):
        time.sleep(0.1)
        connection.sendall(frame(Events([])))
    usage = ChoiceUsage(completion_tokens=2)
    event = Event(id=request.id, index=0, text="hi", finish_reason="stop", usage=usage)
    connection.sendall(frame(Events([event])))


if __name__ == "__main__":
    main()
