"""The architecture of a decoder, read from a model file's metadata."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from minikin.engine.model.latent import Latent, latent_scale, read_latent
from minikin.engine.model.layer_parts import MOST_WIDTH, feed_forward_sizes, layer_parts
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

_MOST_LAYERS, _MOST_HEADS, _MOST_EXPERTS = 1024, 4096, 4096
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
    beside: bool = False
    """A feed-forward is beside the mixture, see `Beside`."""
    first: int = 0
    """The first layer with a mixture."""


class Heads(NamedTuple):
    """The sizes of a layer's attention."""

    keys: int
    """The number of key heads. Several query heads use each of them."""
    dim: int
    """The size of a head."""


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
    global_heads: Heads | None = None
    """Those of layers without a window, if they have others."""
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
    feeds: tuple[bool, ...]
    """For each layer, whether it has a feed-forward."""
    recurrence: Recurrence | None = None
    latent: Latent | None = None
    """How heads make keys and values, if not from the hidden state."""
    gated_attention: bool = False
    """Each output of attention is multiplied by the sigmoid of a gate."""
    value_norms: bool = False
    """Each head of values has a norm, without weights."""
    keys_as_values: bool = False
    """Layers without a matrix of values use that of keys."""
    sharing: int = 0
    """The number of last layers without keys and values. See `key_sources`."""
    layer_inputs: int = 0
    """The size of each layer's own input (see `LayerInputs`), or 0."""
    experts: Experts | None = None
    dense_feed_forward: int = 0
    """The size of the feed-forward in layers without experts, if only some have them."""
    feed_forwards: tuple[int, ...] = ()
    """The size in each layer, if they differ."""
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
        hidden = fields.whole("embedding_length", most=MOST_WIDTH)
        heads = fields.whole("attention.head_count", most=_MOST_HEADS)
        latent, head_dim = (
            read_latent(fields) if family.latent else (None, _head_dim(fields, hidden // heads))
        )
        context = min(fields.whole("context_length"), context_length or 2**31)
        windows = _windows(fields, family, layers)
        local_dim = _head_dim(fields, head_dim, "_swa") if family.global_heads else head_dim
        experts = _experts(file, fields, family, layers)
        query_width = hidden / heads if layers == family.wide_layers else head_dim
        scale = latent_scale(fields, head_dim) if latent else query_width**-0.5
        scale = 1.0 if family.unscaled else scale
        residual = _residual_scale(fields, family)
        epsilon = fields.number("attention.layer_norm_rms_epsilon")
        kv_heads = [heads] * layers if latent else _kv_heads(fields, family, heads, windows)
        local_heads, global_heads = _split_heads(family, windows, kv_heads, local_dim, head_dim)
        attends, recurs, feeds = layer_parts(fields, family, kv_heads)
        embedding = hidden**0.5 if family.scaled_embedding else 1.0
        sizes = () if family.one_part else _feed_forwards(fields, experts, layers)
        return cls(
            layers=layers,
            skipped_layers=skipped,
            hidden=hidden,
            heads=heads,
            kv_heads=local_heads.keys,
            head_dim=local_heads.dim,
            global_heads=global_heads,
            feed_forward=(
                max(sizes) if sizes else _feed_forward(fields, of_expert=experts is not None)
            ),
            feed_forwards=sizes,
            dense_feed_forward=(
                _feed_forward(fields, of_expert=False)
                if experts and (experts.first or experts.beside)
                else 0
            ),
            vocab_size=_vocab_size(fields, file),
            context_length=context,
            norm_epsilon=epsilon / residual**2,
            plain_epsilon=epsilon,
            attention_scale=fields.number("attention.scale", scale),
            windows=windows,
            ropes=read_ropes(file, fields, family, windows, head_dim, local_dim, context),
            attends=attends,
            recurs=recurs,
            feeds=feeds,
            recurrence=_recurrence(fields, family, hidden) if any(recurs) else None,
            latent=latent,
            gated_attention=family.gated_attention,
            value_norms=family.value_norms,
            keys_as_values=family.keys_as_values,
            sharing=_sharing(fields, windows),
            layer_inputs=(
                fields.count("embedding_length_per_layer_input", most=_MOST_HEADS)
                if family.layer_inputs
                else 0
            ),
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

    def dense_size(self, layer: int) -> int:
        """The size of a layer's feed-forward, if it has one without experts."""
        usual = self.dense_feed_forward or self.feed_forward
        return self.feed_forwards[layer] if self.feed_forwards else usual

    @cached_property
    def layer_heads(self) -> tuple[Heads, ...]:
        """The sizes of each layer's attention."""
        usual = Heads(self.kv_heads, self.head_dim)
        others = self.global_heads or usual
        return tuple(usual if window else others for window in self.windows)

    @cached_property
    def key_sources(self) -> tuple[int, ...]:
        """For each layer, the layer whose keys and values it uses.

        One of the last `sharing` layers uses those of the last layer before these that also has a
        window, or also has none.
        """
        own = range(self.layers - self.sharing)
        last = {self.windows[i] is None: i for i in own}
        rest = self.windows[self.layers - self.sharing :]
        return (*own, *(last[window is None] for window in rest))

    @cached_property
    def has_keys(self) -> tuple[bool, ...]:
        """For each layer, whether it has keys and values of its own."""
        each = zip(self.attends, self.key_sources, strict=True)
        return tuple(attends and source == i for i, (attends, source) in enumerate(each))

    @cached_property
    def cached_heads(self) -> tuple[Heads, ...]:
        """The sizes of keys and values, at the places of `key_places`."""
        each = zip(self.layer_heads, self.has_keys, strict=True)
        return tuple(heads for heads, own in each if own)

    @property
    def has_gates(self) -> bool:
        """Whether the feed-forward has gates. If not, `gate_up` is a matrix of ups alone."""
        return self.activation != "squared relu"

    @cached_property
    def key_places(self) -> tuple[int, ...]:
        """For each layer, the index of its `key_sources` among those with keys."""
        return tuple(sum(self.has_keys[:source]) for source in self.key_sources)

    @cached_property
    def state_places(self) -> tuple[int, ...]:
        """For each layer, its index among those with a state."""
        return tuple(sum(self.recurs[:i]) for i in range(self.layers))

    @property
    def key_values(self) -> int:
        """The numbers of a token's keys and values in all layers."""
        return 2 * sum(heads.keys * heads.dim for heads in self.cached_heads)

    @property
    def state_size(self) -> int:
        """The floats of a sequence's state in all layers."""
        return sum(self.recurs) * self.recurrence.size if self.recurrence else 0

    def rotary_order(self, heads: int, layer: int = 0) -> np.ndarray | None:
        """The order of the rows of a layer's queries or keys, if it differs from the file's order.

        int64 [heads * head_dim]. In a file, the two rows of a rotary pair are adjacent, or half of
        the rotated rows apart. The rotated rows come first, with latent attention last. `rotate`
        rotates row i with row i + head_dim / 2.
        """
        dim = self.layer_heads[layer].dim
        like = zip(self.ropes, self.layer_heads, strict=True)
        turning = 2 * max(len(rope.frequencies) for rope, other in like if other.dim == dim)
        rows = np.arange(dim)
        if self.latent:
            rows = np.roll(rows, turning)
        pairs = rows[:turning]
        pairs = pairs.reshape(-1, 2).T if self.side_by_side else pairs.reshape(2, -1)
        order = np.hstack([pairs, rows[turning:].reshape(2, -1)]).reshape(-1)
        if (order == np.arange(dim)).all():
            return None
        return (np.arange(heads)[:, None] * dim + order).reshape(-1)


def _head_dim(fields: Fields, usual: int, which: str = "") -> int:
    """The size of a head. With `which` "_swa", of layers with a window."""
    key = f"attention.key_length{which}"
    head_dim = fields.whole(key, usual, most=_MOST_HEADS)
    if head_dim % 2 or not head_dim:
        raise fields.wrong(key)
    if fields.whole(f"attention.value_length{which}", head_dim) != head_dim:
        raise fields.wrong(f"attention.value_length{which}")
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


def _kv_heads(
    fields: Fields, family: Family, heads: int, windows: tuple[int | None, ...]
) -> list[int]:
    """The key heads of each layer, or 0. All with a window have as many, and all without one."""
    key, layers = "attention.head_count_kv", len(windows)
    stated = fields.get(key)
    if not isinstance(stated, list | np.ndarray):
        count = fields.whole(key, heads)
        recurrent = _recurrent(fields, layers) if family.delta_nets else [False] * layers
        counts = [0 if one else count for one in recurrent]
    else:
        counts = [count for count in [*stated][:layers] if isinstance(count, int | np.integer)]
        counts = [int(count) for count in counts if 0 <= count <= heads]
    if len(counts) != layers or not any(counts) or any(one and heads % one for one in counts):
        raise fields.wrong(key)
    kinds = [family.global_heads and window is None for window in windows]
    for kind in {*kinds}:
        if len({count for count, own in zip(counts, kinds, strict=True) if own == kind} - {0}) > 1:
            raise fields.wrong(key)
    return counts


def _split_heads(
    family: Family, windows: tuple[int | None, ...], counts: list[int], local: int, usual: int
) -> tuple[Heads, Heads | None]:
    """The heads of most layers, and those of layers without a window if they have others.

    `counts` are the key heads of each layer, `local` and `usual` the sizes of heads with a window
    and without one.
    """
    if not family.global_heads:
        return Heads(max(counts), usual), None
    each = [*zip(counts, windows, strict=True)]
    near = max((count for count, window in each if window), default=max(counts))
    far = max((count for count, window in each if not window), default=max(counts))
    return Heads(near, local), Heads(far, usual)


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


def _recurrence(fields: Fields, family: Family, hidden: int) -> Recurrence:
    """What layers with a recurrence compute."""
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
        beside=family.beside,
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
    shared, rest = divmod(fields.whole(key, each, most=MOST_WIDTH), each)
    if rest or shared > _MOST_EXPERTS:
        raise fields.wrong(key)
    return shared


def _feed_forward(fields: Fields, *, of_expert: bool) -> int:
    key = "expert_feed_forward_length"
    if of_expert and fields.get(key) is not None:
        return fields.whole(key, most=MOST_WIDTH)
    sizes = feed_forward_sizes(fields)
    return max(sizes) if sizes else fields.whole("feed_forward_length", most=MOST_WIDTH)


def _feed_forwards(fields: Fields, experts: Experts | None, layers: int) -> tuple[int, ...]:
    """The size in each layer, or nothing if all have the same."""
    sizes = feed_forward_sizes(fields)
    if sizes and (experts is not None or len(sizes) != layers or 0 in sizes):
        raise fields.wrong("feed_forward_length")
    return tuple(sizes)


def _sharing(fields: Fields, windows: tuple[int | None, ...]) -> int:
    """The number of last layers that use keys and values of others."""
    key = "attention.shared_kv_layers"
    count = fields.count(key, most=len(windows) - 1)
    kinds = [window is None for window in windows]
    if not {*kinds[len(kinds) - count :]} <= {*kinds[: len(kinds) - count]}:
        raise fields.wrong(key)
    return count


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
