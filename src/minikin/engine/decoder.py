"""One forward pass of a llama-family decoder over a batch of spans."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.architecture import Architecture
from minikin.engine.batch import Batch, Rows
from minikin.engine.block_pool import BLOCK
from minikin.engine.kv_cache import KVCache
from minikin.engine.native.kernels import Kernels
from minikin.engine.native.layers import NativeLayers
from minikin.engine.sampler import Choose, choose
from minikin.engine.weights import LayerWeights, Weights


class Decoder:
    """Embedding, layers of attention and feed-forward, norm, head.

    The residual stream is float32; what goes into a matrix is in the weights' type. Rotary
    positions follow Su et al. 2021 (RoFormer), grouped queries Ainslie et al. 2023, the gated
    feed-forward Shazeer 2020.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        device: torch.device,
        kernels: Kernels | None = None,
    ) -> None:
        self.architecture = architecture
        self.weights = weights
        self.device = device
        self._rotation = _rotary_table(architecture, device)
        self._native = None
        if kernels is not None and NativeLayers.fit(architecture, weights):
            self._native = NativeLayers(kernels, architecture, weights, self._rotation)
        self.choose: Choose = kernels.choose if kernels is not None else choose
        """The sampler's kernel for this decoder's logits."""

    @torch.inference_mode()
    def forward(self, batch: Batch, cache: KVCache) -> torch.Tensor:
        """Logits [R, vocabulary] in float32, one row for each of `batch.sampled_rows`.

        Writes the keys and values of all the batch's tokens into `cache`.
        """
        x = self.weights.embedding.rows(batch.tokens)
        if self._native is not None:
            self._native.forward(x, batch, cache)
            return self._native.logits(x[batch.sampled_rows], batch.guesses)
        self._layers(x, batch, cache)
        return self.weights.head(self._norm(x[batch.sampled_rows], self.weights.norm)).float()

    def _layers(self, x: torch.Tensor, batch: Batch, cache: KVCache) -> None:
        """Run all layers on x [T, hidden], in place."""
        cosine, sine = (table[batch.positions] for table in self._rotation)
        seen = _Seen(batch, self.weights.dtype)
        for i, layer in enumerate(self.weights.layers):
            x += self._attention(layer, x, (cosine, sine), seen, cache, i)
            x += self._feed_forward(layer, x)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        epsilon = self.architecture.norm_epsilon
        return F.rms_norm(x, (x.shape[-1],), weight, epsilon)

    def _feed_forward(self, layer: LayerWeights, x: torch.Tensor) -> torch.Tensor:
        gate, up = layer.gate_up(self._norm(x, layer.feed_forward_norm)).chunk(2, dim=-1)
        return layer.down(F.silu(gate) * up)

    def _attention(
        self,
        layer: LayerWeights,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        seen: _Seen,
        cache: KVCache,
        index: int,
    ) -> torch.Tensor:
        a = self.architecture
        qkv = layer.qkv(self._norm(x, layer.attention_norm)).view(x.shape[0], -1, a.head_dim)
        q, k, v = qkv.split([a.heads, a.kv_heads, a.kv_heads], dim=1)
        cache.write(index, seen.slots, _rotate(k, rotation), v)
        q = _rotate(q, rotation).to(self.weights.dtype)
        out = torch.empty_like(q)
        if seen.context is not None:
            out[: seen.singles] = _attend_singles(
                q[: seen.singles], seen.mask, *cache.read(index, seen.context)
            )
        for chunk in seen.chunks:
            keys, values = (part[:, : chunk.end] for part in cache.read(index, chunk.blocks))
            out[chunk.start : chunk.stop] = _attend_chunk(
                q[chunk.start : chunk.stop], keys, values, chunk.position
            )
        return layer.output(out.flatten(1))


class _Seen:
    """What each row may look at: single tokens in one padded table, longer spans one by one."""

    def __init__(self, batch: Batch, dtype: torch.dtype) -> None:
        rows = batch.rows()
        self.slots = batch.slots
        self.singles = batch.singles
        self.chunks: list[Rows] = rows[self.singles :]
        single = [row.blocks for row in rows[: self.singles]]
        self.context = torch.nn.utils.rnn.pad_sequence(single, batch_first=True) if single else None
        """[singles, most blocks]."""
        if self.context is not None:
            lengths = batch.positions[: self.singles, None] + 1
            places = torch.arange(self.context.shape[1] * BLOCK, device=lengths.device)
            padding = (places >= lengths)[:, None, None]
            self.mask = torch.zeros_like(padding, dtype=dtype).masked_fill(padding, -torch.inf)


def _attend_singles(
    q: torch.Tensor, mask: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """[B, heads, head_dim] queries of B sequences, one each, against [B, kv_heads, T, head_dim]."""
    rows, heads, dim = q.shape
    # The queries that share a key head become that head's query rows.
    grouped = q.view(rows, keys.shape[1], -1, dim)
    out = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
    return out.reshape(rows, heads, dim)


def _attend_chunk(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int) -> torch.Tensor:
    """[L, heads, head_dim] queries from `position` on, against [kv_heads, T, head_dim]."""
    mask = None
    if position:
        length, seen = q.shape[0], k.shape[1]
        mask = torch.ones(length, seen, dtype=torch.bool, device=q.device).tril(position)
    out = F.scaled_dot_product_attention(
        q.transpose(0, 1)[None],
        k[None],
        v[None],
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
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)
