"""The architecture of a decoder, read from a model file's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minikin.engine.model.latent import Latent, latent_scale, read_latent
from minikin.engine.model.recurrence import (
    Recurrence,
    read_delta_net,
    read_mamba,
    read_short_convolution,
)
from minikin.engine.model.rope import Rope, read_ropes
from minikin.errors import ModelFileError
from minikin.model_file.family import FAMILIES, ActivationName, Family
from minikin.model_file.fields import Fields
from minikin.model_file.model_file import ModelFile

_MOST_LAYERS, _MOST_HEADS, _MOST_WIDTH, _MOST_EXPERTS = 1024, 4096, 2**20, 4096
"""The maximum for a file. The largest published models have a tenth of it."""


@dataclass(frozen=True)
class Experts:
    """The mixture of each layer. See `Mixture`."""

    count: int
    used: int
    normalized: bool
    shared: int = 0
    gated: bool = False
    sigmoid: bool = False
    scale: float = 1.0
    groups: int = 1
    used_groups: int = 1
    first: int = 0
    """The first layer with a mixture."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes and constants of one model. Differences between families are fields, not classes."""

    layers: int
    skipped_layers: int = 0
    """Layers after these, which predict further tokens (MTP). They are not used."""
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    """The size of each expert, if there are several."""
    vocab_size: int
    context_length: int
    """Maximum tokens of a sequence."""
    norm_epsilon: float
    """Of norms of the residual stream as it is stored, see `embedding_scale`."""
    plain_epsilon: float
    """Of norms of other vectors."""
    attention_scale: float
    """The factor for each product of a query and a key."""
    windows: tuple[int | None, ...]
    """For each layer, how many tokens a token sees, including itself. None: all."""
    ropes: tuple[Rope, ...]
    """The RoPE of each layer."""
    attends: tuple[bool, ...]
    """For each layer, whether it has attention."""
    recurs: tuple[bool, ...]
    """For each layer, whether it has the `recurrence`, in place of attention or beside it."""
    recurrence: Recurrence | None = None
    latent: Latent | None = None
    """How heads make keys and values, if not from the hidden state."""
    gated_attention: bool = False
    """Each output of attention is multiplied by the sigmoid of a gate."""
    experts: Experts | None = None
    dense_feed_forward: int = 0
    """The size of the feed-forward in layers without experts, if only some have them."""
    activation: ActivationName = "silu"
    embedding_scale: float = 1.0
    """The factor for embeddings.

    A file's factor for the residual r of each layer is a part of it: the residual stream is stored
    divided by r. Norms do not see this, except that their epsilon is divided by r squared.
    """
    logit_scale: float = 1.0
    """The divisor of the logits."""
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    side_by_side: bool = False
    """In the file, the two rows of a rotary pair are adjacent."""
    norm_before: bool = True
    """Attention and feed-forward read the residual stream through a norm."""
    late_norms: bool = False
    """The norms of queries and keys come after their rotation."""
    optional_tensors: tuple[str, ...] = ()
    """Tensors that all layers can have."""
    layer_tensors: tuple[str, ...] = ()
    """Tensors that each layer must have, in addition to those of all families."""
    feed_forward_norm: str = "ffn_norm.weight"
    """The tensor of the norm before the feed-forward."""
    final_norm: str = "output_norm.weight"
    """The tensor of the norm after the last layer."""

    @classmethod
    def read(cls, file: ModelFile, context_length: int | None = None) -> Architecture:
        """Read the fields under the architecture's name.

        `context_length` can reduce the file's value. Raises ModelFileError for an architecture that
        is not in FAMILIES, or for a missing or invalid field.
        """
        name = file.metadata.get("general.architecture")
        if not isinstance(name, str) or name not in FAMILIES:
            raise ModelFileError(
                f"This file has the unsupported architecture {str(name)[:64]!a}. "
                f"Supported: {', '.join(FAMILIES)}."
            )
        family, fields = FAMILIES[name], Fields(file.metadata, name)
        layers = fields.whole("block_count", most=_MOST_LAYERS)
        skipped = fields.count("nextn_predict_layers", most=layers - 1)
        layers -= skipped
        hidden = fields.whole("embedding_length", most=_MOST_WIDTH)
        heads = fields.whole("attention.head_count", most=_MOST_HEADS)
        latent, head_dim = (
            read_latent(fields) if family.latent else (None, _head_dim(fields, hidden, heads))
        )
        context = min(fields.whole("context_length"), context_length or 2**31)
        windows = _windows(fields, family, layers)
        experts = _experts(file, fields, family, layers)
        query_width = hidden / heads if layers == family.wide_layers else head_dim
        scale = latent_scale(fields, head_dim) if latent else query_width**-0.5
        residual = _residual_scale(fields, family)
        epsilon = fields.number("attention.layer_norm_rms_epsilon")
        kv_heads = [heads] * layers if latent else _kv_heads(fields, family, heads, layers)
        embedding = hidden**0.5 if family.scaled_embedding else 1.0
        return cls(
            layers=layers,
            skipped_layers=skipped,
            hidden=hidden,
            heads=heads,
            kv_heads=max(kv_heads),
            head_dim=head_dim,
            feed_forward=_feed_forward(fields, of_expert=experts is not None),
            dense_feed_forward=(
                _feed_forward(fields, of_expert=False) if experts and experts.first else 0
            ),
            vocab_size=_vocab_size(fields, file),
            context_length=context,
            norm_epsilon=epsilon / residual**2,
            plain_epsilon=epsilon,
            attention_scale=fields.number("attention.scale", scale),
            windows=windows,
            ropes=read_ropes(file, fields, family, windows, head_dim, context),
            attends=tuple(count > 0 for count in kv_heads),
            recurs=tuple(family.parallel or count == 0 for count in kv_heads),
            recurrence=_recurrence(fields, family, hidden, kv_heads),
            latent=latent,
            gated_attention=family.gated_attention,
            experts=experts,
            activation=family.activation,
            embedding_scale=fields.number("embedding_scale", embedding) / residual,
            logit_scale=_logit_scale(fields, family),
            attention_softcap=fields.number("attn_logit_softcapping", 0.0) or None,
            logit_softcap=fields.number("final_logit_softcapping", 0.0) or None,
            side_by_side=family.side_by_side,
            norm_before=family.norm_before,
            late_norms=family.late_norms,
            optional_tensors=family.optional_tensors,
            layer_tensors=family.layer_tensors,
            feed_forward_norm=family.feed_forward_norm,
            final_norm=family.final_norm,
        )

    @cached_property
    def key_places(self) -> tuple[int, ...]:
        """For each layer, its index among those with attention."""
        return tuple(sum(self.attends[:i]) for i in range(self.layers))

    @cached_property
    def state_places(self) -> tuple[int, ...]:
        """For each layer, its index among those with a state."""
        return tuple(sum(self.recurs[:i]) for i in range(self.layers))

    @property
    def key_values(self) -> int:
        """The numbers of a token's keys and values in all layers."""
        return 2 * sum(self.attends) * self.kv_heads * self.head_dim

    @property
    def value_dim(self) -> int:
        """The size of a head's output."""
        return self.latent.value_dim if self.latent else self.head_dim

    @property
    def state_size(self) -> int:
        """The floats of a sequence's state in all layers."""
        return sum(self.recurs) * self.recurrence.size if self.recurrence else 0

    def rotary_order(self, heads: int) -> np.ndarray | None:
        """The order of the rows of queries or keys, if it differs from the file's order.

        int64 [heads * head_dim]. In a file, the two rows of a rotary pair are adjacent, or half of
        the rotated rows apart. The rotated rows come first, with latent attention last. `rotate`
        rotates row i with row i + head_dim / 2.
        """
        turning = 2 * max(len(rope.frequencies) for rope in self.ropes)
        rows = np.arange(self.head_dim)
        if self.latent:
            rows = np.roll(rows, turning)
        pairs = rows[:turning]
        pairs = pairs.reshape(-1, 2).T if self.side_by_side else pairs.reshape(2, -1)
        order = np.hstack([pairs, rows[turning:].reshape(2, -1)]).reshape(-1)
        if (order == np.arange(self.head_dim)).all():
            return None
        return (np.arange(heads)[:, None] * self.head_dim + order).reshape(-1)


def _head_dim(fields: Fields, hidden: int, heads: int) -> int:
    key = "attention.key_length"
    head_dim = fields.whole(key, hidden // heads, most=_MOST_HEADS)
    if head_dim % 2 or not head_dim:
        raise fields.wrong(key)
    if fields.whole("attention.value_length", head_dim) != head_dim:
        raise fields.wrong("attention.value_length")
    return head_dim


def _residual_scale(fields: Fields, family: Family) -> float:
    """The factor for what each half of a layer adds."""
    scale = fields.number("residual_scale", 1.0)
    # Other norms than those of the residual stream would need an epsilon of their own.
    if not scale or (scale != 1 and any("norm" in name for name in family.layer_tensors)):
        raise fields.wrong("residual_scale")
    return scale


def _logit_scale(fields: Fields, family: Family) -> float:
    scale = fields.number("logit_scale", None if family.multiplied else 1.0)
    if not scale:
        raise fields.wrong("logit_scale")
    return scale


def _kv_heads(fields: Fields, family: Family, heads: int, layers: int) -> list[int]:
    """The key heads of each layer. Those that have some have the same number."""
    key = "attention.head_count_kv"
    stated = fields.get(key)
    if not isinstance(stated, list | np.ndarray):
        count = fields.whole(key, heads)
        recurrent = _recurrent(fields, layers) if family.delta_nets else [False] * layers
        counts = [0 if one else count for one in recurrent]
    else:
        counts = [count for count in [*stated][:layers] if isinstance(count, int | np.integer)]
        counts = [int(count) for count in counts if 0 <= count <= heads]
    if len(counts) != layers or len({*counts} - {0}) != 1 or heads % max(counts):
        raise fields.wrong(key)
    return counts


def _recurrent(fields: Fields, layers: int) -> list[bool]:
    """For each layer, whether it has a state in place of keys and values."""
    key = "attention.recurrent_layers"
    if (stated := fields.get(key)) is None:
        every = fields.whole("full_attention_interval", 4)
        return [(layer + 1) % every != 0 for layer in range(layers)]
    if not isinstance(stated, list | np.ndarray) or len(stated) < layers:
        raise fields.wrong(key)
    if not all(isinstance(one, bool | int | np.bool_ | np.integer) for one in stated):
        raise fields.wrong(key)
    return [bool(one) for one in stated][:layers]


def _recurrence(
    fields: Fields, family: Family, hidden: int, kv_heads: list[int]
) -> Recurrence | None:
    """What layers without key heads compute, or all layers."""
    if all(kv_heads) and not family.parallel:
        return None
    if family.delta_nets:
        return read_delta_net(fields, grouped=family.grouped_values)
    if family.mamba:
        return read_mamba(fields)
    if not family.short_convolutions:
        raise fields.wrong("attention.head_count_kv")
    return read_short_convolution(fields, hidden)


def _experts(file: ModelFile, fields: Fields, family: Family, layers: int) -> Experts | None:
    stated = fields.get("expert_count")
    if not family.mixture and (stated is None or (isinstance(stated, int) and stated == 0)):
        return None
    count = fields.whole("expert_count", most=_MOST_EXPERTS)
    used = fields.whole("expert_used_count", most=count)
    # How a row's experts get their weights: a softmax before or after the choice, or a sigmoid.
    # Old files of DeepSeek do not say it, but only a sigmoid has a correction.
    corrected = any(name.endswith(".exp_probs_b.bias") for name in file.tensors)
    usual = corrected if family.sigmoid is None else family.sigmoid
    how = fields.whole("expert_gating_func", 2 if usual else 1)
    if how not in (1, 2, 3) or (family.sigmoid is not None and (how == 2) != family.sigmoid):
        raise fields.wrong("expert_gating_func")
    scale = fields.number("expert_weights_scale", 1.0) or 1.0  # 0 means none
    if scale != 1 and how != 2:
        raise fields.wrong("expert_weights_scale")
    groups, used_groups = _groups(fields, count, used, sigmoid=how == 2)
    return Experts(
        count,
        used,
        fields.flag("expert_weights_norm", family.normalized),
        shared=_shared(fields, family, count),
        gated=family.gated_shared,
        sigmoid=how == 2,
        scale=scale,
        groups=groups,
        used_groups=used_groups,
        first=fields.count("leading_dense_block_count", most=layers - 1),
    )


def _groups(fields: Fields, count: int, used: int, *, sigmoid: bool) -> tuple[int, int]:
    """The groups of experts, and how many of them a row uses."""
    groups = fields.count("expert_group_count", most=count) or 1
    if groups == 1:
        return 1, 1
    size, rest = divmod(count, groups)
    if not sigmoid or rest or size < 2:
        raise fields.wrong("expert_group_count")
    chosen = fields.whole("expert_group_used_count", most=groups)
    if chosen * size < used:
        raise fields.wrong("expert_group_used_count")
    return groups, chosen


def _shared(fields: Fields, family: Family, count: int) -> int:
    """The number of shared experts. Some files say how wide they are together."""
    key = "expert_shared_feed_forward_length"
    if not family.gated_shared and fields.get(key) is None:
        return fields.count("expert_shared_count", most=count)
    each = _feed_forward(fields, of_expert=True)
    shared, rest = divmod(fields.whole(key, each, most=_MOST_WIDTH), each)
    if rest or shared > _MOST_EXPERTS:
        raise fields.wrong(key)
    return shared


def _feed_forward(fields: Fields, *, of_expert: bool) -> int:
    key = "expert_feed_forward_length"
    if not of_expert or fields.get(key) is None:
        key = "feed_forward_length"
    return fields.whole(key, most=_MOST_WIDTH)


def _vocab_size(fields: Fields, file: ModelFile) -> int:
    tokens = file.metadata.get("tokenizer.ggml.tokens", ())
    return fields.whole("vocab_size", len(tokens) if isinstance(tokens, list) else 0)


def _windows(fields: Fields, family: Family, layers: int) -> tuple[int | None, ...]:
    if fields.number("attention.sliding_window", 0.0) == 0:
        return (None,) * layers
    window = fields.whole("attention.sliding_window")
    key = "attention.sliding_window_pattern"
    pattern = fields.get(key)
    if isinstance(pattern, np.ndarray):
        if len(pattern) != layers:
            raise fields.wrong(key)
        local = pattern.astype(bool).tolist()
    else:
        every = fields.whole(key, family.global_every)
        local = [not every or (layer + 1) % every != 0 for layer in range(layers)]
    return tuple(window if one else None for one in local)
