"""The `minikin` command: it wires the parts together and holds no logic of theirs.

Each command imports what it needs when it runs, so that help appears at once.
"""

from __future__ import annotations

import sys

import typer

from minikin.cli.catalog import PASS_ON, catalog, probe
from minikin.cli.chat import chat
from minikin.cli.models import models, pull, rm
from minikin.cli.output import errors
from minikin.cli.serve import serve
from minikin.errors import SetupError

app = typer.Typer(
    help="A self-hosted drop-in for OpenAI's gpt-4.1-mini, on open weights.\n\n"
    "Begin with `minikin serve` and point your client at http://127.0.0.1:8000/v1, or talk "
    "in this terminal with `minikin chat`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (serve, chat, pull, models, rm):
    app.command()(command)
for command in (catalog, probe):
    app.command(context_settings=PASS_ON, add_help_option=False)(command)


def main() -> None:
    """Run the command line; a SetupError ends it with one readable message and exit code 1."""
    try:
        app()
    except SetupError as error:
        wrap = errors.is_terminal  # whoever reads it from a file wants it whole
        errors.print(f"error: {error.message}", style="red", soft_wrap=not wrap)
        sys.exit(1)
