"""`minikin chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from minikin.cli.conversation import Conversation
from minikin.cli.options import CacheOption
from minikin.cli.output import errors
from minikin.cli.reach import leave_on_signals, reached_server
from minikin.config import MAX_TEMPERATURE
from minikin.errors import SetupError


def chat(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model to talk to. Default: the first model of the server.",
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address of a running server, ending in /v1.",
            show_default=False,
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="The API key for that server.",
            envvar="MINIKIN_API_KEY",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="A system message for the model.", show_default=False),
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

    leave_on_signals()
    with reached_server(base_url, api_key, model, cache) as (url, wanted):
        client = ChatClient(url, api_key)
        chosen = _choose(client.models(), wanted)
        errors.print(f"Talking to {chosen} at {url}. Type /help for help.")
        Dialog(client, chosen, Conversation(system), temperature).run()


def _choose(offered: list[str], model: str | None) -> str:
    """The id to request: `model`, or the server's first. Raises SetupError if it is missing."""
    if not offered or (model and model not in offered):
        wanted = f"no model '{model}'" if model else "no models"
        raise SetupError(f"The server has {wanted}. Its models: {', '.join(offered) or 'none'}.")
    return model or offered[0]
