"""What a forward pass computes, one operation after the other, and a plain version of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F

from minikin.engine.cuda.crowds import Crowds
from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.rows import Inputs
from minikin.engine.model.block import BLOCK
from minikin.engine.pytorch.activation import ACTIVATIONS
from minikin.engine.pytorch.attention import AttentionForm
from minikin.engine.pytorch.rope import rotate
from minikin.model_file.family import ActivationName


@dataclass(frozen=True, kw_only=True)
class HeadForm:
    """How a layer makes queries and keys from a product, and how these attend."""

    heads: int
    kv_heads: int
    dim: int
    query_norm: torch.Tensor | None
    """[dim]: the norm of each head. [heads * dim]: of all heads together."""
    key_norm: torch.Tensor | None
    late_norms: bool
    """The norms come after the rotation."""
    epsilon: float
    rotations: tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    """Cosine and sine [positions, dim / 2] float32, of queries and of keys."""
    attention: AttentionForm


class Operations(Protocol):
    """The operations of a forward pass. x, the residual stream, is float32 [R, hidden].

    None of them reads a number back from the device.
    """

    independent: bool
    """Whether the bits of a row do not depend on other rows."""

    def add(
        self,
        x: torch.Tensor,
        added: torch.Tensor | None,
        post_norm: torch.Tensor | None,
        norm: torch.Tensor | None,
        epsilon: float,
        /,
    ) -> torch.Tensor:
        """Add `added` [R, hidden] float32 to x, through `post_norm`. Returns x through `norm`."""
        ...

    def product(
        self,
        x: torch.Tensor,
        matrix: DeviceMatrix,
        crowds: Crowds | None = None,
        /,
        *,
        prompts: bool = False,
    ) -> torch.Tensor:
        """x W^T + b [R, outputs] float32. With `crowds`, [pairs, outputs]: see there.

        `prompts`: the rows are those of prompts.
        """
        ...

    def turn(
        self,
        qkv: torch.Tensor,
        form: HeadForm,
        inputs: Inputs,
        keys: torch.Tensor,
        values: torch.Tensor,
        /,
    ) -> torch.Tensor:
        """Queries [R, heads, dim] from qkv [R, ...] float32. Keys and values go to the cache.

        The cache's parts are those of one layer, [slots, kv_heads, dim].
        """
        ...

    def attend(
        self, q: torch.Tensor, form: HeadForm, inputs: Inputs, keys: torch.Tensor,
        values: torch.Tensor, /,
    ) -> torch.Tensor:  # fmt: skip
        """[R, heads * dim] of q's type."""
        ...

    def activate(self, gate_up: torch.Tensor, name: ActivationName, /) -> torch.Tensor:
        """[R, half as many] from gate and up, float32."""
        ...


class PlainOperations:
    """`Operations` of PyTorch. Tests compare the kernels with them. They need much memory."""

    independent = False

    def __init__(self, dtype: torch.dtype) -> None:
        """`dtype` is that of the inputs of products."""
        self.dtype = dtype

    def add(
        self,
        x: torch.Tensor,
        added: torch.Tensor | None,
        post_norm: torch.Tensor | None,
        norm: torch.Tensor | None,
        epsilon: float,
    ) -> torch.Tensor:
        """See `Operations`."""
        if added is not None:
            x += _norm(added, post_norm, epsilon)
        return _norm(x, norm, epsilon).to(self.dtype)

    def product(
        self,
        x: torch.Tensor,
        matrix: DeviceMatrix,
        crowds: Crowds | None = None,
        /,
        *,
        prompts: bool = False,
    ) -> torch.Tensor:
        """See `Operations`."""
        numbers = matrix.numbers().to(x.dtype)
        if crowds is None:
            y = F.linear(x, numbers[0]).float()
            return y if matrix.bias is None else y + matrix.bias[0]
        of_tile = x[crowds.inputs(len(x))]
        y = (of_tile @ numbers[crowds.experts].mT).float()
        if matrix.bias is not None:
            y = y + matrix.bias[crowds.experts][:, None]
        out = y.new_zeros(crowds.pairs + 1, matrix.outputs)
        return out.index_copy(0, crowds.members.flatten(), y.flatten(0, 1))[:-1]

    def turn(
        self,
        qkv: torch.Tensor,
        form: HeadForm,
        inputs: Inputs,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """See `Operations`."""
        both = qkv.view(len(qkv), -1, form.dim)
        q, k, v = both.split([form.heads, form.kv_heads, form.kv_heads], dim=1)
        turned: list[torch.Tensor] = []
        for part, norm, table in zip(
            (q, k), (form.query_norm, form.key_norm), form.rotations, strict=True
        ):
            cosine, sine = (one[inputs.positions] for one in table)
            early, late = (None, norm) if form.late_norms else (norm, None)
            rotated = rotate(_head_norm(part, early, form.epsilon), (cosine, sine))
            turned.append(_head_norm(rotated, late, form.epsilon))
        slots = inputs.slots.long()
        keys.index_copy_(0, slots, turned[1].to(keys.dtype))
        values.index_copy_(0, slots, v.to(values.dtype))
        return turned[0].to(self.dtype)

    def attend(
        self, q: torch.Tensor, form: HeadForm, inputs: Inputs, keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """See `Operations`."""
        own, ends = form.attention, inputs.positions[:, None] + 1
        places = torch.arange(-(-inputs.longest // BLOCK) * BLOCK, device=q.device)
        at = (inputs.starts[:, None] + places // BLOCK).clamp(max=len(inputs.blocks) - 1)
        seen = places < ends
        slots = (inputs.blocks[at] * BLOCK + places % BLOCK).where(seen, 0)
        if own.window is not None:
            seen &= places >= ends - own.window
        grouped = q.view(len(q), form.kv_heads, -1, form.dim)
        scores = torch.einsum("rgqd,rkgd->rgqk", grouped, keys[slots]).float() * own.scale
        if own.softcap is not None:
            scores = own.softcap * torch.tanh(scores / own.softcap)
        scores = scores.masked_fill(~seen[:, None, None], -torch.inf)
        weights = scores.softmax(-1)
        if own.sinks is not None:
            # One additional position with score s divides each weight by 1 + exp(s - logsumexp).
            sinks = own.sinks.view(form.kv_heads, -1, 1)
            weights = weights * torch.sigmoid(scores.logsumexp(-1, keepdim=True) - sinks)
        out = torch.einsum("rgqk,rkgd->rgqd", weights.to(values.dtype), values[slots])
        return out.reshape(len(q), -1)

    def activate(self, gate_up: torch.Tensor, name: ActivationName) -> torch.Tensor:
        """See `Operations`."""
        return ACTIVATIONS[name](gate_up).to(self.dtype)


def _norm(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float) -> torch.Tensor:
    return x if weight is None else F.rms_norm(x, weight.shape, weight, epsilon)


def _head_norm(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float) -> torch.Tensor:
    """The norm of each head of x [R, heads, dim], or of all heads together."""
    if weight is None or len(weight) == x.shape[-1]:
        return _norm(x, weight, epsilon)
    return _norm(x.flatten(1), weight, epsilon).view(x.shape)
