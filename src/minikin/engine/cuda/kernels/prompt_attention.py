"""Attention of a prompt's rows over the paged cache."""

import triton
import triton.language as tl

from minikin.engine.cuda.kernels.keys import add_keys


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
        seen = place[None, :] < ends[:, None]
        if windowed:
            seen &= place[None, :] >= ends[:, None] - window
        most, total, found = add_keys(
            q, keys, values, table, place, there, seen, kv_head, at, scale, softcap,
            most, total, found, kv_heads, dim, capped, block,
        )  # fmt: skip
    # A place without a row may have seen no key.
    result = found / tl.where(total > 0, total, 1.0)[:, None]
    tl.store(out + own, result.to(out.dtype.element_ty), mask=here)
