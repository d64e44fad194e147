"""A model from the Hugging Face hub.

`huggingface_hub` knows the hub's address (HF_ENDPOINT), the user's token (HF_TOKEN or `hf auth
login`) and the meaning of the answers. transfer.py downloads the files, because the library's own
download does not resume after a failure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from minikin.errors import DownloadError
from minikin.hub.cache import check_space
from minikin.hub.progress import Progress
from minikin.hub.source import (
    HubSource,
    is_model,
    part_count,
    safe_filename,
    variants,
    without_part,
)
from minikin.hub.transfer import download

_USUAL = ("Q4_K_M", "Q4_K_XL", "MXFP4", "Q4_K_S", "IQ4_XS", "Q4_0")
"""The default quantizations, best first: common compromises of size and quality."""
_TOKENIZERS, _TEKKEN = {"tokenizer.json", "tokenizer.model"}, "tekken.json"
_ADVICE = {
    401: "Your token is not valid. Set another one in HF_TOKEN, or run `hf auth login`.",
    403: "Your token cannot read this repository. Give it access, or set another one in HF_TOKEN.",
}
_CONFIG = "config.json"
_FOLDER = re.compile(
    r"config\.json|generation_config\.json|tokenizer[a-z_]*\.(json|model)|special_tokens_map\.json"
    r"|chat_template\.(jinja|json)|model.*\.safetensors(\.index\.json)?"
)
"""The files at the top of a repository that belong to a model folder."""
_TOP_WEIGHTS = re.compile(r"[^/]+\.safetensors")
"""Weights with another name. They belong to the model if there is only one such file."""


def fetch_from_hub(
    source: HubSource, work: Path, progress: Progress, accept: Callable[[Path], None]
) -> str:
    """Download the chosen files into `work/model`. Returns what to load: a file name, or ".".

    Complete files survive a failure. `accept` is called with the folder after its config.json is
    there and before the rest is downloaded. It can raise. Raises DownloadError, OSError.
    """
    info = _look_up(source)
    files = choose(info.siblings or [], source)
    whole = {file.rfilename: work / f"{file.lfs.sha256}.whole" for file in files if file.lfs}
    missing = [f for f in files if f.rfilename not in whole or not whole[f.rfilename].exists()]
    check_space(work, sum(file.size or 0 for file in missing))
    for file in sorted(missing, key=lambda file: file.rfilename != _CONFIG):
        path = _download(source, file, info.sha, work, progress)
        if file.rfilename == _CONFIG:
            accept(path.parent)
        if file.rfilename in whole:
            path.replace(whole[file.rfilename])
    for name, path in whole.items():
        path.replace(work / "model" / _local_name(name))
    names = sorted(_local_name(file.rfilename) for file in files)
    return names[0] if names[0].endswith(".gguf") else "."


def choose(files: Iterable[RepoSibling], source: HubSource) -> list[RepoSibling]:
    """The files in `files` that `source` selects: a GGUF file, its parts or a folder.

    Raises DownloadError with the possible choices if these are not exactly one model.
    """
    files = list(files)
    models: dict[str, list[RepoSibling]] = {}
    for file in files:
        if file.rfilename.endswith(".gguf") and is_model(file.rfilename):
            models.setdefault(without_part(file.rfilename), []).append(file)
    if not models:
        return _folder(files, source)
    if "mtp" not in variants(source.choice or ""):  # a part of a model, beside whole ones
        models = {n: parts for n, parts in models.items() if "mtp" not in variants(n)} or models
    choices = (source.choice,) if source.choice else (*_USUAL, None)
    wanted = next(filter(None, (_wanted(models, choice) for choice in choices)), [])
    if len(wanted) != 1:
        raise _choice_error(models, source)
    parts = sorted(wanted[0], key=lambda file: file.rfilename)
    if (count := part_count(parts[0].rfilename)) != len(parts):
        raise DownloadError(
            f"{source.id} has only {len(parts)} of the {count} parts of this model."
        )
    return parts


def _wanted(models: dict[str, list[RepoSibling]], choice: str | None) -> list[list[RepoSibling]]:
    """The models that `choice` selects. Those with fewer marks that it lacks are preferred."""
    found: dict[int, list[list[RepoSibling]]] = {}
    for name, parts in models.items():
        if any(_is_chosen(path, choice) for path in (name, *(file.rfilename for file in parts))):
            marks = variants(name) - variants(choice or "")
            found.setdefault(len(marks), []).append(parts)
    return found[min(found)] if found else []


def _folder(files: list[RepoSibling], source: HubSource) -> list[RepoSibling]:
    found = [file for file in files if _FOLDER.fullmatch(file.rfilename)]
    if not any(file.rfilename.endswith(".safetensors") for file in found):
        others = [file for file in files if _TOP_WEIGHTS.fullmatch(file.rfilename)]
        found += others if len(others) == 1 else []
    names = {file.rfilename for file in found}
    weights = any(name.endswith(".safetensors") for name in names)
    if _CONFIG not in names or not weights or source.choice:
        raise DownloadError(
            f"The repository {source.id} contains no GGUF file"
            + (f", so it has no {source.choice}." if source.choice else " and no safetensors.")
            + " Look for a repository of the same model with GGUF in its name."
        )
    if not names & _TOKENIZERS:
        raise DownloadError(
            f"The repository {source.id} has no tokenizer.json and no tokenizer.model"
            + (
                ", only tekken.json, which is not supported."
                if any(file.rfilename == _TEKKEN for file in files)
                else "."
            )
            + " Look for a repository of the same model with GGUF in its name."
        )
    return found


def _local_name(path: str) -> str:
    return safe_filename(path.rpartition("/")[2])


def _download(
    source: HubSource, file: RepoSibling, revision: str | None, work: Path, progress: Progress
) -> Path:
    token = get_token()
    return download(
        hf_hub_url(source.id, file.rfilename, revision=revision),
        work,
        _local_name(file.rfilename),
        sha256=file.lfs.sha256 if file.lfs else None,
        progress=progress,
        headers={"Authorization": f"Bearer {token}"} if token else None,
    )


def _is_chosen(path: str, choice: str | None) -> bool:
    """Whether `choice` is the file `path`, its last part, or the quantization in its name."""
    if choice is None:
        return True
    if choice.endswith(".gguf"):
        return choice in (path, path.rpartition("/")[2])
    return bool(re.search(rf"(^|[-._/]){re.escape(choice)}([-./]|$)", path, re.IGNORECASE))


def _choice_error(models: dict[str, list[RepoSibling]], source: HubSource) -> DownloadError:
    lines = [
        f"  {name}  {sum(file.size or 0 for file in parts) / 1e6:,.0f} MB"
        for name, parts in models.items()
    ]
    return DownloadError(
        f"{source.spec} does not select exactly one model. Add a quantization or a file name, for "
        f"example hf:{source.id}:{_USUAL[0]}. The choices are:\n" + "\n".join(lines)
    )


def _look_up(source: HubSource) -> ModelInfo:
    """The hub's data about the repository. Raises DownloadError if a download is not allowed."""
    hub = constants.ENDPOINT
    try:
        api = HfApi()
        info = api.model_info(source.id, revision=source.revision, files_metadata=True, timeout=30)
        if info.gated:
            api.auth_check(source.id)
        return info
    except GatedRepoError as error:
        raise DownloadError(
            f"{source.id} is gated: you must accept its terms before you can download it. Accept "
            f"them at {hub}/{source.id}, create a token at {hub}/settings/tokens, and run this "
            "command again with HF_TOKEN set (or after `hf auth login`)."
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{hub} has no model {source.id}, or the model is private. Check the name. For a "
            "private model, set HF_TOKEN or run `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadError(
            f"{source.id} has no branch, tag or commit {source.revision}. The branches are at "
            f"{hub}/{source.id}/tree/main."
        ) from error
    except OfflineModeIsEnabled as error:
        raise DownloadError("HF_HUB_OFFLINE is set; unset it to download.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = _ADVICE.get(status, "Try again later.")
        raise DownloadError(f"{hub} returned status {status} for {source.id}. {advice}") from error
    except httpx2.HTTPError as error:
        raise DownloadError(f"Cannot reach {hub}: {error}. Check the network.") from error
