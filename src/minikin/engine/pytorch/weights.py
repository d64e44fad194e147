"""A model's weights as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.model.weights import LayerWeights
from minikin.engine.pytorch.linear import Linear
from minikin.engine.pytorch.memory import MemoryTensors
from minikin.engine.pytorch.mixture import Mixture


@dataclass(frozen=True, kw_only=True)
class LayerTensors:
    """See `LayerWeights`."""

    attention_norm: torch.Tensor | None
    qkv: Linear
    convolution: torch.Tensor | None
    convolution_bias: torch.Tensor | None
    memory: MemoryTensors | None
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    sinks: torch.Tensor | None
    output: Linear
    attention_post_norm: torch.Tensor | None
    feed_forward_norm: torch.Tensor | None
    gate_up: Linear
    down: Linear
    mixture: Mixture | None
    feed_forward_post_norm: torch.Tensor | None

    @classmethod
    def of(cls, layer: LayerWeights, dtype: torch.dtype, device: torch.device) -> LayerTensors:
        """The same layer. Dense matrices have this type."""

        def optional(vector: np.ndarray | None) -> torch.Tensor | None:
            return None if vector is None else tensor(vector, device)

        mixture = layer.mixture and Mixture.of(layer.mixture, dtype, device)
        # A mixture has no other feed-forward than its experts.
        gate_up, down = (
            mixture.experts[0]
            if mixture
            else (Linear.of(one, dtype, device) for one in (layer.gate_up, layer.down))
        )
        return cls(
            attention_norm=optional(layer.attention_norm),
            qkv=Linear.of(layer.qkv, dtype, device),
            convolution=optional(layer.convolution),
            convolution_bias=optional(layer.convolution_bias),
            memory=layer.memory and MemoryTensors.of(layer.memory, dtype, device),
            query_norm=optional(layer.query_norm),
            key_norm=optional(layer.key_norm),
            sinks=optional(layer.sinks),
            output=Linear.of(layer.output, dtype, device),
            attention_post_norm=optional(layer.attention_post_norm),
            feed_forward_norm=optional(layer.feed_forward_norm),
            gate_up=gate_up,
            down=down,
            mixture=mixture,
            feed_forward_post_norm=optional(layer.feed_forward_post_norm),
        )


def tensor(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """The values, of their own type."""
    return torch.from_numpy(values).to(device)
