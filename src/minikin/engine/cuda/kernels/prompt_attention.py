"""Attention of a prompt's rows over the paged cache (Dao et al. 2022, FlashAttention)."""

import triton
import triton.language as tl


@triton.jit
def attend_tile(
    queries: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    blocks: tl.tensor,
    starts: tl.tensor,
    positions: tl.tensor,
    tiles: tl.tensor,
    sinks: tl.tensor,
    out: tl.tensor,
    scale: tl.tensor,
    window: tl.tensor,
    softcap: tl.tensor,
    heads: tl.constexpr,
    kv_heads: tl.constexpr,
    dim: tl.constexpr,
    windowed: tl.constexpr,
    capped: tl.constexpr,
    sunk: tl.constexpr,
    block: tl.constexpr,
    rows: tl.constexpr,
    step: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """One head of a tile: up to `rows` rows of one span, which follow each other.

    Keys are read from multiples of `step` on. A key that a row does not see adds exactly nothing,
    so a row's bits do not depend on the other rows of its tile.
    """
    tile = tl.program_id(0)
    head = tl.program_id(1)
    start = tl.load(tiles + 2 * tile).to(tl.int64)
    count = tl.load(tiles + 2 * tile + 1)
    kv_head = head // (heads // kv_heads)
    each = tl.arange(0, rows)
    at = tl.arange(0, width)
    here = (each < count)[:, None] & (at < dim)[None, :]
    own = ((start + each) * heads + head)[:, None] * dim + at[None, :]
    q = tl.load(queries + own, mask=here, other=0.0)
    position = tl.load(positions + start)
    ends = position + each + 1
    first = 0
    if windowed:
        first = tl.maximum(position + 1 - window, 0) // step * step
    table = blocks + tl.load(starts + start)
    most = tl.full((rows,), float("-inf"), tl.float32)
    total = tl.zeros((rows,), tl.float32)
    if sunk:
        most = tl.zeros((rows,), tl.float32) + tl.load(sinks + head)
        total += 1.0
    found = tl.zeros((rows, width), tl.float32)
    stop = position + count
    for key in range(first, stop, step):
        place = key + tl.arange(0, step)
        there = place < stop
        slot = tl.load(table + place // block, mask=there, other=0).to(tl.int64) * block
        slot = ((slot + place % block) * kv_heads + kv_head) * dim
        real = there[:, None] & (at < dim)[None, :]
        k = tl.load(keys + slot[:, None] + at[None, :], mask=real, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        if capped:
            # tanh(z) = 2 sigmoid(2 z) - 1
            scores = softcap * (2 * tl.sigmoid(2 * scores / softcap) - 1)
        seen = place[None, :] < ends[:, None]
        if windowed:
            seen &= place[None, :] >= ends[:, None] - window
        scores = tl.where(seen, scores, float("-inf"))
        largest = tl.maximum(most, tl.max(scores, 1))
        # Before the first key that a row sees, its largest score is still -inf.
        base = tl.where(largest == float("-inf"), 0.0, largest)
        weights = tl.exp(scores - base[:, None])
        old = tl.exp(most - base)
        v = tl.load(values + slot[:, None] + at[None, :], mask=real, other=0.0)
        found = found * old[:, None]
        found += tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        total = total * old + tl.sum(weights, 1)
        most = largest
    # A place without a row may have seen no key.
    result = found / tl.where(total > 0, total, 1.0)[:, None]
    tl.store(out + own, result.to(out.dtype.element_ty), mask=here)
