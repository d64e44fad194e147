"""What a layer computes that has a state in place of keys and values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minikin.model_file.fields import Fields

_MOST_TAPS, _MOST_HEADS, _MOST_DIM = 64, 1024, 1024
"""The maximum for a file. The largest published models have a quarter of it."""


@dataclass(frozen=True)
class ShortConvolution:
    """The mean of a channel's last tokens, weighted by the token's distance (LFM2).

    The values before and after it are multiplied by gates of the token itself.
    """

    channels: int
    taps: int
    """The tokens that it sees, the current one included."""

    @property
    def size(self) -> int:
        """The floats of a state of one layer: [taps - 1, channels], the tokens to see again."""
        return (self.taps - 1) * self.channels

    @property
    def inputs(self) -> int:
        """The outputs of the matrix before it: gates before, gates after, values."""
        return 3 * self.channels

    @property
    def outputs(self) -> int:
        """The inputs of the matrix after it."""
        return self.channels


@dataclass(frozen=True)
class Memory:
    """Heads that each remember values by keys.

    A token lets the memory of a head fade, and changes what it has at the token's key. The output
    is what the memory then has at the query. Before that, queries, keys and values go through a
    convolution as in `ShortConvolution`, without gates.
    """

    taps: int
    key_heads: int
    value_heads: int
    """A multiple of the key heads."""
    key_dim: int
    value_dim: int
    grouped: bool = field(default=False, compare=False)
    """Whether the value heads of a key head are adjacent, as in folders. In GGUF files, key head i
    is that of the value heads i, i + key_heads, and so on."""

    @property
    def channels(self) -> int:
        """Of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.outputs

    @property
    def convolution_size(self) -> int:
        """The floats of a state that belong to the convolution, the first ones."""
        return (self.taps - 1) * self.channels

    @property
    def size(self) -> int:
        """The floats of a state of one layer: the convolution, then [value head, key, value]."""
        return self.convolution_size + self.value_heads * self.key_dim * self.value_dim

    @property
    def inputs(self) -> int:
        """The outputs of the matrix before it: channels, and gates of the outputs."""
        return self.channels + self.outputs

    @property
    def outputs(self) -> int:
        """The inputs of the matrix after it."""
        return self.value_heads * self.value_dim

    @property
    def key_heads_of(self) -> list[int]:
        """The key head of each value head."""
        each, heads = self.value_heads // self.key_heads, range(self.value_heads)
        return [head // each if self.grouped else head % self.key_heads for head in heads]

    @property
    def rates(self) -> int:
        """The outputs of the matrix that says how each token changes the memories."""
        raise NotImplementedError


@dataclass(frozen=True)
class DeltaNet(Memory):
    """A token moves what a memory has at its key towards its value (Yang et al. 2024)."""

    @property
    def rates(self) -> int:
        """For each value head, how fast it fades, then how far it moves."""
        return 2 * self.value_heads

    def by_part(self, *rows: int) -> np.ndarray:
        """The order of rows of a matrix that has, for each key head, so many rows of each part.

        int64. All rows of the first part come first.
        """
        each = np.arange(self.key_heads * sum(rows)).reshape(self.key_heads, -1)
        parts = np.split(each, np.cumsum(rows)[:-1], axis=1)
        return np.concatenate([part.reshape(-1) for part in parts])


@dataclass(frozen=True)
class Mamba(Memory):
    """A token adds its value to what a memory has at its key (Dao and Gu 2024, Mamba 2).

    In Mamba's words, queries are C, keys are B, values are x, and key heads are groups.
    """

    @property
    def rates(self) -> int:
        """For each value head, the size of a step (dt)."""
        return self.value_heads

    @property
    def channel_order(self) -> np.ndarray:
        """The order of channels, which in files is values, keys, queries. int64."""
        values, keys, queries = np.split(
            np.arange(self.channels), [self.outputs, self.outputs + self.key_heads * self.key_dim]
        )
        return np.concatenate([queries, keys, values])


Recurrence = ShortConvolution | DeltaNet | Mamba


def read_short_convolution(fields: Fields, hidden: int) -> ShortConvolution:
    """Raises ModelFileError."""
    return ShortConvolution(hidden, _taps(fields, "shortconv.l_cache"))


def read_delta_net(fields: Fields, *, grouped: bool) -> DeltaNet:
    """`grouped`: value heads are so in all files of the family. Raises ModelFileError."""
    return DeltaNet(**_sizes(fields), grouped=fields.flag("ssm.grouped", grouped))


def read_mamba(fields: Fields) -> Mamba:
    """Raises ModelFileError."""
    return Mamba(**_sizes(fields), grouped=True)


def _sizes(fields: Fields) -> dict[str, int]:
    """Of a `Memory`."""
    value_heads = fields.whole("ssm.time_step_rank", most=_MOST_HEADS)
    key_heads = fields.whole("ssm.group_count", most=value_heads)
    outputs = fields.whole("ssm.inner_size", most=_MOST_HEADS * _MOST_DIM)
    if outputs % value_heads or outputs // value_heads > _MOST_DIM:
        raise fields.wrong("ssm.inner_size")
    if value_heads % key_heads:
        raise fields.wrong("ssm.group_count")
    return {
        "taps": _taps(fields, "ssm.conv_kernel"),
        "key_heads": key_heads,
        "value_heads": value_heads,
        "key_dim": fields.whole("ssm.state_size", most=_MOST_DIM),
        "value_dim": outputs // value_heads,
    }


def _taps(fields: Fields, key: str) -> int:
    taps = fields.whole(key, most=_MOST_TAPS)
    if taps < 2:
        raise fields.wrong(key)
    return taps
