"""The `minikin` command. It connects the other rooms and contains no logic of its own.

Each command imports what it needs when it runs, so that help appears fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]
from typer.core import TyperGroup

from minikin import __version__
from minikin.cli.batch import batch
from minikin.cli.catalog import PASS_ON, catalog, probe
from minikin.cli.chat import chat, run
from minikin.cli.cluster import cluster
from minikin.cli.completion import completion
from minikin.cli.config import config
from minikin.cli.configuration import (
    PREFIX,
    check_environment,
    check_values,
    commands_of,
    read_configuration,
)
from minikin.cli.doctor import doctor
from minikin.cli.key import key
from minikin.cli.models import models, pull, rm
from minikin.cli.output import errors
from minikin.cli.ps import ps
from minikin.cli.serve import serve
from minikin.cli.switches import command_of
from minikin.cli.topics import group_options
from minikin.errors import SetupError
from minikin.logs import one_line

app = typer.Typer(
    help="A self-hosted drop-in for OpenAI's gpt-4.1-mini, with open weights.\n\n"
    "Start a server with `minikin serve` and set your client's base URL to "
    "http://127.0.0.1:8000/v1. Or talk with the model in this terminal: `minikin chat`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
_TOPICS = {
    "Answers": (serve, chat, run, batch, ps, cluster),
    "Models": (models, pull, rm),
    "This command": (doctor, config, completion),
}
for topic, commands in _TOPICS.items():
    for command in commands:
        app.command(rich_help_panel=topic)(command)
app.add_typer(key, rich_help_panel="Models")
app.command("list", hidden=True)(models)
for command in (catalog, probe):
    app.command(context_settings=PASS_ON, add_help_option=False, rich_help_panel="Facts")(command)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"minikin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            envvar=f"{PREFIX}_CONFIG",
            help="The configuration file. `minikin config` shows where the default one is.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            allow_from_autoenv=False,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    root, name = context.command, context.invoked_subcommand
    assert isinstance(root, TyperGroup)
    context.obj = read_configuration(file, root)
    context.default_map = context.obj.defaults
    check_environment(root)
    if inner := commands_of(root).get(name or ""):
        check_values(typer.Context(inner, info_name=name, parent=context), inner)


def main() -> None:
    """Run the command line. A SetupError ends it with one readable message and exit code 1."""
    completion_init()  # for the scripts of `minikin completion`
    root = command_of(app)
    group_options(root)
    try:
        root(auto_envvar_prefix=PREFIX)
    except SetupError as error:
        wrap = errors.is_terminal  # a log file gets it on one line
        message = "\n".join(map(one_line, error.message.split("\n")))
        errors.print(f"error: {message}", style="red", soft_wrap=not wrap)
        sys.exit(1)
