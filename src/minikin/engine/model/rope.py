"""Rotary position embeddings: their frequencies with each scaling method."""

from __future__ import annotations

from collections.abc import Sequence as Run
from dataclasses import dataclass
from math import ceil, floor, log, pi

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.family import Family
from minikin.model_file.fields import Fields
from minikin.model_file.model_file import ModelFile

Table = tuple[np.ndarray, np.ndarray]
"""Cosine and sine, each [positions, head_dim / 2] float32."""


@dataclass(frozen=True)
class Rope:
    """How some layers rotate queries and keys by their position in the text.

    Su et al. 2021 (RoFormer). A layer without positions (NoPE) has no frequencies.
    """

    frequencies: tuple[float, ...] = ()
    """Radians per position, for the first pairs of a head. The other pairs do not rotate."""
    magnitude: float = 1.0
    """The factor for the rotated pairs."""
    growth: float = 0.0
    period: int = 1
    """Queries grow with their position p by 1 + growth log(1 + floor(p / period)) (Llama 4)."""

    def table(self, positions: int, head_dim: int) -> Table:
        """Of keys."""
        turning = len(self.frequencies)
        cosine = np.ones((positions, head_dim // 2), np.float32)
        sine = np.zeros((positions, head_dim // 2), np.float32)
        angle = np.outer(np.arange(positions), self.frequencies)
        cosine[:, :turning] = np.cos(angle) * self.magnitude
        sine[:, :turning] = np.sin(angle) * self.magnitude
        return cosine, sine

    def query_table(self, positions: int, head_dim: int) -> Table:
        """Of queries."""
        cosine, sine = self.table(positions, head_dim)
        turns = np.arange(positions) // self.period
        factor = (1 + self.growth * np.log1p(turns)).astype(np.float32)[:, None]
        return cosine * factor, sine * factor


def rotary_tables(
    ropes: Run[Rope], positions: int, head_dims: Run[int]
) -> list[tuple[Table, Table]]:
    """The tables of queries and of keys of each layer. Equal ones are shared."""
    tables: dict[tuple[Rope, int], tuple[Table, Table]] = {}
    each = [*zip(ropes, head_dims, strict=True)]
    for rope, head_dim in set(each):
        keys = rope.table(positions, head_dim)
        queries = rope.query_table(positions, head_dim) if rope.growth else keys
        tables[rope, head_dim] = queries, keys
    return [tables[one] for one in each]


def read_ropes(
    file: ModelFile,
    fields: Fields,
    family: Family,
    windows: tuple[int | None, ...],
    head_dim: int,
    local_dim: int,
    context: int,
) -> tuple[Rope, ...]:
    """The RoPE of each layer, from a file. Raises ModelFileError.

    `local_dim` is the size of a head in layers with a window, `head_dim` in others.
    """
    stated = family.stated_positions and not fields.flag("rope.scaling.finetuned", True)
    if family.unplaced_every == 1 or stated:
        return (Rope(),) * len(windows)
    dimensions = fields.whole("rope.dimension_count", head_dim, most=head_dim)
    if dimensions % 2:
        raise fields.wrong("rope.dimension_count")
    plain = _frequencies(dimensions, _base(fields, "rope.freq_base", 10_000.0))
    far = near = _scaled(file, fields, family, plain, context)
    if family.has_local_rope:
        own = family.local_rope_base or _base(fields, "rope.freq_base", 10_000.0)
        base = _base(fields, "rope.freq_base_swa", own)
        if family.global_heads:
            dimensions = fields.whole("rope.dimension_count_swa", local_dim, most=local_dim)
            if dimensions % 2:
                raise fields.wrong("rope.dimension_count_swa")
        near = Rope(tuple(_frequencies(dimensions, base).tolist()))
    if family.unplaced_global and any(windows):
        far = Rope()
    every = family.unplaced_every
    return tuple(
        Rope() if every and (layer + 1) % every == 0 else near if window else far
        for layer, window in enumerate(windows)
    )


def _base(fields: Fields, key: str, default: float) -> float:
    base = fields.number(key, default)
    if base <= 1:
        raise fields.wrong(key)
    return base


def _frequencies(dimensions: int, base: float) -> np.ndarray:
    return base ** -(np.arange(0, dimensions, 2) / dimensions)


def _scaled(
    file: ModelFile, fields: Fields, family: Family, plain: np.ndarray, context: int
) -> Rope:
    """The frequencies, scaled for a longer context than in training.

    A file has factors (Llama 3.1; Phi's LongRoPE, with one list for short contexts and one for long
    contexts), a kind of scaling, or both. Then the scaling applies to the divided frequencies. Old
    files have only `rope.scale_linear`. The defaults are those of llama.cpp: a factor without a
    kind is linear, and a kind without a factor changes nothing.
    """
    kind = fields.text("rope.scaling.type", "linear")
    magnitude = fields.number("rope.scaling.attn_factor", 1.0)
    original = fields.whole("rope.scaling.original_context_length", fields.whole("context_length"))
    length = "long" if context > original else "short"
    for name in ("rope_freqs.weight", f"rope_factors_{length}.weight"):
        if name in file.tensors:
            plain = plain / _factors(file, name, len(plain))
            break
    if kind == "none":
        return Rope(tuple(plain.tolist()), magnitude)
    old = fields.number("rope.scale_linear", 0.0)
    factor = fields.number("rope.scaling.factor", old) or 1.0  # 0 means none
    if kind in ("linear", "longrope"):
        return Rope(tuple((plain / factor).tolist()), magnitude)
    factor = max(factor, 1.0)
    if kind != "yarn":
        raise fields.wrong("rope.scaling.type")
    slowed = _slowed_by_yarn(fields, len(plain), original, rounded=family.rounded_yarn)
    mixed = plain / factor * slowed + plain * (1 - slowed)
    if not family.latent:  # there, it is a part of the scores' scale: see `latent_scale`
        # 0 means that the file's magnitude is not divided.
        magnitude /= 1 + 0.1 * fields.number("rope.scaling.yarn_log_multiplier", 0.0) * log(factor)
        magnitude *= 1 + 0.1 * log(factor)
    growth = fields.number("attention.temperature_scale", 0.0)
    return Rope(tuple(mixed.tolist()), magnitude, growth, original if growth else 1)


def _slowed_by_yarn(fields: Fields, pairs: int, original: int, *, rounded: bool) -> np.ndarray:
    """The share of the scaling for each pair, 0 to 1: 0 if it rotates fast (Peng et al. 2023).

    `original` is the context length in tokens before the extension.
    """
    base = _base(fields, "rope.freq_base", 10_000.0)

    def pair(turns: float) -> float:
        return pairs * log(original / (turns * 2 * pi)) / log(base)

    first = pair(fields.number("rope.scaling.yarn_beta_fast", 32.0) or 32.0)
    last = pair(fields.number("rope.scaling.yarn_beta_slow", 1.0) or 1.0)
    if rounded:
        first, last = floor(first), ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    return ((np.arange(pairs) - first) / max(last - first, 0.001)).clip(0, 1)


def _factors(file: ModelFile, name: str, pairs: int) -> np.ndarray:
    factors = dequantize(file.data(name), file.tensors[name].type, file.tensors[name].shape)
    if factors.shape != (pairs,) or not (factors > 0).all():
        raise ModelFileError(f"The tensor {name} is not {pairs} numbers above 0.")
    return factors.astype(np.float64)
