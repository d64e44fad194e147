"""The server that a command talks to: a running one, or one of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minikin.cli.options import SERVER_DEFAULTS, locate_model, model_cache
from minikin.errors import KeyRefused, SetupError
from minikin.hub.known import DEFAULT_MODEL

USUAL_URL = f"http://{SERVER_DEFAULTS['host']}:{SERVER_DEFAULTS['port']}/v1"


def leave_on_signals() -> None:
    """End the command in order at a signal, so that its own server stops too."""
    for leave in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(leave, lambda *_: sys.exit(1))
    # If a script starts the command in the background, Ctrl-C would be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def reached_server(
    base_url: str | None, api_key: str | None, model: str | None, cache: Path | None
) -> Iterator[tuple[str, str | None]]:
    """The address to talk to and the model to request.

    The address is the given one, the usual one if a server answers there, or that of our own
    server.
    """
    if base_url is not None or _serves(USUAL_URL, api_key, model):
        yield base_url or USUAL_URL, model
        return
    from minikin.cli.chat_server import chat_server

    source = model or DEFAULT_MODEL
    local = locate_model(source, cache)  # here, so that the user sees the progress
    with chat_server(source, model_cache(cache).folder) as url:
        yield url, local.id


def _serves(url: str, api_key: str | None, model: str | None) -> bool:
    """Whether a server at `url` offers `model`, or any model if `model` is None.

    Raises KeyRefused: to start a second server beside the one that the user means is a surprise.
    """
    from minikin.cli.client import ChatClient

    try:
        with ChatClient(url, api_key) as client:
            offered = client.models()
    except KeyRefused:
        raise
    except SetupError:
        return False
    return model in offered if model else bool(offered)
