"""Prompts in a folder, over real kernels: an answer has the same bytes however its prompt came."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType

from minikin.config import EngineSettings
from minikin.engine import loader
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.model.block import BLOCK
from minikin.engine.native.build import load_library
from minikin.engine.native.variants import SETS
from minikin.engine.prefix_store import UNIT
from minikin.errors import SetupError
from tests.engine.kernel_sets import library_of
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES, OWN_HEADS, VOCABULARY
from tests.patience import PATIENCE
from tests.thorough import mostly_thorough

LENGTH = 1300
STORED = (LENGTH - 1) // UNIT * UNIT
PROMPT = [(7 * i * i + 3 * i) % VOCABULARY for i in range(LENGTH)]
TOKENIZER = SimpleNamespace(
    vocab_size=VOCABULARY,
    eos_ids=frozenset({VOCABULARY}),
    token_bytes=lambda token: b"%x " % token,
)
TRIED = (
    "Llama 2", "Gemma 2", "Mistral", "Mixtral", "gpt-oss", "Gemma 4", "Gemma 4 E2B",
    "DeepSeek-V2-Lite", "OLMo 3",
)  # fmt: skip
WITH_STATES = ("LFM2", "Qwen3.5", "Granite 4 Hybrid", "Falcon-H1")


@pytest.fixture(autouse=True)
def spelled(monkeypatch):
    monkeypatch.setattr(loader.Tokenizer, "from_gguf", lambda metadata: TOKENIZER)


@pytest.fixture
def native():
    """For tests that need kernels."""
    if load_library() is None:
        pytest.skip("no gcc here")


@pytest.fixture
def model(tmp_path) -> Path:
    return written(tmp_path / "model.gguf", "Llama 2")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "prefixes"


def written(path: Path, family: str) -> Path:
    """A tiny model of a family for the native kernels, with room for a long prompt."""
    tiny = FAMILIES[family]
    config = tiny.config | {"max_position_embeddings": 2048}
    if family not in OWN_HEADS:
        config["head_dim"] = 64
    tiny = replace(tiny, config=config, metadata=dict(tiny.metadata))
    write_gguf(tiny, tiny.make(), path, GGMLQuantizationType.Q8_0)
    return path


def engine_of(model: Path, folder: Path | None, library=None, **more):
    settings = EngineSettings(
        model=model, threads=1, packed_cache=0, kv_cache_tokens=4096, prefix_store=folder, **more
    )
    engine, _ = load_engine(settings, find_kernels=lambda: library or load_library())
    return engine


def answer(engine, prompt=PROMPT, **params):
    """What an answer has in all digits, and the tokens of its prompt that came from the store."""
    chosen = {"max_tokens": 24, "temperature": 1.0, "seed": 1, "top_logprobs": 2} | params
    engine.add(GenerationRequest(id="a", prompt=prompt, params=SamplingParams(**chosen)))
    events = []
    while engine.busy:
        events += engine.step()
    assert not events[-1].error
    entries = [entry for event in events for entry in event.logprobs]
    assert len(entries) == chosen["max_tokens"]
    return entries, events[-1].usage.restored_tokens


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.prefix"))


@pytest.mark.parametrize("instructions", mostly_thorough(SETS, SETS[-1], SETS[1]))
@pytest.mark.parametrize("family", mostly_thorough(TRIED, *TRIED[:2]))
def test_an_answer_is_the_same_with_a_cold_a_warm_and_a_stored_prompt(
    tmp_path, folder, family, instructions
):
    library = library_of(instructions)
    model = written(tmp_path / "model.gguf", family)
    cold = answer(engine_of(model, None, library))
    first = engine_of(model, folder, library)
    assert answer(first) == cold
    assert answer(first) == cold, "from memory"
    first.finish(PATIENCE)
    assert len(stored(folder)) == STORED // UNIT
    assert answer(engine_of(model, folder, library)) == (cold[0], STORED)
    # After a prompt from the store, blocks of memory continue it.
    again = engine_of(model, folder, library)
    other = [*PROMPT[: 4 * UNIT + 40], *reversed(PROMPT[:700])]
    expected = answer(engine_of(model, None, library), other)[0]
    assert answer(again, other) == (expected, 4 * UNIT)
    assert answer(again) == (cold[0], STORED - 4 * UNIT - BLOCK)


@pytest.mark.parametrize("family", mostly_thorough(WITH_STATES, *WITH_STATES[:1]))
def test_a_model_with_states_has_no_store_and_the_log_says_so(
    native, tmp_path, folder, family, caplog
):
    engine = engine_of(written(tmp_path / "model.gguf", family), folder)
    assert "--prefix-store has no effect: this model has states" in caplog.text
    assert answer(engine)[1] == 0
    assert not folder.exists()


def test_pytorch_has_no_store_and_the_log_says_so(model, folder, caplog):
    settings = EngineSettings(model=model, threads=1, prefix_store=folder, kv_cache_tokens=2048)
    load_engine(settings, find_kernels=lambda: None)
    assert "--prefix-store has no effect: only the native kernels have it" in caplog.text
    assert not folder.exists()


def test_a_folder_that_others_can_open_stops_the_load(native, model, tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(SetupError, match="chmod 700"):
        engine_of(model, tmp_path)


def change_weights(model, monkeypatch):
    whole = bytearray(model.read_bytes())
    whole[-1000:] = bytes(1000)
    model.write_bytes(whole)


def change_code(model, monkeypatch):
    monkeypatch.setattr(loader, "own_code", lambda *rooms: "of a newer version")


def change_processor(model, monkeypatch):
    monkeypatch.setattr(loader.machine, "processor_name", lambda: "another")


CHANGES = {"weights": change_weights, "code": change_code, "processor": change_processor}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_model_or_other_code_stored_is_not_used(
    native, model, folder, monkeypatch, change
):
    engine = engine_of(model, folder)
    answer(engine)
    engine.finish(PATIENCE)
    CHANGES[change](model, monkeypatch)
    expected = answer(engine_of(model, None))
    assert answer(engine_of(model, folder)) == expected
    assert expected[1] == 0


def test_other_kernels_and_another_context_store_their_own(model, folder):
    best = library_of(SETS[-1])
    for library, more in [(best, {}), (library_of(SETS[1]), {}), (best, {"context_length": 2000})]:
        engine = engine_of(model, folder, library, **more)
        assert answer(engine)[1] == 0
        engine.finish(PATIENCE)
    assert len(stored(folder)) == 3 * STORED // UNIT


STORE = """
import sys
from pathlib import Path
from tests.engine import test_stored_prompts as own
own.loader.Tokenizer.from_gguf = lambda metadata: own.TOKENIZER
engine = own.engine_of(Path(sys.argv[1]), Path(sys.argv[2]))
print("ready", flush=True)
input()
tokens, _ = own.answer(engine)
engine.finish(60)
print(tokens, flush=True)
"""


@pytest.mark.thorough
def test_processes_that_share_a_folder_agree(native, model, folder):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", STORE, str(model), str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    first, second = (process.communicate()[0] for process in running)
    assert first == second
    assert len(stored(folder)) == STORED // UNIT
    assert not [*folder.glob("*.part")]
    cold = answer(engine_of(model, None))
    assert answer(engine_of(model, folder)) == (cold[0], STORED)
    assert f"{cold[0]}\n" == first


def test_a_stored_unit_has_the_numbers_of_the_cache(native, model, folder):
    first = engine_of(model, folder)
    answer(first)
    first.finish(PATIENCE)
    second = engine_of(model, folder)
    answer(second)
    for one, other in zip(
        (*first.cache.keys, *first.cache.values),
        (*second.cache.keys, *second.cache.values),
        strict=True,
    ):
        paths = (e.scheduler.pool.path(PROMPT, only_pure=True) for e in (first, second))
        for (block, _), (same, _) in zip(*paths, strict=True):
            assert np.array_equal(one[block], other[same])
