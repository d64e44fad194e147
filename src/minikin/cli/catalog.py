"""`minikin catalog` and `minikin probe`. They load their code only when they run."""

from __future__ import annotations

import typer

from minikin.cli.configuration import PREFIX
from minikin.cli.switches import command_of

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""All arguments, including `--help`, are passed to the inner command."""


def catalog(context: typer.Context) -> None:
    """List, compare and publish facts about models, their authors and providers."""
    from minikin.catalog.commands import catalog_app

    command_of(catalog_app)(
        context.args, prog_name="minikin catalog", auto_envvar_prefix=f"{PREFIX}_CATALOG"
    )


def probe(context: typer.Context) -> None:
    """Test what an OpenAI-compatible server really does."""
    from minikin.catalog.probe_command import probe as command

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    command_of(app)(context.args, prog_name="minikin probe", auto_envvar_prefix=f"{PREFIX}_PROBE")
