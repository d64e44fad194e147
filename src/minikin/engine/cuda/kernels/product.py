"""Products with matrices of numbers. The sum of a row is in one order, whatever the other rows."""

import triton
import triton.language as tl


@triton.jit
def rows_of_tile(
    members: tl.tensor,
    experts: tl.tensor,
    tile: tl.tensor,
    rows: tl.tensor,
    used: tl.tensor,
    crowded: tl.constexpr,
    size: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """The expert, the inputs, the outputs and the mask of a tile's rows: see `Crowds`."""
    each = tile * size + tl.arange(0, size)
    if crowded:
        expert = tl.load(experts + tile)
        target = tl.load(members + each)
        source = target // used
    else:
        expert = 0
        target = each.to(tl.int64)
        source = target
    return expert, source, target, target < rows


@triton.jit(do_not_specialize=["rows"])
def multiply(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    members: tl.tensor,
    experts: tl.tensor,
    rows: tl.tensor,
    outputs: tl.tensor,
    width: tl.tensor,
    used: tl.tensor,
    crowded: tl.constexpr,
    biased: tl.constexpr,
    whole: tl.constexpr,
    size: tl.constexpr,
    columns: tl.constexpr,
    step: tl.constexpr,
) -> None:
    """out = x W^T + b for a tile of rows and `columns` outputs: float32.

    `rows` is the number of rows, or of pairs with `crowded`. `whole`: width is a multiple of step.
    """
    tile = tl.program_id(0)
    expert, source, target, here = rows_of_tile(members, experts, tile, rows, used, crowded, size)
    # The members of a tile come first, so a tile whose first place is free has none.
    if tl.min(target, 0) < rows:
        column = tl.program_id(1) * columns + tl.arange(0, columns)
        there = column < outputs
        own = weight + (expert * outputs + column.to(tl.int64))[:, None] * width
        sums = tl.zeros((size, columns), tl.float32)
        for start in range(0, width, step):
            at = start + tl.arange(0, step)
            if whole:
                a = tl.load(
                    x + source[:, None] * width + at[None, :], mask=here[:, None], other=0.0
                )
                b = tl.load(own + at[None, :], mask=there[:, None], other=0.0)
            else:
                inside = at[None, :] < width
                a = tl.load(
                    x + source[:, None] * width + at[None, :],
                    mask=here[:, None] & inside,
                    other=0.0,
                )
                b = tl.load(own + at[None, :], mask=there[:, None] & inside, other=0.0)
            sums = tl.dot(a, tl.trans(b), sums, input_precision="ieee")
        if biased:
            sums += tl.load(bias + expert * outputs + column, mask=there, other=0.0)[None, :]
        place = out + target[:, None] * outputs + column[None, :]
        tl.store(place, sums, mask=here[:, None] & there[None, :])
