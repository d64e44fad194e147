"""`minikin serve`: turn options into settings, then run the server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from minikin import logs
from minikin.cli.access import read_origins
from minikin.cli.configuration import resolved
from minikin.cli.options import CacheOption, locate_model, settings_of, with_settings
from minikin.cli.output import own_name
from minikin.config import ORIGINAL, SNAPSHOT, EngineSettings, ModelSettings, ServerSettings
from minikin.errors import ModelFileError, SetupError
from minikin.hub.known import DEFAULT_MODEL, KnownModel, better_model, known_file
from minikin.hub.progress import readable_size

if TYPE_CHECKING:
    from minikin.api.app import MoreRoutes

_NAMED = re.compile(r"([A-Za-z0-9._-]+)=(.+)")


Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=]MODEL",
        help="The same as --model.",
        show_default=DEFAULT_MODEL,
        callback=resolved,
    ),
]
MoreModels = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]MODEL",
        help="A name from `minikin models`, a GGUF file, a safetensors folder, or a source as for "
        "`minikin pull`. Repeatable. NAME= sets the name for clients.",
        show_default=False,
        callback=resolved,
    ),
]
_Budget = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        metavar="GB",
        help="Memory for all loaded models. Idle models are unloaded to stay below it.",
        show_default="the memory of the machine",
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="An API key that clients can use. Repeatable. Without keys: no authentication. Other "
        "users of this machine can see the options of a command, so prefer a file.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="A file with API keys, one per line, with limits (see `minikin key new`). The server "
        "follows its changes.",
    ),
]
AdminKeys = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="A key of the operator. Repeatable. With one, /metrics and the dashboard need it.",
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A host name that clients use for the server, such as box.lan. Repeatable. "
        "localhost, --host and IP addresses are always allowed.",
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="An origin whose web pages can use the server, such as http://localhost:5173. "
        "Repeatable. * allows every web page.",
    ),
]


@with_settings(ServerSettings, ModelSettings, EngineSettings)
def serve(
    context: typer.Context,
    models: Models = None,
    model: MoreModels = None,
    memory_budget: _Budget = None,
    api_key: Keys = None,
    api_key_file: KeyFile = None,
    admin_key: AdminKeys = None,
    allowed_host: Hosts = None,
    allowed_origin: Origins = None,
    cache: CacheOption = None,
    **settings: Any,
) -> None:
    """Serve models at /v1 as OpenAI serves gpt-4.1-mini.

    A model is downloaded on first use and needs no network after that. The first model also answers
    to gpt-4.1-mini and loads at start. Other models load on their first request.

    Examples:

    `minikin serve`

    `minikin serve qwen3-4b`

    `minikin serve ./Qwen3-4B-Q4_K_M.gguf --port 9000`

    `minikin serve ./Qwen3-4B-AWQ`

    `minikin serve --model small=smollm2-135m-instruct --model large=./Qwen3-4B-Q4_K_M.gguf`

    `minikin serve --host 0.0.0.0 --api-key-file keys.txt --allowed-host box.lan`

    `minikin serve --allowed-origin http://localhost:5173`
    """
    # Before the models, whose download can take long.
    allowed = access(api_key, api_key_file, admin_key, allowed_host, allowed_origin)
    served = served_models(context, models, model, cache, settings)
    served, budget = _within(served, memory_budget)
    chosen = ServerSettings(
        models=served,
        memory_budget=budget,
        **allowed,
        **settings_of(ServerSettings, settings),
    )
    logs.set_up(chosen.log_level, as_json=chosen.log_format == "json")
    from minikin.api.server import serve as run_server

    run_server(chosen, lambda: catalog_routes(chosen))


def served_models(
    context: typer.Context,
    models: list[str] | None,
    model: list[str] | None,
    cache: Path | None,
    settings: dict[str, Any],
) -> tuple[ModelSettings, ...]:
    """The models that a command names, as arguments and as options. Raises SetupError."""
    source = context.get_parameter_source("model")
    if models and source and source.name != "COMMANDLINE":
        model = None  # the command line has priority
    wanted = [*(models or ()), *(model or ())] or [DEFAULT_MODEL]
    return _models(wanted, context.find_root().obj.aliases, cache, settings)


def access(
    keys: list[str] | None,
    file: Path | None,
    admin: list[str] | None,
    hosts: list[str] | None,
    origins: list[str] | None,
) -> dict[str, Any]:
    """The settings of who can use the server. Raises SetupError."""
    check_keys(keys or (), admin or (), file)
    return {
        "api_keys": tuple(keys or ()),
        "api_key_file": file,
        "admin_keys": tuple(admin or ()),
        "allowed_hosts": tuple(hosts or ()),
        "allowed_origins": read_origins(origins or []),
    }


def check_keys(given: Iterable[str], admin: Iterable[str], file: Path | None) -> None:
    """Raise SetupError for keys that no client can send, and for a file that is not valid."""
    from minikin.api.access.key import read_file, read_keys

    for keys in (given, admin):
        read_keys(keys)
    if file:
        read_file(file)


def _models(
    wanted: list[str], aliases: Mapping[str, str], cache: Path | None, settings: dict[str, Any]
) -> tuple[ModelSettings, ...]:
    """The settings of each model. Downloads missing models. Raises SetupError.

    The same model under several names is one model, with aliases.
    """
    models: dict[Path, ModelSettings] = {}
    for text in wanted:
        named = _NAMED.fullmatch(text)
        source = named[2] if named else text
        local = locate_model(source, cache)
        names = [named[1] if named else local.id, *(a for a, m in aliases.items() if m == source)]
        place = local.path.resolve()
        if place not in models:
            known = local.known or known_file(local.path)
            models[place] = _model(names[0], local.path, known, settings)
        model = models[place]
        more = tuple(name for name in dict.fromkeys(names) if name not in model.names)
        models[place] = replace(model, aliases=(*model.aliases, *more))
    return _with_original(list(models.values()))


def _with_original(models: list[ModelSettings]) -> tuple[ModelSettings, ...]:
    """The same models. The one named gpt-4.1-mini, or else the first, gets OpenAI's names.

    Raises SetupError if two models have the same name.
    """
    names = [name for model in models for name in model.names]
    for name in names:
        if names.count(name) > 1:
            raise SetupError(f"Two models have the name {name}. Set another one: NAME=MODEL.")
    place = next((at for at, model in enumerate(models) if ORIGINAL in model.names), 0)
    more = tuple(name for name in (ORIGINAL, SNAPSHOT) if name not in names)
    models[place] = replace(models[place], aliases=(*models[place].aliases, *more))
    return tuple(models)


def _model(
    name: str, path: Path, known: KnownModel | None, settings: dict[str, Any]
) -> ModelSettings:
    return ModelSettings(
        id=name,
        engine=EngineSettings(model=path, **settings_of(EngineSettings, settings)),
        known_sampling=known.sampling if known else {},
        note=_advice() if known and known.name == DEFAULT_MODEL else "",
        **settings_of(ModelSettings, settings),
    )


def _advice() -> str:
    """What the default model is good for, and the command for a better one on this machine."""
    from minikin import machine

    advice = "The default model is small: good for trying things out, but it makes mistakes."
    if (better := better_model(machine.memory(), machine.processors())) is None:
        return advice
    return (
        f"{advice}\nA better one for this machine, a download of {readable_size(better.size)}:\n\n"
        f"  {own_name()} serve {better.name}"
    )


def _within(
    models: tuple[ModelSettings, ...], gigabytes: float | None
) -> tuple[tuple[ModelSettings, ...], int | None]:
    """The models with the memory that they need, and the memory budget in bytes.

    A single model has no budget unless the user sets one. Raises SetupError if a model cannot be
    used or is larger than the budget, so that the error appears now and not on the first request.
    """
    if len(models) == 1 and gigabytes is None:
        return models, None
    from minikin import machine

    models = tuple(replace(model, memory=_memory(model)) for model in models)
    budget = machine.memory() if gigabytes is None else int(gigabytes * 1e9)
    for model in models:
        if gigabytes is not None and model.memory > budget:
            raise SetupError(
                f"{model.id} needs about {readable_size(model.memory)}. This is more than "
                "--memory-budget."
            )
    return models, budget


def _memory(model: ModelSettings) -> int:
    """The bytes that a model needs. Raises SetupError with its name if it cannot be used."""
    from minikin.cli.facts import read_facts
    from minikin.model_file.family import FAMILIES

    try:
        facts = read_facts(model.engine.model)
    except ModelFileError as error:
        raise SetupError(f"{model.id}: {error.message}") from error
    if facts.family not in FAMILIES:
        raise SetupError(
            f"{model.id} has the unsupported architecture {facts.family[:64]!a}. Supported: "
            f"{', '.join(FAMILIES)}."
        )
    return facts.memory


def catalog_routes(settings: ServerSettings) -> MoreRoutes:
    """The catalog, as part of the server."""
    from minikin.api.app import MoreRoutes
    from minikin.api.page.frame import head, header
    from minikin.api.serving.window import stated_context_length
    from minikin.catalog import openapi, routes
    from minikin.catalog.openrouter import Served
    from minikin.catalog.pages.page import Frame
    from minikin.catalog.sources.catalog import load, state

    served = [
        Served(tuple(model.names), partial(stated_context_length, model.engine))
        for model in settings.models
    ]

    def frame(home: str) -> Frame:
        return Frame(head(home), header("catalog", home))

    return MoreRoutes(routes.catalog_routes(load, served, frame, state), openapi.paths())
