"""A model's weights as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.model.layer_weights import AttentionWeights, LatentWeights, LayerWeights
from minikin.engine.pytorch.linear import Linear
from minikin.engine.pytorch.memory import RecurrentTensors
from minikin.engine.pytorch.mixture import Mixture
from minikin.engine.pytorch.tensors import optional, tensor


@dataclass(frozen=True, kw_only=True)
class LatentTensors:
    """See `LatentWeights`."""

    query_norm: torch.Tensor | None
    queries: Linear | None
    norm: torch.Tensor
    keys: Linear
    values: Linear

    @classmethod
    def of(cls, same: LatentWeights, dtype: torch.dtype, device: torch.device) -> LatentTensors:
        """The same weights. Dense matrices have this type."""
        return cls(
            query_norm=optional(same.query_norm, device),
            queries=same.queries and Linear.of(same.queries, dtype, device),
            norm=tensor(same.norm, device),
            keys=Linear.of(same.keys, dtype, device),
            values=Linear.of(same.values, dtype, device),
        )


@dataclass(frozen=True, kw_only=True)
class AttentionTensors:
    """See `AttentionWeights`."""

    qkv: Linear
    latent: LatentTensors | None
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    sinks: torch.Tensor | None
    output: Linear

    @classmethod
    def of(
        cls, same: AttentionWeights, dtype: torch.dtype, device: torch.device
    ) -> AttentionTensors:
        """The same, with dense matrices of this type."""
        return cls(
            qkv=Linear.of(same.qkv, dtype, device),
            latent=same.latent and LatentTensors.of(same.latent, dtype, device),
            query_norm=optional(same.query_norm, device),
            key_norm=optional(same.key_norm, device),
            sinks=optional(same.sinks, device),
            output=Linear.of(same.output, dtype, device),
        )


@dataclass(frozen=True, kw_only=True)
class LayerTensors:
    """See `LayerWeights`."""

    attention_norm: torch.Tensor | None
    attention: AttentionTensors | None
    recurrence: RecurrentTensors | None
    attention_post_norm: torch.Tensor | None
    feed_forward_norm: torch.Tensor | None
    gate_up: Linear
    down: Linear
    mixture: Mixture | None
    feed_forward_post_norm: torch.Tensor | None

    @classmethod
    def of(cls, layer: LayerWeights, dtype: torch.dtype, device: torch.device) -> LayerTensors:
        """The same layer. Dense matrices have this type."""
        mixture = layer.mixture and Mixture.of(layer.mixture, dtype, device)
        # A mixture has no other feed-forward than its experts.
        gate_up, down = (
            mixture.experts[0]
            if mixture
            else (Linear.of(one, dtype, device) for one in (layer.gate_up, layer.down))
        )
        return cls(
            attention_norm=optional(layer.attention_norm, device),
            attention=layer.attention and AttentionTensors.of(layer.attention, dtype, device),
            recurrence=layer.recurrence and RecurrentTensors.of(layer.recurrence, dtype, device),
            attention_post_norm=optional(layer.attention_post_norm, device),
            feed_forward_norm=optional(layer.feed_forward_norm, device),
            gate_up=gate_up,
            down=down,
            mixture=mixture,
            feed_forward_post_norm=optional(layer.feed_forward_post_norm, device),
        )
