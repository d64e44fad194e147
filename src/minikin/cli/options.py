"""Options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import msgspec
import typer

from minikin.cli.output import download_bar
from minikin.config import ServerSettings
from minikin.logs import Level

if TYPE_CHECKING:
    from minikin.hub.cache import ModelCache
    from minikin.hub.fetch import LocalModel

SERVER_DEFAULTS = {f.name: f.default for f in msgspec.structs.fields(ServerSettings)}

Command = TypeVar("Command", bound=Callable[..., None])
_METAVARS: dict[Any, str] = {
    int: "N",
    int | None: "N",
    float: "SECONDS",
    float | None: "SECONDS",
    Path | None: "FILE",
    Level: "LEVEL",
}

CacheOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder for models. Default: MINIKIN_CACHE, else minikin in the user's cache folder.",
        envvar="MINIKIN_CACHE",
        file_okay=False,
        show_default=False,
    ),
]

UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The address of a running server, ending in /v1.",
        envvar="MINIKIN_BASE_URL",
        show_default=False,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The API key for that server.",
        envvar="MINIKIN_API_KEY",
        show_default=False,
    ),
]


def with_settings(*kinds: type[msgspec.Struct]) -> Callable[[Command], Command]:
    """Replace `**settings` of a command by an option for each setting with a description.

    The option has the type, bounds and default of the setting. `settings_of` extracts the values.
    """
    options = [option for kind in kinds for option in _options(kind)]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in own] + options
        shown: Any = command
        shown.__signature__ = signature.replace(parameters=parameters)
        shown.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def settings_of(kind: type[msgspec.Struct], given: dict[str, Any]) -> dict[str, Any]:
    """The options in `given` that are settings of `kind`."""
    return {name: given[name] for name in kind.__struct_fields__ if name in given}


def _options(kind: type[msgspec.Struct]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        metadata = getattr(hints[field.name], "__metadata__", ())
        if not metadata:
            continue
        (meta,) = metadata
        bare, extra = hints[field.name].__origin__, meta.extra or {}
        name = field.name.replace("_", "-")
        switch = f"--{name}/--no-{name}" if field.default else f"--{name}"
        option = typer.Option(
            *((switch,) if bare is bool else ()),
            help=meta.description,
            min=extra.get("min", meta.ge),
            max=meta.le,
            metavar=extra.get("metavar", _METAVARS.get(bare)),
            show_default=extra.get("unset", True),
            file_okay=not extra.get("folder"),
            dir_okay=bool(extra.get("folder")),
            hidden=extra.get("hidden", False),
        )
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[bare, option],
        )


def model_cache(folder: Path | None) -> ModelCache:
    """The model cache: `folder` (--cache), MINIKIN_CACHE, or the system's default."""
    from minikin.config import cache_folder
    from minikin.hub.cache import ModelCache

    return ModelCache(folder or cache_folder())


def locate_model(model: str, folder: Path | None) -> LocalModel:
    """The model that a user names. If necessary, it is downloaded with a progress bar."""
    from minikin.hub.fetch import locate

    with download_bar() as bar:
        return locate(model, model_cache(folder), bar, _check_config)


def _check_config(config: Path) -> None:
    # Only for a download: the import takes a tenth of the time until a small model is ready.
    from minikin.model_file.folder.folder import check_config

    check_config(config)
