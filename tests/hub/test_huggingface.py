from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.hf_api import RepoSibling

import minikin
from minikin.errors import DownloadError
from minikin.hub.huggingface import choose
from minikin.hub.source import HubSource

from .conftest import PAYLOAD, FileServer, sha256

REPO = "someone/Tiny-GGUF"
SHA = "0123456789abcdef0123456789abcdef01234567"


def source(choice: str | None = None) -> HubSource:
    return HubSource(owner="someone", repository="Tiny-GGUF", choice=choice)


def chosen(names: list[str], choice: str | None) -> str:
    return choose([RepoSibling(rfilename=name) for name in names], source(choice)).rfilename


@pytest.mark.parametrize(
    ("choice", "file"),
    [
        (None, "Tiny-Q4_K_M.gguf"),
        ("q8_0", "Tiny-Q8_0.gguf"),
        ("Q4_K", "Tiny-Q4_K.gguf"),
        ("UD-Q4_K_XL", "Tiny-UD-Q4_K_XL.gguf"),
        ("BF16", "BF16/Tiny-BF16.gguf"),
        ("BF16/Tiny-BF16.gguf", "BF16/Tiny-BF16.gguf"),
        ("Tiny-BF16.gguf", "BF16/Tiny-BF16.gguf"),
    ],
)
def test_choice(choice: str | None, file: str):
    names = [
        "README.md",
        "Tiny-Q4_K_M.gguf",
        "Tiny-Q4_K.gguf",
        "Tiny-Q8_0.gguf",
        "Tiny-UD-Q4_K_XL.gguf",
        "BF16/Tiny-BF16.gguf",
        "mmproj-BF16.gguf",
    ]
    assert chosen(names, choice) == file


def test_the_only_file_needs_no_choice():
    assert chosen(["a.txt", "Tiny.Q5_0.gguf", "mmproj.gguf"], None) == "Tiny.Q5_0.gguf"


def test_what_is_not_one_model_is_told_with_what_there_is():
    names = ["Tiny-Q5_0.gguf", "Tiny-Q8_0.gguf"]
    for choice in (None, "Q2_K", "Tiny"):
        with pytest.raises(DownloadError, match=r"Tiny-Q5_0.gguf[\s\S]*Tiny-Q8_0.gguf"):
            chosen(names, choice)
    with pytest.raises(DownloadError, match="holds no GGUF file"):
        chosen(["model.safetensors"], None)
    with pytest.raises(DownloadError, match="split into several files"):
        chosen([f"Tiny-Q8_0-0000{i}-of-00002.gguf" for i in (1, 2)], "Q8_0")


Pull = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pull(server: FileServer, tmp_path: Path) -> Pull:
    """Run `minikin pull` against a hub at `server`."""

    def run(spec: str, **more: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "hf"),
            "MINIKIN_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": str(Path(minikin.__file__).parents[1]),
        }
        env.pop("HF_TOKEN", None)
        return subprocess.run(
            [sys.executable, "-m", "minikin", "pull", spec],
            env=env | more,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def publish(server: FileServer, *, gated: str | bool = False) -> None:
    """Put a repository with one model onto the hub."""
    info: dict[str, Any] = {"id": REPO, "modelId": REPO, "sha": SHA, "gated": gated}
    lfs = {"size": len(PAYLOAD), "sha256": sha256(PAYLOAD), "pointerSize": 1}
    file = {"rfilename": "sub/Tiny.Q8_0.gguf", "size": len(PAYLOAD), "blobId": "1", "lfs": lfs}
    info["siblings"] = [{"rfilename": "README.md", "size": 3, "blobId": "2"}, file]
    server.refused["/api/agent-harnesses"] = (404, "")  # the library asks for it now and then
    server.files[f"/api/models/{REPO}"] = json.dumps(info).encode()
    server.files[f"/{REPO}/resolve/{SHA}/sub/Tiny.Q8_0.gguf"] = PAYLOAD


def test_pull(pull: Pull, server: FileServer):
    publish(server)
    run = pull(f"hf:{REPO}", HF_TOKEN="hf_secret")
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == PAYLOAD
    assert Path(run.stdout.strip()).parts[-2:] == ("tiny", "Tiny.Q8_0.gguf")
    assert server.authorizations[-2:] == ["Bearer hf_secret"] * 2
    server.files.clear()  # from here on the hub knows nothing
    assert pull(f"hf:{REPO}").stdout == run.stdout


def test_broken_pull_goes_on(pull: Pull, server: FileServer):
    publish(server)
    info = len(server.files[f"/api/models/{REPO}"])
    server.cut_after = [info, 300_000]
    assert pull(f"hf:{REPO}").returncode == 0
    assert [wanted for _, wanted in server.requests][-2:] == [None, "bytes=300000-"]


def test_changed_bytes_are_refused(pull: Pull, server: FileServer):
    publish(server)
    server.files[f"/{REPO}/resolve/{SHA}/sub/Tiny.Q8_0.gguf"] = PAYLOAD[::-1]
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert "SHA-256" in run.stderr


def test_gated_model(pull: Pull, server: FileServer):
    publish(server, gated="manual")
    server.refused[f"/api/models/{REPO}/auth-check"] = (403, "GatedRepo")
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert f"Agree at {server.url}/{REPO}, make a token" in run.stderr
    assert "HF_TOKEN" in run.stderr
    assert "Traceback" not in run.stderr


def test_gated_model_that_lets_us_in(pull: Pull, server: FileServer):
    publish(server, gated="auto")
    server.files[f"/api/models/{REPO}/auth-check"] = b"{}"
    assert pull(f"hf:{REPO}", HF_TOKEN="hf_secret").returncode == 0


@pytest.mark.parametrize(("status", "code"), [(404, "RepoNotFound"), (401, "RepoNotFound")])
def test_missing_model(pull: Pull, server: FileServer, status: int, code: str):
    server.refused[f"/api/models/{REPO}"] = (status, code)
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert f"has no model {REPO}, or it is private" in run.stderr


def test_hub_out_of_reach(pull: Pull):
    run = pull(f"hf:{REPO}", HF_ENDPOINT="http://127.0.0.1:1")
    assert run.returncode == 1
    assert "can't be reached" in run.stderr
    assert "Traceback" not in run.stderr


def test_hub_that_fails(pull: Pull, server: FileServer):
    server.refused[f"/api/models/{REPO}"] = (500, "")
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert "500" in run.stderr
    assert "Traceback" not in run.stderr
