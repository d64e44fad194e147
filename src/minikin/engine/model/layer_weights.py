"""The weights of one decoder layer, in the decoder's layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minikin.engine.model.matrix import Matrix
from minikin.engine.model.mixture import Mixture
from minikin.engine.model.recurrent_weights import RecurrentWeights


@dataclass(frozen=True, kw_only=True)
class LatentWeights:
    """What latent attention has beside its first and last matrix. See `Latent`."""

    query_norm: np.ndarray | None
    """[query rank]."""
    queries: Matrix | None
    """Query rank -> queries. None: they are not made from a vector of their own."""
    norm: np.ndarray
    """[rank]: of the latent vector."""
    keys: Matrix
    """Rank -> the part of each head's keys that does not rotate."""
    values: Matrix
    """Rank -> the values of each head."""


@dataclass(frozen=True, kw_only=True)
class AttentionWeights:
    """Attention, without the norm before it."""

    qkv: Matrix
    """Hidden -> queries, keys, values and gates, in this order.

    With latent attention: queries or the vector that they are made from, then the latent vector,
    then the part of keys that rotates."""
    latent: LatentWeights | None = None
    query_norm: np.ndarray | None = None
    """[head_dim]: the norm of each head. [heads * head_dim]: of all heads together."""
    key_norm: np.ndarray | None = None
    value_norm: np.ndarray | None = None
    """[head_dim]: ones, the norm of each head of values."""
    sinks: np.ndarray | None = None
    """[heads]. See `AttentionForm`."""
    output: Matrix


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The norms of a mixture and of the feed-forward beside it. Each is [hidden].

    Both read the residual stream, and the sum of both has the layer's norm.
    """

    before: np.ndarray
    """Of what the experts read."""
    dense: np.ndarray
    """Of what the feed-forward adds."""
    mixed: np.ndarray
    """Of what the experts add."""


@dataclass(frozen=True, kw_only=True)
class InputWeights:
    """What a layer adds for its own input, see `LayerInputs`: output(gelu(gate(x)) * input)."""

    gate: Matrix
    """Hidden -> the size of the input."""
    output: Matrix
    """And back."""
    norm: np.ndarray
    """[hidden]: of what is added."""


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One decoder layer. Norms are float32 vectors. A norm that the family lacks is None."""

    attention_norm: np.ndarray | None
    attention: AttentionWeights | None = None
    recurrence: RecurrentWeights | None = None
    """In place of attention, or beside it. A layer can also have none of both."""
    attention_post_norm: np.ndarray | None = None
    """[hidden]: the norm of the output of attention."""
    feed_forward_norm: np.ndarray | None
    gate_up: Matrix | None = None
    """Hidden -> gate and up, in this order. Without gates, up alone."""
    down: Matrix | None = None
    mixture: Mixture | None = None
    """Replaces `gate_up` and `down`, or is beside. Some layers have none of the three."""
    beside: Beside | None = None
    feed_forward_post_norm: np.ndarray | None = None
    own_input: InputWeights | None = None
    scale: float = 1.0
    """The factor for the residual stream after the layer."""
