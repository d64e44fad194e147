"""The heads of latent attention on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from minikin.engine.cuda.matrix import DeviceMatrix
from minikin.engine.cuda.operations import Operations
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.layer_weights import LatentWeights
from minikin.engine.pytorch.tensors import optional, tensor


@dataclass(frozen=True, kw_only=True)
class DeviceLatent:
    """See `LatentWeights`."""

    query_norm: torch.Tensor | None
    queries: DeviceMatrix | None
    norm: torch.Tensor
    keys: DeviceMatrix
    values: DeviceMatrix

    @classmethod
    def of(cls, same: LatentWeights, dtype: torch.dtype, device: torch.device) -> DeviceLatent:
        """The same weights."""
        return cls(
            query_norm=optional(same.query_norm, device),
            queries=same.queries and DeviceMatrix.of([same.queries], dtype, device),
            norm=tensor(same.norm, device),
            keys=DeviceMatrix.of([same.keys], dtype, device),
            values=DeviceMatrix.of([same.values], dtype, device),
        )


def latent_heads(
    a: Architecture,
    latent: DeviceLatent,
    made: torch.Tensor,
    operations: Operations,
    *,
    prompts: bool,
) -> torch.Tensor:
    """Queries, keys and values [R, 3 * heads * head_dim] float32, as `Operations.turn` reads them.

    They are made from the products `made` [R, ...] with the layer's first matrix. See
    `minikin.engine.pytorch.latent`, which has the order of a head's dimensions.
    """
    form, rows, many = a.latent, len(made), {"prompts": prompts}
    assert form is not None
    parts = [made.shape[1] - form.rank - form.rotated, form.rank, form.rotated]
    queries, vector, rotated = made.split(parts, dim=1)
    if latent.queries is not None:
        normed = operations.add(queries.contiguous(), None, None, latent.query_norm, a.norm_epsilon)
        queries = operations.product(normed, latent.queries, **many)
    vector = operations.add(vector.contiguous(), None, None, latent.norm, a.norm_epsilon)
    kept = operations.product(vector, latent.keys, **many).view(rows, a.heads, 2, -1)
    rotated = rotated.view(rows, 1, 2, -1).expand(-1, a.heads, -1, -1)
    keys = torch.cat([rotated, kept], dim=-1)
    values = operations.product(vector, latent.values, **many).view(rows, a.heads, -1)
    padded = F.pad(values, (0, a.head_dim - form.value_dim))
    return torch.cat([queries, keys.flatten(1), padded.flatten(1)], dim=1)
