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
from minikin.errors import SetupError
from minikin.hub.known import DEFAULT_MODEL

_USUAL_URL = f"http://{SERVER_DEFAULTS['host']}:{SERVER_DEFAULTS['port']}/v1"


def chat(
    model: Annotated[
        str | None,
        typer.Option(help="Which model to talk to; else the server's own.", show_default=False),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="A running server's address, ending in /v1.", show_default=False),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(help="Key for that server.", envvar="MINIKIN_API_KEY", show_default=False),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="An instruction to the model.", show_default=False)
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, metavar="X", help="0 is soberest, 2 is wildest.")
    ] = 0.7,
    cache: CacheOption = None,
) -> None:
    """Talk with a model in this terminal.

    Without --base-url, a server on this machine's port 8000 is used if there is one; if not, one is
    started for this conversation and ended with it. Type /help for what can be said besides.

    Examples:

    `minikin chat`

    `minikin chat --system "Answer in one sentence." --temperature 0`
    """
    from minikin.cli.client import ChatClient
    from minikin.cli.dialog import Dialog

    for leave in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(leave, lambda *_: sys.exit(1))  # so that a server of our own ends too
    # A script that starts the chat in its background would have it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with _server(base_url, api_key, model, cache) as (url, wanted):
        client = ChatClient(url, api_key)
        chosen = _choose(client.models(), wanted)
        errors.print(f"Talking to {chosen} at {url}. /help shows what you can type.")
        Dialog(client, chosen, Conversation(system), temperature).run()


@contextmanager
def _server(
    base_url: str | None, api_key: str | None, model: str | None, cache: Path | None
) -> Iterator[tuple[str, str | None]]:
    """The address to talk to and the model to ask for.

    It is the address given, one that answers at the usual place, or that of our own server.
    """
    if base_url is not None or _serves(_USUAL_URL, api_key, model):
        yield base_url or _USUAL_URL, model
        return
    from minikin.cli.chat_server import chat_server

    source = model or DEFAULT_MODEL
    local = locate_model(source, cache)  # here, where its progress can be seen
    with chat_server(source, model_cache(cache).folder) as url:
        yield url, local.id


def _serves(url: str, api_key: str | None, model: str | None) -> bool:
    """Whether a server at `url` offers `model`, or anything if none is named."""
    from minikin.cli.client import ChatClient

    try:
        offered = ChatClient(url, api_key).models()
    except SetupError:
        return False
    return model in offered if model else bool(offered)


def _choose(offered: list[str], model: str | None) -> str:
    """The id to ask for: `model`, or the server's first. Raises SetupError if it isn't there."""
    if not offered or (model and model not in offered):
        wanted = f"no model '{model}'" if model else "no model"
        raise SetupError(f"The server has {wanted}. It has: {', '.join(offered) or 'none'}.")
    return model or offered[0]
