"""The rotation of queries and keys by their position (Su et al. 2021, RoFormer)."""

from __future__ import annotations

import torch


def rotate(x: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """x [T, heads, head_dim], each pair (i, i + head_dim / 2) rotated by its position: float32.

    `rotation` is cosine and sine, each [T, head_dim / 2].
    """
    cosine, sine = (part[:, None] for part in rotation)
    left, right = x.float().chunk(2, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)
