"""The tensors of a folder under GGUF's names, in GGUF's types and order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.family import FAMILIES
from minikin.model_file.folder import float8, int4
from minikin.model_file.folder.config import ConfigFields, is_tied
from minikin.model_file.folder.falcon_h1 import factors
from minikin.model_file.folder.float8 import Float8
from minikin.model_file.folder.gpt_oss import expert_tensors, is_mxfp4, is_of_experts
from minikin.model_file.folder.int4 import Int4
from minikin.model_file.folder.kinds import Kind
from minikin.model_file.folder.names import (
    correction_name,
    expert_name,
    gguf_name,
    is_computed,
    is_seeing,
    stack_name,
    text_name,
)
from minikin.model_file.folder.shard import Dtype, Shard, Stored
from minikin.model_file.gguf import GGMLType

TYPES: dict[Dtype, GGMLType] = {"F32": GGMLType.F32, "F16": GGMLType.F16, "BF16": GGMLType.BF16}
"""Types whose numbers are not quantized."""


@dataclass(frozen=True)
class FolderTensor:
    """One tensor, read on request."""

    shape: tuple[int, ...]
    type: GGMLType
    read: Callable[[], np.ndarray]
    """Returns the packed bytes, a new uint8 [nbytes]. Raises ModelFileError."""


class FolderTensors:
    """Makes the tensors of a model from those in its shards. Raises ModelFileError."""

    def __init__(self, shards: list[Shard], fields: ConfigFields, kind: Kind, head: int) -> None:
        self._homes = {
            text_name(name): (shard, name)
            for shard in shards
            for name in shard.tensors
            if not is_seeing(name)
        }
        self._kind = kind
        self._head = head
        self._tied = is_tied(fields, kind)
        self._layers = fields.whole("num_hidden_layers")
        self._skipped = fields.get("num_nextn_predict_layers") or fields.get("num_mtp_layers")
        self._factors = factors(fields) if kind.arch == "falcon-h1" else {}
        self._in_one = kind.arch == "gpt-oss"
        """Whether all experts of a layer are one tensor."""
        mxfp4 = self._in_one and is_mxfp4(fields)
        self._float8 = None if mxfp4 else Float8.read(fields)
        self._int4 = None if mxfp4 or self._float8 else Int4.read(fields)
        method = self._float8 or self._int4
        self.quantization = "MXFP4" if mxfp4 else method.method.upper() if method else None

    def read(self) -> dict[str, FolderTensor]:
        """By GGUF's name. Tensors that the family does not use keep their own name."""
        found: dict[str, FolderTensor] = {}
        stacks: dict[str, dict[int, FolderTensor]] = {}
        matrices: dict[str, dict[str, Stored]] = {}
        for own, shape, kind, read in expert_tensors(self._homes, TYPES) if self._in_one else ():
            self._add(found, own, FolderTensor(shape, kind, read))
        for name, (shard, stored) in self._homes.items():
            module, _, suffix = name.rpartition(".")
            if is_computed(name) or (self._tied and module == "lm_head"):
                continue
            if self._skips(name):
                continue
            if self._float8 and suffix in float8.SUFFIXES:
                continue
            if self._in_one and is_of_experts(name):
                continue
            if (own := correction_name(name)) is not None:
                self._add(found, own, _flat(self._plain(name, None)))
            elif (own := stack_name(name)) is not None:
                self._add(found, f"{own}.weight", self._plain(name, own))
            elif module.endswith("shared_expert_gate") and (own := gguf_name(module, self._kind)):
                self._add(found, f"{own}.{suffix}", _flat(self._plain(name, own)))
            elif suffix in int4.SUFFIXES:
                matrices.setdefault(module, {})[suffix] = shard.tensors[stored]
            elif suffix == "weight" and (place := self._place(module)):
                stacks.setdefault(place[0], {})[place[1]] = self._plain(name, None)
            elif suffix == "sinks" and (own := gguf_name(name, self._kind)):
                self._add(found, f"{own}.weight", self._plain(name, own))
            elif (own := gguf_name(name, self._kind)) is not None:
                self._add(found, own, self._plain(name, own))
            else:
                own = gguf_name(module, self._kind) if suffix in ("weight", "bias") else None
                self._add(found, f"{own}.{suffix}" if own else name, self._plain(name, own))
        for module, parts in matrices.items():
            if place := self._place(module):
                stacks.setdefault(place[0], {})[place[1]] = self._quantized(module, module, parts)
                continue
            own = gguf_name(module, self._kind) or module
            self._add(found, f"{own}.weight", self._quantized(module, own, parts))
        for name, experts in stacks.items():
            self._add(found, f"{name}.weight", _stacked(name, experts))
        return found

    def _skips(self, name: str) -> bool:
        """Whether this tensor is in a layer after the last one, which predicts further tokens."""
        if name.startswith("mtp."):
            return True
        layer = self._skipped and re.match(r"model\.layers\.(\d{1,4})\.", name)
        return bool(layer) and int(layer[1]) >= self._layers

    def _place(self, module: str) -> tuple[str, int] | None:
        """The stack and the place of an expert's matrix. None for other modules."""
        return expert_name(module) if self._kind.mixture else None

    @staticmethod
    def _add(found: dict[str, FolderTensor], name: str, tensor: FolderTensor) -> None:
        if name in found:
            raise ModelFileError(f"The folder has the tensor {name[:64]!a} twice.")
        found[name] = tensor

    def _plain(self, name: str, own: str | None) -> FolderTensor:
        shard, home = self._homes[name]
        stored = shard.tensors[home]
        if self._float8 and stored.dtype == float8.DTYPE:
            return self._ordered(own, self._scaled(name.rpartition(".")[0], self._float8))
        if stored.dtype not in TYPES or 0 in stored.shape:
            raise ModelFileError(
                f"The tensor {name[:64]!a} has the type {stored.dtype} and the shape "
                f"{stored.shape}. Supported: {', '.join(TYPES)}, not empty."
            )
        kind, shape = TYPES[stored.dtype], stored.shape
        if (change := self._change(own)) is not None:
            return FolderTensor(
                shape,
                GGMLType.F32,
                lambda: (
                    change(dequantize(shard.tensor(home), kind, shape)).reshape(-1).view(np.uint8)
                ),
            )
        if own and own.endswith((".shortconv.conv", ".ssm_conv1d")) and shape[1:2] == (1,):
            shape = shape[:1] + shape[2:]  # transformers' convolution has one input each
        return self._ordered(own, FolderTensor(shape, kind, lambda: shard.tensor(home)))

    def _change(self, own: str | None) -> Callable[[np.ndarray], np.ndarray] | None:
        """What is done to the numbers of a tensor in GGUF files. None: nothing."""
        if own is None:
            return None
        if own.endswith(".ssm_a"):
            return lambda logarithm: -np.exp(logarithm)
        factor = np.asarray(self._factors.get(own.rpartition(".")[2], 1.0), np.float32)
        if (factor != 1).any():
            return lambda weight: weight * factor
        if self._kind.norms_from_zero and own.endswith("norm") and not own.endswith("ssm_norm"):
            return lambda weight: weight + 1
        return None

    def _scaled(self, module: str, method: Float8) -> FolderTensor:
        """A matrix of 8-bit floats."""
        names = [f"{module}.{suffix}" for suffix in ("weight", *float8.SCALES)]
        parts = [self._homes[name] for name in names if name in self._homes]
        stored = [shard.tensors[home] for shard, home in parts]
        method.check(stored[0], stored[1] if len(stored) == 2 else None, module)

        def read() -> np.ndarray:
            weight, scale = (shard.tensor(home) for shard, home in parts)
            values = method.values(weight, stored[0].shape, scale, stored[1])
            return values.reshape(-1).view(np.uint8)

        return FolderTensor(stored[0].shape, GGMLType.F32, read)

    def _quantized(self, module: str, own: str, stored: Mapping[str, Stored]) -> FolderTensor:
        method = self._int4
        if method is None:
            raise ModelFileError(
                f"The matrix {module[:64]!a} is quantized, but config.json has no "
                "quantization_config that says how."
            )
        shape = method.shape(stored, module)

        def part(suffix: str) -> np.ndarray:
            shard, home = self._homes[f"{module}.{suffix}"]
            return shard.tensor(home)

        def read() -> np.ndarray:
            return method.blocks(stored, part, shape, module)

        return self._ordered(own, FolderTensor(shape, GGMLType.Q4_1, read))

    def _ordered(self, own: str | None, tensor: FolderTensor) -> FolderTensor:
        """Put the two rows of a rotary pair side by side, if GGUF files of the family do so."""
        queries_or_keys = own is not None and own.endswith(("attn_q", "attn_k"))
        turned = FAMILIES[self._kind.arch].side_by_side and not self._kind.interleaved
        if not turned or not queries_or_keys:
            return tensor
        rows, half = tensor.shape[0] if tensor.shape else 0, self._head // 2
        if not half or rows % (2 * half):
            return tensor  # its shape is rejected later
        order = np.arange(rows).reshape(-1, 2, half).swapaxes(1, 2).reshape(-1)
        return FolderTensor(
            tensor.shape,
            tensor.type,
            lambda: tensor.read().reshape(rows, -1)[order].reshape(-1),
        )


def _flat(tensor: FolderTensor) -> FolderTensor:
    return replace(tensor, shape=(math.prod(tensor.shape),))


def _stacked(name: str, experts: Mapping[int, FolderTensor]) -> FolderTensor:
    """The matrices of all experts stacked, as in GGUF files."""
    first = experts.get(0)
    if first is None or max(experts) >= len(experts):
        missing = next(i for i in range(len(experts) + 1) if i not in experts)
        raise ModelFileError(f"The folder's {name} lacks the expert {missing}.")
    for i, expert in experts.items():
        if (expert.shape, expert.type) != (first.shape, first.type):
            raise ModelFileError(
                f"The folder's {name} has experts of different shapes or types: 0 and {i}."
            )

    def read() -> np.ndarray:
        return np.concatenate([experts[i].read() for i in range(len(experts))])

    return FolderTensor((len(experts), *first.shape), first.type, read)
