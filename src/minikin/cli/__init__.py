"""The `minikin` command. It connects the other rooms and contains no logic of its own.

Each command imports what it needs when it runs, so that help appears fast.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from minikin import __version__
from minikin.cli.batch import batch
from minikin.cli.catalog import PASS_ON, catalog, probe
from minikin.cli.chat import chat, run
from minikin.cli.models import models, pull, rm
from minikin.cli.output import errors
from minikin.cli.ps import ps
from minikin.cli.serve import serve
from minikin.cli.switches import command_of
from minikin.errors import SetupError

app = typer.Typer(
    help="A self-hosted drop-in for OpenAI's gpt-4.1-mini, with open weights.\n\n"
    "Start a server with `minikin serve` and set your client's base URL to "
    "http://127.0.0.1:8000/v1. Or talk with the model in this terminal: `minikin chat`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (serve, chat, run, ps, batch, pull, models, rm):
    app.command()(command)
app.command("list", hidden=True)(models)
for command in (catalog, probe):
    app.command(context_settings=PASS_ON, add_help_option=False)(command)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"minikin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. A SetupError ends it with one readable message and exit code 1."""
    try:
        command_of(app)()
    except SetupError as error:
        wrap = errors.is_terminal  # a log file gets it on one line
        errors.print(f"error: {error.message}", style="red", soft_wrap=not wrap)
        sys.exit(1)
