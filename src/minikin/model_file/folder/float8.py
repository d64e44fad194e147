"""Matrices of 8-bit floats (OCP's E4M3) with scales, as their exact values in float32.

"fp8" (DeepSeek, Qwen3-FP8) has a scale for each square of 128 by 128, `weight_scale_inv`.
compressed-tensors has one for each output, for each square or for all, `weight_scale`. Scales of
activations have no effect: activations stay as exact as those of other models.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import E4M3, dequantize
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.shard import Dtype, Stored, misshapen
from minikin.model_file.gguf import GGMLType

DTYPE = "F8_E4M3"
SCALES = ("weight_scale_inv", "weight_scale")
SUFFIXES = (*SCALES, "input_scale", "activation_scale")
_TYPES: dict[Dtype, GGMLType] = {"F32": GGMLType.F32, "BF16": GGMLType.BF16, "F16": GGMLType.F16}


_FINITE = np.append(E4M3[:127], np.float32(np.nan))
_VALUES = np.concatenate([_FINITE, -_FINITE])
"""float32 [256]: the value of each byte."""


@dataclass(frozen=True)
class Float8:
    """How the matrices of a folder are scaled."""

    method: str
    square: tuple[int, int] | None
    """The outputs and inputs that share a scale. None: one for each output or for all."""

    @classmethod
    def read(cls, fields: ConfigFields) -> Float8 | None:
        """Read it from config.json. None: it has no matrices of 8-bit floats.

        Raises ModelFileError for an invalid or unsupported value.
        """
        stated = fields.part("quantization_config")
        method = stated.text("quant_method", "") if stated else ""
        if stated and method == "fp8":
            if stated.text("fmt", "e4m3") != "e4m3":
                raise stated.wrong("fmt")
            return cls(method, _square(stated, "weight_block_size"))
        if stated and method == "compressed-tensors":
            return cls("fp8", _compressed(stated))
        return None

    def check(self, weight: Stored, scale: Stored | None, name: str) -> None:
        """Raise ModelFileError if these tensors do not fit."""
        counts = self._counts(weight.shape) if len(weight.shape) == 2 else ()
        if 0 in weight.shape or not counts:
            raise misshapen(f"{name}.weight")
        if scale is None:
            raise ModelFileError(f"The matrix {name[:64]!a} has no scale.")
        single = prod(scale.shape) == 1 and not self.square
        if scale.dtype not in _TYPES or not (single or scale.shape == counts):
            raise misshapen(f"{name}.weight_scale")

    def values(
        self, weight: np.ndarray, shape: tuple[int, ...], scale: np.ndarray, stored: Stored
    ) -> np.ndarray:
        """The matrix: float32 [outputs, inputs], from the bytes of both tensors."""
        outputs, inputs = shape
        rows, columns = self._counts(shape) if prod(stored.shape) > 1 else (1, 1)
        scales = dequantize(scale, _TYPES[stored.dtype], (rows, columns))
        high, wide = self.square or (-(-outputs // rows), inputs)
        values = _VALUES[weight.reshape(shape)]
        for row in range(rows):
            values[row * high : (row + 1) * high] *= np.repeat(scales[row], wide)[:inputs]
        return values

    def _counts(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The number of scales of a matrix, by row and column."""
        outputs, inputs = shape
        if self.square is None:
            return outputs, 1
        return -(-outputs // self.square[0]), -(-inputs // self.square[1])


def _square(stated: ConfigFields, key: str) -> tuple[int, int] | None:
    sizes = stated.get(key)
    if sizes is None:
        return None
    if not isinstance(sizes, list) or len(sizes) != 2 or not all(type(n) is int for n in sizes):
        raise stated.wrong(key)
    if min(sizes) < 1 or max(sizes) > 1 << 16:
        raise stated.wrong(key)
    return sizes[0], sizes[1]


def _compressed(stated: ConfigFields) -> tuple[int, int] | None:
    if stated.text("format", "float-quantized") != "float-quantized":
        raise stated.wrong("format")
    groups = stated.part("config_groups")
    found = [groups.part(name) for name in groups.names()] if groups else []
    if len(found) != 1 or found[0] is None or (weights := found[0].part("weights")) is None:
        raise stated.wrong("config_groups")
    if weights.whole("num_bits") != 8:
        raise weights.wrong("num_bits")
    if weights.text("type", "float") != "float":
        raise weights.wrong("type")
    strategy = weights.text("strategy", "tensor")
    if strategy not in ("tensor", "channel", "block"):
        raise weights.wrong("strategy")
    square = _square(weights, "block_structure")
    if (square is not None) != (strategy == "block"):
        raise weights.wrong("block_structure")
    return square
