from __future__ import annotations

import logging

import pytest
import torch

from minikin.config import EngineSettings
from minikin.engine import loader
from minikin.engine.native.build import load_library

pytestmark = pytest.mark.model


@pytest.fixture
def load(model_path, caplog):
    """The engine's decoder, and what the log says that it computes with."""

    def load(**options):
        caplog.set_level(logging.INFO)
        engine, info = loader.load_engine(EngineSettings(model=model_path, threads=1), **options)
        assert info.context_length == 8192
        [line] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Computing")]
        return engine.decoder, line

    return load


@pytest.mark.skipif(load_library() is None, reason="no AVX-512 BF16 or no gcc here")
def test_the_default_model_runs_whole_in_the_native_kernels(load):
    decoder, line = load()
    assert decoder.native
    assert line.startswith("Computing with native kernels for ")


@pytest.mark.parametrize(
    ("features", "dtype"),
    [((), "float32"), (("avx2", "avx512f"), "float32"), (("avx512_bf16",), "bfloat16")],
)
def test_pytorch_takes_bfloat16_where_the_processor_has_it(load, monkeypatch, features, dtype):
    monkeypatch.setattr("minikin.engine.native.build._processor_features", lambda: features)
    decoder, line = load(find_kernels=lambda: None)
    assert not decoder.native
    assert decoder.weights.dtype == getattr(torch, dtype)
    assert line == f"Computing with PyTorch in {dtype} on cpu"
