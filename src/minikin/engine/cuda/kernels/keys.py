"""Attention to some keys, added to that to others (Dao et al. 2022, FlashAttention)."""

import triton
import triton.language as tl


@triton.jit
def add_keys(
    q: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    table: tl.tensor,
    place: tl.tensor,
    there: tl.tensor,
    seen: tl.tensor,
    kv_head: tl.tensor,
    at: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    most: tl.tensor,
    total: tl.tensor,
    found: tl.tensor,
    kv_heads: tl.constexpr,
    dim: tl.constexpr,
    capped: tl.constexpr,
    block: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """The largest score, the sum of weights and the sum of values of each row of q.

    They were `most`, `total` and `found` before the keys at the positions `place` of the sequence
    with the cache blocks `table`. Keys are read where `there`, and count where `seen` [rows or 1,
    keys].
    """
    slot = tl.load(table + place // block, mask=there, other=0).to(tl.int64) * block
    slot = ((slot + place % block) * kv_heads + kv_head) * dim
    real = there[:, None] & (at < dim)[None, :]
    k = tl.load(keys + slot[:, None] + at[None, :], mask=real, other=0.0)
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    if capped:
        # tanh(z) = 2 sigmoid(2 z) - 1
        scores = softcap * (2 * tl.sigmoid(2 * scores / softcap) - 1)
    scores = tl.where(seen, scores, float("-inf"))
    largest = tl.maximum(most, tl.max(scores, 1))
    # Before the first key that a row sees, its largest score is still -inf.
    base = tl.where(largest == float("-inf"), 0.0, largest)
    weights = tl.exp(scores - base[:, None])
    old = tl.exp(most - base)
    v = tl.load(values + slot[:, None] + at[None, :], mask=real, other=0.0)
    found = found * old[:, None]
    found += tl.dot(weights.to(v.dtype), v, input_precision="ieee")
    return largest, total * old + tl.sum(weights, 1), found
