"""A model's tensors, read from its file and laid out for the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.architecture import Architecture
from minikin.engine.blocks import Blocks
from minikin.engine.dequantize import dequantize
from minikin.engine.gguf import GGUFFile
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

    dtype: torch.dtype
    """Of dense matrices, and of what attention computes with."""
    embedding: Linear
    """A row of the hidden size for each token."""
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
        embedding = self._linear(a.hidden, {"token_embd": a.vocab_size})
        head = embedding if tied else self._linear(a.hidden, {"output": a.vocab_size})
        return Weights(
            dtype=self.dtype,
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
                a.hidden,
                {f"{at}.ffn_gate": a.feed_forward, f"{at}.ffn_up": a.feed_forward},
                gated=True,
            ),
            down=self._linear(a.feed_forward, {f"{at}.ffn_down": a.hidden}),
        )

    def _linear(self, width: int, parts: dict[str, int], *, gated: bool = False) -> Linear:
        """One Linear from tensors (name without `.weight` -> rows) that share their input."""
        shapes = {f"{part}.weight": (rows, width) for part, rows in parts.items()}
        read = [(self._rows(*of), self.file.tensors[of[0]].type) for of in shapes.items()]
        blocks = Blocks.stack(read) if self.device.type == "cpu" else None
        fits = PackedMatrix.fits(sum(parts.values()), width)
        if self.kernels is not None and blocks is not None and fits:
            return Linear(packed=PackedMatrix(self.kernels, blocks, gated=gated))
        dense = torch.cat([self._dense(name, shape) for name, shape in shapes.items()])
        int4 = Int4Weight(blocks) if blocks is not None and blocks.bits == 4 else None
        return Linear(dense.to(self.dtype), int4=int4)

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
