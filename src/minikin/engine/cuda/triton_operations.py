"""The operations of a forward pass as kernels of our own."""

from __future__ import annotations

from typing import Any

import torch

from minikin.engine.cuda.crowds import Crowds
from minikin.engine.cuda.kernels.activation import activate
from minikin.engine.cuda.kernels.attention import attend_part, join_parts
from minikin.engine.cuda.kernels.heads import turn_heads
from minikin.engine.cuda.kernels.norm import add_norm
from minikin.engine.cuda.kernels.packed import multiply_packed, unpack
from minikin.engine.cuda.kernels.product import multiply
from minikin.engine.cuda.kernels.prompt_attention import attend_tile
from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.operations import HeadForm
from minikin.engine.cuda.rows import TILE, Inputs
from minikin.engine.model.block import BLOCK
from minikin.engine.native.contract import GROUP, PART
from minikin.model_file.family import ActivationName

KEYS = 64
"""Keys that attention reads at a time."""
FEWEST = 16
"""Rows of the smallest product of matrices on tensor cores. Fewer are filled up."""
ACTIVATIONS: dict[ActivationName, int] = {"silu": 0, "gelu": 1, "clamped silu": 2}


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Start `grid` programs of a Triton kernel."""
    kernel[grid](*arguments, **options)


class TritonOperations:
    """See `Operations`. The shape of each tile depends on the kind of the rows alone.

    So the sums of a row are in the same order in any company.
    """

    independent = True

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
        out = torch.empty_like(x, dtype=self.dtype)
        rows, width = x.shape
        launch(
            add_norm, (rows,), x, _or(added, x), _or(post_norm, x), _or(norm, x), out, width,
            epsilon, adds=added is not None, post=post_norm is not None, normed=norm is not None,
            block=_power(width), num_warps=8,
        )  # fmt: skip
        return out

    def product(
        self,
        x: torch.Tensor,
        matrix: DeviceMatrix,
        crowds: Crowds | None = None,
        *,
        prompts: bool = False,
    ) -> torch.Tensor:
        """See `Operations`."""
        if matrix.bits is not None and prompts:
            matrix = self._unpacked(matrix)
        rows = crowds.pairs if crowds else len(x)
        out = torch.empty(rows, matrix.outputs, dtype=torch.float32, device=x.device)
        size = crowds.members.shape[1] if crowds else 128 if prompts else FEWEST
        columns, step, warps = _tile(matrix, x.dtype, prompts=prompts)
        tiles = len(crowds.experts) if crowds else -(-rows // size)
        members, experts, used = (
            (crowds.members, crowds.experts, crowds.used) if crowds else (x, x, 1)
        )
        grid = tiles, -(-matrix.outputs // columns)
        biased, shape = matrix.bias is not None, {"size": size, "columns": columns}
        if matrix.bits is None:
            launch(
                multiply, grid, x, matrix.weight, _or(matrix.bias, x), out, members, experts, rows,
                matrix.outputs, matrix.width, used, crowded=crowds is not None, biased=biased,
                whole=matrix.width % step == 0, step=step, num_warps=warps, num_stages=4, **shape,
            )  # fmt: skip
        else:
            groups = matrix.width // GROUP
            launch(
                multiply_packed, grid, x, matrix.weight, matrix.scale, matrix.minimum,
                _or(matrix.bias, x), out, members, experts, rows, matrix.outputs, groups, used,
                crowded=crowds is not None, biased=biased, bits=matrix.bits,
                split=4, num_warps=warps, num_stages=5, **shape,
            )  # fmt: skip
        return out

    def _unpacked(self, matrix: DeviceMatrix) -> DeviceMatrix:
        """The same in numbers, for rows that are many: reading them then costs little."""
        groups, columns = matrix.width // GROUP, 128
        shape = len(matrix.weight), matrix.outputs, matrix.width
        numbers = torch.empty(shape, dtype=self.dtype, device=matrix.weight.device)
        launch(
            unpack, (groups, -(-matrix.outputs // columns), shape[0]), matrix.weight, matrix.scale,
            matrix.minimum, numbers, matrix.outputs, groups, bits=matrix.bits, columns=columns,
        )  # fmt: skip
        return DeviceMatrix(weight=numbers, bias=matrix.bias, width=matrix.width)

    def turn(
        self,
        qkv: torch.Tensor,
        form: HeadForm,
        inputs: Inputs,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """See `Operations`."""
        queries = torch.empty(len(qkv), form.heads, form.dim, dtype=self.dtype, device=qkv.device)
        norms = form.query_norm, form.key_norm
        (cosine, sine), (key_cosine, key_sine) = form.rotations
        launch(
            turn_heads, (len(qkv), form.heads + 2 * form.kv_heads), qkv,
            *(_or(norm, qkv) for norm in norms), cosine, sine, key_cosine, key_sine,
            inputs.positions, inputs.slots, queries, keys, values, form.epsilon,
            heads=form.heads, kv_heads=form.kv_heads, dim=form.dim,
            query_normed=norms[0] is not None, key_normed=norms[1] is not None,
            together=any(norm is not None and len(norm) > form.dim for norm in norms),
            late=form.late_norms, block=_power(form.dim // 2),
            whole=_power(form.heads * form.dim), num_warps=1,
        )  # fmt: skip
        return queries

    def attend(
        self, q: torch.Tensor, form: HeadForm, inputs: Inputs, keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """See `Operations`."""
        out = torch.empty(len(q), form.heads * form.dim, dtype=q.dtype, device=q.device)
        own = form.attention
        limits = own.scale, own.window or 0, own.softcap or 0.0
        sinks, sunk = _or(own.sinks, q), own.sinks is not None
        shape = {"heads": form.heads, "dim": form.dim, "windowed": own.window is not None}
        width = _power(form.dim)
        if inputs.prompts:
            launch(
                attend_tile, (len(inputs.tiles), form.heads), q, keys, values, inputs.blocks,
                inputs.starts, inputs.positions, inputs.tiles, sinks, out, *limits,
                kv_heads=form.kv_heads, capped=own.softcap is not None, sunk=sunk, block=BLOCK,
                rows=TILE, step=KEYS // 2 if own.softcap else KEYS, width=width,
                num_warps=4 if width <= 128 else 8, num_stages=2, **shape,
            )  # fmt: skip
            return out
        parts = -(-inputs.longest // PART)
        where = {"dtype": torch.float32, "device": q.device}
        sums = torch.empty(len(q), form.heads, parts, form.dim, **where)
        maxima, totals = torch.empty(2, len(q), form.heads, parts, **where)
        launch(
            attend_part, (len(q), form.kv_heads, parts), q, keys, values, inputs.blocks,
            inputs.starts, inputs.positions, sums, maxima, totals, parts, *limits,
            kv_heads=form.kv_heads, capped=own.softcap is not None, block=BLOCK, part=PART,
            step=KEYS, group=max(FEWEST, _power(form.heads // form.kv_heads)), width=width,
            num_warps=4, num_stages=2, **shape,
        )  # fmt: skip
        launch(
            join_parts, (len(q), form.heads), sums, maxima, totals, inputs.positions, sinks, out,
            parts, limits[1], sunk=sunk, part=PART, width=width, num_warps=1, **shape,
        )  # fmt: skip
        return out

    def activate(self, gate_up: torch.Tensor, name: ActivationName) -> torch.Tensor:
        """See `Operations`."""
        rows, width = len(gate_up), gate_up.shape[1] // 2
        out = torch.empty(rows, width, dtype=self.dtype, device=gate_up.device)
        block = min(1024, _power(width))
        grid = rows, -(-width // block)
        launch(activate, grid, gate_up, out, width, kind=ACTIVATIONS[name], block=block)
        return out


def _tile(matrix: DeviceMatrix, dtype: torch.dtype, *, prompts: bool) -> tuple[int, int, int]:
    """The outputs and the inputs of a product's tile, and its warps."""
    if dtype == torch.float32:
        return 32, 32, 4
    if prompts:
        return 128, 64, 8
    return (64 if matrix.outputs >= 16_384 else 32), 128, 4


def _or(tensor: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    """The tensor, or another that the kernel does not read."""
    return other if tensor is None else tensor


def _power(number: int) -> int:
    """The next power of two."""
    return 1 << max(0, number - 1).bit_length()
