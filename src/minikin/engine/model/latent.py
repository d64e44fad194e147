"""Attention whose heads make their keys and values from one vector.

Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2). A latent vector of each token and
one rotated part of keys replace the projections to keys and values. Each head multiplies the latent
vector, after a norm, with matrices of its own. The rotated part is the same in all heads. The cache
has the keys and values of each head.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from minikin.model_file.fields import Fields

_MOST_WIDTH, _MOST_HEAD = 2**20, 4096


@dataclass(frozen=True)
class Latent:
    """The sizes of a model's latent attention."""

    rank: int
    """Of the latent vector."""
    query_rank: int
    """Of the vector that queries are made from. 0: they are made from the hidden state."""
    rotated: int
    """The last dimensions of a head, which rotate. In keys, all heads share them."""
    value_dim: int
    """Of a head's values. The others up to the size of a head are 0."""


def read_latent(fields: Fields) -> tuple[Latent, int]:
    """The sizes from a file, and the size of a head: its kept and its rotated dimensions.

    Newer files have the sizes of heads in keys of their own. There, the usual keys have those of
    the latent vector as one head that all queries share. Raises ModelFileError.
    """
    stated = fields.whole("attention.key_length", most=_MOST_WIDTH)
    head_dim = fields.whole("attention.key_length_mla", stated, most=_MOST_HEAD)
    values = fields.whole("attention.value_length", most=_MOST_WIDTH)
    value_dim = fields.whole("attention.value_length_mla", values, most=_MOST_HEAD)
    rotated = fields.whole("rope.dimension_count", most=_MOST_HEAD)
    if rotated % 2 or rotated >= head_dim:
        raise fields.wrong("rope.dimension_count")
    if head_dim % 2:
        raise fields.wrong("attention.key_length")
    if value_dim > head_dim:
        raise fields.wrong("attention.value_length")
    rank = fields.whole("attention.kv_lora_rank", most=_MOST_WIDTH)
    query_rank = fields.count("attention.q_lora_rank", most=_MOST_WIDTH)
    return Latent(rank, query_rank, rotated, value_dim), head_dim


def latent_scale(fields: Fields, head_dim: int) -> float:
    """The factor for each product of a query and a key.

    YaRN's magnitude is a part of it, squared, so that it applies to whole heads. In a file, its
    multiplier has the 0.1 of YaRN's formula.
    """
    multiplier = fields.number("rope.scaling.yarn_log_multiplier", 0.0)
    factor = max(fields.number("rope.scaling.factor", 1.0), 1.0)
    return (1 + multiplier * log(factor)) ** 2 * head_dim**-0.5
