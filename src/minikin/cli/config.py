"""`minikin config`: the value of every option, and where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption

from minikin.cli.configuration import (
    ALIASES,
    AnyCommand,
    Configuration,
    commands_of,
    key_of,
    options_of,
    source_of,
)
from minikin.cli.output import console, errors
from minikin.errors import SetupError

_SECRETS = {"api_key", "admin_key"}
_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
"""In a URL such as postgresql://user:password@host."""
_HIDDEN = "********"


def config(
    context: typer.Context,
    command: Annotated[
        str | None,
        typer.Argument(metavar="COMMAND", help="Only this command.", show_default=False),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            allow_from_autoenv=False,
            help="Create the configuration file with this content, if it does not exist.",
        ),
    ] = False,
) -> None:
    """Print the value of every option, and where it comes from.

    The output is a configuration file: remove the # before what you change. Secrets are not shown.
    A value comes from the command line, else from the variable MINIKIN_COMMAND_OPTION, else from
    the file, else it is the default. The file is config.toml in minikin in the user's configuration
    folder. `--config` before the command or MINIKIN_CONFIG sets another one.

    Examples:

    `minikin config serve`

    `MINIKIN_SERVE_PORT=9000 minikin config serve`

    `minikin config --write`
    """
    parent = context.parent
    assert parent is not None
    assert isinstance(parent.command, TyperGroup)
    commands = commands_of(parent.command)
    if command is not None and command not in commands:
        raise SetupError(f"There is no command {command}. Commands: {', '.join(commands)}.")
    read: Configuration = context.obj
    shown = "\n".join(_sections(context, commands, read, command))
    if write:
        _create(read, shown)
    errors.print(f"{read.file}{'' if read.exists or write else ' does not exist'}", soft_wrap=True)
    if not write:
        console.print(shown, soft_wrap=True)


def _create(read: Configuration, text: str) -> None:
    """Write the configuration file, with its folder. Raises SetupError if it exists."""
    if read.exists:
        raise SetupError(f"{read.file} exists. `minikin config` prints its values.")
    try:
        read.file.parent.mkdir(parents=True, exist_ok=True)
        with read.file.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SetupError(f"Cannot write {read.file}: {error.strerror}.") from error


def _sections(
    context: typer.Context, commands: dict[str, AnyCommand], read: Configuration, only: str | None
) -> Iterator[str]:
    """The sections of the file, each with an empty line at its end."""
    parent = context.parent
    for name, inner in commands.items():
        options = options_of(inner)
        if options and only in (None, name):
            child = typer.Context(inner, info_name=name, parent=parent)
            yield "\n".join([f"[{name}]", *_lines(child, options), ""])
    if read.aliases and only is None:
        aliases = (f"{_word(name)} = {_word(model)}" for name, model in read.aliases.items())
        yield "\n".join([f"[{ALIASES}]", *aliases, ""])


def _lines(context: typer.Context, options: list[TyperOption]) -> Iterator[str]:
    for option in options:
        value, _ = option.consume_value(context, {})
        source = source_of(context, option)
        shown = _shown(option, option.process_value(context, value))
        if source != "default":
            # A file with this line would have the stars as its value.
            mark = "# " if _HIDDEN in shown else ""
            yield f"{mark}{key_of(option)} = {shown:<24} # {source}"
        elif isinstance(option.show_default, str) and not value:
            yield f"# {key_of(option)} =  # default: {option.show_default}"
        else:
            yield f"# {key_of(option)} = {shown}"


def _shown(option: TyperOption, value: Any) -> str:
    """The value in TOML, without secrets."""
    if value and option.name in _SECRETS:
        return _word(_HIDDEN)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if option.multiple:
        return f"[{', '.join(map(_word, value or ()))}]"
    return "" if value is None else _word(value)


def _word(value: Any) -> str:
    return json.dumps(_PASSWORD.sub(_HIDDEN, str(value)), ensure_ascii=False)
