"""A Hugging Face folder, from the hub or from the disk, to answers over a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from minikin.config import ORIGINAL, SNAPSHOT
from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES
from tests.model_file.folder.quantized import quantize_folder
from tests.own_cache import own_cache
from tests.processes import free_port
from tests.real_model import ROOT, real_server
from tests.tokenizer.spelling_folder import END, WORD, write_spelling_folder

from .conftest import REPO, FileServer, publish


class About300:
    def __eq__(self, other: object) -> bool:
        return other in ("300", "301")

    __hash__ = None


ABOUT = About300()
"""Megabytes that a server of a tiny model takes; the cache's share depends on the processor."""


@pytest.fixture
def home(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """The commands' surroundings: an empty cache, and a hub that holds the model as REPO."""
    for name, value in {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "MINIKIN_CACHE": str(own_cache(tmp_path / "cache")),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    folder = write_spelling_folder(tmp_path / "Tiny")
    publish(server, {path.name: path.read_bytes() for path in folder.iterdir()})
    return server


def minikin(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "minikin", *args],
        cwd=ROOT / "src", capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def check_answers(url: str, name: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        assert {model.id for model in client.models.list()} == {name, ORIGINAL, SNAPSHOT}
        question = [{"role": "user", "content": f"What is the capital of France? {END}"}]
        options = {"messages": question, "max_tokens": 20, "temperature": 0}
        answer = client.chat.completions.create(model=name, **options)
        chunks = [*client.chat.completions.create(model=name, stream=True, **options)]
    choice = answer.choices[0]
    # The head knows no other end than that of generation_config.json.
    assert (choice.message.content, choice.finish_reason) == (WORD, "stop")
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(texts) == WORD
    assert len([text for text in texts if text]) > 1
    # The template's own line, the question in single bytes, and the marks around them.
    template = f"<>user\n{question[0]['content']}<>\n<>assistant\n"
    assert answer.usage.prompt_tokens == len(template.replace("<>", "x"))


def test_a_folder_of_the_hub_is_served_listed_and_removed(home: FileServer):
    with real_server("--model", f"hf:{REPO}") as running:
        check_answers(running.url, "tiny")
    shards = [path for path, _ in home.requests if path.endswith(".safetensors")]
    assert len(shards) > 2
    home.files.clear()  # from here on the hub knows nothing
    with real_server("--model", "tiny") as running:
        check_answers(running.url, "tiny")
    size = sum(path.stat().st_size for path in pulled().iterdir())
    assert size > 500_000
    assert row("tiny") == ["tiny", "1", "MB", "qwen2", "F32", "256", ABOUT, "MB", "yes", "yes"]
    gone = minikin("rm", "tiny")
    assert gone.stderr == "Deleted tiny (1 MB freed).\n"
    assert row("tiny") is None


def pulled() -> Path:
    """Where `minikin pull` says that the model is."""
    found = minikin("pull", f"hf:{REPO}")
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


def row(name: str) -> list[str] | None:
    """What `minikin models` says of a model, word by word."""
    lines = [line.split() for line in minikin("models").stdout.splitlines()]
    return next((line for line in lines if line[0] == name), None)


def test_a_folder_of_the_disk_is_served(home: FileServer, tmp_path: Path):
    with real_server("--model", str(tmp_path / "Tiny")) as running:
        check_answers(running.url, "Tiny")
    assert home.requests == []


def test_a_quantized_folder_is_listed_by_its_method(home: FileServer, tmp_path: Path):
    folder = write_folder(FAMILIES["Qwen2"].make(), tmp_path / "awq")
    quantize_folder(folder, "awq", 32)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": 32}
    (folder / "config.json").write_text(json.dumps(config))
    publish(home, {path.name: path.read_bytes() for path in folder.iterdir()})
    pulled()
    assert row("tiny") == ["tiny", "0", "MB", "qwen2", "AWQ", "256", ABOUT, "MB", "yes", "yes"]


BROKEN = [
    ("config.json", {"model_type": "gpt2"}, "the unsupported model_type 'gpt2'. Supported: llama"),
    ("config.json", {"vocab_size": "x"}, "config.json's vocab_size can't be 'x'"),
    ("generation_config.json", {"eos_token_id": 10**6}, "eos_token_id can't be 1000000"),
    ("tokenizer.json", {"pre_tokenizer": {"type": "Odd"}}, "needs 'Odd', which is not supported"),
    ("tokenizer_config.json", {"chat_template": 7}, "chat_template is not a string"),
]


@pytest.mark.parametrize(("name", "change", "reason"), BROKEN)
def test_an_error_in_a_folder_is_one_line(
    home: FileServer, tmp_path: Path, name: str, change: dict[str, object], reason: str
):
    folder = tmp_path / "Tiny"
    if name == "tokenizer_config.json":
        (folder / "chat_template.jinja").unlink()
    content = json.loads((folder / name).read_text()) | change
    (folder / name).write_text(json.dumps(content))
    port = free_port()
    run = minikin("serve", "--model", str(folder), "--port", str(port))
    assert run.returncode == 1
    said = [line for line in run.stderr.splitlines() if not line.startswith("engine: INFO")]
    assert said[0] == "Loading Tiny"
    assert len(said) == 2
    assert reason in said[1]
