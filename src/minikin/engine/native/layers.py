"""A decoder's layers on the native kernels."""

from __future__ import annotations

import ctypes

import torch

from minikin.engine.architecture import Architecture
from minikin.engine.batch import Batch
from minikin.engine.kv_cache import KVCache
from minikin.engine.linear import Linear
from minikin.engine.native.kernels import (
    TILE,
    Inputs,
    InputsStruct,
    Kernels,
    MatrixStruct,
    PackedMatrix,
)
from minikin.engine.weights import LayerWeights, Weights

HEAD_DIMS = (64, 96, 128, 256)
MOST_SHARING = 16
"""Query heads to a key head, at most: they have to fit the rows of one tile."""
LEAST_ROWS = 128
PART = 512
"""Keys that a step of few rows looks at in one piece, as in `attention.h`."""

_POINTER, _SIZE, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


class _ModelStruct(ctypes.Structure):
    _fields_ = (
        *((name, _SIZE) for name in ("hidden", "feed_forward", "heads", "kv_heads", "dim")),
        ("epsilon", _FLOAT),
        ("scale", _FLOAT),
    )


class _LayerStruct(ctypes.Structure):
    _fields_ = (
        *((name, _POINTER) for name in ("attention_norm", "feed_forward_norm")),
        *((name, MatrixStruct) for name in ("qkv", "output", "gate_up", "down")),
        *((name, _POINTER) for name in ("keys", "values")),
    )


class _StepStruct(ctypes.Structure):
    _fields_ = (
        ("rows", _SIZE),
        *(
            (name, _POINTER)
            for name in ("positions", "slots", "blocks", "starts", "cosine", "sine")
        ),
    )


class _RoomStruct(ctypes.Structure):
    _fields_ = (
        *((name, InputsStruct) for name in ("normed", "attended", "gated")),
        *((name, _POINTER) for name in ("qkv", "gate_up", "partial", "units")),
    )


class _Room:
    """What a step of up to `rows` rows writes between its matrices."""

    def __init__(self, a: Architecture, rows: int) -> None:
        self.rows = rows
        self.normed = Inputs(rows, a.hidden)
        self.attended = Inputs(rows, a.heads * a.head_dim)
        self.gated = Inputs(rows, a.feed_forward)
        self._qkv = torch.empty(rows, (a.heads + 2 * a.kv_heads) * a.head_dim)
        self._gate_up = torch.empty(rows, 2 * a.feed_forward)
        self._partial = torch.empty(0)
        self._units = torch.empty(rows + 1, dtype=torch.int32)

    def struct(self, a: Architecture, batch: Batch) -> _RoomStruct:
        """As C takes it, for a step of this batch."""
        for inputs in (self.normed, self.attended, self.gated):
            inputs.choose(len(batch.tokens), batch.guesses)
        if not self.attended.struct.tiled:
            share = TILE // (a.heads // a.kv_heads)
            units = sum(-(-(stop - start) // share) for start, stop in batch.spans)
            parts = units * a.kv_heads * -(-(int(batch.positions.max()) + 1) // PART)
            if len(self._partial) < parts:
                self._partial = torch.empty(parts, TILE * (a.head_dim + 2))
        return _RoomStruct(
            self.normed.struct, self.attended.struct, self.gated.struct,
            *(part.data_ptr() for part in (self._qkv, self._gate_up, self._partial, self._units)),
        )  # fmt: skip


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
        self.architecture = architecture
        self.weights = weights
        self.rotation = rotation
        self._head = _packed(weights.head)
        self._model = _ModelStruct(
            a.hidden, a.feed_forward, a.heads, a.kv_heads, a.head_dim,
            a.norm_epsilon, a.attention_scale,
        )  # fmt: skip
        self._cache: KVCache | None = None
        self._layers: ctypes.Array[_LayerStruct] = (_LayerStruct * 0)()
        self._room = _Room(a, LEAST_ROWS)
        self._logits = torch.empty(0, self._head.outputs)

    @staticmethod
    def fit(architecture: Architecture, weights: Weights) -> bool:
        """Whether every layer can run here."""
        linears = [weights.head]
        for layer in weights.layers:
            linears += (layer.qkv, layer.output, layer.gate_up, layer.down)
        a = architecture
        return (
            a.plain
            and all(linear.packed is not None and linear.bias is None for linear in linears)
            and a.head_dim in HEAD_DIMS
            and a.heads // a.kv_heads <= MOST_SHARING
        )

    def forward(self, x: torch.Tensor, batch: Batch, cache: KVCache) -> None:
        """Run all layers on x [rows, hidden] float32, in place."""
        rows = len(x)
        if rows > self._room.rows:
            self._room = _Room(self.architecture, -(-rows // LEAST_ROWS) * LEAST_ROWS)
        if self._cache is not cache:
            self._cache = cache
            parts = zip(self.weights.layers, cache.keys, cache.values, strict=True)
            self._layers = (_LayerStruct * len(self.weights.layers))(
                *(_layer_struct(*part) for part in parts)
            )
        tensors = (batch.positions, batch.slots, batch.blocks, batch.block_starts, *self.rotation)
        step = _StepStruct(rows, *(tensor.data_ptr() for tensor in tensors))
        self.kernels.library.run_layers(
            ctypes.byref(self._model), self._layers, len(self._layers), ctypes.byref(step),
            ctypes.byref(self._room.struct(self.architecture, batch)), x.data_ptr(),
        )  # fmt: skip

    def logits(self, x: torch.Tensor, guesses: int = 0) -> torch.Tensor:
        """[R, vocabulary] float32 of x [R, hidden] float32 after the last layer.

        They stand where the next call puts its own.
        """
        rows = len(x)
        if rows > len(self._logits):
            self._logits = torch.empty(rows, self._head.outputs)
        normed = Inputs(rows, x.shape[1]) if rows > self._room.rows else self._room.normed
        normed.choose(rows, guesses)
        self.kernels.norm(x, self.weights.norm, normed, rows, self.architecture.norm_epsilon)
        self.kernels.matmul(self._head, normed, self._logits, rows)
        return self._logits[:rows]


def _layer_struct(layer: LayerWeights, keys: torch.Tensor, values: torch.Tensor) -> _LayerStruct:
    linears = (layer.qkv, layer.output, layer.gate_up, layer.down)
    return _LayerStruct(
        layer.attention_norm.data_ptr(), layer.feed_forward_norm.data_ptr(),
        *(_packed(linear).struct for linear in linears),
        keys.data_ptr(), values.data_ptr(),
    )  # fmt: skip


def _packed(linear: Linear) -> PackedMatrix:
    assert linear.packed is not None  # `fit` has said so
    return linear.packed
