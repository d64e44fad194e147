"""AWQ's and GPTQ's formats, written from their definitions one number at a time.

AutoAWQ, "gemm": `qweight` [in, out / 8] and `qzeros` [groups, out / 8] int32, each of 8 outputs c,
c + 1, ... c + 7 as their bits 4 i to 4 i + 3 for output c + (0, 2, 4, 6, 1, 3, 5, 7)[i]; `scales`
[groups, out] half. AutoGPTQ: `qweight` [in / 8, out], bits 4 i to 4 i + 3 for input 8 r + i;
`qzeros` [groups, out / 8], bits 4 i to 4 i + 3 for output 8 c + i, of which the first version keeps
one less than is meant; `g_idx` [in], the group of each input. Both: w = scale * (level - zero).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


@dataclass
class Quantized:
    """A random matrix: levels [in, out] and zeros [groups, out] below 16, scales [groups, out]."""

    inputs: int
    outputs: int
    group: int
    symmetric: bool = False
    seed: int = 0
    levels: np.ndarray = field(init=False)
    zeros: np.ndarray = field(init=False)
    scales: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        chance = np.random.default_rng(self.seed)
        groups = self.inputs // self.group
        self.levels = chance.integers(0, 16, (self.inputs, self.outputs))
        zeros = chance.integers(1, 16, (groups, self.outputs))
        self.zeros = np.full_like(zeros, 8) if self.symmetric else zeros
        self.scales = chance.uniform(0.01, 0.05, (groups, self.outputs)).astype(np.float16)

    def values(self) -> np.ndarray:
        """float64 [out, in]."""
        out = np.empty((self.outputs, self.inputs))
        for i in range(self.inputs):
            scale, zero = self.scales[i // self.group], self.zeros[i // self.group]
            out[:, i] = scale.astype(np.float64) * (self.levels[i] - zero)
        return out

    def awq(self) -> dict[str, np.ndarray]:
        """By suffix."""
        return {
            "qweight": packed_columns(self.levels, AWQ_ORDER),
            "qzeros": packed_columns(self.zeros, AWQ_ORDER),
            "scales": self.scales,
        }

    def gptq(self, offset: int = 1) -> dict[str, np.ndarray]:
        """By suffix."""
        return {
            "qweight": packed_columns(self.levels.T, range(8)).T.copy(),
            "qzeros": packed_columns(self.zeros - offset, range(8)),
            "scales": self.scales,
            "g_idx": np.array([i // self.group for i in range(self.inputs)], dtype=np.int32),
        }


def packed_columns(levels: np.ndarray, order: Any) -> np.ndarray:
    """[rows, columns] -> int32 [rows, columns / 8]."""
    rows, columns = levels.shape
    packed = np.zeros((rows, columns // 8), dtype=np.uint32)
    for row in range(rows):
        for at in range(columns // 8):
            number = 0
            for i, place in enumerate(order):
                number |= int(levels[row, 8 * at + place]) << 4 * i
            packed[row, at] = number
    return packed.view(np.int32)


def quantize_folder(path: Path, method: str, group: int, offset: int = 1) -> dict[str, np.ndarray]:
    """Put random quantized matrices in place of a folder's linear ones; returns their values."""
    tensors = load_file(path / "model.safetensors")
    values: dict[str, np.ndarray] = {}
    for seed, name in enumerate(sorted(n for n in tensors if n.endswith("_proj.weight"))):
        outputs, inputs = tensors.pop(name).shape
        matrix = Quantized(inputs, outputs, inputs if group == -1 else group, seed=seed)
        # About the size of what stood there, so that the model goes on working as one.
        matrix.scales = (matrix.scales * 8 / inputs**0.5).astype(np.float16)
        parts = matrix.awq() if method == "awq" else matrix.gptq(offset)
        tensors |= {f"{name.removesuffix('weight')}{suffix}": p for suffix, p in parts.items()}
        values[name] = matrix.values()
    save_file(tensors, path / "model.safetensors")
    return values


def with_values(model: torch.nn.Module, values: dict[str, np.ndarray]) -> None:
    """Give a model the same matrices."""
    state = {name: torch.from_numpy(value).float() for name, value in values.items()}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
