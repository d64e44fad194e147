"""A model's tensors, read from its file and laid out for the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.architecture import Architecture
from minikin.engine.blocks import Blocks
from minikin.engine.dequantize import dequantize
from minikin.engine.gguf import GGMLType, GGUFFile
from minikin.engine.linear import Int4Weight, Linear
from minikin.engine.native.kernels import Kernels, PackedMatrix
from minikin.errors import ModelFileError


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One decoder layer. Norms are float32 vectors of the hidden size."""

    attention_norm: torch.Tensor
    qkv: Linear
    """Hidden -> queries, keys and values, in this order."""
    output: Linear
    feed_forward_norm: torch.Tensor
    gate_up: Linear
    """Hidden -> gate and up, in this order."""
    down: Linear


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A whole model."""

    embedding: torch.Tensor
    """[vocabulary, hidden]."""
    layers: tuple[LayerWeights, ...]
    norm: torch.Tensor
    head: Linear
    """Hidden -> logits."""


def load_weights(
    file: GGUFFile,
    architecture: Architecture,
    *,
    dtype: torch.dtype,
    device: torch.device,
    kernels: Kernels | None = None,
) -> Weights:
    """Read every tensor of the model, for `kernels` too if there are any.

    Raises ModelFileError for a tensor that is absent or misshapen.
    """
    return _Loader(file, architecture, dtype, device, kernels).load()


class _Loader:
    def __init__(
        self,
        file: GGUFFile,
        architecture: Architecture,
        dtype: torch.dtype,
        device: torch.device,
        kernels: Kernels | None,
    ) -> None:
        self.file = file
        self.architecture = architecture
        self.dtype = dtype
        self.device = device
        self.kernels = kernels

    def load(self) -> Weights:
        a = self.architecture
        tied = "output.weight" not in self.file.tensors
        head = self._linear(a.hidden, {"token_embd" if tied else "output": a.vocab_size})
        embedding = (
            head.weight
            if tied
            else self._dense("token_embd.weight", (a.vocab_size, a.hidden)).to(self.dtype)
        )
        return Weights(
            embedding=embedding,
            layers=tuple(self._layer(f"blk.{i}") for i in range(a.layers)),
            norm=self._dense("output_norm.weight", (a.hidden,)),
            head=head,
        )

    def _layer(self, at: str) -> LayerWeights:
        a = self.architecture
        queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
        return LayerWeights(
            attention_norm=self._dense(f"{at}.attn_norm.weight", (a.hidden,)),
            qkv=self._linear(
                a.hidden,
                {f"{at}.attn_q": queries, f"{at}.attn_k": keys, f"{at}.attn_v": keys},
            ),
            output=self._linear(queries, {f"{at}.attn_output": a.hidden}),
            feed_forward_norm=self._dense(f"{at}.ffn_norm.weight", (a.hidden,)),
            gate_up=self._linear(
                a.hidden, {f"{at}.ffn_gate": a.feed_forward, f"{at}.ffn_up": a.feed_forward}
            ),
            down=self._linear(a.feed_forward, {f"{at}.ffn_down": a.hidden}),
        )

    def _linear(self, width: int, parts: dict[str, int]) -> Linear:
        """One Linear from tensors (name without `.weight` -> rows) that share their input."""
        names = [f"{part}.weight" for part in parts]
        shapes = [(rows, width) for rows in parts.values()]
        dense = torch.cat([self._dense(n, s) for n, s in zip(names, shapes, strict=True)])
        linear = Linear(dense.to(self.dtype))
        kinds = {self.file.tensors[name].type for name in names}
        if self.device.type == "cpu" and len(kinds) == 1:
            rows = np.concatenate([self._rows(n, s) for n, s in zip(names, shapes, strict=True)])
            self._add_packed(linear, rows, kinds.pop(), (sum(parts.values()), width))
        return linear

    def _add_packed(
        self, linear: Linear, rows: np.ndarray, kind: GGMLType, shape: tuple[int, int]
    ) -> None:
        """Keep the file's own blocks too, for steps of few rows."""
        if not Blocks.can_read(kind):
            return
        blocks = Blocks.read(rows, kind, shape)
        if self.kernels is not None and PackedMatrix.fits(*shape):
            linear.packed = PackedMatrix(self.kernels.library, blocks)
        elif blocks.bits == 4:
            linear.int4 = Int4Weight(blocks)

    def _dense(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        rows = self._rows(name, shape)
        values = dequantize(rows.reshape(-1), self.file.tensors[name].type, shape)
        return torch.from_numpy(values).to(self.device)

    def _rows(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor's packed bytes, [rows, bytes a row]."""
        info = self.file.tensors.get(name)
        if info is None or info.shape != shape:
            found = "absent" if info is None else f"of the shape {info.shape}"
            raise ModelFileError(f"The tensor {name} should have the shape {shape} but is {found}.")
        rows = self.file.data(name).reshape(shape[0], -1)
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            rows = _halves_apart(rows, self.architecture.head_dim)
        return rows


def _halves_apart(rows: np.ndarray, head_dim: int) -> np.ndarray:
    """Reorder each head's rows from rotary pairs side by side to halves apart.

    GGUF files of the llama architecture keep the two rows of a rotary pair next to each other;
    the decoder rotates row i with row i + head_dim / 2.
    """
    paired = rows.reshape(-1, head_dim // 2, 2, rows.shape[1])
    return paired.swapaxes(1, 2).reshape(rows.shape)
