"""Reads the tensors of a model from its file, in the decoder's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Run
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from minikin.engine.model.architecture import Architecture, Experts
from minikin.engine.model.latent import Latent
from minikin.engine.model.layer_weights import (
    AttentionWeights,
    Beside,
    InputWeights,
    LatentWeights,
    LayerWeights,
)
from minikin.engine.model.matrix import Matrix, Part, pack
from minikin.engine.model.mixture import Expert, Mixture
from minikin.engine.model.recurrent_weights import RecurrentLoader
from minikin.engine.model.shelf import Shelf
from minikin.engine.model.tensors import MatrixPart, Read, Tensors
from minikin.engine.native.kernels import Kernels, PackedMatrix
from minikin.engine.native.quantized import SAMPLE
from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.model_file import ModelFile


@dataclass(frozen=True, kw_only=True)
class LayerInputs:
    """What makes an input for each layer from a token and from its embedding (Gemma 3n, Gemma 4).

    With n the size of an input and m that of a hidden state, it is
    (norm(projection(embedding) / sqrt(m)) + sqrt(n) table(token)) / sqrt(2).
    """

    table: Matrix
    """One row for each token: the inputs of all layers."""
    projection: Matrix
    """Hidden -> the same."""
    norm: np.ndarray
    """[n]: of each input."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A complete model."""

    embedding: Matrix
    """One row of the hidden size per token."""
    layers: tuple[LayerWeights, ...]
    norm: np.ndarray
    head: Matrix
    """Hidden -> logits."""
    layer_inputs: LayerInputs | None = None


def load_weights(
    file: ModelFile,
    architecture: Architecture,
    kernels: Kernels | None = None,
    shelf: Shelf | None = None,
) -> Weights:
    """Read every tensor of the model, packed for `kernels` if given.

    Matrices that `shelf` has are not read from the file. It gets those that it does not have.
    Raises ModelFileError for a missing or unused tensor, or a wrong shape.
    """
    return _Loader(file, architecture, kernels, shelf or Shelf()).load()


class _Unread(NamedTuple):
    """Matrices of one shape in the file."""

    width: int
    rows: int
    read: Callable[[int], Run[Part]]
    """Reads the parts of one of them."""


def _each(stacks: Run[Read]) -> Callable[[int], Run[Part]]:
    """Reads the parts of one of the stacked matrices. The first call reads all of them."""
    read = cache(lambda: [stack() for stack in stacks])
    return lambda i: [(matrices[i], kind) for matrices, kind in read()]


class _Loader:
    def __init__(
        self, file: ModelFile, architecture: Architecture, kernels: Kernels | None, shelf: Shelf
    ) -> None:
        self.tensors = Tensors(file)
        self.architecture = architecture
        self.kernels = kernels
        self.shelf = shelf
        self._recurrent = RecurrentLoader(self.tensors, architecture, self._linear)

    def load(self) -> Weights:
        a = self.architecture
        tied = "output.weight" not in self.tensors
        embedding = self._linear(a.hidden, MatrixPart("token_embd", a.vocab_size))
        weights = Weights(
            embedding=embedding,
            layers=tuple(self._layer(i) for i in range(a.layers)),
            norm=self.tensors.vector(a.final_norm, a.hidden) / np.float32(a.logit_scale),
            head=embedding if tied else self._linear(a.hidden, MatrixPart("output", a.vocab_size)),
            layer_inputs=self._layer_inputs() if a.layer_inputs else None,
        )
        after = range(a.layers, a.layers + a.skipped_layers)
        unused = [f"blk.{i}." for i in after]
        for i in range(a.layers - a.sharing, a.layers):
            unused += [f"blk.{i}.attn_{name}" for name in ("k.", "v.", "k_norm.")]
        self.tensors.check_all_taken(unused)
        return weights

    def _layer_inputs(self) -> LayerInputs:
        a = self.architecture
        width = a.layers * a.layer_inputs
        return LayerInputs(
            table=self._linear(width, MatrixPart("per_layer_token_embd", a.vocab_size)),
            projection=self._linear(a.hidden, MatrixPart("per_layer_model_proj", width)),
            norm=self.tensors.vector("per_layer_proj_norm.weight", a.layer_inputs),
        )

    def _layer(self, i: int) -> LayerWeights:
        a, at = self.architecture, f"blk.{i}"
        for name in a.layer_tensors if a.attends[i] else ():
            of_keys = name.startswith("attn_k")
            if f"{at}.{name}" not in self.tensors and (a.has_keys[i] or not of_keys):
                raise ModelFileError(f"The model file lacks the tensor {at}.{name}.")
        mixed = a.experts if a.experts and a.feeds[i] and i >= a.experts.first else None
        beside = mixed is not None and mixed.beside
        dense = a.feeds[i] and (mixed is None or beside)
        gate_up, down = self._feed_forward(i) if dense else (None, None)
        scale = self._optional(at, "layer_output_scale.weight", 1)
        attends = a.attends[i] or a.recurs[i]
        return LayerWeights(
            attention_norm=self._norm_before(f"{at}.attn_norm.weight") if attends else None,
            attention=self._attention(i) if a.attends[i] else None,
            recurrence=self._recurrent.load(at) if a.recurs[i] else None,
            attention_post_norm=self._optional(at, "post_attention_norm.weight", a.hidden),
            feed_forward_norm=(
                self._norm_before(f"{at}.{a.feed_forward_norm}") if a.feeds[i] else None
            ),
            gate_up=gate_up,
            down=down,
            mixture=self._mixture(at, mixed) if mixed else None,
            beside=self._beside(at) if beside else None,
            feed_forward_post_norm=self._optional(at, "post_ffw_norm.weight", a.hidden),
            own_input=self._own_input(at) if a.layer_inputs else None,
            scale=1.0 if scale is None else float(scale[0]),
        )

    def _beside(self, at: str) -> Beside:
        before, dense, mixed = (
            self.tensors.vector(f"{at}.{name}.weight", self.architecture.hidden)
            for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")
        )
        return Beside(before=before, dense=dense, mixed=mixed)

    def _own_input(self, at: str) -> InputWeights:
        a = self.architecture
        return InputWeights(
            gate=self._linear(a.hidden, MatrixPart(f"{at}.inp_gate", a.layer_inputs)),
            output=self._linear(a.layer_inputs, MatrixPart(f"{at}.proj", a.hidden)),
            norm=self.tensors.vector(f"{at}.post_norm.weight", a.hidden),
        )

    def _attention(self, i: int) -> AttentionWeights:
        a, at = self.architecture, f"blk.{i}"
        if a.latent:
            return self._latent_attention(at, a.latent)
        (keys, dim), own = a.layer_heads[i], a.has_keys[i]
        return AttentionWeights(
            qkv=self._gated_qkv(at) if a.gated_attention else self._qkv(i),
            query_norm=self._head_norm(i, "attn_q_norm.weight", a.heads),
            key_norm=self._head_norm(i, "attn_k_norm.weight", keys) if own else None,
            value_norm=np.ones(dim, np.float32) if a.value_norms and own else None,
            sinks=self._optional(at, "attn_sinks.weight", a.heads),
            output=self._linear(a.heads * dim, MatrixPart(f"{at}.attn_output", a.hidden)),
        )

    def _latent_attention(self, at: str, form: Latent) -> AttentionWeights:
        """See `Latent`. The rows of pairs are in the order of `Architecture.rotary_order`."""
        a, turned = self.architecture, self.architecture.rotary_order(self.architecture.heads)
        queries = MatrixPart(f"{at}.attn_q", a.heads * a.head_dim, order=turned)
        first, query_norm, second = queries, None, None
        if form.query_rank:
            first = MatrixPart(f"{at}.attn_q_a", form.query_rank)
            query_norm = self.tensors.vector(f"{at}.attn_q_a_norm.weight", form.query_rank)
            second = self._linear(form.query_rank, replace(queries, name=f"{at}.attn_q_b"))
        order, kept = a.rotary_order(1), a.head_dim - form.rotated
        assert order is not None
        shared = np.hstack([np.arange(form.rank), form.rank + order[order >= kept] - kept])
        keys, values = self._keys_and_values(at, form)
        return AttentionWeights(
            qkv=self._linear(
                a.hidden, first, MatrixPart(f"{at}.attn_kv_a_mqa", len(shared), order=shared)
            ),
            latent=LatentWeights(
                query_norm=query_norm,
                queries=second,
                norm=self.tensors.vector(f"{at}.attn_kv_a_norm.weight", form.rank),
                keys=keys,
                values=values,
            ),
            output=self._linear(
                a.heads * form.value_dim, MatrixPart(f"{at}.attn_output", a.hidden)
            ),
        )

    def _keys_and_values(self, at: str, form: Latent) -> tuple[Matrix, Matrix]:
        """The matrices of keys and values, which are one tensor in old files.

        In newer ones, each head's matrix of keys is transposed, to multiply queries.
        """
        a, kept = self.architecture, self.architecture.head_dim - form.rotated
        if f"{at}.attn_kv_b.weight" in self.tensors:
            rows = np.arange(a.heads * (kept + form.value_dim)).reshape(a.heads, -1)
            both = (
                MatrixPart(f"{at}.attn_kv_b", rows.size, order=part.reshape(-1))
                for part in (rows[:, :kept], rows[:, kept:])
            )
            keys, values = (self._linear(form.rank, part) for part in both)
            return keys, values
        values = MatrixPart(f"{at}.attn_v_b", form.value_dim)
        turned = self.tensors.transposed(f"{at}.attn_k_b", a.heads, kept, form.rank)
        stacked = self.tensors.stack(values, a.heads, form.rank)
        return (
            self._joined(turned, form.rank, a.heads * kept),
            self._joined(stacked, form.rank, a.heads * form.value_dim),
        )

    def _joined(self, stack: Read, width: int, rows: int) -> Matrix:
        """The matrices of a stack as one with `rows` rows."""

        def read(_: int) -> Run[Part]:
            matrices, kind = stack()
            return [(matrices.reshape(rows, -1), kind)]

        return self._kept(_Unread(width, rows, read), 0)

    def _optional(self, at: str, name: str, size: int) -> np.ndarray | None:
        a = self.architecture
        optional = name in a.optional_tensors and f"{at}.{name}" in self.tensors
        if name not in a.layer_tensors and not optional:
            return None
        return self.tensors.vector(f"{at}.{name}", size)

    def _norm_before(self, name: str) -> np.ndarray | None:
        a = self.architecture
        return self.tensors.vector(name, a.hidden) if a.norm_before else None

    def _head_norm(self, i: int, name: str, heads: int) -> np.ndarray | None:
        """The norm of each of `heads` heads of a layer, or of all together."""
        a, dim, at = self.architecture, self.architecture.layer_heads[i].dim, f"blk.{i}"
        count = heads if self.tensors.size(f"{at}.{name}") > dim else 1
        norm, order = self._optional(at, name, count * dim), a.rotary_order(count, i)
        return norm if norm is None or order is None else norm[order]

    def _gated_qkv(self, at: str) -> Matrix:
        """With gates. In a file, those of a head follow its queries."""
        a = self.architecture
        rows = np.arange(a.heads * a.head_dim)
        apart = rows // a.head_dim * a.head_dim + rows
        turned = a.rotary_order(a.heads)
        queries = apart if turned is None else apart[turned]
        return self._linear(
            a.hidden,
            MatrixPart(f"{at}.attn_q", 2 * len(rows), order=queries),
            MatrixPart(f"{at}.attn_k", a.kv_heads * a.head_dim, order=a.rotary_order(a.kv_heads)),
            MatrixPart(f"{at}.attn_v", a.kv_heads * a.head_dim),
            MatrixPart(f"{at}.attn_q", 2 * len(rows), order=apart + a.head_dim),
        )

    def _qkv(self, i: int) -> Matrix:
        a, (keys, dim), at = self.architecture, self.architecture.layer_heads[i], f"blk.{i}"
        fused = f"{at}.attn_qkv.weight" in self.tensors
        same = a.keys_as_values and f"{at}.attn_v.weight" not in self.tensors
        each = (
            ("attn_q", a.heads, a.rotary_order(a.heads, i)),
            ("attn_k", keys, a.rotary_order(keys, i)),
            ("attn_k" if same else "attn_v", keys, None),
        )[: 3 if a.has_keys[i] else 1]
        whole, start = sum(heads for _, heads, _ in each) * dim, 0
        parts: list[MatrixPart] = []
        for name, heads, order in each:
            rows = heads * dim
            if fused:
                parts.append(MatrixPart(f"{at}.attn_qkv", rows, start, whole, order))
            else:
                parts.append(MatrixPart(f"{at}.{name}", rows, order=order))
            start += rows
        return self._linear(a.hidden, *parts)

    def _feed_forward(self, i: int) -> tuple[Matrix, Matrix]:
        a, at = self.architecture, f"blk.{i}"
        # In Phi, both are one tensor, in this order.
        size = a.dense_size(i)
        parts = self._gate_up(f"{at}.ffn_gate", f"{at}.ffn_up", f"{at}.ffn_up", size)
        gate_up = self._linear(a.hidden, *parts, gated=a.has_gates)
        return gate_up, self._linear(size, MatrixPart(f"{at}.ffn_down", a.hidden))

    def _mixture(self, at: str, experts: Experts) -> Mixture:
        a = self.architecture
        # In newer files, both are one tensor, in this order.
        gate, up, both = (f"{at}.ffn_{name}_exps" for name in ("gate", "up", "gate_up"))
        gate_up = self._gate_up(gate, up, both, a.feed_forward)
        down = MatrixPart(f"{at}.ffn_down_exps", a.hidden)
        router = MatrixPart(f"{at}.ffn_gate_inp", experts.count)
        biased = f"{down.name}.bias" in self.tensors
        before = self._stack(experts.count, a.hidden, gate_up, biased=biased, gated=a.has_gates)
        after = self._stack(experts.count, a.feed_forward, [down], biased=biased)
        correction = f"{at}.exp_probs_b.bias"
        known = correction in self.tensors
        return Mixture(
            router=self._router(
                router, f"{at}.ffn_gate_inp_shexp.weight" if experts.gated else None
            ),
            router_norm=self._router_norm(at) if experts.beside else None,
            router_bias=self._bias((router,)),
            correction=self.tensors.vector(correction, experts.count) if known else None,
            expert_scales=self._scales(f"{down.name}.scale", experts) if experts.beside else None,
            experts=(*map(Expert, before, after), *self._shared(at, experts.shared)),
            used=experts.used,
            shared=experts.shared,
            gated=experts.gated,
            normalized=experts.normalized,
            sigmoid=experts.sigmoid,
            scale=experts.scale,
            groups=experts.groups,
            used_groups=experts.used_groups,
        )

    def _router_norm(self, at: str) -> np.ndarray:
        """With the factor for what it reads, which files do not contain."""
        hidden = self.architecture.hidden
        return self.tensors.vector(f"{at}.ffn_gate_inp.scale", hidden) * np.float32(hidden**-0.5)

    def _scales(self, name: str, experts: Experts) -> np.ndarray | None:
        return self.tensors.vector(name, experts.count) if name in self.tensors else None

    def _shared(self, at: str, count: int) -> Iterator[Expert]:
        """A wide feed-forward of all rows, as `count` experts of the usual size."""
        a = self.architecture
        if not count:
            return
        size, gate, up = a.feed_forward, f"{at}.ffn_gate_shexp", f"{at}.ffn_up_shexp"
        columns = self.tensors.columns(f"{at}.ffn_down_shexp", a.hidden, size, count)
        down = _Unread(size, a.hidden, _each([columns]))
        # In some folders, gates and ups are one tensor, in this order.
        whole, second = count * size, 0
        if a.has_gates and f"{gate}.weight" not in self.tensors:
            gate, whole, second = up, 2 * whole, whole
        for i in range(count):
            parts = [MatrixPart(up, size, second + i * size, whole)]
            if a.has_gates:
                parts = [MatrixPart(gate, size, i * size, whole), *parts]
            yield Expert(self._linear(a.hidden, *parts, gated=a.has_gates), self._kept(down, i))

    def _gate_up(self, gate: str, up: str, both: str, size: int) -> list[MatrixPart]:
        if not self.architecture.has_gates:
            return [MatrixPart(up, size)]
        if f"{gate}.weight" in self.tensors:
            return [MatrixPart(gate, size), MatrixPart(up, size)]
        return [MatrixPart(both, 2 * size)]

    def _router(self, part: MatrixPart, gate: str | None) -> np.ndarray:
        """See `Mixture.router`."""
        hidden = self.architecture.hidden
        rows, kind = self.tensors.rows(part, hidden)()
        router = dequantize(rows.reshape(-1), kind, (part.rows, hidden))
        return np.vstack([router, self.tensors.vector(gate, hidden)]) if gate else router

    def _stack(
        self, count: int, width: int, parts: list[MatrixPart], *, biased: bool, gated: bool = False
    ) -> list[Matrix]:
        """As `_linear`, for each of `count` experts. A tensor contains the matrices of all experts.

        They are unpacked one by one.
        """
        stacks = [self.tensors.stack(part, count, width) for part in parts]
        biases: list[np.ndarray | None] = [None] * count
        if biased:
            biases = [*np.hstack([self.tensors.biases(part, count) for part in parts])]
        # One sample for the whole tensor: a model can have 18,000 experts.
        sample = max(1, SAMPLE // count)
        unread = _Unread(width, sum(part.rows for part in parts), _each(stacks))
        return [
            self._kept(unread, i, bias, gated=gated, sample=sample) for i, bias in enumerate(biases)
        ]

    def _linear(self, width: int, *parts: MatrixPart, gated: bool = False) -> Matrix:
        """One Matrix from several parts with the same input, stacked."""
        reads = [self.tensors.rows(part, width) for part in parts]
        rows = sum(part.rows if part.order is None else len(part.order) for part in parts)
        unread = _Unread(width, rows, lambda _: [read() for read in reads])
        return self._kept(unread, 0, self._bias(parts), gated=gated)

    def _kept(
        self,
        unread: _Unread,
        i: int,
        bias: np.ndarray | None = None,
        *,
        gated: bool = False,
        sample: int = SAMPLE,
    ) -> Matrix:
        """Matrix `i`, packed if possible. The bytes of the file are then not needed."""
        width, rows, read = unread
        kernels = self.kernels
        if kernels is None or not PackedMatrix.fits(rows, width, gated=gated):
            return Matrix(width, read(i), bias)

        def make() -> PackedMatrix:
            return pack(kernels, Matrix(width, read(i)), gated=gated, sample=sample)

        return Matrix(width, (), bias, self.shelf.next(rows, width, gated, make))

    def _bias(self, parts: Run[MatrixPart]) -> np.ndarray | None:
        if f"{parts[0].name}.bias" not in self.tensors:
            return None
        return np.concatenate([self.tensors.bias(part) for part in parts])
