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
def _turned(
    left: tl.tensor,
    right: tl.tensor,
    norm: tl.tensor,
    cosine: tl.tensor,
    sine: tl.tensor,
    place: tl.tensor,
    start: tl.tensor,
    head: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    epsilon: tl.tensor,
    count: tl.constexpr,
    dim: tl.constexpr,
    normed: tl.constexpr,
    together: tl.constexpr,
    late: tl.constexpr,
    whole: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """Both halves of a head, rotated by the angles at `place`, through its norm if it has one."""
    if normed and not late:
        left, right = _normed(
            left, right, norm, start, head, at, inside, epsilon, count, dim, together, whole
        )
    c = tl.load(cosine + place, mask=inside, other=0.0)
    s = tl.load(sine + place, mask=inside, other=0.0)
    left, right = left * c - right * s, right * c + left * s
    if normed and late:
        left, right = _normed(
            left, right, norm, start, head, at, inside, epsilon, count, dim, together, whole
        )
    return left, right


@triton.jit
def _store(
    target: tl.tensor,
    left: tl.tensor,
    right: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    half: tl.constexpr,
) -> None:
    tl.store(target + at, left.to(target.dtype.element_ty), mask=inside)
    tl.store(target + half + at, right.to(target.dtype.element_ty), mask=inside)


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
        left, right = _turned(
            left, right, query_norm, query_cosine, query_sine, place, start, head, at, inside,
            epsilon, heads, dim, query_normed, together, late, whole,
        )  # fmt: skip
        _store(queries + (row * heads + head) * dim, left, right, at, inside, half)
    elif head < heads + kv_heads:
        left, right = _turned(
            left, right, key_norm, key_cosine, key_sine, place, start + heads * dim, head - heads,
            at, inside, epsilon, kv_heads, dim, key_normed, together, late, whole,
        )  # fmt: skip
        _store(keys + (slot + head - heads) * dim, left, right, at, inside, half)
    else:
        _store(values + (slot + head - heads - kv_heads) * dim, left, right, at, inside, half)
