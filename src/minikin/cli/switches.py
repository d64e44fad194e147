"""Help without a type beside an option that takes no value, such as `--version <bool>`."""

from __future__ import annotations

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


def command_of(app: typer.Typer) -> TyperCommand | TyperGroup:
    """The command or group of `app`, with plain switches."""
    command = get_command(app)
    assert isinstance(command, TyperCommand | TyperGroup)
    _make_plain(command)
    return command


def _make_plain(command: TyperCommand | TyperGroup) -> None:
    for option in command.get_params(typer.Context(command)):
        if getattr(option, "is_flag", False):
            option.metavar = ""
    for inner in command.commands.values() if isinstance(command, TyperGroup) else ():
        assert isinstance(inner, TyperCommand | TyperGroup)
        _make_plain(inner)
