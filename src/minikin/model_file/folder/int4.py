"""Converts 4-bit matrices of AWQ and GPTQ to GGUF's type Q4_1.

Both store levels (`qweight`) for each matrix [out, in], and a scale and a zero (`qzeros`) for each
output and group of inputs: w = scale * (level - zero). The layouts are those of AutoAWQ's "gemm"
and of AutoGPTQ. The zeros of AutoGPTQ's older format are one too low. Q4_1 stores w = scale * level
+ minimum, both in float16, for 32 inputs each. Only the rounding of -zero * scale is inexact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import LAYOUTS
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.shard import Dtype, Stored, misshapen
from minikin.model_file.gguf import GGMLType

SUFFIXES = ("qweight", "qzeros", "scales", "g_idx")
"""The tensors of one matrix. Only GPTQ has the last one."""
BLOCK = GGMLType.Q4_1.block_size
_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""AWQ: for each of 8 outputs, the index of its level in a 32-bit number, lowest first."""
_FLOATS: dict[Dtype, str] = {"F16": "<f2", "F32": "<f4"}

Read = Callable[[str], np.ndarray]
"""Reads the bytes of one tensor of a matrix, by its suffix."""


@dataclass(frozen=True)
class Int4:
    """How the matrices of a folder are quantized."""

    method: Literal["awq", "gptq"]
    group: int
    """Inputs that share a scale. -1: all."""
    zero_offset: int
    """Added to the stored zeros."""

    @classmethod
    def read(cls, fields: ConfigFields) -> Int4 | None:
        """Read it from config.json. None: no matrix is quantized. Raises ModelFileError."""
        stated = fields.part("quantization_config")
        if stated is None:
            return None
        method = stated.text("quant_method", "")
        if method not in ("awq", "gptq"):
            raise ModelFileError(
                f"This folder has the unsupported quantization method {method[:64]!a}. "
                "Supported: awq, gptq, fp8, compressed-tensors with 8-bit floats."
            )
        if stated.whole("bits", stated.whole("w_bit", 4)) != 4:
            raise stated.wrong("bits" if stated.get("bits") else "w_bit")
        group = stated.get("group_size")
        if type(group) is not int or (group != -1 and (group < BLOCK or group % BLOCK)):
            raise stated.wrong("group_size")
        offset = _awq(stated) if method == "awq" else _gptq(stated)
        return cls(method, group, offset)

    def shape(self, stored: Mapping[str, Stored], name: str) -> tuple[int, int]:
        """[out, in] of the matrix `name`, from its tensors by suffix.

        Raises ModelFileError if one of them is missing or invalid.
        """
        levels, scales = stored.get("qweight"), stored.get("scales")
        if levels is None or scales is None or "qzeros" not in stored:
            raise ModelFileError(f"The matrix {name[:64]!a} lacks its qweight, qzeros or scales.")
        if len(levels.shape) != 2 or levels.dtype != "I32":
            raise misshapen(f"{name}.qweight")
        rows, columns = levels.shape
        inputs, outputs = (rows, columns * 8) if self.method == "awq" else (rows * 8, columns)
        group = inputs if self.group == -1 else self.group
        if not inputs or not outputs or inputs % group or inputs % BLOCK or outputs % 8:
            raise misshapen(f"{name}.qweight")
        groups = inputs // group
        if scales.shape != (groups, outputs) or scales.dtype not in (*_FLOATS, "BF16"):
            raise misshapen(f"{name}.scales")
        zeros = stored["qzeros"]
        if zeros.shape != (groups, outputs // 8) or zeros.dtype != "I32":
            raise misshapen(f"{name}.qzeros")
        order = stored.get("g_idx")
        if order and (order.shape != (inputs,) or order.dtype != "I32"):
            raise misshapen(f"{name}.g_idx")
        return outputs, inputs

    def blocks(
        self, stored: Mapping[str, Stored], read: Read, shape: tuple[int, int], name: str
    ) -> np.ndarray:
        """The matrix in Q4_1: uint8 [bytes]. Raises ModelFileError if it cannot be converted."""
        outputs, inputs = shape
        group = inputs if self.group == -1 else self.group
        if "g_idx" in stored:
            groups = read("g_idx").view("<i4")
            if not np.array_equal(groups, np.arange(inputs) // group):
                raise ModelFileError(
                    f"The matrix {name[:64]!a} has reordered inputs (desc_act), which is not "
                    "supported. Choose a version without desc_act."
                )
        levels = _nibbles(read("qweight")).reshape(*stored["qweight"].shape, 8)
        zeros = _nibbles(read("qzeros")).reshape(*stored["qzeros"].shape, 8)
        if self.method == "awq":
            levels, zeros = levels[..., _ORDER], zeros[..., _ORDER]
            levels = levels.reshape(inputs, outputs)
        else:
            levels = levels.swapaxes(1, 2).reshape(inputs, outputs)
        zeros = zeros.reshape(-1, outputs) + np.uint8(self.zero_offset)
        scales = _scales(read("scales"), stored["scales"])
        with np.errstate(over="ignore", invalid="ignore"):
            minima = (-zeros.astype(np.float32) * scales).astype("<f2")
            halves = scales.astype("<f2")
        if not (np.isfinite(halves).all() and np.isfinite(minima).all()):
            raise ModelFileError(f"The matrix {name[:64]!a} has a scale that does not fit float16.")
        return _pack(levels.T, halves.T, minima.T, group // BLOCK)


def _awq(stated: ConfigFields) -> int:
    if stated.text("version", "gemm").lower() != "gemm":
        raise stated.wrong("version")
    if not stated.flag("zero_point", True):
        raise stated.wrong("zero_point")
    return 0


def _gptq(stated: ConfigFields) -> int:
    """1 in the older format. The g_idx of each matrix shows whether it uses desc_act."""
    form = stated.text("checkpoint_format", "gptq")
    if form not in ("gptq", "gptq_v2"):
        raise stated.wrong("checkpoint_format")
    if stated.get("dynamic"):
        raise stated.wrong("dynamic")
    if stated.text("pack_dtype", "int32") != "int32":
        raise stated.wrong("pack_dtype")
    if stated.flag("is_marlin_format"):
        raise stated.wrong("is_marlin_format")
    return 1 if form == "gptq" else 0


def _nibbles(packed: np.ndarray) -> np.ndarray:
    """uint8 [n] -> [2 n], the lower half of each byte first. In 32-bit numbers, lowest first."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)


def _scales(data: np.ndarray, stored: Stored) -> np.ndarray:
    """float32 [groups, out]."""
    if stored.dtype == "BF16":
        values = (data.view("<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        values = data.view(_FLOATS[stored.dtype]).astype(np.float32)
    return values.reshape(stored.shape)


def _pack(levels: np.ndarray, scales: np.ndarray, minima: np.ndarray, repeat: int) -> np.ndarray:
    """[out, in], [out, groups] twice -> uint8 [bytes]. A group has `repeat` blocks."""
    outputs, inputs = levels.shape
    blocks = np.empty((outputs, inputs // BLOCK), dtype=LAYOUTS[GGMLType.Q4_1])
    blocks["d"] = np.repeat(scales, repeat, axis=1)
    blocks["m"] = np.repeat(minima, repeat, axis=1)
    halves = levels.reshape(outputs, inputs // BLOCK, 2, BLOCK // 2)
    blocks["q"] = halves[:, :, 0] | halves[:, :, 1] << 4
    return blocks.view(np.uint8).reshape(-1)
