"""`minikin serve`: options to settings, then the server."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from minikin.cli.access import read_api_keys
from minikin.cli.options import CacheOption, locate_model, settings_of, with_settings
from minikin.cli.output import readable_size
from minikin.config import EngineSettings, ModelSettings, ServerSettings
from minikin.errors import ModelFileError, SetupError
from minikin.hub.known import DEFAULT_MODEL

if TYPE_CHECKING:
    from starlette.routing import Route

ORIGINAL = "gpt-4.1-mini"
"""What clients ask for; the first model answers to it, unless one is called so."""
_NAMED = re.compile(r"([A-Za-z0-9._-]+)=(.+)")


_Models = Annotated[
    list[str],
    typer.Option(
        metavar="[NAME=]MODEL",
        help="A name of `minikin models`, a GGUF file, a folder of safetensors, an address; "
        "repeatable. NAME= says what to call it.",
    ),
]
_Budget = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        metavar="GB",
        help="Memory for all loaded models; one that is unused makes room for another.",
        show_default="what the machine has",
    ),
]
_Keys = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="A key that clients must send one of; repeatable. Without keys anyone may come in. "
        "Other users of this machine can see a command's options: prefer a file.",
    ),
]
_KeyFile = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, metavar="FILE", help="A file with such keys, one a line."
    ),
]
_Hosts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A host name by which clients reach the server, such as box.lan; repeatable. "
        "localhost, --host and plain addresses are allowed without it.",
    ),
]


@with_settings(ServerSettings, EngineSettings)
def serve(
    model: _Models = [DEFAULT_MODEL],  # noqa: B006, typer takes a list
    memory_budget: _Budget = None,
    api_key: _Keys = None,
    api_key_file: _KeyFile = None,
    allowed_host: _Hosts = None,
    cache: CacheOption = None,
    **settings: Any,
) -> None:
    """Serve models at /v1 as OpenAI serves gpt-4.1-mini.

    A model is fetched on first use and found offline from then on. The first answers to
    gpt-4.1-mini too, and is loaded at once; others are loaded when they are first asked for.

    Examples:

    `minikin serve`

    `minikin serve --model ./Qwen3-4B-Q4_K_M.gguf --port 9000`

    `minikin serve --model ./Qwen3-4B-AWQ`

    `minikin serve --model small=smollm2-135m-instruct --model large=./Qwen3-4B-Q4_K_M.gguf`

    `minikin serve --host 0.0.0.0 --api-key-file keys.txt --allowed-host box.lan`
    """
    keys = read_api_keys(api_key or [], api_key_file)
    models = _models(model, cache, settings_of(EngineSettings, settings))
    models, budget = _within(models, memory_budget)
    chosen = ServerSettings(
        models=models,
        memory_budget=budget,
        api_keys=keys,
        allowed_hosts=tuple(allowed_host or ()),
        **settings_of(ServerSettings, settings),
    )
    logging.basicConfig(format="%(message)s")
    logging.getLogger("minikin").setLevel(logging.INFO)
    from minikin.api.server import serve as run_server

    run_server(chosen, lambda: _catalog_routes(chosen))


def _models(
    wanted: list[str], cache: Path | None, engine: dict[str, Any]
) -> tuple[ModelSettings, ...]:
    """The settings of each model, fetched if need be. Raises SetupError."""
    models: list[ModelSettings] = []
    for text in wanted:
        named = _NAMED.fullmatch(text)
        local = locate_model(named[2] if named else text, cache)
        name = named[1] if named else local.id
        if name in [model.id for model in models]:
            raise SetupError(f"Two models are called {name}. Give one another name: NAME={text}.")
        models.append(ModelSettings(id=name, engine=EngineSettings(model=local.path, **engine)))
    if ORIGINAL not in [model.id for model in models]:
        models[0] = replace(models[0], aliases=(ORIGINAL,))
    return tuple(models)


def _within(
    models: tuple[ModelSettings, ...], gigabytes: float | None
) -> tuple[tuple[ModelSettings, ...], int | None]:
    """The models with the memory that they need, and the bytes that all of them may take.

    One model has no budget unless it is given. Raises SetupError if one can't be used, so that it
    shows now and not when it is first asked for, or is larger than was given.
    """
    if len(models) == 1 and gigabytes is None:
        return models, None
    from minikin.cli.facts import machine_memory

    models = tuple(replace(model, memory=_memory(model)) for model in models)
    budget = machine_memory() if gigabytes is None else int(gigabytes * 1e9)
    for model in models:
        if gigabytes is not None and model.memory > budget:
            raise SetupError(
                f"{model.id} needs about {readable_size(model.memory)}, more than --memory-budget "
                "allows."
            )
    return models, budget


def _memory(model: ModelSettings) -> int:
    """The bytes that a model needs. Raises SetupError, which names it, if it can't be used."""
    from minikin.cli.facts import read_facts
    from minikin.model_file.family import FAMILIES

    try:
        facts = read_facts(model.engine.model)
    except ModelFileError as error:
        raise SetupError(f"{model.id}: {error.message}") from error
    if facts.family not in FAMILIES:
        raise SetupError(
            f"{model.id} is of the family {facts.family[:64]!a}; Minikin knows: "
            f"{', '.join(FAMILIES)}."
        )
    return facts.memory


def _catalog_routes(settings: ServerSettings) -> list[Route]:
    from minikin.catalog.routes import catalog_routes
    from minikin.catalog.sources.catalog import load

    return catalog_routes(load, tuple(name for model in settings.models for name in model.names))
