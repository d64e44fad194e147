"""Queries and keys: their norms and their rotation. Keys and values go to the cache."""

import triton
import triton.language as tl


@triton.jit
def _normed(
    left: tl.tensor,
    right: tl.tensor,
    norm: tl.tensor,
    start: tl.tensor,
    head: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    epsilon: tl.tensor,
    count: tl.constexpr,
    dim: tl.constexpr,
    together: tl.constexpr,
    whole: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """Both halves of a head through its RMS norm, or through that of all `count` heads."""
    half: tl.constexpr = dim // 2
    offset = 0
    if together:
        every = tl.arange(0, whole)
        all_heads = tl.load(start + every, mask=every < count * dim, other=0.0)
        scale = 1 / tl.sqrt(tl.sum(all_heads * all_heads, 0) / (count * dim) + epsilon)
        offset = head * dim
    else:
        scale = 1 / tl.sqrt((tl.sum(left * left, 0) + tl.sum(right * right, 0)) / dim + epsilon)
    left *= scale * tl.load(norm + offset + at, mask=inside, other=0.0)
    right *= scale * tl.load(norm + offset + half + at, mask=inside, other=0.0)
    return left, right


@triton.jit
def turn_heads(
    qkv: tl.tensor,
    query_norm: tl.tensor,
    key_norm: tl.tensor,
    query_cosine: tl.tensor,
    query_sine: tl.tensor,
    key_cosine: tl.tensor,
    key_sine: tl.tensor,
    positions: tl.tensor,
    slots: tl.tensor,
    queries: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    epsilon: tl.tensor,
    heads: tl.constexpr,
    kv_heads: tl.constexpr,
    dim: tl.constexpr,
    query_normed: tl.constexpr,
    key_normed: tl.constexpr,
    together: tl.constexpr,
    late: tl.constexpr,
    block: tl.constexpr,
    whole: tl.constexpr,
) -> None:
    """One head of one row of qkv [rows, heads + 2 * kv_heads, dim] float32.

    `block` is a power of two >= dim / 2, and `whole` one >= the width of all heads. Pairs (i, i +
    dim / 2) rotate. With `late`, norms follow.
    """
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    half: tl.constexpr = dim // 2
    at = tl.arange(0, block)
    inside = at < half
    start = qkv + row * (heads + 2 * kv_heads) * dim
    source = start + head * dim
    left = tl.load(source + at, mask=inside, other=0.0)
    right = tl.load(source + half + at, mask=inside, other=0.0)
    place = tl.load(positions + row).to(tl.int64) * half + at
    slot = tl.load(slots + row).to(tl.int64) * kv_heads
    if head < heads:
        if query_normed and not late:
            left, right = _normed(
                left, right, query_norm, start, head, at, inside, epsilon,
                heads, dim, together, whole,
            )  # fmt: skip
        cosine = tl.load(query_cosine + place, mask=inside, other=0.0)
        sine = tl.load(query_sine + place, mask=inside, other=0.0)
        left, right = left * cosine - right * sine, right * cosine + left * sine
        if query_normed and late:
            left, right = _normed(
                left, right, query_norm, start, head, at, inside, epsilon,
                heads, dim, together, whole,
            )  # fmt: skip
        target = queries + (row * heads + head) * dim
        tl.store(target + at, left.to(queries.dtype.element_ty), mask=inside)
        tl.store(target + half + at, right.to(queries.dtype.element_ty), mask=inside)
    elif head < heads + kv_heads:
        if key_normed and not late:
            left, right = _normed(
                left, right, key_norm, start + heads * dim, head - heads, at, inside, epsilon,
                kv_heads, dim, together, whole,
            )  # fmt: skip
        cosine = tl.load(key_cosine + place, mask=inside, other=0.0)
        sine = tl.load(key_sine + place, mask=inside, other=0.0)
        left, right = left * cosine - right * sine, right * cosine + left * sine
        if key_normed and late:
            left, right = _normed(
                left, right, key_norm, start + heads * dim, head - heads, at, inside, epsilon,
                kv_heads, dim, together, whole,
            )  # fmt: skip
        target = keys + (slot + head - heads) * dim
        tl.store(target + at, left.to(keys.dtype.element_ty), mask=inside)
        tl.store(target + half + at, right.to(keys.dtype.element_ty), mask=inside)
    else:
        target = values + (slot + head - heads - kv_heads) * dim
        tl.store(target + at, left.to(values.dtype.element_ty), mask=inside)
        tl.store(target + half + at, right.to(values.dtype.element_ty), mask=inside)
