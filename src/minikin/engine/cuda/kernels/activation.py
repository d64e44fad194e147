"""The activations of gated feed-forward layers: see `minikin.engine.pytorch.activation`."""

import triton
import triton.language as tl


@triton.jit
def activate(
    gate_up: tl.tensor,
    out: tl.tensor,
    width: tl.tensor,
    kind: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A piece of one row: out [width] from gate and up [2 * width].

    `kind` is 0 for silu, 1 for gelu, 2 for clamped silu.
    """
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * block + tl.arange(0, block)
    inside = at < width
    gate = tl.load(gate_up + row * 2 * width + at, mask=inside, other=0.0)
    up = tl.load(gate_up + row * 2 * width + width + at, mask=inside, other=0.0)
    if kind == 0:
        gate *= tl.sigmoid(gate)
    elif kind == 1:
        # tanh(z) = 2 sigmoid(2 z) - 1
        inner = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate)
        gate *= tl.sigmoid(2 * inner)
    else:
        gate = tl.minimum(gate, 7.0)
        up = tl.minimum(tl.maximum(up, -7.0), 7.0) + 1
        gate *= tl.sigmoid(1.702 * gate)
    tl.store(out + row * width + at, (gate * up).to(out.dtype.element_ty), mask=inside)
