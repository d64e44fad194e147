from __future__ import annotations

import logging
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType

from minikin.config import EngineSettings
from minikin.engine import loader
from minikin.engine.model.native_decoder import NativeDecoder
from minikin.engine.native.build import load_library
from minikin.errors import ModelFileError, SetupError
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES, LONG, SHORT, VOCABULARY


@pytest.mark.model
@pytest.mark.skipif(load_library() is None, reason="no gcc here")
def test_the_default_model_runs_whole_in_the_native_kernels(model_path, caplog):
    caplog.set_level(logging.INFO)
    engine, info = loader.load_engine(EngineSettings(model=model_path, threads=1))
    assert info.context_length == 8192
    assert engine.decoder.native
    assert "Computing with native kernels (" in caplog.text


@pytest.mark.parametrize(
    ("features", "dtype"),
    [((), "float32"), (("avx2", "avx512f"), "float32"), (("avx512_bf16",), "bfloat16")],
)
def test_pytorch_takes_bfloat16_where_the_processor_has_it(
    stretched, caplog, monkeypatch, features, dtype
):
    monkeypatch.setattr("minikin.engine.native.features.processor_features", lambda: features)
    caplog.set_level(logging.INFO)
    engine, _ = stretched(find_kernels=lambda: None)
    assert not engine.decoder.native
    assert engine.decoder.dtype == getattr(torch, dtype)
    assert f"Computing with PyTorch in {dtype} on cpu (" in caplog.text


@pytest.fixture
def tiny_loader(tmp_path, monkeypatch):
    """Loads a tiny model with a tokenizer of `tokens` tokens."""

    def write(tiny, kind=GGMLQuantizationType.F32):
        write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf", kind)

        def load(tokens=VOCABULARY, find_kernels=load_library, **settings):
            tokenizer = SimpleNamespace(
                vocab_size=tokens, eos_ids=frozenset({tokens}), token_bytes=lambda token: b"x"
            )
            monkeypatch.setattr(loader.Tokenizer, "from_gguf", lambda metadata: tokenizer)
            settings = EngineSettings(model=path, threads=1, **settings)
            return loader.load_engine(settings, find_kernels=find_kernels)

        return load

    return write


@pytest.fixture
def stretched(tiny_loader):
    """Loads a model with factors for more than 32 tokens, and others for fewer."""
    return tiny_loader(FAMILIES["Phi-4-mini"])


@pytest.mark.parametrize(
    ("settings", "context", "factors"),
    [
        ({}, 256, LONG),
        ({"context_length": 33}, 33, LONG),
        ({"context_length": 32}, 32, SHORT),
        ({"kv_cache_tokens": 64}, 64, LONG),
        ({"kv_cache_tokens": 32}, 32, SHORT),
    ],
)
def test_rotary_factors_are_those_of_the_context_there_is_room_for(
    stretched, settings, context, factors
):
    engine, info = stretched(**settings)
    assert info.context_length == context
    turns = engine.decoder.architecture.ropes[0].frequencies
    plain = [10_000.0 ** (-2 * i / 48) for i in range(24)]
    expected = [turn / factor for turn, factor in zip(plain, factors, strict=True)]
    assert turns == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"context_length": 257}, "256 tokens, not the 257 of --context-length: the model has"),
        ({"context_length": 200, "kv_cache_tokens": 64}, "64 tokens, not the 200 .*: the cache"),
        ({"context_length": 256}, None),
        ({"kv_cache_tokens": 64}, None),
    ],
)
def test_a_shorter_context_than_wanted_is_reported(stretched, caplog, settings, said):
    stretched(**settings)
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == bool(said)
    assert said is None or re.search(said, warnings[0])


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "mps", "", "cuda cuda"])
def test_a_device_that_cannot_compute_is_named_with_a_next_step(stretched, device):
    with pytest.raises(SetupError, match=rf"--device {device}: .* Use --device cpu") as error:
        stretched(device=device)
    assert "\n" not in error.value.message
    assert "opencl" not in error.value.message, "PyTorch's list of kinds"


@pytest.mark.parametrize("context", [1, 2, 3, 31, 65])
def test_a_context_of_a_few_tokens_loads(stretched, context):
    assert stretched(context_length=context)[1].context_length == context


def test_the_least_cache_is_a_block(stretched):
    assert stretched(kv_cache_tokens=1)[1].context_length == 32


@pytest.mark.parametrize("tokens", [VOCABULARY - 1, VOCABULARY + 1])
def test_a_file_with_more_or_fewer_tokens_than_embeddings_is_refused(stretched, tokens):
    message = f"has {tokens} tokens, but the model has {VOCABULARY}"
    with pytest.raises(ModelFileError, match=message):
        stretched(tokens)


@pytest.mark.skipif(load_library() is None, reason="no gcc here")
def test_the_fingerprint_names_the_weights_and_what_computes_with_them(tiny_loader, monkeypatch):
    tiny = replace(FAMILIES["Llama 2"], config={"head_dim": 64})
    load = tiny_loader(tiny, GGMLQuantizationType.Q8_0)

    def fingerprint(find):
        return load(find_kernels=find)[1].fingerprint

    native, plain = fingerprint(load_library), fingerprint(lambda: load_library("plain C"))
    assert len(native) == 13
    assert fingerprint(load_library) == native
    assert plain != native
    assert plain[:9] == native[:9], "the weights are the same"
    monkeypatch.setattr(loader, "NUMERICS", 99)
    assert fingerprint(load_library) not in (native, plain)


@pytest.mark.parametrize("context", [1, 2, 3])
def test_the_smallest_contexts_load(stretched, context):
    _, info = stretched(context_length=context)
    assert info.context_length == context


def test_a_model_that_cannot_compute_is_rejected_at_its_load(stretched, monkeypatch):
    spoilt = np.full((1, VOCABULARY), np.nan, np.float32)
    monkeypatch.setattr(NativeDecoder, "logits", lambda *_: spoilt.copy())
    with pytest.raises(ModelFileError, match="damaged"):
        stretched()
