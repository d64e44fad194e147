from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest
import torch

from minikin.engine.backend import find_backend
from minikin.engine.cuda.backend import tokens_beside
from minikin.engine.cuda.weights import DeviceWeights, bytes_of_weights
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.weights import load_weights
from minikin.errors import SetupError
from minikin.model_file.model_file import open_model_file
from tests.engine.pytorch.test_kv_cache import ARCHITECTURE
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES


def test_the_cache_takes_what_weights_leave():
    token = 2 * 3 * 2 * 32 * 2  # keys and values, layers, heads, numbers, bytes
    free, weights = 20 << 30, 8 << 30
    tokens = tokens_beside(ARCHITECTURE, weights, free)
    assert 0.8 * (10 << 30) < tokens * token < 0.9 * (10 << 30)
    assert tokens_beside(ARCHITECTURE, free, free) == BLOCK


@pytest.mark.parametrize("family", ["Llama 2", "Mixtral", "DeepSeek-V3"])
def test_the_bytes_of_weights_are_known_before_they_are_there(tmp_path, family):
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    file = open_model_file(path)
    weights = load_weights(file, Architecture.read(file))
    own = DeviceWeights.of(weights, torch.bfloat16, torch.device("cpu"))
    found = sum(tensor.nbytes for tensor in tensors(own))
    assert bytes_of_weights(weights, 2) == pytest.approx(found, rel=0.1)


def tensors(part):
    """All tensors of a part of a model, each once."""
    if isinstance(part, torch.Tensor):
        return {part}
    if isinstance(part, tuple):
        return set().union(*map(tensors, part))
    if is_dataclass(part):
        return set().union(*(tensors(getattr(part, field.name)) for field in fields(part)))
    return set()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error_that_says_so():
    with pytest.raises(SetupError, match=r"Cannot compute on --device cuda:1: .* Use --device cpu"):
        find_backend("cuda:1", 1, None, ARCHITECTURE, None)
