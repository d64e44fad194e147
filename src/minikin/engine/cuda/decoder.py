"""One forward pass of a decoder on a GPU."""

from __future__ import annotations

from collections.abc import Sequence as Run

import numpy as np
import torch

from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.mixture import mix
from minikin.engine.cuda.operations import HeadForm, Operations
from minikin.engine.cuda.rows import Inputs, split
from minikin.engine.cuda.weights import DeviceLayer
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.batch import Batch
from minikin.engine.model.rope import Table, rotary_tables
from minikin.engine.model.weights import Weights
from minikin.engine.pytorch.attention import AttentionForm
from minikin.engine.pytorch.choose import TorchChooser
from minikin.engine.pytorch.upload import upload


class CudaDecoder:
    """Embedding, layers of attention and feed-forward, norm, head. See `Decoder`.

    Rows of answers and rows of prompts are passes of their own. The residual stream is float32.
    All layers must be attention: `TorchDecoder` computes those with a state.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        operations: Operations,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """`dtype` is that of the matrices that are not packed."""
        self.architecture = a = architecture
        self.device = device
        self.native = operations.independent
        self.chooser = TorchChooser()
        self._operations = operations
        self._embedding = DeviceMatrix.of([weights.embedding], dtype, device)
        self._layers = [DeviceLayer.of(layer, dtype, device) for layer in weights.layers]
        self._final_norm = torch.from_numpy(weights.norm).to(device)
        tied = weights.head is weights.embedding
        self._head = self._embedding if tied else DeviceMatrix.of([weights.head], dtype, device)
        tables = _on_device(rotary_tables(a.ropes, a.context_length, a.head_dim), device)
        self._heads = [
            HeadForm(
                heads=a.heads,
                kv_heads=a.kv_heads,
                dim=a.head_dim,
                query_norm=layer.query_norm,
                key_norm=layer.key_norm,
                late_norms=a.late_norms,
                epsilon=a.norm_epsilon,
                rotations=rotations,
                attention=AttentionForm(
                    a.attention_scale, window, a.attention_softcap, layer.sinks
                ),
            )
            for window, layer, rotations in zip(a.windows, self._layers, tables, strict=True)
        ]

    @torch.no_grad()
    def hidden(self, batch: Batch, cache: PagedCache) -> torch.Tensor:
        """See `Decoder`."""
        parts = [rows for rows in split(batch) if rows is not None]
        if len(parts) == 1:
            return self.run(parts[0].inputs(self.device), cache)
        computed = torch.cat([self.run(rows.inputs(self.device), cache) for rows in parts])
        places = upload(self.device, *(rows.places for rows in parts))
        return torch.empty_like(computed).index_copy_(0, torch.cat(places), computed)

    @torch.no_grad()
    def logits(self, hidden: torch.Tensor, few: int) -> torch.Tensor:
        """See `Decoder`. All rows are computed in the same way."""
        a = self.architecture
        x = self._operations.add(hidden, None, None, self._final_norm, a.norm_epsilon)
        logits = self._operations.product(x, self._head)
        cap = a.logit_softcap
        return cap * torch.tanh(logits / cap) if cap else logits

    def run(self, inputs: Inputs, cache: PagedCache) -> torch.Tensor:
        """The output of the last layer for these rows. It launches kernels, and waits for none."""
        a, ops = self.architecture, self._operations
        x = self._embedding.rows(inputs.tokens)
        if a.embedding_scale != 1:
            x = x * a.embedding_scale
        y = ops.add(x, None, None, self._layers[0].attention_norm, a.norm_epsilon)
        following = [layer.attention_norm for layer in self._layers[1:]] + [None]
        for i, (layer, form) in enumerate(zip(self._layers, self._heads, strict=True)):
            keys, values = cache.keys[i], cache.values[i]
            q = ops.turn(ops.product(y, layer.qkv), form, inputs, keys, values)
            added = ops.product(ops.attend(q, form, inputs, keys, values), layer.output)
            y = ops.add(
                x, added, layer.attention_post_norm, layer.feed_forward_norm, a.norm_epsilon
            )
            added = self._feed_forward(layer, y, inputs)
            y = ops.add(x, added, layer.feed_forward_post_norm, following[i], a.norm_epsilon)
        return x

    def _feed_forward(self, layer: DeviceLayer, y: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        ops, activation = self._operations, self.architecture.activation
        if layer.mixture is not None:
            return mix(layer.mixture, y, ops, activation, prompts=inputs.prompts)
        assert layer.gate_up is not None
        assert layer.down is not None
        return ops.product(ops.activate(ops.product(y, layer.gate_up), activation), layer.down)


_Tables = tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def _on_device(tables: Run[tuple[Table, Table]], device: torch.device) -> list[_Tables]:
    """The tables of queries and keys of each layer. Equal ones share memory."""
    moved: dict[int, torch.Tensor] = {}

    def tensor(part: np.ndarray) -> torch.Tensor:
        if id(part) not in moved:
            moved[id(part)] = torch.from_numpy(part).to(device)
        return moved[id(part)]

    return [
        ((tensor(queries[0]), tensor(queries[1])), (tensor(keys[0]), tensor(keys[1])))
        for queries, keys in tables
    ]
