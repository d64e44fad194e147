"""The configuration file and the environment: values for options that a command line leaves out.

Both have the options of the commands themselves, so they cannot differ: click reads variables
(`MINIKIN_COMMAND_OPTION`) and the file's sections (its `default_map`) in this order.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from minikin.errors import SetupError

PREFIX = "MINIKIN"
"""Before the names of variables. Each has its command's name too: Kubernetes sets MINIKIN_PORT for
a service `minikin`, which is not an option."""
ALIASES = "aliases"
"""The section with other names for models."""

AnyCommand = TyperCommand | TyperGroup


class Configuration(msgspec.Struct, frozen=True):
    """What a configuration file says. `exists` is False for a default file that is missing."""

    file: Path
    exists: bool = False
    defaults: dict[str, Any] = {}
    """For each command, values by the names of parameters, as text like on a command line."""
    aliases: dict[str, str] = {}
    """Other names of models -> a model as for `minikin serve`."""


def default_file() -> Path:
    """`minikin/config.toml` in the user's configuration folder (XDG_CONFIG_HOME)."""
    return platformdirs.user_config_path("minikin", appauthor=False) / "config.toml"


def read_configuration(file: Path | None, root: TyperGroup) -> Configuration:
    """The configuration in `file`, or in the default file if it exists.

    Raises SetupError if it cannot be read or has a key that is not an option of `root`'s commands.
    """
    path = file or default_file()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return Configuration(path)
        raise SetupError(f"The configuration file {path} does not exist.") from None
    except OSError as error:
        raise SetupError(f"Cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} is not valid TOML: {error}.") from error
    aliases = _aliases(path, table.pop(ALIASES, {}))
    return Configuration(path, True, _commands(path, table, root), aliases)


def check_environment(root: TyperGroup, environment: Mapping[str, str] = os.environ) -> None:
    """Raise SetupError for a variable of a command whose option does not exist."""
    for name, command in commands_of(root).items():
        prefix = f"{PREFIX}_{name.upper()}_"
        known = [f"{prefix}{option.name.upper()}" for option in options_of(command)]
        for variable in environment if known else ():
            if variable.startswith(prefix) and variable not in known:
                raise SetupError(f"No option has the variable {_near(variable, known)}")


def check_values(context: typer.Context, command: AnyCommand) -> None:
    """Raise SetupError with the source of a value in the file or the environment that is wrong."""
    for option in options_of(command):
        value, source = option.consume_value(context, {})
        if source.name == "DEFAULT":
            continue
        try:
            option.process_value(context, value)
        except typer.BadParameter as error:
            raise SetupError(f"{source_of(context, option)}: {error.message}") from error


def source_of(context: typer.Context, option: TyperOption) -> str:
    """Where the value of an option comes from, if no command line sets it."""
    _, source = option.consume_value(context, {})
    match source.name:
        case "ENVIRONMENT":
            return next(name for name in variables_of(context, option) if os.environ.get(name))
        case "DEFAULT_MAP":
            return f"{context.obj.file}, {key_of(option)}"
        case _:
            return "default"


def resolved(context: typer.Context, model: str | list[str] | None) -> str | list[str] | None:
    """The models that aliases mean: the callback of parameters that name models."""
    read = context.find_root().obj
    if not isinstance(read, Configuration) or model is None:
        return model
    if isinstance(model, list):
        return [_meant(text, read.aliases) for text in model]
    return _meant(model, read.aliases)


def _meant(text: str, aliases: Mapping[str, str]) -> str:
    """`text` with the model that its alias means. A name for clients before it stays."""
    name, equals, model = text.rpartition("=")
    return f"{name}{equals}{aliases[model]}" if model in aliases else text


def commands_of(root: TyperGroup) -> dict[str, AnyCommand]:
    """The commands that the help shows, by their names."""
    return {
        name: command
        for name, command in root.commands.items()
        if isinstance(command, TyperCommand | TyperGroup) and not command.hidden
    }


def options_of(command: AnyCommand) -> list[TyperOption]:
    """The options that a file and the environment can set."""
    return [
        option
        for option in command.params
        if isinstance(option, TyperOption) and option.allow_from_autoenv
    ]


def variables_of(context: typer.Context, option: TyperOption) -> list[str]:
    """The option's variables. The first that is set counts."""
    own = f"{context.auto_envvar_prefix}_{option.name.upper()}"
    return [option.envvar, own] if isinstance(option.envvar, str) else [own]


def key_of(option: TyperOption) -> str:
    """The option's key in the file."""
    return option.name.replace("_", "-")


def _commands(path: Path, table: dict[str, Any], root: TyperGroup) -> dict[str, Any]:
    """The defaults of all commands. Options with a variable of their own can precede them."""
    commands = commands_of(root)
    shared = {key_of(o) for c in commands.values() for o in options_of(c) if o.envvar}
    common: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name in shared:
            common[name] = value
        elif key not in commands or not isinstance(value, dict):
            known = [*shared, *(f"[{name}]" for name in (*commands, ALIASES))]
            shown = f"[{key}]" if isinstance(value, dict) else key
            raise SetupError(f"{path} has the unknown key {_near(shown, known)}")
    return {
        name: dict(_section(path, name, table.get(name, {}), common, command))
        for name, command in commands.items()
    }


def _section(
    path: Path, name: str, table: dict[str, Any], common: dict[str, Any], command: AnyCommand
) -> Iterator[tuple[str, Any]]:
    options = {key_of(option): option for option in options_of(command)}
    given = {key.replace("_", "-"): value for key, value in table.items()}
    for key in given.keys() - options.keys():
        raise SetupError(f"[{name}] in {path} has the unknown key {_near(key, list(options))}")
    for key, option in options.items():
        value = given.get(key, common.get(key) if option.envvar else None)
        if value is not None:
            yield option.name, _text(f"{path}, [{name}] {key}", value, option)


def _text(where: str, value: Any, option: TyperOption) -> str | list[str]:
    """A value as a user would type it, so that the same rules hold."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in values):
        raise SetupError(f"{where}: a table cannot be the value of an option.")
    if option.multiple:
        return [str(item) for item in values]
    if isinstance(value, list):
        raise SetupError(f"{where}: the option has one value, not a list.")
    return str(value)


def _aliases(path: Path, table: Any) -> dict[str, str]:
    if isinstance(table, dict) and all(isinstance(model, str) for model in table.values()):
        return table
    raise SetupError(f'[{ALIASES}] in {path} has lines of this form: NAME = "MODEL"')


def _near(name: str, known: list[str]) -> str:
    """`name` with the known name that is meant, or all of them."""
    if near := get_close_matches(name, known, 1):
        return f"{name}. Did you mean {near[0]}?"
    return f"{name}. Known: {', '.join(sorted(known))}."
