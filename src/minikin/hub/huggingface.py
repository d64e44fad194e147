"""A model from the Hugging Face hub.

`huggingface_hub` knows the hub's address (HF_ENDPOINT), the user's token (HF_TOKEN or `hf auth
login`) and what the answers mean. The bytes come by transfer.py, since that library's own download
starts anew after a broken one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
from minikin.hub.progress import Progress
from minikin.hub.source import HubSource, safe_filename
from minikin.hub.transfer import download

_USUAL = "Q4_K_M"
"""The quantization to take where the user names none: a common compromise of size and quality."""
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def fetch_from_hub(source: HubSource, work: Path, progress: Progress) -> Path:
    """Fetch the chosen GGUF file into `work/model`; returns it. Raises DownloadError, OSError."""
    info = _look_up(source)
    file = choose(info.siblings or [], source)
    token = get_token()
    return download(
        hf_hub_url(source.id, file.rfilename, revision=info.sha),
        work,
        safe_filename(file.rfilename.rpartition("/")[2]),
        sha256=file.lfs.sha256 if file.lfs else None,
        progress=progress,
        headers={"Authorization": f"Bearer {token}"} if token else None,
    )


def choose(files: Iterable[RepoSibling], source: HubSource) -> RepoSibling:
    """The GGUF file that `source` means among `files`.

    Raises DownloadError, with what there is to choose from, if that is not exactly one.
    """
    models = [f for f in files if f.rfilename.endswith(".gguf") and "mmproj" not in f.rfilename]
    wanted = [file for file in models if _is_chosen(file.rfilename, source.choice)]
    if source.choice is None and len(wanted) > 1:
        wanted = [file for file in models if _is_chosen(file.rfilename, _USUAL)]
    if wanted and all(_SPLIT.search(file.rfilename) for file in wanted):
        raise DownloadError(
            f"{source.spec} is split into several files, and Minikin reads models of one file. "
            "Choose a smaller quantization."
        )
    if len(wanted) != 1:
        raise _choice_error(models, source)
    return wanted[0]


def _is_chosen(path: str, choice: str | None) -> bool:
    """Whether `choice` is the file `path`, its last part, or the quantization in its name."""
    if choice is None:
        return True
    if choice.endswith(".gguf"):
        return choice in (path, path.rpartition("/")[2])
    return bool(re.search(rf"(^|[-._/]){re.escape(choice)}([-./]|$)", path, re.IGNORECASE))


def _choice_error(models: list[RepoSibling], source: HubSource) -> DownloadError:
    if not models:
        return DownloadError(
            f"The repository {source.id} holds no GGUF file, which Minikin needs. Look for one of "
            "the same model with GGUF in its name."
        )
    lines = [f"  {file.rfilename}  {(file.size or 0) / 1e6:,.0f} MB" for file in models]
    return DownloadError(
        f"{source.spec} is not one model. Add a quantization or a file, as in "
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
        status = error.response.status_code
        raise DownloadError(f"{hub} answered {status} for {source.id}. Try again later.") from error
    except httpx2.HTTPError as error:
        raise DownloadError(f"{hub} can't be reached: {error}. Check the network.") from error
