"""A model from the Hugging Face hub.

`huggingface_hub` knows the hub's address (HF_ENDPOINT), the user's token (HF_TOKEN or `hf auth
login`) and what the answers mean. The bytes come by transfer.py, since that library's own download
starts anew after a broken one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from minikin.errors import DownloadError
from minikin.hub.cache import check_space
from minikin.hub.progress import Progress
from minikin.hub.source import HubSource, safe_filename
from minikin.hub.transfer import download

_USUAL = "Q4_K_M"
"""The quantization to take where the user names none: a common compromise of size and quality."""
_SHARD = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")


def fetch_from_hub(source: HubSource, work: Path, progress: Progress) -> Path:
    """Fetch the chosen GGUF file, or all parts of a split one, into `work/model`.

    Returns the first. Raises DownloadError, OSError.
    """
    info = _look_up(source)
    files = choose(info.siblings or [], source)
    check_space(work, sum(file.size or 0 for file in files) - _bytes_in(work))
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    paths: list[Path] = []
    for file in files:
        name = safe_filename(file.rfilename.rpartition("/")[2])
        path, size = work / "model" / name, file.size
        if not path.exists() or path.stat().st_size != size:
            url = hf_hub_url(source.id, file.rfilename, revision=info.sha)
            digest = file.lfs.sha256 if file.lfs else None
            path = download(url, work, name, sha256=digest, progress=progress, headers=headers)
        paths.append(path)
    return paths[0]


def choose(files: Iterable[RepoSibling], source: HubSource) -> list[RepoSibling]:
    """The GGUF file that `source` means among `files`, or the parts of one that is split, in order.

    Raises DownloadError, with what there is to choose from, if that is not exactly one model.
    """
    ggufs = [f for f in files if f.rfilename.endswith(".gguf") and "mmproj" not in f.rfilename]
    models = [
        list(parts)
        for _, parts in groupby(
            sorted(ggufs, key=lambda f: f.rfilename), key=lambda f: _SHARD.sub("", f.rfilename)
        )
    ]
    wanted = [parts for parts in models if _is_chosen(parts[0].rfilename, source.choice)]
    if source.choice is None and len(wanted) > 1:
        wanted = [parts for parts in models if _is_chosen(parts[0].rfilename, _USUAL)]
    if len(wanted) != 1:
        raise _choice_error(models, source)
    shard = _SHARD.search(wanted[0][0].rfilename)
    if shard and len(wanted[0]) != int(shard[1]):
        raise DownloadError(f"{source.spec} lacks some of its {int(shard[1])} parts.")
    return wanted[0]


def _is_chosen(path: str, choice: str | None) -> bool:
    """Whether `choice` is the file `path`, its last part, or the quantization in its name."""
    if choice is None:
        return True
    if choice.endswith(".gguf"):
        return choice in (path, path.rpartition("/")[2])
    return bool(re.search(rf"(^|[-._/]){re.escape(choice)}([-./]|$)", path, re.IGNORECASE))


def _choice_error(models: list[list[RepoSibling]], source: HubSource) -> DownloadError:
    if not models:
        return DownloadError(
            f"The repository {source.id} holds no GGUF file, which Minikin needs. Look for one of "
            "the same model with GGUF in its name."
        )
    lines = [
        f"  {parts[0].rfilename}  {sum(part.size or 0 for part in parts) / 1e6:,.0f} MB"
        for parts in models
    ]
    return DownloadError(
        f"{source.spec} is not one model. Add a file or a quantization, such as "
        f"hf:{source.id}:{_USUAL}. There are:\n" + "\n".join(lines)
    )


def _look_up(source: HubSource) -> ModelInfo:
    """What the hub says of the repository; raises DownloadError if it may not be downloaded."""
    hub = constants.ENDPOINT
    try:
        api = HfApi()
        info = api.model_info(source.id, files_metadata=True, timeout=30)
        if info.gated:
            api.auth_check(source.id)
        return info
    except GatedRepoError as error:
        raise DownloadError(
            f"{source.id} is gated: its owner lets in only who has agreed to its terms. Agree at "
            f"{hub}/{source.id}, make a token at {hub}/settings/tokens, and run this again with "
            "HF_TOKEN=... before it (or once after `hf auth login`)."
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{hub} has no model {source.id}, or it is private. Check the name; for a private one, "
            "set HF_TOKEN or run `hf auth login`."
        ) from error
    except OfflineModeIsEnabled as error:
        raise DownloadError("HF_HUB_OFFLINE forbids to ask the hub. Unset it.") from error
    except HfHubHTTPError as error:
        raise DownloadError(f"{hub} answered: {error}") from error
    except httpx2.HTTPError as error:
        raise DownloadError(f"{hub} can't be reached: {error}. Check the network.") from error


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
