"""One forward pass of a llama-family decoder over a batch of spans."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.architecture import Architecture
from minikin.engine.batch import Batch, Rows
from minikin.engine.kv_cache import KVCache
from minikin.engine.native.kernels import Kernels
from minikin.engine.native.layers import MOST_ROWS, NativeLayers
from minikin.engine.weights import LayerWeights, Weights


class Decoder:
    """Embedding, layers of attention and feed-forward, norm, head.

    The residual stream is float32; what goes into a matrix is in the weights' type. Rotary
    positions follow Su et al. 2021 (RoFormer), grouped queries Ainslie et al. 2023, the gated
    feed-forward Shazeer 2020.
    """

    def __init__(
        self, architecture: Architecture, weights: Weights, kernels: Kernels | None = None
    ) -> None:
        self.architecture = architecture
        self.weights = weights
        self.dtype = weights.embedding.dtype
        self.device = weights.embedding.device
        self._rotation = _rotary_table(architecture, self.device)
        self._native = None
        if kernels is not None and NativeLayers.fit(architecture, weights):
            self._native = NativeLayers(kernels, architecture, weights, self._rotation)

    @torch.inference_mode()
    def forward(self, batch: Batch, cache: KVCache) -> torch.Tensor:
        """Logits [R, vocabulary] in float32, one row for each of `batch.sampled_rows`.

        Writes the keys and values of all the batch's tokens into `cache`.
        """
        x = F.embedding(batch.tokens, self.weights.embedding).float()
        native = self._native
        if native is not None and len(x) <= MOST_ROWS:
            native.forward(x, batch, cache)
        else:
            self._layers(x, batch, cache)
        x = x[batch.sampled_rows]
        if native is not None and 0 < len(x) <= MOST_ROWS:
            return native.logits(x)
        return self.weights.head(self._norm(x, self.weights.norm)).float()

    def _layers(self, x: torch.Tensor, batch: Batch, cache: KVCache) -> None:
        """Run all layers on x [T, hidden], in place."""
        cosine, sine = (table[batch.positions] for table in self._rotation)
        seen = _Seen(batch, self.dtype)
        for i, layer in enumerate(self.weights.layers):
            kv = cache.keys[i], cache.values[i]
            x += self._attention(layer, x, (cosine, sine), batch.slots, seen, kv)
            x += self._feed_forward(layer, x)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        epsilon = self.architecture.norm_epsilon
        return F.rms_norm(x, (x.shape[-1],), weight, epsilon).to(self.dtype)

    def _feed_forward(self, layer: LayerWeights, x: torch.Tensor) -> torch.Tensor:
        gate, up = layer.gate_up(self._norm(x, layer.feed_forward_norm)).chunk(2, dim=-1)
        return layer.down(F.silu(gate) * up)

    def _attention(
        self,
        layer: LayerWeights,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        slots: torch.Tensor,
        seen: _Seen,
        kv: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        a = self.architecture
        keys, values = kv
        qkv = layer.qkv(self._norm(x, layer.attention_norm)).view(x.shape[0], -1, a.head_dim)
        q, k, v = qkv.split([a.heads, a.kv_heads, a.kv_heads], dim=1)
        keys[slots] = _rotate(k, rotation)
        values[slots] = v
        q = _rotate(q, rotation)
        out = torch.empty_like(q)
        if seen.singles:
            out[: seen.singles] = _attend_singles(q[: seen.singles], seen, keys, values)
        for chunk in seen.chunks:
            out[chunk.start : chunk.stop] = _attend_chunk(
                q[chunk.start : chunk.stop], keys[chunk.seen], values[chunk.seen], chunk.position
            )
        return layer.output(out.flatten(1))


class _Seen:
    """What each row may look at: single tokens in one padded table, longer spans one by one."""

    def __init__(self, batch: Batch, dtype: torch.dtype) -> None:
        rows = batch.rows()
        self.singles = batch.singles
        self.chunks: list[Rows] = rows[self.singles :]
        single = [row.seen for row in rows[: self.singles]]
        self.context = torch.nn.utils.rnn.pad_sequence(single, batch_first=True) if single else None
        """[singles, longest] slots."""
        if self.context is not None:
            lengths = batch.positions[: self.singles, None] + 1
            places = torch.arange(self.context.shape[1], device=lengths.device)
            padding = (places >= lengths)[:, None, None]
            self.mask = torch.zeros_like(padding, dtype=dtype).masked_fill(padding, -torch.inf)


def _attend_singles(
    q: torch.Tensor, seen: _Seen, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """[B, heads, head_dim] queries of B sequences, one each, against their own contexts."""
    rows, heads, dim = q.shape
    k = keys[seen.context].transpose(1, 2)
    v = values[seen.context].transpose(1, 2)
    # The queries that share a key head become that head's query rows.
    grouped = q.view(rows, k.shape[1], -1, dim)
    out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=seen.mask)
    return out.reshape(rows, heads, dim)


def _attend_chunk(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int) -> torch.Tensor:
    """[L, heads, head_dim] queries of one sequence from `position` on, against its [T] tokens."""
    mask = None
    if position:
        length, seen = q.shape[0], k.shape[0]
        mask = torch.ones(length, seen, dtype=torch.bool, device=q.device).tril(position)
    out = F.scaled_dot_product_attention(
        q.transpose(0, 1)[None],
        k.transpose(0, 1)[None],
        v.transpose(0, 1)[None],
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=True,
    )
    return out[0].transpose(0, 1)


def _rotary_table(a: Architecture, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, each [context, head_dim / 2] float32."""
    exponent = torch.arange(0, a.head_dim, 2, dtype=torch.float64) / a.head_dim
    angle = torch.outer(torch.arange(a.context_length, dtype=torch.float64), a.rope_base**-exponent)
    return angle.cos().float().to(device), angle.sin().float().to(device)


def _rotate(x: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each pair (i, i + head_dim / 2) of x [T, heads, head_dim] by its position's angle."""
    cosine, sine = (part[:, None] for part in rotation)
    left, right = x.float().chunk(2, dim=-1)
    turned = torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)
    return turned.to(x.dtype)
