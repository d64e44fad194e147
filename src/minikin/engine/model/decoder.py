"""One forward pass of a decoder over a batch of spans."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.model.activation import ACTIVATIONS
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.attention import AttentionForm, Seen, attend
from minikin.engine.model.batch import Batch
from minikin.engine.model.choose import Chooser, TorchChooser
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.native_layers import NativeLayers
from minikin.engine.model.rope import rotate
from minikin.engine.model.weights import LayerWeights, Weights
from minikin.engine.native.kernels import Kernels


class Decoder:
    """Embedding, layers of attention and feed-forward, norm, head.

    The residual stream is float32. The inputs of a matrix have the type of its weights. Rotary
    positions are from Su et al. 2021 (RoFormer), grouped queries from Ainslie et al. 2023, the
    gated feed-forward from Shazeer 2020.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        device: torch.device,
        kernels: Kernels | None = None,
    ) -> None:
        self.architecture = a = architecture
        self.weights = weights
        self.device = device
        self._rotations = _rotary_tables(architecture, device)
        self._forms = [
            AttentionForm(a.attention_scale, window, a.attention_softcap, layer.sinks)
            for window, layer in zip(a.windows, weights.layers, strict=True)
        ]
        self._activation = ACTIVATIONS[architecture.activation]
        self._native = None
        if kernels is not None and NativeLayers.fit(architecture, weights):
            self._native = NativeLayers(kernels, architecture, weights, self._rotations)
        self.chooser: Chooser = TorchChooser() if kernels is None else kernels
        """What chooses from this decoder's logits."""

    @property
    def native(self) -> bool:
        """Whether complete layers run in the native kernels, not only matrix products."""
        return self._native is not None

    @torch.inference_mode()
    def forward(self, batch: Batch, cache: KVCache) -> torch.Tensor:
        """Logits [R, vocabulary] in float32, one row for each of `batch.sampled_rows`.

        Writes the keys and values of all tokens of the batch into `cache`.
        """
        x = self.weights.embedding.rows(batch.tokens)
        if self.architecture.embedding_scale != 1:
            x = x * self.architecture.embedding_scale
        if self._native is not None:
            self._native.forward(x, batch, cache)
            logits = self._native.logits(x[batch.sampled_rows], batch.few_sampled)
        else:
            self._layers(x, batch, cache)
            logits = self.weights.head(self._norm(x[batch.sampled_rows], self.weights.norm)).float()
        cap = self.architecture.logit_softcap
        return cap * torch.tanh(logits / cap) if cap else logits

    def _layers(self, x: torch.Tensor, batch: Batch, cache: KVCache) -> None:
        """Run all layers on x [T, hidden], in place."""
        seen = Seen(batch, self.weights.dtype)
        for i, layer in enumerate(self.weights.layers):
            added = self._attention(i, layer, x, batch, seen, cache)
            x += self._norm(added, layer.attention_post_norm)
            x += self._norm(self._feed_forward(layer, x), layer.feed_forward_post_norm)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """The RMS norm over the last dimension. With a weight of None, x itself."""
        if weight is None:
            return x
        return F.rms_norm(x.float(), weight.shape, weight, self.architecture.norm_epsilon)

    def _feed_forward(self, layer: LayerWeights, x: torch.Tensor) -> torch.Tensor:
        x = self._norm(x, layer.feed_forward_norm)
        if layer.mixture is not None:
            return layer.mixture(x, self._activation)
        return layer.down(self._activation(layer.gate_up(x)))

    def _attention(
        self, i: int, layer: LayerWeights, x: torch.Tensor, batch: Batch, seen: Seen, cache: KVCache
    ) -> torch.Tensor:
        a = self.architecture
        qkv = layer.qkv(self._norm(x, layer.attention_norm)).view(x.shape[0], -1, a.head_dim)
        q, k, v = qkv.split([a.heads, a.kv_heads, a.kv_heads], dim=1)
        cosine, sine = self._rotations[i]
        rotation = cosine[batch.positions], sine[batch.positions]
        cache.write(i, batch.slots, rotate(self._norm(k, layer.key_norm), rotation), v)
        q = rotate(self._norm(q, layer.query_norm), rotation).to(self.weights.dtype)
        return layer.output(attend(q, cache, i, seen, self._forms[i]).flatten(1))


def _rotary_tables(
    a: Architecture, device: torch.device
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The `Rope.table` of each layer. Layers with equal RoPE share one."""
    tables = {}
    for rope in set(a.ropes):
        cosine, sine = rope.table(a.context_length, a.head_dim)
        tables[rope] = cosine.to(device), sine.to(device)
    return [tables[rope] for rope in a.ropes]
