"""The engine process: loads a model, then runs steps until the server closes the socket."""

from __future__ import annotations

import gc
import logging
import queue
import socket
import sys
import threading
import time

from minikin import logs
from minikin.engine.block_pool import CacheFault
from minikin.engine.engine import Engine
from minikin.engine.host.channel import (
    LAST_SECONDS,
    BlockingReader,
    Cancel,
    Command,
    Events,
    Load,
    Loaded,
    LoadFailed,
    Report,
    Submit,
    frame,
)
from minikin.engine.loader import load_engine
from minikin.engine.mask import MakeMasks
from minikin.errors import SetupError
from minikin.memory import FreeMemory

log = logging.getLogger(__name__)

SIGN_OF_LIFE = 1.0
"""Maximum seconds between two reports while there is work."""
IDLE_SECONDS = 1.0
"""After this idle time, the engine checks its cache, returns free memory and reports, once."""
STATS_SECONDS = 0.5
"""Minimum time between two reports of what the engine does."""

_FORESEEN = (OSError, MemoryError, RuntimeError, AssertionError)
"""The errors of PyTorch if memory or the requested device is missing."""


def serve(make_masks: MakeMasks) -> None:
    """Serve commands from the socket whose descriptor is the program's first argument.

    The second argument says how to log.
    """
    logs.set_up_child(sys.argv[2], "engine")
    memory = FreeMemory()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        reader = BlockingReader(connection)
        load = reader.read()
        if not isinstance(load, Load):
            return
        try:
            engine, info = load_engine(load.settings, make_masks)
        except Exception as error:
            _send(connection, LoadFailed(_reason(error, load.settings.model.name)))
            return
        gc.freeze()  # what is loaded stays: no full collection has to visit it
        _send(connection, Loaded(info))
        _run(engine, reader, connection, memory)
        engine.finish(LAST_SECONDS)


def _reason(error: Exception, model: str) -> str:
    """The reason of a failed load in one line. Unexpected errors go to the log in full."""
    if isinstance(error, SetupError):
        return error.message
    if not isinstance(error, _FORESEEN):
        log.error("Loading failed", exc_info=error)
    said = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"The engine cannot load {model}: {type(error).__name__}: {said}"


def _run(
    engine: Engine, reader: BlockingReader, connection: socket.socket, memory: FreeMemory
) -> None:
    inbox: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(reader, inbox), daemon=True).start()
    reported = described = time.monotonic()
    while True:
        # Sleep without work. Between steps, read only the commands that are there.
        while not engine.busy or not inbox.empty():
            command = _next(inbox, engine, connection, memory)
            if command is None:
                return
            _obey(engine, command)
            if isinstance(command, Cancel):
                _send(connection, Events([]))
        events = engine.step()
        now = time.monotonic()
        if events or now - reported > SIGN_OF_LIFE:
            is_due = now - described > STATS_SECONDS
            _send(connection, Events(events, engine.stats if is_due else None))
            reported, described = now, now if is_due else described


def _next(
    inbox: queue.SimpleQueue[Command | None],
    engine: Engine,
    connection: socket.socket,
    memory: FreeMemory,
) -> Command | None:
    """The next command. If the idle check finds a corrupt cache, the process ends."""
    while inbox.empty() and engine.renew():
        pass
    try:
        return inbox.get(timeout=IDLE_SECONDS)
    except queue.Empty:
        _check(engine)
        memory.give_back()
        _send(connection, Events([], engine.stats))
        return inbox.get()


def _check(engine: Engine) -> None:
    try:
        engine.check_integrity()
    except CacheFault as error:
        log.error("The KV cache is corrupt: %s. The engine process ends.", error)
        # The supervisor restarts it with an empty cache.
        raise SystemExit(1) from error


def _receive(reader: BlockingReader, inbox: queue.SimpleQueue[Command | None]) -> None:
    while (command := reader.read()) is not None:
        inbox.put(command)
    inbox.put(None)


def _obey(engine: Engine, command: Command) -> None:
    if isinstance(command, Submit):
        request = command.request
        log.debug("%s: %d prompt tokens", request.id, len(request.prompt))
        engine.add(request)
    elif isinstance(command, Cancel):
        engine.cancel(command.request_id)


def _send(connection: socket.socket, report: Report) -> None:
    try:
        connection.sendall(frame(report))
    except ConnectionError:
        # The server closed the socket. The reader's end of file ends the loop.
        return
