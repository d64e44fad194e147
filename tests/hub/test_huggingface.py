from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub.hf_api import RepoSibling

import minikin
from minikin.errors import DownloadError
from minikin.hub.huggingface import choose
from minikin.hub.source import HubSource

from .conftest import PAYLOAD, REPO, SHA, FileServer, publish


def source(choice: str | None = None) -> HubSource:
    return HubSource(owner="someone", repository="Tiny-GGUF", choice=choice)


def chosen(names: list[str], choice: str | None) -> str | list[str]:
    files = choose([RepoSibling(rfilename=name) for name in names], source(choice))
    found = [file.rfilename for file in files]
    return found[0] if len(found) == 1 else found


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


def test_an_ambiguous_choice_is_an_error_with_the_choices():
    names = ["Tiny-Q5_0.gguf", "Tiny-Q8_0.gguf"]
    for choice in (None, "Q2_K", "Tiny"):
        with pytest.raises(DownloadError, match=r"Tiny-Q5_0.gguf[\s\S]*Tiny-Q8_0.gguf"):
            chosen(names, choice)
    with pytest.raises(DownloadError, match="contains no GGUF file"):
        chosen(["model.safetensors"], None)


PARTS = [f"Q8_0/Tiny-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]


@pytest.mark.parametrize("choice", [None, "Q8_0", PARTS[1], "Tiny-Q8_0.gguf"])
def test_the_parts_of_a_split_model_are_one(choice: str | None):
    other = [] if choice is None else ["Tiny-Q4_K_M.gguf"]
    assert chosen([PARTS[2], *other, *PARTS[:2]], choice) == PARTS
    with pytest.raises(DownloadError, match="has only 2 of the 3 parts"):
        chosen(PARTS[:2], choice)


def test_without_gguf_the_folder_is_the_model():
    names = [
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ]
    others = ["README.md", "onnx/model.onnx", "original/model.safetensors", "pytorch_model.bin"]
    others += ["consolidated.safetensors", "model.fp32.gz"]  # the same weights in another form
    assert chosen(names + others, None) == names
    assert "model.safetensors" not in chosen([*names, "Tiny.gguf"], None)
    own = ["config.json", "gptq_model-4bit-128g.safetensors"]
    assert chosen(own, None) == own
    assert chosen(["config.json", "a.safetensors", "model.safetensors"], None) == [
        "config.json", "model.safetensors",
    ]  # fmt: skip
    with pytest.raises(DownloadError, match="it has no Q4_K_M"):
        chosen(names, "Q4_K_M")
    with pytest.raises(DownloadError, match="contains no GGUF file and no safetensors"):
        chosen(["config.json", "pytorch_model.bin"], None)
    with pytest.raises(DownloadError, match="contains no GGUF file and no safetensors"):
        chosen(["config.json", "a.safetensors", "b.safetensors"], None)


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
            timeout=300,
        )

    return run


def test_pull(pull: Pull, server: FileServer):
    publish(server)
    run = pull(f"hf:{REPO}", HF_TOKEN="hf_secret")
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).read_bytes() == PAYLOAD
    assert Path(run.stdout.strip()).parts[-2:] == ("tiny", "Tiny.Q8_0.gguf")
    assert server.authorizations[-2:] == ["Bearer hf_secret"] * 2
    server.files.clear()  # from here on the hub knows nothing
    assert pull(f"hf:{REPO}").stdout == run.stdout


def test_a_broken_pull_resumes(pull: Pull, server: FileServer):
    publish(server)
    info = len(server.files[f"/api/models/{REPO}"])
    server.cut_after = [info, 300_000]
    assert pull(f"hf:{REPO}").returncode == 0
    assert [wanted for _, wanted in server.requests][-2:] == [None, "bytes=300000-"]


def downloads(server: FileServer) -> list[tuple[str, str | None]]:
    found = [(path.rpartition("/")[2], wanted) for path, wanted in server.requests]
    return [pair for pair in found if pair[0].endswith(("gguf", "safetensors", "config.json"))]


def test_parts_that_are_whole_are_not_fetched_again(pull: Pull, server: FileServer):
    files = {name: bytes([i]) * 300_000 for i, name in enumerate(PARTS)}
    publish(server, files)
    missing = f"/{REPO}/resolve/{SHA}/{PARTS[1]}"
    data = server.files.pop(missing)
    assert pull(f"hf:{REPO}:Q8_0").returncode == 1
    server.files[missing] = data
    server.requests.clear()
    run = pull(f"hf:{REPO}:Q8_0")
    assert run.returncode == 0, run.stderr
    first, second, third = (name.rpartition("/")[2] for name in PARTS)
    assert downloads(server) == [(second, None), (third, None)]
    path = Path(run.stdout.strip())
    assert path.name == first
    assert sorted(other.name for other in path.parent.iterdir()) == [
        first, second, third, "model.json",
    ]  # fmt: skip
    assert pull(f"hf:{REPO}:Q8_0").stdout == run.stdout


CONFIG = {
    "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 2,
    "intermediate_size": 64, "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "vocab_size": 64,
}  # fmt: skip


def test_a_folder_of_safetensors(pull: Pull, server: FileServer):
    config = json.dumps(CONFIG).encode()
    publish(server, {"config.json": config, "model.safetensors": PAYLOAD, "tokenizer.json": b"{}"})
    run = pull(f"hf:{REPO}")
    assert run.returncode == 0, run.stderr
    folder = Path(run.stdout.strip())
    assert folder.name == "tiny"
    assert (folder / "model.safetensors").read_bytes() == PAYLOAD
    assert (folder / "config.json").read_bytes() == config


def test_an_unknown_family_is_rejected_before_its_download(pull: Pull, server: FileServer):
    config = json.dumps(CONFIG | {"model_type": "mamba"}).encode()
    publish(server, {"model.safetensors": PAYLOAD, "config.json": config, "tokenizer.json": b"{}"})
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert "the unsupported model_type 'mamba'. Supported: llama," in " ".join(run.stderr.split())
    assert downloads(server) == [("config.json", None)]


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
    assert f"Accept them at {server.url}/{REPO}, create a token" in run.stderr
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
    assert f"has no model {REPO}, or the model is private" in run.stderr


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "token is not valid"), (403, "token cannot read this repository")]
)
def test_an_invalid_token(pull: Pull, server: FileServer, status: int, advice: str):
    server.refused[f"/api/models/{REPO}"] = (status, "Unknown")
    run = pull(f"hf:{REPO}", HF_TOKEN="hf_wrong")
    assert run.returncode == 1
    assert advice in run.stderr
    assert "hf_wrong" not in run.stderr


def test_hub_out_of_reach(pull: Pull):
    run = pull(f"hf:{REPO}", HF_ENDPOINT="http://127.0.0.1:1")
    assert run.returncode == 1
    assert "Cannot reach" in run.stderr
    assert "Traceback" not in run.stderr


def test_hub_that_fails(pull: Pull, server: FileServer):
    server.refused[f"/api/models/{REPO}"] = (500, "")
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert "500" in run.stderr
    assert "Traceback" not in run.stderr
