import resource

import pytest
import torch

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.rope import Rope
from minikin.engine.pytorch.kv_cache import TorchKVCache

ARCHITECTURE = Architecture(
    layers=3, hidden=64, heads=4, kv_heads=2, head_dim=32, feed_forward=64,
    vocab_size=10, context_length=100, norm_epsilon=1e-5, plain_epsilon=1e-5,
    attention_scale=1.0, windows=(None,) * 3, attends=(True,) * 3, recurs=(False,) * 3,
    feeds=(True,) * 3,
    ropes=(Rope(),) * 3,
)  # fmt: skip


def cache(tokens, dtype=torch.float32):
    return TorchKVCache(ARCHITECTURE, tokens, 0, dtype=dtype, device=torch.device("cpu"))


def test_what_is_written_is_read_block_by_block():
    some = cache(10 * BLOCK)
    slots = torch.tensor([7 * BLOCK, 7 * BLOCK + 1, 7 * BLOCK + BLOCK - 1, 2 * BLOCK + 5])
    keys, values = torch.randn(4, 2, 32), torch.randn(4, 2, 32)
    some.write(1, slots, keys, values)
    read_keys, read_values = some.read(1, torch.tensor([2, 7]))
    places = torch.tensor([BLOCK, BLOCK + 1, 2 * BLOCK - 1, 5])
    assert torch.equal(read_keys[:, places], keys.transpose(0, 1))
    assert torch.equal(read_values[:, places], values.transpose(0, 1))
    assert read_keys.count_nonzero() == keys.count_nonzero()
    assert not any(part.any() for part in some.read(0, torch.tensor([2, 7])))


@pytest.mark.parametrize(
    "make", [lambda tokens: cache(tokens, torch.bfloat16), lambda n: KVCache(ARCHITECTURE, n, 0)]
)
def test_a_large_cache_takes_no_memory_until_it_is_used(make):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = make(1 << 22)
    assert sum(part.nbytes for part in (*huge.keys, *huge.values)) > 2 << 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
