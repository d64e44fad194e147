"""A model's weights as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from minikin.engine.model.layer_weights import (
    AttentionWeights,
    Beside,
    InputWeights,
    LatentWeights,
    LayerWeights,
)
from minikin.engine.model.weights import LayerInputs
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
    value_norm: torch.Tensor | None
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
            value_norm=optional(same.value_norm, device),
            sinks=optional(same.sinks, device),
            output=Linear.of(same.output, dtype, device),
        )


@dataclass(frozen=True, kw_only=True)
class BesideTensors:
    """See `Beside`."""

    before: torch.Tensor
    dense: torch.Tensor
    mixed: torch.Tensor

    @classmethod
    def of(cls, same: Beside, device: torch.device) -> BesideTensors:
        """The same norms."""
        before, dense, mixed = (
            tensor(one, device) for one in (same.before, same.dense, same.mixed)
        )
        return cls(before=before, dense=dense, mixed=mixed)


@dataclass(frozen=True, kw_only=True)
class InputTensors:
    """See `InputWeights`."""

    gate: Linear
    output: Linear
    norm: torch.Tensor

    @classmethod
    def of(cls, same: InputWeights, dtype: torch.dtype, device: torch.device) -> InputTensors:
        """The same, with dense matrices of this type."""
        gate, output = (Linear.of(one, dtype, device) for one in (same.gate, same.output))
        return cls(gate=gate, output=output, norm=tensor(same.norm, device))


@dataclass(frozen=True, kw_only=True)
class LayerInputTensors:
    """See `LayerInputs`."""

    table: Linear
    projection: Linear
    norm: torch.Tensor

    @classmethod
    def of(cls, same: LayerInputs, dtype: torch.dtype, device: torch.device) -> LayerInputTensors:
        """The same, with dense matrices of this type."""
        table, projection = (Linear.of(one, dtype, device) for one in (same.table, same.projection))
        return cls(table=table, projection=projection, norm=tensor(same.norm, device))

    def __call__(self, x: torch.Tensor, tokens: torch.Tensor, epsilon: float) -> torch.Tensor:
        """[T, layers, size] float32, from the embeddings x [T, hidden] of `tokens` [T]."""
        size = len(self.norm)
        made = self.projection(x).float().unflatten(1, (-1, size))
        made = F.rms_norm(made, (size,), self.norm, epsilon * x.shape[1])
        return (made + size**0.5 * self.table.rows(tokens).float().view(made.shape)) / 2**0.5


@dataclass(frozen=True, kw_only=True)
class LayerTensors:
    """See `LayerWeights`."""

    attention_norm: torch.Tensor | None
    attention: AttentionTensors | None
    recurrence: RecurrentTensors | None
    attention_post_norm: torch.Tensor | None
    feed_forward_norm: torch.Tensor | None
    gate_up: Linear | None
    down: Linear | None
    mixture: Mixture | None
    beside: BesideTensors | None
    feed_forward_post_norm: torch.Tensor | None
    own_input: InputTensors | None
    scale: float

    @classmethod
    def of(cls, layer: LayerWeights, dtype: torch.dtype, device: torch.device) -> LayerTensors:
        """The same layer. Dense matrices have this type."""
        return cls(
            attention_norm=optional(layer.attention_norm, device),
            attention=layer.attention and AttentionTensors.of(layer.attention, dtype, device),
            recurrence=layer.recurrence and RecurrentTensors.of(layer.recurrence, dtype, device),
            attention_post_norm=optional(layer.attention_post_norm, device),
            feed_forward_norm=optional(layer.feed_forward_norm, device),
            gate_up=layer.gate_up and Linear.of(layer.gate_up, dtype, device),
            down=layer.down and Linear.of(layer.down, dtype, device),
            mixture=layer.mixture and Mixture.of(layer.mixture, dtype, device),
            beside=layer.beside and BesideTensors.of(layer.beside, device),
            feed_forward_post_norm=optional(layer.feed_forward_post_norm, device),
            own_input=layer.own_input and InputTensors.of(layer.own_input, dtype, device),
            scale=layer.scale,
        )
