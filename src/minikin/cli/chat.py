"""`minikin chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from minikin.cli.configuration import resolved
from minikin.cli.conversation import Conversation
from minikin.cli.options import CacheOption, KeyOption, UrlOption
from minikin.cli.output import errors, own_name
from minikin.cli.reach import leave_on_signals, reached_server
from minikin.config import MAX_TEMPERATURE
from minikin.errors import SetupError

_Question = Annotated[
    str | None,
    typer.Argument(metavar="QUESTION", help="Answer only this, then end.", show_default=False),
]
_System = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="A system message for the model.", show_default=False),
]
_Temperature = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=MAX_TEMPERATURE,
        metavar="X",
        help=f"0: most deterministic, {MAX_TEMPERATURE}: most random.",
        show_default="the model's own",
    ),
]


def chat(
    question: _Question = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model to talk to. Default: the first model of the server.",
            show_default=False,
            callback=resolved,
        ),
    ] = None,
    base_url: UrlOption = None,
    api_key: KeyOption = None,
    system: _System = None,
    temperature: _Temperature = None,
    cache: CacheOption = None,
) -> None:
    """Talk with a model in this terminal.

    Without --base-url, the chat uses the server on port 8000 of this machine. If there is none, it
    starts a server and stops it at the end. Type /help to list the commands of the chat.

    Examples:

    `minikin chat`

    `minikin chat "What is the capital of France?"`

    `minikin chat --system "Answer in one sentence." --temperature 0`
    """
    from minikin.cli.client import ChatClient
    from minikin.cli.dialog import Dialog

    leave_on_signals()
    with (
        reached_server(base_url, api_key, model, cache) as (url, wanted),
        ChatClient(url, api_key) as client,
    ):
        chosen = _choose(client.models(), wanted)
        dialog = Dialog(client, chosen, Conversation(system), temperature)
        if question is not None:
            dialog.ask(question)
            return
        errors.print(f"Talking to {chosen} at {url}. Type /help for help.")
        dialog.run()


def run(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A name that the running server has, or a model as for `minikin serve`.",
            show_default=False,
            callback=resolved,
        ),
    ] = None,
    question: _Question = None,
    base_url: UrlOption = None,
    api_key: KeyOption = None,
    system: _System = None,
    temperature: _Temperature = None,
    cache: CacheOption = None,
) -> None:
    """Talk with a model in this terminal: `minikin chat`, with the model's name first.

    Examples:

    `minikin run qwen3-4b`

    `minikin run qwen3-4b "What is the capital of France?"`
    """
    chat(question, model, base_url, api_key, system, temperature, cache)


def _choose(offered: list[str], model: str | None) -> str:
    """The id to request: `model`, or the server's first. Raises SetupError if it is missing."""
    if not offered or (model and model not in offered):
        wanted = f"no model '{model}'" if model else "no models"
        advice = f" To ask a question: {own_name()} chat QUESTION" if " " in (model or "") else ""
        raise SetupError(
            f"The server has {wanted}. Its models: {', '.join(offered) or 'none'}.{advice}"
        )
    return model or offered[0]
