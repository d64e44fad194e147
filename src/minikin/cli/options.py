"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from minikin.cli.output import download_bar
from minikin.config import EngineSettings, ServerSettings

if TYPE_CHECKING:
    from minikin.hub.cache import ModelCache
    from minikin.hub.fetch import LocalModel

ENGINE_DEFAULTS: dict[str, Any] = {
    f.name: f.default for f in msgspec.structs.fields(EngineSettings)
}
SERVER_DEFAULTS: dict[str, Any] = {
    f.name: f.default for f in msgspec.structs.fields(ServerSettings)
}

CacheOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for fetched models; else MINIKIN_CACHE, else minikin in the user's cache.",
        file_okay=False,
        show_default=False,
    ),
]


def model_cache(folder: Path | None) -> ModelCache:
    """The cache that --cache, MINIKIN_CACHE or the system's habits point at."""
    from minikin.config import cache_folder
    from minikin.hub.cache import ModelCache

    return ModelCache(folder or cache_folder())


def locate_model(model: str, folder: Path | None) -> LocalModel:
    """The model that a user names, fetched under a progress bar if it isn't here."""
    from minikin.hub.fetch import locate

    with download_bar() as bar:
        return locate(model, model_cache(folder), bar)
