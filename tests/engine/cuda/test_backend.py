from __future__ import annotations

import pytest
import torch

from minikin.engine.backend import find_backend
from minikin.engine.cuda.backend import tokens_beside
from minikin.engine.model.block import BLOCK
from minikin.errors import SetupError
from tests.engine.pytorch.test_kv_cache import ARCHITECTURE


def test_the_cache_takes_what_weights_leave():
    token = 2 * 3 * 2 * 32 * 2  # keys and values, layers, heads, numbers, bytes
    free, weights = 20 << 30, 8 << 30
    tokens = tokens_beside(ARCHITECTURE, weights, free)
    assert 0.8 * (10 << 30) < tokens * token < 0.9 * (10 << 30)
    assert tokens_beside(ARCHITECTURE, free, free) == BLOCK


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error_that_says_so():
    with pytest.raises(SetupError, match=r"Cannot compute on --device cuda:1: .* Use --device cpu"):
        find_backend("cuda:1", 1, None, ARCHITECTURE, None)
