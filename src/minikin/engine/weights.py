"""A model's tensors, read from its file and laid out for the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.architecture import Architecture
from minikin.engine.blocks import Blocks
from minikin.engine.dequantize import dequantize
from minikin.engine.linear import Int4Weight, Linear
from minikin.engine.model_file import ModelFile
from minikin.engine.native.kernels import Kernels, PackedMatrix
from minikin.engine.tensors import Part, Tensors
from minikin.errors import ModelFileError


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One decoder layer. Norms are float32 vectors; those that a family lacks are None."""

    attention_norm: torch.Tensor
    qkv: Linear
    """Hidden -> queries, keys and values, in this order."""
    query_norm: torch.Tensor | None = None
    """[head_dim], over each head, before the rotation."""
    key_norm: torch.Tensor | None = None
    output: Linear
    attention_post_norm: torch.Tensor | None = None
    """[hidden], over what attention adds to the residual stream."""
    feed_forward_norm: torch.Tensor
    gate_up: Linear
    """Hidden -> gate and up, in this order."""
    down: Linear
    feed_forward_post_norm: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A whole model."""

    dtype: torch.dtype
    """Of dense matrices, and of what attention computes with."""
    embedding: Linear
    """A row of the hidden size for each token."""
    layers: tuple[LayerWeights, ...]
    norm: torch.Tensor
    head: Linear
    """Hidden -> logits."""


def load_weights(
    file: ModelFile,
    architecture: Architecture,
    *,
    dtype: torch.dtype,
    device: torch.device,
    kernels: Kernels | None = None,
) -> Weights:
    """Read every tensor of the model, for `kernels` too if there are any.

    Raises ModelFileError for a tensor that is absent or misshapen, or that the family lacks.
    """
    return _Loader(file, architecture, dtype, device, kernels).load()


class _Loader:
    def __init__(
        self,
        file: ModelFile,
        architecture: Architecture,
        dtype: torch.dtype,
        device: torch.device,
        kernels: Kernels | None,
    ) -> None:
        self.tensors = Tensors(file)
        self.architecture = architecture
        self.dtype = dtype
        self.device = device
        self.kernels = kernels

    def load(self) -> Weights:
        a = self.architecture
        tied = "output.weight" not in self.tensors
        embedding = self._linear(a.hidden, Part("token_embd", a.vocab_size))
        weights = Weights(
            dtype=self.dtype,
            embedding=embedding,
            layers=tuple(self._layer(f"blk.{i}") for i in range(a.layers)),
            norm=self._vector("output_norm.weight", a.hidden),
            head=embedding if tied else self._linear(a.hidden, Part("output", a.vocab_size)),
        )
        self.tensors.check_all_taken()
        return weights

    def _layer(self, at: str) -> LayerWeights:
        a = self.architecture
        for name in a.layer_tensors:
            if f"{at}.{name}" not in self.tensors:
                raise ModelFileError(f"The model file lacks the tensor {at}.{name}.")
        return LayerWeights(
            attention_norm=self._vector(f"{at}.attn_norm.weight", a.hidden),
            qkv=self._qkv(at),
            query_norm=self._optional(at, "attn_q_norm.weight", a.head_dim),
            key_norm=self._optional(at, "attn_k_norm.weight", a.head_dim),
            output=self._linear(a.heads * a.head_dim, Part(f"{at}.attn_output", a.hidden)),
            attention_post_norm=self._optional(at, "post_attention_norm.weight", a.hidden),
            feed_forward_norm=self._vector(f"{at}.ffn_norm.weight", a.hidden),
            gate_up=self._gate_up(at),
            down=self._linear(a.feed_forward, Part(f"{at}.ffn_down", a.hidden)),
            feed_forward_post_norm=self._optional(at, "post_ffw_norm.weight", a.hidden),
        )

    def _vector(self, name: str, size: int) -> torch.Tensor:
        return self.tensors.vector(name, size).to(self.device)

    def _optional(self, at: str, name: str, size: int) -> torch.Tensor | None:
        if name not in self.architecture.layer_tensors:
            return None
        return self._vector(f"{at}.{name}", size)

    def _qkv(self, at: str) -> Linear:
        a = self.architecture
        fused = f"{at}.attn_qkv.weight" in self.tensors
        counts = {"attn_q": a.heads, "attn_k": a.kv_heads, "attn_v": a.kv_heads}
        whole, start = sum(counts.values()) * a.head_dim, 0
        parts: list[Part] = []
        for name, heads in counts.items():
            rows, order = heads * a.head_dim, None if name == "attn_v" else a.rotary_order(heads)
            if fused:
                parts.append(Part(f"{at}.attn_qkv", rows, start, whole, order))
            else:
                parts.append(Part(f"{at}.{name}", rows, order=order))
            start += rows
        return self._linear(a.hidden, *parts)

    def _gate_up(self, at: str) -> Linear:
        a = self.architecture
        if f"{at}.ffn_gate.weight" in self.tensors:
            parts = [Part(f"{at}.{name}", a.feed_forward) for name in ("ffn_gate", "ffn_up")]
        else:  # Phi keeps both in one, in this order.
            parts = [Part(f"{at}.ffn_up", 2 * a.feed_forward)]
        return self._linear(a.hidden, *parts, gated=True)

    def _linear(self, width: int, *parts: Part, gated: bool = False) -> Linear:
        """One Linear from rows that share their input, one part below the other."""
        read = [self.tensors.rows(part, width) for part in parts]
        bias = self._bias(parts)
        blocks = Blocks.stack(read) if self.device.type == "cpu" else None
        fits = PackedMatrix.fits(sum(part.rows for part in parts), width)
        if self.kernels is not None and blocks is not None and fits:
            return Linear(bias=bias, packed=PackedMatrix(self.kernels, blocks, gated=gated))
        values = [dequantize(rows.reshape(-1), kind, (len(rows), width)) for rows, kind in read]
        dense = torch.cat([torch.from_numpy(part).to(self.device, self.dtype) for part in values])
        int4 = Int4Weight(blocks) if blocks is not None and blocks.bits == 4 else None
        return Linear(dense, bias, int4=int4)

    def _bias(self, parts: tuple[Part, ...]) -> torch.Tensor | None:
        if f"{parts[0].name}.bias" not in self.tensors:
            return None
        bias = torch.cat([self.tensors.bias(part) for part in parts])
        return bias.to(self.device, self.dtype)
