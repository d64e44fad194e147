"""The engine process: load a model, then step for as long as the server is there."""

from __future__ import annotations

import gc
import logging
import queue
import signal
import socket
import sys
import threading
import time

from minikin import logs
from minikin.engine.block_pool import CacheFault
from minikin.engine.engine import Engine
from minikin.engine.host.channel import (
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
from minikin.errors import ModelFileError

log = logging.getLogger(__name__)

SIGN_OF_LIFE = 1.0
"""The most seconds between two reports while there is work."""
IDLE_SECONDS = 1.0
"""An engine without work for so long checks its cache, once until there is work again."""

_FORESEEN = (OSError, MemoryError, RuntimeError, AssertionError)
"""What PyTorch raises where a machine lacks memory or the device that was asked for."""


def serve(make_masks: MakeMasks) -> None:
    """Serve commands from the socket whose descriptor is the program's first argument.

    The second is the level to log at.
    """
    # The terminal's Ctrl-C goes to the whole group; when to end is the server's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.set_up(sys.argv[2], "engine: %(levelname)s %(message)s")
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
        # What is loaded stays; without this each full collection would walk all of it.
        gc.freeze()
        connection.sendall(frame(Loaded(info)))
        _run(engine, reader, connection)


def _reason(error: Exception, model: str) -> str:
    """Why the model can't be loaded, in one line; what nobody foresaw goes to the log in full."""
    if isinstance(error, ModelFileError):
        return error.message
    if not isinstance(error, _FORESEEN):
        log.error("loading failed", exc_info=error)
    said = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"The engine could not load {model}: {type(error).__name__}: {said}"


def _run(engine: Engine, reader: BlockingReader, connection: socket.socket) -> None:
    inbox: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(reader, inbox), daemon=True).start()
    reported = time.monotonic()
    while True:
        # Sleep while there is nothing to run; between steps take only what has come.
        while not engine.busy or not inbox.empty():
            command = _next(inbox, engine)
            if command is None:
                return
            _obey(engine, command)
            if isinstance(command, Cancel):
                _send(connection, Events([]))
        events = engine.step()
        if events or time.monotonic() - reported > SIGN_OF_LIFE:
            _send(connection, Events(events))
            reported = time.monotonic()


def _next(inbox: queue.SimpleQueue[Command | None], engine: Engine) -> Command | None:
    """The next command. Ends the process if the wait for it shows that the cache is at fault."""
    try:
        return inbox.get(timeout=IDLE_SECONDS)
    except queue.Empty:
        _check(engine)
        return inbox.get()


def _check(engine: Engine) -> None:
    try:
        engine.check_integrity()
    except CacheFault as error:
        log.error("The KV cache is corrupt: %s. The engine process ends.", error)
        # The supervisor starts another, with an empty cache.
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
    except BrokenPipeError:
        # The server is gone; the reader's end of file ends the loop.
        return
