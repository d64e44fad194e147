"""`minikin chat`: a conversation in the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from minikin.cli.conversation import Conversation
from minikin.cli.options import SERVER_DEFAULTS, CacheOption, locate_model, model_cache
from minikin.cli.output import errors
from minikin.config import MAX_TEMPERATURE
from minikin.errors import SetupError
from minikin.hub.known import DEFAULT_MODEL

_USUAL_URL = f"http://{SERVER_DEFAULTS['host']}:{SERVER_DEFAULTS['port']}/v1"


def chat(
    model: Annotated[
        str | None,
        typer.Option(
            help="The model to talk to. Default: the first model of the server.", show_default=False
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="The address of a running server, ending in /v1.", show_default=False),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="The API key for that server.", envvar="MINIKIN_API_KEY", show_default=False
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="A system message for the model.", show_default=False)
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_TEMPERATURE,
            metavar="X",
            help=f"0: most deterministic, {MAX_TEMPERATURE}: most random.",
            show_default="the model's own",
        ),
    ] = None,
    cache: CacheOption = None,
) -> None:
    """Talk with a model in this terminal.

    Without --base-url, the chat uses the server on port 8000 of this machine. If there is none, it
    starts a server and stops it at the end. Type /help to list the commands of the chat.

    Examples:

    `minikin chat`

    `minikin chat --system "Answer in one sentence." --temperature 0`
    """
    from minikin.cli.client import ChatClient
    from minikin.cli.dialog import Dialog

    for leave in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(leave, lambda *_: sys.exit(1))  # so that our own server stops too
    # If a script starts the chat in the background, Ctrl-C would be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with _server(base_url, api_key, model, cache) as (url, wanted):
        client = ChatClient(url, api_key)
        chosen = _choose(client.models(), wanted)
        errors.print(f"Talking to {chosen} at {url}. Type /help for help.")
        Dialog(client, chosen, Conversation(system), temperature).run()


@contextmanager
def _server(
    base_url: str | None, api_key: str | None, model: str | None, cache: Path | None
) -> Iterator[tuple[str, str | None]]:
    """The address to talk to and the model to request.

    The address is the given one, the usual one if a server answers there, or that of our own
    server.
    """
    if base_url is not None or _serves(_USUAL_URL, api_key, model):
        yield base_url or _USUAL_URL, model
        return
    from minikin.cli.chat_server import chat_server

    source = model or DEFAULT_MODEL
    local = locate_model(source, cache)  # here, so that the user sees the progress
    with chat_server(source, model_cache(cache).folder) as url:
        yield url, local.id


def _serves(url: str, api_key: str | None, model: str | None) -> bool:
    """Whether a server at `url` offers `model`, or any model if `model` is None."""
    from minikin.cli.client import ChatClient

    try:
        offered = ChatClient(url, api_key).models()
    except SetupError:
        return False
    return model in offered if model else bool(offered)


def _choose(offered: list[str], model: str | None) -> str:
    """The id to request: `model`, or the server's first. Raises SetupError if it is missing."""
    if not offered or (model and model not in offered):
        wanted = f"no model '{model}'" if model else "no models"
        raise SetupError(f"The server has {wanted}. Its models: {', '.join(offered) or 'none'}.")
    return model or offered[0]
