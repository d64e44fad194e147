"""A decoder's layers on the native kernels: the body of every step with few rows."""

from __future__ import annotations

import torch

from minikin.engine.architecture import Architecture
from minikin.engine.batch import Batch
from minikin.engine.kv_cache import KVCache
from minikin.engine.linear import Linear
from minikin.engine.native.kernels import HEAD_DIMS, Inputs, Kernels, PackedMatrix
from minikin.engine.weights import LayerWeights, Weights

MOST_ROWS = 128
"""With more rows PyTorch's bfloat16 product is the faster."""


class NativeLayers:
    """Same computation as the layers in `decoder.py`, with float32 between the matrices."""

    def __init__(
        self,
        kernels: Kernels,
        architecture: Architecture,
        weights: Weights,
        rotation: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        a = architecture
        self.kernels = kernels
        self.epsilon = a.norm_epsilon
        self.heads = a.heads, a.kv_heads, a.head_dim
        self.rotation = rotation
        self.layers = [_NativeLayer(layer) for layer in weights.layers]
        self.norm = weights.norm
        self.head = _packed(weights.head)
        self._normed = Inputs(MOST_ROWS, a.hidden)
        self._attended = Inputs(MOST_ROWS, a.heads * a.head_dim)
        self._gated = Inputs(MOST_ROWS, a.feed_forward)
        self._qkv = torch.empty(MOST_ROWS, (a.heads + 2 * a.kv_heads) * a.head_dim)
        self._gate_up = torch.empty(MOST_ROWS, 2 * a.feed_forward)

    @staticmethod
    def fit(architecture: Architecture, weights: Weights) -> bool:
        """Whether every layer can run here."""
        linears = [weights.head]
        for layer in weights.layers:
            linears += (layer.qkv, layer.output, layer.gate_up, layer.down)
        packed = all(linear.packed is not None for linear in linears)
        return packed and architecture.head_dim in HEAD_DIMS

    def forward(self, x: torch.Tensor, batch: Batch, cache: KVCache) -> None:
        """Run all layers on x [rows, hidden] float32, in place."""
        kernels, rows = self.kernels, len(x)
        step = tuple(
            tensor.data_ptr()
            for tensor in (
                *self.rotation, batch.positions, batch.slots, batch.blocks, batch.block_starts
            )
        )  # fmt: skip
        for i, layer in enumerate(self.layers):
            places = cache.keys[i].data_ptr(), cache.values[i].data_ptr()
            kernels.norm(x, layer.attention_norm, self._normed, rows, self.epsilon)
            kernels.matmul(layer.qkv, self._normed, self._qkv, rows)
            kernels.attend(self._qkv, step, self._attended, rows, places, self.heads)
            kernels.matmul(layer.output, self._attended, x, rows, add=True)
            kernels.norm(x, layer.feed_forward_norm, self._normed, rows, self.epsilon)
            kernels.matmul(layer.gate_up, self._normed, self._gate_up, rows)
            kernels.silu_multiply(self._gate_up, self._gated, rows)
            kernels.matmul(layer.down, self._gated, x, rows, add=True)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """[R, vocabulary] float32 of x [R, hidden] float32 after the last layer."""
        rows = len(x)
        out = torch.empty(rows, self.head.outputs)
        self.kernels.norm(x, self.norm, self._normed, rows, self.epsilon)
        self.kernels.matmul(self.head, self._normed, out, rows)
        return out


class _NativeLayer:
    def __init__(self, layer: LayerWeights) -> None:
        self.attention_norm = layer.attention_norm
        self.feed_forward_norm = layer.feed_forward_norm
        self.qkv: PackedMatrix = _packed(layer.qkv)
        self.output: PackedMatrix = _packed(layer.output)
        self.gate_up: PackedMatrix = _packed(layer.gate_up)
        self.down: PackedMatrix = _packed(layer.down)


def _packed(linear: Linear) -> PackedMatrix:
    assert linear.packed is not None  # `fit` has said so
    return linear.packed
