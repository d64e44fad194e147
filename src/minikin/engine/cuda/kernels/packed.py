"""Products with matrices that stay quantized: see `DeviceMatrix`."""

import triton
import triton.language as tl

from minikin.engine.cuda.kernels.product import rows_of_tile


@triton.jit(do_not_specialize=["rows"])
def multiply_packed(
    x: tl.tensor,
    levels: tl.tensor,
    scale: tl.tensor,
    minimum: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    members: tl.tensor,
    experts: tl.tensor,
    rows: tl.tensor,
    outputs: tl.tensor,
    groups: tl.tensor,
    used: tl.tensor,
    crowded: tl.constexpr,
    biased: tl.constexpr,
    bits: tl.constexpr,
    size: tl.constexpr,
    columns: tl.constexpr,
    split: tl.constexpr,
) -> None:
    """out = x W^T + b for a tile of rows and `columns` outputs: float32.

    The levels are multiplied as they are. Each group of 32 adds scale * product + minimum * sum of
    inputs, which a product with ones gives where it is needed. `split` groups are summed side by
    side, so that the warps of a program share one tile of outputs.
    """
    tile = tl.program_id(0)
    expert, source, target, here = rows_of_tile(members, experts, tile, rows, used, crowded, size)
    if tl.min(target, 0) < rows:
        column = tl.program_id(1) * columns + tl.arange(0, columns)
        there = column < outputs
        bytes_each: tl.constexpr = 4 * bits
        at = tl.arange(0, bytes_each)[None, None, :]
        part = tl.arange(0, split)[:, None, None]
        inputs = x + source[None, :, None] * (groups * 32) + part * 32 + at
        place = ((expert * groups + part) * outputs + column[None, :, None]).to(tl.int64)
        seen = there[None, :, None]
        ones = tl.full((split, bytes_each, columns), 1.0, x.dtype.element_ty)
        sums = tl.zeros((split, size, columns), tl.float32)
        for start in range(0, groups, split):
            row = place + start * outputs
            inside = (part + start < groups) & seen
            read = (part + start < groups) & here[None, :, None]
            q = tl.load(levels + row * bytes_each + at, mask=inside, other=0)
            a = tl.load(inputs + start * 32, mask=read, other=0.0)
            total = tl.dot(a, ones, input_precision="ieee")
            if bits == 4:
                b = tl.load(inputs + start * 32 + 16, mask=read, other=0.0)
                total = tl.dot(b, ones, total, input_precision="ieee")
                low, high = (q & 15).to(a.dtype), (q >> 4).to(a.dtype)
                product = tl.dot(a, tl.permute(low, (0, 2, 1)), input_precision="ieee")
                product = tl.dot(b, tl.permute(high, (0, 2, 1)), product, input_precision="ieee")
            else:
                product = tl.dot(a, tl.permute(q.to(a.dtype), (0, 2, 1)), input_precision="ieee")
            factor = tl.load(scale + row, mask=inside, other=0.0).to(tl.float32)
            least = tl.load(minimum + row, mask=inside, other=0.0).to(tl.float32)
            sums += product * tl.permute(factor, (0, 2, 1)) + total * tl.permute(least, (0, 2, 1))
        sums = tl.sum(sums, 0)
        if biased:
            sums += tl.load(bias + expert * outputs + column, mask=there, other=0.0)[None, :]
        there_too = out + target[:, None] * outputs + column[None, :]
        tl.store(there_too, sums, mask=here[:, None] & there[None, :])


@triton.jit
def unpack(
    levels: tl.tensor,
    scale: tl.tensor,
    minimum: tl.tensor,
    out: tl.tensor,
    outputs: tl.tensor,
    groups: tl.tensor,
    bits: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """One group of `columns` outputs as numbers: out [E, outputs, groups * 32]."""
    group = tl.program_id(0)
    expert = tl.program_id(2).to(tl.int64)
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    there = column < outputs
    bytes_each: tl.constexpr = 4 * bits
    at = tl.arange(0, bytes_each)
    row = (expert * groups + group) * outputs + column
    q = tl.load(levels + row[:, None] * bytes_each + at[None, :], mask=there[:, None], other=0)
    factor = tl.load(scale + row, mask=there, other=0.0).to(tl.float32)[:, None]
    least = tl.load(minimum + row, mask=there, other=0.0).to(tl.float32)[:, None]
    target = out + ((expert * outputs + column) * groups + group)[:, None] * 32 + at[None, :]
    if bits == 4:
        low = (q & 15).to(tl.float32) * factor + least
        high = (q >> 4).to(tl.float32) * factor + least
        tl.store(target, low.to(out.dtype.element_ty), mask=there[:, None])
        tl.store(target + 16, high.to(out.dtype.element_ty), mask=there[:, None])
    else:
        value = q.to(tl.float32) * factor + least
        tl.store(target, value.to(out.dtype.element_ty), mask=there[:, None])
