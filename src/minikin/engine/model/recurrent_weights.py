"""Reads the tensors of a `Recurrence` from a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.matrix import Matrix
from minikin.engine.model.recurrence import DeltaNet, Mamba, ShortConvolution
from minikin.engine.model.tensors import MatrixPart, Tensors


@dataclass(frozen=True, kw_only=True)
class MemoryWeights:
    """What memories have beside their convolution. See `Memory`."""

    rates: Matrix
    """Hidden -> how a token changes each value head: see `DeltaNet.rates` and `Mamba.rates`."""
    fading: np.ndarray
    """[value heads], below 0: the factor of its first part."""
    offset: np.ndarray
    """[value heads]: added to the first part before that."""
    norm: np.ndarray | None
    """[value dim]: of each head's output. In Mamba, [outputs]: of those of each key head, or
    None."""
    skip: np.ndarray | None = None
    """[value heads]: the factor for values that are added to the output (D). None: no Mamba."""


@dataclass(frozen=True, kw_only=True)
class RecurrentWeights:
    """A layer's recurrence, without the norm before it."""

    inputs: Matrix
    """Hidden -> `Recurrence.inputs`."""
    convolution: np.ndarray
    """[taps, channels], the current token last. See `ShortConvolution`."""
    convolution_bias: np.ndarray | None = None
    """[channels]"""
    memory: MemoryWeights | None = None
    output: Matrix


class RecurrentLoader:
    """Reads the recurrence of one layer after the other."""

    def __init__(
        self, tensors: Tensors, architecture: Architecture, linear: Callable[..., Matrix]
    ) -> None:
        """`linear` makes a matrix from its inputs and its parts."""
        self._tensors = tensors
        self._hidden = architecture.hidden
        self._form = architecture.recurrence
        self._linear = linear
        self._normed = not all(architecture.attends)
        """Whether the outputs of Mamba must have a norm. Beside attention, some have none."""

    def load(self, at: str) -> RecurrentWeights:
        """Of the layer `at`. Raises ModelFileError."""
        form = self._form
        assert form is not None
        if isinstance(form, DeltaNet):
            return self._delta_net(at, form)
        return self._mamba(at, form) if isinstance(form, Mamba) else self._convolution(at, form)

    def _mamba(self, at: str, form: Mamba) -> RecurrentWeights:
        """In a file, one matrix has gates, values, keys, queries and steps, in this order."""
        hidden, heads = self._hidden, form.value_heads
        order, gates = form.channel_order, np.arange(form.outputs)
        mixed = np.concatenate([form.outputs + order, gates])
        whole, norm = form.inputs + heads, f"{at}.ssm_norm.weight"
        normed = self._normed or norm in self._tensors
        taps = self._tensors.table(f"{at}.ssm_conv1d.weight", form.channels, form.taps)
        biased = f"{at}.ssm_conv1d.bias" in self._tensors
        bias = self._tensors.vector(f"{at}.ssm_conv1d.bias", form.channels) if biased else None
        return RecurrentWeights(
            inputs=self._linear(hidden, MatrixPart(f"{at}.ssm_in", whole, order=mixed)),
            convolution=np.ascontiguousarray(taps[order].T),
            convolution_bias=None if bias is None else bias[order],
            memory=MemoryWeights(
                rates=self._linear(hidden, MatrixPart(f"{at}.ssm_in", heads, form.inputs, whole)),
                fading=self._tensors.flat(f"{at}.ssm_a", heads),
                offset=self._tensors.vector(f"{at}.ssm_dt.bias", heads),
                norm=self._tensors.flat(norm, form.outputs) if normed else None,
                skip=self._tensors.flat(f"{at}.ssm_d", heads),
            ),
            output=self._linear(form.outputs, MatrixPart(f"{at}.ssm_out", hidden)),
        )

    def _delta_net(self, at: str, form: DeltaNet) -> RecurrentWeights:
        hidden, heads = self._hidden, form.value_heads
        taps = self._tensors.table(f"{at}.ssm_conv1d.weight", form.channels, form.taps)
        return RecurrentWeights(
            inputs=self._linear(hidden, *self._delta_inputs(at, form)),
            convolution=np.ascontiguousarray(taps.T),
            memory=MemoryWeights(
                rates=self._linear(hidden, *self._delta_rates(at, form)),
                fading=self._tensors.vector(f"{at}.ssm_a", heads),
                offset=self._tensors.vector(f"{at}.ssm_dt.bias", heads),
                norm=self._tensors.vector(f"{at}.ssm_norm.weight", form.value_dim),
            ),
            output=self._linear(form.outputs, MatrixPart(f"{at}.ssm_out", hidden)),
        )

    def _delta_inputs(self, at: str, form: DeltaNet) -> tuple[MatrixPart, ...]:
        """Queries, keys, values and gates. In one tensor, those of a key head are together."""
        if f"{at}.ssm_in.weight" not in self._tensors:
            gate = MatrixPart(f"{at}.attn_gate", form.outputs)
            return MatrixPart(f"{at}.attn_qkv", form.channels), gate
        values = form.outputs // form.key_heads
        order = form.by_part(form.key_dim, form.key_dim, values, values)
        return (MatrixPart(f"{at}.ssm_in", len(order), order=order),)

    def _delta_rates(self, at: str, form: DeltaNet) -> tuple[MatrixPart, ...]:
        """See `DeltaNet.rates`. In one tensor, those of a key head are together."""
        heads = form.value_heads
        if f"{at}.ssm_ba.weight" not in self._tensors:
            return MatrixPart(f"{at}.ssm_alpha", heads), MatrixPart(f"{at}.ssm_beta", heads)
        each = heads // form.key_heads
        order = np.roll(form.by_part(each, each), heads)  # how fast heads fade comes second
        return (MatrixPart(f"{at}.ssm_ba", 2 * heads, order=order),)

    def _convolution(self, at: str, form: ShortConvolution) -> RecurrentWeights:
        taps = self._tensors.table(f"{at}.shortconv.conv.weight", form.channels, form.taps)
        return RecurrentWeights(
            inputs=self._linear(self._hidden, MatrixPart(f"{at}.shortconv.in_proj", form.inputs)),
            convolution=np.ascontiguousarray(taps.T),
            output=self._linear(
                form.channels, MatrixPart(f"{at}.shortconv.out_proj", self._hidden)
            ),
        )
