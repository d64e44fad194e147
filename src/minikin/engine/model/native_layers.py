"""A decoder's layers in the native kernels."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from minikin.engine.model.architecture import Architecture, Heads
from minikin.engine.model.batch import Batch
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.layer_weights import (
    AttentionWeights,
    Beside,
    LatentWeights,
    LayerWeights,
)
from minikin.engine.model.matrix import Matrix
from minikin.engine.model.mixture import Mixture
from minikin.engine.model.recurrence import Mamba, Memory
from minikin.engine.model.recurrent_weights import RecurrentWeights
from minikin.engine.model.rope import Rope, rotary_tables
from minikin.engine.model.weights import LayerInputs, Weights
from minikin.engine.native import contract
from minikin.engine.native.arrays import address, empty, optional
from minikin.engine.native.contract import (
    GROUP,
    MOST_DIM,
    MOST_KEYS,
    PANEL,
    PART,
    TILE,
)
from minikin.engine.native.kernels import Inputs, Kernels
from minikin.model_file.family import ActivationName

MOST_EXPERTS = 1024
"""Of a layer. Their products are listed on the stack."""
MOST_SHARING = TILE
"""Maximum query heads per key head. They must fit the rows of one tile."""
LEAST_ROWS = 128
_ACTIVATIONS: dict[ActivationName, int] = {
    "silu": contract.SILU,
    "gelu": contract.GELU,
    "clamped silu": contract.CLAMPED_SILU,
    "squared relu": contract.SQUARED_RELU,
}


class _Room:
    """The intermediate results of a step with up to `rows` rows."""

    def __init__(self, kernels: Kernels, a: Architecture, rows: int) -> None:
        self.rows = rows
        used = a.experts.used + a.experts.shared if a.experts else 0
        # A row is there once for each of its experts. The rows of an expert start with a new tile.
        inside = rows * used + TILE * (a.experts.count + a.experts.shared) if a.experts else rows
        widest = max(a.feed_forward, a.dense_feed_forward, a.layer_inputs)
        self._times = max(1, used)
        self.normed = Inputs(kernels, rows, a.hidden)
        outputs, inputs = (a.recurrence.outputs, a.recurrence.inputs) if a.recurrence else (0, 0)
        widths = [_outputs(a, heads) * a.heads for heads in a.layer_heads]
        self.attended = Inputs(kernels, rows, max(*widths, outputs))
        vector = max(a.latent.rank, a.latent.query_rank) if a.latent else 0
        self.latent = Inputs(kernels, rows, vector)
        self.picked = Inputs(kernels, inside if used else 0, a.hidden)
        self.gated = Inputs(kernels, inside, widest)
        queries = a.heads * (2 if a.gated_attention else 1)
        made = [(queries + 2 * keys) * dim for keys, dim in a.layer_heads]
        self._qkv = empty(rows, max(*made, inputs))
        self._compressed, self._expanded = (empty(rows, width) for width in _latent_widths(a))
        self._rates = empty(rows, -(-_rates(a) // GROUP) * GROUP)
        self._gate_up = empty(inside, widest * (2 if a.has_gates else 1))
        self._choices = empty(rows * used, ctypes.sizeof(contract.Choice), dtype=np.uint8)
        self._results = empty(rows * used, a.hidden)
        self._partial = empty(0)
        self._added = empty(rows if a.layer_tensors else 0, a.hidden)
        beside = a.experts is not None and a.experts.beside
        self._beside = empty(rows if beside else 0, a.hidden)
        self._units = empty(rows + 1, dtype=np.int32)

    def struct(self, a: Architecture, batch: Batch, own_inputs: np.ndarray | None) -> contract.Room:
        """The C struct for a step of this batch."""
        for inputs in (self.normed, self.attended, self.latent):
            inputs.split(batch.few)
        self.gated.split(batch.few * self._times)
        if batch.few:
            needed = max(_partial_size(a, heads, batch) for heads in {*a.layer_heads})
            if len(self._partial) < needed:
                self._partial = empty(needed)
        parts = (self._qkv, self._gate_up, self._partial, self._added, self._beside, self._units)
        return contract.Room(
            self.normed.struct, self.attended.struct, self.gated.struct,
            *map(address, parts),
            self.picked.struct, address(self._choices), address(self._results),
            address(self._rates), self.latent.struct,
            address(self._compressed), address(self._expanded), optional(own_inputs),
        )  # fmt: skip


def _partial_size(a: Architecture, heads: Heads, batch: Batch) -> int:
    """The floats of all parts of a step's exact rows."""
    share = TILE // (a.heads // heads.keys)
    exact = (span for span in batch.spans if span[0] < batch.few)
    units = sum(-(-(stop - start) // share) for start, stop in exact)
    longest = int(batch.positions[: batch.few].max()) + 1
    return units * heads.keys * -(-longest // PART) * TILE * (heads.dim + 2)


class _Experts:
    """The C struct of a layer's mixture, and the arrays that it points to."""

    def __init__(self, mixture: Mixture) -> None:
        self._matrices = [
            (contract.Matrix * len(part))(*map(_struct, part))
            for part in zip(*mixture.experts, strict=True)
        ]
        self.struct = contract.Mixture(
            len(mixture.experts), mixture.used + mixture.shared, mixture.shared,
            mixture.gated, mixture.normalized, mixture.sigmoid,
            mixture.groups, mixture.used_groups, mixture.scale,
            optional(mixture.correction), optional(mixture.router_norm),
            optional(mixture.expert_scales), address(mixture.router),
            optional(mixture.router_bias), *map(ctypes.addressof, self._matrices),
        )  # fmt: skip


class NativeLayers:
    """The layers, the last norm and the head. Between the matrices, all is float32.

    The residual stream too. Rotary positions are from Su et al. 2021 (RoFormer), grouped queries
    from Ainslie et al. 2023, the gated feed-forward from Shazeer 2020.
    """

    def __init__(self, kernels: Kernels, architecture: Architecture, weights: Weights) -> None:
        a = architecture
        self.kernels = kernels
        self.architecture = architecture
        self.weights = weights
        dims = [heads.dim for heads in a.layer_heads]
        self._rotations = rotary_tables(a.ropes, a.context_length, dims)
        self._unturned = Rope().table(a.context_length, a.head_dim) if a.late_norms else None
        self._head = weights.head.for_kernels
        self._model = contract.Model(
            a.hidden, _ACTIVATIONS[a.activation], a.norm_epsilon, a.attention_scale,
            a.attention_softcap or 0, a.plain_epsilon, *_recurrence(a), *_latent(a),
            a.layer_inputs, a.layers * a.layer_inputs,
        )  # fmt: skip
        self._experts = [
            _Experts(layer.mixture) if layer.mixture else None for layer in weights.layers
        ]
        self._cache: KVCache | None = None
        self._layers: ctypes.Array[contract.Layer] = (contract.Layer * 0)()
        self._room = _Room(kernels, a, LEAST_ROWS)
        self._logits = empty(0, self._head.outputs)

    @staticmethod
    def fit(architecture: Architecture, weights: Weights) -> bool:
        """Whether every layer can run in the native kernels."""
        a = architecture
        return (
            all(one.packed is not None for one in (weights.embedding, weights.head))
            and weights.head.bias is None
            and _fit_inputs(weights.layer_inputs)
            and all(_fits(layer) for layer in weights.layers)
            and all(_fit_heads(a, heads) for heads in {*a.layer_heads})
            and (a.recurrence is None or a.recurrence.channels % GROUP == 0)
            and (not isinstance(a.recurrence, Memory) or _fits_memory(a.recurrence))
        )

    def forward(self, x: np.ndarray, batch: Batch, cache: KVCache) -> None:
        """Run all layers on x [rows, hidden] float32, in place."""
        rows = len(x)
        if rows > self._room.rows:
            fitting = -(-rows // LEAST_ROWS) * LEAST_ROWS
            self._room = _Room(self.kernels, self.architecture, fitting)
        if self._cache is not cache:
            self._cache = cache
            self._layers = (contract.Layer * len(self.weights.layers))(
                *(self._layer_struct(i) for i in range(len(self.weights.layers)))
            )
        arrays = (batch.positions, batch.slots, batch.blocks, batch.block_starts)
        step = contract.Step(
            rows, *map(address, arrays), batch.few, address(batch.stretches), address(batch.chains),
            len(batch.spans),
        )  # fmt: skip
        own = self._own_inputs(x, batch)
        self.kernels.library.run_layers(
            ctypes.byref(self._model), self._layers, len(self._layers), ctypes.byref(step),
            ctypes.byref(self._room.struct(self.architecture, batch, own)), address(x),
        )  # fmt: skip

    def _own_inputs(self, x: np.ndarray, batch: Batch) -> np.ndarray | None:
        """See `LayerInputs`: [rows, layers * size] float32, from embeddings x [rows, hidden]."""
        parts, a, rows = self.weights.layer_inputs, self.architecture, len(x)
        if parts is None:
            return None
        projection, normed = parts.projection.for_kernels, self._room.normed
        normed.split(batch.few)
        self.kernels.write(x, normed)
        made = empty(rows, projection.outputs)
        self.kernels.matmul(projection, normed, made, rows)
        made = made[:, : a.layers * a.layer_inputs].reshape(rows, a.layers, a.layer_inputs)
        squares = np.square(made).mean(axis=-1, keepdims=True)
        made /= np.sqrt(squares + np.float32(a.plain_epsilon * a.hidden))
        made *= parts.norm
        table = parts.table.for_kernels.rows(batch.tokens).reshape(made.shape)
        made += table * np.float32(a.layer_inputs**0.5)
        return (made * np.float32(2**-0.5)).reshape(rows, -1)

    def logits(self, x: np.ndarray, few: int) -> np.ndarray:
        """[R, vocabulary] float32 from x [R, hidden] float32 after the last layer.

        The first `few` rows are computed with integers (see `Inputs`). The next call overwrites the
        logits.
        """
        rows = len(x)
        if rows > len(self._logits):
            self._logits = empty(rows, self._head.outputs)
        fits = rows <= self._room.rows
        normed = self._room.normed if fits else Inputs(self.kernels, rows, x.shape[1])
        normed.split(few)
        self.kernels.norm(x, self.weights.norm, normed, rows, self.architecture.norm_epsilon)
        self.kernels.matmul(self._head, normed, self._logits, rows)
        vocabulary = self.architecture.vocab_size
        return np.ascontiguousarray(self._logits[:rows, :vocabulary])

    def _layer_struct(self, i: int) -> contract.Layer:
        layer, cache, experts = self.weights.layers[i], self._cache, self._experts[i]
        assert cache is not None
        a, attention, recurrence = self.architecture, layer.attention, layer.recurrence
        queries, keys = self._rotations[i]
        place = a.key_places[i]
        early: tuple[np.ndarray | None, np.ndarray | None] = None, None
        if self._unturned:
            early, queries, keys = keys, self._unturned, self._unturned
        vectors = (
            layer.attention_norm, layer.feed_forward_norm, layer.attention_post_norm,
            layer.feed_forward_post_norm, *_head_norms(attention), *early,
            attention and attention.sinks,
        )  # fmt: skip
        query_norm = attention and attention.query_norm
        heads = a.layer_heads[i]
        wide = query_norm is not None and len(query_norm) > heads.dim
        return contract.Layer(
            *map(optional, vectors),
            *(_struct(matrix) if matrix else contract.Matrix() for matrix in _matrices(layer)),
            experts.struct if experts else contract.Mixture(),
            *_beside_fields(layer.beside),
            *(address(part[place]) if attention else None for part in (cache.keys, cache.values)),
            *map(address, (*queries, *keys)),
            *_convolution_fields(recurrence),
            address(cache.states[a.state_places[i]]) if recurrence else None,
            *_memory_fields(recurrence),
            _latent_struct(attention and attention.latent),
            a.windows[i] or 0,
            wide,
            contract.Heads(
                a.heads, *heads, heads.keys * a.has_keys[i], _outputs(a, heads), a.gated_attention
            ),
            layer.scale,
            *_input_fields(layer),
            i * a.layer_inputs,
        )  # fmt: skip


def _recurrence(a: Architecture) -> tuple[int, ...]:
    """The fields of `struct model` on states."""
    form = a.recurrence
    if form is None:
        return (0,) * 8
    common = form.channels, form.taps, form.size
    if not isinstance(form, Memory):
        return common + (0,) * 5
    heads = form.key_heads, form.value_heads, form.key_dim, form.value_dim
    return common + heads + (form.grouped,)


def _latent(a: Architecture) -> tuple[int, ...]:
    """The fields of `struct model` on latent attention."""
    return (a.latent.rank, a.latent.query_rank, a.latent.rotated) if a.latent else (0,) * 3


def _latent_widths(a: Architecture) -> tuple[int, int]:
    """A row's numbers from the first matrix of latent attention, and those of its heads."""
    if not a.latent:
        return 0, 0
    queries = a.latent.query_rank or a.heads * a.head_dim
    heads = 2 * a.head_dim - a.latent.rotated + a.latent.value_dim
    return queries + a.latent.rank + a.latent.rotated, a.heads * heads


def _latent_struct(latent: LatentWeights | None) -> contract.Latent:
    if latent is None:
        return contract.Latent()
    queries = _struct(latent.queries) if latent.queries else contract.Matrix()
    return contract.Latent(
        optional(latent.query_norm), address(latent.norm), queries,
        _struct(latent.keys), _struct(latent.values),
    )  # fmt: skip


def _rates(a: Architecture) -> int:
    """The outputs of `MemoryWeights.rates`."""
    return a.recurrence.rates if isinstance(a.recurrence, Memory) else 0


def _fits_memory(form: Memory) -> bool:
    keys = form.key_dim % PANEL == 0 and form.key_dim <= MOST_KEYS
    # Mamba writes the outputs of a key head together.
    together = form.outputs // form.key_heads if isinstance(form, Mamba) else form.value_dim
    return keys and form.value_dim % PANEL == 0 and together % GROUP == 0


def _matrices(layer: LayerWeights) -> tuple[Matrix | None, ...]:
    """In the order of `contract.MATRICES`."""
    attention, recurrence = layer.attention, layer.recurrence
    return (
        *((attention.qkv, attention.output) if attention else (None, None)),
        *((recurrence.inputs, recurrence.output) if recurrence else (None, None)),
        layer.gate_up,
        layer.down,
    )


def _head_norms(attention: AttentionWeights | None) -> tuple[np.ndarray | None, ...]:
    """Of queries, keys and values."""
    if attention is None:
        return (None,) * 3
    return attention.query_norm, attention.key_norm, attention.value_norm


def _outputs(a: Architecture, heads: Heads) -> int:
    """The numbers of a head's output."""
    return a.latent.value_dim if a.latent else heads.dim


def _fit_heads(a: Architecture, heads: Heads) -> bool:
    sizes = heads.dim % GROUP == 0 and heads.dim <= MOST_DIM and _outputs(a, heads) % GROUP == 0
    return sizes and a.heads // heads.keys <= MOST_SHARING


def _convolution_fields(recurrence: RecurrentWeights | None) -> tuple[int | None, ...]:
    """The fields of `struct layer` on the convolution."""
    if recurrence is None:
        return None, None
    return address(recurrence.convolution), optional(recurrence.convolution_bias)


def _memory_fields(recurrence: RecurrentWeights | None) -> tuple[Any, ...]:
    """The fields of `struct layer` on memories."""
    own = recurrence and recurrence.memory
    if own is None:
        return contract.Matrix(), None, None, None, None
    vectors = own.fading, own.offset, own.norm, own.skip
    return _struct(own.rates), *map(optional, vectors)


def _beside_fields(beside: Beside | None) -> tuple[int | None, ...]:
    """The fields of `struct layer` on a mixture beside a feed-forward."""
    if beside is None:
        return (None,) * 3
    return tuple(map(address, (beside.before, beside.dense, beside.mixed)))


def _input_fields(layer: LayerWeights) -> tuple[contract.Matrix, contract.Matrix, int | None]:
    """The fields of `struct layer` on the layer's own input."""
    own = layer.own_input
    if own is None:
        return contract.Matrix(), contract.Matrix(), None
    return _struct(own.gate), _struct(own.output), address(own.norm)


def _fit_inputs(parts: LayerInputs | None) -> bool:
    if parts is None:
        return True
    whole = all(one.packed is not None for one in (parts.table, parts.projection))
    return whole and len(parts.norm) % GROUP == 0


def _fits(layer: LayerWeights) -> bool:
    matrices = [matrix for matrix in _matrices(layer) if matrix]
    if layer.own_input is not None:
        matrices += [layer.own_input.gate, layer.own_input.output]
    memory = layer.recurrence and layer.recurrence.memory
    if memory is not None and memory.rates.packed is None:
        return False
    latent = layer.attention and layer.attention.latent
    if latent is not None:
        matrices += [one for one in (latent.queries, latent.keys, latent.values) if one]
    if layer.mixture is not None:
        if layer.feed_forward_norm is None:  # the router reads it
            return False
        matrices += [matrix for expert in layer.mixture.experts for matrix in expert]
        if len(layer.mixture.experts) > MOST_EXPERTS:
            return False
    return all(one.packed is not None and one.packed.is_whole for one in matrices)


def _struct(matrix: Matrix) -> contract.Matrix:
    return matrix.for_kernels.with_bias(matrix.bias)
