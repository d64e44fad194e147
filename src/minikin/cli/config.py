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
) -> None:
    """Print the value of every option, and where it comes from.

    The output is a configuration file: redirect it, and remove the # before what you change. A
    value comes from the command line, else from the variable MINIKIN_COMMAND_OPTION, else from the
    file, else it is the default. The file is config.toml in minikin in the user's configuration
    folder. `--config` before the command or MINIKIN_CONFIG sets another one.

    Examples:

    `minikin config serve`

    `MINIKIN_SERVE_PORT=9000 minikin config serve`

    `minikin config > ~/.config/minikin/config.toml`
    """
    parent = context.parent
    assert parent is not None
    assert isinstance(parent.command, TyperGroup)
    commands = commands_of(parent.command)
    if command is not None and command not in commands:
        raise SetupError(f"There is no command {command}. Commands: {', '.join(commands)}.")
    read: Configuration = context.obj
    errors.print(f"{read.file}{'' if read.exists else ' does not exist'}", soft_wrap=True)
    for name, inner in commands.items():
        options = options_of(inner)
        if options and command in (None, name):
            child = typer.Context(inner, info_name=name, parent=parent)
            _print(f"[{name}]", *_lines(child, options))
    if read.aliases and command is None:
        _print(f"[{ALIASES}]", *(f"{_word(n)} = {_word(m)}" for n, m in read.aliases.items()))


def _print(*lines: str) -> None:
    console.print("\n".join(lines) + "\n", soft_wrap=True)


def _lines(context: typer.Context, options: list[TyperOption]) -> Iterator[str]:
    for option in options:
        value, _ = option.consume_value(context, {})
        source, shown = (
            source_of(context, option),
            _shown(option, option.process_value(context, value)),
        )
        if source != "default":
            yield f"{key_of(option)} = {shown:<24} # {source}"
        elif isinstance(option.show_default, str) and not value:
            yield f"# {key_of(option)} =  # default: {option.show_default}"
        else:
            yield f"# {key_of(option)} = {shown}"


def _shown(option: TyperOption, value: Any) -> str:
    """The value in TOML, without secrets."""
    if value and option.name.endswith("key"):
        return _word(_HIDDEN)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if option.multiple:
        return f"[{', '.join(map(_word, value or ()))}]"
    return "" if value is None else _word(value)


def _word(value: Any) -> str:
    return json.dumps(_PASSWORD.sub(_HIDDEN, str(value)), ensure_ascii=False)
