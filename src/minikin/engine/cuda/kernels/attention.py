"""Attention of an answer's row over the paged cache, in parts of fixed places (flash decoding)."""

import triton
import triton.language as tl

from minikin.engine.cuda.kernels.keys import add_keys


@triton.jit(do_not_specialize=["parts"])
def attend_part(
    queries: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    blocks: tl.tensor,
    starts: tl.tensor,
    positions: tl.tensor,
    sums: tl.tensor,
    maxima: tl.tensor,
    totals: tl.tensor,
    parts: tl.tensor,
    scale: tl.tensor,
    window: tl.tensor,
    softcap: tl.tensor,
    heads: tl.constexpr,
    kv_heads: tl.constexpr,
    dim: tl.constexpr,
    windowed: tl.constexpr,
    capped: tl.constexpr,
    block: tl.constexpr,
    part: tl.constexpr,
    step: tl.constexpr,
    group: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """The heads of one key head, of one row, over the keys [p * part, (p + 1) * part).

    Writes what `join_parts` needs: the sum of values [rows, heads, parts, dim] float32, and the
    largest score and the sum of weights, each [rows, heads, parts]. Parts begin at fixed positions,
    so a row's bits do not depend on other rows. `group` is a power of two >= heads / kv_heads and
    >= 16, as tl.dot needs, and `width` one >= dim. A part without keys writes nothing.
    """
    row = tl.program_id(0).to(tl.int64)
    kv_head = tl.program_id(1)
    number = tl.program_id(2)
    end = tl.load(positions + row) + 1
    first = 0
    if windowed:
        first = tl.maximum(end - window, 0)
    begin = tl.maximum(number * part, first // step * step)
    stop = tl.minimum((number + 1) * part, end)
    if begin < stop:
        share: tl.constexpr = heads // kv_heads
        each = tl.arange(0, group)
        at = tl.arange(0, width)
        here = (each < share)[:, None] & (at < dim)[None, :]
        head = kv_head * share + each
        q = tl.load(
            queries + (row * heads + head)[:, None] * dim + at[None, :], mask=here, other=0.0
        )
        table = blocks + tl.load(starts + row)
        most = tl.full((group,), float("-inf"), tl.float32)
        total = tl.zeros((group,), tl.float32)
        found = tl.zeros((group, width), tl.float32)
        for key in range(begin, stop, step):
            place = key + tl.arange(0, step)
            there = place < stop
            seen = there & (place >= first) if windowed else there
            most, total, found = add_keys(
                q, keys, values, table, place, there, seen[None, :], kv_head, at, scale, softcap,
                most, total, found, kv_heads, dim, capped, block,
            )  # fmt: skip
        target = (row * heads + head) * parts + number
        tl.store(sums + target[:, None] * dim + at[None, :], found, mask=here)
        tl.store(maxima + target, most, mask=each < share)
        tl.store(totals + target, total, mask=each < share)


@triton.jit(do_not_specialize=["parts"])
def join_parts(
    sums: tl.tensor,
    maxima: tl.tensor,
    totals: tl.tensor,
    positions: tl.tensor,
    sinks: tl.tensor,
    out: tl.tensor,
    parts: tl.tensor,
    window: tl.tensor,
    heads: tl.constexpr,
    dim: tl.constexpr,
    windowed: tl.constexpr,
    sunk: tl.constexpr,
    part: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """One head of one row, from its parts, in their order."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    end = tl.load(positions + row) + 1
    first = 0
    if windowed:
        first = tl.maximum(end - window, 0) // part
    at = tl.arange(0, width)
    own = (row * heads + head) * parts
    most = tl.full((), float("-inf"), tl.float32)
    total = tl.zeros((), tl.float32)
    if sunk:
        most = tl.load(sinks + head)
        total += 1.0
    found = tl.zeros((width,), tl.float32)
    for number in range(first, (end + part - 1) // part):
        score = tl.load(maxima + own + number)
        largest = tl.maximum(most, score)
        old, new = tl.exp(most - largest), tl.exp(score - largest)
        value = tl.load(sums + (own + number) * dim + at, mask=at < dim, other=0.0)
        found = found * old + value * new
        total = total * old + tl.load(totals + own + number) * new
        most = largest
    target = out + (row * heads + head) * dim + at
    tl.store(target, (found / total).to(out.dtype.element_ty), mask=at < dim)
