"""What a layer computes that has a state in place of keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from minikin.model_file.fields import Fields

_MOST_TAPS = 64


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


def read_short_convolution(fields: Fields, hidden: int) -> ShortConvolution:
    """Raises ModelFileError."""
    taps = fields.whole("shortconv.l_cache", most=_MOST_TAPS)
    if taps < 2:
        raise fields.wrong("shortconv.l_cache")
    return ShortConvolution(hidden, taps)
