"""The residual stream: what a layer adds to it, and the norms around that."""

import triton
import triton.language as tl


@triton.jit
def add_norm(
    x: tl.tensor,
    added: tl.tensor,
    post_norm: tl.tensor,
    norm: tl.tensor,
    out: tl.tensor,
    width: tl.tensor,
    epsilon: tl.tensor,
    adds: tl.constexpr,
    post: tl.constexpr,
    normed: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """One row: x += post_norm(added), and out = norm(x). `block` is a power of two >= width."""
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, block)
    inside = at < width
    own = tl.load(x + row + at, mask=inside, other=0.0)
    if adds:
        more = tl.load(added + row + at, mask=inside, other=0.0)
        if post:
            more *= 1 / tl.sqrt(tl.sum(more * more, 0) / width + epsilon)
            more *= tl.load(post_norm + at, mask=inside, other=0.0)
        own += more
        tl.store(x + row + at, own, mask=inside)
    if normed:
        own *= 1 / tl.sqrt(tl.sum(own * own, 0) / width + epsilon)
        own *= tl.load(norm + at, mask=inside, other=0.0)
    tl.store(out + row + at, own.to(out.dtype.element_ty), mask=inside)
