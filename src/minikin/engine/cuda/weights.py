"""A model's weights on a GPU."""

from __future__ import annotations

from collections.abc import Sequence as Run
from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.cuda.latent import DeviceLatent
from minikin.engine.cuda.matrix import DeviceMatrix, bytes_of
from minikin.engine.model.layer_weights import LayerWeights
from minikin.engine.model.matrix import Matrix
from minikin.engine.model.mixture import Mixture
from minikin.engine.model.weights import Weights


@dataclass(frozen=True, kw_only=True)
class DeviceMixture:
    """See `minikin.engine.model.mixture.Mixture`."""

    router: DeviceMatrix
    """Its numbers are float32."""
    correction: torch.Tensor | None
    gate_up: DeviceMatrix
    """Of all experts, without the shared ones."""
    down: DeviceMatrix
    shared: tuple[tuple[DeviceMatrix, DeviceMatrix], ...]
    """Gate and up, and down."""
    gated: bool
    used: int
    sigmoid: bool
    scale: float
    groups: int
    used_groups: int
    normalized: bool

    @classmethod
    def of(cls, same: Mixture, dtype: torch.dtype, device: torch.device) -> DeviceMixture:
        """The same mixture."""
        count = len(same.experts) - same.shared
        own, shared = same.experts[:count], same.experts[count:]
        return cls(
            router=DeviceMatrix(
                weight=torch.from_numpy(same.router)[None].to(device),
                bias=None if same.router_bias is None else _tensor(same.router_bias, device)[None],
                width=same.router.shape[1],
            ),
            correction=None if same.correction is None else _tensor(same.correction, device),
            gate_up=DeviceMatrix.of([one.gate_up for one in own], dtype, device),
            down=DeviceMatrix.of([one.down for one in own], dtype, device),
            shared=tuple(
                (
                    DeviceMatrix.of([one.gate_up], dtype, device),
                    DeviceMatrix.of([one.down], dtype, device),
                )
                for one in shared
            ),
            gated=same.gated,
            used=same.used,
            sigmoid=same.sigmoid,
            scale=same.scale,
            groups=same.groups,
            used_groups=same.used_groups,
            normalized=same.normalized,
        )


@dataclass(frozen=True, kw_only=True)
class DeviceLayer:
    """See `LayerWeights`."""

    attention_norm: torch.Tensor | None
    qkv: DeviceMatrix
    latent: DeviceLatent | None = None
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    sinks: torch.Tensor | None
    output: DeviceMatrix
    attention_post_norm: torch.Tensor | None
    feed_forward_norm: torch.Tensor | None
    gate_up: DeviceMatrix | None
    """None in a layer with a mixture."""
    down: DeviceMatrix | None
    mixture: DeviceMixture | None
    feed_forward_post_norm: torch.Tensor | None

    @classmethod
    def of(cls, layer: LayerWeights, dtype: torch.dtype, device: torch.device) -> DeviceLayer:
        """The same layer."""

        def vector(one: np.ndarray | None) -> torch.Tensor | None:
            return None if one is None else _tensor(one, device)

        def matrix(one: Matrix) -> DeviceMatrix:
            return DeviceMatrix.of([one], dtype, device)

        mixture, attention = layer.mixture, layer.attention
        assert attention is not None, "TorchDecoder computes layers without attention"
        return cls(
            attention_norm=vector(layer.attention_norm),
            qkv=matrix(attention.qkv),
            latent=attention.latent and DeviceLatent.of(attention.latent, dtype, device),
            query_norm=vector(attention.query_norm),
            key_norm=vector(attention.key_norm),
            sinks=vector(attention.sinks),
            output=matrix(attention.output),
            attention_post_norm=vector(layer.attention_post_norm),
            feed_forward_norm=vector(layer.feed_forward_norm),
            gate_up=layer.gate_up and matrix(layer.gate_up),
            down=layer.down and matrix(layer.down),
            mixture=mixture and DeviceMixture.of(mixture, dtype, device),
            feed_forward_post_norm=vector(layer.feed_forward_post_norm),
        )


@dataclass(frozen=True, kw_only=True)
class DeviceWeights:
    """See `Weights`."""

    embedding: DeviceMatrix
    layers: tuple[DeviceLayer, ...]
    norm: torch.Tensor
    head: DeviceMatrix

    @classmethod
    def of(cls, weights: Weights, dtype: torch.dtype, device: torch.device) -> DeviceWeights:
        """The same model. Matrices that are not packed have the type `dtype`."""
        embedding = DeviceMatrix.of([weights.embedding], dtype, device)
        tied = weights.head is weights.embedding
        return cls(
            embedding=embedding,
            layers=tuple(DeviceLayer.of(layer, dtype, device) for layer in weights.layers),
            norm=_tensor(weights.norm, device),
            head=embedding if tied else DeviceMatrix.of([weights.head], dtype, device),
        )


def bytes_of_weights(weights: Weights, value_bytes: int) -> int:
    """About as many as the model takes on the device, without its norms."""
    ends = {id(one): one for one in (weights.embedding, weights.head)}.values()
    return sum(bytes_of(one, value_bytes) for one in [*ends, *_matrices(weights.layers)])


def _matrices(layers: Run[LayerWeights]) -> list[Matrix]:
    found: list[Matrix] = []
    for layer in layers:
        if (attention := layer.attention) is not None:
            found += [attention.qkv, attention.output]
            if (latent := attention.latent) is not None:
                found += [latent.keys, latent.values]
                found += [] if latent.queries is None else [latent.queries]
        pairs = layer.mixture.experts if layer.mixture else [(layer.gate_up, layer.down)]
        found += [matrix for pair in pairs for matrix in pair if matrix]
    return found


def _tensor(values: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values).to(device)
