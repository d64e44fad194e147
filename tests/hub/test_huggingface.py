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


@pytest.mark.parametrize(
    "other",
    ["Tiny-imatrix.gguf", "imatrix_unsloth.gguf", "mmproj-F16.gguf", "Tiny-mmproj-BF16.gguf",
     "mtp-Tiny-Q4_K_M.gguf", "MTP/Tiny-BF16.gguf"],
)  # fmt: skip
def test_a_file_that_belongs_to_the_model_is_not_another_model(other: str):
    assert chosen(["Tiny-Q8_0.gguf", other], None) == "Tiny-Q8_0.gguf"
    assert chosen(["Tiny-Q8_0.gguf", "Tiny-Q4_0.gguf", other], None) == "Tiny-Q4_0.gguf"


@pytest.mark.parametrize(
    ("choice", "file"),
    [
        ("Q4_K_M", "Tiny-Q4_K_M.gguf"),
        ("UD-Q4_K_M", "Tiny-UD-Q4_K_M.gguf"),
        ("Q4_K_XL", "Tiny-UD-Q4_K_XL.gguf"),
        ("MTP-Q4_K_M", "Tiny-MTP-Q4_K_M.gguf"),
        ("imatrix-IQ2_S", "Tiny-imatrix-IQ2_S.gguf"),
        (None, "Tiny-Q4_K_M.gguf"),
    ],
)
def test_a_variant_is_chosen_by_its_mark(choice: str | None, file: str):
    marks = ["UD-Q4_K_M", "UD-Q4_K_XL", "MTP-Q4_K_M", "Q4_K_M", "imatrix-IQ2_S"]
    assert chosen([f"Tiny-{mark}.gguf" for mark in marks], choice) == file


def test_the_usual_quantization_of_a_repository_without_the_most_usual_one():
    names = ["Tiny-UD-IQ1_S.gguf", "Tiny-UD-Q4_K_XL.gguf", "Tiny-Q8_0.gguf"]
    assert chosen(names, None) == "Tiny-UD-Q4_K_XL.gguf"
    mtp = ["Tiny-MTP-Q4_K_M.gguf", "Tiny-MTP-Q8_0.gguf"]
    assert chosen(mtp, None) == "Tiny-MTP-Q4_K_M.gguf"


@pytest.mark.parametrize("more", [["tekken.json"], ["tokenizer_config.json"], []])
def test_a_folder_without_a_tokenizer_is_rejected(more: list[str]):
    with pytest.raises(DownloadError, match=r"no tokenizer\.json") as refusal:
        chosen(["config.json", "model.safetensors", "consolidated.safetensors", *more], None)
    assert ("only tekken.json" in str(refusal.value)) == ("tekken.json" in more)


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
    own = ["config.json", "tokenizer.model", "gptq_model-4bit-128g.safetensors"]
    assert chosen(own, None) == own
    found = chosen(["config.json", "tokenizer.json", "a.safetensors", "model.safetensors"], None)
    assert found == ["config.json", "tokenizer.json", "model.safetensors"]
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


def test_a_repository_with_tekken_alone_costs_no_download(pull: Pull, server: FileServer):
    config = json.dumps(CONFIG).encode()
    publish(server, {"model.safetensors": PAYLOAD, "config.json": config, "tekken.json": b"{}"})
    run = pull(f"hf:{REPO}")
    assert run.returncode == 1
    assert "only tekken.json, which is not supported" in " ".join(run.stderr.split())
    assert downloads(server) == []


@pytest.mark.parametrize("spec", ["hf:{}@v1.5", "hf.co/{}@v1.5", "https://hf.co/{}/tree/v1.5"])
def test_a_revision(pull: Pull, server: FileServer, spec: str):
    publish(server)
    info = server.files.pop(f"/api/models/{REPO}")
    server.files[f"/api/models/{REPO}/revision/v1.5"] = info
    run = pull(spec.format(REPO))
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).parts[-2:] == ("tiny-v1.5", "Tiny.Q8_0.gguf")


def test_an_unknown_revision(pull: Pull, server: FileServer):
    publish(server)
    server.refused[f"/api/models/{REPO}/revision/v9"] = (404, "RevisionNotFound")
    run = pull(f"hf:{REPO}@v9")
    assert run.returncode == 1
    assert f"{REPO} has no branch, tag or commit v9" in " ".join(run.stderr.split())


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
